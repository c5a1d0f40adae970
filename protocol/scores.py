"""What a forecast is worth: one number per day, from predictions and targets of the same rows.

A panel of at least :data:`PANEL_MIN` symbols is scored on each cross-section and averaged over the day; fewer symbols
are scored along time, week by week. Both are scale-free, and a constant forecast scores exactly 0.
`docs/spec/scores.md` is the normative text.

Conventions of all arrays: one entry per row (symbol and bar); ``time`` is the open of the bar at whose close the
prediction is made, in microseconds since 1970 UTC; ``prediction`` has any unit; ``target`` is u of
:mod:`data.target`, known only ``horizon + 1`` bars later. Scores look back at finished targets and are no features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from protocol.errors import DataError

PANEL_MIN = 5  # symbols in a cross-section below which ranks carry too little; DESIGN "Target and scores"
DAY_US = 86_400_000_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DayScores:
    """Scores in order of time.

    Attributes
    ----------
    day : (d,) int64
        Days since 1970-01-01 UTC; for fewer than five symbols the Monday that starts the week.
    score : (d,) float64
        In [-1, 1]; 0 is no skill.
    """

    day: Ints
    score: Floats

    @property
    def mean(self) -> float:
        """Return the mean over days, each day counting once."""
        return float(self.score.mean())


def gaussian_rank(values: ArrayLike, groups: ArrayLike) -> Floats:
    """Return the normal quantile of each value's tie-averaged rank within its group.

    Parameters
    ----------
    values : (n,) float
        Finite values, any unit.
    groups : (n,) int
        Group of each value, in any order.

    Returns
    -------
    (n,) float64
        Phi^-1((rank - 1/2) / size of the group), ranks from 1; equal values get equal results, a constant group 0.
    """
    v, (g,) = _finite("values", values), _int_columns(groups=groups)
    _same_length(values=v, groups=g)
    if not v.size:
        return v
    order = np.lexsort((v, g))
    v, g = v[order], g[order]
    new_group = np.concatenate(([True], g[1:] != g[:-1]))
    ties = np.flatnonzero(new_group | np.concatenate(([True], v[1:] != v[:-1])))
    tie_size = _lengths(ties, v.size)
    group_starts = np.flatnonzero(new_group)
    group_of_tie = np.searchsorted(group_starts, ties, side="right") - 1
    size = _lengths(group_starts, v.size)[group_of_tie]
    rank = ties - group_starts[group_of_tie] + (tie_size + 1) / 2
    out = np.empty(v.size)
    out[order] = np.repeat(ndtri((rank - 0.5) / size), tie_size)
    return out


def cross_section_corr(prediction: ArrayLike, target: ArrayLike, time: ArrayLike) -> Floats:
    """Return Numerai's CORR of every cross-section, in order of time.

    ``corr(sign(g)|g|^1.5, sign(c)|c|^1.5)`` with g the gaussianised tie-averaged rank of the prediction and c the
    target less its mean over the cross-section (docs.numer.ai, "Correlation (CORR)"; ties averaged).

    Parameters
    ----------
    prediction, target : (n,) float
        Finite.
    time : (n,) int64
        Equal in all rows of one cross-section; rows in any order.

    Returns
    -------
    (t,) float64
        One per unique time, ascending. 0 where prediction or target is constant, also for a single row.

    Raises
    ------
    DataError
        Unequal lengths, no rows, or a value that is not finite.
    """
    p, u, t = _checked(prediction, target, time)
    order = _time_order(t)
    if order is not None:
        p, u, t = p[order], u[order], t[order]
    return _corr(p, u, t, _starts(t))


def day_scores(prediction: ArrayLike, target: ArrayLike, time: ArrayLike, symbol: ArrayLike) -> DayScores:
    """Return the day scores of a forecast (week scores for fewer than five symbols).

    At least :data:`PANEL_MIN` symbols among the rows: mean of :func:`cross_section_corr` over the bars that open
    within the UTC day; cross-sections with fewer than :data:`PANEL_MIN` rows are left out. Fewer symbols: per week from
    Monday 00:00 UTC the cosine ``sum(q u) / sqrt(sum(q^2) sum(u^2))`` over all rows, q the prediction less the mean of
    the same symbol's *earlier* predictions among the rows (0 for its first), so that being always long earns nothing.

    Parameters
    ----------
    prediction, target : (n,) float
        Finite.
    time : (n,) int64
        Microseconds since 1970 UTC, bar open; rows in any order.
    symbol : (n,) int
        Code of each row's symbol; (time, symbol) unique.

    Raises
    ------
    DataError
        Unequal lengths, no rows, a value that is not finite, or no cross-section with enough symbols.
    """
    p, u, t = _checked(prediction, target, time)
    (code,) = _int_columns(symbol=symbol)
    _same_length(prediction=p, symbol=code)
    order = _time_order(t)
    if order is not None:
        p, u, t, code = p[order], u[order], t[order], code[order]
    codes = np.unique(code)
    if codes.size < PANEL_MIN:
        return _week_scores(p, u, t, code, codes)
    starts = _starts(t)
    wide = _lengths(starts, t.size) >= PANEL_MIN
    if not wide.any():
        raise DataError(f"no bar has {PANEL_MIN} symbols or more; give a panel with overlapping series")
    day = t[starts][wide] // DAY_US
    first = _starts(day)
    score = np.add.reduceat(_corr(p, u, t, starts)[wide], first) / _lengths(first, day.size)
    return DayScores(day[first], score)


def _corr(p: Floats, u: Floats, t: Ints, starts: Ints) -> Floats:
    """Return CORR per segment of rows sorted by time; `starts` are the segments' first rows."""
    size = _lengths(starts, t.size)
    segment = np.repeat(np.arange(starts.size), size)
    flat = np.maximum.reduceat(u, starts) == np.minimum.reduceat(u, starts)
    a = _power(gaussian_rank(p, segment))
    a -= (np.add.reduceat(a, starts) / size)[segment]
    b = _power(u - (np.add.reduceat(u, starts) / size)[segment])
    b -= (np.add.reduceat(b, starts) / size)[segment]
    scale = np.sqrt(np.add.reduceat(a * a, starts) * np.add.reduceat(b * b, starts))
    usable = (scale > 0) & ~flat
    corr = np.zeros(starts.size)
    np.divide(np.add.reduceat(a * b, starts), scale, out=corr, where=usable)
    return np.clip(corr, -1, 1, out=corr)


def _power(x: Floats) -> Floats:
    return x * np.sqrt(np.abs(x))  # sign(x) |x|^1.5


def _week_scores(p: Floats, u: Floats, t: Ints, code: Ints, codes: Ints) -> DayScores:
    # Only against overflow; otherwise no prediction has a say in another week's score, which a common unit would give it.
    scale = max(1.0, float(np.abs(p).max()) / 1e100)
    q = np.zeros(p.size)
    for one in codes:  # fewer than PANEL_MIN
        rows = np.flatnonzero(code == one)
        # Relative to its first prediction, so that a constant forecast is 0 without rounding.
        x = p[rows] / scale
        x -= x[0]
        q[rows[1:]] = x[1:] - np.cumsum(x[:-1]) / np.arange(1, rows.size)
    day = t // DAY_US
    week = day - (day + 3) % 7  # 1970-01-01 was a Thursday
    first = _starts(week)
    largest = np.maximum.reduceat(np.abs(q), first)
    q /= np.repeat(np.where(largest > 0, largest, 1.0), _lengths(first, week.size))
    product, qq, uu = (np.add.reduceat(x, first) for x in (q * u, q * q, u * u))
    norm = np.sqrt(qq) * np.sqrt(uu)
    score = np.zeros(first.size)
    np.divide(product, norm, out=score, where=norm > 0)
    return DayScores(week[first], np.clip(score, -1, 1))


def _checked(prediction: ArrayLike, target: ArrayLike, time: ArrayLike) -> tuple[Floats, Floats, Ints]:
    p, u = _finite("prediction", prediction), _finite("target", target)
    (t,) = _int_columns(time=time)
    _same_length(prediction=p, target=u, time=t)
    if not p.size:
        raise DataError("there are no rows to score; widen the time range")
    return p, u, t


def _finite(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(array.ravel()))
    if bad.size:
        raise DataError(
            f"{name} has {bad.size} of {array.size} values that are not finite, the first {array.ravel()[bad[0]]} in "
            f"row {bad[0]}; every row needs a finite number"
        )
    return array


def _int_columns(**columns: ArrayLike) -> list[Ints]:
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    for name, array in arrays.items():
        if array.size and array.dtype.kind not in "iu":
            raise DataError(f"{name} is {array.dtype}; give integers")
    return [array.astype(np.int64, copy=False) for array in arrays.values()]


def _same_length(**columns: NDArray[np.float64] | NDArray[np.int64]) -> None:
    if any(array.ndim != 1 for array in columns.values()) or len({array.size for array in columns.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in columns.items())
        raise DataError(f"shapes differ or are not one-dimensional: {shapes}; give one entry per row")


def _time_order(t: Ints) -> Ints | None:
    """Return a stable order by time, None when the rows are in order."""
    return None if (t[1:] >= t[:-1]).all() else np.argsort(t, kind="stable")


def _starts(sorted_values: Ints) -> Ints:
    """Return the first index of each run of equal values."""
    return np.flatnonzero(np.concatenate(([True], sorted_values[1:] != sorted_values[:-1])))


def _lengths(starts: Ints, n: int) -> Ints:
    return np.diff(starts, append=n)
