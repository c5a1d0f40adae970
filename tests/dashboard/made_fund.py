"""A small fund whose steps are made by the real broker, market and HEADs, on a ledger with three validators."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fund.book import Book, book_of
from fund.broker import Quote, Tick, place, step
from fund.journal import Instrument, Order, Record
from fund.market import Market, advance, gains_of
from fund.nav import FundFees, deposit, valued
from fund.step import Step
from fund.units import MICRO, WEI
from protocol.head.claims import Claims
from protocol.head.head import Head, HeadModel, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature, sign_head
from protocol.head.rewards import Earning
from protocol.head.schedule import PERIOD_S
from protocol.head.units import NANO
from protocol.keys import Key
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.params import LTFT
from protocol.ledger.rules import initial_state
from protocol.ledger.state import Block, Stamp, State

FIRST = 2_833_344
PERIOD_US = PERIOD_S * 1_000_000
TOPIC = "us-daily"
MODELS = ["aa" * 32, "bb" * 32]
KEYS = [Key.from_secret(hashlib.sha256(name).digest()) for name in (b"ann", b"ben", b"cleo")]
GENESIS = Genesis(
    chain_id=31_337,
    name="made",
    time=FIRST * PERIOD_S - 7_200,
    accounts=tuple(
        GenesisAccount(address=key.address, name=f"validator-{n}", stake=1_000 * LTFT) for n, key in enumerate(KEYS)
    ),
)
DOMAIN = initial_state(GENESIS).domain
STOCKS = (Instrument("stooq", "ABC", "energy", MICRO), Instrument("stooq", "XYZ", "tech", MICRO))
FEES = FundFees(20_000, 200_000, PERIOD_US)  # pays out at every valuation
#: Period after `FIRST`, carried periods before it. The third is missed, the fifth and sixth are carried.
PLACES = ((0, 0), (1, 0), (2, 0), (4, 0), (7, 2), (8, 0))


def ledger(height: int | None, stamped: int = FIRST + 8) -> State:
    """Return the state of a ledger with both models, on which HEADs are stamped."""
    state = initial_state(GENESIS)
    state.stamp = Stamp(stamped, "00" * 32, 0, 0, "", 0, "", 0, 0)
    for n, name in enumerate(MODELS):
        text = {"pipeline_id": "", "near_id": "", "verdict": "", "parent": ""}
        state.blocks[name] = Block(
            hash=name, number=n + 1, miner=KEYS[n].address, topic=TOPIC, height=0, time=GENESIS.time + n,
            specific=0, generalized=0, log_e=(3 - 2 * n) * 10**6, **text,
        )  # fmt: skip
    return state


@dataclass
class Desk:
    """A book that goes on by one bar a step."""

    asset: str
    instruments: tuple[Instrument, ...]
    money: int
    book: Book = field(default_factory=Book)

    def go(self, n: int, end: int) -> tuple[Record, ...]:
        records: list[Record] = []

        def keep(result: tuple[Book, list[Record]]) -> None:
            self.book = result[0]
            records.extend(result[1])

        if n == 0:
            keep((book_of(self.instruments), list(self.instruments)))
            keep(deposit(self.book, self.money, end - PERIOD_US, FEES))
        prices = {one.asset: 50.0 + 10 * i + (3 + i) * n for i, one in enumerate(self.instruments)}
        quotes = {
            asset: Quote(price, price + 1, price - 1, price + 0.5, 2_000.0)
            for asset, price in prices.items()
            if (asset, n) != (self.asset, 3)  # which is halted then
        }
        keep(step(self.book, Tick(self.book.time or end - PERIOD_US, end, quotes)))
        keep(valued(self.book, end, FEES))
        wants = {0: [(self.asset, 150), ("no:where", 1)], 2: [(self.asset, 80)], 4: [(self.asset, -60)]}.get(n, [])
        orders = [
            Order(self.book.next_id + i, end, asset, lots, end + 3 * PERIOD_US) for i, (asset, lots) in enumerate(wants)
        ]
        if orders:
            keep(place(self.book, orders))
        return tuple(records)


def steps(books: int = 1, **documents: Any) -> Iterator[Step]:
    """Yield the steps of `PLACES`, each signed by one validator; `documents` are those of every step."""
    desks = {
        f"book-{n}": Desk(STOCKS[n].asset, STOCKS if books == 1 else STOCKS[n : n + 1], (n + 1) * 100_000 * WEI)
        for n in range(books)
    }
    market, claims, parent = Market.opened(FIRST - 6, 10**6 * WEI, 10**6 * WEI), Claims(), DOMAIN.salt
    for n, (after, carried) in enumerate(PLACES):
        period = FIRST + after
        journal = {name: desk.go(n, period * PERIOD_US) for name, desk in desks.items()}
        gains = sum(gains_of(records) for records in journal.values())
        market, events = advance(market, period, gains, carried=range(period - carried, period))
        shares = ((MODELS[0], NANO // 4 * 3), (MODELS[1], NANO // 4))
        predictions = tuple(
            Prediction(
                TOPIC, one.sector, one.broker, one.symbol, "ohlcv-1d", (period - 1) * PERIOD_US, 5,
                NANO // 2 - n, -NANO, NANO, shares,
            )
            for one in STOCKS
        )  # fmt: skip
        earnings = tuple(
            Earning(key.address, (n + 1) * 10**18, TOPIC, role, source)
            for key, role, source in ((KEYS[0], "inference", MODELS[0]), (KEYS[1], "reputer", KEYS[1].address))
        )
        claims = claims.after(earnings)
        models = HeadModel(MODELS[0], "crowned", NANO), HeadModel(MODELS[1], "provisional", NANO // 3)
        head = Head.of(
            period=period, parent=parent, height=n, ledger=DOMAIN.salt, data_root="01" * 32,
            topics=[HeadTopic(TOPIC, models)], predictions=predictions, claims=claims,
        )  # fmt: skip
        parent = head.hash
        yield Step(
            head=head, claims=claims, carried=carried, predictions=predictions, signatures=(signed(head, 0),),
            earnings=earnings, journal=journal, market=market, events=events, documents=documents,
        )  # fmt: skip


def signed(head: Head, signer: int) -> HeadSignature:
    return sign_head(KEYS[signer], DOMAIN, head)
