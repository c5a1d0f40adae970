"""What pipelines predict: the scaled forward return after one bar to act, and the label they are fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.bars import Bars
from protocol.scores import PANEL_MIN, gaussian_rank

CLIP = 5.0  # DESIGN "Target and scores"

Floats = NDArray[np.float64]


def forward_return(bars: Bars, horizon: int) -> Floats:
    """Return the log return that a forecast at the close of bar t can earn, NaN where it is not known.

    ``y = ln C[t+1+h] - ln C[t+1]``: the forecast is acted upon during bar t + 1. It looks ahead by ``horizon + 1`` bars.

    Parameters
    ----------
    bars : Bars
        n rows.
    horizon : int
        Bars from entry to exit, at least 1.

    Returns
    -------
    (n,) float64
        NaN within ``horizon + 1`` bars of the end of a series or of a break.
    """
    change = np.full(bars.time.size, np.nan)
    for series in bars.series():
        p, reach = series.log_close, horizon + 1
        y = np.full(p.size, np.nan)
        if p.size > reach:
            breaks = np.cumsum(np.isnan(series.returns))
            np.subtract(p[reach:], p[1:-horizon], out=y[:-reach])
            y[:-reach][breaks[reach:] != breaks[:-reach]] = np.nan
        series.put(y, change)
    return change


def forward_target(y: Floats, sigma: Floats, horizon: int) -> Floats:
    """Return ``u = clip(y / (sigma[t] sqrt(h)), -5, 5)`` for every row. It looks ahead as far as `y` does.

    Parameters
    ----------
    y : (n,) float64
        From :func:`forward_return`.
    sigma : (n,) float64
        Trailing deviation of one-bar log returns at t, from :func:`data.features.compute_features`.
    horizon : int
        Bars from entry to exit, at least 1.

    Returns
    -------
    (n,) float64
        NaN where `y` is, and where sigma is NaN or 0.
    """
    scale = np.where(sigma > 0, sigma, np.nan) * np.sqrt(horizon)
    u: Floats = np.clip(y / scale, -CLIP, CLIP)
    return u


def fit_label(target: Floats, groups: NDArray[np.int64], n_symbols: int) -> Floats:
    """Return what pipelines are fitted on: the gaussianised tie-averaged rank of u within each timestamp.

    Parameters
    ----------
    target : (n,) float64
        u, finite.
    groups : (n,) int64
        Timestamp of each row.
    n_symbols : int
        Symbols of the panel; below :data:`~protocol.scores.PANEL_MIN` the label is u itself.

    Returns
    -------
    (n,) float64
        Uses the targets of the row's own timestamp only.
    """
    return target.copy() if n_symbols < PANEL_MIN else gaussian_rank(target, groups)
