"""A program for the sandbox that does to host and zygote whatever a child could. The text of a job names a function here."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
from pathlib import Path

import numpy as np

from validator.sandbox.task import ANSWERS, ERRORS, ROWS, Task


def warm() -> None:
    sys.stdout.write("a library that prints\n")
    sys.stderr.write("and one that complains\n" * 10_000)


def run(task: Task) -> None:
    globals()[task.text.partition(" ")[0]](task)


def control(task: Task) -> None:
    """Prove that everything came through: a number that depends on every byte of the job."""
    weight = task.train.T @ task.label + task.seed + len(task.text)
    for rows in task.batches():
        task.answer(rows @ weight)


def early(task: Task) -> None:
    os.write(ANSWERS, bytes(8 * 1000))
    time.sleep(3600)


def one_more(task: Task) -> None:
    for rows in task.batches():
        task.answer(np.zeros(len(rows) + 1))


def one_more_in_the_end(task: Task) -> None:
    control(task)
    os.write(ANSWERS, bytes(8))


def endless_answers(task: Task) -> None:
    while True:
        os.write(ANSWERS, bytes(1 << 16))


def endless_words(task: Task) -> None:
    while True:
        os.write(ERRORS, b"x" * (1 << 16))


def first_only(task: Task) -> None:
    for rows in task.batches():
        task.answer(np.zeros(len(rows)))
        return


def torn(task: Task) -> None:
    next(task.batches())
    os.write(ANSWERS, b"abc")


def silent(task: Task) -> None:
    pass


def deaf(task: Task) -> None:
    """Close everything it could say or hear by, and stay."""
    os.closerange(0, 64)
    time.sleep(3600)


def hang(task: Task) -> None:
    time.sleep(3600)


def hang_after_the_last_answer(task: Task) -> None:
    control(task)
    time.sleep(3600)


def no_number(task: Task) -> None:
    for rows in task.batches():
        task.answer(np.full(len(rows), np.nan))


def too_big(task: Task) -> None:
    for rows in task.batches():
        task.answer(np.full(len(rows), -np.inf))


def error(task: Task) -> None:
    raise ValueError("first line\n\x1b[31mred \u202e\N{SNOWMAN} " + "long " * 1000)


def leave(task: Task) -> None:
    sys.exit(3)


def more_memory_than_there_is(task: Task) -> None:
    np.zeros(1 << 50)


def memory_in_a_library(task: Task) -> None:
    raise RuntimeError("[12:00:01] src/data.cc:11: std::bad_alloc")


def abort_for_memory(task: Task) -> None:
    os.write(ERRORS, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
    os.abort()


def crash(task: Task) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def kill_itself(task: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def get_killed_once(task: Task) -> None:
    """As by a machine out of memory; the text names a file that remembers."""
    if first_time(task):
        kill_itself(task)
    control(task)


def spin(task: Task) -> None:
    while True:
        pass


def spin_in_a_grandchild(task: Task) -> None:
    if os.fork() == 0:
        spin(task)
    os.wait()


def spin_up_to_the_soft_limit(task: Task) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 100))
    spin(task)


def spin_up_to_the_hard_limit(task: Task) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    spin(task)


def kill_the_zygote(task: Task) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


def kill_the_zygote_once(task: Task) -> None:
    """The first time only: the text names a file that remembers."""
    if first_time(task):
        kill_the_zygote(task)
    control(task)


def first_time(task: Task) -> bool:
    try:
        os.close(os.open(task.text.partition(" ")[2], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def leave_somebody_behind(task: Task) -> None:
    """A grandchild in a session of its own, which holds every pipe open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)
    os.wait()
    control(task)


def use_cpu_in_a_grandchild(task: Task) -> None:
    if os.fork() == 0:
        page = np.ones(64 << 17)
        while time.process_time() < 0.3:
            page *= 1.0
        os._exit(0)
    os.wait()
    control(task)


def tell_descriptors(task: Task) -> None:
    entries = list(Path("/proc/self/fd").iterdir())  # the listing's own is closed by now
    raise RuntimeError(" ".join(sorted(entry.name for entry in entries if entry.exists())))


def tell_environment(task: Task) -> None:
    raise RuntimeError(" ".join(sorted(os.environ)))


def write_the_data(task: Task) -> None:
    task.train.flags.writeable = True


def look_ahead(task: Task) -> None:
    """Count the timestamps whose rows are there before they are due."""
    batches, seen = task.batches(), 0
    for rows in batches:
        seen += bool(select.select([ROWS], [], [], 0.05)[0])
        task.answer(np.full(len(rows), float(seen)))


def never_reads(task: Task) -> None:
    time.sleep(3600)
