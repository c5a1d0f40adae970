"""Bonds and liquid rates against direct formulas."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yuma_cases import PARAMS, epochs

from protocol.consensus.yuma.bonds import bonds_and_dividends, weights_for_bonds
from protocol.consensus.yuma.consensus import agreement, shares, weight_shares
from protocol.consensus.yuma.epoch import run_epoch
from protocol.consensus.yuma.liquid import rates
from protocol.consensus.yuma.variant import LIQUID, SUBTENSOR, YUMA3, Params

UNIT = st.floats(0, 1)


def columns(matrix):
    """Each column divided by its sum."""
    total = matrix.sum(axis=0)
    return np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)


def sigmoid_rate(weight, bond, consensus, params):
    gap = weight - consensus if weight >= bond else bond - weight
    raw = 1 / (1 + exp(-params.steepness * (min(max(gap, 0.0), 1.0) - 0.5)))
    return params.alpha_low + raw * (params.alpha_high - params.alpha_low)


def by_formula(stakes, weights, bonds, *, agreed, incentive, params):
    """Eq. 4 to 6 and the dividends, one step after the other as the runtime takes them."""
    bought = (1 - params.bond_penalty) * weights + params.bond_penalty * np.minimum(weights, agreed.consensus)
    if not params.relative_bonds:
        new = params.alpha * columns(stakes[:, None] * bought) + (1 - params.alpha) * columns(bonds)
        return columns(new), columns(new) @ incentive
    alpha = np.full(weights.shape, params.alpha)
    if params.liquid and agreed.consensus.any():
        for i, j in np.ndindex(*alpha.shape):
            alpha[i, j] = sigmoid_rate(bought[i, j], bonds[i, j], agreed.consensus[j], params)
    new = alpha * bought + (1 - alpha) * bonds
    return new, stakes * (columns(new) @ incentive)


@given(epochs(count=4), PARAMS)
def test_bonds_and_dividends_follow_the_formulas(case, params):
    stakes, bonds = shares(case[0]), None
    for given_weights in case[1]:
        weights = weight_shares(given_weights)
        agreed = agreement(stakes, weights, params.kappa)
        incentive = shares(agreed.ranks)
        before = np.zeros_like(weights) if bonds is None else bonds
        expected = by_formula(stakes, weights, before, agreed=agreed, incentive=incentive, params=params)
        bonds, paid = bonds_and_dividends(
            stakes, weights, bonds, consensus=agreed.consensus, incentive=incentive, params=params
        )
        np.testing.assert_allclose(bonds, expected[0], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(paid, expected[1], rtol=1e-12, atol=1e-15)


@given(epochs(count=5), PARAMS)
def test_bonds_stay_shares_of_a_column_or_between_0_and_1(case, params):
    bonds = None
    for weights in case[1]:
        bonds = run_epoch(case[0], weights, bonds, params).bonds
        assert (bonds >= 0).all()
        assert (bonds <= 1 + 1e-15).all()
        if not params.relative_bonds:
            total = bonds.sum(axis=0)
            np.testing.assert_allclose(total[total > 0], 1.0, rtol=1e-12)


def test_old_bonds_may_have_any_scale_per_column():
    stakes, weights = [3.0, 1.0], [[0.2, 0.8], [0.5, 0.5]]
    bonds = np.array([[0.25, 0.5], [0.75, 0.5]])
    one, other = (run_epoch(stakes, weights, scale * bonds) for scale in (1.0, np.array([4.0, 1e-9])))
    np.testing.assert_allclose(other.bonds, one.bonds, rtol=1e-14)


def test_the_penalty_goes_from_weights_as_set_to_clipped_weights():
    weights, consensus = np.array([[0.6, 0.4], [0.1, 0.9]]), np.array([0.3, 0.5])
    np.testing.assert_array_equal(weights_for_bonds(weights, consensus, 0.0), weights)
    np.testing.assert_array_equal(weights_for_bonds(weights, consensus, 1.0), [[0.3, 0.4], [0.1, 0.5]])
    np.testing.assert_allclose(weights_for_bonds(weights, consensus, 0.5), [[0.45, 0.4], [0.1, 0.7]])


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, [[0.5], [0.5]]), (0.1, [[0.55], [0.45]]), (1.0, [[1.0], [0.0]])])
def test_bonds_move_by_alpha_and_where_nobody_buys_they_keep_their_shares(alpha, expected):
    params = replace(SUBTENSOR, alpha=alpha, bond_penalty=0.0)
    held = np.array([[0.5, 0.2], [0.5, 0.8]])
    decided = run_epoch([1.0, 1.0], [[1.0, 0.0], [0.0, 0.0]], held, params)
    np.testing.assert_allclose(decided.bonds[:, :1], expected)
    np.testing.assert_allclose(decided.bonds[:, 1], held[:, 1] if alpha < 1 else 0.0)


def test_relative_bonds_do_not_depend_on_stake_but_dividends_do():
    weights = [[0.5, 0.5], [0.5, 0.5]]
    decided = run_epoch([9.0, 1.0], weights, None, YUMA3)
    np.testing.assert_allclose(decided.bonds, np.full((2, 2), 0.05))
    np.testing.assert_allclose(decided.dividends, [0.9, 0.1])


@given(st.tuples(UNIT, UNIT, UNIT), st.tuples(UNIT, UNIT).map(sorted), st.sampled_from((0.0, 10.0, 700.0)))
def test_liquid_rates_follow_the_sigmoid_within_their_limits(point, limits, steepness):
    params = Params("liquid", alpha_low=limits[0], alpha_high=limits[1], steepness=steepness)
    (rate,) = rates(*(np.array([value]) for value in point), params)
    assert limits[0] <= rate <= limits[1]
    assert rate == pytest.approx(sigmoid_rate(*point, params), abs=1e-14)


def test_a_liquid_rate_grows_with_the_distance_when_buying_and_when_selling():
    apart = np.linspace(0, 1, 11)
    assert (np.diff(rates(apart, np.zeros(11), np.zeros(11), LIQUID)) > 0).all()
    assert (np.diff(rates(np.zeros(11), apart, np.zeros(11), LIQUID)) > 0).all()
    assert (np.diff(rates(np.ones(11), np.zeros(11), apart, LIQUID)) < 0).all()
    steepest = replace(LIQUID, steepness=1e300)
    np.testing.assert_allclose(rates(apart[[0, 10]], np.zeros(2), np.zeros(2), steepest), [0.7, 0.9])


def test_without_any_consensus_the_fixed_rate_moves_bonds():
    held = np.array([[0.4, 0.0], [0.0, 0.4], [0.2, 0.2]])
    weights = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    liquid, fixed = (run_epoch([1.0, 1.0, 1.0], weights, held, params) for params in (LIQUID, YUMA3))
    assert not liquid.consensus.any()
    np.testing.assert_array_equal(liquid.bonds, fixed.bonds)


def test_liquid_rates_have_no_effect_on_shares_of_columns():
    stakes, weights, held = [1.0, 2.0], [[0.2, 0.8], [0.6, 0.4]], np.array([[0.5, 0.1], [0.5, 0.9]])
    one, other = (run_epoch(stakes, weights, held, params) for params in (SUBTENSOR, replace(SUBTENSOR, liquid=True)))
    np.testing.assert_array_equal(one.bonds, other.bonds)
