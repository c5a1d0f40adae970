"""Root weights: stake weighs the topics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocol.consensus.yuma.epoch import run_epoch
from protocol.consensus.yuma.root import (
    TAO_WEIGHT,
    divide_dividends,
    root_proportion,
    root_shares,
    weighted_stake,
)
from protocol.errors import ConfigError, DataError

RULES = ("yuma", "stake", "trust")
STAKES = arrays(np.float64, 5, elements=st.floats(0, 1e12).map(lambda x: round(x, 3)))
WEIGHTS = arrays(np.float64, (5, 4), elements=st.floats(0, 100).map(lambda x: round(x, 3)))


@given(STAKES, WEIGHTS)
def test_the_yuma_rule_is_the_incentive_of_an_epoch(stakes, weights):
    expected = run_epoch(stakes, weights).incentive
    np.testing.assert_allclose(root_shares(stakes, weights, kappa=32767 / 65535), expected, rtol=1e-12, atol=1e-15)


@given(STAKES, WEIGHTS, st.sampled_from(RULES), st.permutations(range(4)), st.permutations(range(5)))
def test_shares_add_up_follow_permutations_and_know_no_units(stakes, weights, rule, topics, validators):
    found = root_shares(stakes, weights, rule)
    assert found.sum() == pytest.approx(1) or not found.any()
    assert (found >= 0).all()
    if rule != "yuma":
        assert found.any() == bool((stakes[:, None] * weights).any())
    moved = root_shares(3 * stakes[validators], 7 * weights[validators][:, topics], rule)
    np.testing.assert_allclose(moved, found[topics], rtol=1e-9, atol=1e-12)


def test_the_three_rules_by_hand():
    stakes, weights = [0.6, 0.4], [[1, 1, 0], [0, 1, 3]]
    np.testing.assert_allclose(root_shares(stakes, weights, "stake"), [0.3, 0.4, 0.3])
    # half of the stake supports 1/2, 1/4 (tied order 1/2 by 0.6) and nothing
    np.testing.assert_allclose(root_shares(stakes, weights, "yuma"), np.array([0.3, 0.4, 0.0]) / 0.7)
    sigmoid = 1 / (1 + np.exp(-10 * (np.array([0.6, 1.0, 0.4]) - 0.5)))
    trusted = sigmoid * [0.3, 0.4, 0.3]
    np.testing.assert_allclose(root_shares(stakes, weights, "trust"), trusted / trusted.sum())


@pytest.mark.parametrize("rule", RULES)
def test_one_validator_decides_alone_and_nobody_decides_nothing(rule):
    np.testing.assert_allclose(root_shares([5], [[1, 3]], rule), [0.25, 0.75])
    assert not root_shares([0, 0], [[1, 3], [2, 2]], rule).any()
    assert not root_shares([1, 2], [[0, 0], [0, 0]], rule).any()
    np.testing.assert_allclose(root_shares([1e-30, 0], [[1, 3], [3, 1]], rule), [0.25, 0.75])


def test_a_minority_that_backs_its_own_topic_moves_only_the_unclipped_rules():
    honest, cabal = [[1, 1, 0]] * 2, [[0, 0, 1]]
    stakes = [0.3, 0.3, 0.4]
    assert root_shares(stakes, honest + cabal)[2] == 0
    assert root_shares(stakes, honest + cabal, "stake")[2] == pytest.approx(0.4)
    assert 0 < root_shares(stakes, honest + cabal, "trust")[2] < 0.4


def test_absurd_weights_count_as_none():
    np.testing.assert_allclose(root_shares([1, 1], [[1, 1], [math.nan, 1]], "stake"), [0.25, 0.75])
    np.testing.assert_allclose(root_shares([1], [[1, math.inf]]), [1, 0])
    np.testing.assert_allclose(root_shares([1], [[1, -4]]), [1, 0])


def test_root_stake_counts_by_its_weight():
    np.testing.assert_allclose(weighted_stake([10, 0], [100, 50]), [10 + 100 * TAO_WEIGHT, 50 * TAO_WEIGHT])
    assert pytest.approx(0.052677, abs=1e-6) == TAO_WEIGHT
    assert root_proportion(1000.0, 0.0) == 1
    assert root_proportion(0.0, 0.0) == 0
    assert root_proportion(1000.0, 1000.0, 0.25) == pytest.approx(0.2)


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.floats(0, 1e12), st.floats(0, 1))
def test_the_roots_part_falls_as_alpha_is_issued(tao, alpha, more, weight):
    before, after = root_proportion(tao, alpha, weight), root_proportion(tao, alpha + more, weight)
    assert 0 <= after <= before <= 1


@given(STAKES, STAKES, STAKES, st.floats(0, 1))
def test_dividends_for_topic_and_root_each_add_up(dividends, alpha, tao, weight):
    own, root = divide_dividends(dividends, alpha, tao, weight)
    for part in (own, root):
        assert part.sum() == pytest.approx(1) or not part.any()
        assert (part >= 0).all()
    assert not own[alpha == 0].any()
    assert not root[tao == 0].any()


def test_dividends_by_hand():
    own, root = divide_dividends([0.5, 0.5], [30, 0], [10, 40], 1.0)
    np.testing.assert_allclose(own, [1, 0])
    np.testing.assert_allclose(root, [0.2, 0.8])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: root_shares([1], [[1]], "vote"), ConfigError, "root rule is 'vote'; give one of yuma, stake, trust"),
        (lambda: root_shares([1], [[1]], kappa=0), ConfigError, "kappa is 0"),
        (lambda: root_shares([1], [[1]], rho=math.nan), ConfigError, "rho is nan"),
        (lambda: root_shares([-1], [[1]]), DataError, "stakes is -1.0 at 0"),
        (lambda: root_shares([math.nan], [[1]]), DataError, "stakes is nan"),
        (lambda: root_shares([1, 1], [[1]]), DataError, r"shape \(1, 1\) for 2 validators"),
        (lambda: root_shares([1, 1], [[1], [1, 2]]), DataError, "rows of equal length"),
        (lambda: weighted_stake([1], [1, 2]), DataError, "one entry per validator"),
        (lambda: weighted_stake([1], [1], 2), ConfigError, "tao_weight is 2"),
        (lambda: root_proportion(-1.0, 1.0), DataError, "root_tao is -1.0"),
        (lambda: divide_dividends([1], [1, 1], [1, 1]), DataError, r"dividends \(1,\)"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
