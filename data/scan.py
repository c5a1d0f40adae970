"""Reading rows: from files to one sorted table, touching only the row groups and columns that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from data.filesystem import Storage
from data.manifest import FileEntry
from data.runs import merge_sorted
from data.schema import KEYS, conform, data_columns, schema_with, vocabulary_problem
from protocol.errors import DataError

FEW = 64  # up to so many symbols a chain of == prunes row groups; beyond it a set test is shorter


def describe(storage: Storage, entry: FileEntry) -> FileEntry:
    """Return `entry` of a bare file with its columns and row count, read from the Parquet footer.

    Raises
    ------
    DataError
        The file is not Parquet, or lacks the key columns, or its datetime has no time zone.
    """
    filesystem, prefix = storage.arrow()
    try:
        with filesystem.open_input_file(prefix + entry.path) as source:
            footer = pq.ParquetFile(source)
            schema, rows = footer.schema_arrow, footer.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(storage, entry.path, error) from error
    missing = [name for name in KEYS if name not in schema.names]
    if missing:
        raise DataError(f"{entry.path}: column {missing[0]!r} is missing; see `ltdata check {storage.uri}`")
    stamp = schema.field("datetime").type
    if not pa.types.is_timestamp(stamp) or stamp.tz != "UTC":
        raise DataError(
            f"{entry.path}: datetime is {stamp}, not timestamp[us, tz=UTC]; bring it in with `ltdata import`"
        )
    return replace(entry, rows=rows, columns=tuple(name for name in schema.names if name not in KEYS))


def columns_of(entries: Iterable[FileEntry]) -> list[str]:
    """Return the data columns of `entries`: those their types require, then extra ones as first met."""
    entries = list(entries)
    known = [entry.type for entry in entries if entry.type and vocabulary_problem("type", entry.type) is None]
    names = dict.fromkeys(name for type_ in dict.fromkeys(known) for name in data_columns(type_))
    return list(names | dict.fromkeys(name for entry in entries for name in entry.columns))


def expression(column: str, values: Sequence[str]) -> Any:
    """Return the filter "`column` is one of `values`" in the form that prunes row groups by their statistics."""
    field = pads.field(column)
    if len(values) > FEW:
        return field.isin(list(values))
    result = field == values[0]
    for value in values[1:]:
        result |= field == value
    return result


def scan(
    storage: Storage,
    entries: Sequence[FileEntry],
    names: Sequence[str],
    condition: Any,
    *,
    trusted: bool,
    symbols: Sequence[str] = (),
) -> pa.Table:
    """Return the rows of `entries` that satisfy `condition`, sorted by key, with data columns `names`.

    Parameters
    ----------
    condition : pyarrow expression or None
    trusted : bool
        A manifest vouches for the files: text, nulls and order need no repair, and a key that the entries or the
        query leave only one value is not read but filled in, which saves a third of the time for one symbol.
    symbols : sequence of str
        The symbols that `condition` lets pass, if it is about symbols.
    """
    schema = schema_with(list(names))
    if not entries:
        return schema.empty_table()
    filesystem, prefix = storage.arrow()
    stored = schema_with(columns_of(entries))  # the filter may use columns that the result leaves out
    known = {"type": {entry.type for entry in entries}, "broker": {entry.broker for entry in entries}}
    known["symbol"] = set(symbols)
    constant = {name: values.pop() for name, values in known.items() if trusted and len(values) == 1}
    try:
        source = pads.dataset(
            [prefix + entry.path for entry in entries], filesystem=filesystem, format="parquet", schema=stored
        )
        table = source.to_table(columns=[name for name in schema.names if name not in constant], filter=condition)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(storage, "", error) from error
    filled = {name: pa.repeat(pa.scalar(value, pa.string()), table.num_rows) for name, value in constant.items()}
    arrays = [filled[name] if name in filled else table.column(name) for name in schema.names]
    table = pa.Table.from_arrays(arrays, names=schema.names)
    return merge_sorted(table.cast(schema) if trusted else conform(table, schema))


def moment_filter(first: int | None, stop: int | None) -> Any:
    """Return the filter first <= datetime < stop in microseconds, None when both are open."""
    result = None
    for limit, compare in ((first, "__ge__"), (stop, "__lt__")):
        if limit is not None:
            part = getattr(pads.field("datetime"), compare)(pa.scalar(limit, pa.timestamp("us", tz="UTC")))
            result = part if result is None else result & part
    return result


def distinct(table: pa.Table, column: str) -> list[str]:
    """Return the different texts of a key column, sorted."""
    return sorted(str(value) for value in pc.unique(table.column(column)).to_pylist())


def _unreadable(storage: Storage, path: str, error: Exception) -> DataError:
    text = str(error).splitlines()[0][:300]
    return DataError(f"cannot read {storage.uri}/{path}: {text}; see `ltdata check {storage.uri}`")
