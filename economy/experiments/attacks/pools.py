"""A trader against a topic's constant-product pool: what rounding would give away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from economy.experiments.attacks.row import Row
from protocol.consensus.yuma.pools import Pool, buy, sell

#: Pays an amount of TAO (first) or of alpha (second) into a pool of whole wei; returns the pool after it, and what it fetched.
Trades = tuple[Callable[[Pool[int], int], tuple[Pool[int], int]], Callable[[Pool[int], int], tuple[Pool[int], int]]]

TRADES = 500
RULE: Trades = (buy, sell)


def _upwards(paid: int, into: int, out_of: int) -> int:
    """Return what the trade fetches, rounded for the trader; one wei always stays."""
    return min(-(-out_of * paid // (into + paid)), out_of - 1)


def _generous_buy(pool: Pool[int], tao: int) -> tuple[Pool[int], int]:
    got = _upwards(tao, pool.tao, pool.alpha)
    return Pool(pool.tao + tao, pool.alpha - got, pool.outstanding + got), got


def _generous_sell(pool: Pool[int], alpha: int) -> tuple[Pool[int], int]:
    got = _upwards(alpha, pool.alpha, pool.tao)
    return Pool(pool.tao - got, pool.alpha + alpha, pool.outstanding - alpha), got


GENEROUS: Trades = (_generous_buy, _generous_sell)


def drained(seed: int, reserve: int, trades: Trades) -> tuple[float, int]:
    """Return a trader's profit as a share of the TAO in the pool, and how many trades lowered tao times alpha.

    The trader buys and sells dust and large amounts 500 times, then sells all it holds.

    Parameters
    ----------
    seed
        Of sides and amounts.
    reserve
        TAO and alpha in the pool at first, wei.
    trades
        Buy and sell.
    """
    random = np.random.default_rng(seed)
    buying, selling = trades
    pool = Pool(reserve, reserve, 0)
    fell = held = spent = 0
    for step in range(TRADES + 1):
        depth = pool.tao * pool.alpha
        size = 1 + int(reserve * 10 ** random.uniform(-18, 0)) // 2
        if step == TRADES:
            pool, got = selling(pool, held)
            held, spent = 0, spent - got
        elif random.random() < 0.5 and held:
            paid = min(size, held)
            pool, got = selling(pool, paid)
            held, spent = held - paid, spent - got
        else:
            pool, got = buying(pool, size)
            held, spent = held + got, spent + size
        fell += pool.tao * pool.alpha < depth
    return float(Fraction(-spent, reserve)), fell


def pool_drain(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a trader gains with the protocol's rounding, and with rounding the other way."""
    for reserve in (1_000, 10**24):
        for on, trades in ((True, RULE), (False, GENEROUS)):
            done = [drained(seed, reserve, trades) for seed in seeds]
            row = partial(
                Row.over,
                attack="pool-drain",
                setting=f"{TRADES} trades by one trader, {reserve:.0e} wei of each in the pool",
                defence="rounding against the trader",
                on=on,
            )
            profits, falls = [profit for profit, _ in done], [fell for _, fell in done]
            yield row(
                profits,
                measure="profit over the pool's TAO",
                unit="share",
                verdict=(
                    "buying and selling never profits"
                    if max(profits) <= 0
                    else "the pool can be drained"
                    if max(profits) > 0.01
                    else "dust is given away"
                ),
            )
            yield row(
                falls,
                measure="trades that lowered tao times alpha",
                unit="trades",
                verdict="the product never falls" if max(falls) == 0 else "the product falls",
            )
