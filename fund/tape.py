"""The books of a fund as people look at them: what became of each order, what trading cost, and the value per share.

Everything is folded from journals, a record at a time, so the books of any moment are the fold up to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from fund.book import Book
from fund.broker import JUMP
from fund.journal import Charge, Drop, Fill, Flow, Marks, Record, Refusal, Valuation
from fund.journal import Order as Placed
from fund.units import WEI

#: Orders remembered per book once they are done.
DONE = 200
#: Costs of trading; what the fund itself takes is none.
CHARGES = ("borrow", "funding", "interest")


@dataclass(frozen=True, slots=True)
class Fate:
    """An order and what became of it so far: lots wanted and filled, picos paid for them, fee and slippage in wei."""

    time: int
    asset: str
    wanted: int
    filled: int = 0
    paid: int = 0
    fee: int = 0
    slippage: int = 0
    state: Literal["waiting", "filled", "partial", "refused", "dropped"] = "waiting"
    reason: str = ""


class Batch(NamedTuple):
    """The orders of one decision: when, the net asset value then, and how much of them was traded, wei."""

    time: int = -1
    nav: int = 0
    traded: int = 0


class Worth(NamedTuple):
    """A moment at which the worth of a book is known: by how much it changed, and by how much an equal-weight holding did."""

    time: int
    book: str
    nav: int
    change: float
    market: float


@dataclass(slots=True)
class Tape:
    """One book so far.

    Attributes
    ----------
    book : Book
    working : dict of order id to Fate
    done : deque of Fate
        The newest `DONE` of the others.
    costs : int
        Fees, slippage, haircuts, borrowing, funding and interest so far, wei.
    taken : int
        By the fund itself so far, for management and performance; wei.
    batch : Batch
        The newest.
    per_share : int
        At the last valuation; wei.
    market : float
        Growth since the last valuation of equal weights in everything that had a good close in two bars.
    """

    book: Book = field(default_factory=Book)
    working: dict[int, Fate] = field(default_factory=dict)
    done: deque[Fate] = field(default_factory=lambda: deque(maxlen=DONE))
    costs: int = 0
    taken: int = 0
    batch: Batch = field(default_factory=Batch)
    per_share: int = WEI
    market: float = 1.0

    def copy(self) -> Tape:
        """Return a tape that goes on independently."""
        return replace(self, working=dict(self.working), done=self.done.copy())

    def take(self, name: str, record: Record) -> Iterator[Worth]:
        """Take in a record; yield what it says about the worth of the book called `name`."""
        before, self.book = self.book, self.book.after(record)
        match record:
            case Placed():
                self.working[record.id] = Fate(record.time, record.asset, record.lots)
                if record.time != self.batch.time:
                    self.batch = Batch(record.time, self.book.nav())
            case Refusal():
                self.done.append(Fate(record.time, record.asset, record.lots, state="refused", reason=record.why))
            case Drop():
                fate = self.working.pop(record.order)
                self.done.append(replace(fate, state="partial" if fate.filled else "dropped", reason=record.why))
            case Fill():
                self._filled(record)
            case Charge() if record.kind in CHARGES:
                self.costs -= record.amount
            case Charge():
                self.taken -= record.amount
            case Marks():
                pairs = ((price, before.last[asset].price) for asset, price in record.prices if asset in before.last)
                ratios = [new / old for new, old in pairs if new < JUMP * old and old < JUMP * new]
                self.market *= sum(ratios) / len(ratios) if ratios else 1.0
            case Flow():
                yield Worth(record.time, name, self.book.nav(), 1.0, 1.0)
            case Valuation():
                change = record.per_share / self.per_share if self.per_share else 1.0
                yield Worth(record.time, name, record.nav, change, self.market)
                self.per_share, self.market = record.per_share, 1.0

    def _filled(self, fill: Fill) -> None:
        step = self.book.instruments[fill.asset].step
        slippage = fill.lots * step * (fill.price - fill.quoted)
        self.costs += fill.fee + slippage
        if not fill.order:
            return
        fate = self.working[fill.order]
        filled = fate.filled + fill.lots
        fate = replace(
            fate,
            filled=filled,
            paid=fate.paid + fill.lots * fill.price,
            fee=fate.fee + fill.fee,
            slippage=fate.slippage + slippage,
            state="filled" if filled == fate.wanted else "partial",
        )
        if fate.time == self.batch.time:
            self.batch = self.batch._replace(traded=self.batch.traded + abs(fill.lots) * step * fill.price)
        if fate.state == "filled":
            del self.working[fill.order]
            self.done.append(fate)
        else:
            self.working[fill.order] = fate


class Point(NamedTuple):
    """Value per share, and of equal weights, at a time in microseconds."""

    time: int
    nav: float
    equal: float


@dataclass(slots=True)
class Books:
    """All books of a fund so far, and what one unit put into them at the start is worth.

    With one book that is its net asset value per share; with several the changes of each count by its part of the whole, so
    that money put in or taken out, or a new book, changes nothing.
    """

    tapes: dict[str, Tape] = field(default_factory=dict)
    navs: dict[str, int] = field(default_factory=dict)
    point: Point = field(default_factory=lambda: Point(0, 1.0, 1.0))
    highest: float = 1.0

    def copy(self) -> Books:
        """Return books that go on independently."""
        return replace(self, tapes={name: tape.copy() for name, tape in self.tapes.items()}, navs=dict(self.navs))

    def take(self, records: Mapping[str, Iterable[Record]]) -> list[Point]:
        """Take in the journals of one step; return a point for each time at which something was valued."""
        found = [
            worth
            for name, some in records.items()
            for record in some
            for worth in self.tapes.setdefault(name, Tape()).take(name, record)
        ]
        points: dict[int, Point] = {}
        for one in sorted(found, key=lambda worth: worth.time):
            whole = sum(self.navs.values())
            part = self.navs.get(one.book, 0) / whole if whole > 0 else 1.0
            self.navs[one.book] = one.nav
            time, nav, equal = self.point
            self.point = Point(
                max(time, one.time), nav * (1 + part * (one.change - 1)), equal * (1 + part * (one.market - 1))
            )
            points[self.point.time] = self.point
        if len(self.tapes) == 1:
            self.highest = max(tape.book.high_water for tape in self.tapes.values()) / WEI
        else:
            self.highest = max([self.highest, *(point.nav for point in points.values())])
        return list(points.values())

    def nav(self) -> int:
        """Return the net asset value, wei."""
        return sum(tape.book.nav() for tape in self.tapes.values())

    def turnover(self) -> float:
        """Return what the newest orders have traded so far, as a part of the net asset value they were decided at."""
        nav = sum(tape.batch.nav for tape in self.tapes.values())
        return sum(tape.batch.traded for tape in self.tapes.values()) / nav if nav > 0 else float("nan")
