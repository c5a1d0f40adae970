"""Figures that are shown and never ranked by: a simple portfolio's Sharpe ratio and costs, and what is new over HEAD.

Ranking by them would reward luck and leverage; Sharpe ratios deflated by the number of submissions are in
:mod:`protocol.statistics`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from protocol.errors import DataError
from protocol.scores import DAY_US, PANEL_MIN, gaussian_rank

COST = 0.001  # 10 basis points of what is traded: fee, half spread and slippage
YEAR_US = 365.25 * DAY_US

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A long-short portfolio of the ranks, one unit of gross exposure, rebalanced once per horizon.

    Attributes
    ----------
    gross_sharpe, net_sharpe : float
        Annualised, before and after costs; 0 when returns do not vary.
    turnover : float
        Mean traded per rebalancing, in gross exposures: 0 unchanged, 2 turned round.
    max_drawdown : float
        Largest fall of the sum of net returns from its running maximum (0 at the start), in gross exposures.
    periods : int
        Holding periods.
    """

    gross_sharpe: float
    net_sharpe: float
    turnover: float
    max_drawdown: float
    periods: int


def portfolio(
    prediction: ArrayLike,
    realised: ArrayLike,
    time: ArrayLike,
    symbol: ArrayLike,
    *,
    horizon: int,
    cost: float = COST,
) -> Portfolio | None:
    """Return how a simple portfolio of the forecast would have done.

    At every `horizon`-th timestamp with five rows or more, the weights are the tie-averaged ranks less their mean, over
    the sum of the magnitudes: net 0, gross 1, nothing held where the forecast is constant. They earn the sum of weight
    times `realised` and pay `cost` on the sum of changes of weight, entry included. Holding periods do not overlap.

    Parameters
    ----------
    prediction : (n,) float
        Finite, any unit.
    realised : (n,) float
        Log return over the target's bars, t + 1 to t + 1 + horizon, as a fraction (0.01 is 1 %). With u in its place
        positions are in units of risk; costs then need it multiplied by a typical deviation of the return.
    time : (n,) int64
        Bar opens, microseconds since 1970 UTC, in any order.
    symbol : (n,) int
        Code of each row's symbol; (time, symbol) unique.
    horizon : int
        Bars a position is held, at least 1.
    cost : float
        Fraction of what is traded.

    Returns
    -------
    Portfolio or None
        None ("n/a") with fewer than three holding periods of five symbols. Uses realised returns: no feature.

    Raises
    ------
    DataError
        Unequal lengths or values that are not finite.
    """
    p, y, t, s = _rows(prediction, realised, time, symbol)
    grid, place, size = np.unique(t, return_inverse=True, return_counts=True)
    rebalanced = np.flatnonzero(size >= PANEL_MIN)[:: max(horizon, 1)]
    if rebalanced.size < 3:
        return None
    period = np.full(grid.size, -1)
    period[rebalanced] = np.arange(rebalanced.size)
    kept = period[place] >= 0
    at, y = period[place][kept], y[kept]
    rank = ndtr(gaussian_rank(p[kept], at))
    rank -= (np.bincount(at, rank) / np.bincount(at))[at]
    gross = np.bincount(at, np.abs(rank))[at]
    weight = np.divide(rank, gross, out=np.zeros(rank.size), where=gross > 0)
    codes, column = np.unique(s[kept], return_inverse=True)
    held = np.zeros((rebalanced.size + 1, codes.size))
    held[at + 1, column] = weight
    traded = np.abs(np.diff(held, axis=0)).sum(axis=1)
    earned: Floats = np.bincount(at, weight * y).astype(np.float64)
    net = earned - cost * traded
    wealth = np.concatenate(([0.0], np.cumsum(net)))
    years = float(grid[rebalanced[-1]] - grid[rebalanced[0]]) / YEAR_US
    per_year = (rebalanced.size - 1) / years
    return Portfolio(
        gross_sharpe=_sharpe(earned, per_year),
        net_sharpe=_sharpe(net, per_year),
        turnover=float(traded.mean()),
        max_drawdown=float((np.maximum.accumulate(wealth) - wealth).max()),
        periods=rebalanced.size,
    )


def mmc(prediction: ArrayLike, meta: ArrayLike, target: ArrayLike, time: ArrayLike) -> float | None:
    """Return Numerai's meta-model contribution: what a forecast adds to the network's own.

    Per timestamp of five rows or more, with p and m the gaussian ranks of `prediction` and `meta`:
    ``mean((u - mean u) (p - m (p.m) / (m.m)))``; then the mean over timestamps (docs.numer.ai, "Meta Model Contribution";
    ties averaged).

    Parameters
    ----------
    prediction, meta, target : (n,) float
        Finite; `meta` is the combined forecast of the crowned models, `target` is u.
    time : (n,) int64
        Equal in all rows of one cross-section; rows in any order.

    Returns
    -------
    float or None
        In deviations of the target; 0 for a copy of the meta model. None ("n/a") without a wide cross-section.
    """
    p, m, t, u = _rows(prediction, meta, time, target)
    place, size = np.unique(t, return_inverse=True, return_counts=True)[1:]
    wide = (size >= PANEL_MIN)[place]
    if not wide.any():
        return None
    at = np.unique(place[wide], return_inverse=True)[1]
    g, h, u = gaussian_rank(p[wide], at), gaussian_rank(m[wide], at), u[wide]
    own = np.bincount(at, h * h)
    share = np.divide(np.bincount(at, g * h), own, out=np.zeros(own.size), where=own > 0)
    count = np.bincount(at)
    u = u - (np.bincount(at, u) / count)[at]
    return float((np.bincount(at, u * (g - share[at] * h)) / count).mean())


def _rows(a: ArrayLike, b: ArrayLike, time: ArrayLike, c: ArrayLike) -> tuple[Floats, Floats, Ints, Floats]:
    x, y, z = (np.asarray(values, dtype=np.float64) for values in (a, b, c))
    t = np.asarray(time, dtype=np.int64)
    if x.ndim != 1 or not x.shape == y.shape == z.shape == t.shape:
        raise DataError(f"shapes {x.shape}, {y.shape}, {t.shape} and {z.shape} differ; give one entry per row")
    if not all(np.isfinite(values).all() for values in (x, y, z)):
        raise DataError("a value is not finite; every row needs finite numbers")
    return x, y, t, z


def _sharpe(returns: Floats, per_year: float) -> float:
    deviation = float(returns.std(ddof=1)) if np.ptp(returns) else 0.0
    return float(returns.mean()) / deviation * math.sqrt(per_year) if deviation > 0 else 0.0
