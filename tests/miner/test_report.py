"""The report: honest about noise, sure of a planted signal, and whole where there is little or nothing to score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import TOPIC, real_config, text_of, write_series

from data.panel import load_panel
from data.splits import walk_forward
from data.synthetic import Kind
from infra.executor import FreeMachines, LocalExecutor
from miner.candidate import Candidate
from miner.config import RunConfig
from miner.engine import SearchResult
from miner.outcome import Outcome
from miner.program import outcome_of
from miner.report import Line, Report, ScoringInterruptedError, final_report
from miner.search import Member, PruningCount
from miner.task import task_of
from pipelines.spec import call, complexity, describe, from_canonical
from protocol.errors import ClusterError
from protocol.scores import DayScores

SCALER = call("sklearn.preprocessing.StandardScaler")
TEXTS = [text_of(SCALER, call("sklearn.linear_model.Ridge", {"alpha": alpha})) for alpha in (1.0, 300.0)]
TEXTS += [text_of(call("sklearn.neighbors.KNeighborsRegressor", {"n_neighbors": n})) for n in (5, 25)] + [
    text_of(call("sklearn.tree.DecisionTreeRegressor", {"max_depth": depth})) for depth in (2, 6)
]


def result_of(executor: LocalExecutor, config: RunConfig, texts: list[str]) -> SearchResult:
    """Evaluate these pipelines and return the search that would have tried them; the best one is the front."""
    candidates = [
        Candidate(k, text, "random", complexity(from_canonical(text)), 20.0, (), False) for k, text in enumerate(texts)
    ]
    for candidate in candidates:
        executor.submit(candidate.k, task_of(candidate, config))
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(texts):
        for k, reply in executor.collect(60.0):
            outcomes[k] = outcome_of(k, reply, task_of(candidates[k], config))
    best = max(outcomes.values(), key=lambda outcome: outcome.score)
    return SearchResult("done", [Member(candidates[best.k], None, best)], outcomes, PruningCount(), 1.0)


def report_on(executor: LocalExecutor, uri: str, texts: list[str]) -> tuple[Report, SearchResult]:
    config = real_config(uri)
    result = result_of(executor, config, texts)
    return final_report(result, config, load_panel(uri, config.data_root, TOPIC), executor), result


@pytest.fixture(scope="module")
def on_signal(pool: LocalExecutor, series: str) -> tuple[Report, SearchResult]:
    return report_on(pool, series, TEXTS)


def test_a_planted_signal_is_called_one(on_signal: tuple[Report, SearchResult]) -> None:
    report, result = on_signal
    assert report.winner.t > 3
    assert report.dsr > 0.99
    assert report.verdict.startswith("signal: held-out score +0.")
    assert f"(t = {report.winner.t:.1f})" in report.verdict
    assert report.verdict.endswith("after 6 candidates")
    assert report.winner.walk_forward == pytest.approx(result.front[0].outcome.score, abs=2e-9)
    assert report.sharpe > report.expected_best_sharpe > 0


@pytest.mark.parametrize("seed", range(3))
def test_noise_looks_like_noise(pool: LocalExecutor, tmp_path: Path, seed: int) -> None:
    report, _ = report_on(pool, write_series(tmp_path, "noise", seed=seed), TEXTS)
    assert report.verdict.startswith(
        ("within noise of zero: held-out score", "no signal: the winner of the search loses")
    )
    assert report.dsr < 0.95
    assert abs(report.winner.t) < 4


def test_baselines_are_what_they_say(on_signal: tuple[Report, SearchResult], series: str) -> None:
    report, _ = on_signal
    ridge, reversal, zero = report.baselines
    assert [line.name for line in report.baselines] == ["ridge", "last-value reversal", "zero"]
    assert zero.folds == (0.0,) * 5
    assert (zero.walk_forward, zero.held_out, zero.held_out_se, zero.t) == (0.0, 0.0, 0.0, 0.0)
    assert (zero.days.score == 0).all()
    assert ridge.walk_forward > 0.1
    assert reversal.walk_forward > 0.1, "the planted signal is a reversal"
    panel = load_panel(series, None, TOPIC)
    split = walk_forward(panel.time, horizon=1)
    tests = [fold.test for fold in (*split.folds, split.holdout)]
    days = [sorted(set((panel.time[slice(*test)] // 86_400_000_000).tolist())) for test in tests]
    for line in (report.winner, *report.baselines):
        assert line.days.day.tolist() == list(chain.from_iterable(days))
        assert line.held_out_from == days[-1][0]
        assert line.held_out == pytest.approx(line.days.score[-len(days[-1]) :].mean(), abs=1e-8)
    assert report.holdout_span == (days[-1][0], days[-1][-1])


def test_the_document_is_plain_json(on_signal: tuple[Report, SearchResult]) -> None:
    report, _ = on_signal
    document = report.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [line["name"] for line in document["scores"]] == ["winner", "ridge", "last-value reversal", "zero"]
    assert {len(line["folds"]) for line in document["scores"]} == {5}
    assert document["verdict"] == report.verdict
    assert document["candidates"] == 6


def test_a_constant_winner_is_no_evidence(pool: LocalExecutor, series: str) -> None:
    """A search can do no better on some noise; the deflated Sharpe of a constant series is not defined."""
    constant = text_of(call("sklearn.linear_model.ElasticNet", {"alpha": 1000.0}))
    report, _ = report_on(pool, series, [constant])
    assert not report.winner.days.score.any()
    assert report.verdict.startswith("within noise of zero: held-out score +0.0000 ± 0.0000")
    assert report.to_dict()["deflated_sharpe_probability"] == 0.0
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("kind", "n_symbols", "n_bars"), [("noise", 6, 420), ("noise", 2, 420)])
def test_the_smallest_panels_get_a_report(
    pool: LocalExecutor, tmp_path: Path, kind: Kind, n_symbols: int, n_bars: int
) -> None:
    """One held-out day, or weeks instead of days: too little for an error, enough for a report."""
    report, _ = report_on(pool, write_series(tmp_path, kind, n_symbols=n_symbols, n_bars=n_bars), TEXTS[:2])
    json.dumps(report.to_dict(), allow_nan=False)
    assert not report.verdict.startswith("signal")


class Mute(FreeMachines):
    slots, resubmitted, description = 1, 0, "mute"

    def __init__(self, reply: Mapping[str, Any] | None) -> None:
        self.reply = reply

    def submit(self, k: int, task: Any) -> None:
        self.k = k

    def collect(self, timeout: float) -> list[tuple[int, Any]]:
        return [] if self.reply is None else [(7, {}), (self.k, self.reply)]

    def close(self) -> None:
        pass


def test_a_final_scoring_that_fails_says_why(on_signal: tuple[Report, SearchResult], series: str) -> None:
    _, result = on_signal
    config, panel = real_config(series), load_panel(series, None, TOPIC)
    for reply, words in (
        ({"end": "signal", "code": 9, "messages": []}, "ended by signal 9"),
        ({"end": "exit", "code": 0, "messages": [{"status": "failed", "reason": "ValueError: x"}]}, "ValueError: x"),
        ({"end": "error", "error": "lost its worker 5 times"}, "lost its worker 5 times"),
    ):
        with pytest.raises(ClusterError, match=f"final scoring of ridge failed: {words}; the journal is whole"):
            final_report(result, config, panel, Mute(reply))


def test_nobody_has_to_wait_for_the_final_scoring(on_signal: tuple[Report, SearchResult], series: str) -> None:
    _, result = on_signal
    polls = iter([False, True])
    with pytest.raises(ScoringInterruptedError):
        final_report(
            result, real_config(series), load_panel(series, None, TOPIC), Mute(None), interrupted=lambda: next(polls)
        )


def line_of(t: float, *, error: float = 0.01, held_days: int = 200) -> Line:
    days = DayScores(np.arange(10 + held_days), np.linspace(-1, 1, 10 + held_days))
    return Line("winner", (0.1,) * 5, 0.1, t * 0.01, error, days, 10)


@pytest.mark.parametrize(
    ("t", "held_days", "dsr", "word"),
    [
        (3.2, 200, 0.0, "signal: "),
        (2.5, 200, 0.96, "signal: "),
        (2.5, 200, 0.94, "within noise of zero: "),
        (3.2, 4, 0.94, "within noise of zero: "),
        (1.9, 200, 0.99, "within noise of zero: "),
        (-2.5, 200, 0.99, "within noise of zero: "),
        (-3.2, 200, 0.99, "no signal: the winner of the search loses on the last slice"),
    ],
)
def test_the_verdict_weighs_the_last_slice_first(
    on_signal: tuple[Report, SearchResult], t: float, held_days: int, dsr: float, word: str
) -> None:
    report = Report(line_of(t, held_days=held_days), (), on_signal[0].member, 50, dsr, 0.1, 0.2, (8, 9))
    assert report.verdict.startswith(word)


def test_few_days_count_for_less() -> None:
    """Quantiles of Student's t with 3 degrees of freedom (its 97.5 % is 3.182) and with very many."""
    assert line_of(3.182, held_days=4).z == pytest.approx(1.96, abs=1e-3)
    assert line_of(-1.96, held_days=100_000).z == pytest.approx(-1.96, abs=1e-3)
    assert line_of(0.0).z == 0.0


def test_a_single_held_out_day_has_no_error(on_signal: tuple[Report, SearchResult]) -> None:
    line = line_of(1.0, error=math.nan)
    assert line.t == line.z == 0.0
    report = Report(line, (), on_signal[0].member, 50, 0.99, math.nan, 0.2, (8, 9))
    assert report.to_dict()["scores"][0]["held_out_se"] is None
    assert report.to_dict()["sharpe_expected_of_luck"] is None


def test_pipelines_are_described_by_their_steps() -> None:
    assert describe(from_canonical(TEXTS[0])) == "StandardScaler > Ridge"
    assert describe(call("sklearn.linear_model.Ridge")) == "Ridge"
