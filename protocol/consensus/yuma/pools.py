"""Dynamic TAO: every topic's token, alpha, trades against TAO in a constant-product pool, and its price sets its emission.

A pool counts in whole wei or in floats, by what it is made of; one formula serves both, and whole wei are always rounded
against the trader. Prices are TAO per alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf
from typing import Any, Generic, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.yuma.consensus import shares
from protocol.consensus.yuma.split import Amount, amounts, exact_share, share, whole
from protocol.errors import ConfigError, DataError, RefusedError

#: Moving prices count at most this many TAO per alpha.
PRICE_CAP = 1.0
#: subtensor's moving average: 0.000003 of the newest price per block, reached at half after 28 days of blocks of 12 s.
MOVING_ALPHA = 0.000003
HALVING_BLOCKS = 201_600


@dataclass(frozen=True, slots=True)
class Pool(Generic[Amount]):
    """One topic's market.

    Attributes
    ----------
    tao, alpha
        Reserves, both positive; whole wei if both are `int`, else floats.
    outstanding
        Alpha outside of the pool: bought and emitted, less sold; what can still be sold.
    """

    tao: Amount
    alpha: Amount
    outstanding: Amount

    def __post_init__(self) -> None:
        for name in ("tao", "alpha", "outstanding"):
            value = getattr(self, name)
            if self.in_wei:
                whole(value, name)
            else:
                object.__setattr__(self, name, float(amounts(value, name, 0)))
        if not (self.tao > 0 and self.alpha > 0 and 0 < self.price < inf):
            raise DataError(f"a pool of {self.tao} TAO and {self.alpha} alpha has no price; both must be positive")

    @property
    def in_wei(self) -> bool:
        """Whether the pool counts in whole wei."""
        return type(self.tao) is int and type(self.alpha) is int

    @property
    def price(self) -> float:
        """Spot price, TAO per alpha."""
        return self.tao / self.alpha


def buy(
    pool: Pool[Amount], tao: Amount, fee: Fraction | float = 0, at_least: Amount | None = None
) -> tuple[Pool[Amount], Amount]:
    """Pay `tao` into the pool for alpha.

    Parameters
    ----------
    pool : Pool
    tao
        Not negative, in the pool's unit.
    fee
        Share of `tao` that stays in the pool for nothing, from 0 to 1; an exact fraction where the pool counts in wei.
    at_least
        Alpha below which the trade is refused: the trader's limit against those who trade before it.

    Returns
    -------
    pool : Pool
        After the trade; its ``tao alpha`` is not smaller.
    alpha
        ``alpha net / (tao + net)`` of the reserves, with `net` the amount less the fee.

    Raises
    ------
    ConfigError, DataError, RefusedError
        A bad fee; a bad amount, or floats for a pool in wei; the alpha is less than `at_least`.
    """
    paid, got, left = _traded(pool, tao, pool.tao, pool.alpha, fee)
    _check_limit(got, at_least, "alpha")
    return Pool(pool.tao + paid, left, pool.outstanding + got), got


def sell(
    pool: Pool[Amount], alpha: Amount, fee: Fraction | float = 0, at_least: Amount | None = None
) -> tuple[Pool[Amount], Amount]:
    """Pay `alpha` into the pool for TAO; the mirror of :func:`buy`.

    Raises
    ------
    ConfigError, DataError, RefusedError
        As :func:`buy`; more alpha is sold than is outstanding.
    """
    paid, got, left = _traded(pool, alpha, pool.alpha, pool.tao, fee)
    if paid > pool.outstanding:
        raise RefusedError(
            f"{paid} alpha cannot be sold: only {pool.outstanding} are outside of the pool; sell at most that"
        )
    _check_limit(got, at_least, "TAO")
    return Pool(left, pool.alpha + paid, pool.outstanding - paid), got


def _traded(pool: Pool[Any], amount: float, into: Any, out_of: Any, fee: Fraction | float) -> tuple[Any, Any, Any]:
    """Return the checked amount, what it fetches and what is left: always something, because ``into`` is positive."""
    if pool.in_wei:
        kept = exact_share(cast("Fraction", fee), "fee")
        paid = whole(cast("int", amount), "amount")
        net = paid * (kept.denominator - kept.numerator) // kept.denominator
        got = out_of * net // (into + net)
        return paid, got, out_of - got
    value = float(amounts(amount, "amount", 0))
    rest = value * (1 - float(share(fee, "fee")))
    left = out_of * (
        into / (into + rest)
    )  # not what is taken subtracted: after a huge trade no digit of that would be right
    return value, out_of * (rest / (into + rest)), left


def _check_limit(got: Amount, at_least: Amount | None, unit: str) -> None:
    if at_least is not None and got < at_least:
        raise RefusedError(f"the trade fetches {got} {unit}, less than the limit {at_least}; lower the limit or wait")


@dataclass(frozen=True, slots=True)
class Emission:
    """What one block adds to the topics, each (n,) float64.

    Attributes
    ----------
    tao_in, alpha_in
        Liquidity added to the pools, in the ratio of the price, so that it does not move it.
    alpha_out
        Alpha emitted to the topic's owner, miners and validators; see :mod:`protocol.consensus.yuma.split`.
    excess
        TAO that the cap on `alpha_in` keeps out of the liquidity; it buys alpha for the protocol instead.
    """

    tao_in: NDArray[np.float64]
    alpha_in: NDArray[np.float64]
    alpha_out: NDArray[np.float64]
    excess: NDArray[np.float64]


def emission_shares(moving_price: ArrayLike, burned: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return each topic's share of the block's TAO: its moving price over their sum.

    Parameters
    ----------
    moving_price : (n,) float
        TAO per alpha, not negative.
    burned : (n,) float, optional
        Share of its miners' emission that a topic withholds, 0 to 1; the runtime of 2026 multiplies prices by one minus it,
        unless that leaves nobody anything.

    Returns
    -------
    (n,) float64
        Adds up to one; all zero where no price is positive.

    Raises
    ------
    DataError
        A price or share is negative, not finite or above one; the lengths differ.
    """
    price = amounts(moving_price, "moving_price")
    if burned is not None:
        withheld = amounts(burned, "burned")
        if withheld.shape != price.shape or (withheld > 1).any():
            raise DataError(f"burned {withheld} must have {price.size} shares from 0 to 1, one per moving price")
        kept = price * (1 - withheld)
        price = kept if kept.any() else price
    return shares(price)


def block_emission(
    pools: Sequence[Pool[float]],
    topic_shares: ArrayLike,
    tao: float,
    alpha: ArrayLike,
    cap: ArrayLike | None = None,
) -> Emission:
    """Return what one block adds to the topics.

    ``tao_in = share tao`` and ``alpha_in = tao_in / price``, unless that is above the cap: then ``alpha_in = cap`` and
    ``tao_in = cap price``. subtensor ``get_subnet_terms``.

    Parameters
    ----------
    pools : sequence of n Pool
    topic_shares : (n,) float
        See :func:`emission_shares`.
    tao : float
        TAO of the block.
    alpha : float or (n,) float
        Alpha that each topic emits.
    cap : float or (n,) float, optional
        Most alpha to add as liquidity: `alpha` by default; the runtime of 2026 multiplies it by
        :func:`protocol.consensus.yuma.root.root_proportion`.

    Raises
    ------
    DataError
        An amount is negative or not finite; the lengths differ; a pool counts in wei.
    """
    price = _prices(pools)
    divided = amounts(topic_shares, "topic_shares")
    if divided.shape != price.shape:
        raise DataError(f"topic_shares {divided.shape} and pools ({price.size},) must have one entry per topic")
    out = _per_topic(alpha, "alpha", price.size)
    limit = out if cap is None else _per_topic(cap, "cap", price.size)
    given = divided * float(amounts(tao, "tao", 0))
    with np.errstate(over="ignore"):  # beyond the floats is beyond the cap
        capped = given / price > limit
        tao_in = np.where(capped, np.minimum(limit * price, given), given)
    alpha_in = np.where(capped, limit, tao_in / price)
    return Emission(tao_in, alpha_in, out, given - tao_in)


def emitted(pools: Sequence[Pool[float]], emission: Emission) -> tuple[Pool[float], ...]:
    """Return the pools after a block's emission: liquidity first, then the excess buys alpha, which stays outstanding.

    Raises
    ------
    DataError
        There is not one entry of the emission per pool, or a pool counts in wei.
    """
    if emission.tao_in.shape != _prices(pools).shape:
        raise DataError(f"emission for {emission.tao_in.size} topics and {len(pools)} pools must match")
    after = []
    for pool, tao_in, alpha_in, alpha_out, excess in zip(
        pools, emission.tao_in, emission.alpha_in, emission.alpha_out, emission.excess, strict=True
    ):
        grown = replace(
            pool, tao=pool.tao + tao_in, alpha=pool.alpha + alpha_in, outstanding=pool.outstanding + alpha_out
        )
        after.append(buy(grown, float(excess))[0])
    return tuple(after)


def moving_price(
    moving: ArrayLike, pools: Sequence[Pool[float]], weight: ArrayLike, price_cap: float = PRICE_CAP
) -> NDArray[np.float64]:
    """Return the moving averages one block on: ``(1 - weight) moving + weight min(price, price_cap)``.

    Emission follows this price, so that pushing the spot price for a moment gains nothing. subtensor ``update_moving_price``.

    Parameters
    ----------
    moving : (n,) float
        TAO per alpha.
    pools : sequence of n Pool
        After the block's trades and emission.
    weight : float or (n,) float
        Of the newest price, 0 to 1; see :func:`moving_weight`.
    price_cap : float
        TAO per alpha.

    Raises
    ------
    DataError
        A value is negative, not finite or out of range; the lengths differ; a pool counts in wei.
    """
    before = amounts(moving, "moving")
    price = _prices(pools)
    if before.shape != price.shape:
        raise DataError(f"moving {before.shape} and pools ({price.size},) must have one entry per topic")
    newest = _per_topic(weight, "weight", price.size)
    if (newest > 1).any():
        raise DataError(f"weight is {newest.max()}; give shares from 0 to 1")
    capped = np.minimum(price, float(amounts(price_cap, "price_cap", 0)))
    return np.asarray((1 - newest) * before + newest * capped)


def moving_weight(
    blocks: ArrayLike, moving_alpha: float = MOVING_ALPHA, halving_blocks: float = HALVING_BLOCKS
) -> NDArray[np.float64]:
    """Return the weight of the newest price, ``moving_alpha blocks / (blocks + halving_blocks)``: young topics move slowly.

    Parameters
    ----------
    blocks : (n,) float
        Since the topic began to trade.
    moving_alpha, halving_blocks : float
        Final weight, 0 to 1, and the blocks after which half of it is reached; at least one block.

    Raises
    ------
    ConfigError, DataError
        A parameter is out of range; a number of blocks is negative or not finite.
    """
    share(moving_alpha, "moving_alpha")
    if not halving_blocks >= 1:
        raise ConfigError(f"halving_blocks is {halving_blocks}; give at least 1")
    age = amounts(blocks, "blocks")
    return np.asarray(moving_alpha * age / (age + halving_blocks))


def _prices(pools: Sequence[Pool[float]]) -> NDArray[np.float64]:
    for place, pool in enumerate(pools):
        if pool.in_wei:
            raise DataError(f"pool {place} counts in wei; emission is in floats: give float reserves")
    return np.array([pool.price for pool in pools], dtype=np.float64)


def _per_topic(values: ArrayLike, name: str, count: int) -> NDArray[np.float64]:
    array = amounts(values, name, min(np.ndim(values), 1))
    if array.shape not in ((), (count,)):
        raise DataError(f"{name} has {array.size} entries for {count} topics; give one each, or one for all")
    return np.broadcast_to(array, (count,)).copy()
