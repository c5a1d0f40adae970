"""From regrets to weights: the potential's slope at normalised regrets, Eq. 5-8, 10 and 11 of the Allora white paper.

Everything is a ratio to the largest weight, taken before anything can underflow, so 0/0 cannot occur however low the
regrets are. A regret that is NaN, infinite or beyond :data:`protocol.rounding.MAX_PREDICTION` marks an absent worker.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.variant import Variant
from protocol.rounding import MAX_PREDICTION

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]

MAD_TO_STD = 1.4826  # a Gaussian's standard deviation over its median absolute deviation
# The simulator's clip, in units of 1/p around c: cut above UPPER, lift the largest to ANCHOR, drop below ZERO.
UPPER, ANCHOR, ZERO = 6.75, -8.25, -17.25


def potential(x: ArrayLike, p: float = 3.0, c: float = 0.75) -> Floats:
    """Return ln(1 + exp(p (x - c))), Eq. 6, elementwise; finite for every finite `x`."""
    out: Floats = np.logaddexp(0.0, p * (np.asarray(x, dtype=np.float64) - c))
    return out


def slope(x: ArrayLike, p: float = 3.0, c: float = 0.75) -> Floats:
    """Return the derivative p / (exp(-p (x - c)) + 1), Eq. 7, elementwise in [0, p]; underflows to 0."""
    out: Floats = p / (raised(-p * (np.asarray(x, dtype=np.float64) - c)) + 1)
    return out


def log_slope(x: ArrayLike, p: float = 3.0, c: float = 0.75) -> Floats:
    """Return the natural logarithm of :func:`slope`, which does not underflow."""
    out: Floats = np.log(p) - np.logaddexp(0.0, -p * (np.asarray(x, dtype=np.float64) - c))
    return out


def present(values: ArrayLike) -> Mask:
    """Return where values count: finite and at most :data:`protocol.rounding.MAX_PREDICTION` in magnitude."""
    return np.abs(np.asarray(values, dtype=np.float64)) <= MAX_PREDICTION


def scale(regrets: ArrayLike, variant: Variant, previous: ArrayLike | None = None) -> Floats:
    """Return what divides regrets in Eq. 8 and 11: their spread plus epsilon.

    Parameters
    ----------
    regrets : (..., n)
        log10 of losses; absent ones are left out.
    variant
        `scale` chooses the sample standard deviation (ddof 1; of one value 0) or 1.4826 times the median absolute
        deviation about the median, over workers whose previous weight exceeds `negligible_weight`; over all present
        ones where that leaves fewer than two.
    previous : (..., n), optional
        Previous weights as shares of their total, broadcast to `regrets`; NaN counts as 0. Only the median absolute
        deviation looks at them; without them all present workers count.

    Returns
    -------
    (...,) float64
        At least epsilon; epsilon itself if all regrets are equal or nobody is present.
    """
    r, known, shape = _rows(regrets, previous)
    return _scale(r, np.nonzero(~present(r)), variant, known).reshape(shape[:-1])


def normalised(regrets: ArrayLike, variant: Variant, previous: ArrayLike | None = None) -> Floats:
    """Return regrets over their :func:`scale`, Eq. 8 and 11, along the last axis; NaN where absent."""
    r = np.asarray(regrets, dtype=np.float64)
    out: Floats = np.where(present(r), r, np.nan) / scale(r, variant, previous)[..., None]
    return out


def weights(regrets: ArrayLike, variant: Variant, previous: ArrayLike | None = None) -> Floats:
    """Return the weights of Eq. 5 and 10, divided by their sum as in Eq. 3 and 9.

    Parameters
    ----------
    regrets : (..., n)
        Regrets of the workers that are combined, log10 of losses; an absent worker's is NaN.
    variant
        With `clip`, normalised regrets are cut as the simulator does; without, weights are exact ratios of slopes.
    previous : (..., n), optional
        See :func:`scale`.

    Returns
    -------
    (..., n) float64
        Not negative, 0 where absent, sum 1 along the last axis; all 0 where nobody is present. Equal regrets give
        equal weights, and a worker alone has weight 1.
    """
    r, known, shape = _rows(regrets, previous)
    w, total = relative_weights(r, variant, known)
    w /= np.where(total > 0, total, 1.0)[:, None]
    return w.reshape(shape)


def relative_weights(regrets: Floats, variant: Variant, previous: Floats | None = None) -> tuple[Floats, Floats]:
    """Return :func:`weights` up to one factor per row, (R, n), and their sums, (R,); `regrets` (R, n) are overwritten.

    A row without anybody sums to 0, every other one to something between the smallest normal float and 2 n.
    """
    r = regrets
    if not r.size:
        return r, np.zeros(len(r))
    absent = np.nonzero(~present(r))
    rate = variant.p / _scale(r, absent, variant, previous)[:, None]
    r[absent] = -np.inf
    top = r.max(axis=1, keepdims=True)
    top[top == -np.inf] = 0.0
    lifted, b = exponents(top * rate, variant)
    a = np.subtract(np.where(lifted, top, 0.0), r, out=r)
    a *= rate
    a += b
    none = a > -ZERO if variant.clip else absent
    if variant.clip:
        np.maximum(a, -UPPER, out=a)
    w = raised(a, out=a)
    w += floor(top * rate, variant)
    np.divide(1.0, w, out=w)
    w[none] = 0.0
    return w, w.sum(axis=1)


def exponents(top: Floats, variant: Variant) -> tuple[Mask, Floats]:
    """Return which rows are lifted, and b: slopes are 1 / (h + exp(a)) up to one factor per row, with h of :func:`floor`.

    Here ``a = b - p x``, and `top` is the largest p x of a row. In rows that are lifted, p x is taken relative to `top`, so
    that the largest weight does not underflow: where `top` is below p c, or with `clip` below p c - 8.25, to which the
    simulator lifts it. The simulator's other cuts are a of at least -6.75 and weight 0 for a above 17.25.
    """
    centre = variant.p * variant.c
    lifted = top < (centre + ANCHOR if variant.clip else centre)
    return lifted, np.where(lifted, -ANCHOR if variant.clip else 0.0, centre)


def floor(top: Floats, variant: Variant) -> Floats:
    """Return h of :func:`exponents`: what lifting by a factor makes of the 1 in Eq. 7. The simulator lifts regrets."""
    return np.ones_like(top) if variant.clip else np.exp(np.minimum(top - variant.p * variant.c, 0.0))


def raised(a: Floats, out: Floats | None = None) -> Floats:
    """Return exp(a), silently infinite: a denominator whose weight is the 0 that is meant."""
    with np.errstate(over="ignore"):
        return np.exp(a, out=out)


def _rows(regrets: ArrayLike, previous: ArrayLike | None) -> tuple[Floats, Floats | None, tuple[int, ...]]:
    """Return a copy of the regrets and previous weights as (R, n), and the shape of the regrets."""
    r = np.array(regrets, dtype=np.float64)
    flat = int(np.prod(r.shape[:-1])), r.shape[-1]
    known = None if previous is None else np.broadcast_to(np.asarray(previous, dtype=np.float64), r.shape).reshape(flat)
    return r.reshape(flat), known, r.shape


def _scale(r: Floats, absent: tuple[Places, ...], variant: Variant, previous: Floats | None) -> Floats:
    """See :func:`scale`; `r` is (R, n), and overwritten where somebody is absent."""
    count = r.shape[1] - np.bincount(absent[0], minlength=len(r))
    if variant.scale == "mad":
        r[absent] = np.inf
        if previous is not None:
            known = np.broadcast_to(previous > variant.negligible_weight, r.shape).copy()
            known[absent] = False
            known[known.sum(axis=1) < 2] = True
            r, count = np.where(known, r, np.inf), np.where(known & (r < np.inf), 1, 0).sum(axis=1)
        return MAD_TO_STD * _median(np.abs(r - _median(r, count)[:, None]), count) + variant.epsilon
    r[absent] = 0.0
    mean = r.sum(axis=1) / np.maximum(count, 1)
    r[absent] = mean[absent[0]]
    deviation = r - mean[:, None]
    squares = np.einsum("ij,ij->i", deviation, deviation)
    out: Floats = np.sqrt(squares / np.maximum(count - 1, 1)) + variant.epsilon
    return out


def _median(values: Floats, count: Places) -> Floats:
    """Return the medians of the `count` finite values in each row, the others being infinite; 0 of none."""
    ordered, row = np.sort(values, axis=1), np.arange(len(values))
    if not values.shape[1]:
        return np.zeros(len(values))
    middle = (ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, count // 2]) / 2
    return np.where(count > 0, middle, 0.0)
