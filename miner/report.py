"""What a run has to show: the winner beside its baselines, on folds and on the untouched last slice, and how much is luck."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student_t

from data.panel import Panel, score_rows
from data.splits import Fold, Split, walk_forward
from infra.executor import Executor
from miner.config import RunConfig
from miner.engine import SearchResult
from miner.search import Member
from miner.task import Task, data_reference
from pipelines.baselines import reversal, ridge_spec
from pipelines.spec import canonical_text
from protocol.errors import ClusterError
from protocol.scores import PANEL_MIN, DayScores
from protocol.statistics import DeflatedSharpe, deflated_sharpe, hac_mean

#: A winner is called a signal at SURE_Z deviations above zero on the last slice, unseen by the search, or at MIN_Z when
#: the deflated Sharpe of its search is as probable as MIN_DSR. Everything else is called noise.
SURE_Z = 3.0
MIN_Z = 2.0
MIN_DSR = 0.95
FINAL_CAP_S = 600.0
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's scores.

    Attributes
    ----------
    name : str
    folds : tuple of float
        Mean day score per walk-forward fold.
    walk_forward : float
        Mean of the fold means: what the search maximised.
    held_out, held_out_se : float
        Mean day score of the untouched last slice and its standard error (Newey-West over the target's overlap; NaN for
        a single day).
    days : DayScores
        Day scores of the folds, then of the last slice.
    held_out_from : int
        First day of the last slice, days since epoch.
    """

    name: str
    folds: tuple[float, ...]
    walk_forward: float
    held_out: float
    held_out_se: float
    days: DayScores
    held_out_from: int

    @property
    def t(self) -> float:
        """Held-out mean in standard errors; 0 when there is no deviation."""
        return self.held_out / self.held_out_se if self.held_out_se > 0 else 0.0

    @property
    def z(self) -> float:
        """The same as a normal quantile: few days make a Student t of few degrees of freedom, whose tails are heavy."""
        days = int(np.count_nonzero(self.days.day >= self.held_out_from))
        size = float(norm.isf(student_t.sf(abs(self.t), max(1, days - 1))))
        return math.copysign(size, self.t)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the end of a run says; :meth:`to_dict` is what ``report.json`` holds."""

    winner: Line
    baselines: tuple[Line, ...]
    member: Member
    candidates: int
    dsr: float
    expected_best_sharpe: float
    sharpe: float
    holdout_span: tuple[int, int]

    @property
    def verdict(self) -> str:
        """One sentence: signal or noise, with the numbers behind it."""
        evidence = (
            f"held-out score {self.winner.held_out:+.4f} ± {self.winner.held_out_se:.4f} (t = {self.winner.t:.1f}), "
            f"deflated Sharpe probability {self.dsr:.2f} after {self.candidates} candidates"
        )
        if self.winner.z >= SURE_Z or (self.winner.z >= MIN_Z and self.dsr >= MIN_DSR):
            return f"signal: {evidence}"
        if self.winner.z <= -SURE_Z:
            return f"no signal: the winner of the search loses on the last slice; {evidence}"
        return f"within noise of zero: {evidence}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "verdict": self.verdict,
            "candidates": self.candidates,
            "sharpe_daily": _plain(self.sharpe),
            "sharpe_expected_of_luck": _plain(self.expected_best_sharpe),
            "deflated_sharpe_probability": _plain(self.dsr),
            "held_out_span": [iso_day(day) for day in self.holdout_span],
            "scores": [
                {
                    "name": line.name,
                    "folds": [round(value, 9) for value in line.folds],
                    "walk_forward": round(line.walk_forward, 9),
                    "held_out": round(line.held_out, 9),
                    "held_out_se": _plain(line.held_out_se),
                    "t": round(line.t, 3),
                }
                for line in (self.winner, *self.baselines)
            ],
        }


def iso_day(day: int) -> str:
    """Return days since epoch as an ISO date."""
    return str(np.datetime64(day, "D"))


class ScoringInterruptedError(Exception):
    """The user did not want to wait for the final scores."""


def final_report(
    result: SearchResult,
    config: RunConfig,
    panel: Panel,
    executor: Executor,
    *,
    interrupted: Callable[[], bool] = lambda: False,
) -> Report:
    """Score the winner and the baselines on every fold and on the last slice, which no step of the search has seen.

    Parameters
    ----------
    interrupted : callable
        Asked once a second.

    Raises
    ------
    ClusterError
        The cluster is gone or cannot score them.
    ScoringInterruptedError
        `interrupted` became true.
    """
    split = walk_forward(panel.time, horizon=config.topic.horizon, n_folds=config.folds, holdout=config.holdout)
    winner = result.front[0]
    specs = {"winner": winner.candidate.text, "ridge": canonical_text(ridge_spec())}
    scored = _score_remotely(specs, config, executor, interrupted)
    period = DAY_US if len(np.unique(panel.symbol)) >= PANEL_MIN else 7 * DAY_US  # small panels are scored by week
    lags = math.ceil((config.topic.horizon + 1) * panel.interval / period)
    lines = {name: _line(name, folds, lags) for name, folds in scored.items()}
    for name, predicted in (("last-value reversal", reversal(panel)), ("zero", np.zeros(len(panel.time)))):
        lines[name] = _line(name, _score_here(predicted, panel, split), lags)
    sharpes = [outcome.daily_sharpe for outcome in result.outcomes.values() if outcome.status == "ok"]
    part = lines["winner"].days
    searched = part.score[part.day < lines["winner"].held_out_from]
    deflated = _deflated(searched, len(result.outcomes), sharpes)
    return Report(
        winner=lines["winner"],
        baselines=(lines["ridge"], lines["last-value reversal"], lines["zero"]),
        member=winner,
        candidates=len(result.outcomes),
        dsr=deflated.dsr,
        expected_best_sharpe=deflated.expected_max,
        sharpe=winner.outcome.daily_sharpe,
        holdout_span=(int(part.day[part.day >= lines["winner"].held_out_from][0]), int(part.day[-1])),
    )


def _deflated(searched: NDArray[np.float64], n_trials: int, sharpes: Sequence[float]) -> DeflatedSharpe:
    if searched.size < 3 or not np.ptp(searched):  # a constant forecast, or a few days: no evidence of anything
        return DeflatedSharpe(0.0, 0.0, 0.0, float("nan"))
    return deflated_sharpe(searched, n_trials, [sharpe for sharpe in sharpes if math.isfinite(sharpe)])


def _score_remotely(
    specs: Mapping[str, str], config: RunConfig, executor: Executor, interrupted: Callable[[], bool]
) -> dict[str, list[DayScores]]:
    names = list(specs)
    for number, name in enumerate(names):
        task: Task = {
            "k": -1 - number,
            "text": specs[name],
            "cap_s": FINAL_CAP_S,
            "floors": [],
            "spared": False,
            "memory_mb": config.memory_mb,
            "cache_mb": 0,
            "final": True,
            "data": data_reference(config),
        }
        executor.submit(-1 - number, task)
    scored: dict[str, list[DayScores]] = {}
    while len(scored) < len(names):
        if interrupted():
            raise ScoringInterruptedError
        for k, reply in executor.collect(1.0):
            if k >= 0:
                continue  # a late evaluation of the search
            folds = [message for message in reply.get("messages", []) if "fold" in message]
            if len(folds) != config.folds + 1:
                raise ClusterError(
                    f"the final scoring of {names[-1 - k]} failed: {_failure(reply)}; the journal is whole"
                )
            scored[names[-1 - k]] = [
                DayScores(np.array(fold["day"], dtype=np.int64), np.array(fold["score"])) for fold in folds
            ]
    return {name: scored[name] for name in names}


def _failure(reply: Mapping[str, Any]) -> str:
    ends = [message["reason"] for message in reply.get("messages", []) if message.get("reason")]
    return str(ends[-1] if ends else reply.get("error", f"ended by {reply['end']} {reply.get('code', '')}"))


def _score_here(predicted: NDArray[np.float64], panel: Panel, split: Split) -> list[DayScores]:
    def scored(fold: Fold) -> DayScores:
        return score_rows(panel, fold.test, predicted[slice(*fold.test)])

    return [scored(fold) for fold in (*split.folds, split.holdout)]


def _line(name: str, parts: Sequence[DayScores], lags: int) -> Line:
    folds = tuple(float(part.score.mean()) for part in parts[:-1])
    last = parts[-1].score
    held_out, error = hac_mean(last, min(lags, last.size - 1)) if last.size > 1 else (float(last.mean()), math.nan)
    days = DayScores(np.concatenate([part.day for part in parts]), np.concatenate([part.score for part in parts]))
    return Line(
        name=name,
        folds=folds,
        walk_forward=float(np.mean(folds)),
        held_out=held_out,
        held_out_se=error,
        days=days,
        held_out_from=int(parts[-1].day[0]),
    )


def _plain(value: float) -> float | None:
    return round(value, 9) if math.isfinite(value) else None
