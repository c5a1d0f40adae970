"""The consensus against its definition, and how little a minority can do about it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yuma_cases import epochs

from protocol.consensus.yuma.consensus import BLOCK, TIE, agreement, consensus_weights, shares, weight_shares

KAPPAS = st.sampled_from((0.1, 1 / 3, 32767 / 65535, 0.5, 0.51, 2 / 3, 1.0))


def by_definition(stakes, weights, kappa):
    """The largest w, of those set, that stake of at least kappa supports; Eq. 3."""
    consensus = []
    for column in weights.T:
        supported = [w for w in column if sum(s for s, v in zip(stakes, column, strict=True) if v >= w) >= kappa - TIE]
        consensus.append(max(supported, default=0.0))
    return np.array(consensus)


@given(epochs(), KAPPAS)
def test_consensus_is_the_largest_weight_that_kappa_of_the_stake_supports(case, kappa):
    stakes, weights = shares(case[0]), weight_shares(case[1][0])
    np.testing.assert_array_equal(consensus_weights(stakes, weights, kappa), by_definition(stakes, weights, kappa))


@pytest.mark.parametrize("validators", [1, 2, 3, 64, 65])
def test_consensus_does_not_depend_on_how_columns_are_blocked(validators):
    rng = np.random.default_rng(validators)
    stakes, weights = shares(rng.random(validators)), weight_shares(rng.random((validators, 2 * BLOCK + 3)))
    np.testing.assert_array_equal(consensus_weights(stakes, weights, 0.5), by_definition(stakes, weights, 0.5))


def test_half_of_the_stake_is_enough_and_a_little_less_is_not():
    weights = np.array([[0.3], [0.7]])
    assert consensus_weights(np.array([0.5, 0.5]), weights, 0.5) == 0.7
    assert consensus_weights(np.array([0.3 + 0.2, 0.1 + 0.2 + 0.2]), weights, 0.5) == 0.7
    assert consensus_weights(np.array([0.5 + 1e-9, 0.5 - 1e-9]), weights, 0.5) == 0.3
    assert consensus_weights(np.array([0.5, 0.5]), weights, 0.5 + 1e-9) == 0.3


def test_without_stake_there_is_no_consensus():
    assert not consensus_weights(np.zeros(3), np.ones((3, 2)), 0.5).any()


@given(epochs(), KAPPAS)
def test_clipped_weights_make_ranks_and_trust(case, kappa):
    stakes, weights = shares(case[0]), weight_shares(case[1][0])
    agreed = agreement(stakes, weights, kappa)
    clipped = np.minimum(weights, agreed.consensus)
    np.testing.assert_allclose(agreed.preranks, stakes @ weights, rtol=0, atol=1e-15)
    np.testing.assert_allclose(agreed.ranks, stakes @ clipped, rtol=0, atol=1e-15)
    np.testing.assert_allclose(agreed.validator_trust, clipped.sum(axis=1), rtol=0, atol=1e-15)


def some_minority(stakes, kappa, rng):
    """As many validators, in random order, as hold less than kappa and at most 1 - kappa; and their stake."""
    order = rng.permutation(stakes.size)
    joint = stakes[order].cumsum()
    minority = np.zeros(stakes.size, dtype=bool)
    minority[order[(joint < kappa - 1e-9) & (joint <= 1 - kappa)]] = True
    return minority, stakes[minority].sum()


@given(epochs(), KAPPAS, st.integers(0, 2**32 - 1))
def test_a_minority_cannot_take_the_consensus_beyond_what_others_set(case, kappa, seed):
    rng = np.random.default_rng(seed)
    stakes, weights = shares(case[0] + 0.1), weight_shares(case[1][0])
    minority, _ = some_minority(stakes, kappa, rng)
    weights[minority] = weight_shares(rng.random((minority.sum(), weights.shape[1])) ** 8)
    moved = consensus_weights(stakes, weights, kappa)
    others = weights[~minority]
    assert (others.min(axis=0) <= moved).all()
    assert (moved <= others.max(axis=0)).all()


@given(epochs(), KAPPAS, st.integers(0, 2**32 - 1))
def test_where_the_others_agree_a_minority_moves_no_consensus_and_incentive_by_its_stake_at_most(case, kappa, seed):
    rng = np.random.default_rng(seed)
    stakes, weights = shares(case[0] + 0.1), weight_shares(case[1][0] + 0.1)
    minority, held = some_minority(stakes, kappa, rng)
    agreed = weights[np.argmin(minority)]
    weights[~minority] = agreed
    weights[minority] = weight_shares(rng.random((minority.sum(), weights.shape[1])) ** 8)
    result = agreement(stakes, weights, kappa)
    np.testing.assert_array_equal(result.consensus, agreed)
    incentive = shares(result.ranks)
    assert (incentive >= (1 - held) * agreed - 1e-12).all()
    assert (incentive <= agreed / (1 - held) + 1e-12).all()


@given(epochs(), KAPPAS, st.integers(0, 2**32 - 1))
def test_above_the_consensus_weights_may_move_without_moving_anything(case, kappa, seed):
    stakes, weights = shares(case[0]), weight_shares(case[1][0])
    before = agreement(stakes, weights, kappa)
    rng = np.random.default_rng(seed)
    above = weights > before.consensus
    joining = (weights == before.consensus) & (rng.random(weights.shape) < 0.3)
    joining &= stakes @ (above | joining) < kappa - 1e-9  # whole columns: all who would join, or nobody
    higher = np.broadcast_to(before.consensus, weights.shape) + rng.random(weights.shape)
    after = agreement(stakes, np.where(above | joining, higher, weights), kappa)
    np.testing.assert_array_equal(after.consensus, before.consensus)
    np.testing.assert_array_equal(after.ranks, before.ranks)
    np.testing.assert_array_equal(after.validator_trust, before.validator_trust)


def test_what_is_no_weight_counts_as_none():
    given_weights = np.array([[1.0, 3.0, np.nan], [-1.0, np.inf, 2.0], [2e100, -np.inf, np.nan]])
    np.testing.assert_array_equal(weight_shares(given_weights), [[0.25, 0.75, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])


def test_a_masked_weight_gives_its_share_to_the_others():
    mask = np.array([[True, True, False]])
    np.testing.assert_array_equal(weight_shares(np.array([[1.0, 3.0, 4.0]]), mask), [[0.25, 0.75, 0.0]])


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1.0, 1e300, 1.7e308])
def test_shares_of_dust_and_of_huge_values(scale):
    np.testing.assert_array_equal(shares(np.array([scale, 0.0, scale])), [0.5, 0.0, 0.5])


def test_shares_of_nothing_are_nothing():
    assert shares(np.zeros(0)).size == 0
    np.testing.assert_array_equal(shares(np.zeros(2)), [0.0, 0.0])
