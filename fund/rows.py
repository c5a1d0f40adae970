"""The rows that models are asked about, as they stood when they were asked.

A :class:`~data.panel.Panel` of :mod:`data.panel` holds finished rows only: those whose target is known by now. To ask about
just them would be to know which series break or end within the horizon. Here a row is there as soon as its features are
known, at the close of its bar; its target is NaN until, or unless, it becomes known.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.bars import bars_from
from data.checked import checked_panel
from data.dataset import Dataset
from data.feature_sets import feature_set
from data.features import compute_features
from data.panel import Panel, PanelError
from data.schema import KEYS, interval_of
from data.target import fit_label, forward_return, forward_target
from fund.regime import regimes, return_matrix
from protocol.errors import DataError
from protocol.scores import PANEL_MIN
from protocol.topics import Topic

PRICES = ("open", "high", "low", "close", "volume")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """All rows of a topic in one version of a dataset.

    Attributes
    ----------
    panel : Panel
        n rows sorted by (time, symbol), at least five of each time. Unlike a panel for fitting, `realised`, `target` and
        `label` are NaN in rows whose target is not known (yet); the others are those of :func:`data.panel.panel_from`.
    grid : (g,) int64
        Opens of all bars of the panel's series, microseconds since 1970 UTC, also of those too early for features.
    regime : (g, r) float64
        At the close of each bar, see :mod:`fund.regime`.
    sectors : tuple of str
        Of each of `panel.symbols`.
    """

    panel: Panel
    grid: Ints
    regime: Floats
    sectors: tuple[str, ...]

    @property
    def times(self) -> Ints:
        """Return the opens of the bars that can be asked, (t,) int64, ascending."""
        time = self.panel.time  # sorted
        found: Ints = time[np.append(True, time[1:] != time[:-1])]
        return found

    def at(self, time: int) -> slice:
        """Return the rows of a bar, by its open; empty if it cannot be asked."""
        return slice(*np.searchsorted(self.panel.time, [time, time + 1]).tolist())

    def symbols_at(self, time: int) -> tuple[str, ...]:
        """Return the symbols of a bar's rows, in their order, which is that of their names."""
        return tuple(self.panel.symbols[code] for code in self.panel.symbol[self.at(time)])

    def regime_at(self, time: int) -> Floats:
        """Return the regime (r,) at the close of the bar that opens at `time`.

        Raises
        ------
        DataError
            There is no such bar.
        """
        place = int(np.searchsorted(self.grid, time))
        if place == self.grid.size or self.grid[place] != time:
            raise DataError(f"no bar of the topic opens at {time}; bars reach from {self.grid[0]} to {self.grid[-1]}")
        found: Floats = self.regime[place]
        return found

    def truth(self, time: int, symbols: tuple[str, ...], asof: int) -> Floats | None:
        """Return the targets of a bar once they are final.

        Parameters
        ----------
        time : int
            Open of the bar, microseconds since 1970 UTC.
        symbols : tuple of str
        asof : int
            Now: bars that close later are not looked at, even where they are there.

        Returns
        -------
        (S,) float64 or None
            u, NaN for a symbol whose series broke or ended; None while the bar of the exit has not closed.
        """
        place = int(np.searchsorted(self.grid, time)) + self.panel.horizon + 1
        if place >= self.grid.size or self.grid[place] + self.panel.interval > asof:
            return None
        part = self.at(time)
        found = dict(zip(self.symbols_at(time), self.panel.target[part].tolist(), strict=True))
        return np.array([found.get(symbol, np.nan) for symbol in symbols])


def rows_of(dataset: Dataset, topic: Topic, panels: Path) -> Rows:
    """Return the rows of a topic in a version of a dataset; what ``ltdata check`` refuses in a bare file is refused.

    Parameters
    ----------
    dataset : Dataset
    topic : Topic
    panels : Path
        Cache in which a checked panel is remembered.

    Raises
    ------
    DataError
        The dataset breaks the format, or the topic cannot be made of it.
    """
    if dataset.is_bare:
        checked_panel(dataset, topic, panels)
    table = dataset.read(type=topic.type, broker=topic.broker, sectors=topic.sectors, symbols=topic.symbols)
    return rows_from(table, topic)


def rows_from(table: pa.Table, topic: Topic) -> Rows:
    """Return the rows of a topic from its rows of ``ltds-1``, and no others.

    Raises
    ------
    PanelError
        No rows or prices, fewer than five symbols, or no row has features.
    ConfigError
        The topic's feature set is unknown.
    """
    interval = interval_of(topic.type)
    if interval is None or "close" not in table.column_names or not table.num_rows:
        raise PanelError(f"topic {topic.name!r}: no rows of type {topic.type!r}, broker {topic.broker!r} with closes")
    for column, names in (("sector", topic.sectors), ("symbol", topic.symbols)):
        if missing := sorted(set(names) - set(table[column].unique().to_pylist())):
            raise PanelError(
                f"topic {topic.name!r}: no rows of {column} {', '.join(missing)}; `ltdata show` lists what there is"
            )
    known = tuple(name for name in PRICES if name in table.column_names and table[name].null_count < table.num_rows)
    own = tuple(name for name in table.column_names if name not in (*KEYS, *PRICES))
    bars = bars_from(table, known + own, interval)
    if len(bars.symbols) < PANEL_MIN:
        raise PanelError(
            f"topic {topic.name!r} has {len(bars.symbols)} symbols; models are compared by how they rank them, so at least "
            f"{PANEL_MIN} are needed: add symbols"
        )
    features = compute_features(bars, feature_set(topic.features))
    columns = [*features.values, *(bars.columns[name] for name in own)]
    kept = functools.reduce(np.logical_and, (np.isfinite(column) for column in columns), features.sigma > 0)
    wide = np.bincount(bars.position[kept], minlength=bars.grid.size) >= PANEL_MIN
    rows = np.flatnonzero(kept & wide[bars.position])
    if not rows.size:
        raise PanelError(f"topic {topic.name!r}: none of {kept.size} rows has all features; use longer series")
    rows = rows[np.argsort(bars.position[rows], kind="stable")]  # symbols stay sorted within a timestamp
    realised = forward_return(bars, topic.horizon)[rows]
    target = forward_target(realised, features.sigma[rows], topic.horizon)
    time, place = bars.time[rows], bars.position[rows]
    finished = ~np.isnan(target)
    finished &= (np.bincount(place[finished], minlength=bars.grid.size) >= PANEL_MIN)[place]
    label = np.full(rows.size, np.nan)
    label[finished] = fit_label(target[finished], time[finished], len(bars.symbols))
    panel = Panel(
        features=np.stack([column[rows] for column in columns], axis=1),
        feature_names=(*features.names, *(f"x_{name}" for name in own)),
        time=time,
        symbol=bars.symbol[rows],
        symbols=bars.symbols,
        realised=realised,
        target=target,
        label=label,
        interval=interval,
        horizon=topic.horizon,
        report={"rows": kept.size, "kept": rows.size, "unfinished": int(np.count_nonzero(~finished))},
    )
    sector = dict(zip(table["symbol"].to_pylist(), table["sector"].to_pylist(), strict=True))
    returns = return_matrix(bars)
    return Rows(panel, bars.grid, regimes(returns, bars.grid, interval), tuple(sector[name] for name in bars.symbols))
