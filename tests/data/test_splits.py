"""Walk-forward folds and thinning: what may never overlap."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from data.splits import MIN_BLOCK, thin, walk_forward
from protocol.errors import DataError


def rows_at(sizes):
    return np.repeat(np.arange(len(sizes), dtype=np.int64) * 3_600_000_000, sizes)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_times=st.integers(100, 700),
    horizon=st.integers(1, 60),
    n_folds=st.integers(1, 8),
    embargo=st.none() | st.integers(0, 50),
    holdout=st.floats(0.05, 0.5),
)
def test_folds_keep_their_distance_and_the_holdout_is_untouched(*, seed, n_times, horizon, n_folds, embargo, holdout):
    time = rows_at(np.random.default_rng(seed).integers(1, 5, n_times))
    bar = time // 3_600_000_000
    try:
        split = walk_forward(time, horizon=horizon, n_folds=n_folds, embargo=embargo, holdout=holdout)
    except DataError:  # too few timestamps; what the message then says is tested below
        reject()
    kept_out = horizon + 1 + (max(horizon, 24) if embargo is None else embargo)
    assert len(split.folds) == n_folds
    for fold in (*split.folds, split.holdout):
        (start, stop), (first, end) = fold.train, fold.test
        assert start == 0
        assert 0 < stop < first < end
        assert bar[stop - 1] + 1 + horizon < bar[first]  # the last training target is known before the test begins
        assert bar[first] - bar[stop - 1] == kept_out + 1
        assert bar[first - 1] < bar[first]  # whole timestamps
        assert end == time.size or bar[end - 1] < bar[end]
        assert np.unique(bar[:stop]).size >= MIN_BLOCK
        assert np.unique(bar[first:end]).size >= MIN_BLOCK
    for one, following in zip(split.folds[:-1], split.folds[1:], strict=True):
        assert one.test[1] == following.test[0]
        assert one.train[1] < following.train[1]
    assert bar[split.folds[-1].test[1] - 1] + 1 + horizon < bar[split.holdout.test[0]]
    assert split.holdout.test[1] == time.size
    assert np.unique(bar[split.holdout.test[0] :]).size == pytest.approx(holdout * n_times, abs=1)


@given(st.integers(1, 60), st.integers(1, 8), st.none() | st.integers(0, 50), st.floats(0.05, 0.5))
def test_the_number_of_timestamps_that_the_message_names_is_enough(horizon, n_folds, embargo, holdout):
    def split(n):
        return walk_forward(rows_at([1] * n), horizon=horizon, n_folds=n_folds, embargo=embargo, holdout=holdout)

    with pytest.raises(DataError, match="timestamps are too few") as error:
        split(3)
    needed = int(str(error.value).split("at least ")[1].split()[0])
    assert split(needed)
    with pytest.raises(DataError):
        split(needed - 2)


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"n_folds": 0}, {"embargo": -1}, {"holdout": 0.0}, {"holdout": 0.6}, {"holdout": np.nan}]
)
def test_arguments_out_of_range_are_named(wrong):
    with pytest.raises(DataError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
        walk_forward(rows_at([1] * 500), **{"horizon": 1, **wrong})


def test_unsorted_and_empty_rows_are_refused():
    with pytest.raises(DataError, match="not sorted by time"):
        walk_forward(np.array([2, 1]), horizon=1)
    with pytest.raises(DataError, match="0 timestamps are too few"):
        walk_forward(np.empty(0, np.int64), horizon=1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(5, 300), st.floats(0, 0.5), st.floats(0.5, 1))
def test_thinning_keeps_whole_cross_sections_the_last_one_and_the_limit(seed, n_times, max_rows, a, b):
    time = rows_at(np.random.default_rng(seed).integers(1, 6, n_times))
    starts = np.append(np.flatnonzero(np.diff(time, prepend=-1)), time.size)
    rows = int(starts[int(a * n_times)]), int(starts[-1 if b == 1 else max(int(b * n_times), int(a * n_times))])
    kept = thin(time, rows, max_rows)
    assert kept.size <= max_rows
    assert (np.diff(kept) > 0).all()
    assert set(kept) == {row for row in range(*rows) if time[row] in set(time[kept])}
    if rows[0] < rows[1]:
        assert kept[-1] == rows[1] - 1
        assert kept.size >= min(rows[1] - rows[0], max_rows) / 2 - 10


def test_thinning_spreads_evenly_and_sees_every_hour_of_the_day():
    time = rows_at([3] * 24 * 100)
    kept = thin(time, (0, time.size), time.size // 24)
    hours = time[kept] // 3_600_000_000 % 24
    assert np.unique(hours).size == 24
    steps = np.diff(np.unique(time[kept])) // 3_600_000_000
    assert steps.max() - steps.min() <= 1


def test_thinning_refuses_less_than_one_cross_section():
    with pytest.raises(DataError, match="max_rows 2 is below one cross-section of 3 rows"):
        thin(rows_at([3, 3]), (0, 6), 2)
    with pytest.raises(DataError, match=r"rows \[0, 7\) are not within the 6 rows"):
        thin(rows_at([3, 3]), (0, 7), 2)
