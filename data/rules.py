"""What a valid row is: the error rules of ``ltds-1`` over one table, vectorised."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.manifest import cut_for, to_iso
from data.runs import Ints, Run, floats, micros, series_runs
from data.schema import KEYS, grid_origin, interval_of, sort_rows, value_column, vocabulary_problem

RULES: dict[str, str] = {
    "E001": "file cannot be read",
    "E010": "columns missing, repeated or in the wrong order",
    "E011": "no data column, or one that the type requires is absent",
    "E020": "datetime is not timestamp[us, tz=UTC]",
    "E022": "key column is not text",
    "E023": "data column name is not lower_snake",
    "E024": "data column is not float64",
    "E030": "empty key",
    "E031": "no rows",
    "E032": "word outside the vocabulary",
    "E033": "path and rows disagree about type or broker",
    "E040": "rows are not sorted by (type, broker, symbol, datetime)",
    "E041": "key occurs twice",
    "E042": "series changes its sector",
    "E043": "bar is off the grid of its interval",
    "E044": "bar is not closed yet or lies in the future",
    "E050": "infinite value",
    "E051": "prices contradict each other or are not positive",
    "E052": "value missing that the type requires in every row",
    "E053": "negative volume",
    "E070": "content differs from the manifest",
    "E071": "row lies behind the held-out cut",
    "W021": "key stored as dictionary or large_string; row groups or discovery do not work",
    "W022": "NaN stored; null is the format's missing value",
    "W060": "bars missing against the panel's calendar",
    "W061": "|log return| above 0.9 from one bar to the next",
    "W062": "close does not move for many bars",
    "W063": "returns of a peer broker match best at another lag: one clock is wrong",
    "W064": "fewer than 90 % of the bars between first and last are there",
}
EXAMPLES = 5  # offending rows shown per code
PRICES = ("open", "high", "low", "close", "price")


class Example(NamedTuple):
    """One offending place; ``row`` counts from 0 within ``file``."""

    file: str
    row: int | None
    series: str
    value: str


@dataclass
class Finding:
    """All places where one rule is broken: how many, and the first few."""

    code: str
    count: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def is_error(self) -> bool:
        """Whether the dataset must not be used."""
        return self.code.startswith("E")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        examples = [example._asdict() for example in self.examples]
        return {"code": self.code, "rule": RULES[self.code], "count": self.count, "examples": examples}


class Findings(dict[str, Finding]):
    """Findings by code; bounded, whatever the number of bad rows."""

    def add(self, code: str, example: Example, count: int = 1) -> None:
        """Count `count` places and keep `example` if few are known yet."""
        finding = self.setdefault(code, Finding(code))
        finding.count += count
        if len(finding.examples) < EXAMPLES:
            finding.examples.append(example)

    def errors(self) -> list[Finding]:
        """Return the findings that make the dataset unusable, by code."""
        return [self[code] for code in sorted(self) if self[code].is_error]

    def warnings(self) -> list[Finding]:
        """Return the findings worth a look, by code."""
        return [self[code] for code in sorted(self) if not self[code].is_error]


def series_name(run: Run) -> str:
    """Return ``type/broker symbol`` for messages."""
    return f"{run.type}/{run.broker} {run.symbol}"


def bad_rows(table: pa.Table, now: int) -> Iterator[tuple[str, npt.NDArray[np.bool_], tuple[str, ...]]]:
    """Yield (code, mask over rows, columns that show it) for every rule about the values of one row.

    Parameters
    ----------
    table : pyarrow.Table
        Conformed to ``ltds-1``, in any order, all of one type that is in the vocabulary, not empty.
    now : int
        Microseconds since 1970 UTC: a bar must have closed by then.
    """
    type_ = str(table.column("type")[0].as_py())
    times, interval = micros(table), interval_of(type_)
    if interval is not None:
        yield "E043", (times - grid_origin(interval)) % interval != 0, ()
    yield "E044", times + (interval or 0) > now, ()
    values = {name: floats(table, name) for name in table.column_names if name not in KEYS}
    for name, column in values.items():
        yield "E050", np.isinf(column), (name,)
    needed = value_column(type_)
    if needed is None:
        return  # the meaning of the columns of somebody's own kind is not known
    if needed in values:
        yield "E052", np.isnan(values[needed]), (needed,)
    prices = {name: values[name] for name in PRICES if name in values}
    if prices:  # comparisons with NaN are false: what is missing contradicts nothing
        top, bottom = np.fmax.reduce(list(prices.values())), np.fmin.reduce(list(prices.values()))
        wrong = bottom <= 0
        if "high" in prices:
            wrong |= prices["high"] < top
        if "low" in prices:
            wrong |= prices["low"] > bottom
        yield "E051", wrong, tuple(prices)
    if "volume" in values:
        yield "E053", values["volume"] < 0, ("volume",)


def row_findings(
    table: pa.Table, findings: Findings, *, file: str, now: int, cuts: Mapping[str, str], held_out: int | None = None
) -> tuple[pa.Table, list[Run]]:
    """Add to `findings` what is wrong with the rows of `table`; return the rows in key order and their runs.

    Parameters
    ----------
    table : pyarrow.Table
        Conformed to ``ltds-1``; any order, any number of types.
    file : str
        Name to report.
    now, held_out : int
        Microseconds since 1970 UTC.
    cuts : mapping of str to str
        Sector pattern to ISO time from which rows of those sectors are held out; `held_out` holds for every sector.
    """
    runs = series_runs(table)
    rows = np.arange(table.num_rows)
    breaks = _order_breaks(table, runs)
    if len(breaks):
        at = int(breaks[0])
        series = next(series_name(run) for run in runs if run.stop > at)
        findings.add("E040", Example(file, at, series, to_iso(int(micros(table)[at]))), len(breaks))
        table = sort_rows(table.append_column("_row", pa.array(rows)))
        rows, table = table.column("_row").to_numpy(), table.drop_columns("_row")
        runs = series_runs(table)
    starts = [run.start for run in runs]
    times = micros(table)

    def report(code: str, found: Ints, shown: tuple[str, ...] = ()) -> None:
        for number, at in enumerate(found[:EXAMPLES].tolist()):
            run = runs[bisect_right(starts, at) - 1]
            text = " ".join([to_iso(int(times[at])), *(f"{name}={table.column(name)[at]}" for name in shown)])
            findings.add(code, Example(file, int(rows[at]), series_name(run), text), len(found) if number == 0 else 0)

    report("E041", np.flatnonzero(_repeats(times, runs)))
    report("E042", np.array([b.start for a, b in pairwise(runs) if a.key == b.key], dtype=np.int64), ("sector",))
    for run in runs:
        limits = [limit for limit in (cut_for(cuts, run.sector), held_out) if limit is not None]
        if limits:
            report("E071", run.start + np.flatnonzero(times[run.start : run.stop] >= min(limits)))
    unknown = set()
    for at, column in enumerate(("type", "broker", "symbol", "sector")):
        for word, start in {run[at]: run.start for run in reversed(runs)}.items():
            if text := vocabulary_problem(column, str(word)):
                unknown.add(word)
                findings.add("E032", Example(file, int(rows[start]), "", text))
    types = sorted({run.type for run in runs} - unknown)
    for type_ in types:
        of_type = np.concatenate([np.arange(run.start, run.stop) for run in runs if run.type == type_])
        part = table if len(of_type) == table.num_rows else table.take(pa.array(of_type))
        for code, mask, shown in bad_rows(part, now):
            report(code, of_type[mask], shown)
    return table, runs


def _order_breaks(table: pa.Table, runs: list[Run]) -> Ints:
    """Return the rows that come before their predecessor in key order."""
    falling = np.diff(micros(table)) < 0
    for before, after in pairwise(runs):
        if before.key != after.key:
            falling[after.start - 1] = before.key > after.key
    return np.flatnonzero(falling) + 1


def _repeats(times: Ints, runs: list[Run]) -> npt.NDArray[np.bool_]:
    """Return which rows, in key order, have the key of their predecessor."""
    repeated = np.zeros(len(times), dtype=bool)
    repeated[1:] = times[1:] == times[:-1]
    repeated[[after.start for before, after in pairwise(runs) if before.key != after.key]] = False
    return repeated
