"""Numbers that two processors disagree on in the last bits become equal."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.rounding import round_predictions, rounded, rounded_p

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=20))
def test_rounding_moves_by_a_billionth_of_the_largest_and_rounding_again_by_nothing(values):
    p, time = np.array(values), np.zeros(len(values))
    result = round_predictions(p, time)
    assert (np.abs(result / 2 - p / 2) <= 5.1e-10 * np.abs(p).max() + 5e-324).all()
    np.testing.assert_array_equal(round_predictions(result, time), result)
    assert not np.signbit(result[result == 0]).any()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-300, 1e300))
def test_last_bits_do_not_show(seed, unit):
    rng = np.random.default_rng(seed)
    p = rng.normal(size=1000) * unit
    noisy = p * (1 + rng.uniform(-1, 1, p.size) * 1e-14)
    time = np.repeat(np.arange(50), 20)
    assert np.mean(round_predictions(p, time) == round_predictions(noisy, time)) > 0.99


@settings(deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=20), st.lists(FINITE, min_size=1, max_size=20), st.randoms())
def test_no_timestamp_has_a_say_in_anothers_rounding(first, second, shuffle):
    p, time = np.array(first + second), np.repeat([5, 7], [len(first), len(second)])
    order = list(range(p.size))
    shuffle.shuffle(order)
    together = np.empty(p.size)
    together[order] = round_predictions(p[order], time[order])
    alone = [round_predictions(part, np.zeros(part.size)) for part in (p[time == 5], p[time == 7])]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_order_is_kept_and_nothing_is_nothing():
    p = np.sort(np.random.default_rng(0).normal(size=1000))
    assert (np.diff(round_predictions(p, np.zeros(p.size))) >= 0).all()
    assert round_predictions([], []).size == 0
    assert round_predictions([0.0, -0.0], [1, 1]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(DataError, match="not finite"):
        round_predictions([1.0, bad], [0, 0])


def test_scores_have_six_decimals_and_probabilities_six_digits():
    assert rounded(0.12345651) == 0.123457
    assert math.copysign(1, rounded(-1e-9)) == 1
    assert rounded_p(1.23456789e-8) == 1.23457e-8
    assert rounded_p(1.0) == 1.0
    assert rounded_p(0.0) == 0.0
