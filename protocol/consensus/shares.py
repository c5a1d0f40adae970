"""Dividing whole numbers: the parts always add up to the total, so that payments neither lose nor make a unit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from numbers import Rational
from operator import index

import numpy as np

from protocol.errors import DataError


def apportion(total: int, weights: Iterable[float | Fraction], remainder: int | None = None) -> tuple[int, ...]:
    """Divide `total` in proportion to `weights` by the method of largest remainders, exactly.

    Every part is its exact share rounded down, and the units then left go one each to the largest remainders; among
    equal remainders the lower index first. Floats are taken as the rationals they are, so that totals beyond 2**53
    lose nothing. Each part is within one unit of its exact share, parts are ordered as their weights are, and
    equal weights differ by at most one unit.

    Parameters
    ----------
    total : int
        Units to divide, not negative.
    weights : (n,) int, float or Fraction
        Finite, not negative.
    remainder : int, optional
        Index of the part that gets everything when all weights are 0; without it that is an error.

    Returns
    -------
    (n,) tuple of int
        Not negative, sum `total`.

    Raises
    ------
    DataError
        `total` or a weight is negative or not a finite number; or the weights are all 0 and no `remainder` is named.
    """
    try:
        units = index(total)
    except TypeError:
        raise DataError(f"cannot divide {total!r}: the total must be a whole number of units") from None
    if units < 0:
        raise DataError(f"cannot divide {units}: the total must be at least 0")
    exact = _integers(weights)
    whole = sum(exact)
    if whole == 0:
        return _all_to(remainder, units, len(exact))
    parts, rests = [], []
    for weight in exact:
        part, rest = divmod(units * weight, whole)
        parts.append(part)
        rests.append(rest)
    order = sorted(range(len(exact)), key=lambda place: -rests[place])  # stable: lower index first
    for place in order[: units - sum(parts)]:
        parts[place] += 1
    return tuple(parts)


def _integers(weights: Iterable[float | Fraction]) -> list[int]:
    """Return integers in exactly the proportion of the weights."""
    ratios = []
    for place, given in enumerate(weights.tolist() if isinstance(weights, np.ndarray) else weights):
        weight = given.item() if isinstance(given, np.generic) else given
        countable = isinstance(weight, Rational) or (isinstance(weight, float) and math.isfinite(weight))
        if not countable or weight < 0:
            raise DataError(f"weight {place} is {weight!r}; weights must be finite numbers of at least 0")
        ratios.append(weight.as_integer_ratio())
    common = math.lcm(*(below for _, below in ratios))
    return [above * (common // below) for above, below in ratios]


def _all_to(remainder: int | None, units: int, size: int) -> tuple[int, ...]:
    if remainder is None or not 0 <= remainder < size:
        raise DataError(
            f"cannot divide {units} among {size} weights that are all 0; "
            + ("name the part that gets the remainder" if remainder is None else f"there is no part {remainder}")
        )
    return tuple(units if place == remainder else 0 for place in range(size))
