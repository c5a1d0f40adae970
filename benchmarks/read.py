"""How much of a dataset one symbol costs: row groups are pruned by their statistics, columns by the query.

    python benchmarks/read.py [--rows 10000000] [--symbols 200] [--json]

Goal: one symbol out of 10 M rows takes at most 2 % of the time of a full read.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable

import pyarrow as pa
from root import panel

from data.dataset import Dataset


def seconds(task: Callable[[], pa.Table], repeats: int) -> float:
    """Return the least wall time of several runs."""
    least = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        least = min(least, time.perf_counter() - start)
    return least


def main() -> None:
    """Write a dataset, read it in several ways and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = panel(options.rows, options.symbols)
        start = time.perf_counter()
        dataset = Dataset.create(folder).append(table, source="benchmark")
        written = time.perf_counter() - start
        symbol = f"S{options.symbols // 2:03d}/USD"
        full = seconds(dataset.read, 3)
        one = seconds(lambda: Dataset.open(folder).read(type="ohlcv-1h", broker="made", symbols=[symbol]), 7)
        assert dataset.read(symbols=[symbol]).num_rows == table.num_rows // options.symbols
        assert dataset.read().num_rows == table.num_rows
        result = {
            "rows": table.num_rows,
            "files": len(dataset.entries),
            "bytes_per_row": round(sum(entry.bytes for entry in dataset.entries) / table.num_rows, 2),
            "seconds": {
                "write": round(written, 3),
                "full read": round(full, 4),
                "close only": round(seconds(lambda: dataset.read(columns=["close"]), 3), 4),
                "open and one symbol": round(one, 4),
            },
            "one_symbol_share": round(one / full, 4),
            "goal_met": one / full <= 0.02,
        }
    if options.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:20s} {value}")


if __name__ == "__main__":
    main()
