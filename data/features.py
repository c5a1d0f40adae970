"""Features of standard series: what is known when a bar closes, in units of the series' own deviation.

Every feature of the row at bar t uses bars at or before t only, is known at ``time + interval``, spans no break (see
:mod:`data.bars`), and is about one in size; values beyond :data:`CLIP` are cut. A row whose windows are not full has
NaN. sigma is the deviation (ddof 1) of the last :data:`SIGMA_BARS` one-bar log returns.

Window sums are taken as a prefix of the current block plus a suffix of the one before (van Herk 1992; Gil and Werman
1993, there for minima), so that nothing is subtracted: no cancellation, no memory beyond the window, and NaN stays
exactly as long as the window holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.bars import DAY_US, Bars, Series
from data.feature_sets import Feature
from protocol.scores import PANEL_MIN, gaussian_rank

SIGMA_BARS = 168  # DESIGN "Target and scores": the trailing deviation that scales target and features
CLIP = 10.0
FLAT = 1e-12  # a variance below this share of the mean square is rounding, not movement

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """Feature columns of the rows of a panel's bars.

    Attributes
    ----------
    names : tuple of str
    values : (f, n) float64
        One row of the array per feature; NaN where not known.
    sigma : (n,) float64
        Deviation of the last 168 returns; NaN where not known, 0 where the price did not move.
    """

    names: tuple[str, ...]
    values: Floats
    sigma: Floats


def compute_features(bars: Bars, definitions: Sequence[Feature]) -> Features:
    """Return the features of `definitions` that the bars have the columns for.

    Left out are range and position without high and low, volume without volumes, ranks in a panel of fewer than
    :data:`~protocol.scores.PANEL_MIN` symbols, and calendar features that the interval keeps constant.

    Parameters
    ----------
    bars : Bars
        n rows.
    definitions : sequence of Feature
        As :func:`data.feature_sets.feature_set` returns them.
    """
    chosen = [feature for feature in definitions if _applies(feature, bars)]
    values = np.empty((len(chosen), bars.time.size))
    sigma = np.empty(bars.time.size)
    own = [(row, feature) for row, feature in enumerate(chosen) if feature.kind in _KINDS]
    for series in bars.series():
        known = _Known(series)
        series.put(known.sigma, sigma)
        for row, feature in own:
            column = _KINDS[feature.kind](known, feature.bars)
            series.put(np.clip(column, -CLIP, CLIP, out=column), values[row])
    ranked = np.isfinite(sigma) & (sigma > 0)
    for row, _ in own:
        ranked &= ~np.isnan(values[row])
    index = {feature.name: row for row, feature in enumerate(chosen)}
    for row, feature in enumerate(chosen):
        if feature.kind == "calendar":
            values[row] = _CALENDAR[feature.of](bars)
        elif feature.kind == "rank":
            source = sigma if feature.of == "sigma" else values[index[feature.of]]
            values[row] = np.nan
            values[row, ranked] = gaussian_rank(source[ranked], bars.position[ranked])
    return Features(tuple(feature.name for feature in chosen), values, sigma)


def window_sum(x: Floats, bars: int) -> Floats:
    """Return the sum of the last `bars` values at every place, NaN before there are as many.

    Parameters
    ----------
    x : (n,) float64
        A NaN makes the sums of exactly those windows NaN that hold it.
    bars : int
        At least 1.

    Returns
    -------
    (n,) float64
    """
    blocks = -(-x.size // bars)
    padded = np.zeros((blocks, bars))
    padded.ravel()[: x.size] = x
    out = np.cumsum(padded, axis=1).ravel()[: x.size]
    if bars > 1 and x.size > bars:
        after = np.zeros((blocks, bars))  # sum of what follows in the same block
        np.cumsum(padded[:, :0:-1], axis=1, out=after[:, -2::-1])
        out[bars:] += after.ravel()[: x.size - bars]
    out[: bars - 1] = np.nan
    return out


@dataclass(slots=True)
class _Known:
    """A series with what several features share."""

    series: Series
    sigma: Floats = field(init=False)
    unit: Floats = field(init=False)  # 1 / sigma, NaN without movement
    squares: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.squares = self.series.returns**2
        self.sigma = self.deviation(SIGMA_BARS)
        with np.errstate(divide="ignore"):
            self.unit = 1 / self.sigma
        self.unit[self.sigma == 0] = np.nan

    def change(self, bars: int) -> Floats:
        """Return ln C[t] - ln C[t - bars]; breaks in between are NaN only after multiplying by `unit`."""
        p = self.series.log_close
        out = np.full(p.size, np.nan)
        np.subtract(p[bars:], p[:-bars], out=out[bars:])
        return out

    def deviation(self, bars: int) -> Floats:
        return _deviation(self.change(bars), window_sum(self.squares, bars), bars)


def _deviation(total: Floats, squares: Floats, bars: int) -> Floats:
    """Return the deviation (ddof 1) from sum and sum of squares over `bars` values."""
    total *= total
    total /= -bars
    total += squares
    total[total < FLAT * squares] = 0
    total /= bars - 1
    return np.sqrt(total, out=total)


def _return(known: _Known, lag: int) -> Floats:
    """r[t - lag] / sigma[t]."""
    r = known.series.returns
    if not lag:
        return r * known.unit
    out = np.full(r.size, np.nan)
    np.multiply(r[:-lag], known.unit[lag:], out=out[lag:])
    return out


def _mean(known: _Known, bars: int) -> Floats:
    """Mean of the last returns over sigma, times sqrt(bars)."""
    out = known.change(bars)
    out *= known.unit
    out /= np.sqrt(bars)
    return out


def _vol(known: _Known, bars: int) -> Floats:
    """Three times (deviation of the last returns over sigma, less 1)."""
    out = known.deviation(bars)
    out *= known.unit
    out -= 1
    out *= 3
    return out


def _zscore(known: _Known, bars: int) -> Floats:
    """ln C less its rolling mean, over the deviation that a random walk with steps sigma has there."""
    out = window_sum(known.series.log_close, bars)
    out /= -bars
    out += known.series.log_close
    out *= known.unit
    out /= np.sqrt((bars - 1) * (2 * bars - 1) / (6 * bars))
    return out


def _range(known: _Known, bars: int) -> Floats:
    """ln(H / L) over its rolling mean, less 1; 0 where the mean is 0."""
    columns = known.series.columns
    width = np.log(columns["high"] / columns["low"])
    out = window_sum(width, bars)
    out /= bars
    flat = out == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(width, out, out=out)
    out -= 1
    out[flat] = 0
    return out


def _position(known: _Known, _: int) -> Floats:
    """Where the close lies between low (-sqrt 3) and high (sqrt 3); 0 where they are equal."""
    columns = known.series.columns
    high, low = columns["high"], columns["low"]
    out = 2 * columns["close"] - high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        out /= high - low
    out *= np.sqrt(3)  # a uniform place then has deviation 1
    out[high == low] = 0
    return out


def _volume(known: _Known, bars: int) -> Floats:
    """z-score of the square root of the volume; 0 where it does not vary."""
    volume = known.series.columns["volume"]
    root = np.sqrt(volume)
    total = window_sum(root, bars)
    mean = total / bars
    deviation = _deviation(total, window_sum(volume, bars), bars)
    root -= mean
    with np.errstate(divide="ignore", invalid="ignore"):
        root /= deviation
    root[deviation == 0] = 0
    return root


_KINDS: dict[str, Callable[[_Known, int], Floats]] = {
    "return": _return,
    "mean": _mean,
    "deviation": _vol,
    "zscore": _zscore,
    "range": _range,
    "position": _position,
    "volume": _volume,
}
_CALENDAR: dict[str, Callable[[Bars], Floats]] = {
    "hour_sin": lambda bars: np.sqrt(2) * np.sin(2 * np.pi * _day_share(bars)),
    "hour_cos": lambda bars: np.sqrt(2) * np.cos(2 * np.pi * _day_share(bars)),
    "weekday": lambda bars: ((bars.time // DAY_US + 3) % 7 - 3) / 2,
}
_NEEDS = {"range": {"high", "low"}, "position": {"high", "low"}, "volume": {"volume"}}


def _day_share(bars: Bars) -> Floats:
    share: Floats = bars.time % DAY_US / DAY_US
    return share


def _applies(feature: Feature, bars: Bars) -> bool:
    if feature.kind == "rank":
        return len(bars.symbols) >= PANEL_MIN
    if feature.kind == "calendar":
        return bars.interval < (7 * DAY_US if feature.of == "weekday" else DAY_US)
    return _NEEDS.get(feature.kind, set()) <= bars.columns.keys()
