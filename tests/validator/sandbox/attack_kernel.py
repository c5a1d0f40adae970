"""Attacks on the kernel: privileges, clocks, and everything else that has a system call of its own."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from attack_native import LIBC, call, execute, legacy_getpid, successes

Given = dict[str, Any]
Text = ctypes.c_char_p
NAMESPACES = {
    "mount": 0x20000, "time": 0x80, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip


def identity(_given: Given) -> Iterator[str]:
    """Become somebody else."""
    for name, action in (
        ("setuid", partial(os.setuid, 0)), ("setgid", partial(os.setgid, 0)), ("setgroups", partial(os.setgroups, [0])),
        ("setresuid", partial(os.setresuid, 0, 0, 0)), ("setreuid", partial(os.setreuid, 0, 0)),
    ):  # fmt: skip
        yield from successes((name, action))
    header, everything = struct.pack("II", 0x20080522, 0), b"\xff" * 24
    yield from successes(
        ("all capabilities", lambda: call("capset", header, everything)),
        ("kept capabilities", lambda: call("prctl", 8, 1, 0, 0, 0)),
        ("ambient capability", lambda: call("prctl", 47, 2, 21, 0, 0)),
    )
    if 0 in (os.getuid(), os.geteuid(), os.getgid(), os.getegid()):
        yield f"runs as {os.getresuid()}, {os.getresgid()}"
    with suppress(PermissionError):  # may not even ask
        yield from (f"is in group {group}" for group in os.getgroups() if group not in {os.getgid(), 65534})


def namespaces(_given: Given) -> Iterator[str]:
    """Make namespaces of one's own, where one has every capability."""
    for name, flag in NAMESPACES.items():
        yield from successes((f"unshare {name}", partial(call, "unshare", flag)))
        yield from successes((f"unshare user and {name}", partial(call, "unshare", flag | NAMESPACES["user"])))
        yield from successes((f"clone into {name}", partial(_clone, flag)))
    yield from successes(("join", lambda: call("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0)))


def _clone(flag: int) -> None:
    """``clone`` by number 56 with a namespace flag; the child, if there is one, ends at once."""
    result = int(LIBC.syscall(ctypes.c_long(56), ctypes.c_long(flag | 17), None, None, None, None))
    if result == 0:
        os._exit(0)
    if result < 0:
        raise OSError(ctypes.get_errno(), "clone")
    os.waitpid(result, 0)


def mounts(given: Given) -> Iterator[str]:
    """Change what is mounted where; unconfined, only in namespaces of its own."""
    if given["open"]:
        call("unshare", NAMESPACES["user"] | NAMESPACES["mount"])
    place = Text(given["playground"].encode())
    yield from successes(
        ("tmpfs", lambda: call("mount", Text(b"none"), place, Text(b"tmpfs"), 0, None)),
        ("proc", lambda: call("mount", Text(b"proc"), Text(b"."), Text(b"proc"), 0, None)),
        ("bind", lambda: call("mount", Text(b"/"), place, None, 4096, None)),
        ("writable again", lambda: call("mount", None, Text(b"/"), None, 32 | 4096, None)),
        ("unmount", lambda: call("umount2", place, 2)),
        ("new interface", lambda: call("fsopen", Text(b"tmpfs"), 0)),
        ("chroot", lambda: os.chroot(".")),
        ("pivot", lambda: call("pivot_root", Text(b"."), Text(b"."))),
        ("swap", lambda: call("swapon", Text(b"/nowhere"), 0)),
    )


def clocks(_given: Given) -> Iterator[str]:
    """Set the time, to what it is anyway."""
    frequency = ctypes.create_string_buffer(struct.pack("I", 1), 256)
    yield from successes(
        ("clock_settime", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
        ("settimeofday", lambda: call("settimeofday", struct.pack("qq", int(time.time()), 0), None)),
        ("adjtimex", lambda: call("adjtimex", frequency)),
    )


def shared_objects(given: Given) -> Iterator[str]:
    """Make objects that live in the kernel and have names others can find."""
    key, name = given["key"], Text(given["object"].encode())
    yield from successes(
        ("shared memory", lambda: call("shmget", key, 4096, 0o1666)),
        ("semaphore", lambda: call("semget", key, 1, 0o1666)),
        ("message queue", lambda: call("msgget", key, 0o1666)),
        ("posix queue", lambda: call("mq_open", name, os.O_CREAT | os.O_RDWR, 0o666, None)),
        ("key", lambda: call("add_key", Text(b"user"), name, b"loot", 4, -4)),
        ("session keyring", lambda: call("keyctl", 1, None)),
        ("search", lambda: call("keyctl", 0, -3, 1)),
    )


def surface(_given: Given) -> Iterator[str]:
    """Open what kernels are attacked through: each of these has had its holes, none of them is needed to fit a pipeline."""
    attributes = ctypes.create_string_buffer(struct.pack("IIII", 1, 4, 4, 4), 128)
    clock, timer = ctypes.create_string_buffer(64), ctypes.c_int()
    yield from successes(
        ("bpf", lambda: call("bpf", 0, attributes, 128)),
        (
            "perf",
            lambda: call("perf_event_open", ctypes.create_string_buffer(struct.pack("II", 1, 128), 128), 0, -1, -1, 0),
        ),
        ("userfaultfd", lambda: call("userfaultfd", 1)),
        ("personality", lambda: call("personality", 0x0400000)),
        ("descriptor tables", lambda: call("modify_ldt", 0, clock, 64)),
        ("ports", lambda: call("iopl", 3)),
        ("some ports", lambda: call("ioperm", 0x80, 1, 1)),
        ("watch folders", lambda: call("inotify_init")),
        ("watch everything", lambda: call("fanotify_init", 0, 0)),
        ("timer", lambda: call("timer_create", 1, None, ctypes.byref(timer))),
        ("timer file", lambda: call("timerfd_create", 1, 0)),
        ("signal file", lambda: call("signalfd", -1, ctypes.byref(ctypes.c_uint64()), 8)),
        ("kernel log", lambda: call("syslog", 10, None, 0)),
        ("rules of its own", lambda: call("landlock_create_ruleset", None, 0, 1)),
        ("protection keys", lambda: call("pkey_alloc", 0, 0)),
        ("splice", _splice),
        ("scheduler", lambda: call("sched_setattr", 0, ctypes.create_string_buffer(struct.pack("II", 48, 0), 48), 0)),
        ("hostname", lambda: socket.sethostname(socket.gethostname())),
        ("accounting", lambda: call("acct", None)),
        ("module", lambda: _not(errno.EPERM, lambda: call("init_module", None, 0, None))),
        ("reboot", lambda: _not(errno.EPERM, lambda: call("reboot", 1, 1, 1, None))),
        ("hang up", lambda: call("vhangup") if os.getsid(0) == os.getpid() else _refuse()),
    )


def _refuse() -> None:
    raise PermissionError(errno.EPERM, "left alone: the terminal is somebody's")


def _not(refusal: int, action: Any) -> None:
    """Succeed when the call, made with arguments that cannot work, fails for another reason than that it is not allowed."""
    try:
        action()
    except OSError as error:
        if error.errno in {refusal, errno.ENOSYS}:
            raise


def _splice() -> None:
    source, sink = os.pipe()
    os.write(sink, b"x")
    other, end = os.pipe()
    call("tee", source, end, 1, 0)
    os.close(other)


def legacy(_given: Given) -> Iterator[str]:
    """Enter the kernel through the 32-bit door, where every number means something else."""
    if legacy_getpid() > 0:
        yield "32-bit system calls"


def other_numbers(_given: Given) -> Iterator[str]:
    """Enter with the bit of the x32 interface set, beside which a list of numbers may look."""
    for number in (39, 41, 57):
        result = execute(b"\xb8" + struct.pack("<I", number | 0x40000000) + b"\x0f\x05\xc3")
        if result >= 0:
            yield f"x32 call {number}"


#: What a sweep must not make with arguments that mean nothing, since it would end, stop or change the sweep itself; 335 and 336
#: are the kernel's own way back from a traced function: it handles them before any filter and ends whoever else makes them.
NOT_SWEPT = {15, 34, 35, 60, 61, 112, 130, 219, 230, 231, 247, 335, 336}


def sweep(_given: Given) -> Iterator[str]:
    """Make every system call with arguments that mean nothing and report those that are not refused as such."""
    for number in range(480):
        if number in NOT_SWEPT:
            continue
        result = int(LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6))
        if result == 0 and number in {56, 57, 58, 435}:
            os._exit(0)
        if result != -1 or ctypes.get_errno() not in {errno.EPERM, errno.ENOSYS}:
            yield str(number)
