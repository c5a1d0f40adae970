"""How evaluations are put into batches, and what becomes of them when a batch is lost: on a client that only takes notes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import dask_executor
from infra.dask_executor import MAX_DEATHS, STRAGGLER_MIN_S, DaskExecutor, priority_of
from infra.executor import MAX_ATTEMPTS
from infra.forkclient import ServerDiedError


class KilledWorker(Exception):  # noqa: N818 - Dask's name
    allowed_failures = 9


class Notes:
    """A client whose cluster has `slots` threads and answers when it is told to."""

    status = "running"

    def __init__(self, slots: int) -> None:
        self._scheduler_identity = {"total_threads": slots}
        self.loop = SimpleNamespace(add_callback=lambda *_: None)
        self.messages: list[list[str]] = []
        self.cancelled: list[Any] = []

    def map(self, _run: Any, _programs: Any, tasks: Sequence[Any], *, key: list[str], pure: bool) -> list[str]:
        assert [task[0]["k"] for task in tasks] == [-priority_of(one) for one in key]
        self.messages.append(key)
        return key

    def cancel(self, futures: Sequence[Any], *, force: bool) -> None:
        self.cancelled += futures


class Bench:
    """An executor, its client and its clock."""

    def __init__(self, slots: int = 2) -> None:
        self.now = 0.0
        self.client = Notes(slots)
        self.executor = DaskExecutor(self.client, "none", "notes", lambda: None, lambda: self.now)

    def submit(self, *numbers: int) -> list[tuple[int, ...]]:
        """Submit, collect, and return the batches that are in flight."""
        for k in numbers:
            self.executor.submit(k, {"k": k})
        assert self.executor.collect(0) == []
        return self.flight()

    def flight(self) -> list[tuple[int, ...]]:
        return sorted(tuple(batch.numbers) for batch in self.executor._batches)

    def answer(self, numbers: tuple[int, ...], outcome: Any = None, wall_s: float = 0.2) -> list[int]:
        """Have one batch end, as asked or well, and return whose replies that gives."""
        batch = next(batch for batch in self.executor._batches if tuple(batch.numbers) == numbers)
        well = [(wall_s, {"end": "exit", "k": k}) for k in numbers]
        self.executor._done.put((batch, well if outcome is None else outcome))
        replies = self.executor.collect(0)
        assert all(reply.get("k", k) == k for k, reply in replies)
        return [k for k, _ in replies]

    def warm(self, wall_s: float) -> None:
        """Let five evaluations take so long each."""
        for k in range(-5, 0):
            self.submit(k)
            assert self.answer((k,), wall_s=wall_s) == [k]


def test_cheap_evaluations_travel_together_and_leave_every_slot_two_batches() -> None:
    bench = Bench()
    assert bench.submit(*range(100, 104)) == [(k,) for k in range(100, 104)], "nothing is known of their cost"
    for k in range(100, 104):
        bench.answer((k,))
    bench.submit(104)
    bench.answer((104,))
    assert bench.submit(*range(40)) == [tuple(range(at, at + 10)) for at in (0, 10, 20, 30)], "2 s of 0.2 s each"
    for at in (0, 10, 20, 30):
        assert bench.answer(tuple(range(at, at + 10))) == list(range(at, at + 10))
    assert bench.submit(*range(50, 62)) == [(50, 51, 52), (53, 54, 55), (56, 57, 58), (59, 60, 61)]
    assert len(bench.client.messages[-1]) == 4, "one message for all that start"


@pytest.mark.parametrize(("wall_s", "largest"), [(0.0, 50), (0.19, 11), (0.9, 3), (1.1, 1), (5.0, 1)])
def test_a_batch_takes_two_seconds(wall_s: float, largest: int) -> None:
    bench = Bench()
    bench.warm(wall_s)
    assert max(map(len, bench.submit(*range(200)))) == largest


def test_the_rest_waits_for_others_only_while_the_slots_are_busy() -> None:
    bench = Bench()
    bench.warm(0.2)
    assert len(bench.submit(*range(40))) == 4
    assert (40, 41, 42) not in bench.submit(40, 41, 42)
    bench.answer(tuple(range(10)))
    bench.answer(tuple(range(10, 20)))
    assert bench.submit() == [tuple(range(20, 30)), tuple(range(30, 40)), (40, 41, 42)]


@given(st.integers(1, 9), st.floats(0.01, 3.0), st.lists(st.integers(1, 60), min_size=1, max_size=8), st.randoms())
def test_every_evaluation_is_answered_once_whatever_is_lost(
    slots: int, wall_s: float, groups: list[int], dice: Any
) -> None:
    bench = Bench(slots)
    bench.warm(wall_s)
    first, answered = 0, list[int]()
    for size in groups:
        bench.submit(*range(first, first + size))
        first += size
        while dice.random() < 0.6 and bench.flight():
            answered += bench.answer(dice.choice(bench.flight()), dice.choice([None, None, KilledWorker()]), wall_s)
        assert set(range(first)) - set(answered) == set(bench.executor._flight)
    while bench.submit():
        assert min(slots, len(bench.executor._flight)) > 0
        answered += bench.answer(bench.flight()[0], None, wall_s)
    assert sorted(answered) == list(range(first))


def test_a_batch_over_which_workers_die_is_split_and_only_the_guilty_fails() -> None:
    bench = Bench()
    bench.warm(0.5)
    assert bench.submit(*range(16)) == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11), (12, 13, 14, 15)]
    assert bench.answer((4, 5, 6, 7), KilledWorker()) == []
    bench.submit()
    assert {(4,), (5,), (6,), (7,)} < set(bench.flight())
    assert [bench.answer((k,)) for k in (4, 5, 7)] == [[4], [5], [7]]
    for _ in range(MAX_DEATHS // 10 - 1):
        assert bench.answer((6,), KilledWorker()) == []
        bench.submit()
    assert bench.answer((6,), KilledWorker()) == [6]
    assert bench.executor.resubmitted == 4 + MAX_DEATHS // 10 - 1


def test_an_evaluation_that_kills_its_servers_costs_its_batch_nothing() -> None:
    bench = Bench()
    bench.warm(0.5)
    bench.submit(*range(16))
    ends: list[Any] = [(0.5, {"end": "exit"}), (0.5, ServerDiedError("gone")), *[(0.5, {"end": "exit"})] * 2]
    assert bench.answer((0, 1, 2, 3), ends) == [0, 2, 3]
    for _ in range(MAX_ATTEMPTS - 2):
        assert (1,) in bench.submit(), "alone, and at once"
        assert bench.answer((1,), [(0.5, ServerDiedError("gone"))]) == []
    bench.submit()
    assert bench.answer((1,), [(0.5, ServerDiedError("gone"))]) == [1]


def test_one_machine_that_cannot_open_the_data_ends_no_run() -> None:
    bench = Bench()
    refused = [(0.0, {"end": "refused", "error": "no way to S3"})]
    for _ in range(MAX_ATTEMPTS - 1):
        assert bench.submit(*([] if bench.flight() else [1])) == [(1,)]
        assert bench.answer((1,), refused) == []
        bench.submit()
    assert bench.answer((1,), refused) == [1], "nobody can"
    assert bench.executor.resubmitted == MAX_ATTEMPTS - 1


def test_of_a_batch_that_lags_each_evaluation_is_started_once_more() -> None:
    bench = Bench()
    bench.warm(0.5)
    bench.submit(*range(8))
    assert bench.flight() == [(0, 1), (2, 3), (4, 5), (6, 7)]
    bench.now = 2 * STRAGGLER_MIN_S - 1
    assert len(bench.submit()) == 4
    bench.now = 2 * STRAGGLER_MIN_S + 1
    assert {(0,), (1,), (2,), (3,)} < set(bench.submit()), "those that the two slots are presumed to run"
    assert bench.executor.resubmitted == 4
    assert bench.answer((0,)) == [0]
    assert not bench.client.cancelled, "the batch still owes the other"
    assert bench.answer((0, 1)) == [1]
    assert len(bench.client.cancelled) == 1, "the copy"
    bench.now += STRAGGLER_MIN_S + 1
    assert bench.executor.resubmitted == 4, "a copy is given twice the time"


def test_what_is_closed_is_cancelled() -> None:
    bench = Bench()
    bench.submit(1, 2, 3)
    bench.executor.close()
    assert len(bench.client.cancelled) == 3
    assert not bench.flight()
    bench.executor.close()


def test_without_batches_every_evaluation_travels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "BATCH_S", 0.0)
    bench = Bench()
    bench.warm(0.2)
    assert bench.submit(*range(9)) == [(k,) for k in range(9)]
