"""What kind of market it is: a few numbers per bar by which one model's days may be told from another's.

All look back: the row of a bar uses returns of that bar and earlier ones, and is known at its close.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.bars import DAY_US, Bars
from data.features import SIGMA_BARS, window_sum

SHORT = 24  # bars: a day of hours, a month of trading days
LIMIT = 3.0  # about one in size, like the features of models; what is beyond is cut
NAMES = (
    "volatility",
    "dispersion",
    "trend",
    "autocorrelation",
    "hour_sin",
    "hour_cos",
    "week_sin",
    "week_cos",
)

Floats = NDArray[np.float64]


def return_matrix(bars: Bars) -> Floats:
    """Return the one-bar log returns of a panel on its grid, (g, s) float64; NaN where there is none.

    A return belongs to the bar at whose close it is known.
    """
    out = np.full((bars.grid.size, len(bars.symbols)), np.nan)
    for series in bars.series():
        here = series.returns if series.place is None else series.returns[series.place]
        out[bars.position[series.rows], bars.symbol[series.rows]] = here
    return out


def regimes(returns: Floats, grid: NDArray[np.int64], interval: int) -> Floats:
    """Return the regime at the close of every bar.

    Parameters
    ----------
    returns : (g, s) float64
        One-bar log returns, a fraction, NaN where there is none.
    grid : (g,) int64
        Bar opens, ascending, microseconds since 1970 UTC.
    interval : int
        Microseconds of one bar.

    Returns
    -------
    (g, 8) float64
        Columns :data:`NAMES`, in [-3, 3]; the first four are 0, nothing out of the ordinary, before there are
        :data:`~data.features.SIGMA_BARS` bars. With m the mean return over symbols, sums over the last 24 (S) or 168 (L) bars:

        * volatility: ln of the mean square return over S, less that over L;
        * dispersion: share of the squares that is not the market's, ``1 - sum(m^2) / sum(mean r^2)``, over S, less that over L;
          times 5;
        * trend: sum of m over S, over the deviation that a random walk with the steps of L has there;
        * autocorrelation: ``sum(r[t] r[t-1]) / sum(r^2)`` over L, pooled over symbols; times 5;
        * hour, week: sine and cosine (times sqrt 2) of the place of the bar's open in the UTC day, and of its day in the week;
          0 where the interval keeps them constant.
    """
    there = ~np.isnan(returns)
    count = there.sum(axis=1)
    filled = np.where(there, returns, 0.0)
    heads = np.maximum(count, 1)
    square = (filled**2).sum(axis=1)
    mean = filled.sum(axis=1) / heads
    lagged = np.zeros(len(filled))
    lagged[1:] = (filled[1:] * filled[:-1]).sum(axis=1)

    def over(values: Floats, bars: int) -> Floats:
        return window_sum(values, bars)

    with np.errstate(divide="ignore", invalid="ignore"):
        variance = {bars: over(square, bars) / over(count.astype(np.float64), bars) for bars in (SHORT, SIGMA_BARS)}
        own = {bars: 1 - over(mean**2, bars) / over(square / heads, bars) for bars in (SHORT, SIGMA_BARS)}
        columns = [
            np.log(variance[SHORT] / variance[SIGMA_BARS]),
            5 * (own[SHORT] - own[SIGMA_BARS]),
            over(mean, SHORT) / np.sqrt(over(mean**2, SIGMA_BARS) * SHORT / SIGMA_BARS),
            5 * over(lagged, SIGMA_BARS) / over(square, SIGMA_BARS),
        ]
    day = 2 * np.pi * (grid % DAY_US) / DAY_US
    week = 2 * np.pi * ((grid // DAY_US + 3) % 7) / 7
    root = np.sqrt(2)
    within_day, within_week = interval < DAY_US, interval < 7 * DAY_US
    columns += [root * wave(day) * within_day for wave in (np.sin, np.cos)]
    columns += [root * wave(week) * within_week for wave in (np.sin, np.cos)]
    known = np.stack(columns, axis=1)
    return np.clip(np.where(np.isfinite(known), known, 0.0), -LIMIT, LIMIT)
