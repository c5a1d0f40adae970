"""Pools of TAO and alpha: trades, emission by moving price, and what nobody can gain from them."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.consensus.yuma.pools import (
    Pool,
    block_emission,
    buy,
    emission_shares,
    emitted,
    moving_price,
    moving_weight,
    sell,
)
from protocol.errors import ConfigError, DataError, RefusedError

CASES = json.loads((Path(__file__).parent / "vectors" / "yuma_money.json").read_text())["cases"]
WEI = st.integers(1, 10**27)
POOLS = st.builds(Pool, WEI, WEI, st.integers(0, 10**27))
RESERVE = st.floats(1e-3, 1e12)
FLOAT_POOLS = st.builds(Pool, RESERVE, RESERVE, st.floats(0, 1e12))
FEES = st.fractions(0, 1)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case["kind"] == "dtao"])
def test_the_blocks_of_the_vectors(case):
    given_ = case["input"]
    pools = [Pool(float(tao), float(alpha), 0.0) for tao, alpha in given_["pools"]]
    ema = np.array(given_["ema_price"])
    for (topic, side, amount), expected in zip(given_["ops"], case["output"], strict=True):
        pools[topic], got = {"buy": buy, "sell": sell}[side](pools[topic], amount)
        emission = block_emission(pools, emission_shares(ema), given_["block_emission"], given_["alpha_emission"])
        pools = list(emitted(pools, emission))
        ema = moving_price(ema, pools, given_["ema_alpha"])
        close(got, expected["got"])
        rows = np.column_stack([emission.tao_in, emission.alpha_in, emission.alpha_out, emission.excess])
        close(rows, expected["emission"])
        close([pool.tao for pool in pools], expected["tao"])
        close([pool.alpha for pool in pools], expected["alpha"])
        close([pool.outstanding for pool in pools], expected["out"])
        close(ema, expected["ema"])


def test_a_trade_small_enough_to_do_by_hand():
    pool, got = buy(Pool(100.0, 400.0, 0.0), 100.0)
    assert (got, pool) == (200.0, Pool(200.0, 200.0, 200.0))
    assert sell(pool, 200.0) == (Pool(100.0, 400.0, 0.0), 100.0)
    assert buy(Pool(100, 400, 0), 7) == (Pool(107, 374, 26), 26)  # 26.17
    assert buy(Pool(100, 400, 0), 100, Fraction(1, 2)) == (Pool(200, 267, 133), 133)  # 400 / 3, the fee stays
    assert buy(Pool(100.0, 400.0, 0.0), 100.0, 0.5)[1] == pytest.approx(400 / 3)


@given(POOLS, WEI, FEES, st.booleans())
def test_whole_wei_never_let_k_fall_nor_empty_a_pool(pool, amount, fee, buys):
    assume(buys or amount <= pool.outstanding)
    after, got = (buy if buys else sell)(pool, amount, fee)
    assert after.tao * after.alpha >= pool.tao * pool.alpha
    assert min(after.tao, after.alpha) > 0
    assert after.in_wei
    assert type(got) is int
    assert after.alpha + after.outstanding == pool.alpha + pool.outstanding
    assert after.tao - pool.tao == (amount if buys else -got)
    exact = Fraction(amount) * (1 - fee)
    into, out_of = (pool.tao, pool.alpha) if buys else (pool.alpha, pool.tao)
    assert got <= out_of * exact / (into + exact)


@given(FLOAT_POOLS, st.floats(0, 1e12), st.floats(0, 1), st.booleans())
def test_floats_keep_k_and_the_supply_to_rounding_however_large_the_trade(pool, amount, fee, buys):
    assume(buys or amount <= pool.outstanding)
    after, got = (buy if buys else sell)(pool, amount, fee)
    assert after.tao * after.alpha >= pool.tao * pool.alpha * (1 - 1e-14)
    assert min(after.tao, after.alpha) > 0
    assert after.alpha + after.outstanding == pytest.approx(pool.alpha + pool.outstanding, rel=1e-14)
    into, out_of = (pool.tao, pool.alpha) if buys else (pool.alpha, pool.tao)
    left = after.alpha if buys else after.tao
    assert left * (into + amount * (1 - fee)) == pytest.approx(into * out_of, rel=1e-14)
    assert got + left == pytest.approx(out_of, rel=1e-14)


@given(POOLS, st.lists(st.tuples(st.booleans(), st.integers(0, 10**27)), max_size=12), FEES)
def test_no_sequence_of_trades_takes_more_out_than_it_put_in(pool, trades, fee):
    start, tao, alpha = pool, 0, 0
    for buys, wanted in trades:
        amount = wanted if buys else min(wanted, alpha)
        if buys:
            pool, got = buy(pool, amount, fee)
            tao, alpha = tao - amount, alpha + got
        else:
            pool, got = sell(pool, amount, fee)
            tao, alpha = tao + got, alpha - amount
    pool, got = sell(pool, alpha, fee)
    assert tao + got <= 0
    assert pool.outstanding == start.outstanding
    assert pool.tao * pool.alpha >= start.tao * start.alpha


@given(FLOAT_POOLS, st.floats(1e-6, 1e3))
def test_buying_and_selling_back_in_floats_gains_nothing_but_rounding(pool, part):
    bought, got = buy(pool, part * pool.tao)
    assert sell(bought, got)[1] <= part * pool.tao * (1 + 1e-9)


@given(FLOAT_POOLS, st.floats(1e-6, 1e3))
def test_the_mean_price_lies_between_the_spot_prices_before_and_after(pool, part):
    after, got = buy(pool, part * pool.tao)
    assert pool.price * (1 - 1e-9) <= part * pool.tao / got <= after.price * (1 + 1e-9)
    again, paid = sell(after, got)
    assert again.price * (1 - 1e-9) <= paid / got <= after.price * (1 + 1e-9)


@given(POOLS, WEI, st.integers(1, 10))
def test_slices_in_whole_wei_never_buy_more_than_one_trade_and_a_rounding(pool, amount, slices):
    whole = buy(pool, amount * slices)[1]
    sliced = 0
    for _ in range(slices):
        pool, got = buy(pool, amount)
        sliced += got
    assert sliced <= whole


def test_what_is_not_outstanding_cannot_be_sold():
    with pytest.raises(
        RefusedError, match="11 alpha cannot be sold: only 10 are outside of the pool; sell at most that"
    ):
        sell(Pool(100, 100, 10), 11)
    with pytest.raises(RefusedError, match=r"10\.5 alpha cannot be sold: only 10\.0"):
        sell(Pool(100.0, 100.0, 10.0), 10.5)


def test_a_limit_protects_from_those_who_trade_before():
    pool = Pool(10**6, 10**6, 0)
    fair = buy(pool, 10**4)[1]
    pushed, front = buy(pool, 5 * 10**5)
    with pytest.raises(RefusedError, match=f"fetches .* alpha, less than the limit {fair}"):
        buy(pushed, 10**4, at_least=fair)
    victim = buy(pushed, 10**4)[0]  # without it the sandwich pays
    assert sell(victim, front)[1] > 5 * 10**5
    assert buy(pool, 10**4, at_least=fair)[1] == fair


def test_nothing_traded_fetches_nothing():
    assert buy(Pool(5, 7, 0), 0) == (Pool(5, 7, 0), 0)
    assert sell(Pool(5.0, 7.0, 0.0), 0.0) == (Pool(5.0, 7.0, 0.0), 0.0)
    assert buy(Pool(5, 7, 0), 100, Fraction(1)) == (Pool(105, 7, 0), 0)


def test_emission_above_the_cap_buys_alpha_instead():
    pools = [Pool(100.0, 400.0, 0.0), Pool(100.0, 100.0, 5.0)]  # prices 1/4 and 1
    emission = block_emission(pools, [0.8, 0.2], 1.0, 1.0)
    close(emission.tao_in, [0.25, 0.2])
    close(emission.alpha_in, [1.0, 0.2])
    close(emission.excess, [0.55, 0.0])
    first, second = emitted(pools, emission)
    bought = 401 * 0.55 / (100.25 + 0.55)
    close([first.tao, first.alpha, first.outstanding], [100.8, 401 - bought, 1 + bought])
    close([second.tao, second.alpha, second.outstanding], [100.2, 100.2, 6.0])
    tight = block_emission(pools, [0.8, 0.2], 1.0, 1.0, cap=[0.0, 0.1])
    close(tight.tao_in, [0.0, 0.1])
    close(tight.excess, [0.8, 0.1])
    close(tight.alpha_out, [1.0, 1.0])


@given(
    st.lists(st.tuples(FLOAT_POOLS, st.floats(0, 1e6)), min_size=1, max_size=6),
    st.floats(0, 1e4),
    st.floats(0, 1e4),
    st.floats(0, 1),
)
def test_emission_adds_up_and_moves_prices_up_only_by_its_purchases(topics, tao, alpha, root):
    pools, moving = [pool for pool, _ in topics], [price for _, price in topics]
    shares = emission_shares(moving)
    emission = block_emission(pools, shares, tao, alpha, cap=root * alpha)
    close((emission.tao_in + emission.excess).sum(), tao if any(moving) else 0.0)
    assert (emission.tao_in >= 0).all()
    assert (emission.excess >= 0).all()
    assert (emission.alpha_in <= root * alpha).all()
    for before, after, excess in zip(pools, emitted(pools, emission), emission.excess, strict=True):
        assert after.price >= before.price * (1 - 1e-9)
        if excess == 0:
            assert after.price == pytest.approx(before.price, rel=1e-9)
        assert after.tao * after.alpha >= before.tao * before.alpha * (1 - 1e-9)


@given(st.lists(st.floats(0, 1e100), max_size=8), st.floats(1e-3, 1e3))
def test_shares_add_up_and_do_not_know_the_unit_of_the_price(prices, scale):
    assume(all(price == 0 or price > 1e-100 for price in prices))
    assume(max(prices, default=0) * scale <= 1e100)
    shares = emission_shares(prices)
    assert shares.sum() == pytest.approx(1.0 if any(prices) else 0.0)
    np.testing.assert_allclose(emission_shares(np.array(prices) * scale), shares, rtol=1e-12)


def test_topics_that_withhold_their_miners_emission_lose_share():
    close(emission_shares([1.0, 1.0, 2.0], burned=[0.0, 0.5, 1.0]), [2 / 3, 1 / 3, 0])
    close(emission_shares([1.0, 3.0], burned=[1.0, 1.0]), [0.25, 0.75])
    close(emission_shares([0.0, 0.0]), [0.0, 0.0])


def test_the_moving_price_follows_slowly_and_never_above_its_cap():
    pool, weight = Pool(300.0, 100.0, 0.0), moving_weight([0, 201_600, 10**12])
    close(weight, [0.0, 0.0000015, 0.000003 * 10**12 / (10**12 + 201_600)])
    price = np.array([0.1])
    for _ in range(200):
        price = moving_price(price, [pool], 0.1)
    close(price, 1.0 - 0.9 * 0.9**200)
    # a spot price pushed a hundredfold for one block moves the emission by no more than the weight
    pushed = buy(pool, 2700.0)[0]
    assert pushed.price == pytest.approx(300)
    assert moving_price([0.5], [pushed], 0.000003)[0] == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Pool(0, 5, 0), DataError, "a pool of 0 TAO and 5 alpha has no price"),
        (lambda: Pool(1.0, 0.0, 0.0), DataError, "both must be positive"),
        (lambda: Pool(1e-320, 1e90, 0.0), DataError, "has no price"),
        (lambda: Pool(math.nan, 1.0, 0.0), DataError, "tao is nan"),
        (lambda: Pool(1, 1, 0.5), DataError, "outstanding is 0.5; give a whole number"),
        (lambda: Pool(1, -1, 0), DataError, "alpha is -1"),
        (lambda: buy(Pool(1, 1, 0), 0.5), DataError, "amount is 0.5; give a whole number"),
        (lambda: buy(Pool(1.0, 1.0, 0.0), -0.5), DataError, "amount is -0.5"),
        (lambda: buy(Pool(1.0, 1.0, 0.0), 1e101), DataError, "amount is 1e.101; give numbers from 0 to 1e.100"),
        (lambda: Pool("much", 1.0, 0.0), DataError, "tao is 'much'"),
        (lambda: buy(Pool(1, 1, 0), 1, 0.003), ConfigError, "fee is the float 0.003"),
        (lambda: sell(Pool(1.0, 1.0, 1.0), 1.0, 1.5), ConfigError, "fee is 1.5"),
        (lambda: emission_shares([math.inf]), DataError, "moving_price is inf at 0"),
        (lambda: emission_shares([1.0], burned=[2.0]), DataError, "shares from 0 to 1"),
        (lambda: emission_shares([1.0], burned=[0.1, 0.1]), DataError, "one per moving price"),
        (lambda: block_emission([Pool(1, 1, 0)], [1.0], 1.0, 1.0), DataError, "pool 0 counts in wei"),
        (lambda: block_emission([Pool(1.0, 1.0, 0.0)], [0.5, 0.5], 1.0, 1.0), DataError, "one entry per topic"),
        (lambda: block_emission([Pool(1.0, 1.0, 0.0)], [1.0], 1.0, [1.0, 1.0]), DataError, "alpha has 2 entries for 1"),
        (lambda: block_emission([Pool(1.0, 1.0, 0.0)], [1.0], -1.0, 1.0), DataError, "tao is -1.0"),
        (lambda: emitted([], block_emission([Pool(1.0, 1.0, 0.0)], [1.0], 1.0, 1.0)), DataError, "must match"),
        (lambda: moving_price([1.0], [], 0.1), DataError, "one entry per topic"),
        (lambda: moving_price([1.0], [Pool(1.0, 1.0, 0.0)], 1.1), DataError, "weight is 1.1"),
        (lambda: moving_weight([1.0], 2.0), ConfigError, "moving_alpha is 2.0"),
        (lambda: moving_weight([1.0], 0.1, 0), ConfigError, "halving_blocks is 0"),
        (lambda: moving_weight([-1.0]), DataError, "blocks is -1.0 at 0"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_market_without_topics_emits_nothing():
    emission = block_emission([], emission_shares([]), 1.0, 1.0)
    assert emitted([], emission) == ()
