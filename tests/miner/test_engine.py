"""The loop: the same search whatever the order of answers, the slots, and the moments at which it is stopped."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import FEATURES, ROWS, ShufflingExecutor, config_of, front_of, made_walk, real_config, searched, texts_in

from infra.executor import Account, LocalExecutor
from miner.engine import GRACE_S, SearchResult, Snapshot, run_search
from miner.journal import Journal
from miner.search import Search
from protocol.errors import ClusterError, ConfigError, DataError

HERE = Path(__file__).parent
RELAXED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def reference(space: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[SearchResult, list[str]]]:
    """Uninterrupted runs on one slot, by window."""
    found = {}
    for window in (1, 5, 12):
        folder = tmp_path_factory.mktemp("reference")
        result = searched(config_of(window=window), space, folder, ShufflingExecutor(1, 0))
        found[window] = result, texts_in(folder)
    return found


def test_the_made_up_runs_have_something_to_get_wrong(reference: dict[int, tuple[SearchResult, list[str]]]) -> None:
    result, texts = reference[5]
    statuses = {outcome.status for outcome in result.outcomes.values()}
    assert statuses == {"ok", "pruned", "failed"}
    assert len(result.front) > 1
    assert result.pruning.sampled > 0
    assert len(set(texts)) == 40
    assert reference[1][1] != texts != reference[12][1]


@RELAXED
@given(window=st.sampled_from([1, 5, 12]), slots=st.integers(1, 9), seed=st.integers(0, 10_000))
def test_order_and_slots_change_nothing(
    space: Any, reference: dict[int, tuple[SearchResult, list[str]]], window: int, slots: int, seed: int
) -> None:
    expected, texts = reference[window]
    with tempfile.TemporaryDirectory() as folder:
        executor = ShufflingExecutor(slots, seed)
        result = searched(config_of(window=window), space, Path(folder), executor)
        assert result.reason == "done"
        assert front_of(result) == front_of(expected)
        assert texts_in(Path(folder)) == texts
    assert result.pruning == expected.pruning
    assert executor.submitted == list(range(40))
    assert executor.most_in_flight <= window


@RELAXED
@given(window=st.sampled_from([5, 12]), seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4), data=st.data())
def test_interrupted_and_resumed_equals_never_stopped(
    space: Any, reference: dict[int, tuple[SearchResult, list[str]]], window: int, seeds: list[int], data: st.DataObject
) -> None:
    expected, texts = reference[window]
    with tempfile.TemporaryDirectory() as name:
        folder, config = Path(name), config_of(window=window)
        for seed in seeds:
            polls = iter(range(data.draw(st.integers(0, 40))))
            part = searched(
                config,
                space,
                folder,
                ShufflingExecutor(4, seed),
                interrupted=lambda polls=polls: next(polls, None) is None,
            )
            assert part.reason in {"interrupted", "done"}
        executor = ShufflingExecutor(3, 77)
        result = searched(config, space, folder, executor)
        assert front_of(result) == front_of(expected)
        assert texts_in(folder) == texts
        assert len(result.outcomes) == 40
        assert result.pruning == expected.pruning
        assert not set(executor.submitted) & set(part.outcomes), "what is in the journal is not evaluated again"


def test_an_interruption_before_anything_came_in_shows_what_the_journal_has(
    space: Any, tmp_path: Path, reference: dict[int, tuple[SearchResult, list[str]]]
) -> None:
    searched(config_of(), space, tmp_path, ShufflingExecutor(2, 1))
    result = searched(config_of(), space, tmp_path, ShufflingExecutor(2, 1), interrupted=lambda: True)
    assert front_of(result) == front_of(reference[5][0])


class Frozen(ShufflingExecutor):
    """Answers for some candidates never, and for the others at once."""

    def __init__(self, clock: list[float], never: Sequence[int]) -> None:
        super().__init__(100, 0)
        self.clock, self.never = clock, set(never)

    def collect(self, timeout: float) -> list[tuple[int, dict[str, Any]]]:
        self.clock[0] += timeout
        ready = [k for k in sorted(self._flight) if k not in self.never]
        return [(k, self._answer(self._flight.pop(k))) for k in ready[:1]]


def test_the_time_budget_ends_the_asking_and_soon_the_waiting(space: Any, tmp_path: Path) -> None:
    clock = [1000.0]
    executor = Frozen(clock, never=[6])
    result = searched(config_of(window=5), space, tmp_path, executor, time_budget_s=30.0, clock=lambda: clock[0])
    assert result.reason == "time"
    assert max(executor.submitted) == 10, "candidate 11 needs the outcome of 6"
    assert 30.0 + GRACE_S <= result.elapsed_s < 30.0 + GRACE_S + 1
    assert set(result.outcomes) == set(range(11)) - {6}
    late = {member.candidate.k for member in result.front}
    assert late <= set(result.outcomes)
    again = searched(config_of(window=5), space, tmp_path, ShufflingExecutor(2, 5))
    assert again.reason == "done"
    assert len(again.outcomes) == 40


def test_in_time_everything_in_flight_comes_in(space: Any, tmp_path: Path) -> None:
    clock = [0.0]
    result = searched(config_of(), space, tmp_path, Frozen(clock, ()), time_budget_s=2.0, clock=lambda: clock[0])
    assert result.reason == "time"
    assert 0 < len(result.outcomes) < 40
    assert result.elapsed_s < 2.0 + GRACE_S
    assert len(texts_in(tmp_path)) == len(result.outcomes)


def test_the_front_counts_outcomes_that_wait_for_their_turn(space: Any, tmp_path: Path) -> None:
    clock = [0.0]
    result = searched(
        config_of(window=30), space, tmp_path, Frozen(clock, [0]), time_budget_s=9.0, clock=lambda: clock[0]
    )
    assert 0 not in result.outcomes
    best = max(outcome.score for outcome in result.outcomes.values() if outcome.status == "ok")
    assert result.front[0].outcome.score == best


def test_an_exhausted_space_ends_the_run(tmp_path: Path) -> None:
    from test_search import RIDGE

    from pipelines.known import KnownIndividual
    from pipelines.spec import from_canonical

    class OneOnly:
        def generate(self, rng: Any) -> KnownIndividual:
            return KnownIndividual(from_canonical(RIDGE), self)

    result = searched(config_of(), OneOnly(), tmp_path, ShufflingExecutor(2, 1, fail_share=0.0))
    assert (result.reason, len(result.outcomes), len(result.front)) == ("exhausted", 1, 1)


class Paid(ShufflingExecutor):
    """Has machines that cost a micro-dollar for each candidate."""

    def __init__(self, budget: int) -> None:
        super().__init__(2, 5)
        self.budget = budget

    @property
    def account(self) -> Account:
        spent = len(self.submitted)
        return Account(spent, 7, self.budget, spent >= self.budget, {"spent": spent})

    def news(self) -> list[str]:
        return ["a machine came"]


def test_a_run_whose_money_is_spent_stops_at_once_and_goes_on_elsewhere(
    space: Any, tmp_path: Path, reference: dict[int, tuple[SearchResult, list[str]]]
) -> None:
    shown: list[Snapshot] = []
    executor = Paid(20)
    result = searched(config_of(), space, tmp_path, executor, watch=shown.append)
    assert result.reason == "budget"
    assert 20 <= len(executor.submitted) < 40
    assert shown[0].account is not None
    assert shown[0].news == ("a machine came",)
    with closing(Journal.open(tmp_path)) as journal:
        assert journal.account() == {"spent": len(executor.submitted)}
    assert front_of(searched(config_of(), space, tmp_path, ShufflingExecutor(2, 5))) == front_of(reference[5][0])


def test_snapshots_add_up(space: Any, tmp_path: Path) -> None:
    shown: list[Snapshot] = []
    result = searched(config_of(), space, tmp_path, ShufflingExecutor(3, 9), watch=shown.append)
    assert sorted(outcome.k for snapshot in shown for outcome in snapshot.latest) == list(range(40))
    last = shown[-1]
    assert last.evaluated == last.evaluations == sum(last.statuses.values()) == 40
    assert last.in_flight == 0
    assert last.best == result.front[0].outcome.score
    assert last.front == result.front
    assert last.reasons == {"failed: ValueError: made to fail": last.statuses["failed"]}
    assert last.cpu_s == pytest.approx(sum(outcome.cpu_s for outcome in result.outcomes.values()))
    assert all(snapshot.in_flight + snapshot.evaluated <= 40 for snapshot in shown)
    assert [snapshot.evaluated for snapshot in shown] == sorted(snapshot.evaluated for snapshot in shown)


def test_a_window_that_takes_long_to_fill_is_filled_between_looks(
    space: Any, tmp_path: Path, reference: dict[int, tuple[SearchResult, list[str]]]
) -> None:
    """With a clock that every look moves on, each candidate is started, and what came in written down, before the next."""
    ticks = itertools.count()
    executor = ShufflingExecutor(3, 5)
    result = searched(config_of(window=12), space, tmp_path, executor, clock=lambda: float(next(ticks)))
    assert front_of(result) == front_of(reference[12][0])
    assert texts_in(tmp_path) == reference[12][1]
    assert executor.most_in_flight < 12, "replies were taken before the window was full"
    again = searched(config_of(window=12), space, tmp_path, Broken(1, 1), clock=lambda: float(next(ticks)))
    assert (again.reason, front_of(again)) == ("done", front_of(result)), "a replay goes through in one piece"


class Broken(ShufflingExecutor):
    def collect(self, timeout: float) -> list[tuple[int, dict[str, Any]]]:
        if len(self.submitted) > 10:
            raise ClusterError("the scheduler is gone; start it again")
        return super().collect(timeout)


def test_a_cluster_that_dies_leaves_a_whole_journal(
    space: Any, tmp_path: Path, reference: dict[int, tuple[SearchResult, list[str]]]
) -> None:
    with pytest.raises(ClusterError, match="the scheduler is gone"):
        searched(config_of(), space, tmp_path, Broken(2, 4))
    result = searched(config_of(), space, tmp_path, ShufflingExecutor(2, 4))
    assert front_of(result) == front_of(reference[5][0])


def test_workers_without_the_data_end_the_run(space: Any, tmp_path: Path) -> None:
    class Blind(ShufflingExecutor):
        def _answer(self, task: Any) -> dict[str, Any]:
            return {"end": "refused", "error": "no dataset at s3://nowhere", "error_type": "DataError"}

    with pytest.raises(DataError, match="a worker cannot open the data: no dataset at"):
        searched(config_of(), space, tmp_path, Blind(2, 1))


def test_a_journal_of_another_search_is_not_continued(space: Any, tmp_path: Path) -> None:
    polls = iter(range(20))
    searched(config_of(), space, tmp_path, ShufflingExecutor(2, 1), interrupted=lambda: next(polls, None) is None)
    with closing(Journal.open(tmp_path)) as journal, made_walk():
        other = Search(config_of(seed=2), space, FEATURES, ROWS)
        with pytest.raises(ConfigError, match="comes out different"):
            run_search(other, journal, ShufflingExecutor(2, 1))


def really(series: str, space: Any, folder: Path, slots: int) -> SearchResult:
    """Run 24 candidates on a real pool."""
    folder.mkdir()
    executor = LocalExecutor("miner.program", folder / "cache", slots, folder / "log")
    config = real_config(series, evaluations=24, population=6, window=8)
    try:
        with closing(Journal.create(folder, config, {})) as journal, journal.locked():
            return run_search(Search(config, space, FEATURES, ROWS), journal, executor)
    finally:
        executor.close()


@pytest.fixture(scope="module")
def real_front(series: str, space: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    result = really(series, space, tmp_path_factory.mktemp("real") / "one", 1)
    assert not {outcome.status for outcome in result.outcomes.values()} & {"cap", "memory", "hung", "crashed"}
    assert sum(outcome.status == "ok" for outcome in result.outcomes.values()) > 8
    return json.loads(json.dumps(front_of(result)))


@pytest.mark.parametrize("slots", [2, 8])
def test_real_evaluations_have_the_same_front_on_any_pool(
    series: str, space: Any, tmp_path: Path, slots: int, real_front: Any
) -> None:
    assert json.loads(json.dumps(front_of(really(series, space, tmp_path / "run", slots)))) == real_front


def killed_and_resumed(folder: Path, series: str, *outcomes: int) -> Any:
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(HERE / "coordinator.py"),
        str(folder),
        series,
        "2",
        *map(str, outcomes),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kill_9_and_resume_equals_never_stopped(tmp_path: Path, series: str, real_front: Any) -> None:
    assert killed_and_resumed(tmp_path, series, 3, 12) == real_front


@pytest.mark.slow
def test_five_kills_at_random_moments(tmp_path: Path, series: str, real_front: Any) -> None:
    for attempt in range(2):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        moments = sorted(random.sample(range(16), 5))
        assert killed_and_resumed(folder, series, *moments) == real_front, moments
        shutil.rmtree(folder)
