"""The local pool."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from executor_conformance import PROGRAM, ExecutorConformance, Open, collect, hostile_environment, task

from infra.executor import LocalExecutor


class TestLocalExecutor(ExecutorConformance):
    @pytest.fixture
    def open_(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
        hostile_environment(monkeypatch, tmp_path)

        @contextlib.contextmanager
        def start(program: str = PROGRAM) -> Iterator[LocalExecutor]:
            before = psutil.Process().children()
            executor = LocalExecutor(program, tmp_path, 2, tmp_path / "log")
            try:
                yield executor
            finally:
                executor.close()
            assert psutil.Process().children() == before

        return start

    def test_no_more_than_its_slots_run(self, open_: Open) -> None:
        with open_() as executor:
            assert isinstance(executor, LocalExecutor)
            for k in range(5):
                executor.submit(k, task("hang"))
            executor.collect(0.5)
            assert len(psutil.Process(executor.server.pid).children()) == 2

    def test_innocent_tasks_lose_their_server_once(self, open_: Open) -> None:
        """After a death the tasks run one by one, so that only the guilty one is lost again."""
        with open_() as executor:
            executor.submit(0, task(sleep_s=0.3))
            executor.submit(1, task("kill_server"))
            executor.submit(2, task(sleep_s=0.3))
            assert {k: reply["end"] for k, reply in collect(executor, 3).items()} == {0: "exit", 1: "error", 2: "exit"}
            assert executor.resubmitted == 1 + 4

    def test_lower_numbers_run_first(self, open_: Open) -> None:
        with open_() as executor:
            executor.slots = 1
            for k in (5, 7, -1, 6):
                executor.submit(k, task())
            assert list(collect(executor, 4)) == [5, -1, 6, 7]
