"""Small generated tables for the tests of the format."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from data.schema import table_from

HOUR = 3_600_000_000
START = 1_672_531_200_000_000  # 2023-01-01, a Sunday
NOW = datetime(2030, 1, 1, tzinfo=UTC)
NOW_US = 1_893_456_000_000_000


def hourly(symbol: str = "BTC/USDT", n: int = 48, *, start: int = START, seed: int = 0, **keys: Any) -> pa.Table:
    """Return `n` consecutive hourly bars of a random walk; a longer one begins like a shorter one."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    rows = {
        "datetime": start + HOUR * np.arange(n),
        "sector": "crypto-majors",
        "broker": "binance",
        "symbol": symbol,
        "open": opened,
        "high": np.maximum(opened, close) * 1.001,
        "low": np.minimum(opened, close) * 0.999,
        "close": close,
        "volume": np.random.default_rng(seed + 1000).uniform(1, 2, n),
    }
    return table_from(rows | keys, "ohlcv-1h")


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    """Return `table` with the values of one column replaced, its type kept."""
    at = table.column_names.index(name)
    return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def with_value(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    """Return `table` with one value replaced."""
    values = table.column(name).to_pylist()
    values[row] = value
    return with_column(table, name, values)
