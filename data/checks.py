"""``ltdata check``: every rule of ``ltds-1`` over the files of a dataset, errors first, then warnings."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.asof import known
from data.coverage import calendars_of
from data.dataset import Dataset
from data.manifest import FileEntry, to_iso
from data.peers import peer_lags
from data.plausibility import plausibility
from data.root import Leaves, leaves_of, root_of
from data.rules import Example, Finding, Findings, row_findings
from data.runs import Floats, Ints, Run, floats, micros, series_runs
from data.schema import DATETIME, KEYS, conform, data_columns, is_column_name, schema_with, vocabulary_problem
from protocol.errors import DataError

Found = Callable[[str, str], None]
PRICED = ("close", "price")


@dataclass(frozen=True)
class Report:
    """What a check found. ``root`` is None where errors leave the content undefined."""

    uri: str
    files: int
    rows: int
    series: int
    root: str | None
    findings: Findings

    @property
    def errors(self) -> list[Finding]:
        """Findings that make the dataset unusable."""
        return self.findings.errors()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        listed = [finding.to_dict() for finding in (*self.findings.errors(), *self.findings.warnings())]
        plain = {"uri": self.uri, "files": self.files, "rows": self.rows, "series": self.series, "root": self.root}
        return {**plain, "ok": not self.errors, "findings": listed}


@dataclass(frozen=True)
class _Part:
    """The rows of one series in one file."""

    file: str
    sector: str
    times: Ints
    values: Floats | None


def check(uri: str, *, now: int, held_out: int | None = None) -> Report:
    """Check every file, row and series at `uri`.

    Parameters
    ----------
    uri : str
        Dataset, bare hive tree or single Parquet file; local or ``s3://``. Of a view (``?until=…``) only its rows are
        looked at, and counted among themselves.
    now : int
        Microseconds since 1970 UTC by which every bar must have closed.
    held_out : int, optional
        Microseconds since 1970 UTC from which no row may be there, besides the cuts in the manifest.

    Raises
    ------
    DataError
        There is nothing to check, or it is a view of a dataset whose leaves are damaged.
    """
    dataset = Dataset.open(uri)
    findings, parts, leaves, rows = Findings(), defaultdict[tuple[str, str, str], list[_Part]](list), Leaves(), 0
    split_leaf = False
    cuts: Mapping[str, str] = dataset.manifest.cuts if dataset.manifest else {}
    for entry in dataset.entries:
        table = _table(dataset, entry, findings)
        if table is not None and dataset.until is not None:
            table = known(table, dataset.until)
        if table is None or not table.num_rows:
            continue
        rows += table.num_rows
        table, runs = row_findings(table, findings, file=entry.path, now=now, cuts=cuts, held_out=held_out)
        times = micros(table)
        closes = _closes(table)
        for run in runs:
            for word, told in ((run.type, entry.type), (run.broker, entry.broker)):
                if told not in {None, word}:
                    findings.add("E033", Example(entry.path, None, f"{run.broker} {run.symbol}", f"{word} in {told}"))
            parts[run.key].append(_part(entry.path, run, times, closes))
        if not findings.errors():
            added = leaves_of(table)
            split_leaf |= not leaves.keys().isdisjoint(added)
            leaves |= added
    _across_files(parts, findings)
    root = None
    if not findings.errors():
        root = root_of(leaves_of(dataset.read()) if split_leaf else leaves)
        told = dataset.known_root if dataset.manifest or not rows else root  # of a view without rows: an error
        if dataset.manifest and root != told:
            findings.add("E070", Example(f"manifests/{dataset.manifest.root}.json", None, "", f"rows have root {root}"))
    _warnings(parts, findings)
    return Report(
        dataset.uri, len(dataset.entries), rows, len(parts), root if not findings.errors() else None, findings
    )


def warnings_of(table: pa.Table) -> Findings:
    """Return the warnings about the series of one sorted table; its rows are not checked."""
    times, closes = micros(table), _closes(table)
    parts = defaultdict(list)
    for run in series_runs(table):
        parts[run.key].append(_part("", run, times, closes))
    findings = Findings()
    _warnings(parts, findings)
    return findings


def _closes(table: pa.Table) -> Floats | None:
    return next((floats(table, name) for name in PRICED if name in table.column_names), None)


def _part(file: str, run: Run, times: Ints, closes: Floats | None) -> _Part:
    span = slice(run.start, run.stop)
    return _Part(file, run.sector, times[span], None if closes is None else closes[span])


def _table(dataset: Dataset, entry: FileEntry, findings: Findings) -> pa.Table | None:
    """Return the file's rows conformed to the format, None when it is too far from it to look at rows."""

    def found(code: str, value: str) -> None:
        findings.add(code, Example(entry.path, None, "", value))

    content = dataset.storage.read(entry.path)
    if content is None:
        found("E001", "the file is not there")
        return None
    if entry.sha256 and hashlib.sha256(content).hexdigest() != entry.sha256:
        found("E070", "sha256 of the file differs")
    try:
        table = pq.read_table(pa.BufferReader(content), partitioning=None)
    except (OSError, pa.ArrowException) as error:
        found("E001", str(error).splitlines()[0][:200])
        return None
    names = table.column_names
    if len(set(names)) != len(names) or set(KEYS) - set(names):
        found("E010", f"columns {', '.join(names)}; the first five must be {', '.join(KEYS)}")
        return None
    if tuple(names[: len(KEYS)]) != KEYS:
        found("E010", f"columns begin with {', '.join(names[:5])}; they must be {', '.join(KEYS)}")
    keys_usable, data_usable = _check_keys(table, found), _check_data(table, found)
    if table.num_rows == 0:
        found("E031", "the file has no rows")
    if not (keys_usable and data_usable) or table.num_rows == 0:
        return None
    _check_type_columns(table, found)
    try:
        return conform(table, schema_with([name for name in names if name not in KEYS]))
    except DataError as error:
        found("E024", str(error))
        return None


def _check_keys(table: pa.Table, found: Found) -> bool:
    """Report what is wrong with the key columns of a file; return whether its rows can be looked at."""
    usable = bool(table.schema.field("datetime").type == DATETIME)
    if not usable:
        found("E020", f"datetime is {table.schema.field('datetime').type}")
    for name in KEYS:
        kind = table.schema.field(name).type
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        if name != "datetime" and not (pa.types.is_string(text) or pa.types.is_large_string(text)):
            found("E022", f"{name} is {kind}")
            usable = False
        elif name != "datetime" and kind != pa.string():
            found("W021", f"{name} is {kind}")
        if table.column(name).null_count:
            row = int(np.flatnonzero(table.column(name).is_null().to_numpy())[0])
            found("E030", f"{table.column(name).null_count} rows without {name}, first row {row}")
            usable = False
    return usable


def _check_data(table: pa.Table, found: Found) -> bool:
    """Report what is wrong with the data columns of a file; return whether its rows can be looked at."""
    usable = True
    names = [name for name in table.column_names if name not in KEYS]
    for name in names:
        kind = table.schema.field(name).type
        if not is_column_name(name):
            found("E023", repr(name))
            usable = False
        if kind != pa.float64():
            found("E024", f"{name} is {kind}")
            usable = False
        elif np.isnan(table.column(name).drop_null().to_numpy()).any():
            found("W022", name)
    if not names:
        found("E011", "only key columns")
    return usable and bool(names)


def _check_type_columns(table: pa.Table, found: Found) -> None:
    """Report data columns that a type in the file requires and that are absent or in another order."""
    names = [name for name in table.column_names if name not in KEYS]
    for type_ in table.column("type").unique().to_pylist():
        required = data_columns(type_) if vocabulary_problem("type", type_) is None else ()
        absent = [name for name in required if name not in names]
        if absent:
            found("E011", f"{type_} needs {', '.join(absent)}")
        elif [name for name in names if name in required] != list(required):
            found("E010", f"{type_} has {', '.join(names)}; the order is {', '.join(required)}")


def _across_files(parts: Mapping[tuple[str, str, str], list[_Part]], findings: Findings) -> None:
    """Report keys that occur in two files and sectors that differ between files."""
    for key, pieces in parts.items():
        name = f"{key[0]}/{key[1]} {key[2]}"
        for before, after in pairwise(pieces):
            if before.sector != after.sector:
                text = f"{after.sector}, {before.sector} in {before.file}"
                findings.add("E042", Example(after.file, None, name, text))
        if len(pieces) == 1:
            continue
        times = np.concatenate([np.unique(piece.times) for piece in pieces])
        found, count = np.unique(times, return_counts=True)
        twice = found[count > 1]
        if len(twice):
            first = [piece.file for piece in pieces if twice[0] in piece.times]
            findings.add(
                "E041", Example(first[0], None, name, f"{to_iso(int(twice[0]))} also in {first[1]}"), len(twice)
            )


def _warnings(parts: Mapping[tuple[str, str, str], list[_Part]], findings: Findings) -> None:
    """Report what is odd about series; their rows are looked at in time order, each key once."""
    series = {}
    for key, pieces in parts.items():
        times, at = np.unique(np.concatenate([piece.times for piece in pieces]), return_index=True)
        known = [piece.values for piece in pieces]
        closes = [values for values in known if values is not None]
        series[key] = (times, np.concatenate(closes)[at] if len(closes) == len(known) else None)
    series = {key: value for key, value in series.items() if vocabulary_problem("type", key[0]) is None}
    calendars = calendars_of({key: times for key, (times, _) in series.items()})
    for key, (times, values) in series.items():
        plausibility(key, times, values, calendars[key[:2]], findings)
    peer_lags({key: (times, values) for key, (times, values) in series.items() if values is not None}, findings)
