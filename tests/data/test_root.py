"""The content root against a slow second implementation of the specification, and what it may not depend on."""

from __future__ import annotations

import hashlib
import math
import random
import struct
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_series import hourly, with_value

from data.root import leaf_lines, leaves_of, parse_leaves, root_of
from data.schema import KEYS, table_from
from protocol.errors import DataError

VECTOR_ROOT = "ecdde9bf26c581ad83ca83fd1fbe5a0d47d2ea90d5352cf3951b566f60694ff2"


def slow_root(table: pa.Table) -> str:
    """Follow docs/spec/ltds-1.md row by row."""
    months = defaultdict(list)
    for row in table.to_pylist():
        month = row["datetime"].strftime("%Y-%m")
        months[row["type"], row["broker"], row["symbol"], row["sector"], month].append(row)
    names = sorted(set(table.column_names) - set(KEYS))
    lines = []
    for key, rows in months.items():
        rows.sort(key=lambda row: row["datetime"])
        missing = {name: [row[name] is None or math.isnan(row[name]) for row in rows] for name in names}
        present = [name for name in names if not all(missing[name])]
        message = "\n".join(["ltds-1", *key, str(len(rows)), ",".join(present), ""]).encode()
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        for row in rows:
            delta = row["datetime"] - epoch
            message += struct.pack("<q", (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds)
        for name in present:
            for row, empty in zip(rows, missing[name], strict=True):
                value = 0.0 if row[name] == 0 else row[name]
                message += bytes.fromhex("000000000000f87f") if empty else struct.pack("<d", value)
        lines.append("\t".join([*key, hashlib.sha256(message).hexdigest()]) + "\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def vector() -> pa.Table:
    """The test vector of the specification."""
    return table_from(
        {
            "datetime": [
                datetime(2024, 1, 31, tzinfo=UTC),
                datetime(2024, 2, 1, tzinfo=UTC),
                datetime(2024, 1, 31, tzinfo=UTC),
            ],
            "sector": ["equity-energy", "equity-energy", "fx"],
            "broker": "example",
            "symbol": ["XOM", "XOM", "EUR/USD"],
            "close": [101.5, None, 1.25],
            "open_interest": [-0.0, 7.0, None],
        },
        "close-1d",
    )


def test_vector_of_the_specification() -> None:
    leaves = leaves_of(vector())
    assert root_of(leaves) == slow_root(vector()) == VECTOR_ROOT
    text = (Path(__file__).parents[2] / "docs" / "spec" / "ltds-1.md").read_text(encoding="utf-8")
    message, lines, root = (block.strip() for block in text.split("### Test vector")[1].split("```")[1:6:2])
    assert hashlib.sha256(bytes.fromhex(message)).hexdigest() == lines.split()[5]
    assert lines == leaf_lines(leaves).decode().replace("\t", " ").strip()
    assert root == VECTOR_ROOT


values = st.one_of(st.none(), st.floats(allow_infinity=False), st.just(-0.0))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]),
                st.sampled_from(["X", "Y/Z", "Ü"]),
                st.integers(-500, 25_000),
                values,
                values,
            ),
            min_size=1,
            max_size=30,
            unique_by=lambda row: row[:3],
        )
    )
    brokers, symbols, days, first, second = map(list, zip(*rows, strict=True))
    moments = np.array(days, dtype=np.int64) * 86_400_000_000
    keys = {"datetime": moments, "sector": "s", "broker": brokers, "symbol": symbols}
    return table_from({**keys, "close": first, "other": second}, "close-1d")


@settings(deadline=None)
@given(tables())
def test_equals_the_slow_implementation(table: pa.Table) -> None:
    assert root_of(leaves_of(table)) == slow_root(table)


@settings(deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_order_and_split_of_rows_do_not_matter(table: pa.Table, random: random.Random) -> None:
    order = list(range(table.num_rows))
    random.shuffle(order)
    cut = len(order) // 2
    parts = [table.take(pa.array(part, pa.int64())) for part in (order[cut:], order[:cut])]
    shuffled = pa.concat_tables(parts)
    assert root_of(leaves_of(shuffled)) == root_of(leaves_of(table))


@settings(deadline=None)
@given(tables(), st.data())
def test_any_one_ulp_change_is_seen(table: pa.Table, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, table.num_rows - 1))
    name = data.draw(st.sampled_from(["close", "other"]))
    value = table.column(name)[row].as_py()
    other = 1.0 if value is None else math.nextafter(value, math.inf)
    assert root_of(leaves_of(with_value(table, name, row, other))) != root_of(leaves_of(table))


@settings(deadline=None)
@given(tables(), st.data())
def test_a_change_of_a_key_is_seen(table: pa.Table, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, table.num_rows - 1))
    moved = with_value(table, "datetime", row, table.column("datetime").cast(pa.int64())[row].as_py() + 1)
    renamed = with_value(table, "symbol", row, "W")
    assert len({root_of(leaves_of(one)) for one in (table, moved, renamed)}) == 3


@settings(max_examples=20, deadline=None)
@given(tables(), st.sampled_from(["dictionary", "large_string", "snappy", "reordered"]))
def test_writers_do_not_matter(table: pa.Table, how: str) -> None:
    kind = {"dictionary": pa.dictionary(pa.int32(), pa.string()), "large_string": pa.large_string()}.get(how)
    other = table
    if kind:
        other = table.cast(
            pa.schema([field.with_type(kind) if field.type == pa.string() else field for field in table.schema])
        )
    if how == "reordered":
        other = table.select(sorted(table.column_names, reverse=True))
    sink = pa.BufferOutputStream()
    pq.write_table(other, sink, compression="snappy", row_group_size=3)
    again = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert root_of(leaves_of(again)) == root_of(leaves_of(table))


def test_an_empty_column_equals_an_absent_one() -> None:
    table = hourly()
    wider = table.append_column("trades", pa.nulls(table.num_rows, pa.float64()))
    assert leaves_of(wider) == leaves_of(table)
    assert leaves_of(with_value(wider, "trades", 5, 1.0)) != leaves_of(table)


def test_nan_equals_null_whatever_its_payload() -> None:
    odd = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0]
    table = hourly()
    assert leaves_of(with_value(table, "volume", 3, odd)) == leaves_of(with_value(table, "volume", 3, None))


def test_leaves_are_series_months_and_survive_writing() -> None:
    table = hourly(n=24 * 60)
    leaves = leaves_of(table)
    assert [key.rsplit("\t", 1)[1] for key in sorted(leaves)] == ["2023-01", "2023-02", "2023-03"]
    assert parse_leaves(leaf_lines(leaves)) == leaves
    assert hashlib.sha256(leaf_lines(leaves)).hexdigest() == root_of(leaves)


def test_an_untouched_month_keeps_its_leaf() -> None:
    table = hourly(n=24 * 60)
    before, after = leaves_of(table), leaves_of(with_value(table, "close", 0, 1.0))
    assert [key.rsplit("\t", 1)[1] for key in before if before[key] != after[key]] == ["2023-01"]


def test_repeated_keys_have_no_root() -> None:
    table = hourly(n=3)
    with pytest.raises(DataError, match="occurs twice"):
        leaves_of(pa.concat_tables([table, table]))
    with pytest.raises(DataError, match="changes sector"):
        leaves_of(pa.concat_tables([table, hourly(n=3, start=0, sector="other")]))


def test_no_rows_no_leaves() -> None:
    assert leaves_of(hourly(n=1).slice(0, 0)) == {}
