"""What every executor promises; a backend is a subclass with an ``open`` fixture."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from infra.executor import Executor
from infra.forkclient import Reply
from protocol.errors import ClusterError

PROGRAM = "hostile_program"
Open = Callable[..., AbstractContextManager[Executor]]


def task(do: str = "answer", **rest: Any) -> dict[str, Any]:
    return {"do": do, "memory_mb": 256, **rest}


def collect(executor: Executor, count: int, within_s: float = 90.0) -> dict[int, Reply]:
    """Return `count` replies, no number twice."""
    deadline = time.monotonic() + within_s
    replies: dict[int, Reply] = {}
    while len(replies) < count and time.monotonic() < deadline:
        for k, reply in executor.collect(0.2):
            assert k not in replies
            replies[k] = reply
    assert len(replies) == count
    return replies


class ExecutorConformance:
    """`open` gives a context manager over an executor with two slots: ``open(program=PROGRAM)``."""

    def test_each_reply_comes_once_and_under_its_number(self, open_: Open) -> None:
        with open_() as executor:
            numbers = [*range(10), -1, -2]
            for k in numbers:
                executor.submit(k, task(echo=k, sleep_s=0.01 * (k % 3)))
            replies = collect(executor, len(numbers))
            assert {k: reply["messages"][0]["echo"] for k, reply in replies.items()} == {k: k for k in numbers}
            assert executor.collect(0.05) == []
            assert executor.resubmitted == 0
            assert executor.slots == 2
            assert executor.description

    def test_every_end_is_a_reply(self, open_: Open) -> None:
        bad = [task("segfault"), task("exit_at_once"), task(prepare="raise"), task(prepare="refuse"), task()]
        with open_() as executor:
            for k, what in enumerate(bad):
                executor.submit(k, what)
            replies = collect(executor, len(bad))
        assert [replies[k]["end"] for k in range(len(bad))] == ["signal", "exit", "error", "refused", "exit"]

    def test_two_run_at_once(self, open_: Open) -> None:
        with open_() as executor:
            executor.submit(0, task("hang"))
            executor.submit(1, task(echo="beside"))
            ((k, reply),) = collect(executor, 1).items()
        assert (k, reply["messages"][0]["echo"]) == (1, "beside")

    def test_tasks_survive_the_death_of_their_server(self, open_: Open) -> None:
        with open_() as executor:
            for k in range(4):
                executor.submit(k, task(echo=k, sleep_s=0.0 if k == 0 else 1.0))
            first = executor.collect(60)
            os.kill(first[0][1]["messages"][0]["server"], signal.SIGKILL)
            replies = collect(executor, 4 - len(first)) | dict(first)
        assert {k: reply["messages"][0]["echo"] for k, reply in replies.items()} == {k: k for k in range(4)}

    def test_a_task_that_kills_its_servers_costs_itself_only(self, open_: Open) -> None:
        with open_() as executor:
            executor.submit(0, task())
            collect(executor, 1)
            for k in range(1, 7):
                executor.submit(k, task("kill_server") if k == 2 else task(echo=k))
            replies = collect(executor, 6)
            assert replies.pop(2)["end"] == "error"
            assert {k: reply["messages"][0]["echo"] for k, reply in replies.items()} == {k: k for k in (1, 3, 4, 5, 6)}

    def test_where_every_task_is_lost_the_executor_says_so(self, open_: Open) -> None:
        with open_() as executor:
            for k in range(3):
                executor.submit(k, task(prepare="die"))
            with pytest.raises(ClusterError, match=r"was lost 5 times .*is there enough memory\?"):
                collect(executor, 1)

    def test_a_program_that_cannot_be_loaded_is_no_reply(self, open_: Open) -> None:
        with open_(program="no_such_program") as executor:
            executor.submit(0, task())
            with pytest.raises(ClusterError, match="cannot load no_such_program"):
                collect(executor, 1)

    def test_close_twice_and_with_tasks_in_flight(self, open_: Open) -> None:
        with open_() as executor:
            for k in range(5):
                executor.submit(k, task("hang"))
            executor.collect(0.1)
            executor.close()


def hostile_environment(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Let processes started from now on import the hostile program, and write below `home` only."""
    patch.setenv("PYTHONPATH", str(Path(__file__).parent))
    patch.setenv("LONGTAIL_HOME", str(home))
