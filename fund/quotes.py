"""The bars of a topic's series as the simulated broker takes them: one tick at a time, unchecked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.bars import bars_from
from data.features import SIGMA_BARS
from data.schema import interval_of
from fund.book import Book
from fund.broker import Quote, Tick
from fund.costs import listed
from fund.journal import Instrument
from fund.regime import return_matrix
from fund.units import pico
from protocol.errors import DataError

PRICES = ("open", "high", "low", "close", "volume")
YEAR_US = 31_557_600_000_000  # 365.25 days
MIN_RETURNS = 20  # fewer do not make a deviation

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """All bars of s series of one broker and type.

    Attributes
    ----------
    broker : str
    symbols, sectors : tuple of str
        By column.
    grid : (g,) int64
        Opens of the bars, ascending, microseconds since 1970 UTC.
    interval : int
        Microseconds of a bar.
    prices : mapping of name to (g, s) float64
        ``open, high, low, close, volume``; NaN where there is none.
    returns : (g, s) float64
        One-bar log returns, known at the bar's close.
    funding : mapping of place on the grid to mapping of (asset, time) to float
        Rates of perpetuals in the bar within, or at the end of, which they are settled (microseconds since 1970 UTC); a
        fraction, positive: longs pay.
    """

    broker: str
    symbols: tuple[str, ...]
    sectors: tuple[str, ...]
    grid: NDArray[np.int64]
    interval: int
    prices: dict[str, Floats]
    returns: Floats
    funding: Mapping[int, Mapping[tuple[str, int], float]] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pa.Table, funding: pa.Table | None = None) -> Quotes:
        """Return the quotes of ``ltds-1`` rows of one broker and type with closes.

        Parameters
        ----------
        table : pyarrow.Table
        funding : pyarrow.Table, optional
            ``ltds-1`` rows of a funding series of the same broker: each rate is settled at its row's time plus its interval.

        Raises
        ------
        DataError
            There are no such rows, or several brokers or types.
        """
        places = {column: table[column].unique().to_pylist() for column in ("broker", "type")}
        interval = interval_of(places["type"][0]) if len(places["type"]) == 1 else None
        if interval is None or len(places["broker"]) != 1 or "close" not in table.column_names:
            raise DataError(f"quotes of {places}: give rows of one broker and one type of bars with closes")
        names = tuple(name for name in PRICES if name in table.column_names and table[name].null_count < table.num_rows)
        bars = bars_from(table, names, interval)
        shape = bars.grid.size, len(bars.symbols)
        prices = {name: np.full(shape, np.nan) for name in PRICES}
        for name in names:
            prices[name][bars.position, bars.symbol] = bars.columns[name]
        sector = dict(zip(table["symbol"].to_pylist(), table["sector"].to_pylist(), strict=True))
        sectors = tuple(sector[name] for name in bars.symbols)
        broker, rates = places["broker"][0], _rates(funding, bars.grid)
        return cls(broker, bars.symbols, sectors, bars.grid, interval, prices, return_matrix(bars), rates)

    @property
    def bars_per_year(self) -> float:
        """Bars on the grid per year of its span."""
        return float(self.grid.size * YEAR_US / (self.grid[-1] - self.grid[0] + self.interval))

    def asset(self, symbol: str) -> str:
        """Return a symbol's name in a book."""
        return f"{self.broker}:{symbol}"

    def tick(self, place: int) -> Tick:
        """Return the bar at a place of the grid; series without a bar there are left out."""
        time = int(self.grid[place])
        here = np.flatnonzero(~np.isnan(self.prices["close"][place]))
        quotes = {
            self.asset(self.symbols[column]): Quote(*(float(self.prices[name][place, column]) for name in PRICES))
            for column in here
        }
        return Tick(time, time + self.interval, quotes, self.funding.get(place, {}))

    def newly_listed(self, book: Book, place: int) -> list[Instrument]:
        """Return the instruments that have their first bar in a book at this place, at that bar's price."""
        tradable = all(np.isfinite(self.prices[name]).any() for name in ("open", "volume"))
        fills: Literal["open", "close"] = "open" if tradable else "close"
        found = []
        for column, symbol in enumerate(self.symbols):
            if self.asset(symbol) in book.instruments:
                continue
            if price := pico(float(self.prices["close"][place, column])):
                found.append(listed(self.broker, symbol, self.sectors[column], price=price, fills=fills))
        return found

    def sigma(self, place: int, symbols: tuple[str, ...]) -> Floats:
        """Return the deviation (ddof 1) of the last returns up to the close of a bar, (len(symbols),) float64.

        Over at most :data:`~data.features.SIGMA_BARS` bars; NaN with fewer than twenty returns among them.
        """
        columns = [self.symbols.index(symbol) for symbol in symbols]
        window = self.returns[max(0, place + 1 - SIGMA_BARS) : place + 1, columns]
        count = np.count_nonzero(~np.isnan(window), axis=0)
        enough = count >= MIN_RETURNS
        mean = np.nansum(window, axis=0) / np.maximum(count, 1)
        squares = np.nansum((window - mean) ** 2, axis=0)
        return np.where(enough, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


def _rates(table: pa.Table | None, grid: NDArray[np.int64]) -> dict[int, dict[tuple[str, int], float]]:
    """Return funding rates by the bar they are settled in, and by asset and time."""
    found: dict[int, dict[tuple[str, int], float]] = {}
    if table is None:
        return found
    for column in ("datetime", "broker", "symbol", "type", "rate"):
        if column not in table.column_names:
            raise DataError(f"a funding series has no column {column}; give ltds-1 rows of type funding-…")
    times = table["datetime"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    columns = (table[name].to_pylist() for name in ("broker", "symbol", "type", "rate"))
    for time, broker, symbol, type_, rate in zip(times, *columns, strict=True):
        settled = time + (interval_of(type_) or 0)
        place = int(np.searchsorted(grid, settled)) - 1
        if rate is not None and place >= 0:
            found.setdefault(place, {})[f"{broker}:{symbol}", settled] = rate
    return found
