"""The pool: its product never falls, no trade or sequence of trades profits, and its averages ignore what lasts no time."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.pool import Pool, amount_in, amount_out
from protocol.ltft.twap import PLACES
from protocol.ltft.wei import MAX_RESERVE, WAD

RESERVE = amounts(100)
FEE = st.sampled_from([0, 1, 3_000, 10_000, 999_999])
POOLS = st.builds(lambda ltft, quote, fee: Pool.opened(ltft, quote, 0, fee_ppm=fee), RESERVE, RESERVE, FEE)


def bought(pool, quote, time=0):
    try:
        return pool.buy(quote, time=time)
    except RefusedError:
        assume(False)


def sold(pool, ltft, time=0):
    try:
        return pool.sell(ltft, time=time)
    except RefusedError:
        return pool, 0


@given(POOLS, st.lists(st.tuples(st.booleans(), amounts(100)), max_size=12))
def test_the_product_never_falls_and_nothing_is_lost(pool, trades):
    for buys, amount in trades:
        after, got = bought(pool, amount) if buys else sold(pool, amount)
        assert after.product >= pool.product
        if got:
            change = (after.ltft - pool.ltft, after.quote - pool.quote)
            assert change == ((-got, amount) if buys else (amount, -got))
        pool = after


@given(POOLS, amounts(100), st.integers(1, 4))
def test_round_trips_never_profit(pool, quote, pieces):
    after, ltft = bought(pool, quote)
    back = 0
    for piece in range(pieces):
        part = ltft // pieces if piece else ltft - ltft // pieces * (pieces - 1)
        after, paid = sold(after, part) if part else (after, 0)
        back += paid
    assert back <= quote


@given(POOLS, st.lists(amounts(99), min_size=2, max_size=5))
def test_splitting_never_beats_one_trade(pool, parts):
    _, whole = bought(pool, sum(parts))
    split, after = 0, pool
    for part in parts:
        try:
            after, got = after.buy(part, time=0)
        except RefusedError:
            got = 0  # refused, so that nothing is paid for nothing
        split += got
    assert split <= whole


@given(RESERVE, RESERVE, FEE, amounts(100))
def test_what_is_asked_for_an_amount_buys_it(reserve_in, reserve_out, fee, out):
    assume(out < reserve_out)
    paid = amount_in(out, reserve_in, reserve_out, fee)
    assume(paid <= MAX_RESERVE)
    assert amount_out(paid, reserve_in, reserve_out, fee) >= out
    exact = Fraction(reserve_in * out, reserve_out - out) / (1 - Fraction(fee, 10**6))
    assert exact < paid <= exact + 1


@given(RESERVE, RESERVE, FEE, amounts(100))
def test_outputs_are_the_exact_ones_rounded_down(reserve_in, reserve_out, fee, paid):
    net = paid * (1 - Fraction(fee, 10**6))
    assert amount_out(paid, reserve_in, reserve_out, fee) == reserve_out * net // (reserve_in + net)


def test_a_trade_below_the_minimum_changes_nothing():
    pool = Pool.opened(100 * WAD, 100 * WAD, 0)
    after, got = pool.buy(WAD, time=0)
    assert pool.buy(WAD, time=0, minimum_out=got) == (after, got)
    with pytest.raises(RefusedError, match=f"fetches {got} wei of LTFT, less than {got + 1}"):
        pool.buy(WAD, time=0, minimum_out=got + 1)
    with pytest.raises(RefusedError, match="fetches 0 wei of LTFT"):
        pool.buy(1, time=0)
    with pytest.raises(RefusedError, match="fetches 0 wei of quote"):
        pool.sell(1, time=0, minimum_out=0)


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 0, 2**112])
def test_nonsense_is_refused(bad):
    for numbers in ((bad, 5, 5), (5, bad, 5), (5, 5, bad)):
        with pytest.raises(RefusedError, match="give a whole number from 1"):
            amount_out(*numbers)
        with pytest.raises(RefusedError, match="give a whole number from 1"):
            amount_in(*numbers)
    with pytest.raises(ConfigError, match="the LTFT of a pool"):
        Pool.opened(bad, 5, 0)


def test_the_rest_of_nonsense():
    with pytest.raises(RefusedError, match="has 5 wei, not more than the 5"):
        amount_in(5, 5, 5)
    with pytest.raises(RefusedError, match="fee_ppm is 1000000"):
        amount_out(1, 5, 5, 10**6)
    with pytest.raises(RefusedError, match="quote reserve after the trade"):
        Pool.opened(MAX_RESERVE, MAX_RESERVE, 0).buy(WAD, time=0)
    with pytest.raises(RefusedError, match="the time of the pool is 9"):
        Pool.opened(WAD, WAD, 10).buy(WAD, time=9)
    with pytest.raises(ConfigError, match="window of a TWAP is 0"):
        Pool.opened(WAD, WAD, 0, window=0)


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 60), st.booleans(), amounts(80)), max_size=25),
    st.integers(0, 300),
)
def test_averages_are_those_of_every_second(window, trades, rest):
    pool, time, prices = Pool.opened(10**24, 10**24, 0, window=window), 0, []
    for wait, buys, amount in [*trades, (rest, True, 0)]:
        prices += [(pool.quote << PLACES) // pool.ltft] * wait
        time += wait
        if amount:
            pool, _ = bought(pool, amount, time) if buys else sold(pool, amount, time)
    pool = pool.at(time)
    if time < window:
        with pytest.raises(RefusedError, match=f"covers {time} s of its window of {window} s"):
            pool.twap.mean()
    else:
        assert pool.twap.mean().quote_per_ltft == sum(prices[-window:]) // window
        assert len(pool.twap.points) <= window + 1


@given(st.lists(st.tuples(st.booleans(), amounts(90)), min_size=1, max_size=10))
def test_what_happens_within_one_second_has_no_weight(trades):
    pool = Pool.opened(10**24, 10**24, 0, window=600).at(600)
    mean = pool.twap.mean()
    for buys, amount in trades:
        pool, _ = bought(pool, amount, 600) if buys else sold(pool, amount, 600)
    assert pool.twap.mean() == mean


@given(amounts(100, 10**10), st.integers(1, 600))
def test_a_price_held_up_takes_from_the_mean_of_ltft_per_quote_no_more_than_its_share_of_the_time(push, held):
    pool = Pool.opened(10**24, 10**24, 0, window=600).at(600)
    fair = pool.twap.mean().ltft_per_quote
    pushed = pool.buy(push, time=600)[0].at(600 + held).twap.mean().ltft_per_quote
    assert fair * (600 - held) // 600 <= pushed <= fair
