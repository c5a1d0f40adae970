"""The bundled sample: daily closes of 20 large US names, 1990-2022; ``data/sample/README.md`` has source and licence."""

from __future__ import annotations

from pathlib import Path

TYPE = "close-1d"
BROKER = "skfolio"
FILE = "us-daily.parquet"


def sample_uri() -> str:
    """Return the path of the sample, a single ``ltds-1`` Parquet file that works offline."""
    return str(Path(__file__).with_name("sample") / FILE)


def dataset_uri(name: str) -> str:
    """Return where a dataset is: `sample`, a path made absolute, or an URI as it is."""
    if name == "sample":
        return sample_uri()
    return name if "://" in name else str(Path(name).expanduser().absolute())
