"""Runs: stretches of consecutive rows that belong to one series."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.schema import sort_rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Run(NamedTuple):
    """Rows ``start`` (included) to ``stop`` (excluded) of a table, all with the same four keys."""

    type: str
    broker: str
    symbol: str
    sector: str
    start: int
    stop: int

    @property
    def key(self) -> tuple[str, str, str]:
        """(type, broker, symbol), which names the series."""
        return self[:3]


def codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return an integer per row and the text each integer stands for, in order of first appearance."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    chunks = encoded.unify_dictionaries().chunks
    return np.concatenate([chunk.indices.to_numpy() for chunk in chunks]), chunks[0].dictionary.to_pylist()


def micros(table: pa.Table) -> Ints:
    """Return the bar opens as int64 microseconds since 1970 UTC, shape (rows,)."""
    return np.asarray(table.column("datetime").cast(pa.int64()).to_numpy())


def floats(table: pa.Table, name: str) -> Floats:
    """Return a data column as float64 with NaN for null, shape (rows,)."""
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def series_runs(table: pa.Table) -> list[Run]:
    """Return the runs of `table` in row order; a series that is not contiguous has several."""
    if table.num_rows == 0:
        return []
    names = ("type", "broker", "symbol", "sector")
    encoded = [codes(table.column(name)) for name in names]
    change = np.zeros(table.num_rows - 1, dtype=bool)
    for numbers, values in encoded:
        if len(values) > 1:
            change |= numbers[1:] != numbers[:-1]
    edges = [0, *(np.flatnonzero(change) + 1).tolist(), table.num_rows]
    (types, type_names), (brokers, broker_names), (symbols, symbol_names), (sectors, sector_names) = encoded
    return [
        Run(
            type_names[types[start]],
            broker_names[brokers[start]],
            symbol_names[symbols[start]],
            sector_names[sectors[start]],
            start,
            stop,
        )
        for start, stop in pairwise(edges)
    ]


def in_order(table: pa.Table, runs: list[Run] | None = None) -> bool:
    """Return whether the rows are sorted by (type, broker, symbol, datetime) and no key occurs twice."""
    runs = series_runs(table) if runs is None else runs
    return all(a.key < b.key for a, b in pairwise(runs)) and _each_rises(micros(table), runs)


def _each_rises(times: Ints, runs: list[Run]) -> bool:
    """Return whether time rises strictly within every run."""
    rising = np.diff(times) > 0
    rising[[run.start - 1 for run in runs[1:]]] = True
    return bool(rising.all())


def merge_sorted(table: pa.Table) -> pa.Table:
    """Return the rows sorted by key when `table` is a concatenation of sorted files.

    Files hold whole runs, so ordering the runs by key and first datetime nearly always orders the rows, without
    copying one; a table for which it does not is sorted row by row.
    """
    runs, times = series_runs(table), micros(table)
    order = sorted(runs, key=lambda run: (*run.key, times[run.start]))
    follows = all(a.key < b.key or times[a.stop - 1] < times[b.start] for a, b in pairwise(order))
    if not follows or not _each_rises(times, runs):
        return sort_rows(table)
    if order == runs:
        return table
    return pa.concat_tables([table.slice(run.start, run.stop - run.start) for run in order])
