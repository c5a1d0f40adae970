"""The writer: merges rows into a new version and moves ``HEAD`` to it.

Files are written first, then leaves, then the manifest, then ``HEAD``: a crash at any point leaves the old version as
it was and at most files that nobody names. Two appenders race only for ``HEAD``; the loser merges again on the
winner's version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.dataset import Dataset
from data.filesystem import head_of, move_head
from data.manifest import (
    FileEntry,
    Manifest,
    data_path,
    leaves_path,
    manifest_path,
    parse_manifest,
    periods_of,
    to_iso,
    to_micros,
)
from data.root import Leaves, leaf_lines, leaves_of, root_of
from data.rules import RULES, Findings, row_findings, series_name
from data.runs import Ints, Run, codes, floats, micros, series_runs
from data.scan import distinct, scan
from data.schema import KEYS, conform, data_columns, schema_of, sort_rows
from protocol.errors import DataError

ROW_GROUP = 65_536  # rows at most
ROW_GROUP_LEAST = 16_384  # rows, but for the last one; a quarter of the rows is read for one of many short series
ATTEMPTS = 20

Parts = dict[tuple[str, str], pa.Table]  # (type, period) -> rows


def parquet_bytes(table: pa.Table) -> bytes:
    """Return sorted rows as the bytes of one Parquet file in the storage format of the specification."""
    sink, plain = pa.BufferOutputStream(), table.replace_schema_metadata(None)
    options = {"compression": "zstd", "compression_level": 9, "use_dictionary": list(KEYS[1:])}
    with pq.ParquetWriter(sink, plain.schema, **options) as writer:
        for start, stop in pairwise(_group_edges(series_runs(plain))):
            writer.write_table(plain.slice(start, stop - start), row_group_size=ROW_GROUP)
    return bytes(sink.getvalue())


def _group_edges(runs: list[Run]) -> list[int]:
    """Return the rows at which row groups begin, and the end.

    Reading one series costs the row groups it lies in. So a group ends with a series once it has ``ROW_GROUP_LEAST``
    rows, and a series is torn only where it is longer than a group.
    """
    edges = [0]
    for run in runs:
        while run.stop - edges[-1] > ROW_GROUP:
            edges.append(run.start if run.start > edges[-1] else edges[-1] + ROW_GROUP)
        if run.stop - edges[-1] >= ROW_GROUP_LEAST:
            edges.append(run.stop)
    return edges if not runs or edges[-1] == runs[-1].stop else [*edges, runs[-1].stop]


@dataclass(frozen=True)
class Version:
    """A version worked out but not written: its manifest, its leaves and the bytes of its new files by path.

    ``tag`` is the state of the manifest that was there for this content before, None if there was none.
    """

    manifest: Manifest
    leaves: Leaves
    contents: Mapping[str, bytes]
    tag: str | None = None


def append_rows(dataset: Dataset, table: pa.Table, *, source: str, revise: bool, cuts: Mapping[str, str]) -> Dataset:
    """Append `table` at the place of `dataset`; see :meth:`Dataset.append`."""
    parts = _checked(dataset, table, cuts)
    for _ in range(ATTEMPTS):
        base, tag = _newest(dataset)
        version = _next(base, parts, source=source, revise=revise, cuts=cuts)
        if version is None:
            return base
        for path, content in version.contents.items():
            base.storage.write(path, content)
        base.storage.write(leaves_path(version.manifest.root), leaf_lines(version.leaves))
        place, root = manifest_path(version.manifest.root), version.manifest.root
        # Two writers can arrive at one root from different sides: the later one keeps the other's manifest.
        if base.storage.swap(place, version.manifest.to_json(), version.tag) and move_head(base.storage, root, tag):
            return Dataset(base.storage, version.manifest)
    raise DataError(
        f"{dataset.uri}: HEAD moved {ATTEMPTS} times during this append; repeat it when others have finished"
    )


def preview(dataset: Dataset, table: pa.Table, *, revise: bool = False, cuts: Mapping[str, str]) -> Manifest | None:
    """Return the manifest that appending `table` would write, None if nothing in it is new; errors as an append."""
    parts = _checked(dataset, table, cuts)
    version = _next(_newest(dataset)[0], parts, source="", revise=revise, cuts=cuts)
    return version.manifest if version else None


def _newest(dataset: Dataset) -> tuple[Dataset, str | None]:
    """Return the version that ``HEAD`` names now and the tag of that state."""
    root, tag = head_of(dataset.storage)
    return (Dataset.open(dataset.uri, root) if root else Dataset(dataset.storage, None)), tag


def _checked(dataset: Dataset, table: pa.Table, cuts: Mapping[str, str]) -> Parts:
    """Return the rows to append by type and period; DataError when they or the place do not allow it."""
    if dataset.until is not None:
        raise DataError(f"{dataset.uri} is a view, which nothing can be added to; append to {dataset.storage.uri}")
    if dataset.is_bare:
        raise DataError(f"{dataset.uri} has no manifests; bring it in with `ltdata import … --to NEW` and append there")
    parts = _parts(table)
    _check_rows(parts, {**(dataset.manifest.cuts if dataset.manifest else {}), **cuts})
    return parts


def _parts(table: pa.Table) -> Parts:
    """Return the rows by (type, period), conformed to the schema of their type."""
    missing = [name for name in KEYS if name not in table.column_names]
    if missing:
        raise DataError(f"column {missing[0]!r} is missing; every row needs {', '.join(KEYS)}")
    parts = {}
    types = distinct(table, "type") if table.num_rows else []
    for type_ in types:
        rows = table if len(types) == 1 else table.filter(pc.equal(table.column("type"), type_))
        required = data_columns(type_)
        names = [name for name in rows.column_names if name not in (*KEYS, *required)]
        if len(types) > 1:  # a column of another type is no column of this one
            names = [name for name in names if rows.column(name).null_count < rows.num_rows]
        rows = sort_rows(conform(rows, schema_of(type_, names)))
        periods, index = periods_of(type_, micros(rows))
        for number, period in enumerate(periods):
            parts[type_, period] = rows if len(periods) == 1 else rows.filter(pa.array(index == number))
    return parts


def _check_rows(parts: Parts, cuts: Mapping[str, str]) -> None:
    """Raise DataError when a row breaks a rule of the format."""
    findings = Findings()
    now = to_micros(datetime.now(UTC))
    for table in parts.values():
        row_findings(table, findings, file="rows to append", now=now, cuts=cuts)
    for finding in findings.errors():
        example = finding.examples[0]
        raise DataError(
            f"{finding.code} {RULES[finding.code]}: {finding.count} rows, first {example.series} {example.value}; "
            "correct or leave out these rows, nothing was written"
        )


def _next(base: Dataset, parts: Parts, *, source: str, revise: bool, cuts: Mapping[str, str]) -> Version | None:
    """Work out the version that `parts` make of `base`; None if nothing is new."""
    known = base.manifest or Manifest("", ())
    files = {(entry.type, entry.broker, entry.period): entry for entry in known.files}
    leaves: Leaves = dict(base.leaves)
    _check_sectors(leaves, parts)
    contents: dict[str, bytes] = {}
    for (type_, period), rows in parts.items():
        for broker in distinct(rows, "broker"):
            new = rows.filter(pc.equal(rows.column("broker"), broker))
            place = (type_, broker, period)
            if place in files:
                old = scan(base.storage, [files[place]], files[place].columns, None, trusted=True)
                merged = merge(old, new, revise=revise)
                if merged is None:
                    continue
            else:
                merged = new
            content = parquet_bytes(merged)
            files[place] = _entry(merged, place, content)
            contents[files[place].path] = content
            leaves |= leaves_of(merged)
    root, all_cuts = root_of(leaves), {**known.cuts, **cuts}
    if not leaves or (root == known.root and all_cuts == known.cuts):
        return None
    stored, tag = base.storage.state(manifest_path(root))
    if stored is not None:  # this content had its version before: its files are there, keep its history
        return Version(replace(parse_manifest(stored, manifest_path(root)), cuts=all_cuts), leaves, {}, tag)
    manifest = Manifest(
        root,
        tuple(sorted(files.values(), key=lambda entry: entry.path)),
        parent=known.root or None,
        cuts=all_cuts,
        source=source,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Version(manifest, leaves, contents)


def _check_sectors(leaves: Leaves, parts: Parts) -> None:
    """Raise DataError when a series that exists would get another sector."""
    sectors = {}
    for key in leaves:
        type_, broker, symbol, sector, _ = key.split("\t")
        sectors[type_, broker, symbol] = sector
    for table in parts.values():
        for run in series_runs(table):
            known = sectors.setdefault(run.key, run.sector)
            if known != run.sector:
                raise DataError(
                    f"E042 {series_name(run)} has sector {known!r}, the new rows say {run.sector!r}; "
                    "a series keeps its sector: correct the rows, or rebuild the dataset in a new place"
                )


def _entry(table: pa.Table, place: tuple[str, str, str], content: bytes) -> FileEntry:
    digest, times = hashlib.sha256(content).hexdigest(), micros(table)
    columns = tuple(name for name in table.column_names if name not in KEYS)
    return FileEntry(
        data_path(*place, digest),
        *place,
        table.num_rows,
        len(content),
        digest,
        int(times.min()),
        int(times.max()),
        columns,
    )


def merge(old: pa.Table, new: pa.Table, *, revise: bool) -> pa.Table | None:
    """Return the rows of both tables of one type and broker, sorted by key; None when `new` adds nothing.

    A column that one of them lacks counts as empty there.

    Raises
    ------
    DataError
        A key has different values in the two and `revise` is off.
    """
    names = list(dict.fromkeys([*old.column_names, *new.column_names]))[len(KEYS) :]
    type_ = str(new.column("type")[0].as_py())
    schema = schema_of(type_, [name for name in names if name not in data_columns(type_)])
    both = pa.concat_tables([conform(old, schema), conform(new, schema)])
    numbers, symbols = codes(both.column("symbol"))
    rank = np.argsort(np.argsort(np.array(symbols, dtype=object)))[numbers]
    is_new = np.arange(both.num_rows) >= old.num_rows
    times = micros(both)
    order: Ints = np.lexsort((is_new, times, rank))
    twice = (rank[order][1:] == rank[order][:-1]) & (times[order][1:] == times[order][:-1])
    earlier, later = order[:-1][twice], order[1:][twice]  # the old and the new row of each key that both have
    differs = np.zeros(len(later), dtype=bool)
    for name in schema.names[len(KEYS) :]:
        values = floats(both, name)
        a, b = values[earlier], values[later]
        differs |= (a != b) & ~(np.isnan(a) & np.isnan(b))
    if differs.any() and not revise:
        at = int(later[differs][0])
        row = both.slice(at, 1).to_pylist()[0]
        raise DataError(
            f"{row['type']}/{row['broker']} {row['symbol']} {to_iso(int(times[at]))} is there with other values "
            f"({int(differs.sum())} such rows); leave them out, or make a corrected version with revise"
        )
    dropped = np.concatenate([later[~differs], earlier[differs]])
    if not differs.any() and len(later) == new.num_rows:
        return None
    keep = np.ones(both.num_rows, dtype=bool)
    keep[dropped] = False
    return both.take(pa.array(order[keep[order]])).combine_chunks()
