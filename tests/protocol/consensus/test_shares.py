"""Whole numbers divided by weights: nothing lost, nothing made."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.shares import apportion
from protocol.errors import DataError

TOTALS = st.one_of(st.integers(0, 20), st.integers(0, 10**40))
WEIGHT = st.one_of(
    st.integers(0, 5),
    st.integers(0, 10**30),
    st.floats(0, 1),
    st.floats(0, 1e300, allow_nan=False),
    st.fractions(0, 3),
)
WEIGHTS = st.lists(WEIGHT, min_size=1, max_size=12).filter(any)


@given(TOTALS, WEIGHTS)
def test_the_parts_add_up_and_each_is_within_one_unit_of_its_exact_share(total, weights):
    parts = apportion(total, weights)
    whole = sum(map(Fraction, weights))
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * Fraction(weight) / whole) < 1
        assert weight or part == 0


@given(TOTALS, WEIGHTS, st.randoms())
def test_parts_are_ordered_as_weights_and_go_with_them_wherever_they_stand(total, weights, random):
    pairs = sorted(zip(weights, apportion(total, weights), strict=True))
    assert all(low[1] <= high[1] or low[0] == high[0] for low, high in pairwise(pairs))
    random.shuffle(weights)
    again = sorted(zip(weights, apportion(total, weights), strict=True))
    assert [part for _, part in again] == [part for _, part in pairs]


@given(TOTALS, WEIGHTS, st.integers(0, 11), WEIGHT)
def test_more_weight_never_means_less(total, weights, place, more):
    place %= len(weights)
    heavier = [*map(Fraction, weights)]
    heavier[place] += Fraction(more)
    assert apportion(total, heavier)[place] >= apportion(total, weights)[place]


def test_among_equal_remainders_the_lower_index_goes_first():
    assert apportion(5, [1, 1, 1]) == (2, 2, 1)
    assert apportion(1, [0, 0.5, 0.5]) == (0, 1, 0)


def test_totals_beyond_float_precision_are_exact():
    # 0.1 is a little more than a tenth, as a float; the part is that share of 10**27, to the unit
    parts = apportion(10**27, np.array([0.1, 0.2]))
    assert parts == (333333333333333333333333333, 666666666666666666666666667)
    assert apportion(3 * 10**40 + 1, [1, 2]) == (10**40, 2 * 10**40 + 1)
    assert apportion(10**30, [1.0, 5e-324]) == (10**30, 0)


def test_without_weight_everything_goes_to_the_remainder_that_is_named():
    assert apportion(7, [0, 0.0, 0], remainder=1) == (0, 7, 0)
    assert apportion(7, [1, 0, 0], remainder=1) == (7, 0, 0)
    with pytest.raises(DataError, match="name the part that gets the remainder"):
        apportion(7, [0, 0])
    with pytest.raises(DataError, match="there is no part 2"):
        apportion(7, [0, 0], remainder=2)
    with pytest.raises(DataError, match="among 0 weights"):
        apportion(7, [])


@pytest.mark.parametrize("weight", [-1, -0.5, float("nan"), float("inf"), "1", None, np.float32("nan")])
def test_a_weight_that_is_no_amount_is_refused(weight):
    with pytest.raises(DataError, match="weight 1 is"):
        apportion(7, [1, weight])


@pytest.mark.parametrize("total", [-1, 1.0, "1", None])
def test_a_total_that_is_no_whole_number_is_refused(total):
    with pytest.raises(DataError, match="the total must be"):
        apportion(total, [1])


def test_numpy_numbers_are_numbers():
    assert apportion(np.int64(10), [np.int64(1), np.float32(1), np.uint8(3)]) == (2, 2, 6)
