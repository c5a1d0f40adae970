"""The panel of a topic: features, targets and labels of every usable row, ready to fit and score on."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.bars import Bars, bars_from
from data.dataset import Dataset
from data.feature_sets import FEATURES_VERSION, feature_set
from data.features import SIGMA_BARS, Features, compute_features
from data.panel_store import building, open_entry, write_entry
from data.schema import KEYS, interval_of
from data.target import fit_label, forward_return, forward_target
from protocol.errors import DataError
from protocol.scores import PANEL_MIN, DayScores, day_scores
from protocol.topics import Topic

PANEL_VERSION = 2  # raised when the arrays of a panel change their meaning
_PRICES = ("open", "high", "low", "close", "volume")  # columns the feature sets know; all others are the user's own
_ARRAYS = ("features", "time", "symbol", "realised", "target", "label")


class PanelError(DataError):
    """These rows do not make this panel, however often they are read."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows sorted by (time, symbol), so that each timestamp's rows are contiguous; nothing in them is NaN.

    Attributes
    ----------
    features : (n, f) float64, C-contiguous
        Known at ``time + interval``.
    feature_names : tuple of str
    time : (n,) int64
        Bar open, microseconds since 1970 UTC.
    symbol : (n,) int32
        Code into `symbols`.
    symbols : tuple of str
        Sorted; all symbols read, also one that lost all its rows.
    realised : (n,) float64
        Log return that the target is made of, a fraction, known ``horizon + 1`` bars later: what positions earn.
    target : (n,) float64
        u, what forecasts are scored against; known ``horizon + 1`` bars later.
    label : (n,) float64
        What pipelines are fitted on: the gaussianised rank of u within the timestamp, u itself below five symbols.
    interval : int
        Microseconds of one bar.
    horizon : int
        Bars.
    report : mapping
        ``rows`` read, ``dropped`` rows per reason, ``kept``, ``share`` kept, ``timestamps`` kept.
    """

    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    time: NDArray[np.int64]
    symbol: NDArray[np.int32]
    symbols: tuple[str, ...]
    realised: NDArray[np.float64]
    target: NDArray[np.float64]
    label: NDArray[np.float64]
    interval: int
    horizon: int
    report: Mapping[str, Any]


def panel_from(table: pa.Table, topic: Topic) -> Panel:
    """Return the panel of `topic` from rows of ``ltds-1``.

    A row is dropped, and counted under the first reason that holds: ``warm-up`` (one of a series' first 168 bars),
    ``gap`` (a break in the last 168 bars), ``no movement`` (the price stood still that long), ``value missing`` (a null
    in high, low or volume within a window), ``user column null``, ``no target`` (the series ends or breaks within
    ``horizon + 1`` bars), ``small cross-section`` (fewer than five rows left at its timestamp, in panels of five
    symbols or more).

    Parameters
    ----------
    table : pyarrow.Table
        Rows in any order; those of other types, brokers, sectors or symbols are ignored. Columns beyond prices and
        volume become features ``x_NAME`` as they are.
    topic : Topic

    Raises
    ------
    PanelError
        No rows, no price, unknown symbols, a user column that is mostly null, no row left, or a constant target.
    ConfigError
        The topic's feature set is unknown.
    """
    definitions = feature_set(topic.features)
    interval = interval_of(topic.type)
    if interval is None or "close" not in table.column_names:
        raise PanelError(f"topic {topic.name!r}: type {topic.type!r} has no regular closes; name one like ohlcv-1h")
    table = _rows_of(table, topic)
    known = tuple(name for name in _PRICES if name in table.column_names and table[name].null_count < table.num_rows)
    own = tuple(name for name in table.column_names if name not in (*KEYS, *_PRICES))
    _check_own(table, own)
    bars = bars_from(table, known + own, interval)
    features = compute_features(bars, definitions)
    realised = forward_return(bars, topic.horizon)
    target = forward_target(realised, features.sigma, topic.horizon)
    kept, dropped = _usable(bars, features, [bars.columns[name] for name in own], target)
    if not kept.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise PanelError(
            f"topic {topic.name!r}: none of {kept.size} rows is usable ({reasons}); features need {SIGMA_BARS + 1} "
            f"unbroken bars and the target {topic.horizon + 1} more: use longer series or a shorter horizon"
        )
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(bars.position[rows], kind="stable")]  # symbols stay sorted within a timestamp
    columns = [*features.values, *(bars.columns[name] for name in own)]
    matrix = np.empty((rows.size, len(columns)))
    for place, column in enumerate(columns):
        matrix[:, place] = column[rows]
    u = target[rows]
    if u.min() == u.max():
        raise PanelError(
            f"topic {topic.name!r}: the target is {u[0]} in all {u.size} rows; there is nothing to predict"
        )
    time = bars.time[rows]
    return Panel(
        features=matrix,
        feature_names=(*features.names, *(f"x_{name}" for name in own)),
        time=time,
        symbol=bars.symbol[rows],
        symbols=bars.symbols,
        realised=realised[rows],
        target=u,
        label=fit_label(u, time, len(bars.symbols)),
        interval=interval,
        horizon=topic.horizon,
        report={
            "rows": kept.size,
            "dropped": dropped,
            "kept": rows.size,
            "share": rows.size / kept.size,
            "timestamps": np.unique(time).size,
        },
    )


def panel_key(root: str, topic: Topic) -> str:
    """Return the sha256 that names a topic's panel: over content root, topic, feature definitions and panel version."""
    parts = [root, topic.to_dict(), FEATURES_VERSION, PANEL_VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load_panel(uri: str, root: str | None, topic: Topic, cache: Path | None = None) -> Panel:
    """Return the panel of a topic from a stored dataset, by way of a cache if one is named.

    Parameters
    ----------
    uri : str
        Dataset, a path or ``s3://…``.
    root : str, optional
        Content root of the version to read; default the dataset's ``HEAD``.
    topic : Topic
    cache : Path, optional
        Folder of panels by :func:`panel_key`, shared by processes. Arrays then are memory-mapped and read-only. If it
        holds the panel of a given `root`, the dataset is not opened at all.

    Raises
    ------
    DataError
        As :func:`panel_from`; or the dataset cannot be read; or the cache cannot be written.
    """
    if cache is not None and root and (panel := _stored(cache, panel_key(root, topic), topic)):
        return panel
    return panel_of(Dataset.open(uri, root), topic, cache)


def panel_of(dataset: Dataset, topic: Topic, cache: Path | None = None) -> Panel:
    """Return the panel of a topic from an opened dataset; otherwise as :func:`load_panel`."""
    if cache is None:
        return panel_from(_read(dataset, topic), topic)
    key = panel_key(dataset.root or "", topic)
    if panel := _stored(cache, key, topic):
        return panel
    with building(cache, key):
        if panel := _stored(cache, key, topic):
            return panel
        panel = panel_from(_read(dataset, topic), topic)
        facts = {name: getattr(panel, name) for name in ("feature_names", "symbols", "interval", "report")}
        write_entry(cache, key, {name: getattr(panel, name) for name in _ARRAYS}, facts)
    return _stored(cache, key, topic) or panel


def score_rows(panel: Panel, rows: tuple[int, int], predicted: NDArray[np.float64]) -> DayScores:
    """Return the day scores of predictions for a row range of the panel."""
    part = slice(*rows)
    return day_scores(predicted, panel.target[part], panel.time[part], panel.symbol[part])


def _read(dataset: Dataset, topic: Topic) -> pa.Table:
    table = dataset.read(type=topic.type, broker=topic.broker, sectors=topic.sectors, symbols=topic.symbols)
    wanted = (("sector", topic.sectors), ("symbol", topic.symbols))
    if any(len(table[column].unique()) < len(names) for column, names in wanted):
        # Some name is unknown: let panel_from see those it may mean.
        return dataset.read(type=topic.type, broker=topic.broker, columns=["close"])
    return table


def _stored(cache: Path, key: str, topic: Topic) -> Panel | None:
    entry = open_entry(cache, key)
    if entry is None:
        return None
    arrays, facts = entry
    return Panel(
        **{name: arrays[name] for name in _ARRAYS},
        feature_names=tuple(facts["feature_names"]),
        symbols=tuple(facts["symbols"]),
        interval=facts["interval"],
        horizon=topic.horizon,
        report=facts["report"],
    )


def _rows_of(table: pa.Table, topic: Topic) -> pa.Table:
    table = table.filter(pc.and_(pc.equal(table["type"], topic.type), pc.equal(table["broker"], topic.broker)))
    for column, names in (("sector", topic.sectors), ("symbol", topic.symbols)):
        if not names:
            continue
        there = table[column].unique().to_pylist()
        unknown = [name for name in names if name not in there]
        if unknown:
            raise PanelError(
                f"topic {topic.name!r}: no rows of {column} {', '.join(unknown)} in {topic.type}, {topic.broker}"
                f"{_near(unknown[0], there)}; `ltdata show` lists what there is"
            )
        table = table.filter(pc.is_in(table[column], pa.array(names, table[column].type)))
    if not table.num_rows:
        raise PanelError(
            f"topic {topic.name!r}: no rows of type {topic.type}, broker {topic.broker}; `ltdata show` lists what there is"
        )
    return table


def _near(name: str, there: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, there, 3, 0.4)
    return f"; did you mean {' or '.join(near)}?" if near else f" (there are {len(there)} others)"


def _check_own(table: pa.Table, own: Sequence[str]) -> None:
    for name in own:
        if not pa.types.is_float64(table.schema.field(name).type):
            raise PanelError(f"column {name!r} is {table.schema.field(name).type}; features must be float64")
        null = table[name].null_count / table.num_rows
        if null > 0.5:
            raise PanelError(f"column {name!r} is null in {null:.0%} of {table.num_rows} rows; fill it or leave it out")


def _usable(
    bars: Bars, features: Features, own: Sequence[NDArray[np.float64]], target: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return which rows to keep, and how many were dropped for each reason."""
    first = np.searchsorted(bars.symbol, np.arange(len(bars.symbols)))
    kept = np.ones(bars.time.size, np.bool_)
    dropped: dict[str, int] = {}

    def drop(reason: str, bad: NDArray[np.bool_]) -> None:
        bad &= kept
        count = int(np.count_nonzero(bad))
        if count:
            dropped[reason] = count
            kept[bad] = False

    def null(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
        bad = np.zeros(kept.size, np.bool_)
        for column in columns:
            bad |= ~np.isfinite(column)
        return bad

    drop("warm-up", np.arange(kept.size) - first[bars.symbol] < SIGMA_BARS)
    drop("gap", np.isnan(features.sigma))
    drop("no movement", features.sigma == 0)
    drop("value missing", null(list(features.values)))
    drop("user column null", null(own))
    drop("no target", np.isnan(target))
    if len(bars.symbols) >= PANEL_MIN:
        drop(
            "small cross-section", np.bincount(bars.position[kept], minlength=bars.grid.size)[bars.position] < PANEL_MIN
        )
    return kept, dropped
