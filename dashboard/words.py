"""Numbers, times and names as a reader expects them: fixed digits, real minus signs, thin group spaces, UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NONE = "–"
MINUS = "\N{MINUS SIGN}"
THIN = "\N{NARROW NO-BREAK SPACE}"
WEI = 10**18
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def number(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number with fixed digits; what is unknown or not finite is a dash, and zero has no sign."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{abs(value):,.{digits}f}".replace(",", THIN)
    if not any(digit in text for digit in "123456789"):
        return text
    return (MINUS if value < 0 else "+" if sign else "") + text


def price(value: float) -> str:
    """Return a price with about six significant digits, whatever its size."""
    if not math.isfinite(value) or not value:
        return number(value, 2)
    return number(value, min(10, max(2, 5 - math.floor(math.log10(abs(value))))))


def percent(ratio: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """Return a ratio as a percentage."""
    text = number(None if ratio is None else ratio * 100, digits, sign=sign)
    return text if text == NONE else f"{text}{THIN}%"


def money(cents: int, *, sign: bool = False) -> str:
    """Return cents as units, exactly."""
    whole, rest = divmod(abs(cents), 100)
    text = f"{whole:,}.{rest:02d}".replace(",", THIN)
    return (MINUS if cents < 0 else "+" if sign and cents else "") + text


def tokens(wei: int | None, digits: int = 2) -> str:
    """Return wei as tokens, rounded down so that no more is shown than is there; what is unknown is a dash."""
    if wei is None:
        return NONE
    step = 10 ** (18 - digits)
    if 0 < wei < step:
        return f"<{THIN}{number(10**-digits, digits)}"
    whole, rest = divmod(abs(wei) // step, 10**digits)
    text = f"{whole:,}".replace(",", THIN) + (f".{rest:0{digits}d}" if digits else "")
    return (MINUS if wei < 0 else "") + text


def quantity(value: float) -> str:
    """Return a number of units with as many digits as it needs, at most four."""
    text = number(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text else text


def short(name: str) -> str:
    """Return the recognisable ends of a hash or an address."""
    head = 6 if name.startswith("0x") else 8
    return name if len(name) <= head + 4 else f"{name[:head]}…{name[-4:]}"


def span(seconds: float) -> str:
    """Return a duration in its two largest units: ``3 h 12 min``."""
    left = max(0, math.floor(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        amount, left = divmod(left, size)
        if amount or parts or unit == "s":
            parts.append(f"{amount}{THIN}{unit}")
        if len(parts) == 2:
            break
    return " ".join(parts)


def days(seconds: float) -> str:
    """Return an age in days, or in hours below two days."""
    hours = max(0.0, seconds) / 3600
    return f"{number(hours / 24, 1)}{THIN}d" if hours >= 48 else f"{number(hours, 1)}{THIN}h"


def iso(seconds: float) -> str:
    """Return unix seconds as an ISO 8601 time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(seconds: float) -> str:
    """Return unix seconds as a date and time to the minute, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
