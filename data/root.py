"""The content root: one sha256 that names the rows of a dataset, whatever files hold them.

The byte layout is specified in ``docs/spec/ltds-1.md``. A leaf is the hash of one series-month; the root is the hash
of the sorted leaf lines. ``manifests/ROOT.leaves`` holds those lines, so ``sha256sum`` of that file is its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from data.runs import Floats, Ints, floats, in_order, micros, series_runs
from data.schema import FORMAT, KEYS, sort_rows
from protocol.errors import DataError

Leaves = dict[str, str]  # "type TAB broker TAB symbol TAB sector TAB YYYY-MM" -> sha256, hex


def leaves_of(table: pa.Table) -> Leaves:
    """Return the sha256 of every series-month in `table`.

    Rows may come in any order; columns in any order; strings as any Arrow string type. A data column counts in a leaf
    only where it holds at least one value there, so an absent column equals an empty one.

    Raises
    ------
    DataError
        A key occurs twice, or a series has two sectors.
    """
    if table.num_rows == 0:
        return {}
    runs = series_runs(table)
    if not in_order(table, runs):
        table = sort_rows(table)
        runs = series_runs(table)
        if not in_order(table, runs):
            raise DataError(
                "a key (type, broker, symbol, datetime) occurs twice or a series changes sector; see `ltdata check`"
            )
    times = micros(table).astype("<i8", copy=False)
    names = sorted(name for name in table.column_names if name not in KEYS)
    months = [_month_edges(times[run.start : run.stop]) for run in runs]
    starts = np.array(
        [run.start + edge for run, (edges, _) in zip(runs, months, strict=True) for edge in edges], dtype=np.int64
    )
    columns, present = [], []
    for name in names:
        values, has_value = _canonical(floats(table, name), starts)
        columns.append(values.data.cast("B"))
        present.append(has_value)
    raw = np.ascontiguousarray(times).data.cast("B")
    leaves: Leaves = {}
    stops = np.append(starts[1:], len(times)).tolist()
    number = 0
    for run, (_, labels) in zip(runs, months, strict=True):
        head = f"{FORMAT}\n{run.type}\n{run.broker}\n{run.symbol}\n{run.sector}\n"
        for month in labels:
            first, last = int(starts[number]), stops[number]
            kept = [i for i, has_value in enumerate(present) if has_value[number]]
            text = f"{head}{month}\n{last - first}\n{','.join(names[i] for i in kept)}\n"
            parts: list[bytes | memoryview] = [
                text.encode(),
                raw[8 * first : 8 * last],
                *(columns[i][8 * first : 8 * last] for i in kept),
            ]
            leaves["\t".join((*run[:4], month))] = hashlib.sha256(b"".join(parts)).hexdigest()
            number += 1
    return leaves


def leaf_lines(leaves: Mapping[str, str]) -> bytes:
    """Return the leaves as sorted lines, the message whose sha256 is the root."""
    return "".join(sorted(f"{key}\t{digest}\n" for key, digest in leaves.items())).encode()


def parse_leaves(content: bytes) -> Leaves:
    """Return the leaves from the lines that :func:`leaf_lines` wrote."""
    pairs = (line.rpartition("\t") for line in content.decode().splitlines())
    return {key: digest for key, _, digest in pairs}


def root_of(leaves: Mapping[str, str]) -> str:
    """Return the content root, 64 hex digits."""
    return hashlib.sha256(leaf_lines(leaves)).hexdigest()


def _month_edges(times: Ints) -> tuple[list[int], list[str]]:
    """Return where each calendar month (UTC) that has rows begins in the rising `times`, and its ``YYYY-MM``."""
    ends = times[[0, -1]].astype("datetime64[us]").astype("datetime64[M]")
    calendar = np.arange(ends[0], ends[1] + 1)
    edges = np.searchsorted(times, calendar.astype("datetime64[us]").astype(np.int64))
    filled = np.diff(np.append(edges, len(times))) > 0
    return edges[filled].tolist(), np.datetime_as_string(calendar[filled]).tolist()


def _canonical(values: Floats, starts: Ints) -> tuple[Floats, list[bool]]:
    """Return `values` with one bit pattern for NaN and for zero, and whether each leaf holds any value."""
    values = values.astype("<f8", copy=False) + 0.0  # -0.0 + 0.0 is 0.0; also makes a copy
    missing = np.isnan(values)
    if not missing.any():
        return values, [True] * len(starts)
    values[missing] = np.nan
    return values, np.logical_or.reduceat(~missing, starts).tolist()
