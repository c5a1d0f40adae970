"""The error spent over all submissions, and what a miner is told."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.spending import ALPHA, alpha_at, ladder


@pytest.mark.parametrize("level", [ALPHA, 0.5, 1.0, 1e-6])
def test_all_levels_together_are_the_topics(level):
    assert sum(alpha_at(k, level) for k in range(1, 200_000)) == pytest.approx(level, rel=1e-5)


def test_the_first_levels():
    assert alpha_at(1, 0.5) == pytest.approx(0.303964, abs=1e-6)
    assert alpha_at(1) == pytest.approx(0.030396, abs=1e-6)


@settings(deadline=None)
@given(st.integers(1, 10**9))
def test_later_submissions_have_less(k):
    assert 0 < alpha_at(k + 1) < alpha_at(k) < ALPHA


@pytest.mark.parametrize("k", [0, -3])
def test_there_is_no_submission_before_the_first(k):
    with pytest.raises(DataError, match="count from 1"):
        alpha_at(k)


@pytest.mark.parametrize(
    ("score", "se", "told"),
    [(0.034, 0.01, 0.03), (0.036, 0.01, 0.04), (-0.034, 0.01, -0.03), (0.004, 0.01, 0.0), (-0.0049, 0.01, 0.0)],
)
def test_a_miner_is_told_multiples_of_one_standard_error(score, se, told):
    assert ladder(score, se) == told
    assert math.copysign(1, ladder(score, se)) == (1 if told >= 0 else -1)  # no -0.0 in a verdict


def test_without_an_error_the_score_itself_is_told():
    assert ladder(0.0312345678, 0.0) == 0.031235


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0.001, 0.5))
def test_what_is_told_is_within_half_an_error(score, se):
    assert abs(ladder(score, se) - score) <= se / 2 + 1e-6
