"""The page's view of a real store: what it shows is what the store, the ledger and the fund's own arithmetic say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_fund import DOMAIN, FIRST, KEYS, MODELS, PERIOD_US, PLACES, STOCKS, ledger, signed, steps

from dashboard import fund_history
from dashboard.alerts import all_alerts
from dashboard.fund_view import FundView
from dashboard.page import PARTS, Page
from dashboard.query import Query
from dashboard.view import Clock, Snapshot
from fund.book import book_of
from fund.journal import Marks, Record, Valuation
from fund.performance import Costs
from fund.step import Step
from fund.store import Store
from fund.store_reader import Reader
from fund.units import PICO, WEI, cents
from protocol.errors import DataError
from protocol.head.head import Head
from protocol.head.quorum import sign_head
from protocol.head.schedule import PERIOD_S

LAST = FIRST + PLACES[-1][0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "fund.sqlite", DOMAIN.salt, {"currency": "USD"}) as store:
        yield store


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    with Reader.open(store.path) as reader:
        yield reader


def filled(store: Store, made: list[Step]) -> list[Step]:
    for one in made:
        store.commit(one)
    return made


def sign(store: Store, made: list[Step]) -> None:
    store.sign([signed(one.head, signer) for one in made for signer in (1, 2)])


def told(snapshot: Snapshot) -> str:
    """Return everything in a snapshot but where the record ends now."""
    return repr(dataclasses.asdict(dataclasses.replace(snapshot, newest=None)))


def journal(made: list[Step]) -> list[Record]:
    return [record for one in made for record in one.journal["book-0"]]


def test_a_fund_without_steps_is_shown_as_empty(reader: Reader) -> None:
    view = FundView(reader, ledger)
    assert view.snapshot() == Snapshot("made")
    with pytest.raises(DataError, match="no HEAD yet"):
        view.snapshot(FIRST)


def test_the_fund_is_what_its_journal_says(store: Store, reader: Reader) -> None:
    made = filled(store, list(steps()))
    records = journal(made)
    book = book_of(records)
    fund = FundView(reader, ledger).snapshot().fund
    assert fund
    values = {one.time: one for one in records if isinstance(one, Valuation)}
    assert fund.times.tolist() == [time // 1_000_000 for time in values]
    np.testing.assert_allclose(fund.nav, [one.per_share / WEI for one in values.values()], rtol=1e-12)
    assert (fund.nav_cents, fund.cash_cents) == (cents(book.nav()), cents(book.cash))
    assert abs(fund.nav_cents - fund.cash_cents - sum(one.value for one in fund.positions)) <= 1
    assert fund.high_water == book.high_water / WEI > 1
    assert fund.fees_cents == cents(Costs.of(records).trading) > 0
    (position,) = fund.positions
    asset = STOCKS[0].asset
    assert (position.quantity, position.price) == (book.lots(asset), book.last[asset].price / PICO)
    assert position.weight == position.target == book.value(asset) / book.nav()
    assert position.gain == cents(book.earned(asset))
    assert (fund.gross, fund.currency, fund.cash.tolist()) == (fund.net, "USD", [1.0] * fund.times.size)


def test_equal_weight_is_the_mean_growth_of_what_has_two_closes(store: Store, reader: Reader) -> None:
    made = filled(store, list(steps()))
    worth, last, expected = 1.0, {}, [1.0]
    for marks in (one for one in journal(made) if isinstance(one, Marks)):
        growth = [price / last[asset] for asset, price in marks.prices if asset in last]
        worth *= np.mean(growth) if growth else 1.0
        last |= dict(marks.prices)
        expected.append(worth)
    fund = FundView(reader, ledger).snapshot().fund
    assert fund
    np.testing.assert_allclose(fund.equal_weight, expected, rtol=1e-12)
    assert len(set(expected)) == len(PLACES)


def test_orders_are_followed_to_their_end(store: Store, reader: Reader) -> None:
    made = list(steps())
    view = FundView(reader, ledger)
    seen = {}
    for one in made:
        store.commit(one)
        fund = view.snapshot().fund
        assert fund
        seen[one.period] = {(order.symbol, order.side, order.quantity): order for order in fund.orders}
    first = [seen[one.period]["ABC", "buy", 150.0] for one in made]
    assert [(one.state, one.filled) for one in first[:3]] == [("waiting", 0), ("partial", 100), ("filled", 150)]
    assert np.isnan(first[0].price)
    assert first[2].fee > 0
    assert first[2].slippage > 0
    fund = view.snapshot(FIRST).fund
    assert fund
    assert [(one.symbol, one.state, one.reason) for one in fund.orders] == [
        ("ABC", "waiting", ""),
        ("where", "refused", "not listed"),
    ]
    assert fund.positions[0].quantity == 0
    assert fund.positions[0].target == pytest.approx(150 * 50.5 / 100_000, rel=1e-6)
    after = view.snapshot(FIRST + 2).fund
    assert after
    assert after.turnover == 0  # of a new decision nothing is done yet
    assert view.snapshot(FIRST + 1).fund.turnover > 0.05  # type: ignore[union-attr]  # it has begun


@pytest.mark.parametrize("stride", [1, 2, 144])
@pytest.mark.parametrize("books", [1, 2])
def test_the_past_is_shown_as_it_was(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch, stride: int, books: int
) -> None:
    monkeypatch.setattr(fund_history, "STRIDE", stride)
    then = {}
    for one in steps(books, losses=[{"hits": 1, "calls": 2}]):
        store.commit(one)
        sign(store, [one])
        then[one.period] = told(FundView(reader, ledger).snapshot())
    view = FundView(reader, ledger)
    for number in reversed(then):
        assert told(view.snapshot(number)) == then[number]


def test_several_books_add_up(store: Store, reader: Reader) -> None:
    made = filled(store, list(steps(2)))
    folded = [book_of(record for one in made for record in one.journal[name]) for name in ("book-0", "book-1")]
    fund = FundView(reader, ledger).snapshot().fund
    assert fund
    total = sum(book.nav() for book in folded)
    assert fund.nav_cents == cents(total)
    assert fund.nav[-1] == pytest.approx(total / (300_000 * WEI), rel=1e-9)  # nothing went in or out since the start
    assert {one.symbol for one in fund.positions} == {"ABC", "XYZ"}


def test_a_head_waits_for_its_quorum(store: Store, reader: Reader) -> None:
    made = filled(store, list(steps()))
    view = FundView(reader, ledger)
    before, snapshot = view.version(), view.snapshot()
    assert snapshot.head
    assert (snapshot.head.state, snapshot.head.stake_signed * 3) == ("pending", snapshot.head.stake_total)
    assert set(snapshot.head.unsigned) == {KEYS[1].address, KEYS[2].address}
    assert (snapshot.rewards, snapshot.past[0].paid) == (None, 0)
    assert view.version() == before
    sign(store, made)
    assert view.version() != before
    snapshot = view.snapshot()
    assert snapshot.head
    assert (snapshot.head.state, snapshot.head.unsigned) == ("signed", ())
    assert snapshot.rewards
    assert snapshot.rewards.paid == snapshot.past[0].paid == 2 * len(made) * 10**18
    assert (snapshot.rewards.emission, snapshot.rewards.buyback, snapshot.rewards.kept) == (None, None, None)
    assert snapshot.rewards.earnings[0].why == "inferences of block aaaaaaaa…aaaa in us-daily"


def test_two_signatures_of_one_validator_are_named(store: Store, reader: Reader) -> None:
    (step, *_) = filled(store, list(steps())[:1])
    other = Head.from_json(step.head.text)
    other = dataclasses.replace(other, data_root="02" * 32)
    store.sign([sign_head(KEYS[0], DOMAIN, other)])
    alerts = FundView(reader, ledger).snapshot().alerts
    assert [one.title for one in alerts if KEYS[0].address in one.text] == ["Validator equivocates"]


def test_missed_and_carried_periods_are_told_apart(store: Store, reader: Reader) -> None:
    filled(store, list(steps()))
    view = FundView(reader, ledger)
    states = {one.number - FIRST: one.state for one in view.snapshot().past}
    assert [number for number, state in states.items() if state == "missed"] == [3]
    assert [number for number, state in states.items() if state == "carried"] == [6, 5]
    missed, carried = view.snapshot(FIRST + 3), view.snapshot(FIRST + 6)
    assert (missed.head, missed.predictions, missed.number) == (None, (), FIRST + 3)
    assert missed.fund
    assert carried.head
    assert (carried.head.number, carried.number, len(carried.predictions)) == (FIRST + 4, FIRST + 6, 2)
    for number in (FIRST - 1, LAST + 1):
        with pytest.raises(DataError, match=f"from {FIRST} to {LAST}"):
            view.snapshot(number)


def test_models_and_predictions_are_those_of_the_head(store: Store, reader: Reader) -> None:
    filled(store, list(steps()))
    view = FundView(reader, ledger)
    crowned, provisional = view.snapshot(FIRST + 1).models
    assert [crowned.block, provisional.block] == MODELS
    assert (crowned.role, crowned.weight, crowned.log_e, crowned.owner) == ("crowned", 0.75, 3.0, KEYS[0].address)
    assert (provisional.role, provisional.weight, provisional.earned) == ("provisional", 0.25, 0)
    assert crowned.earned == (1 + 2) * 10**18  # of the first two HEADs only
    one = view.snapshot(FIRST + 1).predictions[0]
    assert (one.bar, one.value, one.low, one.models[0]) == (FIRST * 600, 0.5 - 1e-9, -1.0, (MODELS[0], 0.75))


def test_the_token_is_the_market_and_the_supply(store: Store, reader: Reader) -> None:
    made = filled(store, list(steps()))
    token = FundView(reader, ledger).snapshot().token
    market, state = made[-1].market, ledger(0)
    assert token
    assert market
    assert token.times.tolist() == [one.period * 600 for one in made]
    assert token.price[-1] == market.pool.price / WEI
    assert np.isfinite(token.twap).all()
    assert (token.pool_tokens, token.pool_cents) == (market.pool.ltft, cents(market.pool.quote))
    assert token.treasury_cents == cents(market.treasury) > 0
    assert sum(one.bought for one in token.buybacks) == market.sums.rewarded + market.sums.burned > 0
    assert [one.at for one in token.buybacks] == sorted((one.at for one in token.buybacks), reverse=True)
    assert (token.supply, token.cap) == (state.supply.total, state.supply.total + state.params.emission_cap)


def test_what_a_step_documents_is_shown(store: Store, reader: Reader) -> None:
    documents = {
        "alerts": [{"text": "Bars are late."}, {"text": "b", "level": "info", "title": "t", "since": 7}],
        "limits": ["sector energy", "gross"],
        "losses": [{"topic": "us-daily", "hits": 3, "calls": 4}, {"hits": 1, "calls": 4}, {"hits": 0, "calls": 0}],
        "kept": {"emission": 50, "buyback": 9, "kept": [{"amount": 5, "topic": "", "why": "nobody"}]},
        "absent": [{"model": MODELS[1], "why": "killed after 20 s of CPU"}],
    }
    sign(store, filled(store, list(steps(1, **documents))))
    snapshot = FundView(reader, ledger).snapshot(FIRST + 4)
    found = {one.title: one for one in snapshot.alerts}
    assert found["The fund reports"].level == "warning"
    assert (found["t"].level, found["t"].since) == ("info", 7)
    assert "sector energy, gross" in found["Limit hit"].text
    assert "ABC has no price" in found["Trading halted"].text
    assert found["Trading halted"].since == (FIRST + 4) * 600
    assert snapshot.fund
    assert snapshot.fund.hit_rate == 0.5
    assert snapshot.rewards
    assert (snapshot.rewards.emission, snapshot.rewards.buyback, snapshot.rewards.kept) == (50, 9, 5)
    assert [(one.role, one.note) for one in snapshot.models][1] == ("absent", "killed after 20 s of CPU")


@pytest.mark.parametrize(
    "documents",
    [{"alerts": [{"level": "info"}]}, {"alerts": "late"}, {"limits": [1]}, {"losses": [{"hits": 1}]}, {"kept": [5]}],
)
def test_a_document_of_another_shape_is_named(store: Store, reader: Reader, documents: dict[str, Any]) -> None:
    sign(store, filled(store, list(steps(1, **documents))))
    view = FundView(reader, ledger)
    for _ in range(2):
        with pytest.raises(DataError, match=f"document {next(iter(documents))}"):
            view.snapshot()


def test_a_head_of_another_ledger_is_named(store: Store, reader: Reader) -> None:
    filled(store, list(steps())[:1])

    def without(height: int) -> Any:
        state = ledger(height)
        del state.blocks[MODELS[1]]
        return state

    with pytest.raises(DataError, match=MODELS[1]):
        FundView(reader, without).snapshot()


def test_the_ledger_is_read_upwards(store: Store, reader: Reader) -> None:
    filled(store, list(steps()))
    asked: list[int] = []
    FundView(reader, lambda height: asked.append(height) or ledger(height)).snapshot()  # type: ignore[func-returns-value]  # None
    assert [one for one in asked if one is not None] == [*range(len(PLACES)), len(PLACES) - 1]


def test_threads_see_whole_steps_while_the_fund_goes_on(store: Store, reader: Reader) -> None:
    made = list(steps())
    store.commit(made[0])
    view = FundView(reader, ledger)

    def ask(_: int) -> tuple[int | None, int]:
        snapshot = view.snapshot()
        assert snapshot.fund
        return snapshot.number, int(snapshot.fund.times[-1])

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(ask, range(40))
        filled(store, made[1:])
        assert all(number and number * 600 == last for number, last in answers)
    assert view.snapshot().number == LAST


def test_the_page_draws_it(store: Store, reader: Reader) -> None:
    sign(store, filled(store, list(steps())))
    now = Clock(float(LAST * PERIOD_US // 1_000_000 + 60))
    view = FundView(reader, ledger, lambda: now)
    page = Page(view, {name: name for name in ("page.css", "page.js", "icon.svg")})
    for number in (None, FIRST, FIRST + 3, FIRST + 6):
        parts = page.parts(Query(head=number), view.snapshot(number), view.clock())
        assert set(parts) == set(PARTS)
        assert all(parts.values())
    assert "in 2 the HEAD before them stood" in parts["history"]
    assert "kept in the pool" in page.parts(Query(), view.snapshot(), now)["rewards"].lower()


def test_stamps_that_do_not_come_are_told_of_while_it_is_so(store: Store, reader: Reader) -> None:
    made = filled(store, list(steps()))
    view = FundView(reader, lambda height: ledger(height, stamped=FIRST + 1))
    assert "Stamps are late" not in [one.title for one in view.snapshot().alerts], "the first of them has no quorum"
    sign(store, made)
    titles = [one.title for one in view.snapshot().alerts]
    assert "Stamps are late" in titles
    assert "Stamps are late" not in [one.title for one in view.snapshot(FIRST + 4).alerts]
    assert view.version() != FundView(reader, ledger).version()
    assert "Stamps are late" not in [one.title for one in FundView(reader, ledger).snapshot().alerts]


def test_the_clock_of_a_fund_that_drives_it_stands_at_the_newest_head(store: Store, reader: Reader) -> None:
    view = FundView(reader, ledger)
    assert view.clock() == Clock(0.0, 0.0)
    newest = filled(store, list(steps()))[-1].period
    assert view.clock() == Clock(newest * PERIOD_S, 0.0)
    assert "The HEAD is stale" not in [one.title for one in all_alerts(view.snapshot(), view.clock().now, live=True)]
