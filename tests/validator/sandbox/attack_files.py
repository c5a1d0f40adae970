"""Attacks on files: write, change, read, fill up. `given` describes the scene on the host, see ``attack_scene``."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from attack_native import call, successes

Given = dict[str, Any]


def write(given: Given) -> Iterator[str]:
    """Leave a file in every folder of the host."""
    yield from successes(*((folder, partial(_create, f"{folder}/{given['mark']}")) for folder in given["folders"]))


def _create(path: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(handle, b"was here")
    os.close(handle)


def hidden_write(given: Given) -> Iterator[str]:
    """Make files without names, which no listing shows."""
    yield from successes(*((folder, partial(os.open, folder, os.O_TMPFILE | os.O_RDWR)) for folder in given["folders"]))


def change(given: Given) -> Iterator[str]:
    """Change a file and a folder that everybody may change."""
    victim, folder, mark = given["file"], given["playground"], given["mark"]
    yield from successes(
        ("append", lambda: os.open(victim, os.O_WRONLY | os.O_APPEND)),
        ("truncate", lambda: os.truncate(victim, 1)),
        ("truncate by opening", lambda: os.open(victim, os.O_WRONLY | os.O_TRUNC)),
        ("mkdir", lambda: Path(f"{folder}/{mark}d").mkdir()),
        ("symlink", lambda: Path(f"{folder}/{mark}s").symlink_to("/etc/shadow")),
        ("hard link", lambda: os.link(victim, f"{folder}/{mark}h")),
        ("fifo", lambda: os.mkfifo(f"{folder}/{mark}f")),
        ("device", lambda: os.mknod(f"{folder}/{mark}n", stat.S_IFCHR | 0o666, os.makedev(1, 5))),
        ("socket", lambda: socket.socket(socket.AF_UNIX).bind(f"{folder}/{mark}u")),
        ("rename", lambda: Path(given["spare"]).rename(f"{folder}/{mark}r")),
        ("unlink", lambda: Path(given["spare2"]).unlink()),
        ("rmdir", lambda: Path(given["spare_folder"]).rmdir()),
    )


def metadata(given: Given) -> Iterator[str]:
    """Change what is written about a file; Landlock does not look after that."""
    victim = given["file"]
    yield from successes(
        ("chmod", lambda: Path(victim).chmod(0o700)),
        ("chown", lambda: os.chown(victim, os.getuid(), os.getgid())),
        ("times", lambda: os.utime(victim, (1, 1))),
        ("now", lambda: os.utime(victim)),
        ("attribute", lambda: os.setxattr(victim, "user.longtail", b"1")),
    )


def metadata_oracle(given: Given) -> Iterator[str]:
    """Learn from a file's attributes, or from a process's folder, without opening either."""
    places = (*given["secrets"], f"/proc/{given['host']}", f"/proc/{given['victim']}/cmdline")
    for place in places:
        yield from successes((f"status of {place}", partial(os.stat, place)))
        yield from successes((f"handle on {place}", partial(os.open, place, os.O_PATH)))


def lock(given: Given) -> Iterator[str]:
    """Take locks and leases on files of the host: whoever waits for them waits for us."""
    for path in (given["library"], given["file"]):
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        yield from successes(
            (f"flock {path}", partial(fcntl.flock, handle, fcntl.LOCK_EX | fcntl.LOCK_NB)),
            (f"lease {path}", partial(fcntl.fcntl, handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)),
            (f"range lock {path}", partial(fcntl.lockf, handle, fcntl.LOCK_SH | fcntl.LOCK_NB)),
        )


def secrets(given: Given) -> Iterator[str]:
    """Read what is nobody's business."""
    own = [f"/proc/{pid}/{name}" for pid in (1, os.getppid(), given["host"]) for name in ("environ", "mem", "maps")]
    ours = ["/proc/self/environ", "/proc/self/mem", "/proc/self/maps", "/proc/sysrq-trigger", "/proc/kmsg"]
    system = [
        "/etc/shadow",
        "/etc/passwd",
        "/etc/hostname",
        "/etc/machine-id",
        "/sys/kernel/notes",
        "/var/log/dpkg.log",
    ]
    for path in (*given["secrets"], *system, *own, *ours):
        yield from successes((path, partial(os.open, path, os.O_RDONLY)))
        yield from successes((f"listing of {path}", partial(os.listdir, path)))


def fresh_extension(given: Given) -> Iterator[str]:
    """Bring a library along: copy one to wherever writing is possible and load it."""
    for folder in (".", *given["folders"]):
        copy = Path(folder) / f"{given['mark']}.so"
        try:
            shutil.copyfile(given["library"], copy)
        except OSError:
            continue
        yield from successes((f"load from {folder}", partial(ctypes.CDLL, str(copy))))


def links(given: Given) -> Iterator[str]:
    """Reach out of the working folder by links and by ``..``."""
    for name, target in (("shadow", "/etc/shadow"), ("file", given["file"]), ("root", "/proc/1/root/etc/shadow")):
        yield from successes((f"symlink to {name}", partial(_through_link, target, given["mark"])))
        yield from successes((f"hard link to {name}", partial(os.link, target, f"{given['mark']}-{name}")))
    up = "../" * 40
    for path in (given["secrets"][0], given["file"]):
        yield from successes((f"{up}{path}", partial(os.open, f"{up}{path}", os.O_RDONLY)))


def _through_link(target: str, mark: str) -> None:
    link = f"{mark}-{time.monotonic_ns()}"
    Path(link).symlink_to(target)
    os.open(link, os.O_RDONLY)


def devices(given: Given) -> Iterator[str]:
    """Open every device of the host but the three that are nothing."""
    nothing = {"null", "zero", "urandom", "random", "full", "stdin", "stdout", "stderr", "fd"}
    names = [
        "mem",
        "kmsg",
        "kvm",
        "fuse",
        "net/tun",
        "tty",
        "ptmx",
        "vda",
        "sda",
        "shm",
        "mqueue",
        "console",
        "port",
        "hpet",
    ]
    for name in sorted({*names, *given["devices"]} - nothing):
        yield from successes((name, partial(os.open, f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)))


def fill(given: Given) -> Iterator[str]:
    """Fill the disk from the working folder: one huge file, many files, a sparse file, many folders."""
    written = files = depth = 0
    block = b"x" * (1 << 20)
    try:
        for number in range(64):
            handle = os.open(f"fill-{number}", os.O_CREAT | os.O_WRONLY, 0o600)
            files += 1
            for _ in range(64):
                written += os.write(handle, block)
            os.close(handle)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EPERM, errno.EACCES, errno.EROFS}:
            raise
    if written > given["file_mb"] << 20:
        yield f"{written >> 20} MiB in {files} files"
    yield from successes(("sparse file of 1 TiB", _sparse))
    with suppress(OSError):
        for _ in range(20_000):
            Path("d").mkdir()
            os.chdir("d")
            depth += 1
    if depth > 5_000:
        yield f"{depth} folders in each other"


def _sparse() -> None:
    handle = os.open("sparse", os.O_CREAT | os.O_WRONLY, 0o600)
    os.ftruncate(handle, 1 << 40)


def unusual_handles(_given: Given) -> Iterator[str]:
    """Files by handle instead of path, and files that exist in memory only."""
    yield from successes(
        ("memfd", lambda: os.memfd_create("m")),
        ("secret memory", lambda: call("memfd_secret", 0)),
        ("open by handle", _by_handle),
        ("mount tree", lambda: call("open_tree", -100, ctypes.c_char_p(b"/"), 1)),
    )


def _by_handle() -> None:
    handle = ctypes.create_string_buffer(b"\x08\x00\x00\x00\x01\x00\x00\x00" + b"\x02" + b"\0" * 15)
    root = os.open("/", os.O_RDONLY)
    try:
        call("open_by_handle_at", root, handle, 0)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
