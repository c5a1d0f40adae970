"""Exponential and logarithm in whole numbers: the same digits on every machine, and in Solidity.

Numbers are fixed-point with 128 binary places: x stands for ``x / 2**128``. Every step is an addition, a shift, or a
product of two numbers below 2**256 divided by a third, rounded down.
"""

from __future__ import annotations

PLACES = 128
ONE = 1 << PLACES
#: Units of 2**-128 by which :func:`exp`'s mantissa and :func:`ln` are at most off (counted: 40 and 92 at worst).
ERROR = 128
#: floor(ln 2 * 2**224): 96 more places than the rest, so that a thousand halvings cost nothing.
_LN2 = 0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D8A0D175B
_LN2_EXTRA = 96


def exp(x: int) -> tuple[int, int]:
    """Return e**x as a mantissa and an exponent of two.

    ``x = k ln 2 + r`` with 0 <= r < ln 2, and the Taylor series of e**r until its terms are 0.

    Parameters
    ----------
    x : int
        Fixed-point, of either sign, magnitude below 2**31.

    Returns
    -------
    mantissa : int
        Fixed-point, from 1 up to 2, within :data:`ERROR` units of ``e**r``.
    k : int
        ``e**x = mantissa * 2**k``.
    """
    k = (x << _LN2_EXTRA) // _LN2
    r = x - (k * _LN2 >> _LN2_EXTRA)
    mantissa, term, n = 0, ONE, 1
    while term:
        mantissa += term
        term = term * r // (n << PLACES)
        n += 1
    return mantissa, k


def ln(above: int, below: int) -> int:
    """Return the natural logarithm of a ratio of at least 1.

    ``above / below = 2**k m`` with 1 <= m < 2, and ``ln m = 2 artanh t`` with ``t = (m - 1) / (m + 1) < 1/3`` by its
    series until the terms are 0.

    Parameters
    ----------
    above, below : int
        Whole numbers, ``above >= below > 0``.

    Returns
    -------
    int
        Fixed-point; at most the true value, less than :data:`ERROR` units below it.
    """
    k = above.bit_length() - below.bit_length()
    if below << k > above:
        k -= 1
    power = ((above - (below << k)) << PLACES) // (above + (below << k))
    square = power * power >> PLACES
    total, n = 0, 1
    while power:
        total += power // n
        power = power * square >> PLACES
        n += 2
    return 2 * total + (k * _LN2 >> _LN2_EXTRA)


def softplus(x: int) -> int:
    """Return ``ln(1 + e**x)``, the integral of the logistic function, without overflow at either end.

    ``max(x, 0) + ln(1 + e**-|x|)``.

    Parameters
    ----------
    x : int
        Fixed-point, of either sign.

    Returns
    -------
    int
        Fixed-point, within ``3 ERROR`` units of the true value.
    """
    mantissa, k = exp(-min(abs(x), 128 * ONE))  # e**-128 is less than a unit
    return max(x, 0) + ln(ONE + (mantissa >> -k), ONE)
