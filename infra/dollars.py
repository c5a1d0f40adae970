"""Dollars as whole micro-dollars, rounded up."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

#: Micro-dollars in a dollar.
DOLLAR = 1_000_000


def micro_dollars(dollars: float | str | Decimal) -> int:
    """Return dollars as whole micro-dollars, rounded up; the float 0.1 is one tenth."""
    exact = Decimal(str(dollars)) * DOLLAR
    return int(exact.to_integral_value(ROUND_CEILING))


def in_dollars(amount: int) -> str:
    """Return an amount in dollars for people: to the cent, rounded up, below a dollar to a hundredth of that."""
    digits = 2 if amount >= DOLLAR else 4
    step = 10 ** (6 - digits)
    units = -(-amount // step)
    return f"${units // 10**digits:,}.{units % 10**digits:0{digits}}"
