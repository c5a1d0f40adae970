"""Momentum damping and the price-change limiter of the bonding curve, seed "Token Bonding", section 4.3.4 and 4.3.1.

The seed's mean of price changes telescopes: only the newest price and the one a window before it matter. The seed does
not say how the momentum acts. As a price to trade at, ``P - mu dt`` would sell below the curve while it rises and buy
above it while it falls, at the reserve's expense. Here it moves the band in which a trade may leave the price: after a
rise there is less room above and more below, after a fall the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.wei import PPM, WAD, div_up, whole

#: The seed's smoothing coefficient, times 10**18.
BETA = 7 * WAD // 10
#: The seed's window of 24 h, in HEAD periods.
WINDOW = 144


class Band(NamedTuple):
    """Prices between which a trade may leave a curve, wei of quote per token."""

    low: int
    high: int


def momentum(prices: Sequence[int], *, beta: int = BETA, window: int = WINDOW, step: int = 1) -> int:
    """Return ``mu = beta (P_t - P_(t-T)) / (T dt)``, Eq. 5 with its sum done; 0 for a single price.

    Parameters
    ----------
    prices : (n,) int
        At equal steps, the newest last, at least one; wei of quote per token.
    beta : int
        0 to 1, times 10**18.
    window : int
        T in steps; as many as there are if there are fewer.
    step : int
        dt, in the unit of time that the result is to be per.

    Returns
    -------
    int
        Wei of quote per token and unit of time, of either sign, rounded towards 0 (as Solidity divides).

    Raises
    ------
    ConfigError, RefusedError
        A parameter, a price is not whole or out of range; there is no price.
    """
    change, steps = _change(prices, beta, window)
    size = abs(change) // (steps * whole(step, "the step", 1, error=ConfigError) * WAD)
    return size if change >= 0 else -size


def damped(prices: Sequence[int], *, beta: int = BETA, window: int = WINDOW) -> int:
    """Return ``P_t - mu dt``: the newest price less `beta` times the mean change per step; wei, rounded down, at least 0.

    Raises
    ------
    ConfigError, RefusedError
        As :func:`momentum`.
    """
    change, steps = _change(prices, beta, window)
    return (prices[-1] * steps * WAD - change) // (steps * WAD)


def band(prices: Sequence[int], *, limit_ppm: int, beta: int = BETA, window: int = WINDOW) -> Band:
    """Return the price-change limiter: at most `limit_ppm` millionths from the damped price, either way.

    Parameters
    ----------
    prices, beta, window
        As for :func:`momentum`: the price at the end of each period.
    limit_ppm : int
        At most 10**6.

    Returns
    -------
    Band
        For the period that begins; the lower end rounded up, the upper down.

    Raises
    ------
    ConfigError, RefusedError
        As :func:`momentum`.
    """
    whole(limit_ppm, "limit_ppm", 0, PPM, ConfigError)
    middle = damped(prices, beta=beta, window=window)
    return Band(div_up(middle * (PPM - limit_ppm), PPM), middle * (PPM + limit_ppm) // PPM)


def _change(prices: Sequence[int], beta: int, window: int) -> tuple[int, int]:
    """Return `beta` times the change over the window, times 10**18, and the steps of the window."""
    whole(beta, "beta", 0, WAD, ConfigError)
    whole(window, "the window", 1, error=ConfigError)
    if not prices:
        raise RefusedError("momentum needs at least one price")
    steps = min(window, len(prices) - 1)
    newest, oldest = (whole(prices[place], "a price") for place in (-1, -1 - steps))
    return beta * (newest - oldest), max(steps, 1)
