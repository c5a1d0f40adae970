"""The simulated broker: what fills, when, at what price, and every kind of bad price, order and clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fund_bars import (
    ABC,
    ALL,
    BTC,
    DAY,
    ETH,
    FEES,
    HOUR,
    OLD,
    OTHER,
    START,
    STOCK,
    XYZ,
    Desk,
    fills,
    flat,
    random_ticks,
    wander,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fund.book import Book, book_of
from fund.broker import Quote, Tick, judged, place, step
from fund.costs import HAIRCUT_PPM, terms_of
from fund.journal import Alert, Charge, Drop, Fill, Instrument, Marks, Order, Refusal, Valuation
from fund.nav import FundFees
from fund.units import MICRO, PICO, PPM, WEI
from protocol.errors import DataError, RefusedError

NAN = float("nan")
FREE = FundFees(0, 0)


def ready(**prices: float) -> Desk:
    desk = Desk(fees=FREE)
    desk.bar(**prices)
    return desk


def whys(records: list) -> list[str]:
    return [record.why for record in records if isinstance(record, Refusal)]


def alerts(records: list) -> list[tuple[str, str, int]]:
    return [(record.asset, record.code, record.on) for record in records if isinstance(record, Alert)]


# ---------------------------------------------------------------------------------------------------- what a fill is


def test_an_order_fills_at_the_next_open_and_pays_spread_impact_and_fee() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, 400))
    assert not desk.book.positions
    [fill] = fills(desk.bar(ABC=Quote(51.0, 52.0, 50.0, 51.5, 40_000)))
    # 51 (1 + 0.0001) + half the range of 2 times the root of 400 / 40,000
    assert fill.price == 51 * PICO + 51 * PICO // 10_000 + PICO // 10
    assert (fill.order, fill.time, fill.lots, fill.quoted) == (1, START + DAY, 400, 51 * PICO)
    assert fill.fee == -(-400 * MICRO * fill.price * 250 // PPM)
    assert desk.book.cash == 1_000_000 * WEI - 400 * MICRO * fill.price - fill.fee
    assert desk.book.nav() == desk.book.cash + 400 * MICRO * 51_500_000_000_000


def test_sells_get_less_by_as_much_and_pay_a_fee_as_well() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, -400))
    [fill] = fills(desk.bar(ABC=Quote(51.0, 52.0, 50.0, 51.5, 40_000)))
    assert fill.price == 51 * PICO - 51 * PICO // 10_000 - PICO // 10
    [lent] = desk.of(Charge)
    assert desk.book.cash == 1_000_000 * WEI + 400 * MICRO * fill.price - fill.fee + lent.amount


def test_series_of_closes_fill_at_the_next_close_with_ten_basis_points() -> None:
    desk = ready(OLD=8.0)
    desk.order((OLD, 1_000))
    [fill] = fills(desk.bar(OLD=Quote(close=9.0)))
    assert (fill.quoted, fill.price, fill.time) == (9 * PICO, 9_009 * PICO // 1_000, START + 2 * DAY)


def test_a_large_order_fills_over_several_bars_at_five_per_cent_of_volume() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, 1_000))
    assert [fill.lots for fill in fills(desk.bar(ABC=flat(50, 8_000)))] == [400]
    assert not fills(desk.bar(ABC=flat(50, 0)))
    assert not fills(desk.bar(ABC=flat(50, NAN)))
    assert not fills(desk.bar(ABC=flat(50, -5)))
    assert [fill.lots for fill in fills(desk.bar(ABC=flat(50, 10_000)))] == [500]
    assert desk.book.working[0].lots == 100
    assert [fill.lots for fill in fills(desk.bar(ABC=flat(50, 1e12)))] == [100]
    assert not desk.book.working
    assert desk.book.lots(ABC) == 1_000


def test_two_orders_for_one_asset_share_the_volume() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, 300), (ABC, 300))
    assert [fill.lots for fill in fills(desk.bar(ABC=flat(50, 8_000)))] == [300, 100]


def test_what_is_left_expires() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, 1_000), life=2 * DAY)
    assert len(fills(desk.bar(ABC=flat(50, 2_000)) + desk.bar(ABC=flat(50, 2_000)))) == 2
    [drop] = [record for record in desk.bar(ABC=flat(50, 2_000)) if isinstance(record, Drop)]
    assert (drop.why, drop.lots) == ("expired", 800)
    assert not desk.book.working


def test_no_order_sees_a_bar_that_opened_before_it() -> None:
    desk = ready(ABC=50.0)
    later = desk.book.time + 1
    desk.keep(place(desk.book, [Order(1, later, ABC, 10, later + 9 * DAY)]))
    assert not fills(desk.bar(ABC=50.0))
    assert fills(desk.bar(ABC=50.0))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), cut=st.integers(3, 20))
def test_changing_the_future_changes_nothing_before(seed: int, cut: int) -> None:
    ticks, others = random_ticks(seed, 24), random_ticks(seed + 1, 24)
    one = wander(Desk(), ticks, seed)
    two = wander(Desk(), ticks[:cut] + others[cut:], seed)
    until = ticks[cut].time
    assert [r for r in one.records if getattr(r, "time", 0) < until] == [
        r for r in two.records if getattr(r, "time", 0) < until
    ]


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_every_fill_is_of_an_order_given_before_its_bar(seed: int) -> None:
    desk = wander(Desk(), random_ticks(seed, 30), seed)
    orders = {order.id: order for order in desk.of(Order)}
    ends = {tick.end: tick.time for tick in desk.ticks}
    total: dict[int, int] = {}
    for fill in desk.of(Fill):
        if fill.order:
            order = orders[fill.order]
            opened = ends[fill.time] if fill.asset == OLD else fill.time
            assert order.time <= opened < order.until
            assert fill.asset == order.asset
            total[fill.order] = total.get(fill.order, 0) + fill.lots
            assert 0 < total[fill.order] * (1 if order.lots > 0 else -1) <= abs(order.lots)
    assert total or not orders


# ------------------------------------------------------------------------------------------------------- bad prices


@pytest.mark.parametrize(
    ("quote", "code"),
    [
        (None, "missing"),
        (Quote(50, 50, 50, NAN, 1e6), "missing"),
        (Quote(NAN, 50, 50, 50, 1e6), "missing"),
        (flat(0.0), "price"),
        (flat(-50.0), "price"),
        (Quote(50, 50, 50, float("inf"), 1e6), "price"),
        (Quote(50, 50, 0, 0.0, 1e6), "price"),
        (flat(5_000.0), "jump"),
        (Quote(50, 5_000, 50, 5_000, 1e6), "jump"),
        (Quote(5_000, 5_000, 50, 50, 1e6), "jump"),
        (flat(0.5), "jump"),
        (flat(500.0), "jump"),
        (flat(5.0), "jump"),
    ],
)
def test_a_bad_price_is_neither_traded_nor_marked_and_alerted_once(quote: Quote | None, code: str) -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    desk.order((ABC, 100))
    desk.bar(ABC=50.0, XYZ=20.0)
    desk.order((ABC, 100))
    nav = desk.book.nav()
    bars = {"XYZ": flat(20.0)} if quote is None else {"XYZ": flat(20.0), "ABC": quote}
    first = desk.bar(**bars)
    assert not fills(first)
    assert alerts(first) == [(ABC, code, 1)]
    assert desk.book.nav() == nav
    assert desk.book.troubled(ABC, code)
    assert not alerts(desk.bar(**bars))  # it is on already
    good = desk.bar(ABC=51.0, XYZ=20.0)
    assert alerts(good) == [(ABC, code, 0)]
    assert [fill.lots for fill in fills(good)] == [100]
    assert not desk.book.alerts


def test_moves_below_tenfold_are_believed() -> None:
    desk = ready(ABC=50.0)
    assert not alerts(desk.bar(ABC=499.0)) + alerts(desk.bar(ABC=50.0))
    assert desk.book.last[ABC].price == 50 * PICO


def test_prices_that_are_none_are_named() -> None:
    assert judged(STOCK, Quote(1e10, 1e10, 1e10, 1e10, 1), None) == "price"
    assert judged(STOCK, Quote(1e-13, 1e-13, 1e-13, 1e-13, 1), None) == "price"
    found = judged(STOCK, Quote(10, NAN, NAN, 12, 1), None)  # high and low may be missing
    assert not isinstance(found, str)
    assert found.range == 2 * PICO


def test_an_asset_nobody_holds_is_not_worth_an_alert_when_missing() -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    assert not alerts(desk.bar(XYZ=20.0))
    assert desk.book.last[ABC].time < desk.book.last[XYZ].time


def test_halted_for_days_stays_at_its_last_price_and_is_sold_after() -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    desk.order((ABC, 100))
    desk.bar(ABC=50.0, XYZ=20.0)
    desk.order((ABC, -100))
    for _ in range(12):
        assert not fills(desk.bar(XYZ=20.0))
        assert desk.book.value(ABC) == 5_000 * WEI
    [fill] = fills(desk.bar(ABC=30.0, XYZ=20.0))
    assert fill.quoted == 30 * PICO


@pytest.mark.parametrize(("lots", "kept"), [(100, PPM - HAIRCUT_PPM), (-100, PPM)])
def test_delisted_in_mid_run_is_closed_after_thirty_days(lots: int, kept: int) -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    desk.order((ABC, lots))
    desk.bar(ABC=50.0, XYZ=20.0)
    desk.order((ABC, lots), life=90 * DAY)
    for _ in range(29):
        assert not fills(desk.bar(XYZ=20.0))
    last = desk.bar(XYZ=20.0)
    [fill] = fills(last)
    assert (fill.order, fill.lots, fill.price, fill.fee) == (0, -lots, 50 * PICO * kept // PPM, 0)
    assert [record.why for record in last if isinstance(record, Drop)] == ["delisted"]
    assert alerts(last) == [(ABC, "missing", 0)]
    assert desk.book.lots(ABC) == 0
    assert not desk.book.working
    assert not fills(desk.bar(XYZ=20.0))


def test_a_series_that_comes_back_at_another_level_after_thirty_days_starts_anew() -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    for _ in range(30):
        desk.bar(ABC=5_000.0, XYZ=20.0)
        assert desk.book.last[ABC].price == 50 * PICO
    assert alerts(desk.bar(ABC=5_000.0, XYZ=20.0)) == [(ABC, "jump", 0)]
    assert desk.book.last[ABC].price == 5_000 * PICO


def test_a_held_position_is_closed_not_marked_up_when_a_long_silence_ends_in_a_jump() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, 100))
    desk.bar(ABC=50.0)
    time = desk.book.time + 60 * DAY
    [fill] = fills(desk.tick(Tick(time, time + DAY, {ABC: flat(5_000.0)})))
    assert fill.price == 35 * PICO


def test_a_first_bar_that_jumps_within_itself_is_not_believed() -> None:
    desk = ready(ABC=Quote(50, 5_000, 50, 5_000, 1e6))
    assert ABC not in desk.book.last


def test_known_to_be_delisted_is_closed_at_once() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, 100))
    desk.bar(ABC=50.0)
    time = desk.book.time
    [fill] = fills(desk.tick(Tick(time, time + DAY, {}, gone=frozenset({ABC}))))
    assert fill.price == 35 * PICO


# ------------------------------------------------------------------------------------------------------- bad orders


def test_orders_that_make_no_sense_are_refused_with_their_reason() -> None:
    desk = ready(ABC=50.0, ETH=2_000.0)
    desk.order((ABC, 10))
    time = desk.book.time
    batch = [
        Order(1, time, ABC, 10, time + DAY),
        Order(2, time - 1, ABC, 10, time + DAY),
        Order(2, time, ABC, 10, time),
        Order(2, time, ABC, 0, time + DAY),
        Order(2, time, "stooq:NONE", 10, time + DAY),
        Order(2, time, XYZ, 10, time + DAY),
        Order(2, time, ETH, 4, time + DAY),
        Order(2, time, ETH, -100, time + DAY),
        Order(2, time, ABC, 10**9, time + DAY),
        Order(2, time, ABC, 7, time + DAY),
        Order(2, time, ABC, 7, time + DAY),
    ]
    records = desk.keep(place(desk.book, batch))
    assert [record.why for record in records if isinstance(record, Drop)] == ["replaced"]
    reasons = (
        "used before",
        "before",
        "no time",
        "no lots",
        "not listed",
        "no good price",
        "takes",
        "short",
        "left of",
    )
    found = whys(records)
    assert len(found) == 10
    for why, reason in zip(found, (*reasons, "used before"), strict=True):
        assert reason in why
    assert [order.lots for order in desk.book.working] == [7]


def test_a_batch_replaces_what_works_and_an_empty_one_cancels() -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    desk.order((ABC, 100))
    desk.order((XYZ, 100))
    assert [order.asset for order in desk.book.working] == [XYZ]
    desk.order()
    assert not desk.book.working
    assert not fills(desk.bar(ABC=50.0, XYZ=20.0))


def test_the_same_batch_again_changes_nothing() -> None:
    desk = ready(ABC=50.0)
    time = desk.book.time
    batch = [Order(1, time, ABC, 10, time + DAY)]
    desk.keep(place(desk.book, batch))
    again, records = place(desk.book, batch)
    assert again == desk.book
    assert len(whys(records)) == len(records) == 1


def test_reducing_may_be_smaller_than_the_brokers_minimum() -> None:
    desk = ready(ETH=2_000.0)
    desk.order((ETH, 100))
    desk.bar(ETH=2_000.0)
    assert not whys(desk.order((ETH, -1)))
    assert whys(desk.order((ETH, 1)))


def test_positions_beyond_twice_the_value_are_refused_and_ruin_allows_only_selling() -> None:
    desk = ready(ABC=50.0)
    assert whys(desk.order((ABC, 40_001)))
    assert not whys(desk.order((ABC, 39_999)))
    desk.bar(ABC=flat(50.0, 1e12))
    records = desk.bar(ABC=20.0)
    assert desk.book.nav() < 0
    assert ("", "ruined", 1) in alerts(records)
    assert whys(desk.order((ABC, 10)))
    assert not whys(desk.order((ABC, -39_999)))
    assert desk.book.per_share() == 0


def test_orders_of_one_batch_share_the_room_and_sales_make_some() -> None:
    desk = ready(ABC=50.0, XYZ=20.0)
    assert len(whys(desk.order((ABC, 30_000), (XYZ, 30_000)))) == 1
    assert not whys(desk.order((ABC, 30_000), (XYZ, 24_000)))
    desk.bar(ABC=flat(50.0, 1e12), XYZ=20.0)
    assert not whys(desk.order((ABC, -25_000), (XYZ, 60_000)))
    assert len(whys(desk.order((XYZ, 60_000), (ABC, -25_000)))) == 1


# -------------------------------------------------------------------------------------------------------- the clock


def test_a_bar_comes_once_and_in_order() -> None:
    desk = ready(ABC=50.0)
    with pytest.raises(RefusedError, match="was taken in or comes late"):
        step(desk.book, Tick(START, START + DAY, {}))
    with pytest.raises(RefusedError):
        step(desk.book, Tick(desk.book.time - 1, desk.book.time + DAY, {}))
    with pytest.raises(DataError, match="ends at"):
        step(desk.book, Tick(desk.book.time, desk.book.time, {}))
    with pytest.raises(RefusedError, match="bars come in their order"):
        desk.book.after(Marks(desk.book.time, ()))


# -------------------------------------------------------------------------------------------------- holding a position


def test_shorts_pay_for_borrowing_every_day_of_the_calendar() -> None:
    desk = ready(ABC=50.0)
    desk.order((ABC, -1_000))
    desk.bar(ABC=50.0)
    before = desk.book.cash
    time = desk.book.time + 2 * DAY  # a weekend
    desk.tick(Tick(time, time + DAY, {ABC: flat(50.0)}))
    charged = [r.amount for r in desk.of(Charge) if r.kind == "borrow"]
    assert len(charged) == 3  # the day of the fill, the weekend, Monday
    assert before - desk.book.cash == -sum(charged[1:])
    assert sum(charged[1:]) == pytest.approx(-50_000 * WEI * 0.01 * 3 / 365, rel=1e-12)


def test_longs_pay_shorts_when_the_rate_is_positive() -> None:
    for lots, sign in ((1_000, -1), (-1_000, 1)):
        desk = ready(BTC=40_000.0)
        desk.order((BTC, lots))
        desk.bar(BTC=flat(40_000.0, 1e9))
        time = desk.book.time
        rates = {(BTC, time + hours * HOUR): 0.0003 for hours in (8, 16, 24)}
        before = desk.book.cash
        desk.tick(Tick(time, time + DAY, {BTC: flat(40_000.0)}, rates))
        assert desk.book.cash - before == sign * 3 * (400 * WEI * 3 // 10_000)


@pytest.mark.parametrize("rate", [None, NAN, 0.5, float("-inf")])
@pytest.mark.parametrize("lots", [1_000, -1_000])
def test_missing_funding_costs_either_side_and_is_alerted_until_it_is_back(rate: float | None, lots: int) -> None:
    desk = ready(BTC=40_000.0)
    desk.order((BTC, lots))
    time = desk.book.time
    rates = {} if rate is None else {(BTC, time + hours * HOUR): rate for hours in (8, 16, 24)}
    records = desk.tick(Tick(time, time + DAY, {BTC: flat(40_000.0, 1e9)}, rates))
    assert [r.amount for r in records if isinstance(r, Charge)] == [-(400 * WEI // 10_000)] * 3
    assert alerts(records) == [(BTC, "funding", 1)]
    time += DAY
    rates = {(BTC, time + hours * HOUR): 0.0 for hours in (8, 16, 24)}
    assert alerts(desk.tick(Tick(time, time + DAY, {BTC: flat(40_000.0)}, rates))) == [(BTC, "funding", 0)]


def test_spot_bought_on_credit_costs_interest_and_a_perpetual_does_not() -> None:
    desk = ready(ABC=50.0, BTC=40_000.0)
    desk.order((ABC, 30_000))
    desk.bar(ABC=flat(50.0, 1e12), BTC=40_000.0)
    desk.bar(ABC=50.0, BTC=40_000.0)
    assert [r for r in desk.of(Charge) if r.kind == "interest"]
    owed, time = desk.book.debit(), desk.book.time + 2 * DAY
    records = desk.tick(Tick(time, time + DAY, {ABC: flat(50.0), BTC: flat(40_000.0)}))
    [cost] = [-r.amount for r in records if isinstance(r, Charge) and r.kind == "interest"]
    assert cost == pytest.approx(owed * 0.07 * 3 / 365, rel=1e-12)  # a weekend is paid for as well
    desk = ready(BTC=40_000.0)
    desk.order((BTC, 3_000_000))
    desk.bar(BTC=flat(40_000.0, 1e12))
    assert desk.book.cash < 0
    desk.bar(BTC=40_000.0)
    assert not [r for r in desk.of(Charge) if r.kind == "interest"]


# ------------------------------------------------------------------------------------------------------- invariance


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_scaling_prices_against_lots_changes_no_value(seed: int) -> None:
    ticks = random_ticks(seed, 20)
    scale = 10
    finer = tuple(replace(i, step=i.step * scale) for i in ALL)
    cheap = [replace(tick, quotes={a: _scaled(q, scale) for a, q in tick.quotes.items()}) for tick in ticks]
    one, two = wander(Desk(), ticks, seed), wander(Desk(instruments=finer), cheap, seed)
    assert [v.nav for v in one.of(Valuation)] == pytest.approx([v.nav for v in two.of(Valuation)], rel=1e-9)


def _scaled(quote: Quote, scale: int) -> Quote:
    prices = (round(price / scale, 12) for price in quote[:4])
    return Quote(*prices, quote.volume * scale)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), factor=st.sampled_from([3, 1_000]))
def test_scaling_the_money_scales_the_value(seed: int, factor: int) -> None:
    """Everything that is counted in lots times `factor`, the lot itself as well: the same relative path."""
    ticks = random_ticks(seed, 20)
    small = Desk(fees=FEES, money=1_000_000 * WEI)
    large = Desk(
        fees=FEES,
        money=factor * 1_000_000 * WEI,
        instruments=tuple(replace(i, step=i.step * factor) for i in ALL),
    )
    bigger = [replace(t, quotes={a: q._replace(volume=q.volume * factor) for a, q in t.quotes.items()}) for t in ticks]
    orders = [(ABC, 300), (OLD, -2_000), (BTC, 500), (ETH, 40)]
    for desk, bars in ((small, ticks), (large, bigger)):
        for number, tick in enumerate(bars):
            desk.tick(tick)
            if number % 5 == 0:
                desk.order(*(w for w in orders if w[0] in desk.book.last))
    assert large.book.nav() == pytest.approx(factor * small.book.nav(), rel=1e-12)


def test_an_unknown_broker_has_the_dearest_terms_and_no_shorts() -> None:
    odd = Instrument("bourse", "Q", "tech", MICRO)
    desk = Desk(instruments=(odd, OTHER), fees=FREE)
    desk.bar(Q=10.0)
    assert whys(desk.order((odd.asset, -100)))
    desk.order((odd.asset, 100))
    [fill] = fills(desk.bar(Q=10.0))
    assert fill.fee == -(-100 * MICRO * fill.price * terms_of("bourse").fee_ppm // PPM)


def test_an_empty_book_goes_through_empty_bars() -> None:
    book, records = step(Book(), Tick(START, START + DAY, {}))
    assert records == [Marks(START + DAY, ())]
    assert book_of(records) == book
