"""The past once more: models infer, the fund trades, truth arrives, bar by bar and nothing before its time.

In one bar, in this order: the broker goes through it with the orders of the bar before; at its close the truth of earlier
bars settles what was inferred then; the models are asked about it; the network's inference becomes orders for the next bar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fund.book import Book, book_of
from fund.broker import Tick, place, step
from fund.decision import weights_of
from fund.inference import ask
from fund.journal import Record, Valuation
from fund.limits import Limits
from fund.maturity import matured
from fund.models import Model, Questions
from fund.nav import FundFees, deposit, valued
from fund.portfolio import propose
from fund.quotes import Quotes
from fund.topic_state import Inference, Settlement, TopicState
from fund.units import WEI
from protocol.errors import DataError

Floats = NDArray[np.float64]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a replay is run.

    Attributes
    ----------
    start, end : int
        Opens of the first bar that is traded and of the first that is not; microseconds since 1970 UTC.
    money : int
        Wei that the owners put in.
    hold : int
        Bars between decisions; orders live as long.
    limits, fees
    """

    start: int
    end: int
    money: int = 1_000_000 * WEI
    hold: int = 1
    limits: Limits = field(default_factory=Limits)
    fees: FundFees = field(default_factory=FundFees)

    def __post_init__(self) -> None:
        if self.hold < 1 or self.end <= self.start:
            raise DataError(f"a replay from {self.start} to {self.end} with decisions every {self.hold} bars is none")


@dataclass(slots=True)
class Course:
    """What a replay has seen so far; it grows with :func:`replay`.

    Attributes
    ----------
    state : TopicState
    book : Book
    records : list of Record
        The book's journal; with `ticks` all that :func:`fund.audit.audit` needs.
    ticks : list of Tick
    inferences, settlements : list
        In order of bars.
    means, calls : list
        Per settlement: log10 loss of the plain mean of the models, and how many calls were right out of how many.
    valuations : list of Valuation
        One per bar.
    market : list of float
        Mean simple return over series of each bar's close, NaN for the first: an equal-weight holding without costs.
    hits : list of str
        Limits that were binding, a text per decision that met one.
    """

    state: TopicState
    book: Book
    records: list[Record] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    inferences: list[Inference] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    calls: list[tuple[int, int]] = field(default_factory=list)
    valuations: list[Valuation] = field(default_factory=list)
    market: list[float] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)

    def keep(self, result: tuple[Book, list[Record]]) -> None:
        """Take over a book with its new records."""
        self.book = result[0]
        self.records += result[1]
        self.valuations += [record for record in result[1] if isinstance(record, Valuation)]


def replay(
    quotes: Quotes, questions: Questions, models_at: Callable[[int], Sequence[Model]], setting: Setting
) -> Iterator[Course]:
    """Go through the bars of a setting, yielding the course after each.

    Parameters
    ----------
    quotes : Quotes
        Of the same series as the rows of `questions`.
    questions : Questions
    models_at : callable
        The models that speak at the close of the bar that opens at a time.
    setting : Setting

    Raises
    ------
    DataError
        There is no bar between start and end.
    """
    first, last = np.searchsorted(quotes.grid, [setting.start, setting.end]).tolist()
    if first == last:
        raise DataError(f"no bar opens between {setting.start} and {setting.end}; bars reach to {quotes.grid[-1]}")
    rows = questions.rows
    askable = set(rows.times.tolist())
    course = Course(TopicState.start(interval=quotes.interval, horizon=rows.panel.horizon), Book())
    course.keep(deposit(course.book, setting.money, int(quotes.grid[first]), setting.fees))
    course.valuations.clear()  # of the fund before the money came in
    for number, at in enumerate(range(first, last)):
        time, close = int(quotes.grid[at]), int(quotes.grid[at]) + quotes.interval
        new = quotes.newly_listed(course.book, at)
        course.keep((book_of(new, course.book), list(new)))
        tick = quotes.tick(at)
        course.ticks.append(tick)
        course.keep(step(course.book, tick))
        course.market.append(_mean(np.expm1(quotes.returns[at])) if number else float("nan"))
        _settle(course, questions, close)
        if time in askable:
            answers = questions.answers(models_at(time), time, ahead=True)
            course.state, inference = ask(course.state, answers)
            course.inferences.append(inference)
            if number % setting.hold == 0:
                until = close + (setting.hold + 1) * quotes.interval
                orders, met = propose(
                    course.book, weights_of(inference, answers.standing, quotes, at), setting.limits, until
                )
                course.hits += met
                course.keep(place(course.book, orders))
        course.keep(valued(course.book, close, setting.fees))
        yield course


def _settle(course: Course, questions: Questions, close: int) -> None:
    course.state, found = matured(course.state, questions.rows, close)
    for one in found:
        course.settlements.append(one.settlement)
        course.means.append(one.mean)
        course.calls.append(one.calls)


def _mean(returns: Floats) -> float:
    known = returns[~np.isnan(returns)]
    return float(known.mean()) if known.size else 0.0
