"""A dataset as it was known at a moment: ``PLACE?until=MOMENT`` names the bars that had closed by then, and no others.

A bar is known once it has closed: its open plus the interval of its type is no later than the moment. What has no
interval (``trades``) is known when its time is before the moment. Moments are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from data.manifest import FileEntry, parse_time, to_iso, to_micros
from data.runs import codes, micros
from data.schema import KEYS, data_columns, interval_of, vocabulary_problem
from protocol.errors import DataError

_SECONDS_DIGITS = 11  # Unix seconds of the year 5138; more digits are milliseconds


def parse_uri(uri: str) -> tuple[str, int | None]:
    """Return the place that `uri` names and the moment behind it, None without ``?until=``.

    The moment is an ISO date or time, UTC without an offset, or whole Unix seconds; eight digits are a date, YYYYMMDD.

    Raises
    ------
    DataError
        Something else stands behind the ``?``, or it is no moment.
    """
    place, mark, suffix = uri.partition("?")
    if not mark:
        return uri, None
    parts = [part.partition("=") for part in suffix.replace("?", "&").split("&")]
    for key, _, text in parts:
        if key != "until":
            raise DataError(
                f"dataset {uri}: unknown {key!r} behind '?'; write ?until=MOMENT, or rename a place with '?' in its name"
            )
        if not text:
            raise DataError(f"dataset {uri}: until names no moment; write for example ?until=2024-01-01")
    if len(parts) > 1:
        raise DataError(f"dataset {uri} says until {len(parts)} times; name one moment")
    text = parts[0][2]
    if text.isascii() and text.isdigit() and len(text) != 8:
        if len(text) > _SECONDS_DIGITS:
            raise DataError(f"dataset {uri}: {text} are no Unix seconds; write whole seconds, or 2024-01-01T12:00")
        return place, int(text) * 10**6
    try:
        return place, to_micros(parse_time(text))
    except DataError as error:
        raise DataError(f"dataset {uri}: {error}, or whole Unix seconds") from error


def view_uri(place: str, until: int) -> str:
    """Return the URI that :func:`parse_uri` takes apart."""
    return f"{place}?until={to_iso(until)}"


def edge_of(type_: str, until: int) -> int:
    """Return the first bar open of `type_` that was not known at `until`."""
    interval = interval_of(type_) if vocabulary_problem("type", type_) is None else None
    return until if interval is None else until - interval + 1


def begun(entries: Iterable[FileEntry], until: int) -> tuple[FileEntry, ...]:
    """Return the files that may hold rows known at `until`; of a bare file only its rows can tell."""
    return tuple(
        entry
        for entry in entries
        if entry.first is None or entry.type is None or entry.first < edge_of(entry.type, until)
    )


def known(table: pa.Table, until: int) -> pa.Table:
    """Return the rows known at `until`, in their order; the table needs its keys ``datetime`` and ``type``."""
    if not table.num_rows:
        return table
    numbers, types = codes(table.column("type"))
    seen = micros(table) < np.array([edge_of(type_, until) for type_ in types])[numbers]
    return table if seen.all() else table.filter(pa.array(seen))


def without_unheard(table: pa.Table) -> pa.Table:
    """Return `table` without data columns that hold nothing and that none of its types requires.

    Such a column may have been added later. An absent one and an empty one are the same to the content root.
    """
    if not table.num_rows:
        return table
    types = [name for name in codes(table.column("type"))[1] if vocabulary_problem("type", name) is None]
    required = {*KEYS, *(name for type_ in types for name in data_columns(type_))}
    kept = [name for name in table.column_names if name in required or table[name].null_count < table.num_rows]
    return table if kept == table.column_names else table.select(kept)


def cut_month(types: Iterable[str], until: int) -> str:
    """Return the first calendar month, UTC, ``YYYY-MM``, of which some type may not be known whole at `until`."""
    first = min((edge_of(type_, until) for type_ in types), default=until)
    return str(np.datetime64(first, "us").astype("datetime64[M]"))
