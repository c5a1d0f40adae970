"""The layer `namespaces`: an own root with nothing but code in it, and no process, network, IPC or host name of the machine.

Every mount is made by an ordinary user inside a user namespace. Root adds one thing beforehand: detached copies of the
mounts that lead to the code, so that a Python inside a home folder with mode 0700 is reached by whom root becomes next.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import stat
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from validator.sandbox import kernel
from validator.sandbox.readable import Layout

BOX: Final = "/box"
_ALL = (
    *(kernel.CLONE_NEWUSER, kernel.CLONE_NEWNS, kernel.CLONE_NEWPID, kernel.CLONE_NEWNET),
    *(kernel.CLONE_NEWIPC, kernel.CLONE_NEWUTS, kernel.CLONE_NEWCGROUP),
)
_HARMLESS = kernel.MS_NOSUID | kernel.MS_NODEV
_READ_ONLY = kernel.MS_RDONLY | _HARMLESS
_NOBODY = 65534
#: Where the new root is put together: a folder that surely exists and that is not needed again.
_ROOT = "/proc"
_SWITCHES = {  # what distributions and administrators switch user namespaces off with, the value, the remedy
    "kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "set it to 0, or give this Python an AppArmor profile with `userns,`",
    ),
    "kernel/unprivileged_userns_clone": ("0", "set it to 1"),
    "user/max_user_namespaces": ("0", "set it to 15000"),
}


class Tree(NamedTuple):
    """A detached copy of the mounts at and below a path."""

    path: Path
    descriptor: int
    is_folder: bool


def detach(layout: Layout) -> list[Tree]:
    """Return read-only copies of the mounts at the paths of a layout; needs CAP_SYS_ADMIN in the mount namespace.

    Raises
    ------
    OSError
        PermissionError without the capability; ENOSYS before Linux 5.12.
    """
    trees: list[Tree] = []
    try:
        for path in layout.paths:
            descriptor = kernel.clone_tree(str(path))
            mode = os.fstat(descriptor).st_mode
            trees.append(Tree(path, descriptor, stat.S_ISDIR(mode)))
            kernel.set_tree_flags(descriptor, _READ_ONLY & ~(kernel.MS_NODEV if stat.S_ISCHR(mode) else 0))
    except OSError:
        for tree in trees:
            os.close(tree.descriptor)
        raise
    return trees


def leave(parent: int) -> None:
    """Leave every namespace; return in process 1 of the new ones, while the caller waits and ends as process 1 ended.

    Either process ends with the other one, and both with the process `parent`.

    Raises
    ------
    OSError
        A namespace cannot be made; the message has the likely switch and the remedy.
    """
    user, group = os.getuid(), os.getgid()
    kernel.set_dumpable(True)  # off after a change of user: /proc/self would belong to root
    try:
        kernel.unshare(sum(_ALL))
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{_NOBODY} {user} 1"),
            ("gid_map", f"{_NOBODY} {group} 1"),
        ):
            Path("/proc/self", name).write_text(text, encoding="ascii")
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}{_likely_reason(error)}") from error
    end_with(parent)
    alive, kept = os.pipe()
    # Now: process 1 covers /proc, in the mount namespace of both.
    others = {int(name) for name in os.listdir("/proc/self/fd")} - {kept}  # noqa: PTH208 - numbers, no paths
    pid = os.fork()
    if pid:
        _mirror(pid, others)
    os.close(kept)
    kernel.die_with_parent(signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:  # the other end is closed: the parent ended before the line above
        os._exit(1)
    os.close(alive)


def end_with(parent: int) -> None:
    """End this process when `parent` ends; at once if it has. To be renewed after each change of user or namespaces."""
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def build_root(layout: Layout, trees: list[Tree], *, box_mb: int) -> None:
    """Make a root of the trees and the links to them, and an empty folder to write to, which becomes the working folder."""
    kernel.mount("tmpfs", _ROOT, "tmpfs", _HARMLESS, "size=1m,nr_inodes=4096,mode=755")
    for path, descriptor, is_folder in trees:
        target = _below_root(path)
        if is_folder:
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        kernel.attach_tree(descriptor, str(target))
        os.close(descriptor)
    for link, text in layout.links.items():
        if not any(link.is_relative_to(path) for path in layout.paths):  # else it is there already
            _below_root(link).parent.mkdir(parents=True, exist_ok=True)
            _below_root(link).symlink_to(text)
    box = _below_root(Path(BOX))
    box.mkdir()
    kernel.mount("tmpfs", str(box), "tmpfs", _HARMLESS | kernel.MS_NOEXEC, f"size={box_mb}m,nr_inodes=1024,mode=700")
    kernel.enter_root(_ROOT)
    kernel.mount(None, "/", None, kernel.MS_REMOUNT | _READ_ONLY)
    kernel.set_host_name(b"box")
    os.chdir(BOX)


def _below_root(path: Path) -> Path:
    return Path(_ROOT, *path.parts[1:])


def _mirror(pid: int, others: set[int]) -> NoReturn:
    """Close the descriptors `others`, wait for process 1 and end exactly as it ended, by the same code or the same signal.

    The one descriptor left shows process 1 that this process lives. The resources of process 1 count as used by this one.
    """
    try:
        for descriptor in others:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            kernel.set_dumpable(False)  # one core is enough, and that one is switched off as well
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            os.kill(os.getpid(), number)
        os._exit(os.waitstatus_to_exitcode(status))
    finally:
        os._exit(1)


def _likely_reason(error: OSError) -> str:
    for name, (off, remedy) in _SWITCHES.items():
        try:
            value = Path("/proc/sys", name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == off:
            return f" (user namespaces are off: {name.replace('/', '.')}={value}; {remedy})"
    if error.errno in (errno.EPERM, errno.EACCES):
        return " (user namespaces are refused, as containers do; allow them by the container's seccomp and AppArmor profiles)"
    return ""
