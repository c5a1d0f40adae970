"""Copies are seen through scale, noise, ties and silence; works of one's own are not called copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from protocol.errors import DataError
from protocol.judgement import MAX_CORRELATION
from protocol.originality import rank_correlation, similarity

SEEDS = st.integers(0, 2**32 - 1)
TIMES, SYMBOLS = 200, 20
TIME = np.repeat(np.arange(TIMES), SYMBOLS)


def smooth(rng):
    return rng.normal(size=TIME.size)


def tree(rng):
    """Three leaves: most predictions of a cross-section are tied."""
    return np.array([-0.3, 0.1, 0.2])[rng.integers(0, 3, TIME.size)]


def switch(rng):
    """Up or down."""
    return np.sign(rng.normal(size=TIME.size))


def silent(rng):
    """Says something in one cross-section of five."""
    return rng.normal(size=TIME.size) * (TIME % 5 == 0)


def heavy(rng):
    return rng.standard_t(2.5, TIME.size)


ALL = [smooth, tree, switch, silent, heavy]


@settings(deadline=None)
@given(SEEDS, st.integers(5, 12), st.integers(1, 8))
def test_rank_correlation_is_the_mean_of_spearmans(seed, symbols, times):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, (2, times, symbols)).astype(float)
    varied = [i for i in range(times) if np.ptp(a[i]) and np.ptp(b[i])]
    expected = np.mean([spearmanr(a[i], b[i]).statistic for i in varied]) if varied else 0.0
    order = rng.permutation(a.size)
    time = np.repeat(np.arange(times), symbols)
    assert rank_correlation(a.ravel()[order], b.ravel()[order], time[order]) == pytest.approx(expected, abs=1e-9)


def test_few_symbols_are_compared_over_the_whole_series():
    a, b = np.random.default_rng(0).normal(size=(2, 300))
    b += a
    assert rank_correlation(a, b, np.repeat(np.arange(100), 3)) == pytest.approx(spearmanr(a, b).statistic)


@pytest.mark.parametrize("make", ALL)
def test_a_copy_with_five_percent_noise_is_a_copy(make):
    rng = np.random.default_rng(1)
    for _ in range(20):
        p = make(rng)
        assert similarity(p, p + 0.05 * p.std() * rng.normal(size=p.size), TIME) > MAX_CORRELATION


@pytest.mark.parametrize("make", ALL)
def test_a_copy_in_other_words_is_a_copy(make):
    p = make(np.random.default_rng(2))
    assert similarity(p, p, TIME) == pytest.approx(1)
    assert similarity(p, -3e9 * p + 7, TIME) == pytest.approx(1)
    assert rank_correlation(p, np.exp(p / 9), TIME) == pytest.approx(1)
    assert similarity(p, np.exp(p / 9), TIME) == pytest.approx(1)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("other", ALL)
def test_works_of_ones_own_are_not_copies(make, other):
    rng = np.random.default_rng(3)
    p, shared = make(rng), rng.normal(size=TIME.size)
    assert similarity(p, other(rng), TIME) < 0.2
    assert similarity(p + p.std() * shared, other(rng) + shared, TIME) < MAX_CORRELATION


@settings(deadline=None)
@given(SEEDS)
def test_similarity_has_no_direction(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, TIME.size))
    assert similarity(a, b, TIME) == similarity(b, a, TIME)
    assert similarity(a, b, TIME) == pytest.approx(similarity(-a, b, TIME), abs=1e-12)


def test_what_says_nothing_is_like_nothing():
    a = smooth(np.random.default_rng(4))
    assert similarity(a, np.full(TIME.size, 0.1), TIME) == 0
    assert similarity(np.zeros(TIME.size), np.zeros(TIME.size), TIME) == 0


@pytest.mark.parametrize(
    ("a", "b", "time", "message"),
    [([1.0], [1.0, 2.0], [0], "same rows"), ([], [], [], "same rows"), ([np.nan], [1.0], [0], "not finite")],
)
def test_bad_input_is_named(a, b, time, message):
    with pytest.raises(DataError, match=message):
        similarity(a, b, time)
