"""From foreign files to ``ltds-1`` rows, saying what was left out and why.

Nothing is guessed in silence: rows that cannot be understood stop the import unless they are to be skipped, repeated
rows with other values stop it unless a rule says which one holds, and every row that does not enter is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.clock import read_moments
from data.rawfile import read_raw
from data.rules import RULES, bad_rows
from data.runs import Ints, codes, floats, micros
from data.schema import (
    DATETIME,
    KEYS,
    conform,
    data_columns,
    interval_of,
    is_column_name,
    schema_of,
    sort_rows,
    vocabulary_problem,
)
from protocol.errors import DataError

DATETIME_NAMES = ("datetime", "date", "timestamp", "time", "unix", "open_time", "opentime", "open time", "ts")
SHOWN = 10  # bad rows listed
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_MISSING = ("", "nan", "na", "n/a", "null", "none", "-")


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read the files.

    Attributes
    ----------
    type, broker, symbol, sector : str
        Keys of every row; `symbol` and `sector` may be empty when ``columns`` names a column for them.
    columns : mapping of str to str
        Target to source column; an empty source says that the file has no such column. What is not named is found by
        its own name, whatever its case.
    unit, zone, pattern
        See :func:`data.clock.read_moments`.
    stamp : {"open", "close"}
        Which end of the bar the file's time names.
    conflicts : {"refuse", "first", "last", "drop"}
        What to do with a key that is there twice with different values.
    skip_bad : bool
        Leave out rows that break a rule instead of stopping.
    now : int
        Microseconds since 1970 UTC; bars that had not closed by then are left out.
    header : bool
        Whether a CSV has a header; without one its columns are called ``1``, ``2``, ….
    """

    type: str
    broker: str
    symbol: str
    sector: str
    now: int
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = "auto"
    zone: tzinfo = UTC
    pattern: str | None = None
    stamp: Literal["open", "close"] = "open"
    conflicts: Literal["refuse", "first", "last", "drop"] = "refuse"
    skip_bad: bool = False
    header: bool = True

    def __post_init__(self) -> None:
        """Refuse words outside the vocabulary before any file is read."""
        interval_of(self.type)
        for name in ("broker", "symbol", "sector"):
            value = str(getattr(self, name))
            problem = vocabulary_problem(name, value) if value or name not in self.columns else None
            if problem:
                raise DataError(problem)
        for name in self.columns:
            if name not in {"datetime", "symbol", "sector"} and not is_column_name(name):
                raise DataError(f'column {name!r} is not lower_snake; write for example trades="Trade Count"')


@dataclass
class ImportReport:
    """What became of the rows: ``read`` = ``kept`` + all of ``dropped``."""

    read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    bad: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, reason: str, count: int) -> None:
        """Count rows that do not enter."""
        if count:
            self.dropped[reason] += count


def import_files(paths: Sequence[Path], plan: Plan) -> tuple[pa.Table, ImportReport]:
    """Return the rows of all files as one sorted table, and what was left out.

    Raises
    ------
    DataError
        A file or column cannot be read; a row is bad and ``plan.skip_bad`` is off; a key has two values and
        ``plan.conflicts`` is ``refuse``; nothing is left.
    """
    report = ImportReport()
    tables, places = [], []
    for path in paths:
        table, lines = _read(path, plan, report)
        tables.append(table)
        places += [(path.name, line) for line in lines.tolist()]
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    table = conform(table, schema_of(plan.type, [name for name in table.column_names if _is_extra(name, plan)]))
    rows = np.arange(table.num_rows)
    table, rows = _without_unclosed(table, rows, plan, report)
    table, rows = _without_repeats(table, rows, places, plan, report)
    table = _without_bad(table, rows, places, plan, report)
    if table.num_rows == 0:
        raise DataError(f"no row is left of {report.read}: {_reasons(report)}")
    report.kept = table.num_rows
    return sort_rows(table), report


def _is_extra(name: str, plan: Plan) -> bool:
    return name not in (*KEYS, *data_columns(plan.type))


def _resolve(names: list[str], plan: Plan) -> dict[str, str]:
    """Return target to source for the columns that the plan needs; DataError names one that is absent."""
    known = {name.strip().lower(): name for name in reversed(names)}
    chosen = {}
    for target in dict.fromkeys(("datetime", *data_columns(plan.type), *plan.columns)):
        source = plan.columns.get(target)
        if source == "":
            continue
        wanted = (source,) if source else DATETIME_NAMES if target == "datetime" else (target,)
        found = next((name for name in wanted if name in names), None)
        found = found or next((known[name.lower()] for name in wanted if name.lower() in known), None)
        if found is None:
            what = f"column {source!r} for {target}" if source else f"a column for {target}"
            raise DataError(f"has not {what}; it has {', '.join(names)[:300]}; name it with --columns {target}=…")
        chosen[target] = found
    return chosen


def _read(path: Path, plan: Plan, report: ImportReport) -> tuple[pa.Table, Ints]:
    """Return the rows of one file that are rows at all, and their lines."""
    raw = read_raw(path, lambda names: _resolve(names, plan), header=plan.header)
    report.read += len(raw.lines) + len(raw.bad)
    report.notes += [f"{path.name}: {note}" for note in raw.notes]
    size = len(raw.lines)
    columns: dict[str, Any] = {name: _text(raw.columns[name]) for name in ("symbol", "sector") if name in raw.columns}
    for name, words in columns.items():
        for word in words.unique().to_pylist():
            if problem := vocabulary_problem(name, word):
                raise DataError(f"{path}: {problem}")
    groups = codes(columns["symbol"])[0].astype(np.int64) if "symbol" in columns and size else np.zeros(size, np.int64)
    interval = interval_of(plan.type)
    moments = read_moments(
        raw.columns["datetime"], groups, interval=interval, unit=plan.unit, zone=plan.zone, pattern=plan.pattern
    )
    ways = ", ".join(f"{count} in {way}" for way, count in sorted(moments.found.items()))
    if len(moments.found) > 1:
        report.notes.append(f"{path.name}: times are mixed: {ways}")
    shift = interval if plan.stamp == "close" and interval else 0
    columns["datetime"] = pa.array(moments.micros - shift).cast(DATETIME)
    problems = {int(raw.lines[row]): text for row, text in moments.problem.items()} | raw.bad
    good = np.ones(size, dtype=bool)
    good[list(moments.problem)] = False
    for name, column in raw.columns.items():
        if name not in KEYS:
            columns[name], wrong = _numbers(column)
            for row in np.flatnonzero(wrong & good).tolist():
                problems[int(raw.lines[row])] = f"{name} {column[row].as_py()!r} is no number"
            good &= ~wrong
    _bad(plan, report, [(path.name, line, problems[line]) for line in sorted(problems)])
    for name, value in (("broker", plan.broker), ("type", plan.type), ("symbol", plan.symbol), ("sector", plan.sector)):
        columns.setdefault(name, pa.repeat(value, size))
    return pa.table(columns).filter(pa.array(good)), raw.lines[good]


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(column.cast(pa.string())).fill_null("")


def _numbers(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, npt.NDArray[np.bool_]]:
    """Return float64 with null for what is missing, and which values are neither number nor missing."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        try:
            return column.cast(pa.float64(), safe=False), np.zeros(len(column), dtype=bool)
        except pa.ArrowException:
            column = column.cast(pa.string())
    text = _text(column)
    number = pc.match_substring_regex(text, _NUMBER)
    infinite = pc.match_substring_regex(text, r"^[+-]?inf(inity)?$", ignore_case=True)  # let the rule say it
    missing = pc.is_in(pc.utf8_lower(text), pa.array(_MISSING))
    values = pc.if_else(pc.or_(number, infinite), text, pa.scalar(None, pa.string())).cast(pa.float64())
    return values, ~pc.or_(pc.or_(number, infinite), missing).to_numpy()


def _without_unclosed(table: pa.Table, rows: Ints, plan: Plan, report: ImportReport) -> tuple[pa.Table, Ints]:
    unclosed = micros(table) + (interval_of(plan.type) or 0) > plan.now
    report.drop("bar not closed yet", int(unclosed.sum()))
    return table.filter(pa.array(~unclosed)), rows[~unclosed]


def _without_repeats(
    table: pa.Table, rows: Ints, places: list[tuple[str, int]], plan: Plan, report: ImportReport
) -> tuple[pa.Table, Ints]:
    """Keep one row per key; of rows with different values the one that the plan says."""
    if table.num_rows == 0:
        return table, rows
    symbols, times = codes(table.column("symbol"))[0], micros(table)
    order = np.lexsort((rows, times, symbols))  # stable: rows of one key in the order of the files
    same = (symbols[order][1:] == symbols[order][:-1]) & (times[order][1:] == times[order][:-1])
    differs = np.zeros(len(same), dtype=bool)
    for name in table.column_names:
        if name not in KEYS:
            values = floats(table, name)[order]
            differs |= same & (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    group = np.concatenate([[0], np.cumsum(~same)])
    torn = np.isin(group, group[1:][differs])
    if torn.any() and plan.conflicts == "refuse":
        at = int(np.flatnonzero(differs)[0])
        (file, line), (other, second) = places[rows[order[at]]], places[rows[order[at + 1]]]
        raise DataError(
            f"{file} line {line} and {other} line {second} give different values for one bar "
            f"({len(set(group[torn].tolist()))} such bars); choose with --conflicts first, last or drop"
        )
    first = np.concatenate([[True], ~same])
    last = np.concatenate([~same, [True]])
    keep = np.where(torn, {"first": first, "last": last}.get(plan.conflicts, np.zeros_like(first)), first)
    report.drop("repeated with equal values", int((~keep & ~torn).sum()))
    report.drop(f"repeated with other values, {plan.conflicts} rule", int((~keep & torn).sum()))
    kept = np.sort(order[keep])
    return table.take(pa.array(kept)), rows[kept]


def _without_bad(
    table: pa.Table, rows: Ints, places: list[tuple[str, int]], plan: Plan, report: ImportReport
) -> pa.Table:
    """Keep rows that break no rule of the format."""
    good = np.ones(table.num_rows, dtype=bool)
    problems = []
    for code, mask, shown in bad_rows(table, plan.now) if table.num_rows else ():
        for at in np.flatnonzero(mask & good).tolist():
            values = " ".join(f"{name}={table.column(name)[at]}" for name in ("datetime", *shown))
            problems.append((*places[rows[at]], f"{code} {RULES[code]}: {values}"))
        good &= ~mask
    _bad(plan, report, sorted(problems))
    return table.filter(pa.array(good))


def _bad(plan: Plan, report: ImportReport, problems: list[tuple[str, int, str]]) -> None:
    """Count bad rows, or stop at them."""
    if problems and not plan.skip_bad:
        listed = "; ".join(f"{file} line {line}: {text}" for file, line, text in problems[:3])
        raise DataError(f"{len(problems)} bad rows: {listed}; correct them, or leave them out with --skip-bad")
    report.drop("bad row", len(problems))
    room = max(SHOWN - len(report.bad), 0)
    report.bad += [{"file": file, "line": line, "problem": text} for file, line, text in problems[:room]]


def _reasons(report: ImportReport) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in report.dropped.items()) or "the files hold none"
