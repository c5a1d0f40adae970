"""A book is the fold of its records; cash plus positions is the net asset value at every one of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fund_bars import ABC, BTC, DAY, START, STOCK, Desk, random_ticks, wander
from hypothesis import given, settings
from hypothesis import strategies as st

from fund.book import Book, book_of
from fund.journal import KINDS, Charge, Drop, Fill, Flow, Instrument, Marks, Order, Valuation, plain, record_of
from fund.units import MICRO, PICO, WEI
from protocol.errors import DataError, RefusedError
from protocol.ledger.commitments import canonical


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_cash_and_positions_are_the_value_at_every_record(seed: int) -> None:
    desk = wander(Desk(), random_ticks(seed, 30), seed)
    book, cash, lots = Book(), 0, dict[str, int]()
    steps = {instrument.asset: instrument.step for instrument in desk.instruments}
    price: dict[str, int] = {}
    for record in desk.records:
        book = book.after(record)
        match record:
            case Fill():
                cash -= record.lots * record.price * steps[record.asset] + record.fee
                lots[record.asset] = lots.get(record.asset, 0) + record.lots
            case Charge() | Flow():
                cash += record.amount
            case Marks():
                price.update(record.prices)
        value = sum(count * steps[asset] * price[asset] for asset, count in lots.items() if count)
        assert book.nav() == cash + value == book.cash + sum(book.value(asset) for asset in book.positions)
        if isinstance(record, Valuation):
            assert record.nav == record.cash + record.long + record.short == book.nav()
    assert book == desk.book
    put_in = sum(flow.amount for flow in desk.of(Flow))
    own = sum(charge.amount for charge in desk.of(Charge) if not charge.asset)
    assert book.nav() == put_in + own + sum(book.earned(asset) for asset in book.positions)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), cut=st.integers(0, 10**6))
def test_a_snapshot_anywhere_goes_on_as_the_whole_journal(seed: int, cut: int) -> None:
    desk = wander(Desk(), random_ticks(seed, 20), seed)
    place = cut % len(desk.records)
    snapshot = json.loads(canonical(book_of(desk.records[:place]).to_dict()))
    assert book_of(desk.records[place:], Book.from_dict(snapshot)) == desk.book


def test_what_does_not_follow_is_refused() -> None:
    order = Order(3, START, ABC, 10, START + DAY)
    book = book_of([STOCK, order])
    fill = Fill(3, START, ABC, 4, PICO, PICO, 0)
    assert book.after(fill).working[0].lots == 6
    for wrong in (
        replace(fill, order=2),
        replace(fill, lots=11),
        replace(fill, lots=-4),
        replace(fill, asset=BTC),
        replace(fill, order=0, asset=BTC),
        order,
        replace(STOCK, step=7),
        replace(STOCK, symbol="NEW", step=0),
    ):
        with pytest.raises(RefusedError):
            book.after(wrong)
    assert not book.after(Drop(3, START, ABC, 10, "replaced")).working


def test_a_position_without_a_price_has_no_value() -> None:
    with pytest.raises(DataError, match="no good price"):
        book_of([STOCK]).lot_value(ABC)
    assert book_of([STOCK]).value(ABC) == book_of([STOCK]).earned(ABC) == 0


@pytest.mark.parametrize(
    ("symbol", "perpetual"),
    [("BTC/USDT:USDT", True), ("BTC/USDT", False), ("BTC/USDT:USDT-250627", False), ("AAPL", False), ("BRK-B", False)],
)
def test_perpetuals_are_known_by_their_symbol(symbol: str, perpetual: bool) -> None:
    assert Instrument("binance", symbol, "crypto-majors", MICRO).perpetual is perpetual


def test_records_of_every_kind_are_plain_and_come_back() -> None:
    desk = wander(Desk(), random_ticks(3, 60, trouble=0.3), 3)
    assert {type(record).__name__.lower() for record in desk.records} == {*KINDS}
    for record in desk.records:
        assert record_of(json.loads(canonical(plain(record)))) == record


GOOD = plain(Fill(1, 2, ABC, 3, 4, 5, 6))


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {**GOOD, "record": "fil"},
        {**GOOD, "record": None},
        {**GOOD, "more": 1},
        {key: value for key, value in GOOD.items() if key != "fee"},
        {**GOOD, "fee": 6.0},
        {**GOOD, "fee": True},
        {**GOOD, "asset": 7},
        {**GOOD, "lots": None},
        {**plain(Charge(1, "", "borrow", 2)), "kind": "tip"},
        {**plain(Marks(1, ((ABC, 2),))), "prices": [[ABC, 2.0]]},
        {**plain(Marks(1, ((ABC, 2),))), "prices": [[ABC]]},
        {**plain(Marks(1, ((ABC, 2),))), "prices": "no"},
        {**plain(STOCK), "fills": "noon"},
        {**plain(STOCK), "fills": ("open",)},
    ],
)
def test_what_is_no_record_is_named(given_: dict) -> None:
    with pytest.raises(DataError):
        record_of(given_)


@pytest.mark.parametrize(
    "change",
    [
        {"cash": 1.5},
        {"cash": None},
        {"last": {ABC: [1]}},
        {"positions": {ABC: [1, "2"]}},
        {"positions": None},
        {"working": [GOOD]},
        {"instruments": [GOOD]},
        {"alerts": [GOOD]},
        {"working": [3]},
    ],
)
def test_what_is_no_snapshot_is_named(change: dict) -> None:
    snapshot = wander(Desk(), random_ticks(3, 10), 3).book.to_dict()
    assert Book.from_dict(snapshot).to_dict() == snapshot
    with pytest.raises(DataError):
        Book.from_dict({**snapshot, **change})
    with pytest.raises(DataError):
        Book.from_dict({key: value for key, value in snapshot.items() if key not in change})


def test_the_debit_leaves_perpetuals_out() -> None:
    perp = Instrument("binanceusdm", "BTC/USDT:USDT", "crypto-majors", MICRO)
    records = [
        STOCK,
        perp,
        Marks(START, ((BTC, 100 * PICO), (ABC, 100 * PICO))),
        Fill(0, START, BTC, 3, 100 * PICO, 0, 0),
    ]
    assert book_of(records).cash == -300 * WEI
    assert book_of(records).debit() == 0
    assert book_of([*records, Fill(0, START, ABC, 3, 100 * PICO, 0, 0)]).debit() == 300 * WEI
