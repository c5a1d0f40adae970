from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from data.schema import (
    DATETIME,
    KEYS,
    conform,
    data_columns,
    grid_origin,
    interval_of,
    schema_of,
    table_from,
    value_column,
    vocabulary_problem,
)
from protocol.errors import DataError

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("type_", "interval"),
    [("ohlcv-1h", DAY // 24), ("close-1d", DAY), ("funding-8h", DAY // 3), ("ohlcv-1w", 7 * DAY), ("trades", None)],
)
def test_interval(type_: str, interval: int | None) -> None:
    assert interval_of(type_) == interval


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("ohlcv", "kind-interval"),
        ("ohlcv-0h", "kind-interval"),
        ("ohlcv-1M", "kind-interval"),
        ("ohlvc-1h", "unknown kind 'ohlvc'"),
        ("ohlcv-60m", "write 'ohlcv-1h'"),
        ("close-7d", "write 'close-1w'"),
        ("Ohlcv-1h", "kind-interval"),
    ],
)
def test_bad_types_say_what_to_write(type_: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        interval_of(type_)


def test_columns_of_types() -> None:
    assert data_columns("ohlcv-1h") == ("open", "high", "low", "close", "volume")
    assert data_columns("close-1d") == ("close",)
    assert data_columns("funding-8h") == ("rate",)
    assert data_columns("x-onchain-1d") == ()
    assert (value_column("funding-8h"), value_column("x-onchain-1d")) == ("rate", None)


def test_weeks_open_on_monday() -> None:
    monday = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**6
    assert (monday - grid_origin(7 * DAY)) % (7 * DAY) == 0
    assert grid_origin(DAY) == 0


def test_schema_is_keys_then_columns() -> None:
    schema = schema_of("close-1d", ["market_cap"])
    assert schema.names == [*KEYS, "close", "market_cap"]
    assert schema.field("datetime") == pa.field("datetime", pa.timestamp("us", tz="UTC"), nullable=False)
    assert all(schema.field(name) == pa.field(name, pa.string(), nullable=False) for name in KEYS[1:])
    assert schema.field("market_cap") == pa.field("market_cap", pa.float64())


@pytest.mark.parametrize(
    ("type_", "extra", "message"),
    [
        ("x-mine-1h", [], "no data column"),
        ("close-1d", ["Close"], "lower_snake"),
        ("close-1d", ["symbol"], "is a key"),
        ("close-1d", ["close"], "repeat"),
    ],
)
def test_bad_columns(type_: str, extra: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        schema_of(type_, extra)


@pytest.mark.parametrize(
    ("column", "value", "good"),
    [
        ("symbol", "BTC/USDT:USDT", True),
        ("symbol", "BRK.B", True),
        ("symbol", "BTC USDT", False),
        ("symbol", "", False),
        ("broker", "us-consolidated", True),
        ("broker", "Binance", False),
        ("sector", "crypto-layer1", True),
        ("sector", "a/b", False),
        ("type", "trades", True),
        ("type", "daily", False),
    ],
)
def test_vocabulary(column: str, value: str, good: bool) -> None:
    assert (vocabulary_problem(column, value) is None) is good


def test_table_from_sorts_casts_and_turns_nan_into_null() -> None:
    table = table_from(
        {
            "datetime": [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)],
            "sector": "equity",
            "broker": "b",
            "symbol": ["B", "B"],
            "close": [2, float("nan")],
            "extra": pa.array([1.0, 2.0], pa.float32()),
        },
        "close-1d",
    )
    assert table.column("close").to_pylist() == [None, 2.0]
    assert table.schema == schema_of("close-1d", ["extra"])
    assert table.column("type").to_pylist() == ["close-1d"] * 2


@pytest.mark.parametrize(
    "moments",
    [
        np.array(["2024-01-01"], "datetime64[D]"),
        np.array(["2024-01-01"], "datetime64[ns]"),
        np.array([1_704_067_200_000_000]),
        [datetime(2024, 1, 1, tzinfo=UTC)],
        pd.DatetimeIndex(["2024-01-01"], tz="Europe/Paris") + pd.Timedelta(hours=1),
        pa.array([1_704_067_200_000], pa.timestamp("ms", tz="UTC")),
    ],
)
def test_kinds_of_datetimes(moments: object) -> None:
    table = table_from({"datetime": moments, "sector": "s", "broker": "b", "symbol": "S", "close": [1.0]}, "close-1d")
    assert table.column("datetime").to_pylist() == [datetime(2024, 1, 1, tzinfo=UTC)]
    assert table.column("datetime").type == DATETIME


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datetime": [datetime(2024, 1, 1)]}, "aware"),  # noqa: DTZ001  # naive on purpose
        ({"datetime": ["2024-01-01"]}, "aware"),
        ({"datetime": None}, "missing"),
        ({"symbol": ["A", "B"]}, "has 2 values"),
        ({"symbol": [None]}, "1 empty"),
        ({"symbol": [1]}, "does not convert"),
        ({"close": ["x"]}, "does not convert"),
        ({"sector": None}, "'sector' is missing"),
    ],
)
def test_table_from_refuses(change: dict[str, object], message: str) -> None:
    rows: dict[str, object] = {
        "datetime": [datetime(2024, 1, 1, tzinfo=UTC)],
        "sector": "s",
        "broker": "b",
        "symbol": "S",
        "close": [1.0],
    }
    rows = {name: value for name, value in (rows | change).items() if value is not None}
    with pytest.raises(DataError, match=message):
        table_from(rows, "close-1d")


def test_no_rows() -> None:
    table = table_from({"datetime": [], "sector": "s", "broker": "b", "symbol": [], "close": []}, "close-1d")
    assert (table.num_rows, table.schema) == (0, schema_of("close-1d"))


def test_conform_takes_every_kind_of_text() -> None:
    plain = table_from(
        {"datetime": np.array([0, DAY]), "sector": "s", "broker": "b", "symbol": "S", "close": [1.0, 2.0]}, "close-1d"
    )
    for kind in (pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        other = plain.cast(
            pa.schema([field.with_type(kind) if field.type == pa.string() else field for field in plain.schema])
        )
        assert conform(other, plain.schema).equals(plain)
