"""The replay finds a true journal true to the wei, and every kind of lie in a false one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fund_bars import ABC, ALL, BTC, DAY, FEES, HOUR, Desk, flat, random_ticks, wander
from hypothesis import given, settings
from hypothesis import strategies as st

from fund.audit import audit
from fund.book import book_of
from fund.broker import Tick
from fund.journal import Charge, Fill, Flow, Marks, Record, Valuation, plain, record_of
from fund.nav import FundFees, withdraw
from fund.units import WEI, cents
from protocol.ledger.commitments import canonical


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), interval=st.sampled_from([HOUR, DAY]), trouble=st.sampled_from([0.0, 0.1, 0.6]))
def test_a_true_journal_is_reproduced_to_the_wei(seed: int, interval: int, trouble: float) -> None:
    ticks = random_ticks(seed, 45, interval, trouble)
    desk = wander(Desk(interval=interval), ticks, seed)
    desk.keep(withdraw(desk.book, desk.book.shares // 10**6, desk.book.time, desk.fees))
    found = audit(desk.records, desk.ticks, desk.fees)
    assert not found.differences
    assert [nav for _, nav in found.navs] == [cents(value.nav) for value in desk.of(Valuation)]


def test_a_journal_that_went_through_text_is_the_same() -> None:
    desk = wander(Desk(), random_ticks(5, 40), 5)
    lines = [canonical(plain(record)) for record in desk.records]
    back = [record_of(json.loads(line)) for line in lines]
    assert back == desk.records
    assert book_of(back) == desk.book
    assert not audit(back, desk.ticks, FEES).differences


def one_year() -> Desk:
    desk = wander(Desk(), random_ticks(11, 60), 11)
    assert len(desk.of(Fill)) > 20
    return desk


def _nudge(record: Record, **changes: int) -> Record:
    return replace(record, **{name: getattr(record, name) + by for name, by in changes.items()})


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (Fill, {"price": 1}),
        (Fill, {"quoted": 1}),
        (Fill, {"fee": -1}),
        (Fill, {"lots": 1}),
        (Charge, {"amount": 1}),
        (Valuation, {"nav": 1}),
        (Valuation, {"cash": -1, "long": 1}),
        (Valuation, {"high_water": 1}),
        (Valuation, {"per_share": 1}),
        (Flow, {"shares": 1}),
    ],
)
def test_one_unit_of_a_lie_is_found(kind: type, changes: dict[str, int]) -> None:
    desk = one_year()
    places = [place for place, record in enumerate(desk.records) if isinstance(record, kind)]
    for place in (places[0], places[len(places) // 2], places[-1]):
        false = list(desk.records)
        false[place] = _nudge(false[place], **changes)
        assert audit(false, desk.ticks, FEES).differences


@pytest.mark.parametrize("kind", [Fill, Charge, Marks])
def test_what_is_left_out_or_told_twice_is_found(kind: type) -> None:
    desk = one_year()
    place = next(place for place, record in enumerate(desk.records) if isinstance(record, kind))
    for false in (
        desk.records[:place] + desk.records[place + 1 :],
        desk.records[: place + 1] + desk.records[place:],
    ):
        assert audit(false, desk.ticks, FEES).differences


def test_other_prices_fees_or_too_few_bars_are_found() -> None:
    desk = one_year()
    changed = [*desk.ticks]
    quotes = dict(changed[30].quotes)
    quotes[ABC] = flat(77.0)
    changed[30] = replace(changed[30], quotes=quotes)
    assert "marks differ" in " ".join(audit(desk.records, changed, FEES).differences)
    assert audit(desk.records, desk.ticks, FundFees(0, 200_000, FEES.period)).differences
    assert audit(desk.records, desk.ticks[:-1], FEES).differences
    last = max(place for place, record in enumerate(desk.records) if isinstance(record, Fill))
    assert audit(desk.records[: last + 1], desk.ticks, FEES).differences


def test_funding_at_another_rate_is_found() -> None:
    desk = Desk(instruments=ALL)
    desk.bar(BTC=40_000.0)
    desk.order((BTC, 1_000))
    time = desk.book.time
    rates = {(BTC, time + hours * HOUR): 0.0003 for hours in (8, 16, 24)}
    desk.tick(Tick(time, time + DAY, {BTC: flat(40_000.0, 1e9)}, rates))
    assert not audit(desk.records, desk.ticks, FEES).differences
    rates[BTC, time + 8 * HOUR] = 0.0002
    wrong = audit(desk.records, [desk.ticks[0], replace(desk.ticks[1], funding=rates)], FEES).differences
    assert any("funding" in line and "only in the journal" in line for line in wrong)


def test_cents_are_rounded_to_the_even_neighbour() -> None:
    half = WEI // 200
    assert [cents(n * half) for n in (0, 1, 2, 3, 5, -1, -3)] == [0, 0, 1, 2, 2, 0, -2]
    assert cents(half + 1) == 1
