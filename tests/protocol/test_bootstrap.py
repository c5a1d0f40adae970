"""The closed form against drawing, against a published test, and where it would be wrong to be sure."""

import math

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from protocol.bootstrap import MIN_N, block_bootstrap_test, expected_block
from protocol.errors import DataError

LEVELS = (1e-2, 1e-3)


def autocorrelated(rng, n):
    x = rng.standard_t(4, n)
    for i in range(1, n):
        x[i] += 0.5 * x[i - 1]
    return x


def independent(rng, n):
    return rng.normal(size=n)


def seesaw(rng, n):
    x = rng.normal(size=n + 1)
    return x[1:] - 0.6 * x[:-1]


@pytest.mark.parametrize("make", [independent, autocorrelated, seesaw])
@pytest.mark.parametrize(("n", "block"), [(60, 5), (200, 12.5)])
def test_the_error_is_that_of_drawing(make, n, block):
    x = make(np.random.default_rng(1), n)
    means = StationaryBootstrap(block, x, seed=2).apply(np.mean, 8000)
    assert block_bootstrap_test(x, block).se == pytest.approx(means.std(), rel=0.035)


@pytest.mark.parametrize("block", [1.0, 3.0, 40.0])
def test_the_fast_sum_is_the_formula_of_the_paper(block):
    x = np.random.default_rng(3).normal(size=160)
    e, n, q = x - x.mean(), 160, 1 / block
    c = [float(e[: n - i] @ e[i:]) / n for i in range(n)]
    b = [(1 - i / n) * (1 - q) ** i + i / n * (1 - q) ** (n - i) for i in range(n)]
    variance = c[0] + 2 * sum(b[i] * c[i] for i in range(1, n))
    assert block_bootstrap_test(x, block).se == pytest.approx(math.sqrt(variance / n), rel=1e-9)


@pytest.mark.parametrize("make", [independent, autocorrelated])
def test_moderate_probabilities_are_those_of_drawing_and_of_the_spa_test(make):
    rng = np.random.default_rng(4)
    for wanted in (0.5, 1.5, 2.3):
        x = make(rng, 600)
        test = block_bootstrap_test(x, 6)
        x += wanted * test.se - test.mean
        p = block_bootstrap_test(x, 6).p
        drawn = StationaryBootstrap(6, x, seed=5).apply(np.mean, 8000)
        spa = SPA(np.zeros(600), -x, block_size=6, reps=4000, bootstrap="stationary", seed=6)
        spa.compute()
        assert p == pytest.approx(np.mean(drawn - x.mean() >= x.mean()), abs=0.015)
        assert p == pytest.approx(spa.pvalues["upper"], abs=0.02)


def overlapping(rng, reps, n, span):
    return np.lib.stride_tricks.sliding_window_view(rng.normal(size=(reps, n + span - 1)), span, axis=1).mean(axis=2)


@pytest.mark.parametrize(("span", "most"), [(1, 1.2), (2, 1.6), (6, 2.0)])
def test_a_series_without_skill_is_seldom_called_skilled_even_where_targets_overlap(span, most):
    rng, n, reps = np.random.default_rng(7), 120, 6000
    block = expected_block(np.arange(n), span)
    p = np.array([block_bootstrap_test(x, block).p for x in overlapping(rng, reps, n, span)])
    for level in LEVELS:
        assert (p <= level).sum() <= most * level * reps + 3 * math.sqrt(most * level * reps)


def test_small_probabilities_are_students():
    x = np.random.default_rng(8).normal(0.5, 1, 400)
    test = block_bootstrap_test(x, 5)
    assert test.p == pytest.approx(student.sf(test.mean / test.se, 40), rel=1e-9)
    assert 0 < test.p < 1e-7


def test_the_same_number_every_time_and_whatever_the_unit():
    x = autocorrelated(np.random.default_rng(9), 300)
    assert block_bootstrap_test(x, 5) == block_bootstrap_test(x, 5)
    assert block_bootstrap_test(1e6 * x, 5).p == pytest.approx(block_bootstrap_test(x, 5).p, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(MIN_N, 300), st.floats(1, 100))
def test_a_probability_and_its_mirror_sum_to_one(seed, n, block):
    x = np.random.default_rng(seed).standard_t(3, n)
    test, mirror = block_bootstrap_test(x, block), block_bootstrap_test(-x, block)
    assert test.n == n
    assert test.se >= 0
    if n < 4 * block:
        assert test.p == mirror.p == 1
    else:
        assert test.p + mirror.p == pytest.approx(1)
        assert (test.p < 0.5) == (test.mean > 0)


@pytest.mark.parametrize("x", [[], [1.0] * 19, [0.3] * 500, list(range(19))])
def test_too_little_to_tell_is_no_skill(x):
    test = block_bootstrap_test(x, 5)
    assert (test.p, test.se, test.n) == (1.0, 0.0, len(x))


@pytest.mark.parametrize(
    ("day", "span", "expected"),
    [
        (range(100), 1, 5),
        (range(100), 2, 5),
        (range(100), 4, 8),
        ([d for d in range(100) if d % 7 < 5], 10, 16),  # a stock exchange's days
        (range(0, 700, 7), 14, 5),  # weeks
        ([*range(30), *range(5000, 5030)], 4, 8),  # two eras
        ([], 4, 5),
    ],
)
def test_a_block_is_twice_what_a_target_spans(day, span, expected):
    assert expected_block(list(day), span) == expected


@pytest.mark.parametrize(
    ("x", "block", "message"),
    [
        ([1.0, math.nan], 5, "not finite"),
        ([[1.0]], 5, "not one-dimensional"),
        ([1.0], 0.5, "below one entry"),
        ([1.0], math.nan, "below one entry"),
    ],
)
def test_bad_input_is_named(x, block, message):
    with pytest.raises(DataError, match=message):
        block_bootstrap_test(x, block)
