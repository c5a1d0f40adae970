"""Attacks on the conversation with the host: what comes back, how much of it, when, and how the process ends."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.sandbox.task import ANSWERS, ROWS, Task

Given = dict[str, Any]
Rows = NDArray[np.float64]


def exit_code(_task: Task, given: Given) -> None:
    """End at once with an exit code that may mean something to somebody."""
    os._exit(given["code"])


def answer_and_exit(task: Task, given: Given) -> None:
    """Answer everything, then end with an exit code or not at all."""
    for rows in task.batches():
        task.answer(np.ones(len(rows)))
    if given["code"] is None:
        time.sleep(3600)
    os._exit(given["code"])


def half(task: Task, _given: Given) -> None:
    """Answer the first half, then leave."""
    rows = next(task.batches())
    task.answer(np.ones(len(rows) // 2))
    os._exit(0)


def torn(task: Task, _given: Given) -> None:
    """Leave in the middle of a number."""
    for rows in task.batches():
        os.write(ANSWERS, np.ones(len(rows)).tobytes()[:-3])
        break
    os._exit(0)


def early(task: Task, _given: Given) -> None:
    """Answer more than one timestamp at once, to be released the next rows without having answered for them."""
    rows = next(task.batches())
    task.answer(np.ones(4 * len(rows)))
    for rows in task.batches():
        task.answer(np.ones(len(rows)))


def blind(task: Task, _given: Given) -> None:
    """Answer without having read a row."""
    task.answer(np.ones(4000))
    time.sleep(3600)


def late(task: Task, _given: Given) -> None:
    """Answer everything, then one number more."""
    for rows in task.batches():
        task.answer(np.ones(len(rows)))
    task.answer(np.ones(1))


def value(task: Task, given: Given) -> None:
    """Answer a number that is none, in one place."""
    first = True
    for rows in task.batches():
        answer = np.ones(len(rows))
        if first:
            answer[-1] = float(given["value"])
        task.answer(answer)
        first = False


def garbage(_task: Task, _given: Given) -> None:
    """Write things that look like the host's own messages to everything that is open."""
    forged = b'{"status":"ok","pid":1,"exit":0}\n' + b"\0\xff\x1b[2Jconfinement: layer seccomp failed\n" * 20
    for handle in range(64):
        if handle == ANSWERS:
            continue
        try:
            os.write(handle, forged)
        except OSError:
            continue
    os._exit(1)


def evil_words(_task: Task, given: Given) -> None:
    """Fail with a message that is long, or that a terminal or a log would obey."""
    raise ValueError(given["words"] * given["times"])


def leave_by(_task: Task, given: Given) -> None:
    """Raise something that is no ordinary exception."""
    raise {
        "exit": SystemExit(0),
        "interrupt": KeyboardInterrupt(),
        "generator": GeneratorExit(),
        "memory": MemoryError(),
    }[given["by"]]


class _Unprintable(Exception):  # noqa: N818  # no error: an attack on whoever prints it
    def __str__(self) -> str:  # noqa: PLE0307  # it never gets there
        while True:
            time.sleep(3600)

    __repr__ = __str__


def unprintable(_task: Task, _given: Given) -> None:
    """Raise an exception that never finishes saying what it is."""
    raise _Unprintable


def close_all(_task: Task, _given: Given) -> None:
    """Close everything and wait."""
    os.closerange(0, 4096)
    time.sleep(3600)


def swap(task: Task, _given: Given) -> None:
    """Put the pipes in place of each other and answer through the wrong one."""
    os.dup2(ANSWERS, 9)
    os.dup2(ROWS, ANSWERS)
    task.answer(np.ones(4))


def hooks(_task: Task, _given: Given) -> None:
    """Do something after the end: exit handlers, threads and finalisers that never finish."""
    import atexit
    import threading

    atexit.register(time.sleep, 3600)
    threading.Thread(target=time.sleep, args=(3600,)).start()
    sys.modules["os"] = None  # type: ignore[assignment]  # whoever imports it now fails
    os._exit = lambda _code: time.sleep(3600)  # type: ignore[assignment,misc]  # a program's own way out
    raise ValueError("done")


def look_ahead(task: Task, _given: Given) -> Iterator[str]:
    """Before answering for the rows of a timestamp, look whether those of the next have come; answer half and look again."""
    rows = next(task.batches())
    half = len(rows) // 2
    for answer in (np.zeros(half), np.zeros(len(rows) - half)):
        if select.select([ROWS], [], [], 0.1)[0]:
            yield f"{len(os.read(ROWS, 1 << 20))} bytes of later rows"
        task.answer(answer)


def transductive(task: Task, _given: Given) -> None:
    """Predict by functions that look at every row they are given: later rows would change what is said of earlier ones."""
    for rows in task.batches():
        task.answer(across_rows(rows))


def across_rows(rows: Rows) -> Rows:
    """A standardised, shifted, ranked sum: each of the three looks across rows."""
    scores = ((rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1)).sum(axis=1)
    return np.roll(scores, -1) + np.argsort(np.argsort(scores)) + np.cumsum(rows[::-1, 0])[::-1]
