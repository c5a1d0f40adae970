"""Shapes of a bonding curve: price at a supply, and the area under it, which is what all who bought could sell for.

``docs/spec/token.md`` fixes every step, so that two implementations agree to the wei. An area is rounded down and within
2**-5 wei of the true integral before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from protocol.errors import ConfigError, RefusedError
from protocol.ltft import fixed
from protocol.ltft.wei import MAX_RESERVE, WAD, whole

#: Largest exponent of an exponential curve: e**87 is less than 2**126.
MAX_EXPONENT = 87
#: Exponent beyond which a sigmoid's price is taken as there: e**-4096 is nothing in any unit.
FAR = 4096 * fixed.ONE


def _exponent(rate: int, tokens: int) -> int:
    """Return ``rate * tokens`` in fixed-point; the rate per 10**18 tokens, `tokens` in wei of either sign; towards 0."""
    size = (rate << fixed.PLACES) * abs(tokens) // WAD**2
    return size if tokens >= 0 else -size


def _scale(price: int, rate: int) -> int:
    """Check a price and a rate, and return ``price / rate`` in wei of quote: what the curve costs per unit of exponent."""
    whole(price, "the price of a curve", 1, MAX_RESERVE, ConfigError)
    whole(rate, "the rate of a curve", 1, MAX_RESERVE, ConfigError)
    if price * WAD // rate > MAX_RESERVE:
        raise ConfigError(f"price {price} over rate {rate} is beyond 2**112 wei; raise the rate or lower the price")
    return price * WAD


@dataclass(frozen=True, slots=True)
class Linear:
    """``P(s) = price + slope s``.

    Attributes
    ----------
    price : int
        Wei of quote per token at supply 0.
    slope : int
        Wei by which the price rises per token; not both 0.
    """

    price: int
    slope: int

    def __post_init__(self) -> None:
        whole(self.price, "the price of a curve", 0, MAX_RESERVE, ConfigError)
        whole(self.slope, "the slope of a curve", 0, MAX_RESERVE, ConfigError)
        if not self.price + self.slope:
            raise ConfigError("a curve with price 0 and slope 0 gives its tokens away; raise one of them")

    @property
    def limit(self) -> int:
        """Largest supply in wei."""
        return MAX_RESERVE

    def price_at(self, supply: int, unit: int = WAD) -> int:
        """Return the price at a supply in wei: quote per token times `unit`, rounded down."""
        return (self.price * WAD + self.slope * supply) * unit // WAD**2

    def area(self, supply: int) -> int:
        """Return the integral of the price from 0 to a supply in wei: wei of quote, rounded down."""
        supply = _within(self, supply)
        return supply * (2 * WAD * self.price + self.slope * supply) // (2 * WAD**2)


@dataclass(frozen=True, slots=True)
class Exponential:
    """``P(s) = price e**(rate s)``.

    Attributes
    ----------
    price : int
        Wei of quote per token at supply 0.
    rate : int
        Growth per 10**18 tokens: 2 * 10**14 is 0.0002 per token.
    """

    price: int
    rate: int

    def __post_init__(self) -> None:
        _scale(self.price, self.rate)

    @property
    def limit(self) -> int:
        """Largest supply in wei: its exponent is at most :data:`MAX_EXPONENT`."""
        return min(MAX_RESERVE, MAX_EXPONENT * WAD**2 // self.rate)

    def price_at(self, supply: int, unit: int = WAD) -> int:
        """Return the price at a supply in wei: quote per token times `unit`, rounded down."""
        return self.price * unit * self._growth(supply) // (WAD * fixed.ONE)

    def area(self, supply: int) -> int:
        """Return ``price / rate (e**(rate s) - 1)`` for a supply in wei: wei of quote, rounded down."""
        return _scale(self.price, self.rate) * (self._growth(supply) - fixed.ONE) // (self.rate * fixed.ONE)

    def _growth(self, supply: int) -> int:
        mantissa, k = fixed.exp(_exponent(self.rate, _within(self, supply)))
        return mantissa << k


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """``P(s) = price / (1 + e**(-rate (s - middle)))``, seed "Token Bonding", Eq. 3.

    Attributes
    ----------
    price : int
        Wei of quote per token that the curve approaches. The seed calls it the initial price, which it is not: at supply
        0 the price is ``price / (1 + e**(rate middle))``, half of `price` at the middle.
    rate : int
        The seed's alpha, per 10**18 tokens: 2 * 10**14 is 0.0002 per token.
    middle : int
        The seed's s0: supply in wei at which the price is half of `price`.
    """

    price: int
    rate: int
    middle: int

    def __post_init__(self) -> None:
        _scale(self.price, self.rate)
        whole(self.middle, "the middle of a curve", 0, MAX_RESERVE, ConfigError)

    @property
    def limit(self) -> int:
        """Largest supply in wei."""
        return MAX_RESERVE

    def price_at(self, supply: int, unit: int = WAD) -> int:
        """Return the price at a supply in wei: quote per token times `unit`, rounded down."""
        exponent = _exponent(self.rate, supply - self.middle)
        low, k = fixed.exp(-min(abs(exponent), FAR))
        high = 1 << fixed.PLACES - k
        return self.price * unit * (high if exponent >= 0 else low) // (WAD * (high + low))

    def area(self, supply: int) -> int:
        """Return ``price / rate (softplus(rate (s - middle)) - softplus(-rate middle))``: wei of quote, rounded down."""
        there, begin = (_exponent(self.rate, s - self.middle) for s in (_within(self, supply), 0))
        height = fixed.softplus(there) - fixed.softplus(begin)
        return _scale(self.price, self.rate) * height // (self.rate * fixed.ONE)


Curve: TypeAlias = Linear | Exponential | Sigmoid


def _within(curve: Curve, supply: int) -> int:
    if not 0 <= supply <= curve.limit:
        raise RefusedError(f"a supply of {supply} wei is outside of the curve's range; keep it from 0 to {curve.limit}")
    return supply
