"""Metrics for people, which no rule looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocol.rounding import rounded
from protocol.scores import DayScores, gaussian_rank
from protocol.shown import mmc, portfolio
from protocol.statistics import deflated_sharpe
from validator.course import Slice, Vector


def shown_of(
    one: Slice, predicted: Vector, days: DayScores, recorded: Sequence[Vector], k: int
) -> dict[str, float | None]:
    """Return the metrics of a forecast of the declared slice, rounded to six decimals; None where there is none.

    Parameters
    ----------
    one : Slice
    predicted : (n,) float64
        For its test rows.
    days : DayScores
        Of `predicted`.
    recorded : sequence of (n,) float64
        Of the record's models; their mean gaussian rank is the meta model.
    k : int
        Submissions of the topic so far, this one included: the trials that deflate the Sharpe ratio.

    Returns
    -------
    dict
        ``net_sharpe`` (annual, after 10 basis points), ``gross_sharpe``, ``turnover``, ``max_drawdown``,
        ``deflated_sharpe`` (a probability) and ``mmc``.
    """
    panel, part = one.panel, slice(*one.test)
    time = panel.time[part]
    book = portfolio(predicted, panel.realised[part], time, panel.symbol[part], horizon=panel.horizon)
    enough = days.score.size > 2 and bool(np.ptp(days.score))
    deflated = deflated_sharpe(days.score, k, []).dsr if enough else None
    new = None
    if recorded:
        meta = np.mean([gaussian_rank(theirs, time) for theirs in recorded], axis=0)
        new = mmc(predicted, meta, panel.target[part], time)
    found = {
        "net_sharpe": book.net_sharpe if book else None,
        "gross_sharpe": book.gross_sharpe if book else None,
        "turnover": book.turnover if book else None,
        "max_drawdown": book.max_drawdown if book else None,
        "deflated_sharpe": deflated,
        "mmc": new,
    }
    return {name: None if value is None else rounded(value) for name, value in found.items()}
