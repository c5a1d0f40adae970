"""Prices of registration follow demand."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.yuma.registration import (
    SUBTENSOR_BURN,
    SUBTENSOR_LOCK,
    TAO,
    BurnRule,
    Lock,
    LockRule,
    Refund,
    decayed_burn,
    lock_cost,
    raised_burn,
    refund,
    register,
    steered_burn,
)
from protocol.errors import ConfigError, DataError, RefusedError

LOCKS = st.builds(LockRule, st.integers(1, 10**24), st.integers(1, 10**6))
BURNS = st.builds(
    lambda floor, more, target, inertia, step, half_life: BurnRule(
        floor, floor + more, target, inertia, 1 + step, half_life
    ),
    st.integers(1, 10**20),
    st.integers(0, 10**24),
    st.integers(1, 100),
    st.fractions(0, Fraction(99, 100)),
    st.fractions(0, 3),
    st.integers(0, 10**5),
)


def test_a_registration_doubles_the_price_and_an_interval_brings_it_back():
    first = register(None, 100, 5000 * TAO)
    assert first == Lock(1000 * TAO, 100)
    week = 7 * 7200
    prices = [lock_cost(first, 100 + week * weeks) // TAO for weeks in range(6)]
    assert prices == [2000, 1500, 1000, 1000, 1000, 1000]
    second = register(first, 100 + week, 1500 * TAO)
    assert [lock_cost(second, second.block + week * weeks) // TAO for weeks in range(5)] == [
        3000,
        2250,
        1500,
        1000,
        1000,
    ]


def test_too_little_is_refused_with_the_price():
    first = register(None, 0, 1000 * TAO)
    with pytest.raises(RefusedError, match=f"at block 0 locks {2000 * TAO} wei; {1999 * TAO} is too little"):
        register(first, 0, 1999 * TAO)
    with pytest.raises(RefusedError, match="block 0 is before the last registration, at 5"):
        lock_cost(Lock(TAO, 5), 0)


@given(LOCKS, st.lists(st.integers(0, 10**6), max_size=12), st.integers(0, 10**7))
def test_the_lock_never_costs_less_than_the_floor_and_only_falls_while_nobody_registers(rule, gaps, wait):
    last, block = None, 0
    for gap in gaps:
        block += gap
        last = register(last, block, 2**255, rule)
        assert last.amount >= rule.floor
        assert lock_cost(last, block, rule) == 2 * last.amount
        assert lock_cost(last, block + rule.interval, rule) == last.amount
    assert rule.floor <= lock_cost(last, block + wait, rule) <= lock_cost(last, block, rule)


@given(LOCKS, st.lists(st.integers(0, 10**6), min_size=1, max_size=10), st.integers(0, 10**7), st.data())
def test_one_more_registration_never_makes_the_lock_cheaper(rule, gaps, wait, data):
    blocks = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    extra = sorted([*blocks, data.draw(st.integers(0, blocks[-1]))])

    def price(moments):
        last = None
        for moment in moments:
            last = register(last, moment, 2**255, rule)
        return lock_cost(last, blocks[-1] + wait, rule)

    assert price(extra) >= price(blocks)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_lock_is_returned_less_what_the_topic_paid_its_owner(locked, received):
    found = refund(Lock(locked, 0), received)
    assert found.owner + found.recycled == locked
    assert found.owner == max(0, locked - received)
    assert found.owner + received >= locked  # an owner never ends below what it locked


def test_refunds_at_the_edges():
    assert refund(Lock(10, 0), 0) == Refund(10, 0)
    assert refund(Lock(10, 0), 11) == Refund(0, 10)


def test_the_burn_stays_on_target_and_moves_with_registrations():
    rule = BurnRule(floor=1, ceiling=10**30, target=2)
    assert [steered_burn(1000, count, rule) for count in (0, 1, 2, 4, 6)] == [500, 750, 1000, 1500, 2000]
    slow = BurnRule(floor=1, ceiling=10**30, target=2, inertia=Fraction(9, 10))
    assert [steered_burn(1000, count, slow) for count in (0, 2, 4)] == [950, 1000, 1050]
    assert raised_burn(1000, rule) == 1260
    assert decayed_burn(1000, 360, rule) == 500
    assert decayed_burn(1000, 180, rule) == 708  # 1000 / sqrt 2, rounded up
    assert decayed_burn(1000, 10**9, rule) == 1


def test_the_decay_is_that_of_the_runtimes_factor_applied_every_block():
    q32 = round(2**32 * 0.5 ** (1 / 360))
    burn = by_block = 50 * TAO
    for _ in range(720):
        by_block = by_block * q32 >> 32
    assert decayed_burn(burn, 720) == pytest.approx(by_block, rel=1e-6)
    assert decayed_burn(burn, 720) == burn // 4


@given(BURNS, st.integers(0, 10**24), st.integers(0, 1000), st.integers(0, 1000))
def test_the_burn_stays_within_its_limits_and_rises_with_demand(rule, burn, fewer, blocks):
    burn = min(max(burn, rule.floor), rule.ceiling)
    prices = [steered_burn(burn, fewer, rule), steered_burn(burn, fewer + 1, rule), raised_burn(burn, rule)]
    prices += [decayed_burn(burn, blocks, rule), decayed_burn(burn, blocks + 1, rule)]
    assert all(rule.floor <= price <= rule.ceiling for price in prices)
    assert prices[0] <= prices[1]
    assert prices[2] >= burn >= prices[3] >= prices[4]
    assert steered_burn(burn, rule.target, rule) == burn
    assert decayed_burn(raised_burn(burn, rule), blocks, rule) >= decayed_burn(burn, blocks, rule)


def test_many_registrations_at_once_stop_at_the_ceiling():
    prices = [SUBTENSOR_BURN.floor]
    for _ in range(60):
        prices.append(raised_burn(prices[-1]))
    assert prices[-1] == 100 * TAO
    assert all(after > before or after == 100 * TAO for before, after in pairwise(prices))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LockRule(0, 10), ConfigError, "floor 0 and interval 10 of a lock must be at least 1"),
        (lambda: LockRule(1, 0), ConfigError, "interval 0"),
        (lambda: LockRule(1.5, 1), DataError, "floor is 1.5"),
        (lambda: BurnRule(5, 4), ConfigError, "floor 5 and ceiling 4"),
        (lambda: BurnRule(1, 4, target=0), ConfigError, "target 0"),
        (lambda: BurnRule(1, 4, inertia=Fraction(1)), ConfigError, "inertia 1 below 1"),
        (lambda: BurnRule(1, 4, step=1.26), ConfigError, "step is 1.26; give a fraction"),
        (lambda: BurnRule(1, 4, step=Fraction(1, 2)), ConfigError, "step is 1/2"),
        (lambda: lock_cost(None, -1), DataError, "block is -1"),
        (lambda: lock_cost(Lock(1, 0), 1.5), DataError, "block is 1.5"),
        (lambda: register(None, 0, 1e21), DataError, "offered is 1e"),
        (lambda: refund(Lock(1, 0), -1), DataError, "owner_received is -1"),
        (lambda: steered_burn(1, -1), DataError, "registrations is -1"),
        (lambda: raised_burn(0.5), DataError, "burn is 0.5"),
        (lambda: decayed_burn(1, 0.5), DataError, "blocks is 0.5"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_default_floor_is_the_thousand_of_the_whitepaper():
    assert lock_cost(None, 0) == SUBTENSOR_LOCK.floor == 1000 * TAO
