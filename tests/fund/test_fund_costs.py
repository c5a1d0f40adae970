"""The table of brokers, and each cost against its formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fund.costs import (
    FUNDING_DEFAULT_PPB,
    TERMS,
    UNKNOWN,
    borrow,
    delisted_price,
    fee,
    fill_price,
    funding,
    funding_ppb,
    interest,
    listed,
    shortable,
    terms_of,
)
from fund.units import MAX_PRICE, MICRO, PICO, PPB, PPM, WEI, YEAR_US, pico, toward_zero
from protocol.errors import DataError


def test_an_unknown_broker_gets_the_named_default_that_nobody_undercuts() -> None:
    assert terms_of("bourse") is UNKNOWN
    assert UNKNOWN.source.startswith("unknown broker")
    for terms in TERMS.values():
        assert UNKNOWN.fee_ppm >= terms.fee_ppm
        assert UNKNOWN.half_spread_ppm >= terms.half_spread_ppm
        assert UNKNOWN.min_value >= terms.min_value
        assert terms.source
    assert not shortable(listed("bourse", "Q", "tech", price=PICO))
    assert shortable(listed("bourse", "Q/USDT:USDT", "tech", price=PICO))
    assert shortable(listed("skfolio", "Q", "tech", price=PICO))
    assert not shortable(listed("kraken", "ETH/USD", "tech", price=PICO))


sizes = st.integers(1, 10**9)


@given(price=st.integers(10**6, 10**18), parts=st.integers(0, 10**6), lots=sizes, more=sizes, volume=sizes)
def test_impact_grows_with_size_and_is_against_the_order(
    price: int, parts: int, lots: int, more: int, volume: int
) -> None:
    wide, terms = price * parts // PPM, TERMS["stooq"]

    def at(side: int, count: int) -> int:
        return fill_price(side, price, wide, lots=count, volume=volume, terms=terms)

    assert at(1, lots) > price > at(-1, lots)
    assert at(1, lots + more) >= at(1, lots)
    assert at(-1, lots + more) <= at(-1, lots)
    share = 0.0001 + 0.5 * (wide / price) * math.sqrt(lots / volume)
    assert at(1, lots) / price - 1 == pytest.approx(share, rel=1e-5, abs=2e-6)
    assert at(-1, lots) == 1 or 1 - at(-1, lots) / price == pytest.approx(share, rel=1e-5, abs=2e-6)


def test_without_a_volume_slippage_is_ten_basis_points() -> None:
    terms = TERMS["skfolio"]
    assert fill_price(1, 10**9, 0, lots=5, volume=None, terms=terms) == 1_001_000_000
    assert fill_price(-1, 10**9, 0, lots=5, volume=None, terms=terms) == 999_000_000
    assert fill_price(-1, 1, 10, lots=5, volume=1, terms=terms) == 1


def test_rounding_is_against_the_fund() -> None:
    terms = TERMS["stooq"]
    assert fee(1, terms) == 1
    assert fee(0, terms) == 0
    assert fee(4_000 * WEI, terms) == WEI
    assert borrow(100 * WEI, terms, YEAR_US) == WEI
    assert borrow(1, terms, 1) == 1
    assert borrow(100 * WEI, TERMS["binanceusdm"], YEAR_US) == 0
    assert interest(100 * WEI, YEAR_US) == 7 * WEI


@given(value=st.integers(-(10**30), 10**30), ppb=st.one_of(st.none(), st.integers(-3 * 10**7, 3 * 10**7)))
def test_funding_passes_between_longs_and_shorts_and_loses_at_most_a_wei(value: int, ppb: int | None) -> None:
    paid, other = funding(value, ppb), funding(-value, ppb)
    if ppb is None:
        assert paid == other <= 0
        assert -paid * PPB >= abs(value) * FUNDING_DEFAULT_PPB
    else:
        assert -1 <= paid + other <= 0
        assert paid == pytest.approx(-value * ppb / PPB, abs=1, rel=1e-12)


def test_funding_rates_that_are_none() -> None:
    assert funding_ppb(0.0001) == 100_000
    assert funding_ppb(-0.03) == -30_000_000
    for rate in (None, float("nan"), float("inf"), 0.031, -0.2):
        assert funding_ppb(rate) is None


def test_delisting_cuts_longs_and_gives_shorts_nothing() -> None:
    assert delisted_price(5, 10) == 7
    assert delisted_price(-5, 10) == 10
    assert delisted_price(5, 1) == 1


@given(price=st.integers(1, MAX_PRICE * PICO))
def test_a_lot_is_the_power_of_ten_worth_at_most_one(price: int) -> None:
    step = listed("binanceusdm", "X/USDT:USDT", "s", price=price).step
    assert step == 1 or step * price <= WEI < 10 * step * price
    assert set(str(step)) <= {"1", "0"}


def test_steps_come_from_the_broker_unless_given() -> None:
    assert listed("skfolio", "A", "s", price=500 * PICO).step == MICRO
    assert listed("binanceusdm", "BTC/USDT:USDT", "s", price=100_000 * PICO).step == 10
    assert listed("binanceusdm", "BTC/USDT:USDT", "s", price=100_000 * PICO, step=1_000).step == 1_000
    for price, step in ((0, None), (-1, None), (1, 0), (1, -5)):
        with pytest.raises(DataError):
            listed("binance", "A/B", "s", price=price, step=step)


@given(units=st.integers(1, 10**15), digits=st.integers(0, 12))
def test_a_price_is_the_shortest_decimal(units: int, digits: int) -> None:
    text = f"{units}e-{digits}"
    assert pico(float(text)) == (units * 10 ** (12 - digits) if units <= MAX_PRICE * 10**digits else None)


@pytest.mark.parametrize("price", [0.0, -0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e-13, 2e9])
def test_what_is_no_price(price: float) -> None:
    assert pico(price) is None


@given(dividend=st.integers(), divisor=st.integers(1, 10**9))
def test_towards_zero(dividend: int, divisor: int) -> None:
    quotient = toward_zero(dividend, divisor)
    assert abs(quotient) == abs(dividend) // divisor
    assert quotient * dividend >= 0
