"""A program for the fork server whose tasks do to it what pipelines might: hang, crash, flood, kill.

Imported by the server's process; a test names this folder in ``PYTHONPATH``. `task["do"]` is the name of a function here.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.errors import DataError

Emit = Callable[[dict[str, Any]], None]

sys.stdout.write("a library that prints when imported\n")


def prepare(task: dict[str, Any], cache: Path) -> Any:
    sys.stdout.write("a library that prints\n")
    match task.get("prepare"):
        case "raise":
            raise ValueError("no such estimator")
        case "refuse":
            raise DataError("no such data; fetch it")
        case "exit":
            sys.exit(3)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if not (flag := Path(task["flag"])).exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"cache": str(cache), "server": os.getpid()}


def run(task: dict[str, Any], state: Any, emit: Emit) -> None:
    globals()[task.get("do", "answer")](task, state, emit)


def kill_worker(task: dict[str, Any], state: Any, emit: Emit) -> None:
    """Kill the process that started the server, as the kernel does with a Dask worker when memory is short."""
    status = Path(f"/proc/{state['server']}/status").read_text(encoding="ascii")
    parent = next(line for line in status.splitlines() if line.startswith("PPid:"))
    os.kill(int(parent.split()[1]), signal.SIGKILL)
    time.sleep(60)


def answer(task: dict[str, Any], state: Any, emit: Emit) -> None:
    time.sleep(task.get("sleep_s", 0))
    emit({"echo": task.get("echo"), "pid": os.getpid(), **state})


def print_lines(task: dict[str, Any], state: Any, emit: Emit) -> None:
    sys.stdout.write('{"id": 0, "end": "forged"}\n')
    sys.stdout.flush()
    os.write(1, b'{"id": 0, "end": "forged"}\n')
    os.write(2, b"words\n")
    answer(task, state, emit)


def read_stdin(task: dict[str, Any], state: Any, emit: Emit) -> None:
    emit({"read": os.read(0, 100).decode()})


def list_descriptors(task: dict[str, Any], state: Any, emit: Emit) -> None:
    links = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        if entry.is_symlink():  # the one that listed the folder is no more
            links[entry.name] = str(entry.readlink())
    emit({"descriptors": links})


def hang(task: dict[str, Any], state: Any, emit: Emit) -> None:
    emit({"begun": os.getpid()})
    time.sleep(600)


def ignore_signals(task: dict[str, Any], state: Any, emit: Emit) -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    hang(task, state, emit)


def burn(task: dict[str, Any], state: Any, emit: Emit) -> None:
    signal.setitimer(signal.ITIMER_PROF, task["cap_s"])
    emit({"begun": os.getpid()})
    while True:
        pass


def allocate_arrays(task: dict[str, Any], state: Any, emit: Emit) -> None:
    import numpy as np

    kept = []
    try:
        while True:
            kept.append(np.ones(1 << 20))
    except MemoryError:
        held = 8 * len(kept)
        kept.clear()
        emit({"status": "memory", "held_mb": held})


def allocate_raw(task: dict[str, Any], state: Any, emit: Emit) -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    size = 32 << 20
    held = 0
    while pointer := libc.malloc(size):
        ctypes.memset(pointer, 1, size)
        held += 32
    emit({"held_mb": held})


def allocate_pages(task: dict[str, Any], state: Any, emit: Emit) -> None:
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        kept[-1].write(bytes(32 << 20))


def segfault(task: dict[str, Any], state: Any, emit: Emit) -> None:
    ctypes.string_at(8)


def abort(task: dict[str, Any], state: Any, emit: Emit) -> None:
    os.abort()


def exit_at_once(task: dict[str, Any], state: Any, emit: Emit) -> None:
    os._exit(7)


def raise_error(task: dict[str, Any], state: Any, emit: Emit) -> None:
    raise ValueError("no")


def kill_server(task: dict[str, Any], state: Any, emit: Emit) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def _pipe_of(emit: Any) -> int:
    descriptor: int = emit.args[0]
    return descriptor


def close_pipe(task: dict[str, Any], state: Any, emit: Emit) -> None:
    emit({"begun": os.getpid()})
    os.close(_pipe_of(emit))
    time.sleep(600)


def flood(task: dict[str, Any], state: Any, emit: Emit) -> None:
    while True:
        os.write(_pipe_of(emit), b'{"status": "ok"}\n' * 4096)


def write_garbage(task: dict[str, Any], state: Any, emit: Emit) -> None:
    deep = b"[" * 100_000
    for line in (b"\0\xff\xfe", b"7", b'"status"', b"null", b"[]", deep, b'{"status": "ok"', b"9" * 5000):
        os.write(_pipe_of(emit), line + b"\n")
    emit({"status": "true"})
    os.write(_pipe_of(emit), json.dumps({"status": "cut off"}).encode()[:-1])


def leave_grandchild(task: dict[str, Any], state: Any, emit: Emit) -> None:
    """Fork a process that keeps the pipe open, in this session or in one of its own, and leave."""
    pid = os.fork()
    if pid == 0:
        if task["own_session"]:
            os.setsid()
            if os.fork():
                os._exit(0)
        time.sleep(600)
        os._exit(0)
    time.sleep(0.2)
    emit({"grandchild": pid})
