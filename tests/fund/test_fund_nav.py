"""Shares, high-water mark and fees."""

from __future__ import annotations

import itertools

import pytest
from fund_bars import ABC, DAY, FEES, START, Desk, random_ticks, wander
from hypothesis import given, settings
from hypothesis import strategies as st

from fund.book import Book
from fund.journal import Charge, Flow, Valuation
from fund.nav import FundFees, deposit, valued, withdraw
from fund.units import PPM, WEI, YEAR_US
from protocol.errors import ConfigError, RefusedError

FREE = FundFees(0, 0)


def test_a_unit_is_worth_one_at_the_start_and_follows_the_value() -> None:
    desk = Desk(fees=FREE)
    assert desk.book.per_share() == WEI
    desk.bar(ABC=50.0)
    desk.order((ABC, 10_000))
    desk.bar(ABC=50.0)
    desk.bar(ABC=55.0)
    assert desk.book.per_share() == pytest.approx(desk.book.nav() / 1_000_000, rel=1e-12)
    assert desk.of(Valuation)[-1].per_share == desk.book.per_share()


def test_money_coming_and_going_leaves_the_others_value_alone() -> None:
    desk = Desk(fees=FREE)
    desk.bar(ABC=50.0)
    desk.order((ABC, 5_000))
    desk.bar(ABC=50.0)
    desk.bar(ABC=57.3)
    before = desk.book.per_share()
    [*_, flow] = desk.keep(deposit(desk.book, 123_456 * WEI + 7, desk.book.time, FREE))
    assert 0 <= desk.book.per_share() - before <= 1
    [*_, back] = desk.keep(withdraw(desk.book, flow.shares, desk.book.time, FREE))
    assert 0 <= flow.amount + back.amount <= 2  # rounded for those who stay
    assert 0 <= desk.book.per_share() - before <= 1


def test_a_gain_is_shared_once() -> None:
    desk = Desk(fees=FundFees(0, 200_000, 7 * DAY))
    desk.bar(ABC=50.0)
    desk.order((ABC, 10_000))
    for price in (50, 60, 60, 60, 60, 60, 60, 60, 60):
        desk.bar(ABC=float(price))
    [paid] = [charge for charge in desk.of(Charge) if charge.kind == "performance"]
    mark = desk.book.high_water
    assert mark == desk.book.per_share() > WEI
    first = -paid.amount
    for price in (50, 60) * 14:
        desk.bar(ABC=float(price))
    more = [charge for charge in desk.of(Charge) if charge.kind == "performance"][1:]
    assert sum(-charge.amount for charge in more) <= first // 2  # only what 60 is above the mark, which is after fees
    assert desk.book.high_water >= mark


def test_the_performance_fee_is_the_share_of_what_is_above_the_mark() -> None:
    desk = Desk(fees=FundFees(0, 200_000, 7 * DAY))
    desk.bar(ABC=50.0)
    desk.order((ABC, 10_000))
    desk.bar(ABC=50.0)
    gained = 0
    while not (paid := [charge for charge in desk.of(Charge) if charge.kind == "performance"]):
        gained = desk.book.nav() - 1_000_000 * WEI
        desk.bar(ABC=60.0)
    gained = desk.book.nav() - paid[0].amount - 1_000_000 * WEI
    assert -paid[0].amount == pytest.approx(gained / 5, rel=1e-12)


def test_the_management_fee_follows_the_calendar() -> None:
    desk = Desk(fees=FundFees(20_000, 0))
    nav = desk.book.nav()
    desk.keep(valued(desk.book, START + YEAR_US // 5, desk.fees))
    assert nav - desk.book.nav() == nav * 20_000 // PPM // 5
    assert not [c for c in desk.keep(valued(desk.book, START + YEAR_US // 5, desk.fees)) if isinstance(c, Charge)]


def test_a_newcomer_pays_for_no_gain_from_before() -> None:
    desk = Desk(fees=FundFees(0, 200_000, 10_000 * DAY))
    desk.bar(ABC=50.0)
    desk.order((ABC, 10_000))
    desk.bar(ABC=50.0)
    desk.bar(ABC=60.0)
    assert not desk.of(Charge)
    records = desk.keep(deposit(desk.book, 500_000 * WEI, desk.book.time, desk.fees))
    assert [charge.kind for charge in records if isinstance(charge, Charge)] == ["performance"]
    assert desk.book.high_water == pytest.approx(desk.book.per_share(), abs=1)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_fees_never_raise_the_value_and_the_mark_never_falls(seed: int) -> None:
    desk = wander(Desk(), random_ticks(seed, 40), seed)
    values = desk.of(Valuation)
    assert all(late.high_water >= early.high_water for early, late in itertools.pairwise(values))
    assert all(c.amount < 0 for c in desk.of(Charge) if c.kind in ("management", "performance", "borrow", "interest"))


def test_what_cannot_be_priced_or_paid_is_refused() -> None:
    desk = Desk(fees=FREE)
    desk.bar(ABC=50.0)
    with pytest.raises(RefusedError, match="past"):
        deposit(desk.book, WEI, START, FREE)
    with pytest.raises(RefusedError, match="past"):
        valued(desk.book, desk.book.time - 1, FREE)
    for amount in (0, -1):
        with pytest.raises(RefusedError):
            deposit(desk.book, amount, desk.book.time, FREE)
    for shares in (0, -1, desk.book.shares + 1):
        with pytest.raises(RefusedError):
            withdraw(desk.book, shares, desk.book.time, FREE)
    desk.order((ABC, 15_000))
    desk.bar(ABC=50.0)
    with pytest.raises(RefusedError, match="sell positions first"):
        withdraw(desk.book, desk.book.shares // 2, desk.book.time, FREE)
    desk.keep(withdraw(desk.book, desk.book.shares // 5, desk.book.time, FREE))
    desk.bar(ABC=6.0)
    desk.order((ABC, -15_000))
    desk.bar(ABC=6.0)
    assert desk.book.nav() > 0


def test_a_ruined_fund_takes_no_money() -> None:
    desk = Desk(fees=FREE)
    desk.bar(ABC=50.0)
    desk.order((ABC, 39_000))
    desk.bar(ABC=50.0)
    desk.bar(ABC=20.0)
    assert desk.book.nav() < 0
    with pytest.raises(RefusedError, match="wind the fund up"):
        deposit(desk.book, WEI, desk.book.time, FEES)


def test_an_empty_fund_has_a_value_of_nothing() -> None:
    book, records = valued(Book(), START, FEES)
    assert records == [Valuation(START, 0, 0, 0, 0, 0, WEI, WEI)]
    book, [_, flow] = deposit(book, WEI, START, FEES)
    assert flow == Flow(START, WEI, 10**24)


@pytest.mark.parametrize("fees", [(-1, 0, 1), (0, PPM, 1), (PPM, 0, 1), (0, 0, 0)])
def test_senseless_fees_are_refused(fees: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError):
        FundFees(*fees)
