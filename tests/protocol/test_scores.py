"""Day scores against a slow, direct implementation, and what they must not reward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from protocol.errors import DataError
from protocol.scores import DAY_US, PANEL_MIN, cross_section_corr, day_scores, gaussian_rank

HOUR_US = DAY_US // 24
SEEDS = st.integers(0, 2**32 - 1)


def slow_rank(values):
    return norm.ppf((rankdata(values) - 0.5) / len(values))


def slow_corr(p, u):
    if np.ptp(p) == 0 or np.ptp(u) == 0:
        return 0.0
    g, c = slow_rank(p), u - u.mean()
    return np.corrcoef(np.sign(g) * np.abs(g) ** 1.5, np.sign(c) * np.abs(c) ** 1.5)[0, 1]


def cross_sections(rng, sizes, ties=True):
    """Prediction, target and time of cross-sections of the given sizes, with ties and constants now and then."""
    p, u = rng.normal(size=sum(sizes)), rng.normal(size=sum(sizes))
    time = np.repeat(np.arange(len(sizes)) * HOUR_US, sizes)
    if ties:
        p = np.round(p * rng.choice([1, 3, 100], p.size)) / 3
        for at in np.unique(time)[rng.random(len(sizes)) < 0.2]:
            (p if rng.random() < 0.5 else u)[time == at] = rng.normal()
    return p, u, time


@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_gaussian_rank_is_the_quantile_of_the_average_rank_whatever_the_order(seed, sizes):
    rng = np.random.default_rng(seed)
    values, _, groups = cross_sections(rng, sizes)
    shuffled = rng.permutation(values.size)
    result = np.empty(values.size)
    result[shuffled] = gaussian_rank(values[shuffled], groups[shuffled])
    for group in np.unique(groups):
        np.testing.assert_allclose(result[groups == group], slow_rank(values[groups == group]), atol=1e-12)


@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_cross_section_corr_equals_the_direct_formula(seed, sizes):
    rng = np.random.default_rng(seed)
    p, u, time = cross_sections(rng, sizes)
    expected = [slow_corr(p[time == at], u[time == at]) for at in np.unique(time)]
    order = rng.permutation(p.size)
    np.testing.assert_allclose(cross_section_corr(p[order], u[order], time[order]), expected, atol=1e-9)


@given(SEEDS, st.lists(st.integers(1, 9), min_size=30, max_size=60))
def test_a_panel_day_is_the_mean_over_its_wide_cross_sections(seed, sizes):
    p, u, time = cross_sections(np.random.default_rng(seed), [*sizes, PANEL_MIN])
    symbol = np.concatenate([np.arange(size) for size in [*sizes, PANEL_MIN]])
    wide = [at for at in np.unique(time) if (time == at).sum() >= PANEL_MIN]
    result = day_scores(p, u, time, symbol)
    assert result.day.tolist() == sorted({at // DAY_US for at in wide})
    for day, score in zip(result.day, result.score, strict=True):
        scores = [slow_corr(p[time == at], u[time == at]) for at in wide if at // DAY_US == day]
        assert score == pytest.approx(np.mean(scores), abs=1e-9)


@given(SEEDS, st.integers(1, PANEL_MIN - 1))
def test_a_week_is_the_cosine_with_the_change_against_earlier_forecasts(seed, n_symbols):
    rng = np.random.default_rng(seed)
    n = 40
    time, symbol = np.repeat(np.arange(n) * DAY_US, n_symbols), np.tile(np.arange(n_symbols), n)
    p, u = rng.normal(3, 1, time.size), rng.normal(size=time.size)
    q = np.array([p[i] - np.mean(p[:i][symbol[:i] == symbol[i]]) if i >= n_symbols else 0 for i in range(p.size)])
    week = (time // DAY_US + 3) // 7
    result = day_scores(p, u, time, symbol)
    assert ((result.day + 3) % 7 == 0).all()
    for start, score in zip(result.day, result.score, strict=True):
        a, b = q[week == (start + 3) // 7], u[week == (start + 3) // 7]
        assert score == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)) if a.any() else 0, abs=1e-9)


@given(st.floats(-1e300, 1e300), st.integers(1, 8), SEEDS)
def test_a_constant_forecast_scores_exactly_zero(constant, n_symbols, seed):
    time, symbol = np.repeat(np.arange(100) * HOUR_US, n_symbols), np.tile(np.arange(n_symbols), 100)
    u = np.random.default_rng(seed).normal(0.5, 1, time.size)
    per_symbol = constant * (1 + symbol) if n_symbols < PANEL_MIN else np.full(time.size, constant)
    assert not day_scores(np.full(time.size, constant), u, time, symbol).score.any()
    if np.isfinite(per_symbol).all():  # long one symbol, short another, for ever: no skill over time either
        assert not day_scores(per_symbol, u, time, symbol).score.any()


@given(SEEDS, st.sampled_from([3, 7]), st.floats(1e-6, 1e6))
def test_scores_ignore_the_unit_of_the_forecast_and_lie_within_one(seed, n_symbols, unit):
    rng = np.random.default_rng(seed)
    time, symbol = np.repeat(np.arange(60) * HOUR_US, n_symbols), np.tile(np.arange(n_symbols), 60)
    p, u = rng.normal(size=time.size), rng.normal(size=time.size)
    one, other = (day_scores(scale * p, u, time, symbol).score for scale in (1.0, unit))
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert (np.abs(one) <= 1).all()


@given(st.floats(-5, 5), st.integers(1, 60), SEEDS)
def test_a_constant_target_gives_exactly_zero(constant, n, seed):
    p = np.random.default_rng(seed).normal(size=n)
    assert cross_section_corr(p, np.full(n, constant), np.zeros(n, int)).tolist() == [0.0]


def test_a_perfect_forecast_scores_near_one_and_its_negative_the_opposite():
    rng = np.random.default_rng(0)
    time, symbol = np.repeat(np.arange(48) * HOUR_US, 30), np.tile(np.arange(30), 48)
    u = rng.normal(size=time.size)
    assert day_scores(u, u, time, symbol).mean > 0.9
    assert day_scores(-u, u, time, symbol).mean == pytest.approx(-day_scores(u, u, time, symbol).mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"prediction": [1, np.nan, 2, 3, 4]},
            r"prediction has 1 of 5 values that are not finite, the first nan in row 1",
        ),
        ({"target": [1, 2, 3, np.inf, 4]}, r"target has 1 of 5 values that are not finite, the first inf in row 3"),
        ({"target": [1, 2]}, "shapes differ"),
        ({"symbol": [0, 1]}, "shapes differ"),
        ({"time": [0.5] * 5}, "time is float64; give integers"),
        ({"time": range(5)}, "no bar has 5 symbols"),
        ({name: [] for name in ("prediction", "target", "time", "symbol")}, "no rows to score"),
    ],
)
def test_bad_input_is_named(change, message):
    rows = {"prediction": [1, 2, 3, 4, 5], "target": [5, 4, 3, 2, 1], "time": [0] * 5, "symbol": range(5)}
    with pytest.raises(DataError, match=message):
        day_scores(**{**rows, **change})


def test_a_late_prediction_has_no_say_in_an_earlier_week() -> None:
    rng = np.random.default_rng(3)
    time = np.arange(60) * DAY_US
    symbol = np.zeros(60, dtype=np.int64)
    prediction, target = rng.normal(size=60), rng.normal(size=60)
    before = day_scores(prediction, target, time, symbol).score
    prediction[-1] = 1e100
    after = day_scores(prediction, target, time, symbol).score
    np.testing.assert_array_equal(after[:-1], before[:-1])
    assert np.abs(before).max() > 0.1
