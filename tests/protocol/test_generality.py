"""Scores here, lately and elsewhere."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.generality import differential, generalized, relevant, specific
from protocol.scores import DAY_US, DayScores

MEANS = st.lists(st.floats(-1, 1), min_size=6, max_size=12)


def scores(days, values):
    return DayScores(np.array(list(days), np.int64), np.array(list(values), float))


def test_specific_is_the_mean_over_days():
    assert specific(scores([1, 2, 9], [0.1, 0.2, 0.6])) == pytest.approx(0.3)


def test_relevant_halves_the_weight_every_thirty_days():
    days = scores([40, 70, 100], [0.4, 0.2, 0.1])
    value = relevant(days, born_us=0, now_us=130 * DAY_US)
    assert value == pytest.approx((0.125 * 0.4 + 0.25 * 0.2 + 0.5 * 0.1) / 0.875)


@pytest.mark.parametrize(
    ("born", "now", "expected"),
    [
        (10 * DAY_US, 100 * DAY_US, 1.0),  # day 10 begins with the block
        (10 * DAY_US + 1, 100 * DAY_US, None),  # it had begun before
        (0, 10 * DAY_US, None),  # it has not begun
        (0, 11 * DAY_US, 1.0),
        (0, 100 * DAY_US, 1.0),
        (0, 100 * DAY_US + 1, None),  # older than 90 days
    ],
)
def test_relevant_takes_days_after_the_block_within_ninety_days_only(born, now, expected):
    assert relevant(scores([10], [1.0]), born_us=born, now_us=now) == expected


def test_generalized_takes_half_a_deviation_off_the_mean():
    result = generalized([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    assert result.mean == pytest.approx(0.035)
    assert result.sd == pytest.approx(math.sqrt(0.00035))
    assert result.value == pytest.approx(0.035 - 0.5 * math.sqrt(0.00035))
    assert result.share_not_negative == 1
    assert result.passed


@pytest.mark.parametrize(
    ("means", "passed"),
    [
        ([0.1, 0.1, 0.1, 0.1, -0.1, -0.1], True),  # 4 of 6
        ([0.1, 0.1, 0.1, -0.1, -0.1, -0.1], False),
        ([0.0, 0.0, 0.0, 0.0, -0.1, -0.1], True),  # zero is not negative
        ([0.1, 0.1, 0.1, -4e-7, -0.1, -0.1], True),  # nor is what rounds to zero
        ([0.1, 0.1, 0.1, -6e-7, -0.1, -0.1], False),
        ([0.1, 0.1, 0.1, 0.1, -0.1, -0.1, -0.1], False),  # 4 of 7
    ],
)
def test_two_thirds_of_the_groups_must_not_be_negative(means, passed):
    assert generalized(means).passed is passed


@settings(deadline=None)
@given(MEANS, st.permutations(range(12)))
def test_generality_has_no_order_of_groups_and_never_exceeds_the_mean(means, order):
    result = generalized(means)
    other = generalized([means[i] for i in order if i < len(means)])
    assert other.value == pytest.approx(result.value, abs=1e-12)
    assert other.passed == result.passed
    assert result.value <= result.mean + 1e-15


def test_a_differential_is_the_mean_over_the_groups_that_both_have_on_the_day():
    candidate = {"a": scores([1, 2, 3], [0.3, 0.2, 0.1]), "b": scores([2, 3, 9], [0.5, 0.5, 0.5])}
    record = {"b": scores([3, 9, 12], [0.1, 0.2, 0.9]), "a": scores([1, 2, 3], [0.1, 0.1, 0.3])}
    d = differential(candidate, record)
    assert d.day.tolist() == [1, 2, 3, 9]
    np.testing.assert_allclose(d.score, [0.2, 0.1, (-0.2 + 0.4) / 2, 0.3])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(["a", "b", "c", "d"]))
def test_a_differential_turns_its_sign_with_the_sides_and_ignores_the_order_of_groups(seed, order):
    rng = np.random.default_rng(seed)

    def side():
        return {
            name: scores(np.flatnonzero(rng.random(40) < 0.7), rng.uniform(-1, 1, 100)[:40])
            for name in ("a", "b", "c", "d")
        }

    one, other = ({k: DayScores(v.day, v.score[: v.day.size]) for k, v in side().items()} for _ in range(2))
    d = differential(one, other)
    back = differential({name: other[name] for name in order}, {name: one[name] for name in order})
    np.testing.assert_array_equal(d.score, -back.score)  # bit by bit: validators sum in any order
    assert not differential(one, one).score.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: specific(scores([], [])), "no scored day"),
        (lambda: generalized([0.1] * 5), "5 undeclared groups are too few"),
        (lambda: generalized([0.1] * 5 + [math.nan]), "not finite"),
        (lambda: differential({}, {}), "at least one"),
        (lambda: differential({"a": scores([1], [0])}, {"b": scores([1], [0])}), r"only one of them has \['a', 'b'\]"),
        (lambda: differential({"a": scores([1], [0])}, {"a": scores([2], [0])}), "no day in common"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
