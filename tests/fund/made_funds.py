"""Made funds: a store, a ledger with blocks and data each, and models that are functions instead of modules in the jail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fund.book import Book
from fund.cycle import Data, Policy, make
from fund.desk import Feed, Trading
from fund.forecasters import FORECASTERS
from fund.models import Model
from fund.nav import FundFees
from fund.quotes import Quotes
from fund.rows import Rows, rows_from
from fund.step import Step
from fund.store import Store
from fund.topic_state import Answers
from protocol.head.quorum import sign_head
from protocol.head.schedule import Period, Turn, turn
from protocol.keys import Key
from protocol.ledger.event import domain_of, record_at, sign
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT
from protocol.ledger.rules import apply, initial_state
from protocol.ledger.state import Block
from protocol.scores import gaussian_rank
from protocol.topics import Topic

Floats = NDArray[np.float64]
Says = Callable[[str, Floats], Floats]
T = TypeVar("T")
HOUR_S, US = 3_600, 1_000_000
HOUR = HOUR_S * US
TOPIC = Topic(name="made-1h", type="ohlcv-1h", broker="synthetic", horizon=1)
SLOW = Topic(name="slow-1h", type="ohlcv-1h", broker="synthetic", horizon=3)
BEGAN = 1_577_836_800  # 2020-01-01, where synthetic series begin
FIRST = BEGAN + 300 * HOUR_S  # a bar closes here
ROOT = "0d" * 32
VALIDATOR, MINER, ORACLE = (Key.from_secret(hashlib.sha256(name).digest()) for name in (b"val", b"mia", b"ora"))
MODULES = [
    f"from sklearn.linear_model import Ridge\nfrom sklearn.pipeline import make_pipeline\n"
    f"exported_pipeline = make_pipeline(Ridge(alpha={number}.0))\n"
    for number in (1, 2, 3)
]  # fmt: skip
SOURCES = {source_hash(text): text for text in MODULES}
NAMES = tuple(SOURCES)
POLICY = Policy(
    trading=Trading(fees=FundFees(performance_ppm=0)),
    forecasters={min(FORECASTERS): ORACLE.address},
    pool=(10**24, 10**24),
)


@dataclass
class Asked:
    """Stands for the jail: models are functions of the rows of a bar."""

    rows: Rows
    says: Says
    times: list[int] = field(default_factory=list)

    def answers(self, models: Sequence[Model], time: int, *, ahead: bool = False) -> Answers:
        self.times.append(time)
        features = self.rows.panel.features[self.rows.at(time)]
        said = {model.block_hash: self.says(model.block_hash, features) for model in models}
        values = {
            name: gaussian_rank(one, np.zeros(one.size, np.int64)) if np.isfinite(one).all() else one
            for name, one in said.items()
        }
        standing = {model.block_hash: model.weight for model in models}
        return Answers(time, self.rows.symbols_at(time), values, standing, {}, self.rows.regime_at(time))


def reversal(name: str, features: Floats) -> Floats:
    """Bet against the last return: right on `linear` series; the third model bets the other way."""
    return features[:, 0] if name == NAMES[2] else -features[:, 0] + 1e-9 * NAMES.index(name) * np.arange(len(features))


@dataclass
class Fund:
    """A maker with a store, a ledger and data of its own."""

    path: Path
    table: pa.Table
    topics: tuple[Topic, ...] = (TOPIC,)
    says: Says = reversal
    policy: Policy = POLICY
    replay: bool = False

    def __post_init__(self) -> None:
        accounts = GenesisAccount(address=VALIDATOR.address, name="val", balance=50 * LTFT, stake=400 * LTFT)
        genesis = Genesis(chain_id=31_337, time=BEGAN, pool=1_000 * LTFT, accounts=(accounts,))
        self.ledger = initial_state(genesis)
        self.store = Store.create(self.path, domain_of(genesis).salt, {})
        self.asked = {one.name: Asked(rows_from(self.table, one), self.says) for one in self.topics}
        self.quotes = Quotes.of(self.table)

    def block(self, name: str, topic: Topic = TOPIC, log_e: int = 5_000_000) -> None:
        number = len(self.ledger.blocks) + 1
        self.ledger.blocks[name] = Block(
            name, "00" * 32, number, MINER.address, topic.name, name, name, 0, BEGAN, 0, 0, "", "crowned", log_e=log_e
        )
        self.ledger.standing[topic.name] = (*self.ledger.standing.get(topic.name, ()), name)

    def drop(self, name: str, topic: Topic = TOPIC) -> None:
        self.ledger.blocks[name] = replace(self.ledger.blocks[name], status="dropped")
        self.ledger.standing[topic.name] = tuple(one for one in self.ledger.standing[topic.name] if one != name)

    def due(self, time: int) -> Turn:
        latest = self.store.latest()
        return turn(Period(latest.period) if latest else None, time, replay=self.replay)

    def make(self, time: int, due: Turn | None = None, root: str = ROOT) -> Step:
        feeds = [Feed(one, self.quotes, self.asked[one.name]) for one in self.topics]
        return make(
            self.store,
            self.ledger,
            due or self.due(time),
            Data(root, feeds),
            source=SOURCES.__getitem__,
            policy=self.policy,
        )

    def step(self, time: int) -> Step:
        made = self.make(time)
        assert self.store.commit(made)
        return made

    def run(self, bars: int, every: int = HOUR_S) -> list[Step]:
        return [self.step(time) for time in range(FIRST, FIRST + bars * HOUR_S, every)]

    def send(self, kind: str, time: int, **body: object) -> None:
        domain, account = self.ledger.domain, self.ledger.accounts[VALIDATOR.address]
        event = sign(VALIDATOR, domain, kind, account.nonce, body)
        apply(self.ledger, record_at(self.ledger.height + 1, self.ledger.head, time, event))

    def stamp(self, made: Step, time: int) -> None:
        signed = sign_head(VALIDATOR, self.ledger.domain, made.head)
        signatures = [{"validator": signed.validator, "signature": signed.signature}]
        self.send("stamp", time, head=made.head.text, signatures=signatures)

    def records(self, kind: type[T], topic: Topic = TOPIC) -> list[T]:
        return [record for _, record in self.store.journal(topic.name) if isinstance(record, kind)]

    def book(self, topic: Topic = TOPIC) -> Book:
        book = Book()
        for _, record in self.store.journal(topic.name):
            book = book.after(record)
        return book
