"""The columns and vocabulary of ``ltds-1``; ``docs/spec/ltds-1.md`` is the normative text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from protocol.errors import DataError

FORMAT = "ltds-1"
KEYS = ("datetime", "sector", "broker", "symbol", "type")
SORT = ("type", "broker", "symbol", "datetime")  # the unique key, in the order rows are kept
DATETIME = pa.timestamp("us", tz="UTC")

_UNIT_US = {"s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6, "w": 7 * 86_400 * 10**6}
DAY_US = _UNIT_US["d"]
MONDAY_US = 4 * DAY_US  # 1970-01-01 was a Thursday; weekly bars open on Mondays

# The data columns each kind must have. Prices in quote units, volume and amounts in base units.
_KIND_COLUMNS: dict[str, tuple[str, ...]] = {
    "ohlcv": ("open", "high", "low", "close", "volume"),
    "mark": ("open", "high", "low", "close"),
    "index": ("open", "high", "low", "close"),
    "close": ("close",),
    "funding": ("rate",),
    "trades": ("price", "volume"),
}
_KIND_VALUE = {
    "ohlcv": "close",
    "mark": "close",
    "index": "close",
    "close": "close",
    "funding": "rate",
    "trades": "price",
}

_TYPE = re.compile(r"(?P<kind>[a-z]+|x-[a-z0-9][a-z0-9_]*)-(?P<count>[1-9][0-9]{0,4})(?P<unit>[smhdw])")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SYMBOL = re.compile(r"[^\s\x00-\x1f\x7f\"',\\=]{1,64}")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _parse(type_: str) -> tuple[str, int | None]:
    """Return kind and interval; DataError when `type_` is not in the vocabulary."""
    if type_ == "trades":
        return type_, None
    match = _TYPE.fullmatch(type_)
    if match is None:
        raise DataError(f"type {type_!r} is not kind-interval; write for example ohlcv-1h, close-1d or x-mine-1h")
    kind, count, unit = match["kind"], int(match["count"]), match["unit"]
    if kind not in _KIND_COLUMNS and not kind.startswith("x-"):
        known = ", ".join(_KIND_COLUMNS)
        raise DataError(f"type {type_!r}: unknown kind {kind!r}; known: {known}; a kind of your own starts with 'x-'")
    interval = count * _UNIT_US[unit]
    larger = [name for name, size in _UNIT_US.items() if size > _UNIT_US[unit] and interval % size == 0]
    if larger:
        short = f"{kind}-{interval // _UNIT_US[larger[-1]]}{larger[-1]}"
        raise DataError(f"type {type_!r} has a shorter spelling; write {short!r}")
    return kind, interval


def interval_of(type_: str) -> int | None:
    """Return the length of one bar in microseconds, None for ``trades``.

    Raises
    ------
    DataError
        `type_` is not in the vocabulary.
    """
    return _parse(type_)[1]


def data_columns(type_: str) -> tuple[str, ...]:
    """Return the data columns that `type_` requires, in order; none for a kind of one's own (``x-…``)."""
    return _KIND_COLUMNS.get(_parse(type_)[0], ())


def value_column(type_: str) -> str | None:
    """Return the data column that may not be missing in any row (``close``, ``rate``, …), None for ``x-…``."""
    return _KIND_VALUE.get(_parse(type_)[0])


def grid_origin(interval: int) -> int:
    """Return the microsecond since 1970 from which bars of `interval` microseconds are counted."""
    return MONDAY_US if interval % _UNIT_US["w"] == 0 else 0


def vocabulary_problem(column: str, value: str) -> str | None:
    """Say why `value` cannot stand in the key column `column`; None when it can."""
    if column == "type":
        try:
            _parse(value)
        except DataError as error:
            return str(error)
        return None
    pattern, wanted = (
        (_SYMBOL, "1-64 characters without spaces, quotes, commas, backslashes or '='")
        if column == "symbol"
        else (_SLUG, "a slug of a-z, 0-9, '-' and '_'")
    )
    return None if pattern.fullmatch(value) else f"{column} {value!r} is not {wanted}"


def is_column_name(name: str) -> bool:
    """Return whether `name` may name a data column (lower_snake, not a key)."""
    return _COLUMN.fullmatch(name) is not None and name not in KEYS


def schema_of(type_: str, extra: Sequence[str] = ()) -> pa.Schema:
    """Return the Arrow schema of `type_`: five keys, the type's data columns, then `extra` in the given order.

    Raises
    ------
    DataError
        Bad type, bad or repeated column name, or no data column at all.
    """
    names = [*data_columns(type_), *extra]
    if not names:
        raise DataError(f"type {type_!r} has no data column; name at least one")
    return schema_with(names)


def schema_with(names: Sequence[str]) -> pa.Schema:
    """Return the Arrow schema with the five keys and the data columns `names`."""
    bad = [name for name in names if not is_column_name(name)]
    if bad:
        raise DataError(f"column {bad[0]!r} is not lower_snake or is a key; rename it")
    if len(set(names)) != len(names):
        raise DataError(f"columns {', '.join(names)} repeat a name; remove the repetition")
    keys = [pa.field("datetime", DATETIME, nullable=False)]
    keys += [pa.field(name, pa.string(), nullable=False) for name in KEYS[1:]]
    return pa.schema([*keys, *(pa.field(name, pa.float64()) for name in names)])


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `table` cast to `schema`: absent data columns and NaN become null, rows stay in their order.

    Raises
    ------
    DataError
        A key column is absent, or a column does not convert without loss.
    """
    arrays = []
    for field in schema:
        if field.name not in table.column_names:
            if field.name in KEYS:
                raise DataError(f"column {field.name!r} is missing; every row needs {', '.join(KEYS)}")
            arrays.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        if field.name == "datetime" and (not pa.types.is_timestamp(column.type) or column.type.tz is None):
            raise DataError(f"datetime is {column.type}, not a UTC timestamp; import it with `ltdata import`")
        try:
            column = column.cast(field.type)
        except pa.ArrowInvalid as error:
            raise DataError(f"column {field.name!r} does not convert to {field.type}: {error}") from error
        except pa.ArrowNotImplementedError as error:
            raise DataError(f"column {field.name!r} is {column.type}; it must be {field.type}") from error
        if field.type == pa.float64():
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        elif column.null_count:
            raise DataError(f"column {field.name!r} has {column.null_count} empty values; every row needs its keys")
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=schema)


def sort_rows(table: pa.Table) -> pa.Table:
    """Return `table` sorted by (type, broker, symbol, datetime)."""
    return table.sort_by([(name, "ascending") for name in SORT])


def table_from(rows: Mapping[str, Any], type_: str) -> pa.Table:
    """Return an ``ltds-1`` table of `type_` from columns by name.

    Parameters
    ----------
    rows : mapping
        Column name to sequence or array. ``datetime`` holds aware datetimes, ``datetime64`` in UTC or integer
        microseconds since 1970 (bar open); a key given as one string holds for every row; ``type`` may be left out.
        Other names are data columns; NaN means not known.
    type_ : str
        Series type, for example ``ohlcv-1h``.

    Returns
    -------
    pyarrow.Table
        Schema of ``schema_of(type_, extra)``, sorted by (type, broker, symbol, datetime).

    Raises
    ------
    DataError
        Missing key, unequal lengths, naive datetimes, or a value that does not convert.
    """
    schema = schema_of(type_, [name for name in rows if name not in (*KEYS, *data_columns(type_))])
    if "datetime" not in rows:
        raise DataError("column 'datetime' is missing; every row needs its bar open in UTC")
    datetimes = _datetimes(rows["datetime"])
    columns: dict[str, Any] = {"datetime": datetimes, "type": pa.repeat(type_, len(datetimes))}
    for name, value in rows.items():
        if name == "datetime":
            continue
        try:
            columns[name] = (
                pa.repeat(pa.scalar(value, pa.string()), len(datetimes))
                if isinstance(value, str)
                else value
                if isinstance(value, (pa.Array, pa.ChunkedArray))
                else pa.array(value, pa.string() if name in KEYS else pa.float64())
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
            raise DataError(f"column {name!r} does not convert: {error}") from error
        if len(columns[name]) != len(datetimes):
            raise DataError(f"column {name!r} has {len(columns[name])} values, datetime has {len(datetimes)}")
    return sort_rows(conform(pa.table(columns), schema))


def _datetimes(values: Any) -> pa.Array:
    """Return UTC microsecond timestamps; naive Python datetimes are refused, datetime64 is taken as UTC."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    try:
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            return pa.array(values.astype("datetime64[us]")).cast(DATETIME)
        array = pa.array(values)
        if pa.types.is_null(array.type):
            return array.cast(DATETIME)
        if pa.types.is_integer(array.type):
            return array.cast(pa.int64()).cast(DATETIME)
        if pa.types.is_timestamp(array.type) and array.type.tz is not None:
            return array.cast(DATETIME)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as error:
        raise DataError(f"datetime does not convert: {error}") from error
    raise DataError(f"datetime is {array.type}; give aware datetimes (tzinfo=UTC), datetime64 or microseconds")
