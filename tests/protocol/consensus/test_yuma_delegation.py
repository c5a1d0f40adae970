"""Dividends shared with delegators, and delegations that move at any block."""

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.yuma.delegation import TAKE, Delegations, divide, divide_wei
from protocol.errors import ConfigError, DataError, RefusedError

CASES = json.loads((Path(__file__).parent / "vectors" / "yuma_money.json").read_text())["cases"]
WEI = st.integers(0, 10**30)


@pytest.mark.parametrize("case", [case for case in CASES if case["kind"] == "delegation"])
def test_the_dividends_of_the_vectors(case):
    own, passed = divide(**case["input"])
    assert own == pytest.approx(case["output"][0], rel=1e-10)
    assert passed.tolist() == pytest.approx(case["output"][1], rel=1e-10)


def test_the_take_is_of_what_delegated_stake_earns_only():
    own, passed = divide(100.0, 50.0, [30.0, 20.0])
    assert own == pytest.approx(50 + 0.18 * 50)
    assert passed.tolist() == pytest.approx([0.82 * 30, 0.82 * 20])
    assert divide_wei(10**18, 5, [3, 2]) == (59 * 10**16, (246 * 10**15, 164 * 10**15))


def test_without_any_stake_the_validator_keeps_everything():
    assert divide_wei(7, 0, [0, 0]) == (7, (0, 0))
    own, passed = divide(7.0, 0.0, [0.0, 0.0])
    assert (own, passed.tolist()) == (7.0, [0.0, 0.0])
    assert divide_wei(7, 0, []) == (7, ())


def test_dust_beside_a_whale_is_neither_lost_nor_negative():
    assert divide_wei(10**18, 10**27, [1]) == (10**18, (0,))
    own, passed = divide(1.0, 1e-320, [1e-320])
    assert own == pytest.approx(0.59)
    assert passed[0] == pytest.approx(0.41)


def test_takes_of_nothing_and_of_all():
    assert divide_wei(100, 0, [1, 3], Fraction(0)) == (0, (25, 75))
    assert divide_wei(100, 0, [1, 3], Fraction(1)) == (100, (0, 0))


@given(WEI, WEI, st.lists(WEI, max_size=8), st.fractions(0, 1))
def test_every_wei_is_paid_and_nobody_is_off_by_one(dividend, own, delegated, take):
    validator, passed = divide_wei(dividend, own, delegated, take)
    assert validator + sum(passed) == dividend
    total = own + sum(delegated)
    if total:
        exact = [Fraction(dividend * stake, total) * (1 - take) for stake in delegated]
        assert all(abs(paid - due) < 1 for paid, due in zip(passed, exact, strict=True))
        assert abs(validator - Fraction(dividend, total) * (own + take * sum(delegated))) < 1


@given(st.floats(0, 1e15), st.floats(0, 1e15), st.lists(st.floats(0, 1e15), max_size=6), st.floats(0, 1))
def test_floats_conserve_to_rounding_and_scale_with_the_dividend(dividend, own, delegated, take):
    validator, passed = divide(dividend, own, delegated, take)
    assert validator + passed.sum() == pytest.approx(dividend, rel=1e-12, abs=1e-300)
    doubled, passed_doubled = divide(2 * dividend, own, delegated, take)
    assert (doubled, *passed_doubled) == pytest.approx((2 * validator, *(2 * passed)), rel=1e-12)


@given(WEI, WEI, st.lists(WEI, min_size=1, max_size=6), st.fractions(0, 1), st.fractions(0, 1))
def test_a_higher_take_never_pays_a_delegator_more(dividend, own, delegated, take, other):
    low, high = sorted((take, other))
    cheap, dear = divide_wei(dividend, own, delegated, low)[1], divide_wei(dividend, own, delegated, high)[1]
    assert all(first + 1 >= second for first, second in zip(cheap, dear, strict=True))
    assert divide_wei(dividend, own, delegated, high)[0] + 1 >= divide_wei(dividend, own, delegated, low)[0]


def test_stake_moves_at_any_block_and_the_past_stays():
    start = Delegations().delegate(10, "val", "val", 100).delegate(10, "ann", "val", 50)
    moved = start.redelegate(12, "ann", "val", "wal", 20).undelegate(15, "val", "val", 100)
    assert start.stakes() == {"val": 150}
    assert [moved.stakes(block) for block in (9, 10, 11, 12, 14, 15, 99)] == [
        {},
        {"val": 150},
        {"val": 150},
        {"val": 130, "wal": 20},
        {"val": 130, "wal": 20},
        {"val": 30, "wal": 20},
        {"val": 30, "wal": 20},
    ]
    assert moved.delegators("val", 13) == {"ann": 30, "val": 100}
    assert moved.delegators("val") == {"ann": 30}
    assert moved.pay(10, "val", 300) == {"val": 200 + 18, "ann": 82}
    assert moved.pay(15, "val", 300) == {"val": 54, "ann": 246}
    assert moved.pay(9, "val", 300) == {"val": 300}


def test_several_moves_in_one_block_leave_one_step():
    held = Delegations().delegate(5, "ann", "val", 10).undelegate(5, "ann", "val", 4).delegate(5, "ann", "val", 1)
    assert held.positions["ann", "val"] == ((5, 7),)
    with pytest.raises(TypeError):
        held.positions["ann", "val"] = ()


def test_moves_out_of_order_or_beyond_the_stake_are_refused_and_change_nothing():
    held = Delegations().delegate(5, "ann", "val", 10)
    for call, message in (
        (lambda: held.delegate(4, "ann", "val", 1), "block 4 is before the last move, at 5"),
        (lambda: held.undelegate(6, "ann", "val", 11), "ann has 10 wei with val, less than 11"),
        (lambda: held.redelegate(6, "ann", "wal", "val", 1), "ann has 0 wei with wal, less than 1"),
    ):
        with pytest.raises(RefusedError, match=message):
            call()
    assert held.stakes() == {"val": 10}
    with pytest.raises(DataError, match=r"amount is 1\.5"):
        held.delegate(6, "ann", "val", 1.5)
    with pytest.raises(DataError, match="amount is -1"):
        held.undelegate(6, "ann", "val", -1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from("xyz"), st.integers(0, 9)
        ),
        max_size=25,
    )
)
def test_moving_stake_conserves_it_and_agrees_with_plain_bookkeeping(moves):
    held, plain, block, history = Delegations(), {}, 0, []
    for gap, who, source, target, amount in moves:
        block += gap
        held = held.delegate(block, who, source, amount).redelegate(block, who, source, target, amount)
        plain[target] = plain.get(target, 0) + amount
        history.append((block, {name: stake for name, stake in plain.items() if stake}))
    last = dict(history)
    for at, stakes in last.items():
        assert held.stakes(at) == stakes
        assert sum(sum(held.delegators(whom, at).values()) for whom in "xyz") == sum(stakes.values())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: divide(1.0, 1.0, [math.nan]), DataError, "delegated is nan at 0"),
        (lambda: divide(1.0, 1.0, [1.0, -1.0]), DataError, "delegated is -1.0 at 1"),
        (lambda: divide(1.0, -1.0, []), DataError, "own is -1.0"),
        (lambda: divide(math.inf, 1.0, []), DataError, "dividend is inf"),
        (lambda: divide(1.0, 1.0, [], take=1.1), ConfigError, "take is 1.1"),
        (lambda: divide_wei(1, 1, [1], 0.18), ConfigError, "take is the float 0.18"),
        (lambda: divide_wei(1.0, 1, [1]), DataError, "dividend is 1.0"),
        (lambda: divide_wei(1, 1, [1, 2.0]), DataError, "delegated at 1 is 2.0"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_take_is_eighteen_per_cent():
    assert Fraction(18, 100) == TAKE
