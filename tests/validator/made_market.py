"""A small market in the standard format: sectors, brokers and asset classes with a planted signal."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.schema import SORT
from data.synthetic import Kind, synthetic
from pipelines.module import to_module
from pipelines.spec import PIPELINE, Call, Value, call
from protocol.topics import Topic

TOPIC = Topic(name="made", type="close-1d", broker="north", horizon=1, sectors=("equity-a",))
#: (broker, sector, symbols)
SERIES = (
    ("north", "equity-a", 6),
    ("north", "equity-b", 5),
    ("north", "equity-c", 6),
    ("north", "crypto-a", 5),
    ("south", "equity-d", 5),
    ("south", "crypto-b", 7),
    ("south", "fx", 5),
)
BARS = 560


def market(
    kind: Kind = "nonlinear",
    *,
    bars: int = BARS,
    series: tuple[tuple[str, str, int], ...] = SERIES,
    strength: float = 0.6,
    seed: int = 0,
) -> pa.Table:
    """Return daily closes from 2020-01-01, every symbol with the signal of :func:`data.synthetic.synthetic`."""
    parts: list[pa.Table] = []
    for number, (broker, sector, symbols) in enumerate(series):
        part = synthetic(
            kind, n_symbols=symbols, n_bars=bars, type_="close-1d", horizon=1, strength=strength, seed=seed + number
        )
        names = [f"{chr(65 + number)}{name}" for name in part["symbol"].to_pylist()]
        for column, values in (("broker", [broker] * len(names)), ("sector", [sector] * len(names)), ("symbol", names)):
            part = part.set_column(part.column_names.index(column), column, pa.array(values))
        parts.append(part.cast(parts[0].schema) if parts else part)
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in SORT])


def write_market(path: Path, **options: object) -> str:
    """Write a market as one Parquet file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(market(**options), path)  # type: ignore[arg-type]  # options are those of market()
    return str(path)


def module(*steps: Call, title: str = "made") -> bytes:
    """Return the module of a pipeline."""
    return to_module(call(PIPELINE, {"steps": steps}), title=title, facts={}).encode()


def tree(depth: int = 4, **params: Value) -> Call:
    """Return a shallow tree, which sees the nonlinear signal that no ridge sees."""
    given: dict[str, Value] = {"max_depth": depth, "min_samples_leaf": 20, **params}
    return call("sklearn.tree.DecisionTreeRegressor", given)


def ridge(alpha: float = 1.0) -> Call:
    """Return a ridge."""
    return call("sklearn.linear_model.Ridge", {"alpha": alpha})
