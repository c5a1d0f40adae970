"""The system calls that the jail needs and Python 3.11 lacks: thin ctypes wrappers that raise OSError, and no policy.

Numbers and flags are those of the kernel's own headers. System call numbers above 423 are the same on every machine; of the
older ones only the two called here are listed.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Mapping
from typing import Final

#: pivot_root, capset. <asm/unistd_64.h>, <asm-generic/unistd.h>
_OLD_CALLS: Final[Mapping[str, tuple[int, int]]] = {"x86_64": (155, 126), "aarch64": (41, 91)}
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000  # <linux/sched.h>
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    0x20,
    0x4000,
    0x40000,
)  # <linux/mount.h>
_MNT_DETACH = 2
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_AT_EMPTY_PATH, _AT_RECURSIVE, _AT_FDCWD = 0x1000, 0x8000, -100  # <linux/fcntl.h>
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24  # <linux/prctl.h>
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522  # <linux/capability.h>
_LANDLOCK_GET_ABI, _LANDLOCK_RULE_PATH_BENEATH = 1, 1  # <linux/landlock.h>

_libc = ctypes.CDLL(None, use_errno=True)


def machine() -> str:
    """Return the machine type, as the tables name it.

    Raises
    ------
    OSError
        On a machine or a word size for which there are no tables: an unknown number could be any call.
    """
    name = os.uname().machine
    if name not in _OLD_CALLS or sys.maxsize < 2**32 or sys.byteorder != "little":
        raise OSError(0, f"no system call tables for {name}; supported are 64-bit {' and '.join(_OLD_CALLS)}")
    return name


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _call(what: str, number: int, *arguments: int | bytes | None) -> int:
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), what)


def _prctl(what: str, option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(_libc.prctl(option, *words), what)


def die_with_parent(signal_number: int) -> None:
    """Ask for a signal when the parent ends; a change of user or capabilities takes the request back."""
    _prctl("prctl(PDEATHSIG)", _PR_SET_PDEATHSIG, signal_number)


def set_dumpable(on: bool) -> None:
    """Say whether processes of the same user may trace this one; off, /proc/self belongs to root."""
    _prctl("prctl(DUMPABLE)", _PR_SET_DUMPABLE, on)


def no_new_privileges() -> None:
    """Give up, for good and for all descendants, what setuid programs and file capabilities could add."""
    _prctl("prctl(NO_NEW_PRIVS)", _PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities(*, keep_effective: bool = False) -> None:
    """Empty the bounding, ambient, inheritable, permitted and effective sets.

    Parameters
    ----------
    keep_effective : bool, empty the first two only: root still has to change its user, which empties the rest
    """
    for capability in range(64):
        try:
            _prctl("prctl(CAPBSET_DROP)", _PR_CAPBSET_DROP, capability)
        except OSError:  # not allowed to a process without capabilities, and past the last one known to the kernel
            break
    _prctl("prctl(CAP_AMBIENT)", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    if not keep_effective:
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        _call("capset", _OLD_CALLS[machine()][1], header, bytes(24))


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def set_host_name(name: bytes) -> None:
    """Name the machine, in this UTS namespace."""
    _checked(_libc.sethostname(name, ctypes.c_size_t(len(name))), "sethostname")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Call mount(2)."""
    words = [os.fsencode(one) if one is not None else None for one in (source, target, kind)]
    done = _libc.mount(*words, ctypes.c_ulong(flags), options.encode())
    _checked(done, f"mount on {target}")


def clone_tree(path: str) -> int:
    """Return a descriptor of a detached copy of the mounts at and below `path`."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return _call(f"open_tree {path}", _OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def set_tree_flags(tree: int, flags: int) -> None:
    """Add mount flags (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC) to all mounts of a tree and cut it off from its peers."""
    attributes = struct.pack("QQQQ", flags, 0, MS_PRIVATE, 0)
    _call("mount_setattr", _MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes, len(attributes))


def attach_tree(tree: int, target: str) -> None:
    """Mount a detached tree at `target`."""
    _call(f"move_mount to {target}", _MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)


def enter_root(path: str) -> None:
    """Make the mount at `path` the root of this mount namespace and let go of everything outside."""
    os.chdir(path)
    _call("pivot_root", _OLD_CALLS[machine()][0], b".", b".")  # the old root now lies upon the new one
    _checked(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def landlock_abi() -> int:
    """Return the version of Landlock; OSError where the kernel has none or has it switched off."""
    return _call("landlock", _LANDLOCK_CREATE, None, 0, _LANDLOCK_GET_ABI)


def landlock_ruleset(attributes: bytes) -> int:
    """Return the descriptor of a new rule set that handles the rights in `attributes`."""
    return _call("landlock_create_ruleset", _LANDLOCK_CREATE, attributes, len(attributes), 0)


def landlock_allow(ruleset: int, path: int, rights: int) -> None:
    """Allow `rights` at and below the open `path`."""
    rule = struct.pack("=Qi", rights, path)
    _call("landlock_add_rule", _LANDLOCK_ADD, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)


def landlock_restrict(ruleset: int, flags: int) -> None:
    """Put the rules on this process and its descendants."""
    _call("landlock_restrict_self", _LANDLOCK_RESTRICT, ruleset, flags)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seccomp_filter(program: bytes) -> None:
    """Put a BPF program (8 bytes an instruction) before every system call of this thread and its descendants."""
    argument = _Program(len(program) // 8, program)
    zero = ctypes.c_ulong(0)
    done = _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(argument), zero, zero)
    _checked(done, "seccomp")
