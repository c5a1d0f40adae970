"""Attacks on other processes: start them, signal them, trace them, change how they run."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from attack_native import LIBC, bare_threads, call, in_fork, successes

Given = dict[str, Any]
F_SETSIG, F_SETOWN_EX = 10, 15


def start(_given: Given) -> Iterator[str]:
    """Start a process by every way there is."""
    yield from successes(
        ("fork", lambda: in_fork(lambda: None)),
        ("forkpty", _forkpty),
        ("posix_spawn", lambda: os.posix_spawn("/usr/bin/true", ["true"], {})),
        ("subprocess", lambda: subprocess.run(["/usr/bin/true"], check=True, timeout=5)),
        ("interpreter", lambda: subprocess.run([sys.executable, "-c", "0"], check=True, timeout=5)),
        ("clone3", _clone3),
    )


def _forkpty() -> None:
    child, _ = os.forkpty()
    if child == 0:
        os._exit(0)


def _clone3() -> None:
    if call("clone3", ctypes.create_string_buffer(b"\0" * 32 + b"\x11" + b"\0" * 55), 88) == 0:
        os._exit(0)


def replace(_given: Given) -> Iterator[str]:
    """Become another program; where that works nothing is reported, so the exit code 0 without an answer says it."""
    yield from successes(
        ("execve", partial(os.execve, "/usr/bin/true", ["true"], {})),
        ("execveat", lambda: call("execveat", -100, ctypes.c_char_p(b"/usr/bin/true"), None, None, 0)),
        ("fexecve", _execute_open_file),
    )


def _execute_open_file() -> None:
    os.execve(os.open("/usr/bin/true", os.O_RDONLY), ["true"], {})  # noqa: S606  # that is the attack


def signals(given: Given) -> Iterator[str]:
    """Signal the host, the zygote and a bystander; only the last is really meant to die of it."""
    for name, process in (("host", given["host"]), ("parent", _parent()), ("victim", given["victim"])):
        yield from successes((f"may signal {name}", partial(os.kill, process, 0)))
    victim = given["victim"]
    info = ctypes.create_string_buffer(b"\0" * 8 + (-1 & 0xFFFFFFFF).to_bytes(4, "little"), 128)
    yield from successes(
        ("tkill", lambda: call("tkill", victim, 0)),
        ("tgkill", lambda: call("tgkill", victim, victim, 0)),
        ("tgkill the parent", lambda: call("tgkill", _parent(), _parent(), 0)),
        ("queue", lambda: call("rt_sigqueueinfo", victim, 0, info)),
        ("queue to a thread", lambda: call("rt_tgsigqueueinfo", victim, victim, 0, info)),
        ("pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(victim), 0)),
        ("pidfd of the parent", lambda: signal.pidfd_send_signal(os.pidfd_open(_parent()), 0)),
        ("killpg", lambda: os.killpg(os.getpgid(victim), 0)),
    )
    yield from successes(("kill", lambda: os.kill(victim, signal.SIGTERM)))


def everybody(_given: Given) -> Iterator[str]:
    """Reach all processes at once, with the signal that is none and the priority they have."""
    yield from successes(
        ("signal", lambda: os.kill(-1, 0)),
        ("signal the group", lambda: os.kill(0, 0)),
        ("priority of a user", lambda: os.setpriority(os.PRIO_USER, 0, 0)),
    )


def signal_by_file(given: Given) -> Iterator[str]:
    """Let the kernel signal the owner of a pipe when it can be read: any owner, any signal. The host sees who died of it."""
    list(successes(*((way, partial(_own, given["victim"], way)) for way in ("F_SETOWN", "F_SETOWN_EX"))))
    yield from ()


def _own(victim: int, way: str) -> None:
    source, sink = os.pipe()
    if way == "F_SETOWN":
        fcntl.fcntl(source, fcntl.F_SETOWN, victim)
    else:
        fcntl.fcntl(source, F_SETOWN_EX, (1).to_bytes(4, "little") + victim.to_bytes(4, "little"))
    fcntl.fcntl(source, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(source, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(sink, b"x")
    time.sleep(0.05)


def trace(given: Given) -> Iterator[str]:
    """Read and write the memory of others, take their files."""
    here = ctypes.create_string_buffer(8)
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(here), 8)
    nowhere = (ctypes.c_uint64 * 2)(16, 8)
    for name, process in (("host", given["host"]), ("parent", _parent()), ("victim", given["victim"])):
        yield from successes(
            (f"read {name}", partial(_allowed, "process_vm_readv", process, vector, 1, nowhere, 1, 0)),
            (f"write {name}", partial(_allowed, "process_vm_writev", process, vector, 1, nowhere, 1, 0)),
            (f"compare with {name}", partial(call, "kcmp", os.getpid(), process, 1, 0, 0)),
            (f"robust list of {name}", partial(_robust_list, process)),
        )
    victim = given["victim"]
    yield from successes(
        ("seize", lambda: call("ptrace", 0x4206, victim, 0, 0)),
        ("take a file", lambda: call("pidfd_getfd", os.pidfd_open(victim), 0, 0)),
        ("count events", lambda: _perf(victim)),
        ("count own events", lambda: _perf(0)),
    )


def trace_me(_given: Given) -> Iterator[str]:
    """Have oneself traced: from then on the parent is told of every signal as if the process had stopped."""
    yield from successes(("trace me", lambda: call("ptrace", 0, 0, 0, 0)))


def _allowed(name: str, *arguments: object) -> None:
    """Touch an address where nothing is: whoever is told so was allowed to look."""
    try:
        call(name, *arguments)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def _parent() -> int:
    """Return the parent's number, or one nobody has: seen from the first process of a namespace the parent has none."""
    return os.getppid() or 4_194_303


def _robust_list(process: int) -> None:
    head, size = ctypes.c_uint64(), ctypes.c_uint64()
    call("get_robust_list", process, ctypes.byref(head), ctypes.byref(size))


def _perf(process: int) -> None:
    attributes = ctypes.create_string_buffer((1).to_bytes(4, "little") + (128).to_bytes(4, "little"), 128)
    call("perf_event_open", attributes, process, -1, -1, 0)


def adjust(given: Given) -> Iterator[str]:
    """Change limits, priority and processors of somebody else: a CPU limit of one second kills as well as a signal."""
    victim = given["victim"]
    for name, process in (("victim", victim), ("parent", _parent()), ("host", given["host"])):
        yield from successes((f"limits of {name}", partial(resource.prlimit, process, resource.RLIMIT_CPU)))
    yield from successes(
        ("limit", lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE, (9, 9))),
        ("affinity", lambda: os.sched_setaffinity(victim, {0})),
        ("nice", lambda: os.setpriority(os.PRIO_PROCESS, victim, 19)),
        ("idle", lambda: os.sched_setscheduler(victim, os.SCHED_IDLE, os.sched_param(0))),
        ("disk priority", lambda: call("ioprio_set", 1, victim, 3 << 13)),
        (
            "pages",
            lambda: call("migrate_pages", victim, 1, ctypes.byref(ctypes.c_ulong(1)), ctypes.byref(ctypes.c_ulong(1))),
        ),
    )


def raise_limits(_given: Given) -> Iterator[str]:
    """Get more of everything than was given."""
    names = ("CPU", "FSIZE", "AS", "NOFILE", "NPROC", "CORE", "MEMLOCK", "MSGQUEUE", "SIGPENDING", "RTPRIO", "NICE")
    for name in names:
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY:
            yield f"{name} is not limited"
            continue
        for wanted in (resource.RLIM_INFINITY, hard + 1):
            yield from successes((f"{name} raised", partial(_raise, kind, wanted)))
    yield from successes(
        ("nice", lambda: os.nice(-1)),
        ("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
        ("all locked", lambda: _checked(LIBC.mlockall(3))),
    )


def _raise(kind: int, wanted: int) -> None:
    try:
        resource.setrlimit(kind, (wanted, wanted))
    except ValueError as error:  # how Python says EPERM here
        raise PermissionError from error


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")


def threads(given: Given) -> Iterator[str]:
    """Start threads until somebody says no."""
    release = threading.Event()
    threading.stack_size(32_768)
    started: list[threading.Thread] = []
    try:
        while len(started) < given["threads"]:
            thread = threading.Thread(target=release.wait)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        pass
    count = len(started)
    release.set()
    for thread in started:
        thread.join()
    if count > given["allowed_threads"]:
        yield f"{count} threads"


def tasks(given: Given) -> Iterator[str]:
    """Start threads that need neither stack nor memory."""
    count = bare_threads(given["threads"])
    if count > given["allowed_threads"]:
        yield f"{count} tasks"


def hold_tasks(given: Given) -> Iterator[str]:
    """Start all the tasks there may be and keep them."""
    bare_threads(given["threads"])
    time.sleep(3600)
    yield from ()


def forks(given: Given) -> Iterator[str]:
    """Start processes until somebody says no, and leave them running."""
    count = 0
    try:
        while count < given["forks"]:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        pass
    if count:
        yield f"{count} processes"


def outlive(_given: Given) -> Iterator[str]:
    """Live on when the parent dies: forget the signal it would send, ignore the ones that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU, signal.SIGALRM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    yield from successes(
        ("no death signal", lambda: call("prctl", 1, 0, 0, 0, 0)),
        ("dumpable", lambda: call("prctl", 4, 1, 0, 0, 0)),
        ("subreaper", lambda: call("prctl", 36, 1, 0, 0, 0)),
        ("session", os.setsid),
    )
