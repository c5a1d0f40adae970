"""Whole numbers: units, bounds and roundings. Money never is a float.

Amounts are wei (1 LTFT or unit of the quote currency = 10**18 wei), prices wei of quote per whole token, shares
millionths. Bounds are those of the Solidity types, so that no product of the rules leaves 256 bits (or 512 within one
multiply-and-divide).
"""

from __future__ import annotations

from protocol.errors import LongtailError, RefusedError

#: Wei of one token; also the fixed-point one of prices, multipliers and metrics.
WAD = 10**18
#: Parts of a whole in which shares, fees and limits are given.
PPM = 10**6
#: Largest supply or balance (uint256).
MAX_AMOUNT = 2**256 - 1
#: Largest reserve of a pool or curve (uint112, as in Uniswap v2).
MAX_RESERVE = 2**112 - 1


def whole(
    value: int, name: str, low: int = 0, high: int = MAX_AMOUNT, error: type[LongtailError] = RefusedError
) -> int:
    """Return `value` if it is an `int` from `low` to `high`.

    Other number types are refused even where they are whole: floats lose wei beyond 2**53, numpy's integers overflow.

    Raises
    ------
    LongtailError
        Of the class `error`: the value is of another type or out of range.
    """
    if type(value) is not int or not low <= value <= high:
        raise error(f"{name} is {value!r}; give a whole number from {low} to {high}")
    return value


def part(amount: int, ppm: int) -> int:
    """Return `ppm` millionths of `amount`, rounded down."""
    return amount * ppm // PPM


def div_up(dividend: int, divisor: int) -> int:
    """Return the quotient rounded up; `divisor` positive."""
    return -(-dividend // divisor)
