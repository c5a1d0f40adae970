"""Money: whole numbers, never too little, and a budget that holds."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ec2_reconcile import instance

from infra.dollars import DOLLAR, in_dollars, micro_dollars
from infra.ec2.cost import (
    HOUR_S,
    MINIMUM_S,
    STOP_S,
    Bill,
    affordable,
    charge,
    extras_hour,
    seconds_left,
    worst_case,
)

prices = st.integers(extras_hour(8), 20 * DOLLAR)
spans = st.floats(0, 100_000)


def test_dollars() -> None:
    assert micro_dollars(0.1) == micro_dollars("0.1000") == 100_000
    assert micro_dollars("0.0000001") == 1
    assert [in_dollars(amount) for amount in (0, 1, 100_000, 1_000_001, 12_345_670_000)] == [
        "$0.0000",
        "$0.0001",
        "$0.1000",
        "$1.01",
        "$12,345.67",
    ]


@given(prices, spans, spans)
def test_a_charge_is_never_too_little(price: int, first: float, second: float) -> None:
    assert charge(price, first) * HOUR_S >= price * max(first, MINIMUM_S)
    assert charge(price, first) <= price * (max(first, MINIMUM_S) + 1) / HOUR_S + 1
    assert charge(price, min(first, second)) <= charge(price, max(first, second))


def test_a_bill_forgets_nothing() -> None:
    one, two = instance("i-1", launched=0.0), instance("i-2", launched=100.0)

    def price(_: object) -> int:
        return 3600

    bill = Bill().observe([one, two], price, 200.0)
    assert (bill.spent(200.0), bill.rate()) == (200 + 100, 7200)
    bill = bill.observe([instance("i-1", state="terminated"), two], price, 300.0)
    assert (bill.spent(1300.0), bill.rate()) == (300 + 1200, 3600)
    bill = bill.observe([], price, 400.0)  # AWS lists it no more
    assert (bill.spent(9000.0), bill.rate()) == (300 + 300, 0)
    assert bill.observe([two], price, 500.0).spent(600.0) == 300 + 500  # it only was not listed
    assert Bill.from_dict(json.loads(json.dumps(bill.to_dict()))) == bill


@given(st.lists(st.tuples(prices, st.floats(0, 5000)), min_size=1, max_size=20), st.integers(1, 100 * DOLLAR))
def test_a_run_that_stops_in_time_keeps_its_budget(rentals: list[tuple[int, float]], budget: int) -> None:
    now = 5000.0
    running = {f"i-{k}": (price, start) for k, (price, start) in enumerate(rentals)}
    listed = [instance(name, launched=start) for name, (_, start) in running.items()]
    bill = Bill().observe(listed, lambda one: running[one.id][0], now)
    left = seconds_left(budget, bill.spent(now), bill.rate())
    if left > 0:
        assert bill.spent(now + left + STOP_S) <= budget
    assert seconds_left(budget, bill.spent(now), 0) == (math.inf if bill.spent(now) < budget else 0.0)


@given(st.integers(1, 100 * DOLLAR), st.integers(0, 50 * DOLLAR), st.integers(0, 100 * DOLLAR), prices, spans)
def test_what_is_affordable_can_be_paid(budget: int, spent: int, rate: int, price: int, seconds: float) -> None:
    more = affordable(budget, spent, rate, price, seconds)
    horizon = seconds + STOP_S
    assert more == 0 or spent + charge(rate, horizon) + more * charge(price, horizon) <= budget
    assert spent + charge(rate, horizon) + (more + 1) * charge(price, horizon) > budget
    if more:
        assert seconds_left(budget, spent, rate + more * price) >= math.floor(seconds) - 2


@pytest.mark.parametrize("seconds", [None, 600.0, 1e6])
def test_the_worst_case(seconds: float | None) -> None:
    worst = worst_case(10, DOLLAR, seconds=seconds, budget=20 * DOLLAR, lonely_s=1200, lifetime_s=43_200)
    assert worst.hour == 10 * DOLLAR
    assert worst.run == (20 * DOLLAR if seconds != 600.0 else 10 * charge(DOLLAR, 780))
    assert worst.abandoned == 10 * charge(DOLLAR, 1200) < worst.lifetime == 120 * DOLLAR
