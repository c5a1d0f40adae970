"""Leave-one-out means from a few scales: the fast way behind :func:`protocol.consensus.allora.one_out.without_each`.

Without worker j, the mean of inferences I by weights w is

    (A(u) - w_j(u) I_j) / (B(u) - w_j(u)),    A(u) = sum of w_i(u) I_i,    B(u) = sum of w_i(u),

where u, called rate here, is p over the scale without j. All rates are known in closed form, and A and B need no more
than a few of them. Under the median absolute deviation at most ten scales occur. Under the standard deviation rates
vary little once those who hold much of the variance are set aside, and A and B are interpolated between Chebyshev
nodes. The simulator's clip makes both jump where a worker's weight is cut: workers whose regret an edge of the clip passes
as the rate varies are left out of A and B and added with their own weight at each rate.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from protocol.consensus.allora.potential import (
    MAD_TO_STD,
    UPPER,
    ZERO,
    Floats,
    Mask,
    Places,
    exponents,
    floor,
    raised,
    scale,
)
from protocol.consensus.allora.variant import Variant

BLOCK = 1 << 16  # regrets worked on at once: 512 kB, so that what is made of them stays in the cache
WIDE = 0.1  # workers with a larger share of the variance are left to the exact way: there are at most 1/WIDE
DIGITS = 16  # decimals that the nodes have to resolve
WIDEST = 0.15  # half a range of rates, in parts of its middle and of the distance of the nearest pole; else it is split


def by_nodes(r: Floats, here: Mask, v: Floats, variant: Variant, previous: Floats | None) -> Floats:
    """Return means of `v` (n,) without each worker, (K, n), for regrets (K, n) of -inf where a worker is not `here`.

    NaN where they are to be computed exactly, because subtraction would lose digits or the scale is far from the
    others': without the worker with the largest weight, without the one with the farthest inference, and without those
    that hold much of the variance.
    """
    rate, near = _rates(r, here, variant, previous)
    row, top = np.arange(len(r)), np.where(here.any(axis=1), r.max(axis=1), 0.0)
    near[row, r.argmax(axis=1)] = near[row, np.where(here, np.abs(v), -1.0).argmax(axis=1)] = False
    k, least, most = _ranges(rate, near, top, variant)
    out = np.full(r.shape, np.nan)
    if k.size:
        count = _count(np.max((most - least) / (most + least)), variant)
        step = max(1, BLOCK // (count * v.size))
        for part in (slice(start, start + step) for start in range(0, k.size, step)):
            a, b = least[part, None], most[part, None]
            mine = near[k[part]] & (rate[k[part]] >= a) & (rate[k[part]] <= b)
            mean = _interpolated(
                r[k[part]],
                top[k[part], None],
                rate=np.clip(rate[k[part]], a, b),
                mine=mine,
                v=v,
                count=count,
                variant=variant,
            )
            for target, values, which in zip(k[part], mean, mine, strict=True):
                np.copyto(out[target], values, where=which)
    return out


def _interpolated(
    r: Floats, top: Floats, *, rate: Floats, mine: Mask, v: Floats, count: int, variant: Variant
) -> Floats:
    """Return means of `v` (n,) without each worker that is `mine`, (T, n), from `count` nodes; see the module's head.

    Regrets `r` and rates are (T, n), the largest regrets `top` (T, 1). Along a row rates keep to one side of what
    :func:`exponents` lifts, and to what so many nodes resolve.
    """
    least, most = rate.min(axis=1, keepdims=True), rate.max(axis=1, keepdims=True)
    middle, half = (most + least) / 2, (most - least) / 2
    cosines, to_coefficients = _nodes(count)
    nodes = middle + half * cosines
    lifted, b = exponents(top * least, variant)
    gap = np.where(lifted, top, 0.0) - r
    w = nodes[:, :, None] * gap[:, None, :]
    w += b[:, :, None]
    raised(w, out=w)
    w += floor(top * nodes, variant)[:, :, None]
    np.divide(1.0, w, out=w)
    own = rate * gap
    own += b
    x = np.stack([v, np.ones_like(v)], axis=1)
    outside = np.zeros((len(r), 2, 1))
    if variant.clip:
        upper, zero = (-UPPER - b) / rate, (-ZERO - b) / rate  # edges of the gap
        cut = gap < upper.min(axis=1, keepdims=True)
        smooth = (gap >= upper.max(axis=1, keepdims=True)) & (gap <= zero.min(axis=1, keepdims=True))
        between = ~(cut | smooth) & (gap <= zero.max(axis=1, keepdims=True))
        w *= smooth[:, None, :]
        outside = (cut @ x)[:, :, None] / (1 + np.exp(-UPPER))
        np.maximum(own, -UPPER, out=own)
    coefficients = to_coefficients @ (w.reshape(-1, v.size) @ x).reshape(*nodes.shape, 2)
    sums = coefficients.transpose(0, 2, 1) @ _polynomials((rate - middle) / np.where(half > 0, half, 1.0), count)
    sums += outside
    raised(own, out=own)
    own += floor(top * rate, variant)
    np.divide(1.0, own, out=own)
    own[~mine] = 0.0
    if variant.clip:
        own[gap > zero] = 0.0
        _add_crossing(sums, between, gap=gap, rate=rate, zero=zero, b=b, x=x)
    sums[:, 0] -= own * v
    sums[:, 1] -= own
    mean: Floats = sums[:, 0] / sums[:, 1]
    return mean


def _add_crossing(
    sums: Floats, between: Mask, *, gap: Floats, rate: Floats, zero: Floats, b: Floats, x: Floats
) -> None:
    """Add to `sums` (T, 2, n) the workers `between` (T, n) that an edge of the clip passes as the rate changes."""
    t_of, i_of = np.nonzero(between)
    step = max(1, BLOCK // x.shape[0])
    for start in range(0, t_of.size, step):
        t, i = t_of[start : start + step], i_of[start : start + step]
        far = gap[t, i][:, None]
        w = 1 / (1 + raised(np.maximum(rate[t] * far + b[t], -UPPER)))
        w[far > zero[t]] = 0.0
        first = np.flatnonzero(np.diff(t, prepend=-1))
        for place in (0, 1):
            sums[t[first], place] += np.add.reduceat(w * x[i, place, None], first, axis=0)


def _ranges(rate: Floats, near: Mask, top: Floats, variant: Variant) -> tuple[Places, Floats, Floats]:
    """Return ranges of the rates that are `near`, (K, n), each fit for one call: row, least and most, (T,)."""
    least, most = np.where(near, rate, np.inf).min(axis=1), np.where(near, rate, 0.0).max(axis=1)
    some = most > 0
    fit = some & (least == most)
    if variant.scale == "std":
        same = exponents(top * np.minimum(least, most), variant)[0] == exponents(top * most, variant)[0]
        fit |= some & same & (most - least <= WIDEST * _pole(variant) * (most + least))
    found = [(np.flatnonzero(fit), least[fit], most[fit])]
    for k in np.flatnonzero(some & ~fit):
        parts = _split(np.unique(rate[k, near[k]]), top[k], variant)
        found += [(np.array([k]), part[:1], part[-1:]) for part in parts]
    rows, first, last = zip(*found, strict=True)
    return np.concatenate(rows), np.concatenate(first), np.concatenate(last)


def _split(rates: Floats, top: float, variant: Variant) -> list[Floats]:
    """Return rising `rates` in pieces that :func:`exponents` treats alike and that are narrow; single ones under `mad`."""
    lifted = exponents(top * rates, variant)[0]
    least, most = rates[0], rates[-1]
    if least == most:
        return [rates]
    if variant.scale == "mad":
        places = np.arange(1, rates.size)
    elif lifted[0] != lifted[-1]:
        places = np.flatnonzero(np.diff(lifted)) + 1
    elif most - least > WIDEST * _pole(variant) * (most + least):
        places = rates.searchsorted([(least + most) / 2])
    else:
        return [rates]
    return [narrow for part in np.split(rates, places) for narrow in _split(part, top, variant)]


def _pole(variant: Variant) -> float:
    """Return how far from a real rate the nearest pole of 1 / (1 + exp(p c - rate r)) can be, in parts of the rate."""
    return float(1 / np.hypot(1.0, variant.p * variant.c / np.pi))


def _count(width: float, variant: Variant) -> int:
    """Return how many nodes resolve rates that differ from the middle of their range by up to `width` of it."""
    width = max(width / _pole(variant), 1e-17)
    return 1 if width < 1e-16 else int(np.ceil(DIGITS / -np.log10(width / 2)))


@cache
def _nodes(count: int) -> tuple[Floats, Floats]:
    """Return Chebyshev nodes in [-1, 1] and the matrix from values there to a polynomial's coefficients, (M, M)."""
    angle = np.pi * (np.arange(count) + 0.5) / count
    factor = np.where(np.arange(count) > 0, 2.0, 1.0) / count
    return np.cos(angle), np.cos(np.outer(np.arange(count), angle)) * factor[:, None]


def _polynomials(z: Floats, count: int) -> Floats:
    """Return the first `count` Chebyshev polynomials at `z` (T, n): (T, count, n)."""
    out = np.ones((len(z), count, z.shape[1]))
    if count > 1:
        out[:, 1] = z
        z = 2 * z
    for k in range(2, count):
        np.multiply(z, out[:, k - 1], out=out[:, k])
        out[:, k] -= out[:, k - 2]
    return out


def _rates(r: Floats, here: Mask, variant: Variant, previous: Floats | None) -> tuple[Floats, Mask]:
    """Return p over the scale without each worker, and whose scale is known and not far from the others', (K, n)."""
    if variant.scale == "mad":
        rate, near = np.ones(r.shape), here.copy()
        for k in range(len(r)):
            known = here[k] if previous is None else here[k] & (previous > variant.negligible_weight)
            known = known if np.count_nonzero(known) > 1 else here[k]
            some = r[k, known]
            rate[k] = variant.p / scale(some, variant)
            if some.size > 2:
                rate[k, known] = variant.p / _mad_without_each(some, variant)
            else:  # without one of two the scale is over everybody
                near[k] &= ~known
        return rate, near
    n = np.count_nonzero(here, axis=1)[:, None]
    deviation = np.where(here, r, 0.0)
    deviation -= deviation.sum(axis=1, keepdims=True) / np.maximum(n, 1)
    deviation *= here
    deviation *= deviation
    total = deviation.sum(axis=1, keepdims=True)
    share = deviation * (
        n / np.maximum(n - 1, 1) / np.where(total > 1e-200, total, 1.0)
    )  # less is nothing beside epsilon
    others = np.sqrt(total / np.maximum(n - 2, 1) * (1 - np.minimum(share, WIDE)))
    return variant.p / (others + variant.epsilon), here & (share <= WIDE)


def _mad_without_each(values: Floats, variant: Variant) -> Floats:
    """Return the scale by median absolute deviation of the others for each of the `values`, (n,), n > 1."""
    medians = _median_without_each(values)
    out = np.empty(values.size)
    for centre in np.unique(medians):  # three at most
        which = medians == centre
        out[which] = _median_without_each(np.abs(values - centre))[which]
    return MAD_TO_STD * out + variant.epsilon


def _median_without_each(values: Floats) -> Floats:
    """Return the median of the others for each of the `values`, (n,), n > 1."""
    order = np.argsort(values)
    ordered, rank = values[order], np.arange(values.size)
    low, high = (values.size - 2) // 2, (values.size - 1) // 2
    out = np.empty(values.size)
    out[order] = (ordered[low + (rank <= low)] + ordered[high + (rank <= high)]) / 2
    return out
