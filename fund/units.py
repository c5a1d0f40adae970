"""What the fund counts in: whole numbers, chosen so that a position's value needs no rounding.

==========  =====================================================  ==========================
money       wei, 10**-18 of the quote currency                     as everywhere in the ledger
price       pico, 10**-12 of the quote currency per unit of asset  10**18 of them are 1,000,000
lot step    micro, 10**-6 of a unit of asset                       a position is a count of steps
==========  =====================================================  ==========================

``lots * step * price`` is exactly wei: cash plus positions is the net asset value to the last digit, in whatever pieces a
position was bought. Only fees, slippage and interest are rounded, each time against the fund.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from protocol.ltft.wei import PPM, WAD

#: Wei of one unit of quote currency.
WEI = WAD
#: Picos of one unit of quote currency.
PICO = 10**12
#: Micros of one unit of asset.
MICRO = 10**6
#: Parts of a whole for rates that are given by exchanges with more than six decimals (funding).
PPB = 10**9
#: Largest price taken at face value, in units of quote currency.
MAX_PRICE = 10**9
SECOND_US = 1_000_000
#: Rates are per 365 days (act/365, fixed).
YEAR_US = 365 * 86_400 * SECOND_US

__all__ = [
    "MAX_PRICE",
    "MICRO",
    "PICO",
    "PPB",
    "PPM",
    "SECOND_US",
    "WEI",
    "YEAR_US",
    "cents",
    "pico",
    "plain",
    "toward_zero",
]


def pico(price: float) -> int | None:
    """Return a price in picos, or None if it is none: not finite, not positive, below one pico or above a milliard.

    The shortest decimal that reads back as the float is what is meant: 0.1 is exactly 10**11 picos.
    """
    if not math.isfinite(price) or not 0 < price <= MAX_PRICE:
        return None
    return int(Decimal(repr(float(price))) * PICO) or None


def cents(amount: int) -> int:
    """Return wei in whole hundredths of the quote currency, halves to the even neighbour: for people and audits."""
    whole, rest = divmod(amount, WEI // 100)
    half = WEI // 200
    return whole + (rest > half or (rest == half and whole % 2 == 1))


def toward_zero(dividend: int, divisor: int) -> int:
    """Return the quotient cut towards zero; `divisor` positive."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)


def plain(value: Any) -> Any:
    """Return a float rounded to nine significant digits, None if it is not finite; anything else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.9g}") if math.isfinite(value) else None
