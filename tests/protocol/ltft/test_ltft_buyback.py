"""The buyback: slices, minimum out, and attackers who lose money."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.buyback import MAX_SLICE_PPM, Buyback, Fill, Slice, Terms
from protocol.ltft.pool import TWAP_WINDOW_S, Pool
from protocol.ltft.wei import PPM, WAD

READY = TWAP_WINDOW_S  # seconds after which the average is known
DEPTH = amounts(100, 10**9)
RICH = 2**111


def pool_of(ltft=10**6 * WAD, quote=10**6 * WAD):
    return Pool.opened(ltft, quote, 0).at(READY)


@given(DEPTH, DEPTH, st.integers(1, MAX_SLICE_PPM), st.integers(0, PPM - 1), amounts(105, 10**6))
def test_a_sandwich_loses_at_any_size_slice_and_tolerance(ltft, quote, slice_ppm, tolerance, attack):
    pool, fund = pool_of(ltft, quote), Buyback(RICH, 0, Terms(slice_ppm=slice_ppm, tolerance_ppm=tolerance))
    try:
        pushed, loot = pool.buy(attack, time=READY)
    except RefusedError:
        assume(False)
    _, bought, fill = fund.step(pushed, READY)
    paid = bought.sell(loot, time=READY)[1] if loot > 1 else 0
    assert paid < attack
    least = fund.minimum_out(pool, fill.spent)
    assert fill.rewarded + fill.burned >= least if fill.spent else fill.reason != "bought"


@given(DEPTH, DEPTH, st.integers(1, MAX_SLICE_PPM), amounts(100, 10**6))
def test_selling_before_and_buying_back_after_loses_too(ltft, quote, slice_ppm, attack):
    try:
        pushed, proceeds = pool_of(ltft, quote).sell(attack, time=READY)
    except RefusedError:
        assume(False)
    _, bought, _ = Buyback(RICH, 0, Terms(slice_ppm=slice_ppm)).step(pushed, READY)
    try:
        back = bought.buy(proceeds, time=READY)[1]
    except RefusedError:
        back = 0
    assert back < attack


@pytest.mark.parametrize("slice_ppm", [1_000, 2_000, 3_000])
def test_no_sandwich_of_a_slice_pays_where_one_of_the_whole_buyback_does(slice_ppm):
    terms = Terms(slice_ppm=slice_ppm, tolerance_ppm=PPM - 1)  # not even with the minimum out as good as off
    for attack in (WAD, 10**3 * WAD, 10**4 * WAD, 5 * 10**4 * WAD, 2 * 10**5 * WAD):
        pushed, loot = pool_of().buy(attack, time=READY)
        sliced = Buyback(10**5 * WAD, 0, terms).step(pushed, READY)[1]
        assert sliced.sell(loot, time=READY)[1] < attack
        at_once = pushed.buy(10**5 * WAD, time=READY)[0]
        assert at_once.sell(loot, time=READY)[1] > attack * 101 // 100


def test_a_slice_does_not_grow_with_what_an_attacker_pays_in():
    fund = Buyback(RICH, 0, Terms(slice_ppm=3_000))
    fair = fund.limit(pool_of())
    assert fair == 3_000 * WAD
    assert fund.limit(pool_of().buy(10**6 * WAD, time=READY)[0]) <= fair * 1001 // 1000
    assert fund.limit(pool_of().sell(10**6 * WAD, time=READY)[0]) < fair * 6 // 10
    assert fund.limit(Pool.opened(WAD, 10**6 * WAD, 0, fee_ppm=1_000)) == 1_000 * WAD


@given(amounts(90, 0), st.integers(1, MAX_SLICE_PPM), st.integers(0, PPM), st.lists(st.integers(0, 2_000), max_size=15))
def test_money_is_spent_once_and_what_it_buys_is_all_accounted_for(budget, slice_ppm, burn_ppm, waits):
    fund, pool, time = Buyback(budget, 0, Terms(slice_ppm=slice_ppm, burn_ppm=burn_ppm)), pool_of(), READY
    steps = 0
    for wait in waits:
        time += wait
        limit, due = fund.limit(pool.at(time)), time >= fund.next_time
        after, traded, fill = fund.step(pool, time)
        assert fund.budget - after.budget == fill.spent == traded.quote - pool.quote <= limit
        assert pool.ltft - traded.ltft == fill.rewarded + fill.burned
        assert fill.burned == (fill.rewarded + fill.burned) * burn_ppm // PPM
        assert (fill.reason == "bought") == (fill.spent > 0)
        assert due or not fill.spent
        steps += fill.spent > 0
        fund, pool = after, traded
    assert steps <= 1 + (time - READY) // fund.terms.interval


@given(amounts(80, 0), st.integers(1, MAX_SLICE_PPM), st.integers(0, 10_000))
def test_a_plan_spends_the_budget_in_equal_slices(budget, slice_ppm, time):
    pool, fund = pool_of(), Buyback(budget, 5_000, Terms(slice_ppm=slice_ppm, interval=60))
    assume(budget // fund.limit(pool) < 1_000)
    plan = fund.plan(pool, time)
    assert sum(part.quote for part in plan) == budget
    if plan:
        quotes = [part.quote for part in plan]
        assert max(quotes) - min(quotes) <= 1
        assert max(quotes) <= fund.limit(pool)
        assert (len(plan) - 1) * fund.limit(pool) < budget
    assert [part.time for part in plan] == [max(time, 5_000) + 60 * n for n in range(len(plan))]


def test_plan_and_steps_agree_while_the_pool_stands():
    fund, pool = Buyback(5_000 * WAD, READY), pool_of()
    assert fund.plan(pool, 0) == tuple(
        Slice(READY + 600 * n, quote)
        for n, quote in enumerate((1666666666666666666667, 1666666666666666666667, 1666666666666666666666))
    )
    spent = []
    for n in range(3):
        fund, pool, fill = fund.step(pool, READY + 600 * n)
        spent.append(fill.spent)
    assert spent[0] == 2_000 * WAD < spent[1] < 2_010 * WAD  # the pool is deeper by what was paid in
    assert sum(spent) == 5_000 * WAD
    assert fund.step(pool, READY + 1800)[2] == Fill(0, 0, 0, "nothing left")


def test_why_nothing_is_bought():
    fund = Buyback(10 * WAD, READY)
    young = Pool.opened(10**6 * WAD, 10**6 * WAD, 1)
    assert fund.step(young, READY)[2].reason == "no average price yet"
    assert fund.step(pool_of(), READY)[2].reason == "bought"
    assert fund.step(pool_of(), READY)[0].step(pool_of(), READY + 599)[2].reason == "nothing left"
    twice = fund.funded(10**6 * WAD)
    after, pool, fill = twice.step(pool_of(), READY)
    assert (fill.reason, after.next_time) == ("bought", READY + 600)
    assert after.step(pool, READY)[2].reason == "too early"
    assert after.step(pool, READY + 599)[2].reason == "too early"
    assert after.step(pool, READY + 600)[2].reason == "bought"
    pushed, _ = pool_of().buy(10_000 * WAD, time=READY)
    waiting, same, fill = twice.step(pushed, READY)
    assert (fill.reason, waiting.budget, same) == ("price above the average", twice.budget, pushed)
    assert Buyback(1, 0).step(pool_of(), READY)[2].reason == "dust"
    assert fund.step(pool_of(100, 100), READY)[2].reason == "dust"
    with pytest.raises(RefusedError, match="too shallow"):
        fund.plan(pool_of(100, 100), 0)
    with pytest.raises(RefusedError, match="the time of the pool"):
        fund.step(pool_of(), READY - 1)


def test_a_price_that_stays_up_is_paid_once_the_average_has_followed():
    pushed, _ = pool_of().buy(10_000 * WAD, time=READY)
    fund, reasons = Buyback(10 * WAD), []
    for n in range(4):
        fund, pushed, fill = fund.step(pushed, READY + 600 * n)
        reasons.append(fill.reason)
    assert reasons[0] == "price above the average"
    assert reasons[-1] in {"bought", "nothing left"}
    assert fund.budget == 0


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 2**300])
def test_nonsense_is_refused(bad):
    for name in ("slice_ppm", "tolerance_ppm", "interval", "burn_ppm"):
        with pytest.raises(ConfigError, match=name):
            Terms(**{name: bad})
    with pytest.raises(ConfigError, match="budget"):
        Buyback(bad)
    with pytest.raises(ConfigError, match="next slice"):
        Buyback(0, bad)
    with pytest.raises(RefusedError, match="quote given"):
        Buyback().funded(bad)
    with pytest.raises(ConfigError, match="slice_ppm is 3001"):
        Terms(slice_ppm=3_001)
