"""The target: its formula, its reach, and the label."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bars import DAY_US, bars_from
from data.synthetic import synthetic
from data.target import CLIP, fit_label, forward_return, forward_target

HOUR_US = DAY_US // 24


def bars_of(close, drop=()):
    table = synthetic("noise", n_symbols=2, n_bars=len(close), type_="close-1h")
    table = table.set_column(5, "close", pa.array(np.concatenate([close, np.exp(np.cos(np.arange(len(close))))])))
    keep = np.ones(table.num_rows, bool)
    keep[list(drop)] = False
    return bars_from(table.filter(pa.array(keep)), ("close",), HOUR_US)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.floats(1e-4, 0.1))
def test_the_formula_at_every_row(seed, horizon, sigma):
    close = np.exp(np.random.default_rng(seed).normal(size=50).cumsum() / 20)
    bars = bars_of(close)
    u = forward_target(forward_return(bars, horizon), np.full(100, sigma), horizon)[:50]
    for t in range(50):
        if t + 1 + horizon >= 50:
            assert np.isnan(u[t])
            continue
        y = np.log(close[t + 1 + horizon] / close[t + 1])
        assert u[t] == pytest.approx(np.clip(y / (sigma * np.sqrt(horizon)), -CLIP, CLIP), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 59), st.integers(1, 20))
def test_a_close_touches_only_the_targets_that_enter_or_leave_there(bar, horizon):
    close = np.exp(np.sin(np.arange(60)) / 10)
    changed = np.where(np.arange(60) == bar, close * 1.01, close)
    one, other = (forward_return(bars_of(c), horizon) for c in (close, changed))
    differ = np.flatnonzero(~((one == other) | (np.isnan(one) & np.isnan(other))))
    last = 60 - horizon - 2
    assert differ.tolist() == sorted(t for t in {bar - 1, bar - 1 - horizon} if 0 <= t <= last)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 58), st.integers(1, 20))
def test_no_target_spans_a_missing_bar(bar, horizon):
    bars = bars_of(np.exp(np.sin(np.arange(60)) / 10), drop=[bar])
    u = forward_return(bars, horizon)
    time = (bars.time[:59] - bars.time[0]) // HOUR_US
    known = [t for t in time if t + 1 + horizon < 60 and not t <= bar <= t + 1 + horizon]
    assert time[~np.isnan(u[:59])].tolist() == known


@given(st.integers(1, 59), st.integers(1, 20))
def test_no_target_spans_a_hole_in_the_grid(bar, horizon):
    bars = bars_of(np.exp(np.sin(np.arange(60)) / 10))
    late = bars.position >= bar
    bars = replace(bars, time=bars.time + late * DAY_US, hole=np.arange(60) == bar)
    u = forward_return(bars, horizon)[:60]
    known = [t for t in range(60) if t + 1 + horizon < 60 and not t < bar <= t + 1 + horizon]
    assert np.flatnonzero(~np.isnan(u)).tolist() == known


def test_without_movement_there_is_no_target():
    bars = bars_of(np.exp(np.sin(np.arange(60)) / 10))
    assert np.isnan(forward_target(forward_return(bars, 1), np.zeros(120), 1)).all()


def test_the_label_is_a_rank_within_the_timestamp_and_u_itself_for_few_symbols():
    u = np.array([0.3, -2, 0.3, 5, 1, 7, 7, 7, 7, 7.0])
    label = fit_label(u, np.repeat([0, 1], 5), 5)
    assert label[0] == label[2]
    assert np.argsort(label[[1, 0, 4, 3]]).tolist() == [0, 1, 2, 3]
    assert not label[5:].any()
    assert fit_label(u, np.repeat([0, 1], 5), 4).tolist() == u.tolist()
