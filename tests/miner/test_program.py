"""What a worker does with a task, through real fork servers: every way to go wrong costs its own budget and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import TOPIC, real_config, text_of

from data.panel import load_panel
from data.splits import walk_forward
from infra.executor import LocalExecutor
from miner import evaluation, program
from miner.candidate import Candidate
from miner.evaluation import walk
from miner.outcome import Outcome
from miner.prefix import PrefixCache
from miner.program import Prepared, outcome_of
from miner.task import Task, task_of
from pipelines.spec import call
from protocol.errors import DataError

SCALER = call("sklearn.preprocessing.StandardScaler")
RIDGE = call("sklearn.linear_model.Ridge")
GOOD = text_of(SCALER, RIDGE)
ENDLESS = text_of(
    call(
        "sklearn.neural_network.MLPRegressor",
        {"hidden_layer_sizes": (512, 512, 512), "max_iter": 500, "n_iter_no_change": 1000},
    )
)
HUNGRY = text_of(
    call("sklearn.kernel_approximation.RBFSampler", {"n_components": 100}),
    call("sklearn.preprocessing.PolynomialFeatures", {"degree": 3}),
    RIDGE,
)
RAISING = text_of(call("sklearn.decomposition.PCA", {"n_components": 900}), RIDGE)


def task_for(uri: str, text: str, k: int = 0, *, cap_s: float = 20.0, **changes: Any) -> Task:
    candidate = Candidate(k, text, "random", 1.0, cap_s, tuple(changes.pop("floors", ())), changes.pop("spared", False))
    return {**task_of(candidate, real_config(uri)), **changes}  # type: ignore[typeddict-item]  # the same keys


def evaluated(executor: LocalExecutor, *tasks: Task) -> dict[int, Outcome]:
    for task in tasks:
        executor.submit(task["k"], task)
    found: dict[int, Outcome] = {}
    while len(found) < len(tasks):
        for k, reply in executor.collect(60.0):
            found[k] = outcome_of(k, reply, next(task for task in tasks if task["k"] == k))
    return found


def expected_outcome(uri: str, text: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(evaluation, "arm_cpu_cap", lambda seconds: None)
    panel = load_panel(uri, None, TOPIC)
    return list(walk(text, panel, walk_forward(panel.time, horizon=1).folds, cap_s=60, max_train_rows=20_000))


def test_harm_is_contained_and_has_its_reason(
    pool: LocalExecutor, series: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [
        task_for(series, GOOD, 0),
        task_for(series, ENDLESS, 1, cap_s=2.5),
        task_for(series, HUNGRY, 2, memory_mb=256),
        task_for(series, RAISING, 3),
        task_for(series, GOOD, 4),
    ]
    found = evaluated(pool, *tasks)
    assert [found[k].status for k in range(5)] == ["ok", "cap", "memory", "failed", "ok"]
    assert "fold 1 showed that 2.5 CPU seconds do not suffice" in found[1].reason
    assert found[1].cpu_s < 2.0, "the first of five folds used an equal share of the cap and no more"
    assert found[2].reason == "more than 256 MB"
    assert found[3].reason.startswith("ValueError: n_components=900 must be between")
    after = evaluated(pool, task_for(series, GOOD, 5))[5]
    folds = expected_outcome(series, GOOD, monkeypatch)
    for outcome in (found[0], found[4], after):
        assert outcome.scores == tuple(fold.score for fold in folds)
        assert outcome.deviations == tuple(fold.deviation for fold in folds)
        assert outcome.days == tuple(fold.days for fold in folds)
        assert (outcome.reason, outcome.would_prune) == ("", 0)


def test_hopeless_ones_are_stopped_and_spared_ones_are_not(pool: LocalExecutor, series: str) -> None:
    low, high = (-2.0, -2.0, -2.0, -2.0), (-2.0, 2.0, 2.0, 2.0)
    found = evaluated(
        pool,
        task_for(series, GOOD, 0, floors=low),
        task_for(series, GOOD, 1, floors=high),
        task_for(series, GOOD, 2, floors=high, spared=True),
    )
    assert [found[k].status for k in range(3)] == ["ok", "pruned", "ok"]
    assert [len(found[k].scores) for k in range(3)] == [5, 2, 5]
    assert [found[k].would_prune for k in range(3)] == [0, 0, 2]
    assert found[1].reason == "below every simpler member after 2 folds"
    assert found[2].scores == found[0].scores


def test_the_final_scores_are_those_of_the_folds_and_of_the_last_slice(pool: LocalExecutor, series: str) -> None:
    search = evaluated(pool, task_for(series, GOOD, 0))[0]
    pool.submit(-1, task_for(series, GOOD, -1, final=True))
    ((_, reply),) = pool.collect(60.0)
    folds = [message for message in reply["messages"] if "fold" in message]
    assert [message["fold"] for message in folds] == [0, 1, 2, 3, 4, 5]
    assert [np.mean(message["score"]) for message in folds[:5]] == pytest.approx(search.scores, abs=2e-9)
    panel = load_panel(series, None, TOPIC)
    held = walk_forward(panel.time, horizon=1).holdout.test
    assert folds[5]["day"] == sorted(set((panel.time[slice(*held)] // 86_400_000_000).tolist()))


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    executor = LocalExecutor("crashing_program", tmp_path, 2, tmp_path / "log")
    yield executor
    executor.close()


def test_a_crash_costs_itself(crashing: LocalExecutor, series: str) -> None:
    found = evaluated(crashing, *(task_for(series, GOOD, k) for k in (12, 13, 14)))
    assert [found[k].status for k in (12, 13, 14)] == ["ok", "crashed", "ok"]
    assert found[13].reason == "ended by signal 11 (Segmentation fault)"
    assert found[13].scores == found[12].scores[:2], "what it had scored is kept"


def test_data_that_a_worker_cannot_open_is_no_candidates_fault(pool: LocalExecutor, series: str) -> None:
    task = task_for(series, GOOD, 0)
    task["data"] = {**task["data"], "root": "f" * 64}
    with pytest.raises(DataError, match=r"a worker cannot open the data: .* has root"):
        evaluated(pool, task)
    task["data"] = {**task["data"], "uri": "/no/such/place"}
    with pytest.raises(DataError, match="no dataset there"):
        evaluated(pool, task)
    assert evaluated(pool, task_for(series, GOOD, 1))[1].status == "ok"


def test_a_task_is_small_and_plain_json(series: str) -> None:
    import json

    task = task_for(series, GOOD, 3, floors=(0.1, 0.2))
    assert json.loads(json.dumps(task)) == task
    assert len(json.dumps(task)) < 2048


def test_the_cache_scope_names_the_library_versions(series: str, tmp_path: Path) -> None:
    state = program.prepare(task_for(series, GOOD), tmp_path)
    for name in ("scikit-learn=", "numpy=", "lightgbm="):
        assert name in state.scope


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("x" * 1000), "failed", "ValueError: " + "x" * 288),
        (MemoryError(), "memory", "more than 512 MB"),
        (RuntimeError("std::bad_alloc"), "memory", "RuntimeError: std::bad_alloc"),
        (
            evaluation.NotFiniteError("3 of 9 predictions are not finite"),
            "not-finite",
            "3 of 9 predictions are not finite",
        ),
    ],
)
def test_exceptions_become_outcomes(
    series: str, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str, reason: str
) -> None:
    def raising(*_: Any, **__: Any) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr(program, "walk", raising)
    panel: Any = None
    state = Prepared(panel, walk_forward(np.arange(2000), horizon=1), "", PrefixCache(Path(), 0))
    messages: list[dict[str, Any]] = []
    program.run(task_for(series, GOOD, memory_mb=512), state, messages.append)
    outcome = outcome_of(0, {"end": "exit", "code": 0, "messages": messages, "cpu_s": 0.5}, task_for(series, GOOD))
    assert (outcome.status, outcome.reason, outcome.cpu_s) == (status, reason, 0.5)


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        ({"end": "hung", "code": 9}, "hung", "used no CPU for a minute"),
        ({"end": "signal", "code": signal.SIGPROF}, "cap", "fold 2 showed that 20 CPU seconds do not suffice"),
        ({"end": "signal", "code": signal.SIGKILL}, "crashed", "ended by signal 9 (Killed)"),
        ({"end": "signal", "code": signal.SIGRTMIN + 1}, "crashed", "ended by signal 35 (Real-time signal 1)"),
        ({"end": "exit", "code": 3}, "crashed", "ended with code 3"),
        ({"end": "flood", "code": 9}, "crashed", "sent more output than an evaluation has"),
    ],
)
def test_ends_become_outcomes(series: str, reply: dict[str, Any], status: str, reason: str) -> None:
    message = {"score": 0.25, "deviation": 0.5, "days": 7}
    outcome = outcome_of(4, {"messages": [message], "cpu_s": 1.5, **reply}, task_for(series, GOOD))
    assert (outcome.k, outcome.status, outcome.reason, outcome.cpu_s) == (4, status, reason, 1.5)
    assert (outcome.scores, outcome.deviations, outcome.days) == ((0.25,), (0.5,), (7,))


def test_a_task_lost_with_its_workers_is_told(series: str) -> None:
    outcome = outcome_of(2, {"end": "error", "error": "lost its worker 5 times: …"}, task_for(series, GOOD))
    assert (outcome.k, outcome.status, outcome.reason) == (2, "crashed", "lost its worker 5 times: …")
