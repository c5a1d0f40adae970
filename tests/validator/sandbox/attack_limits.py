"""Attacks on limits: memory, CPU, time, size of what is written."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
from attack_native import LIBC, execute

from validator.sandbox.task import ANSWERS, Task

Given = dict[str, Any]
LARGE = 64 << 20


def slow_memory(_task: Task, _given: Given) -> None:
    """Grow until there is nothing left, a little at a time, and touch all of it."""
    held = []
    while True:
        held.append(bytearray(LARGE))


def swallowed_memory(_task: Task, _given: Given) -> None:
    """The same, but never give in to MemoryError."""
    held = []
    while True:
        try:
            held.append(np.ones(1 << 20))
        except MemoryError:
            continue


def one_array(_task: Task, _given: Given) -> None:
    """Ask for more than there is in one go."""
    np.ones(1 << 42)


def mapped_memory(_task: Task, _given: Given) -> None:
    """Map anonymous memory, private and shared, until it is refused."""
    held = []
    for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
        while True:
            try:
                held.append(mmap.mmap(-1, LARGE, flags=flags | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE))
            except OSError:
                break
    raise MemoryError(f"{len(held)} maps")


def deep_stack(_task: Task, _given: Given) -> None:
    """Recurse without end on a stack as large as can be had."""
    sys.setrecursionlimit(1 << 30)
    threading.stack_size(1 << 30)
    thread = threading.Thread(target=_deeper, args=([],))
    thread.start()
    thread.join()


def _deeper(one: list[object]) -> object:
    return max([one], key=_deeper)


def python_loop(_task: Task, _given: Given) -> None:
    """Compute for ever in Python, deaf to every signal that can be ignored."""
    for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def native_loop(_task: Task, _given: Given) -> None:
    """Compute for ever in BLAS, where no Python signal handler runs."""
    matrix = np.ones((1500, 1500))
    while True:
        matrix = matrix @ matrix * 1e-9


def many_loops(_task: Task, _given: Given) -> None:
    """Compute for ever in threads."""
    for _ in range(8):
        threading.Thread(target=_spin).start()
    _spin()


def leader_leaves(_task: Task, _given: Given) -> None:
    """Compute for ever in a thread whose process seems to have ended: its first thread leaves without the others."""
    threading.Thread(target=_spin).start()
    LIBC.syscall(ctypes.c_long(60), ctypes.c_long(0))  # exit, not exit_group


def sleeping_orphan(_task: Task, _given: Given) -> None:
    """The same, but the thread that stays only sleeps."""
    threading.Thread(target=time.sleep, args=(3600,)).start()
    LIBC.syscall(ctypes.c_long(60), ctypes.c_long(0))


def _spin() -> None:
    word = np.ones(100_000)
    while True:
        np.sqrt(word, out=word)


def sleep(_task: Task, _given: Given) -> None:
    """Use no CPU and never answer."""
    while True:
        time.sleep(3600)


def stop(_task: Task, _given: Given) -> None:
    """Stop, like a process that somebody looks into."""
    getattr(LIBC, "raise")(signal.SIGSTOP)
    time.sleep(3600)


def drip(task: Task, _given: Given) -> None:
    """Answer, but a byte now and then."""
    for rows in task.batches():
        for byte in np.zeros(len(rows)).tobytes():
            os.write(ANSWERS, bytes([byte]))
            time.sleep(0.2)


def deaf(_task: Task, _given: Given) -> None:
    """Never read the rows, so that the host waits to get rid of them."""
    time.sleep(3600)


def output_flood(_task: Task, given: Given) -> None:
    """Write without end to stdout or stderr."""
    while True:
        os.write(given["handle"], b"x" * 65_536)


def answer_flood(_task: Task, _given: Given) -> None:
    """Write answers without end and without reading a row."""
    while True:
        os.write(ANSWERS, b"\0" * 65_536)


def crash(_task: Task, given: Given) -> None:
    """End by a signal, as broken native code does."""
    match given["how"]:
        case "segfault":
            ctypes.string_at(8)
        case "abort":
            os.abort()
        case "kill":
            getattr(LIBC, "raise")(signal.SIGKILL)
            time.sleep(3600)
        case "illegal":
            execute(b"\x0f\x0b")
        case "divide":
            execute(b"\x31\xc9\xf7\xf1\xc3")
