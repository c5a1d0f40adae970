"""Two pictures of a run, as PNG: what the winner would have been worth day by day, and how the search went."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from miner.outcome import Outcome
from miner.report import Line, Report

_COLOURS = {"winner": "#0b6e4f", "ridge": "#3a6ea5", "last-value reversal": "#b5651d", "zero": "#888888"}


def _figure(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _png(figure: Any) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def draw_equity(report: Report) -> bytes:
    """Return as PNG the cumulative day score of the winner and its baselines; the untouched last slice is shaded."""
    figure, axes = _figure("Cumulative day score (walk-forward folds, then the untouched last slice)")

    def draw(line: Line) -> None:
        dates = line.days.day.astype("datetime64[D]")
        width = 2.2 if line.name == "winner" else 1.1
        label = f"{line.name}: {line.walk_forward:+.4f}, held out {line.held_out:+.4f}"
        axes.plot(dates, np.cumsum(line.days.score), color=_COLOURS[line.name], linewidth=width, label=label)

    for line in (*reversed(report.baselines), report.winner):
        draw(line)
    first, last = (np.datetime64(day, "D") for day in report.holdout_span)
    axes.axvspan(first, last, color="#000000", alpha=0.06, linewidth=0)
    axes.set_ylabel("sum of day scores")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return _png(figure)


def draw_search(outcomes: Mapping[int, Outcome]) -> bytes:
    """Return as PNG the walk-forward score of every candidate over the course of the search, with the best so far."""
    figure, axes = _figure("Search: walk-forward score over evaluations")
    full = [outcome for outcome in outcomes.values() if outcome.status == "ok"]
    numbers, scores = [outcome.k for outcome in full], [outcome.score for outcome in full]
    pruned = [outcome for outcome in outcomes.values() if outcome.status == "pruned"]
    other = [outcome.k for outcome in outcomes.values() if outcome.status not in {"ok", "pruned"}]
    axes.scatter(numbers, scores, s=14, color="#3a6ea5", label=f"{len(full)} evaluated in full")
    if pruned:
        means = [sum(outcome.scores) / len(outcome.scores) for outcome in pruned]
        label = f"{len(pruned)} stopped early (mean so far)"
        axes.scatter(
            [outcome.k for outcome in pruned], means, s=14, marker="v", color="#b5651d", alpha=0.7, label=label
        )
    axes.plot(
        numbers,
        np.maximum.accumulate(scores),
        color="#0b6e4f",
        linewidth=1.8,
        drawstyle="steps-post",
        label="best so far",
    )
    if other:
        axes.plot(
            other,
            [min(scores)] * len(other),
            "x",
            color="#c0392b",
            markersize=5,
            label=f"{len(other)} did not end well",
        )
    axes.set_xlabel("candidate")
    axes.set_ylabel("mean day score")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return _png(figure)
