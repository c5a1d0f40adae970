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
    """Return where a dataset is: `sample`, a path made absolute, or an URI as it is; ``?until=…`` stays behind it."""
    place, mark, suffix = name.partition("?")
    if place == "sample":
        place = sample_uri()
    elif "://" not in place:
        place = str(Path(place).expanduser().absolute())
    return f"{place}{mark}{suffix}"
