"""The bars of a panel on their common grid, and where a series is broken.

The **grid** of a panel is the sorted union of its bars' times. A series is *broken* between two grid times when

* it has no bar at a grid time (others traded, it did not), or
* the grid itself has a hole: the step is longer than :data:`MAX_CLOSURE_US`, or longer than one bar on a market that
  trades around the clock.

A market trades around the clock from the first bar at which at least :data:`SATURDAY_SHARE` of the grid so far lies on
Saturdays (UTC); so the rule looks back only. Nights, weekends and holidays of other markets are no breaks.
No return, window or target spans a break.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from protocol.errors import DataError

DAY_US = 86_400_000_000
MAX_CLOSURE_US = 7 * DAY_US  # New York was closed from 10 to 17 September 2001
SATURDAY_SHARE = 0.05  # around the clock it is 1/7; stray quotes of other markets stay below 1 %

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol on the stretch of grid from its first to its last bar.

    Attributes
    ----------
    rows : slice
        Its rows among the panel's bars.
    place : (rows,) int64 or None
        Position of each row on the stretch; None when every grid time has its bar.
    columns : mapping of (s,) float64
        Values on the stretch, NaN where there is no bar.
    log_close, returns : (s,) float64
        ln C and its change over one bar; a return is NaN where the series is broken just before the bar.
    """

    rows: slice
    place: Ints | None
    columns: Mapping[str, Floats]
    log_close: Floats
    returns: Floats

    def put(self, values: Floats, out: Floats) -> None:
        """Write `values` on the stretch to this series' rows of `out`."""
        out[self.rows] = values if self.place is None else values[self.place]


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of several symbols, sorted by (symbol, time).

    Attributes
    ----------
    time : (n,) int64
        Bar open, microseconds since 1970 UTC; a bar is known at ``time + interval``.
    symbol : (n,) int32
        Code into `symbols`.
    symbols : tuple of str
        Sorted.
    columns : mapping of (n,) float64
        Data columns, NaN where null; ``close`` is there and positive.
    grid : (g,) int64
        Unique times.
    position : (n,) int64
        Place of each row on the grid.
    hole : (g,) bool
        Whether the step that leads to a grid time breaks every series.
    interval : int
        Microseconds.
    """

    time: Ints
    symbol: NDArray[np.int32]
    symbols: tuple[str, ...]
    columns: Mapping[str, Floats]
    grid: Ints
    position: Ints
    hole: NDArray[np.bool_]
    interval: int

    def series(self) -> Iterator[Series]:
        """Yield the symbols one by one."""
        first = np.searchsorted(self.symbol, np.arange(len(self.symbols) + 1))
        for a, b in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
            origin, stop = int(self.position[a]), int(self.position[b - 1]) + 1
            place = None if stop - origin == b - a else self.position[a:b] - origin
            columns = {name: _stretch(values[a:b], place, stop - origin) for name, values in self.columns.items()}
            log_close = np.log(columns["close"])
            returns = np.full(stop - origin, np.nan)
            np.subtract(log_close[1:], log_close[:-1], out=returns[1:])
            returns[self.hole[origin:stop]] = np.nan
            yield Series(slice(a, b), place, columns, log_close, returns)


def bars_from(table: pa.Table, names: tuple[str, ...], interval: int) -> Bars:
    """Return the bars of a table of one type and broker.

    Parameters
    ----------
    table : pyarrow.Table
        ``ltds-1`` columns, rows in any order, at least one.
    names : tuple of str
        Data columns to take, with ``close`` among them.
    interval : int
        Microseconds of one bar.

    Raises
    ------
    DataError
        A (symbol, datetime) occurs twice, or a close is not a positive number.
    """
    time = table["datetime"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    encoded = pa.chunked_array([table["symbol"].combine_chunks().dictionary_encode()]).unify_dictionaries()
    found = encoded.chunk(0).dictionary.to_pylist()
    symbols = tuple(sorted(found))
    recode = np.array([symbols.index(name) for name in found], np.int32)
    symbol = recode[np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])]
    columns = {name: table[name].cast(pa.float64()).to_numpy() for name in names}
    same = symbol[1:] == symbol[:-1]
    if not ((symbol[1:] > symbol[:-1]) | (same & (time[1:] >= time[:-1]))).all():
        order = np.lexsort((time, symbol))
        time, symbol = time[order], symbol[order]
        columns = {name: values[order] for name, values in columns.items()}
        same = symbol[1:] == symbol[:-1]
    twice = np.flatnonzero(same & (time[1:] == time[:-1]))
    if twice.size:
        raise DataError(f"{symbols[symbol[twice[0]]]} has two bars at {_utc(time[twice[0]])}; run `ltdata check`")
    bad = np.flatnonzero(~((columns["close"] > 0) & np.isfinite(columns["close"])))
    if bad.size:
        raise DataError(
            f"{symbols[symbol[bad[0]]]} closes at {columns['close'][bad[0]]} on {_utc(time[bad[0]])} ({bad.size} such "
            "rows); log returns need positive prices: correct or leave out the rows"
        )
    grid, position = np.unique(time, return_inverse=True)
    return Bars(time, symbol, symbols, columns, grid, position, holes_of(grid, interval), interval)


def holes_of(grid: Ints, interval: int) -> NDArray[np.bool_]:
    """Return which grid times follow a hole of the whole grid.

    Parameters
    ----------
    grid : (g,) int64
        Ascending, microseconds since 1970 UTC.
    interval : int
        Microseconds of one bar.

    Returns
    -------
    (g,) bool
        Each from grid times at or before its own.
    """
    step = np.diff(grid, prepend=grid[0])
    saturdays = np.cumsum((grid // DAY_US + 3) % 7 == 5)  # 1970-01-01 was a Thursday
    around_the_clock = saturdays >= SATURDAY_SHARE * np.arange(1, grid.size + 1)
    hole: NDArray[np.bool_] = (step > max(MAX_CLOSURE_US, interval)) | (around_the_clock & (step > 1.5 * interval))
    return hole


def _stretch(values: Floats, place: Ints | None, length: int) -> Floats:
    if place is None:
        return values
    out = np.full(length, np.nan)
    out[place] = values
    return out


def _utc(time: np.int64) -> str:
    return f"{np.datetime64(int(time), 'us').astype('datetime64[m]')}Z"
