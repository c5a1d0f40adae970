"""A market maker on a bonding curve: it mints what is bought from it and burns what is sold to it.

Every trade is rounded against the trader by whole wei, and the success multiplier raises what buyers pay but never what
sellers get. So the reserve covers all claims at every step, whoever trades in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.curves import Curve
from protocol.ltft.momentum import Band
from protocol.ltft.wei import MAX_RESERVE, WAD, div_up, whole

#: Wei in the reserve's favour per trade: both ends' area is rounded down, and a hair off before that.
MARGIN = 2
MAX_MULTIPLIER = 2 * WAD


@dataclass(frozen=True, slots=True)
class Bonding:
    """A curve, what it has sold and what it holds for that.

    Attributes
    ----------
    curve : Curve
    supply : int
        Wei of the token sold by the curve less those it took back. Tokens made elsewhere are not in it: they can be sold
        here too, but never more than `supply` in all.
    reserve : int
        Wei of quote, at least `claims`.
    maximum : int
        Most the curve ever sells: the seed's S_max, in wei.

    Raises
    ------
    ConfigError
        A number is not whole or out of range, or the reserve is less than the claims.
    """

    curve: Curve
    supply: int = 0
    reserve: int = 0
    maximum: int = MAX_RESERVE

    def __post_init__(self) -> None:
        whole(self.maximum, "the maximum of a curve", 0, MAX_RESERVE, ConfigError)
        whole(self.supply, "the supply of a curve", 0, min(self.maximum, self.curve.limit), ConfigError)
        whole(self.reserve, "the reserve of a curve", self.claims, MAX_RESERVE, ConfigError)

    @property
    def claims(self) -> int:
        """Wei of quote that all of `supply` would fetch at most."""
        return self.curve.area(self.supply)

    @property
    def price(self) -> int:
        """Wei of quote per token at the margin, before any multiplier, rounded down."""
        return self.curve.price_at(self.supply)

    @property
    def room(self) -> int:
        """Wei of the token that the curve still sells."""
        return min(self.maximum, self.curve.limit) - self.supply

    def cost(self, tokens: int, multiplier: int = WAD) -> int:
        """Return what `tokens` wei cost, in wei of quote: (area + 2 wei) times the multiplier, rounded up.

        Parameters
        ----------
        tokens : int
            1 to `room`.
        multiplier : int
            The seed's M(t), Eq. 4, times 10**18: 10**18 to 2 * 10**18; see :mod:`protocol.ltft.success`.

        Raises
        ------
        RefusedError
            A number is not whole or out of range.
        """
        whole(tokens, "the amount bought", 1, self.room)
        whole(multiplier, "the multiplier", WAD, MAX_MULTIPLIER)
        area = self.curve.area(self.supply + tokens) - self.claims
        return div_up((max(area, 0) + MARGIN) * multiplier, WAD)

    def refund(self, tokens: int) -> int:
        """Return what `tokens` wei fetch, in wei of quote: the area less 2 wei, 0 if there is no more.

        Raises
        ------
        RefusedError
            `tokens` is not whole or not from 1 to `supply`.
        """
        whole(tokens, "the amount sold", 1, self.supply)
        return max(0, self.claims - self.curve.area(self.supply - tokens) - MARGIN)

    def tokens_for(self, budget: int, multiplier: int = WAD) -> int:
        """Return the most tokens, in wei, whose cost is within `budget` wei of quote; 0 if there are none.

        Raises
        ------
        RefusedError
            A number is not whole or out of range.
        """
        whole(budget, "the budget")
        low, high = 0, self.room
        while low < high:
            middle = (low + high + 1) // 2
            if self.cost(middle, multiplier) <= budget:
                low = middle
            else:
                high = middle - 1
        return low

    def buy(
        self, tokens: int, *, maximum_cost: int, multiplier: int = WAD, band: Band | None = None
    ) -> tuple[Bonding, int]:
        """Sell `tokens` wei to a buyer.

        Parameters
        ----------
        tokens, multiplier
            As for :meth:`cost`.
        maximum_cost : int
            Wei of quote.
        band : Band, optional
            Refuse if the price after the trade is above it.

        Returns
        -------
        bonding : Bonding
            After the trade.
        cost : int
            Wei of quote to pay.

        Raises
        ------
        RefusedError
            The cost is above `maximum_cost`, or a number out of range, or the price after it out of the band.
        """
        cost = self.cost(tokens, multiplier)
        if cost > maximum_cost:
            raise RefusedError(f"{tokens} wei cost {cost}, more than {maximum_cost}; buy fewer or raise the maximum")
        whole(self.reserve + cost, "the reserve after the trade", 0, MAX_RESERVE)
        after = replace(self, supply=self.supply + tokens, reserve=self.reserve + cost)
        if band and after.price > band.high:
            raise RefusedError(f"the price would rise to {after.price}, above {band.high}; buy fewer or wait")
        return after, cost

    def sell(self, tokens: int, *, minimum_out: int = 1, band: Band | None = None) -> tuple[Bonding, int]:
        """Take `tokens` wei back from a seller; the mirror of :meth:`buy`, without a multiplier.

        Raises
        ------
        RefusedError
            Less than `minimum_out` or nothing would be paid, or a number out of range, or the price after it below the band.
        """
        paid = self.refund(tokens)
        if paid < max(1, minimum_out):
            raise RefusedError(f"{tokens} wei fetch {paid}, less than {minimum_out}; sell more or lower the minimum")
        after = replace(self, supply=self.supply - tokens, reserve=self.reserve - paid)
        if band and after.price < band.low:
            raise RefusedError(f"the price would fall to {after.price}, below {band.low}; sell fewer or wait")
        return after, paid

    def swept(self) -> tuple[Bonding, int]:
        """Take out of the reserve what no claim needs: what multipliers and roundings left. Returns it in wei of quote."""
        surplus = self.reserve - self.claims
        return replace(self, reserve=self.claims), surplus
