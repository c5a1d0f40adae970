"""A set of assets in fixed proportions of value, rebalanced every seven days, seed "Token Bonding", section 4.3.5.

The seed leaves its fees open (A, B and C per cent); they are parameters here. Its momentum acts on the price of a bonding
curve and is computed in :mod:`protocol.ltft.momentum`. The fund compares itself with an equally weighted basket, which pays
for its trades as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from fund.units import PICO, PPM, SECOND_US
from protocol.errors import DataError, RefusedError
from protocol.ltft.wei import div_up

#: The seed's rebalancing period.
PERIOD_US = 7 * 86_400 * SECOND_US
Number = int | Fraction


class Rebalanced(NamedTuple):
    """Units of each asset after a rebalance, the value then, the fee paid and the value traded; exact."""

    units: tuple[Fraction, ...]
    value: Fraction
    fee: Fraction
    traded: Fraction


def basket_value(units: Sequence[Number], prices: Sequence[Number]) -> Fraction:
    """Return ``sum of v_j P_j``, Eq. 6 of the seed; exact.

    Raises
    ------
    DataError
        Lengths differ, units are negative or a price is not positive.
    """
    if len(units) != len(prices) or min(units, default=0) < 0 or min(prices, default=1) <= 0:
        raise DataError(
            f"{len(units)} units and {len(prices)} prices: one of each, units not negative, prices positive"
        )
    return sum((Fraction(unit) * price for unit, price in zip(units, prices, strict=True)), Fraction(0))


def rebalance(
    units: Sequence[Number], prices: Sequence[Number], weights: Sequence[Number], fee: Number, explicit: bool = False
) -> Rebalanced:
    """Bring the values of a basket's assets into the proportions `weights`; the fee is paid from the basket.

    ``V' = V - fee · sum |w_j V' - u_j P_j|``, solved exactly: the right side is piecewise linear in V', so the solution
    is found in a few steps. With `explicit` the fee is that of trading
    towards ``w_j V``, and all units are scaled down for it afterwards.

    Parameters
    ----------
    units, prices, weights : (k,) int or Fraction
        Weights are not negative and add up to 1.
    fee : int or Fraction
        Fraction of the value traded, buys and sells, 0 to less than 1.
    explicit : bool

    Raises
    ------
    DataError
        Weights or the fee are out of range, or as :func:`basket_value`.
    """
    before = basket_value(units, prices)
    if len(weights) != len(units) or min(weights, default=0) < 0 or sum(weights) != 1 or not 0 <= fee < 1:
        raise DataError(
            f"weights {list(weights)!r:.200}, fee {fee}: one weight per asset, sum 1, fee from 0 to below 1"
        )
    values = [Fraction(unit) * price for unit, price in zip(units, prices, strict=True)]
    exact = [Fraction(weight) for weight in weights]

    def trades(total: Fraction) -> Fraction:
        return sum((abs(w * total - held) for w, held in zip(exact, values, strict=True)), Fraction(0))

    after = before - fee * trades(before) if explicit else _solved(before, values, exact, Fraction(fee))
    new = tuple(w * after / price for w, price in zip(exact, prices, strict=True))
    return Rebalanced(new, after, before - after, trades(before if explicit else after))


def _solved(before: Fraction, values: Sequence[Fraction], weights: Sequence[Fraction], fee: Fraction) -> Fraction:
    """Return V' by Newton's steps from above; V' + fee · traded is convex and rises, so they end at the solution."""
    after = before
    while True:
        side = [1 if w * after > held else -1 for w, held in zip(weights, values, strict=True)]
        paid = sum((sign * held for sign, held in zip(side, values, strict=True)), Fraction(0))
        slope = sum((sign * w for sign, w in zip(side, weights, strict=True)), Fraction(0))
        new = (before + fee * paid) / (1 + fee * slope)
        if new == after:
            return after
        after = new


@dataclass(frozen=True, slots=True)
class Basket:
    """A basket that is kept in whole numbers, so that years of rebalancing stay exact and short.

    Attributes
    ----------
    assets : tuple of str
    weights : tuple of Fraction
    units : tuple of int
        10**-18 of a unit of each asset.
    cash : int
        Wei that roundings left over.
    time : int
        Of creation or of the last rebalance, microseconds since 1970 UTC.
    fee_ppm : int
        Of the value traded in a rebalance.
    """

    assets: tuple[str, ...]
    weights: tuple[Fraction, ...]
    units: tuple[int, ...]
    cash: int
    time: int
    fee_ppm: int

    @classmethod
    def created(
        cls,
        amount: int,
        assets: Sequence[str],
        prices: Sequence[int],
        time: int,
        *,
        fee_ppm: int,
        creation_ppm: int = 0,
        weights: Sequence[Fraction] = (),
    ) -> Basket:
        """Return a basket bought for `amount` wei, in equal weights unless others are given.

        Parameters
        ----------
        amount : int
        assets : sequence of str
        prices : sequence of int
            Picos.
        time : int
        fee_ppm : int
            Of value traded, at creation and rebalances (the seed's A and C).
        creation_ppm : int
            Once, of the amount (the seed's B).
        weights : sequence of Fraction

        Raises
        ------
        DataError
            No assets, a name twice, a price or amount that is not positive, or weights that do not add up to 1.
        """
        shares = tuple(weights) or (Fraction(1, max(1, len(assets))),) * len(assets)
        if not assets or len(set(assets)) < len(assets) or len(prices) != len(assets) or min(amount, *prices) <= 0:
            raise DataError(
                f"basket of {list(assets)!r:.200} for {amount} wei: one positive price for each, no name twice"
            )
        if len(shares) != len(assets) or min(shares) < 0 or sum(shares) != 1:
            raise DataError(f"weights {shares!r:.200}: one per asset, not negative, sum 1")
        if not (0 <= fee_ppm < PPM and 0 <= creation_ppm < PPM):
            raise DataError(f"fees of {fee_ppm} and {creation_ppm} millionths must be below the whole")
        left = amount - div_up(amount * creation_ppm, PPM)
        spend = left * PPM // (PPM + fee_ppm)
        units = tuple(int(spend * share / price * PICO) for share, price in zip(shares, prices, strict=True))
        bought = div_up(sum(unit * price for unit, price in zip(units, prices, strict=True)), PICO)
        return cls(tuple(assets), shares, units, left - bought - div_up(bought * fee_ppm, PPM), time, fee_ppm)

    def value(self, prices: Sequence[int]) -> int:
        """Return the wei of the basket at `prices` (picos), rounded down."""
        return self.cash + int(basket_value(self.units, prices) / PICO)

    def due(self, time: int) -> bool:
        """Return whether seven days have passed since the last rebalance."""
        return time - self.time >= PERIOD_US

    def rebalanced(self, prices: Sequence[int], time: int) -> Basket:
        """Return the basket in its proportions again; roundings go to its cash.

        Raises
        ------
        RefusedError
            Seven days have not passed.
        DataError
            A price (picos) is not positive, or one is missing.
        """
        if not self.due(time):
            raise RefusedError(f"the basket was rebalanced at {self.time}; the next time is {self.time + PERIOD_US}")
        exact = rebalance(self.units, prices, self.weights, Fraction(self.fee_ppm, PPM))
        units = tuple(int(unit) for unit in exact.units)
        dust = exact.value - basket_value(units, prices)
        return replace(self, units=units, cash=self.cash + int(dust / PICO), time=time)
