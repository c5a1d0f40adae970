"""The fund's gains buy LTFT from the pool in slices that are not worth a sandwich; what they buy pays the miners.

Whoever buys just before a slice of b and sells just after it gets back at best ``(1 - f)**2 (1 + b/q) (1 + (1 - f) b/q)``
of what was put in, with q the pool's quote before and f its fee; for b = f q, the largest slice, that is about 1 - 3 f**2.
A minimum out from the time-weighted average price bounds what a slice can lose to a price that was pushed. There is one
slice per interval, since two at one time would be one of twice the size.

It does not protect against those who buy early, hold through many slices and find nobody to sell against them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import Literal

from protocol.consensus.shares import apportion
from protocol.errors import ConfigError, RefusedError
from protocol.ltft.emission import HEAD_PERIOD_S
from protocol.ltft.pool import Pool, amount_out
from protocol.ltft.twap import MAX_TIME, PLACES
from protocol.ltft.wei import PPM, div_up, part, whole

#: Largest slice, millionths of the pool's quote reserve.
MAX_SLICE_PPM = 3_000
#: A third below, which leaves a sandwich a loss of 0.2 % instead of next to none.
SLICE_PPM = 2_000
#: The fee takes 0.3 %, the slice itself 0.2 %; the rest is for the market to move in within a window.
TOLERANCE_PPM = 20_000
Reason = Literal["bought", "nothing left", "too early", "no average price yet", "price above the average", "dust"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How to buy back.

    Attributes
    ----------
    slice_ppm : int
        Largest slice, millionths of the pool's depth: 1 to 3000; never more than the pool's fee.
    tolerance_ppm : int
        How much less than the average price promises a slice may fetch, fee and own impact included.
    interval : int
        Seconds between slices, at least 1.
    burn_ppm : int
        Millionths of what is bought that are burned; the rest goes to the rewards.

    Raises
    ------
    ConfigError
        A number is not whole or out of range.
    """

    slice_ppm: int = SLICE_PPM
    tolerance_ppm: int = TOLERANCE_PPM
    interval: int = HEAD_PERIOD_S
    burn_ppm: int = 0

    def __post_init__(self) -> None:
        whole(self.slice_ppm, "slice_ppm", 1, MAX_SLICE_PPM, ConfigError)
        whole(self.tolerance_ppm, "tolerance_ppm", 0, PPM - 1, ConfigError)
        whole(self.interval, "the interval", 1, MAX_TIME, ConfigError)
        whole(self.burn_ppm, "burn_ppm", 0, PPM, ConfigError)


@dataclass(frozen=True, slots=True)
class Slice:
    """Quote that is planned to be spent at a time."""

    time: int
    quote: int


@dataclass(frozen=True, slots=True)
class Fill:
    """What one step did.

    Attributes
    ----------
    spent : int
        Wei of quote.
    rewarded, burned : int
        Wei of LTFT bought, by where they go.
    reason : str
        "bought", or why nothing was.
    """

    spent: int
    rewarded: int
    burned: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Buyback:
    """Money waiting to be spent on LTFT.

    Attributes
    ----------
    budget : int
        Wei of quote left.
    next_time : int
        Unix seconds before which nothing is bought.
    terms : Terms

    Raises
    ------
    ConfigError
        A number is not whole or out of range.
    """

    budget: int = 0
    next_time: int = 0
    terms: Terms = Terms()

    def __post_init__(self) -> None:
        whole(self.budget, "the budget of a buyback", error=ConfigError)
        whole(self.next_time, "the time of the next slice", 0, MAX_TIME, ConfigError)

    def funded(self, quote: int) -> Buyback:
        """Return the buyback with `quote` more wei to spend."""
        return replace(self, budget=self.budget + whole(quote, "the quote given"))

    def limit(self, pool: Pool) -> int:
        """Return the largest slice in wei of quote: a share of the quote the pool holds, or would at the average price.

        The smaller of the two. A slice that grew with what an attacker has just paid in would be worth a sandwich.
        """
        depth = pool.quote
        if pool.twap.covered >= pool.twap.window:
            depth = min(depth, isqrt((pool.product << PLACES) // pool.twap.mean().ltft_per_quote))
        return part(depth, min(self.terms.slice_ppm, pool.fee_ppm))

    def plan(self, pool: Pool, time: int) -> tuple[Slice, ...]:
        """Return the slices that would spend the budget from `time` on if the pool stayed as deep: as few as can be, equal.

        Raises
        ------
        RefusedError
            The pool is too shallow for a slice of one wei.
        """
        limit = self.limit(pool)
        if not limit:
            raise RefusedError(f"a pool of {pool.quote} wei of quote is too shallow for a slice; add liquidity")
        start, count = max(whole(time, "the time", 0, MAX_TIME), self.next_time), div_up(self.budget, limit)
        quotes = apportion(self.budget, [1] * count) if count else ()
        return tuple(Slice(start + place * self.terms.interval, quote) for place, quote in enumerate(quotes))

    def minimum_out(self, pool: Pool, quote: int) -> int:
        """Return the least LTFT that `quote` wei may fetch: the average LTFT per quote less the tolerance, rounded up.

        The average of LTFT per quote, not of its inverse: pushing the price up for a part of the window takes at most
        that part from it, however far, while the mean of the price has no such bound.

        Raises
        ------
        RefusedError
            The pool's averages do not cover their window yet.
        """
        expected = quote * pool.twap.mean().ltft_per_quote
        return div_up(expected * (PPM - self.terms.tolerance_ppm), PPM << PLACES)

    def step(self, pool: Pool, time: int) -> tuple[Buyback, Pool, Fill]:
        """Buy the slice that is due at `time`, Unix seconds, if there is one and the price is right.

        Missed slices are not made up for; one that the price forbids is tried again an interval later.

        Returns
        -------
        buyback, pool
            After the step; the pool's averages are up to `time`.
        fill : Fill

        Raises
        ------
        RefusedError
            `time` is before the pool's last trade.
        """
        pool = pool.at(time)
        waiting: Reason | None = "nothing left" if not self.budget else "too early" if time < self.next_time else None
        if waiting:
            return self, pool, Fill(0, 0, 0, waiting)
        later = replace(self, next_time=time + self.terms.interval)
        quote = min(self.budget, self.limit(pool))
        if pool.twap.covered < pool.twap.window:
            return later, pool, Fill(0, 0, 0, "no average price yet")
        bought = amount_out(quote, pool.quote, pool.ltft, pool.fee_ppm) if quote else 0
        if not bought:
            return later, pool, Fill(0, 0, 0, "dust")
        if bought < self.minimum_out(pool, quote):
            return later, pool, Fill(0, 0, 0, "price above the average")
        after, bought = pool.buy(quote, time=time)
        burned = part(bought, self.terms.burn_ppm)
        return replace(later, budget=self.budget - quote), after, Fill(quote, bought - burned, burned, "bought")
