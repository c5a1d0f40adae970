"""The bonding curve's market: its reserve covers every claim, whoever trades, and no trader profits from rounding."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.bonding import Bonding
from protocol.ltft.curves import Exponential, Linear, Sigmoid
from protocol.ltft.momentum import Band
from protocol.ltft.wei import WAD

CURVES = st.sampled_from(
    [
        Linear(WAD // 100, 3 * 10**12),
        Linear(0, 7),
        Linear(1, 0),
        Exponential(WAD // 100, 2 * 10**13),
        Exponential(1, 10**14),
        Sigmoid(10 * WAD, 2 * 10**13, 10**5 * WAD),
        Sigmoid(3, 10**12, 10**4 * WAD),
        Sigmoid(WAD, WAD, 0),
    ]
)
MULTIPLIER = st.one_of(st.just(WAD), st.integers(WAD, 2 * WAD))
TOKENS = amounts(78)  # up to 300 000 tokens


def buy(market, tokens, multiplier=WAD):
    """Buy, or give the case up where it leaves the range of the curve."""
    try:
        return market.buy(tokens, maximum_cost=2**111, multiplier=multiplier)
    except RefusedError:
        assume(False)


def held(curve, supply):
    return Bonding(curve, supply, curve.area(supply))


@given(CURVES, st.lists(st.tuples(st.booleans(), TOKENS, MULTIPLIER), max_size=20))
def test_the_reserve_covers_all_claims_at_every_step(curve, trades):
    market, balance = Bonding(curve), 0
    for buys, tokens, multiplier in trades:
        before = market
        if buys:
            try:
                market, cost = market.buy(tokens, maximum_cost=2**111, multiplier=multiplier)
            except RefusedError:
                continue
            assert (market.supply, market.reserve) == (before.supply + tokens, before.reserve + cost)
            balance += cost
        else:
            try:
                market, paid = market.sell(tokens)
            except RefusedError:
                continue
            assert (market.supply, market.reserve) == (before.supply - tokens, before.reserve - paid)
            balance -= paid
        assert market.reserve == balance >= market.claims == curve.area(market.supply)
    market, surplus = market.swept()
    assert balance - surplus == market.reserve == market.claims


@given(CURVES, TOKENS, TOKENS, MULTIPLIER, st.integers(1, 5))
def test_round_trips_never_profit(curve, supply, tokens, multiplier, pieces):
    market, cost = buy(held(curve, supply), tokens, multiplier)
    back = 0
    for piece in range(pieces):
        part = tokens // pieces if piece else tokens - tokens // pieces * (pieces - 1)
        try:
            market, paid = market.sell(part)
        except RefusedError:
            continue
        back += paid
    assert back < cost


@given(CURVES, TOKENS, st.lists(TOKENS, min_size=2, max_size=4), MULTIPLIER)
def test_splitting_never_beats_one_trade(curve, supply, parts, multiplier):
    market = held(curve, supply)
    whole, one = buy(market, sum(parts), multiplier)
    costs, refunds = 0, 0
    for part in parts:
        market, cost = buy(market, part, multiplier)
        costs += cost
    assert costs >= one
    refund = whole.refund(sum(parts))
    for part in parts:
        if market.refund(part):
            market, paid = market.sell(part)
            refunds += paid
    assert refunds <= refund


@given(CURVES, TOKENS, TOKENS, MULTIPLIER)
def test_costs_and_refunds_are_two_wei_against_the_trader(curve, supply, tokens, multiplier):
    market = held(curve, supply)
    more = curve.area(supply + tokens) - market.claims
    assert market.cost(tokens, multiplier) == -(-(more + 2) * multiplier // WAD)
    after, _ = buy(market, tokens)
    assert after.refund(tokens) == max(0, more - 2)


@given(CURVES, TOKENS, amounts(100), MULTIPLIER)
def test_tokens_for_a_budget_are_the_most_it_buys(curve, supply, budget, multiplier):
    market = held(curve, supply)
    tokens = market.tokens_for(budget, multiplier)
    assert tokens == 0 or market.cost(tokens, multiplier) <= budget
    assert tokens == market.room or market.cost(tokens + 1, multiplier) > budget


@given(TOKENS, st.integers(WAD, 2 * WAD), st.integers(WAD, 2 * WAD))
def test_paying_sellers_by_the_multiplier_would_not_be_covered(tokens, bought_at, sold_at):
    assume(sold_at > bought_at + WAD // 100)
    market, cost = buy(Bonding(Sigmoid(10 * WAD, 2 * 10**13, 0)), tokens + WAD, bought_at)
    assert market.claims * sold_at // WAD > cost  # the seed read literally
    assert market.refund(market.supply) <= market.reserve


def test_the_literal_reading_leaves_27_per_cent_unfunded():
    for tokens in (1_000, 100_000, 10_000_000):
        market, cost = buy(Bonding(Sigmoid(10 * WAD, 2 * 10**13, 10**5 * WAD)), tokens * WAD, 1345 * WAD // 1000)
        assert 1 - cost / (market.claims * 1.85) == pytest.approx(0.273, abs=1e-4)


def test_limits_of_the_trader_and_of_the_price():
    market = held(Linear(WAD, WAD // 1000), 1000 * WAD)
    assert market.price == 2 * WAD
    cost = market.cost(10 * WAD)
    assert market.buy(10 * WAD, maximum_cost=cost, band=Band(0, 2010 * WAD // 1000))[1] == cost
    with pytest.raises(RefusedError, match=f"cost {cost}, more than {cost - 1}"):
        market.buy(10 * WAD, maximum_cost=cost - 1)
    with pytest.raises(RefusedError, match="would rise to 2010000000000000001"):
        market.buy(10 * WAD + 1000, maximum_cost=2 * cost, band=Band(0, 2010 * WAD // 1000))
    paid = market.refund(10 * WAD)
    assert market.sell(10 * WAD, minimum_out=paid, band=Band(1990 * WAD // 1000, 0))[1] == paid
    with pytest.raises(RefusedError, match=f"fetch {paid}, less than {paid + 1}"):
        market.sell(10 * WAD, minimum_out=paid + 1)
    with pytest.raises(RefusedError, match="would fall to 1989999999999999999"):
        market.sell(10 * WAD + 1, band=Band(1990 * WAD // 1000, 0))
    with pytest.raises(RefusedError, match="fetch 0"):
        market.sell(1, minimum_out=0)


def test_the_curve_sells_its_maximum_and_takes_back_what_it_sold():
    market = Bonding(Linear(WAD, 0), maximum=10 * WAD)
    market, _ = market.buy(10 * WAD, maximum_cost=11 * WAD)
    with pytest.raises(RefusedError, match="amount bought"):
        market.buy(1, maximum_cost=WAD)
    assert market.tokens_for(WAD) == 0
    with pytest.raises(RefusedError, match="amount sold"):
        market.sell(10 * WAD + 1)
    assert market.sell(10 * WAD)[0].swept() == (Bonding(Linear(WAD, 0), maximum=10 * WAD), 4)


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 0, 2**112])
def test_nonsense_is_refused(bad):
    market = held(Linear(WAD, 0), WAD)
    for action in (market.cost, market.refund, market.sell, lambda n: market.buy(n, maximum_cost=9 * WAD)):
        with pytest.raises(RefusedError, match="amount"):
            action(bad)
    with pytest.raises(RefusedError, match="the multiplier"):
        market.cost(1, bad)
    with pytest.raises(ConfigError, match="the reserve of a curve"):
        Bonding(Linear(WAD, 0), WAD, bad)
    with pytest.raises(ConfigError, match="the reserve of a curve"):
        Bonding(Linear(WAD, 0), WAD, WAD - 1)
