"""Features of standard series: what is known when a bar closes, in units of the series' own deviation.

Every feature of the row at bar t uses bars at or before t only, is known at ``time + interval``, spans no break (see
:mod:`data.bars`), and is about one in size; values beyond :data:`CLIP` are cut. A row whose windows are not full has
NaN. sigma is the deviation (ddof 1) of the last :data:`SIGMA_BARS` one-bar log returns.

Window sums are added up from sums of 1, 2, 4, 8, … neighbours, so that nothing is ever subtracted: no cancellation, the
same bits wherever the history begins, and NaN stays exactly as long as the window holds it.
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
        spare = None if series.place is None else np.empty(series.returns.size)
        for row, feature in own:
            column = values[row, series.rows] if spare is None else spare
            _KINDS[feature.kind](known, feature.bars, column)
            column.clip(-CLIP, CLIP, out=column)
            if spare is not None:
                series.put(spare, values[row])
    for row, feature in enumerate(chosen):
        if feature.kind == "calendar":
            values[row] = _CALENDAR[feature.of](bars)
    if any(feature.kind == "rank" for feature in chosen):
        _rank(bars, chosen, values, sigma)
    return Features(tuple(feature.name for feature in chosen), values, sigma)


def _rank(bars: Bars, chosen: Sequence[Feature], values: Floats, sigma: Floats) -> None:
    """Fill in the ranks, among the rows of each timestamp whose other features are all known."""
    index = {feature.name: row for row, feature in enumerate(chosen)}
    known = sigma > 0
    for row, feature in enumerate(chosen):
        if feature.kind in _KINDS:
            known &= ~np.isnan(values[row])
    groups = bars.position[known]
    for row, feature in enumerate(chosen):
        if feature.kind == "rank":
            source = sigma if feature.of == "sigma" else values[index[feature.of]]
            values[row] = np.nan
            values[row, known] = gaussian_rank(source[known], groups)


def window_sum(x: Floats, bars: int, out: Floats | None = None) -> Floats:
    """Return the sum of the last `bars` values at every place, NaN before there are as many.

    Parameters
    ----------
    x : (n,) float64
        A NaN makes the sums of exactly those windows NaN that hold it.
    bars : int
        At least 1.
    out : (n,) float64, optional
        Where to put the result; not `x`.

    Returns
    -------
    (n,) float64
    """
    out = np.empty(x.size) if out is None else out
    out[: bars - 1] = np.nan
    if x.size < bars:
        return out
    part, size = x, 1  # part[i] is the sum of x[i : i + size]
    total, done, left = out[bars - 1 :], 0, bars  # total[i] is the sum of x[i : i + done]
    while left:
        if left & 1:
            piece = part[done : done + total.size]
            if done:
                total += piece
            else:
                total[:] = piece
            done += size
        left >>= 1
        if left:
            part = part[:-size] + part[size:]
            size *= 2
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
        self.sigma = self.deviation(SIGMA_BARS, np.empty(self.squares.size))
        with np.errstate(divide="ignore"):
            self.unit = 1 / self.sigma
        self.unit[self.sigma == 0] = np.nan

    def change(self, bars: int, out: Floats) -> Floats:
        """Put ln C[t] - ln C[t - bars]; breaks in between are NaN only after multiplying by `unit`."""
        p = self.series.log_close
        out[:bars] = np.nan
        return np.subtract(p[bars:], p[:-bars], out=out[bars:]) if p.size > bars else out

    def deviation(self, bars: int, out: Floats) -> Floats:
        self.change(bars, out)
        return _deviation(out, window_sum(self.squares, bars), bars)


def _deviation(total: Floats, squares: Floats, bars: int) -> Floats:
    """Turn the sum over `bars` values into their deviation (ddof 1), given their sum of squares."""
    total *= total
    total *= -1 / bars
    total += squares
    squares *= FLAT
    total[total < squares] = 0
    total *= 1 / (bars - 1)
    return np.sqrt(total, out=total)


def _return(known: _Known, lag: int, out: Floats) -> None:
    """r[t - lag] / sigma[t]."""
    r = known.series.returns
    out[:lag] = np.nan
    np.multiply(r[: max(r.size - lag, 0)], known.unit[lag:], out=out[lag:])


def _mean(known: _Known, bars: int, out: Floats) -> None:
    """Mean of the last returns over sigma, times sqrt(bars)."""
    known.change(bars, out)
    out *= known.unit
    out *= 1 / np.sqrt(bars)


def _vol(known: _Known, bars: int, out: Floats) -> None:
    """Three times (deviation of the last returns over sigma, less 1)."""
    known.deviation(bars, out)
    out *= known.unit
    out -= 1
    out *= 3


def _zscore(known: _Known, bars: int, out: Floats) -> None:
    """ln C less its rolling mean, over the deviation that a random walk with steps sigma has there."""
    window_sum(known.series.log_close, bars, out)
    out *= -1 / bars
    out += known.series.log_close
    out *= known.unit
    out *= 1 / np.sqrt((bars - 1) * (2 * bars - 1) / (6 * bars))


def _range(known: _Known, bars: int, out: Floats) -> None:
    """ln(H / L) over its rolling mean, less 1; 0 where the mean is 0."""
    columns = known.series.columns
    width = np.log(columns["high"] / columns["low"])
    window_sum(width, bars, out)
    flat = out == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(width, out, out=out)
    out *= bars
    out -= 1
    out[flat] = 0


def _position(known: _Known, _: int, out: Floats) -> None:
    """Where the close lies between low (-sqrt 3) and high (sqrt 3); 0 where they are equal."""
    columns = known.series.columns
    high, low = columns["high"], columns["low"]
    np.multiply(columns["close"], 2, out=out)
    out -= high
    out -= low
    with np.errstate(divide="ignore", invalid="ignore"):
        out /= high - low
    out *= np.sqrt(3)  # a uniform place then has deviation 1
    out[high == low] = 0


def _volume(known: _Known, bars: int, out: Floats) -> None:
    """z-score of the square root of the volume; 0 where it does not vary."""
    volume = known.series.columns["volume"]
    root = np.sqrt(volume)
    total = window_sum(root, bars)
    np.multiply(total, -1 / bars, out=out)
    out += root
    deviation = _deviation(total, window_sum(volume, bars), bars)
    with np.errstate(divide="ignore", invalid="ignore"):
        out /= deviation
    out[deviation == 0] = 0


_KINDS: dict[str, Callable[[_Known, int, Floats], None]] = {
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
