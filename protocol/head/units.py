"""Numbers that leave the floats: billionths, rounded exactly, the same on every machine that agrees on nine decimals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction

from protocol.consensus.shares import apportion
from protocol.errors import RefusedError

#: One, in the unit of predictions, weights and shares: billionths, the nine decimals that machines agree on.
NANO = 10**9
#: Predictions stay in what databases and contracts hold.
MAX_NANO = 2**63 - 1


def nano(value: float) -> int:
    """Return a number in billionths: the exact value of the float times 10**9, rounded half to even.

    Raises
    ------
    RefusedError
        It is not finite, or does not fit 64 bits.
    """
    if math.isfinite(value) and abs(exact := round(Fraction(value) * NANO)) <= MAX_NANO:
        return exact
    raise RefusedError(f"{value!r} cannot be written in billionths; give a finite number below {MAX_NANO / NANO:.3g}")


def in_order(keys: Iterable[str]) -> list[str]:
    """Return hashes, slugs or addresses in the order of their lower-case text: addresses by their bytes."""
    return sorted(keys, key=str.lower)


def nano_weights(weights: Mapping[str, float]) -> dict[str, int]:
    """Return weights over the largest, in billionths, in the order of their names.

    The quotient is taken exactly and rounded half to even, so weights that differ in their last bits come out alike.

    Parameters
    ----------
    weights : mapping of name to float
        Any one unit; NaN counts as 0.

    Returns
    -------
    dict of str to int
        From 0 to 10**9; all 0 where all weights are.

    Raises
    ------
    RefusedError
        A weight is negative or infinite.
    """
    for name, weight in weights.items():
        if weight < 0 or weight == math.inf:
            raise RefusedError(f"the weight of {name} is {weight}; give a finite number of at least 0")
    exact = {name: Fraction(0) if math.isnan(weights[name]) else Fraction(weights[name]) for name in in_order(weights)}
    largest = max(exact.values(), default=Fraction(0)) or Fraction(1)
    return {name: round(weight / largest * NANO) for name, weight in exact.items()}


def nano_shares(weights: Mapping[str, float]) -> tuple[tuple[str, int], ...]:
    """Return the share of each name in billionths, which add up to 10**9 exactly; whoever has none is left out.

    Parameters
    ----------
    weights : mapping of name to float
        As for :func:`nano_weights`; divided by the method of largest remainders, earlier names first among equals.

    Returns
    -------
    tuple of (name, share)
        In the order of the names; empty if all weights are 0.
    """
    whole = nano_weights(weights)
    if not any(whole.values()):
        return ()
    shares = zip(whole, apportion(NANO, whole.values()), strict=True)
    return tuple((name, share) for name, share in shares if share)
