"""What a fund is worth at the end of a period: each book and all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fund.journal import Record
from fund.store_reader import Reader
from fund.tape import Books, Point
from protocol.errors import DataError, RefusedError


@dataclass(slots=True)
class Course:
    """One book, or several as one, so far.

    Attributes
    ----------
    books : Books
    points : list of Point
        Value of one unit that was put in at the start, and of equal weights, at each valuation.
    """

    books: Books = field(default_factory=Books)
    points: list[Point] = field(default_factory=list)

    def take(self, records: Mapping[str, Iterable[Record]]) -> None:
        """Take in the journals of one step."""
        self.points += self.books.take(records)

    @property
    def per_share(self) -> float:
        """Value of one unit that was put in at the start."""
        return self.books.point.nav

    @property
    def equal(self) -> float:
        """What equal weights would have made of it."""
        return self.books.point.equal

    @property
    def cash(self) -> int:
        """Wei."""
        return sum(tape.book.cash for tape in self.books.tapes.values())

    @property
    def costs(self) -> int:
        """Wei that trading and holding have cost."""
        return sum(tape.costs for tape in self.books.tapes.values())

    @property
    def taken(self) -> int:
        """Wei that the fund took for management and performance."""
        return sum(tape.taken for tape in self.books.tapes.values())

    def exposure(self) -> tuple[float, float]:
        """Return gross and net value of the positions as parts of the net asset value; NaN where that is not positive."""
        nav = self.books.nav()
        if nav <= 0:
            return float("nan"), float("nan")
        values = [tape.book.value(asset) for tape in self.books.tapes.values() for asset in tape.book.positions]
        return sum(map(abs, values)) / nav, sum(values) / nav

    def drawdown(self) -> tuple[float, float]:
        """Return the fall from the highest value per share now, and the largest there was, 0 to 1."""
        highest = worst = now = 0.0
        for point in self.points:
            highest = max(highest, point.nav)
            now = 1 - point.nav / highest if highest > 0 else 0.0
            worst = max(worst, now)
        return now, worst


def worth(
    reader: Reader, period: int, note: Callable[[int, int], None] | None = None
) -> tuple[Course, Mapping[str, Course]]:
    """Return the courses of all books together and of each, up to and including a period.

    Parameters
    ----------
    reader : Reader
    period : int
    note : callable, optional
        Told after each step how many are read, and of how many.

    Raises
    ------
    DataError
        The fund is damaged, or its journals do not follow.
    """
    together, each = Course(), dict[str, Course]()
    steps = reader.entries(last=period)
    try:
        for done, one in enumerate(steps, 1):
            records = reader.records(one.period)
            together.take(records)
            for name, some in records.items():
                each.setdefault(name, Course()).take({name: some})
            if note:
                note(done, len(steps))
    except (RefusedError, KeyError) as error:
        raise DataError(f"the journals of fund {reader.path} do not follow: {error}; restore a copy") from error
    return together, dict(sorted(each.items()))
