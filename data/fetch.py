"""Paging and validation of bars from an exchange: pure rules over an ``ask`` that someone else carries out.

A *page* is what an exchange answers to "bars from this moment on". Exchanges repeat old pages, leave rows out, send
rows twice, unsorted or with holes in them, and add the bar that is still running; :func:`check_page` lets through only
rows that are closed, whole and consistent. A :class:`Pager` walks a span page by page and continues a stored series.

Times are integer milliseconds since 1970 UTC and name the bar's **open**; a span is half open, ``[start, stop)``; a bar
of `step` ms opened at t is known at t + step. Prices are in quote units, volume in base units.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from data.schema import grid_origin, interval_of
from protocol.errors import DataError, UsageError

Bar = tuple[int, float, float, float, float, float]
"""Open time (ms), open, high, low, close, volume."""

Ask = Callable[[int], object]
"""From a start (ms) to whatever the exchange answered: rows as lists, if all is well."""

Pause = Callable[[str, int], None]
"""Waits before a new try; is told what was wrong and how many tries have failed."""

BAD_PAGE_TRIES = 5
MAX_ASKS = 8  # answers about one page before they are called contradictory; two are enough when nothing is wrong
SETTLE_MS = 5_000  # late trades still move a bar for a moment after its end


class BadPageError(DataError):
    """A page breaks a rule; another try may bring a good one."""


class StalePageError(BadPageError):
    """Every row of a page is older than what was asked for."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where bars of one timeframe open: ``origin + k * step``, both in ms."""

    type: str
    step: int
    origin: int

    def on(self, time: int) -> bool:
        """Return whether a bar opens at `time`."""
        return (time - self.origin) % self.step == 0

    def floor(self, time: int) -> int:
        """Return the last open at or before `time`."""
        return time - (time - self.origin) % self.step

    def ceil(self, time: int) -> int:
        """Return the first open at or after `time`."""
        return time + (self.origin - time) % self.step


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer offers.

    Attributes
    ----------
    bars : tuple of Bar
        Closed bars inside the span, strictly increasing.
    first, last : int or None
        First and last open time at or after the start, bars outside the span included.
    count : int
        Rows in the answer, whatever they were.
    """

    bars: tuple[Bar, ...]
    first: int | None
    last: int | None
    count: int

    def whole(self, start: int, step: int) -> bool:
        """Return whether the bars begin at `start` and have no hole between them."""
        return bool(self.bars) and self.bars[-1][0] == start + (len(self.bars) - 1) * step


def parse_timeframe(text: str) -> Grid:
    """Return the grid of a ccxt timeframe.

    Raises
    ------
    UsageError
        The timeframe has no fixed length (months, years) or is none.
    """
    if re.fullmatch(r"[0-9]+[My]", text):
        raise UsageError(
            f"timeframe {text!r} has no fixed length; use minutes, hours, days or weeks, such as 15m, 4h, 1d"
        )
    try:
        interval = interval_of(f"ohlcv-{text}")
    except DataError as error:
        raise UsageError(f"timeframe {text!r}: {error}") from error
    if interval is None:
        raise UsageError(f"timeframe {text!r} has no length; use for example 1h")
    return Grid(f"ohlcv-{text}", interval // 1000, grid_origin(interval) // 1000)


def parse_when(text: str, option: str) -> int:
    """Return an ISO date or time in ms; without an offset it is UTC.

    Raises
    ------
    UsageError
        The text is no date, or lies before 1970.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no date; write 2024-01-01 or 2024-01-01T12:00 (UTC)") from error
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    if when.timestamp() < 0:
        raise UsageError(f"{option} {text!r} lies before 1970; no exchange has bars from then")
    return round(when.timestamp() * 1000)


def iso(time: int) -> str:
    """Return ms since 1970 as ``2024-01-01T00:00:00Z``; a time no calendar has, as the number it is."""
    try:
        return f"{datetime.fromtimestamp(time / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{time} ms"


def check_page(answer: object, start: int, stop: int, grid: Grid) -> Page:
    """Let through what is right in an answer, or say what is wrong with it.

    Rows before `start` or from `stop` on are left out (`stop` is at most the first bar that is not closed, so there is
    no look-ahead); order does not matter and equal duplicates become one. Every row must have a time on the grid; every
    row inside must be finite with ``0 < low <= open, close <= high`` and ``volume >= 0``.

    Parameters
    ----------
    answer : object
        Rows ``[time, open, high, low, close, volume]``, if all is well.
    start, stop : int
        Span in ms, on the grid.
    grid : Grid
        Timeframe.

    Raises
    ------
    BadPageError
        A row breaks a rule, two rows contradict each other, or every row is older than `start`.
    """
    if not isinstance(answer, list):
        raise BadPageError(f"the page is {type(answer).__name__}, not a list of rows")
    times, inside = [], []
    for row in answer:
        if not isinstance(row, (list, tuple)) or len(row) < 6 or type(row[0]) is not int or row[0] < 0:
            raise BadPageError(f"row {str(row)[:120]} is no bar with a time and five values")
        if not grid.on(row[0]):
            raise BadPageError(f"the bar at {iso(row[0])} is off the {grid.type} grid")
        if row[0] >= start:
            times.append(row[0])
        if start <= row[0] < stop:
            inside.append(_checked(row[0], row[1:6]))
    if answer and not times:
        newest = iso(max(row[0] for row in answer))
        raise StalePageError(f"stale page: asked from {iso(start)}, its newest bar is {newest}")
    return Page(merged(inside), min(times, default=None), max(times, default=None), len(answer))


def _checked(time: int, values: Sequence[Any]) -> Bar:
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise BadPageError(f"the bar at {iso(time)} has a value that is no finite number: {list(values)}")
    open_, high, low, close, volume = (float(value) for value in values)
    if not 0 < low <= min(open_, close) <= max(open_, close) <= high:
        raise BadPageError(f"the bar at {iso(time)} breaks 0 < low <= open, close <= high: {list(values)}")
    if volume < 0:
        raise BadPageError(f"the bar at {iso(time)} has volume {volume}")
    return time, open_, high, low, close, volume


def merged(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    """Return bars in order, equal duplicates as one.

    Raises
    ------
    BadPageError
        Two bars of one time differ.
    """
    by_time: dict[int, Bar] = {}
    for bar in bars:
        if by_time.setdefault(bar[0], bar) != bar:
            raise BadPageError(f"two bars at {iso(bar[0])} differ: {by_time[bar[0]][1:]} and {bar[1:]}")
    return tuple(by_time[time] for time in sorted(by_time))


def ask_page(ask: Ask, start: int, stop: int, grid: Grid) -> Page:
    """Ask for the page at `start`; while bars are missing in it, ask again until an answer repeats what is known.

    What one answer left out another may hold, so answers are united. A hole counts as real once an answer equals the
    union of all before it: a whole page costs one request, a real hole one more.

    Raises
    ------
    BadPageError
        As :func:`check_page`; answers contradict each other or keep changing.
    """
    page = check_page(ask(start), start, stop, grid)
    for _ in range(MAX_ASKS - 1):
        if page.whole(start, grid.step):
            return page
        again = check_page(ask(start), start, stop, grid)
        union = Page(merged(page.bars + again.bars), *_outer(page, again), max(page.count, again.count))
        if union.bars == page.bars == again.bars and (page.first is None) == (again.first is None):
            return union
        page = union
    if page.whole(start, grid.step):
        return page
    raise BadPageError(f"{MAX_ASKS} answers about the bars from {iso(start)} all differ in what they leave out")


def _outer(page: Page, again: Page) -> tuple[int | None, int | None]:
    firsts = [time for time in (page.first, again.first) if time is not None]
    lasts = [time for time in (page.last, again.last) if time is not None]
    return min(firsts, default=None), max(lasts, default=None)


@dataclass(slots=True)
class Pager:
    """Walks one series of one exchange.

    Attributes
    ----------
    ask : callable
        Carries out one request.
    pause : callable
        Waits after a bad page.
    grid : Grid
        Timeframe.
    limit : int
        Bars the exchange gives at most in one answer.
    clock : int
        Now, ms.
    window : int or None
        How many bars the exchange keeps, once an answer has shown that it has only its newest ones.
    """

    ask: Ask
    pause: Pause
    grid: Grid
    limit: int
    clock: int
    window: int | None = None

    def page(self, start: int, stop: int) -> Page:
        """Return :func:`ask_page`, starting over after a bad page.

        Only-old rows, again and again, in answer to a question about the newest `limit` bars mean that there are no
        newer ones: some exchanges then repeat their last bar.

        Raises
        ------
        DataError
            ``BAD_PAGE_TRIES`` pages were bad; the message says what the last one had.
        """
        for tries in range(1, BAD_PAGE_TRIES + 1):
            try:
                page = ask_page(self.ask, start, stop, self.grid)
            except BadPageError as error:
                if tries < BAD_PAGE_TRIES:
                    self.pause(str(error), tries)
                    continue
                if not isinstance(error, StalePageError) or stop - start > self.limit * self.grid.step:
                    raise DataError(f"{error} ({tries} tries); the page was not kept, run again later") from error
                break
            if recent_only(page, start, self.clock, self.grid, self.limit):
                self.window = page.count
            return page
        return Page((), None, None, 0)

    def fill(self, start: int, stop: int) -> Iterator[Page]:
        """Walk ``[start, stop)`` forward; yield good pages that continue each other.

        The next page starts right after the last bar received, so an exchange that gives fewer bars than `limit`
        costs requests, never bars. Where nothing is offered the walk moves on by `limit` bars, and it ends when the
        exchange says that its next bar lies behind `stop`.
        """
        while start < stop:
            page = self.page(start, stop)
            if page.bars:
                start = page.bars[-1][0] + self.grid.step
            else:
                start = stop if page.first is not None else start + self.limit * self.grid.step
            yield page

    def extend(self, stored: tuple[int, int] | None, start: int, stop: int) -> Iterator[Page]:
        """Yield the pages a series lacks in ``[start, stop)``.

        Whenever the caller stops between two pages, what was yielded and stored has no hole of our own making: a new
        series grows forward; a stored one first grows forward from its last bar, then backward from its first, chunk
        by chunk. Holes inside the stored part were confirmed when they were met and are not asked for again.

        Parameters
        ----------
        stored : (int, int) or None
            First and last open time already stored, ms.
        """
        if stored is None:
            yield from self.fill(start, stop)
            return
        first, last = stored
        yield from self.fill(last + self.grid.step, stop)
        if start >= first:
            return
        probe = self.page(start, first)
        if probe.first is not None:
            start = probe.bars[0][0] if probe.bars else first
        while first > start:
            low = max(start, first - self.limit * self.grid.step)
            bars = merged([bar for page in self.fill(low, first) for bar in page.bars])
            if not bars and probe.first is None:
                return  # nothing offered at `start`, nothing right before the first stored bar: the series begins there
            yield Page(bars, low, first, len(bars))
            first = low


def recent_only(page: Page, start: int, clock: int, grid: Grid, limit: int) -> bool:
    """Return whether a first page looks like an exchange that keeps only its newest `limit` bars.

    Such an exchange ignores `start` and answers with a full page that ends at the running bar.
    """
    return (
        page.first is not None
        and page.last is not None
        and page.first > start
        and page.count >= limit
        and page.last >= grid.floor(clock) - grid.step
    )


def holes(times: Sequence[int], step: int) -> list[tuple[int, int, int]]:
    """Return (first missing, last missing, number of bars) for each hole between sorted open times in ms."""
    return [
        (before + step, after - step, (after - before) // step - 1)
        for before, after in pairwise(times)
        if after - before > step
    ]
