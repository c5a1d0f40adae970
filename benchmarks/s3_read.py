"""How many bytes a filtered read of a dataset on S3 takes from the wire, of those it has.

    python -m benchmarks.s3_read [--symbols 50] [--hours 8760] [--json]

Without a bucket of your own: a simulated S3 on loopback counts every byte that it sends, headers and Parquet footers included.
Each read opens the dataset anew.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.loopback_s3 import ENVIRONMENT, LoopbackS3, loopback_s3
from data.dataset import Dataset
from data.panel import load_panel
from data.synthetic import synthetic
from protocol.topics import Topic

URI = "s3://benchmark/series"


def filters(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return the reads to compare by their words."""
    one, *others = sorted({series.symbol for series in dataset.series()})
    month = datetime(2020, 1, 1, tzinfo=UTC)
    return {
        "everything": {},
        "one symbol, close and volume": {"symbols": [one], "columns": ["close", "volume"]},
        "one symbol": {"symbols": [one]},
        "five symbols": {"symbols": [one, *others[:4]]},
        "close of all": {"columns": ["close"]},
        "31 days of all": {"start": month, "end": month + timedelta(days=31)},
    }


def measured(server: LoopbackS3, stored: int, symbols: int) -> list[dict[str, Any]]:
    """Return bytes and share of every read."""
    rows = []
    for words, options in filters(Dataset.open(URI)).items():
        server.reset()
        table = Dataset.open(URI).read(type="ohlcv-1h", broker="synthetic", **options)
        rows.append({"read": words, "rows": table.num_rows, "requests": len(server.requests), "bytes": server.sent})
    topic, root = Topic(name="made", type="ohlcv-1h", broker="synthetic", horizon=1), Dataset.open(URI).root
    with tempfile.TemporaryDirectory() as cache:
        for words in (f"panel of {symbols} symbols, first time", "the same panel again"):
            server.reset()
            panel = load_panel(URI, root, topic, Path(cache))
            counts = {"rows": panel.time.size, "requests": len(server.requests), "bytes": server.sent}
            rows.append({"read": words, **counts})
    return [{**row, "share": round(row["bytes"] / stored, 4)} for row in rows]


def main() -> None:
    """Write a dataset, read it in several ways and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import boto3

    with loopback_s3() as server:
        os.environ.update({**ENVIRONMENT, "AWS_ENDPOINT_URL": server.url})
        boto3.client("s3").create_bucket(Bucket="benchmark")
        dataset = Dataset.create(URI).append(synthetic("noise", n_symbols=options.symbols, n_bars=options.hours))
        stored = sum(entry.bytes for entry in dataset.entries)
        rows = measured(server, stored, options.symbols)
    if options.json:
        print(json.dumps({"files": len(dataset.entries), "bytes": stored, "reads": rows}, indent=1))
        return
    print(f"{len(dataset.entries)} files, {stored:,} bytes")
    for row in rows:
        counts = f"{row['rows']:>9,} rows {row['requests']:>4} requests {row['bytes']:>12,} bytes"
        print(f"{row['read']:34s} {counts} {row['share']:8.2%}")


if __name__ == "__main__":
    main()
