"""One fetch: from what a dataset lacks to what it then has.

:mod:`data.exchange` asks, :mod:`data.fetch` judges, :mod:`data.dataset` keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data.dataset import Dataset
from data.exchange import Exchange
from data.fetch import Bar, Grid, Page, Pager, holes, iso, parse_timeframe, parse_when
from data.schema import table_from
from data.sectors import parse_choice, sector_of
from infra.home import find_home
from protocol.errors import DataError, LongtailError, UsageError

BATCH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for, as written on the command line."""

    symbols: str
    timeframe: str = "1h"
    since: str | None = None
    until: str | None = None
    to: str | None = None
    sectors: tuple[str, ...] = ()
    flush_every: int = 50


@dataclass(slots=True)
class Series:
    """One symbol of a fetch: what is wanted, what was there, what came of it. Times are bar opens in ms, UTC.

    Attributes
    ----------
    start, stop : int
        Span wanted, half open.
    times : list of int
        What the dataset has, sorted.
    new, received : int
        Bars appended and bars received by this fetch.
    window : int or None
        Bars the exchange keeps, where it showed that it has only its newest ones.
    """

    symbol: str
    sector: str
    start: int
    stop: int
    times: list[int]
    new: int = 0
    received: int = 0
    retries: int = 0
    window: int | None = None
    error: LongtailError | None = None

    @property
    def stored(self) -> tuple[int, int] | None:
        """First and last bar the dataset has."""
        return (self.times[0], self.times[-1]) if self.times else None

    def lacking(self, step: int) -> int:
        """Return how many bars of the span lie outside of what is stored."""
        if self.stored is None:
            return max(0, (self.stop - self.start) // step)
        first, last = self.stored
        return max(0, (self.stop - last) // step - 1) + max(0, (first - self.start) // step)

    def take(self, bars: Sequence[Bar]) -> None:
        """Note bars that the dataset now has; they lie all behind or all before those it had."""
        new = [bar[0] for bar in bars]
        if self.times and new[0] < self.times[0]:
            self.times[:0] = new
        else:
            self.times += new
        self.new += len(new)

    def notes(self, exchange: str, grid: Grid) -> list[str]:
        """Say in words which part of the span could not be had; holes inside are told elsewhere."""
        if self.stored is None:
            return [f"{exchange} offers no {self.symbol} bars in {iso(self.start)} .. {iso(self.stop)}"]
        first, last = self.stored
        said = []
        if self.window:
            said.append(
                f"{exchange} keeps only its newest {self.window} {self.symbol} bars; older ones cannot be had there"
            )
        if first > self.start:
            missing = (first - self.start) // grid.step
            said.append(f"{self.symbol} begins {iso(first)}: {missing} bars from {iso(self.start)} on were not offered")
        if last < self.stop - grid.step:
            missing = (self.stop - last) // grid.step - 1
            said.append(f"{self.symbol} ends {iso(last)}: {missing} bars up to {iso(self.stop)} were not offered")
        return said


class Inlet:
    """Gathers checked bars and appends them in batches, each a new version of the dataset.

    What has been appended survives whatever happens to the process; of the rest, nothing.
    """

    def __init__(self, dataset: Dataset, broker: str, grid: Grid, pages: int) -> None:
        self.dataset = dataset
        self.say: Callable[[str], None] = lambda line: None
        self._broker, self._grid, self._pages = broker, grid, pages
        self._waiting: list[tuple[Series, Sequence[Bar]]] = []
        self._flushed = time.monotonic()

    def add(self, series: Series, bars: Sequence[Bar]) -> None:
        """Take the bars of one page, in the order :meth:`Pager.extend` gives them."""
        if bars:
            self._waiting.append((series, bars))
        if len(self._waiting) >= self._pages or time.monotonic() - self._flushed > BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Append what has been gathered.

        Raises
        ------
        DataError, RefusedError
            The dataset does not take the bars; they are dropped and everything appended before stays.
        """
        waiting, self._waiting, self._flushed = self._waiting, [], time.monotonic()
        if not waiting:
            return
        bars = [bar for _, page in waiting for bar in page]
        columns: dict[str, Any] = {"datetime": [bar[0] * 1000 for bar in bars], "broker": self._broker}
        for name in ("sector", "symbol"):
            columns[name] = [getattr(series, name) for series, page in waiting for _ in page]
        for place, name in enumerate(("open", "high", "low", "close", "volume"), start=1):
            columns[name] = [bar[place] for bar in bars]
        self.dataset = self.dataset.append(table_from(columns, self._grid.type), source=f"fetch {self._broker}")
        for series, page in waiting:
            series.take(page)
        self.say(f"{len(bars)} bars appended, up to {waiting[-1][0].symbol} {iso(bars[-1][0])}")


class Intake:
    """One run of the command: made from a :class:`Wish`, it knows what is lacking; :meth:`run` fetches it.

    Parameters
    ----------
    wish : Wish
        What is asked for.
    exchange : Exchange
        Asked for its markets and clock at once.

    Raises
    ------
    UsageError
        A part of the wish makes no sense or is not offered.
    DataError
        The dataset cannot be used.
    ClusterError
        The exchange cannot be reached.
    """

    def __init__(self, wish: Wish, exchange: Exchange) -> None:
        symbols = list(dict.fromkeys(symbol.strip() for symbol in wish.symbols.split(",") if symbol.strip()))
        if not symbols:
            raise UsageError("--symbols names none; write for example BTC/USDT,ETH/USDT")
        self.wish, self.exchange, self.grid = wish, exchange, parse_timeframe(wish.timeframe)
        exchange.check_timeframe(wish.timeframe)
        since = None if wish.since is None else parse_when(wish.since, "--since")
        until = None if wish.until is None else parse_when(wish.until, "--until")
        if since is not None and until is not None and until <= since:
            raise UsageError(f"--until {wish.until} is not after --since {wish.since}; swap them")
        dataset = Dataset.create(wish.to or str(find_home().state / "datasets" / "fetched"))
        bases = exchange.bases(symbols)
        self.clock = exchange.clock_ms()
        if since is not None and since > self.clock:
            raise UsageError(f"--since {wish.since} lies in the future; on {exchange.name} it is {iso(self.clock)}")
        stop = min(self.grid.floor(self.clock), self.grid.ceil(self.clock if until is None else until))
        choice = parse_choice(wish.sectors, symbols)
        self.series: list[Series] = []
        for symbol, base in bases.items():
            table = dataset.read(type=self.grid.type, broker=exchange.name, symbols=[symbol], columns=["close"])
            times = [micros // 1000 for micros in table.column("datetime").cast("int64").to_pylist()]
            sector = sector_of(symbol, base, choice, table.column("sector")[0].as_py() if times else None)
            if since is None and not times:
                raise UsageError(f"{symbol} is not in {dataset.uri} yet; say from when on with --since DATE")
            start = times[0] if since is None else self.grid.ceil(since)
            self.series.append(Series(symbol, sector, start, stop, times))
        self._inlet = Inlet(dataset, exchange.name, self.grid, wish.flush_every)

    def run(self, say: Callable[[str], None], advance: Callable[[Series], None]) -> LongtailError | None:
        """Fetch series after series; what is good is appended, whatever else happens.

        A series whose pages stay bad does not keep the others from being fetched; an exchange that is gone does.

        Parameters
        ----------
        say : callable
            Takes a line after each batch.
        advance : callable
            Is told of each page.

        Returns
        -------
        LongtailError or None
            The first thing that went wrong.

        Raises
        ------
        KeyboardInterrupt
            After what was gathered has been appended.
        """
        inlet = self._inlet
        inlet.say = say
        failure: LongtailError | None = None
        try:
            for series in self.series:
                self._fetch(series, advance)
            inlet.flush()
        except LongtailError as error:
            failure = error
        finally:
            inlet.flush()
        return failure or next((series.error for series in self.series if series.error), None)

    def _fetch(self, series: Series, advance: Callable[[Series], None]) -> None:
        limit = self.exchange.page_limit(series.symbol)

        def ask(since: int) -> object:
            return self.exchange.page(series.symbol, self.wish.timeframe, since, limit)

        pager = Pager(ask, self.exchange.pause, self.grid, limit, self.clock)
        pages = pager.extend(series.stored, series.start, series.stop)
        before = self.exchange.traffic.retries
        try:
            while (page := self._next(pages, series)) is not None:
                series.received += len(page.bars)
                advance(series)
                self._inlet.add(series, page.bars)
        finally:
            series.retries, series.window = self.exchange.traffic.retries - before, pager.window

    @staticmethod
    def _next(pages: Iterator[Page], series: Series) -> Page | None:
        try:
            return next(pages, None)
        except DataError as error:  # about this series' pages only; a dataset that refuses bars raises elsewhere
            series.error = type(error)(f"{series.symbol}: {error}")
            return None

    def result(self) -> dict[str, Any]:
        """Return what the dataset has of the series now, and what is still lacking, as plain JSON values."""
        dataset, grid = self._inlet.dataset, self.grid
        return {
            "exchange": self.exchange.name,
            "type": grid.type,
            "dataset": dataset.uri,
            "root": dataset.root,
            "series": [
                {
                    "symbol": series.symbol,
                    "sector": series.sector,
                    "rows": len(series.times),
                    "new": series.new,
                    "lacking": series.lacking(grid.step),
                    "first": series.stored and iso(series.stored[0]),
                    "last": series.stored and iso(series.stored[1]),
                    "gaps": [
                        {"first": iso(first), "last": iso(last), "bars": bars}
                        for first, last, bars in holes(series.times, grid.step)
                    ],
                    "retries": series.retries,
                    "error": series.error and str(series.error),
                }
                for series in self.series
            ],
        }

    def notes(self) -> list[str]:
        """Say which parts of the wish could not be had."""
        return [
            note
            for series in self.series
            if series.error is None
            for note in series.notes(self.exchange.name, self.grid)
        ]
