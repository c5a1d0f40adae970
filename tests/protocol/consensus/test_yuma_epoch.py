"""Whole epochs: the vectors, what is conserved, what does not matter, who counts, and bad input."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from yuma_cases import PARAMS, VECTORS, check_vector, epochs

from protocol.consensus.yuma.epoch import run_epoch, seats
from protocol.consensus.yuma.variant import SUBTENSOR, VARIANTS, YUMA3, Params
from protocol.errors import ConfigError, DataError

OF_VALIDATORS = ("stakes", "validator_trust", "dividends", "validator_emission")
OF_MINERS = ("consensus", "ranks", "trust", "incentive", "miner_emission")
SEEDS = st.integers(0, 2**32 - 1)


def run_all(stakes, weights, params):
    """The last of several epochs."""
    bonds = None
    for w in weights:
        last = run_epoch(stakes, w, bonds, params)
        bonds = last.bonds
    return last


def assert_same(one, other):
    for field in fields(one):
        np.testing.assert_allclose(
            getattr(one, field.name), getattr(other, field.name), rtol=1e-9, atol=1e-12, err_msg=field.name
        )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors(case):
    check_vector(case, run_epoch)


@given(epochs(count=3), PARAMS)
def test_incentive_dividends_and_emission_sum_to_one_or_are_nothing(case, params):
    decided = run_all(*case, params)
    for values in (decided.stakes, decided.incentive, decided.dividends):
        assert values.sum() == pytest.approx(1.0, abs=1e-12) or not values.any()
    emission = decided.miner_emission.sum() + decided.validator_emission.sum()
    assert emission == pytest.approx(1.0 if case[0].any() else 0.0, abs=1e-12)
    assert decided.dividends.any() == decided.incentive.any()
    assert (decided.ranks <= decided.consensus + 1e-15).all()
    assert (decided.trust <= 1 + 1e-12).all()


@given(epochs(count=3), PARAMS, SEEDS)
def test_results_follow_a_permutation(case, params, seed):
    rng = np.random.default_rng(seed)
    stakes, weights = case
    v, m = rng.permutation(stakes.size), rng.permutation(weights[0].shape[1])
    one, other = run_all(stakes, weights, params), run_all(stakes[v], [w[v][:, m] for w in weights], params)
    order = {**dict.fromkeys(OF_VALIDATORS, v), **dict.fromkeys(OF_MINERS, m), "bonds": np.ix_(v, m)}
    permuted = replace(one, **{name: getattr(one, name)[order[name]] for name in order})
    assert_same(permuted, other)


@given(epochs(count=3), PARAMS, st.floats(1e-200, 1e200), SEEDS)
def test_neither_the_unit_of_stakes_nor_the_scale_of_a_row_matters(case, params, unit, seed):
    stakes, weights = case
    rows = 10.0 ** np.random.default_rng(seed).integers(-90, 90, (stakes.size, 1))
    assert_same(run_all(stakes, weights, params), run_all(stakes * unit, [w * rows for w in weights], params))


def test_stakes_may_be_integers_beyond_64_bits():
    assert_same(run_epoch([3 * 10**30, 10**30], np.eye(2)), run_epoch([3, 1], np.eye(2)))


def test_a_silent_validator_has_no_say_but_keeps_moving_relative_bonds():
    weights = [[1.0, 0.0], [0.0, 1.0]]
    decided = run_epoch([1.0, 9.0], weights, None, YUMA3, active=[True, False])
    np.testing.assert_array_equal(decided.stakes, [1.0, 0.0])
    np.testing.assert_array_equal(decided.incentive, [1.0, 0.0])
    np.testing.assert_array_equal(decided.dividends, [1.0, 0.0])
    np.testing.assert_array_equal(decided.validator_trust, [1.0, 0.0])
    np.testing.assert_allclose(decided.bonds, [[0.1, 0.0], [0.0, 0.1]])


def test_neither_stake_nor_weights_count_without_a_seat():
    decided = run_epoch([1.0, 9.0], [[1.0, 0.0], [0.0, 1.0]], None, YUMA3, permits=[True, False])
    np.testing.assert_array_equal(decided.stakes, [1.0, 0.0])
    np.testing.assert_allclose(decided.bonds, [[0.1, 0.0], [0.0, 0.0]])


def test_a_stake_below_the_minimum_has_no_say():
    params = Params("minimum", minimum_stake=2.0)
    np.testing.assert_allclose(run_epoch([1.999, 2.0, 6.0], np.ones((3, 1)), None, params).stakes, [0.0, 0.25, 0.75])


def test_a_masked_weight_does_not_count():
    mask = np.array([[True, False], [True, True]])
    weights = np.array([[1.0, 3.0], [1.0, 1.0]])
    assert_same(run_epoch([1, 1], weights, mask=mask), run_epoch([1, 1], weights * mask))
    both = run_epoch([1, 1], weights, None, YUMA3, mask=mask, permits=[False, True])
    np.testing.assert_allclose(both.bonds, [[0.0, 0.0], [0.05, 0.05]])


def test_bonds_with_a_miner_whose_id_changed_hands_are_void():
    held, weights = np.array([[0.5, 0.5], [0.5, 0.5]]), [[0.5, 0.5], [0.5, 0.5]]
    decided = run_epoch([1.0, 1.0], weights, held, YUMA3, recent=[True, False])
    np.testing.assert_allclose(decided.bonds, [[0.05, 0.5], [0.05, 0.5]])


def test_without_agreement_validators_are_paid_by_stake():
    alone = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    decided = run_epoch([1.0, 1.0, 2.0], alone, params=replace(SUBTENSOR, kappa=0.6))
    assert not decided.incentive.any()
    assert not decided.dividends.any()
    np.testing.assert_array_equal(decided.validator_emission, [0.25, 0.25, 0.5])
    two = run_epoch([1.0, 1.0, 2.0], alone, params=replace(SUBTENSOR, kappa=0.6), active=[True, True, False])
    np.testing.assert_array_equal(two.validator_emission, [0.5, 0.5, 0.0])
    silent = run_epoch([1.0, 3.0], [[1.0], [1.0]], active=[False, False])
    np.testing.assert_array_equal(silent.validator_emission, [0.25, 0.75])
    assert not silent.miner_emission.any()


def test_dust_counts_for_what_it_is():
    decided = run_epoch([1.0, 1e-15], [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(decided.consensus, [1.0, 0.0])
    assert decided.dividends[1] == 0.0
    assert_same(run_epoch([2e-320, 2e-320], np.eye(2)), run_epoch([1.0, 1.0], np.eye(2)))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_nobody_or_nothing_to_judge(shape):
    decided = run_epoch(np.ones(shape[0]), np.zeros(shape), np.zeros(shape))
    assert decided.bonds.shape == shape
    assert not decided.incentive.any()


@pytest.mark.parametrize(("self_weight_stake", "share"), [(0.49, 0.0), (0.51, 1.0)])
def test_a_cabal_pays_itself_only_with_a_majority(self_weight_stake, share):
    honest = 1 - self_weight_stake
    weights = [[0.0, 0.5, 0.5], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    decided = run_epoch([honest / 2, honest / 2, self_weight_stake], weights)
    np.testing.assert_allclose(decided.incentive[0], share)
    np.testing.assert_allclose(decided.dividends[2], share)


def test_an_early_validator_earns_more_per_stake_than_its_late_twin():
    bonds, early, late = None, [1.0, 0.0], [0.0, 1.0]
    for epoch in range(12):
        weights = [early if epoch < 4 else late, early if epoch < 8 else late, late]
        decided = run_epoch([0.1, 0.1, 0.8], weights, bonds, replace(YUMA3, bond_penalty=0.0))
        bonds = decided.bonds
    assert decided.dividends[0] > 1.1 * decided.dividends[1]


def test_seats_go_to_the_largest_stakes_above_0():
    np.testing.assert_array_equal(seats([3.0, 1.0, 0.0, 2.0], 2), [True, False, False, True])
    np.testing.assert_array_equal(seats([3.0, 1.0, 0.0, 2.0], 9), [True, True, False, True])
    np.testing.assert_array_equal(seats([1.0, 1.0, 1.0], 2), [False, True, True])
    assert not seats([1.0], 0).any()
    with pytest.raises(ConfigError, match="seats is -1"):
        seats([1.0], -1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stakes": [[1.0, 1.0]]}, r"stakes have shape \(1, 2\)"),
        ({"stakes": [1.0, -1.0]}, "stake of validator 1 is -1.0"),
        ({"stakes": [np.nan, 1.0]}, "stake of validator 0 is nan"),
        ({"stakes": [1.0, np.inf]}, "stake of validator 1 is inf"),
        ({"stakes": ["1", "2"]}, "stakes are <U1"),
        ({"stakes": [1j, 0.0]}, "stakes are complex128"),
        ({"stakes": [1.0, None]}, "stakes must be real numbers|stake of validator 1 is nan"),
        ({"stakes": [10**400, 1]}, "stakes must be real numbers"),
        ({"weights": [1.0, 0.0]}, r"weights have shape \(2,\); give one row for each of the 2"),
        ({"weights": np.ones((3, 2))}, r"weights have shape \(3, 2\); give one row for each of the 2"),
        ({"weights": [[1.0, 0.0], [1.0]]}, "weights must be real numbers in rows of equal length"),
        ({"weights": csr_array(np.ones((3, 2)))}, r"weights have shape \(3, 2\)"),
        ({"weights": csr_array(np.ones((2, 2), dtype=complex))}, "weights are complex128"),
        ({"bonds": np.zeros((2, 3))}, r"bonds have shape \(2, 3\), weights \(2, 2\)"),
        ({"bonds": [[-0.1, 0.0], [0.0, 0.0]]}, "a bond is negative or not finite"),
        ({"bonds": csr_array([[np.nan, 0.0], [0.0, 0.0]])}, "a bond is negative or not finite"),
        ({"mask": np.ones((2, 1), dtype=bool)}, r"mask is bool of shape \(2, 1\); give bool of shape \(2, 2\)"),
        ({"mask": np.ones((2, 2))}, "mask is float64"),
        ({"active": [0, 1]}, r"active is int64 of shape \(2,\)"),
        ({"permits": [True]}, r"permits is bool of shape \(1,\)"),
        ({"bonds": np.zeros((2, 2)), "recent": [True]}, r"recent is bool of shape \(1,\); give bool of shape \(2,\)"),
        ({"recent": [0, 1]}, "recent is int64"),
    ],
)
def test_bad_input_is_named(changed, message):
    with pytest.raises(DataError, match=message):
        run_epoch(**{"stakes": [1.0, 1.0], "weights": np.eye(2), **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"kappa": 0.0},
        {"kappa": 1.01},
        {"bond_penalty": -0.1},
        {"bond_penalty": float("nan")},
        {"alpha": 1.1},
        {"alpha_low": -0.1},
        {"alpha_low": 0.95},
        {"alpha_high": 1.1},
        {"steepness": float("inf")},
        {"steepness": -1.0},
        {"minimum_stake": -1.0},
    ],
)
def test_parameters_outside_their_range_are_refused(changed):
    with pytest.raises(ConfigError, match="see Params for its range"):
        Params("bad", **changed)


def test_variants_go_by_their_names():
    assert all(VARIANTS[params.name] is params for params in VARIANTS.values())
    assert [params.name for params in VARIANTS.values()] == ["subtensor", "yuma3", "liquid"]
