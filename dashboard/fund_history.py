"""The past of a fund, read once and kept up to date: series for the charts, and the books at any step."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from dashboard.view import Buyback
from fund.market import Market
from fund.market_events import Bought
from fund.store_reader import Entry, Reader
from fund.tape import Books
from fund.units import SECOND_US, cents
from protocol.errors import DataError, RefusedError
from protocol.head.schedule import PERIOD_S
from protocol.ltft.twap import PLACES
from protocol.ltft.wei import WAD

#: Steps between two copies of the books: the books of the past are folded from the copy before.
STRIDE = 144
#: What an owner of a model block earns for it.
BY_BLOCK = ("inference", "incentive")


@dataclass(slots=True)
class Series:
    """Rows that only grow, and how many there were after each step."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def after(self, steps: int) -> list[tuple[float, ...]]:
        """Return the rows of the first steps."""
        return self.rows[: self.ends[steps - 1]] if steps else []


class History:
    """Every step of a fund so far. One thread at a time.

    Attributes
    ----------
    periods, carried, paid : list of int
        Per step: its period, the carried periods before it, and wei of its earnings.
    values : Series
        Unix seconds, value per share, equal weights.
    prices : Series
        Unix seconds, price of LTFT, its time-weighted average or NaN.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._begin()

    def _begin(self) -> None:
        self.periods: list[int] = []
        self.carried: list[int] = []
        self.paid: list[int] = []
        self.values, self.prices, self._rates = Series(), Series(), Series()
        self._earned: dict[str, tuple[list[int], list[int]]] = {}
        self._buybacks: tuple[list[int], list[Buyback]] = [], []
        self._books = Books()
        self._copies = [Books()]

    def refresh(self) -> None:
        """Take in the steps that were committed since.

        Raises
        ------
        DataError
            A step is damaged; the next call begins from the first step again.
        """
        try:
            for one in self._reader.entries(self.periods[-1] + 1 if self.periods else 0):
                self._take(one)
        except (RefusedError, KeyError) as error:
            self._begin()
            raise DataError(
                f"the journals of fund {self._reader.path} do not follow: {error}; restore a copy"
            ) from error
        except DataError:
            self._begin()
            raise

    def _take(self, entry: Entry) -> None:
        reader, period = self._reader, entry.period
        points = self._books.take(reader.records(period))
        self.values.rows += [(point.time // SECOND_US, point.nav, point.equal) for point in points]
        market = reader.market(period)
        if market is not None:
            self.prices.rows.append((period * PERIOD_S, *_price(market)))
        for _, settled in reader.documents("losses", period, period):
            self._rates.rows += _rates(settled, period)
        for series in (self.values, self.prices, self._rates):
            series.ends.append(len(series.rows))
        self._earn(period)
        self._buy(period)
        self.periods.append(period)
        self.carried.append(entry.carried)
        if len(self.periods) % STRIDE == 0:
            self._copies.append(self._books.copy())

    def _buy(self, period: int) -> None:
        for _, event in self._reader.events(period, period):
            if isinstance(event, Bought):
                bought = event.rewarded + event.burned
                price = event.spent / bought if bought else float("nan")
                at = event.period * PERIOD_S
                self._buybacks[0].append(period)
                self._buybacks[1].append(Buyback(at, cents(event.spent), bought, event.burned, price))

    def steps(self, number: int) -> int:
        """Return how many steps there were up to and including a period."""
        return bisect_right(self.periods, number)

    def stood(self, number: int) -> bool:
        """Return whether the HEAD before a period without one stood in it on purpose."""
        steps = self.steps(number)
        return steps < len(self.periods) and self.periods[steps] - number <= self.carried[steps]

    def books(self, steps: int) -> Books:
        """Return the books after the first steps, not to be changed."""
        if steps == len(self.periods):
            return self._books
        books = self._copies[steps // STRIDE].copy()
        for period in self.periods[steps // STRIDE * STRIDE : steps]:
            books.take(self._reader.records(period))
        return books

    def hit_rate(self, steps: int) -> float:
        """Return the mean share of right calls over the settled bars, each bar once; NaN before the first."""
        rates = [row[0] for row in self._rates.after(steps)]
        return sum(rates) / len(rates) if rates else float("nan")

    def earned(self, block: str, number: int) -> int:
        """Return the wei that a model block has earned its owner up to a period."""
        periods, totals = self._earned.get(block, ([], []))
        place = bisect_right(periods, number)
        return totals[place - 1] if place else 0

    def buybacks(self, number: int) -> tuple[Buyback, ...]:
        """Return the buybacks up to a period, the newest first."""
        periods, found = self._buybacks
        return tuple(reversed(found[: bisect_right(periods, number)]))

    def _earn(self, period: int) -> None:
        earnings = self._reader.earnings(period)
        self.paid.append(sum(one.amount for one in earnings))
        for one in earnings:
            if one.role in BY_BLOCK:
                periods, totals = self._earned.setdefault(one.source, ([], []))
                periods.append(period)
                totals.append((totals[-1] if totals else 0) + one.amount)


def _price(market: Market) -> tuple[float, float]:
    pool = market.pool
    try:
        mean = pool.twap.mean().quote_per_ltft / (1 << PLACES)
    except RefusedError:  # not a whole window yet
        mean = float("nan")
    return pool.price / WAD, mean


def _rates(given: Any, period: int) -> list[tuple[float, ...]]:
    """Return the share of right calls of each settled bar in a document ``losses``."""
    try:
        return [(one["hits"] / one["calls"],) for one in given if one["calls"]]
    except (TypeError, KeyError) as error:
        raise DataError(
            f"document losses of period {period} is {given!r:.100}; it lists settled bars with hits and calls"
        ) from error
