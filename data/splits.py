"""Walk-forward splits on unique timestamps, purged and embargoed, and thinning of long training ranges.

Rows are sorted by time; a split is a pair of row ranges, so it holds for all symbols at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.errors import DataError

MIN_EMBARGO = 24  # bars; DESIGN "Target and scores"
#: Rows a pipeline is fitted on at most: neighbouring cross-sections overlap in their targets and add little.
MAX_TRAIN_ROWS = 20_000
MIN_BLOCK = 20  # timestamps, of the first training range and of every test block


@dataclass(frozen=True, slots=True)
class Fold:
    """Row ranges ``[a, b)``; ``train`` starts at row 0 and ends before ``test``, purge and embargo lying between."""

    train: tuple[int, int]
    test: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Split:
    """Folds in order of time, and the last slice.

    Attributes
    ----------
    folds : tuple of Fold
        Expanding training ranges; the test blocks follow each other without overlap.
    holdout : Fold
        Train on everything that ends in time before the last slice, test on the last slice. No target of a row in any
        fold reaches into it.
    """

    folds: tuple[Fold, ...]
    holdout: Fold


def walk_forward(
    time: NDArray[np.int64], *, horizon: int, n_folds: int = 5, embargo: int | None = None, holdout: float = 0.2
) -> Split:
    """Return expanding walk-forward folds and a final holdout.

    The target of a row at bar t is fixed by the closes of bars t + 1 and t + 1 + `horizon`. Before each test block, and
    before the holdout, ``horizon + 1`` timestamps are purged, so that every training target is known before the first
    test bar opens, and another `embargo` timestamps are left out, because features remember.

    Parameters
    ----------
    time : (n,) int64
        Non-decreasing, microseconds since 1970 UTC; rows of one timestamp are contiguous. Gaps in time only widen the
        distance between training and test.
    horizon : int
        Bars from entry to exit.
    n_folds : int
        Test blocks, of equal numbers of timestamps.
    embargo : int, optional
        Timestamps; default ``max(horizon, 24)``.
    holdout : float
        Share of the timestamps in the last slice, in (0, 0.5].

    Raises
    ------
    DataError
        Time goes back, an argument is out of range, or there are fewer timestamps than the message names.
    """
    if horizon < 1 or n_folds < 1 or not 0 < holdout <= 0.5 or (embargo is not None and embargo < 0):
        raise DataError(
            f"horizon {horizon}, n_folds {n_folds}, embargo {embargo}, holdout {holdout}: horizon and n_folds must be "
            "at least 1, embargo at least 0, holdout above 0 and at most 0.5"
        )
    if time.size and (time[1:] < time[:-1]).any():
        raise DataError("rows are not sorted by time; sort them before splitting")
    gap = horizon + 1 + (max(horizon, MIN_EMBARGO) if embargo is None else embargo)
    starts = _starts(time)
    last = math.floor(starts.size * (1 - holdout))  # first timestamp of the holdout
    end = last - gap
    block = (end - gap) // (n_folds + 1)
    if block < MIN_BLOCK or starts.size - last < MIN_BLOCK:
        before = 2 * gap + (n_folds + 1) * MIN_BLOCK  # timestamps before the holdout
        needed = max(math.floor(before / (1 - holdout)), math.floor((MIN_BLOCK - 1) / holdout))
        while math.floor(needed * (1 - holdout)) < before or needed - math.floor(needed * (1 - holdout)) < MIN_BLOCK:
            needed += 1
        raise DataError(
            f"{starts.size} timestamps are too few for {n_folds} folds at horizon {horizon}: at least {needed} are "
            f"needed ({gap} are left out before each test block); use more data, fewer folds or a shorter horizon"
        )
    row = np.append(starts, time.size)

    def fold(first: int, stop: int) -> Fold:
        return Fold((0, int(row[first - gap])), (int(row[first]), int(row[stop])))

    firsts = range(end - n_folds * block, end, block)
    return Split(tuple(fold(first, first + block) for first in firsts), fold(last, starts.size))


def thin(time: NDArray[np.int64], rows: tuple[int, int], max_rows: int) -> NDArray[np.int64]:
    """Return at most `max_rows` rows of a range, as whole cross-sections evenly spread over its timestamps.

    Deterministic; the most recent timestamp is always kept. A whole-number stride is avoided, since one of 24 hours
    would only ever see the same hour of the day.

    Parameters
    ----------
    time : (n,) int64
        Non-decreasing.
    rows : (int, int)
        Row range ``[a, b)``.
    max_rows : int
        At least the largest cross-section.

    Returns
    -------
    (m,) int64
        Row indices, ascending.

    Raises
    ------
    DataError
        The range does not lie within the rows, or the last cross-section alone has more than `max_rows` rows.
    """
    a, b = rows
    if not 0 <= a <= b <= time.size:
        raise DataError(f"rows [{a}, {b}) are not within the {time.size} rows")
    if b - a <= max_rows:
        return np.arange(a, b)
    starts = _starts(time[a:b])
    size = np.diff(starts, append=b - a)
    if size[-1] > max_rows:
        raise DataError(f"max_rows {max_rows} is below one cross-section of {size[-1]} rows; raise it")
    count = min(starts.size - 1, int(max_rows / size.mean()))
    while True:
        count = max(count, 1)
        if count > 1 and starts.size % count == 0:
            count -= 1
        kept = np.arange(1, count + 1) * starts.size // count - 1
        total = int(size[kept].sum())
        if total <= max_rows:
            break
        count = min(count - 1, count * max_rows // total)
    return a + np.repeat(starts[kept] - np.cumsum(size[kept]) + size[kept], size[kept]) + np.arange(total)


def _starts(time: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(time, prepend=time[0] - 1)) if time.size else np.empty(0, np.int64)
