"""How alike two pipelines' predictions are, whatever their scale, ties and gaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from protocol.errors import DataError
from protocol.scores import PANEL_MIN, gaussian_rank

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def rank_correlation(a: ArrayLike, b: ArrayLike, time: ArrayLike) -> float:
    """Return the mean over timestamps of the rank correlation of two forecasts of the same rows.

    Parameters
    ----------
    a, b : (n,) float
        Predictions, finite, any units.
    time : (n,) int64
        Equal in all rows of one cross-section; rows in any order. If no cross-section has five rows, all rows are one.

    Returns
    -------
    float
        In [-1, 1]: Spearman's correlation with tie-averaged ranks. Cross-sections in which a forecast is constant are
        left out (a copy does not become original where the original says nothing); 0 when none remains.

    Raises
    ------
    DataError
        Unequal lengths, no rows, or a value that is not finite.
    """
    return _mean_correlation(*_by_time(a, b, time), ranks=True)


def similarity(a: ArrayLike, b: ArrayLike, time: ArrayLike) -> float:
    """Return the larger magnitude of the mean rank and the mean linear correlation.

    Ranks see through a change of scale, but a little noise breaks the many ties of a shallow tree's predictions and
    pulls their rank correlation with the original down to 0.87; the linear correlation stays high there.

    Parameters, errors as for :func:`rank_correlation`; in [0, 1].
    """
    x, y, starts = _by_time(a, b, time)
    return max(abs(_mean_correlation(x, y, starts, ranks=ranks)) for ranks in (True, False))


def _by_time(a: ArrayLike, b: ArrayLike, time: ArrayLike) -> tuple[Floats, Floats, Ints]:
    """Return both forecasts sorted by time, and the first row of each cross-section."""
    x, y, t = np.asarray(a, np.float64), np.asarray(b, np.float64), np.asarray(time)
    if x.ndim != 1 or not x.shape == y.shape == t.shape or not x.size:
        raise DataError(
            f"forecasts of shapes {x.shape}, {y.shape} at times {t.shape}; give the same rows, at least one"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("a forecast is not finite; every row needs a finite number")
    order = np.argsort(t, kind="stable")
    x, y, t = x[order], y[order], t[order]
    starts = np.flatnonzero(np.concatenate(([True], t[1:] != t[:-1])))
    size = np.diff(starts, append=t.size)
    if size.max() < PANEL_MIN:
        return x, y, np.zeros(1, np.int64)
    wide = np.repeat(size >= PANEL_MIN, size)
    kept = size[size >= PANEL_MIN]
    return x[wide], y[wide], np.cumsum(kept) - kept


def _mean_correlation(x: Floats, y: Floats, starts: Ints, *, ranks: bool) -> float:
    size = np.diff(starts, append=x.size)
    segment = np.repeat(np.arange(starts.size), size)
    deviations = []
    for values in (x, y):
        v = ndtr(gaussian_rank(values, segment)) if ranks else values / (np.abs(values).max() or 1.0)
        flat = (np.maximum.reduceat(values, starts) == np.minimum.reduceat(values, starts))[segment]
        e = np.where(flat, 0.0, v - (np.add.reduceat(v, starts) / size)[segment])
        deviations.append(e)
    one, other = deviations
    scale = np.sqrt(np.add.reduceat(one * one, starts)) * np.sqrt(np.add.reduceat(other * other, starts))
    usable = scale > 0
    if not usable.any():
        return 0.0
    correlation = np.add.reduceat(one * other, starts)[usable] / scale[usable]
    return float(np.clip(correlation, -1, 1).mean())
