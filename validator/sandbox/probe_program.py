"""What the self-attack runs in the jail in place of a pipeline: the first things a hostile submission would try.

None of it does harm where it succeeds: files are made in a folder laid out for it, processes end at once, signals are the one
that only asks, and the bombs go off against small limits.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from validator.sandbox.task import ANSWERS, ERRORS, ROWS, Task

Given = Mapping[str, Any]
#: What is tried, by what it means if no OSError comes back.
Trials = dict[str, Callable[[], object]]

_IO_URING_SETUP = 425  # the same number on every machine, <asm-generic/unistd.h>
_PTRACE_SEIZE, _CLONE_NEWUSER, _RLIMIT_NOFILE = 0x4206, 0x10000000, 7
_MANY_THREADS = 1000

_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: object) -> int:
    result = int(getattr(_libc, function)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), function)
    return result


def _write_files(given: Given) -> Trials:
    places = [f"{folder}/{given['mark']}" for folder in given["folders"]]
    trials: Trials = {f"wrote to {Path(place).parent}": partial(Path(place).write_text, "probe") for place in places}
    return {**trials, "changed a file": partial(os.truncate, given["file"], 0)}


def _read_files(given: Given) -> Trials:
    places = (given["file"], given["home"], "/etc/shadow", "/etc/passwd")
    return {f"read {place}": partial(os.open, place, os.O_RDONLY) for place in places}


def _environment(given: Given) -> Trials:
    def look(name: str) -> None:
        if name not in os.environ:
            raise OSError(f"no {name}")

    return {f"read ${name}": partial(look, name) for name in given["variables"]}


def _proc(given: Given) -> Trials:
    places = ("/proc", "/proc/self/environ", "/proc/self/mem", f"/proc/{given['host']}/environ", "/sys/kernel")
    return {f"opened {place}": partial(os.open, place, os.O_RDONLY) for place in places}


def _tcp(given: Given) -> Trials:
    return {"connected": partial(socket.create_connection, ("127.0.0.1", given["tcp"]), 1)}


def _udp(given: Given) -> Trials:
    address = ("127.0.0.1", given["udp"])
    return {"sent a datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"probe", address)}


def _abstract_socket(given: Given) -> Trials:
    return {"connected": lambda: socket.socket(socket.AF_UNIX).connect("\0" + given["abstract"])}


def _other_sockets(_given: Given) -> Trials:
    families = {"netlink": 16, "packet": 17, "vsock": 40, "bluetooth": 31, "crypto": 38}
    trials: Trials = {name: partial(socket.socket, family, socket.SOCK_RAW) for name, family in families.items()}
    ring = ctypes.create_string_buffer(120)
    return {**trials, "io_uring": partial(_call, "syscall", ctypes.c_long(_IO_URING_SETUP), ctypes.c_long(1), ring)}


def _fork(_given: Given) -> Trials:
    def fork() -> None:
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return {"forked": fork, "started a program": partial(os.posix_spawn, "/bin/true", ["true"], {})}


def _kill(given: Given) -> Trials:
    targets = {"the validator": given["host"], "the zygote": given["zygote"]}
    return {f"may kill {name}": partial(os.kill, pid, 0) for name, pid in targets.items()}


def _ptrace(given: Given) -> Trials:
    pid, limits = given["zygote"], ctypes.create_string_buffer(16)
    return {
        "traced the zygote": partial(_call, "ptrace", ctypes.c_long(_PTRACE_SEIZE), ctypes.c_long(pid), None, None),
        "read the zygote's limits": partial(_call, "prlimit", ctypes.c_int(pid), _RLIMIT_NOFILE, None, limits),
    }


def _privileges(_given: Given) -> Trials:
    return {"became root": partial(os.setuid, 0), "made a user namespace": partial(_call, "unshare", _CLONE_NEWUSER)}


def _shared_memory(given: Given) -> Trials:
    def system_v() -> None:
        segment = _call("shmget", 0, ctypes.c_size_t(4096), 0o600)
        _call("shmctl", segment, 0, None)  # IPC_RMID

    return {
        "wrote to /dev/shm": partial(Path("/dev/shm", given["mark"]).write_text, "probe"),  # noqa: S108 - the point of it
        "made a memfd": partial(os.memfd_create, "probe"),
        "made a System V segment": system_v,
    }


def _threads(_given: Given) -> Trials:
    def many() -> None:
        release = threading.Event()
        threading.stack_size(32_768)
        try:
            for _ in range(_MANY_THREADS):
                threading.Thread(target=release.wait).start()
        except (RuntimeError, MemoryError) as error:
            raise OSError(str(error)) from error
        finally:
            release.set()

    return {f"started {_MANY_THREADS} threads": many}


def _later_rows(_given: Given) -> Trials:
    def look() -> None:
        if not select.select([ROWS], [], [], 0.1)[0]:
            raise OSError("nothing there")

    return {"saw rows before it had answered": look}


#: Must come to nothing.
PROBES: Mapping[str, Callable[[Given], Trials]] = {
    "file write": _write_files,
    "file read": _read_files,
    "environment": _environment,
    "/proc": _proc,
    "tcp": _tcp,
    "udp": _udp,
    "abstract socket": _abstract_socket,
    "other sockets": _other_sockets,
    "fork": _fork,
    "kill": _kill,
    "ptrace": _ptrace,
    "privileges": _privileges,
    "shared memory": _shared_memory,
    "threads": _threads,
    "look-ahead": _later_rows,
}


def _take_memory() -> None:
    held = []
    while True:
        held.append(np.ones(1 << 21))


def _compute() -> None:
    while True:
        pass


def _flood(descriptor: int) -> None:
    while True:
        os.write(descriptor, bytes(1 << 16))


#: Must be ended by the host or the kernel, with the status that says why.
BOMBS: Mapping[str, tuple[str, Callable[[], None]]] = {
    "memory": ("memory", _take_memory),
    "CPU": ("cpu", _compute),
    "sleep": ("wall", partial(time.sleep, 86_400)),
    "output flood": ("flood", partial(_flood, ERRORS)),
    "answer flood": ("flood", partial(_flood, ANSWERS)),
}


def warm() -> None:
    """Import nothing more: the probes need no estimator."""


def run(task: Task) -> None:
    """Make the probe the task's text names, and send what it achieved as predictions: one character each, JSON."""
    given = json.loads(task.text)
    if given["probe"] in BOMBS:
        BOMBS[given["probe"]][1]()
    text = None
    for rows in task.batches():
        if text is None:  # so that the first rows have come and been read, and none of the next may be there
            text = json.dumps(_achieved(PROBES[given["probe"]](given))).encode()
        answer = np.zeros(len(rows))
        answer[: len(text)] = list(text[: len(rows)])
        task.answer(answer)
        text = text[len(rows) :]


def _achieved(trials: Trials) -> list[str]:
    achieved = []
    for name, trial in trials.items():
        try:
            trial()
        except OSError:
            continue
        achieved.append(name)
    return achieved
