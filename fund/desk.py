"""One topic in one HEAD period: truth arrives, its broker goes through new bars, its models speak, its book is led.

Each topic has a book of its own with its own money, since all bars of a book have one interval; the fund is worth what its
books are worth together. In one period, in this order: matured bars are settled; the broker goes through every finished bar
that it has not seen; at the newest one the models are asked, at most once; as many bars apart as the topic looks ahead,
what they say becomes orders. Orders are dated at the period's start, so a HEAD that comes late trades later, and at no price
of the past.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fund.book import Book, book_of
from fund.broker import place, step
from fund.decision import weights_of
from fund.inference import ask
from fund.journal import Record
from fund.limits import Limits
from fund.maturity import matured
from fund.memory import dump, load
from fund.nav import FundFees, deposit, valued
from fund.portfolio import propose
from fund.quotes import Quotes
from fund.speaking import Asking, Speakers
from fund.topic_state import NEVER, Answers, Inference, Settlement, TopicState
from fund.units import WEI
from protocol.errors import DataError, RefusedError
from protocol.head.head import HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.units import nano
from protocol.ledger.commitments import canonical
from protocol.topics import Topic

#: Bars that may be missing at the end before somebody should look; markets close over long weekends.
LATE_BARS = 5


@dataclass(frozen=True, slots=True)
class Feed:
    """A topic with its rows and quotes in one version of a dataset.

    Attributes
    ----------
    topic : Topic
    quotes : Quotes
    questions : Asking
    """

    topic: Topic
    quotes: Quotes
    questions: Asking


@dataclass(frozen=True, slots=True)
class Trading:
    """How a topic's book is led: wei put in at the first bar, limits and fees."""

    money: int = 1_000_000 * WEI
    limits: Limits = field(default_factory=Limits)
    fees: FundFees = field(default_factory=FundFees)


@dataclass(slots=True)
class Desk:
    """A topic's memory, and what one period adds to it.

    Attributes
    ----------
    feed : Feed
    trading : Trading
    now : int
        Start of the period, microseconds since 1970 UTC; bars that close later are not looked at.
    state : TopicState
    book : Book
    seen, decided : int
        Opens of the last bar that the broker went through and of the last at which orders were made; NEVER before.
    records : list of Record
        Of this period, as are the following.
    settlements : list of Settlement
    settled : list of dict
        The same for people, in plain JSON values: log10 losses in billionths, of the plain mean too, and right calls of all.
    said : Inference or None
        None: the models were not asked.
    notes : list of (code, text)
        What a person should know.
    """

    feed: Feed
    trading: Trading
    now: int
    state: TopicState
    book: Book = field(default_factory=Book)
    seen: int = NEVER
    decided: int = NEVER
    records: list[Record] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    settled: list[dict[str, Any]] = field(default_factory=list)
    said: Inference | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def opened(cls, feed: Feed, trading: Trading, now: int, memory: Mapping[str, bytes]) -> Desk:
        """Return a topic's desk as a fund remembers it; a topic without memory begins.

        Raises
        ------
        DataError
            What is remembered is damaged.
        RefusedError
            The topic had another interval or horizon before.
        """
        name, horizon, interval = feed.topic.name, feed.topic.horizon, feed.quotes.interval
        inference, book, pace = (memory.get(f"{part}:{name}") for part in ("inference", "book", "pace"))
        if inference is None or book is None or pace is None:
            return cls(feed, trading, now, TopicState.start(interval=interval, horizon=horizon))
        state = load(inference, f"the inference of {name}")
        if (state.interval, state.horizon) != (interval, horizon):
            raise RefusedError(
                f"{name} was of {state.horizon} bars of {state.interval} µs, now of {horizon} of {interval}; "
                "give another topic another name"
            )
        try:
            snapshot, (seen, decided) = json.loads(book), json.loads(pace)
        except (ValueError, TypeError) as error:
            raise DataError(f"the book of {name} is damaged: {error}; restore the fund from a copy") from error
        return cls(feed, trading, now, state, Book.from_dict(snapshot), seen, decided)

    def memory(self) -> dict[str, bytes]:
        """Return what the next period needs, for :meth:`opened`."""
        name = self.feed.topic.name
        return {
            f"inference:{name}": dump(self.state),
            f"book:{name}": canonical(self.book.to_dict()).encode(),
            f"pace:{name}": canonical([self.seen, self.decided]).encode(),
        }

    def turn(self, speakers: Speakers, stakes: Mapping[str, float]) -> None:
        """Go through the period.

        Parameters
        ----------
        speakers : Speakers
        stakes : mapping of validator to float

        Raises
        ------
        RefusedError
            The data ends before what was seen already.
        ClusterError, ConfigError
            The jail cannot be had; making the period again goes on from here.
        """
        quotes, name = self.feed.quotes, self.feed.topic.name
        newest = int(np.searchsorted(quotes.grid, self.now - quotes.interval, side="right")) - 1
        if newest < 0 or int(quotes.grid[newest]) < self.seen:
            if self.seen == NEVER:
                self.notes.append(("late", f"{name} has no finished bar yet"))
                return
            raise RefusedError(
                f"the data of {name} ends with the bar {int(quotes.grid[max(newest, 0)])}, the fund has seen that of "
                f"{self.seen}; give it the newest version of the dataset"
            )
        behind = (self.now - int(quotes.grid[newest])) // quotes.interval - 1
        if behind >= LATE_BARS:
            self.notes.append(("late", f"the newest bar of {name} closed {behind} bars ago"))
        self._settle(stakes)
        self._trade(newest)
        self._ask(newest, speakers)

    def predictions(self, models: HeadTopic, before: tuple[Prediction, ...]) -> tuple[Prediction, ...]:
        """Return what the HEAD says of the topic.

        Parameters
        ----------
        models : HeadTopic
            Those who stand.
        before : tuple of Prediction
            Of the last HEAD: said again until the models are asked again, unless one of those who made them stands no longer.
        """
        said, topic = self.said, self.feed.topic
        if said is None:
            standing = {one.hash for one in models.models}
            mine = tuple(one for one in before if one.topic == topic.name)
            if gone := sorted({block for one in mine for block, _ in one.models} - standing):
                self.notes.append(("withdrawn", f"{gone[0]} was dropped: {topic.name} is silent until its next bar"))
                return ()
            return mine
        sectors = dict(zip(self.feed.quotes.symbols, self.feed.quotes.sectors, strict=True))
        columns = (column.tolist() for column in (said.value, said.low, said.high))
        return tuple(
            Prediction.of(
                topic=topic.name,
                sector=sectors[symbol],
                broker=topic.broker,
                symbol=symbol,
                type=topic.type,
                bar=said.time,
                horizon=topic.horizon,
                value=value,
                interval=(low, high),
                weights=dict(said.shares),
            )
            for symbol, value, low, high in zip(said.symbols, *columns, strict=True)
        )

    def _settle(self, stakes: Mapping[str, float]) -> None:
        self.state, found = matured(self.state, self.feed.questions.rows, self.now, stakes)
        for settlement, mean, calls in found:
            self.settlements.append(settlement)
            self.settled.append(
                {
                    "bar": settlement.time,
                    "rows": settlement.rows,
                    "losses": {name: nano(loss) for name, loss in sorted(settlement.losses.items())},
                    "mean": None if np.isnan(mean) else nano(mean),
                    **dict(zip(("hits", "calls"), calls, strict=True)),
                }
            )

    def _trade(self, newest: int) -> None:
        """Take the broker through all bars not seen yet; a new book begins with the newest."""
        quotes, fees = self.feed.quotes, self.trading.fees
        first = int(np.searchsorted(quotes.grid, self.seen, side="right"))
        if self.seen == NEVER:
            first = newest
            self._keep(deposit(self.book, self.trading.money, int(quotes.grid[newest]), fees))
        for at in range(first, newest + 1):
            new = quotes.newly_listed(self.book, at)
            self._keep((book_of(new, self.book), list(new)))
            self._keep(step(self.book, quotes.tick(at)))
            self._keep(valued(self.book, self.book.time, fees))
        self.seen = int(quotes.grid[newest])

    def _ask(self, newest: int, speakers: Speakers) -> None:
        bar = int(self.feed.quotes.grid[newest])
        if bar <= self.state.asked:
            return
        try:
            answers = speakers.asked(self.feed.questions, bar)
        except DataError as error:
            self.notes.append(("unasked", f"{self.feed.topic.name}: {error}"))
            return
        self.state, self.said = ask(self.state, answers)
        before = newest if self.decided == NEVER else int(np.searchsorted(self.feed.quotes.grid, self.decided))
        if self.decided == NEVER or newest - before >= self.feed.topic.horizon:
            self._decide(newest, answers, self.said)
            self.decided = bar

    def _decide(self, at: int, answers: Answers, said: Inference) -> None:
        """Turn an inference into orders for the bars to come; without one everything is sold."""
        quotes = self.feed.quotes
        weights = weights_of(said, answers.standing, quotes, at)
        until = self.now + (self.feed.topic.horizon + 1) * quotes.interval
        proposal = propose(self.book, weights, self.trading.limits, until)
        self.notes += [("limit", text) for text in proposal.hits]
        self._keep(place(self.book, [replace(order, time=self.now) for order in proposal.orders]))

    def _keep(self, result: tuple[Book, list[Record]]) -> None:
        self.book = result[0]
        self.records += result[1]
