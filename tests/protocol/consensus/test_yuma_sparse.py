"""The sparse path gives what the dense one gives."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from yuma_cases import PARAMS, VECTORS, check_vector, epochs

from protocol.consensus.yuma.epoch import run_epoch
from protocol.consensus.yuma.variant import LIQUID, SUBTENSOR, YUMA3


def assert_same(dense, other):
    for field in fields(dense):
        got = getattr(other, field.name)
        got = got.toarray() if sparse.issparse(got) else got
        np.testing.assert_allclose(got, getattr(dense, field.name), rtol=1e-12, atol=1e-12, err_msg=field.name)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_vectors(case):
    check_vector(
        case, lambda stakes, weights, bonds, params: run_epoch(stakes, sparse.csr_array(weights), bonds, params)
    )


@given(epochs(count=4), PARAMS, st.integers(0, 2**32 - 1))
def test_sparse_is_dense(case, params, seed):
    stakes, weights = case
    rng = np.random.default_rng(seed)
    flags = {
        "mask": rng.random(weights[0].shape) < 0.9,
        "active": rng.random(stakes.size) < 0.9,
        "permits": rng.random(stakes.size) < 0.9,
    }
    dense = few = None
    for w in weights:
        flags["recent"] = rng.random(w.shape[1]) < 0.1
        dense = run_epoch(stakes, w, None if dense is None else dense.bonds, params, **flags)
        few = run_epoch(stakes, sparse.csr_array(w), None if few is None else few.bonds, params, **flags)
        assert_same(dense, few)


@pytest.mark.parametrize(
    "kind", ["csr_array", "csc_array", "coo_array", "lil_array", "dok_array", "csr_matrix", "coo_matrix"]
)
def test_any_sparse_format_will_do_and_is_left_alone(kind):
    weights = np.array([[1.0, 0.0, 3.0], [0.0, np.nan, 2.0]])
    given_weights, held = getattr(sparse, kind)(weights), getattr(sparse, kind)(np.eye(2, 3))
    recent = [False, True, False]
    decided = run_epoch([1.0, 2.0], given_weights, held, YUMA3, recent=recent)
    assert_same(run_epoch([1.0, 2.0], weights, np.eye(2, 3), YUMA3, recent=recent), decided)
    np.testing.assert_array_equal(given_weights.toarray(), weights)
    np.testing.assert_array_equal(held.toarray(), np.eye(2, 3))
    assert decided.bonds.format == "csr"


@pytest.mark.parametrize(
    "twice",
    [
        sparse.coo_array(([1.0, 2.0, 1.0], ([0, 0, 0], [0, 0, 1])), shape=(1, 2)),
        sparse.csr_array(([2.0, 1.0, 1.0], [0, 1, 0], [0, 3]), shape=(1, 2)),
    ],
)
def test_entries_given_twice_are_added(twice):
    assert_same(run_epoch([1.0], [[3.0, 1.0]]), run_epoch([1.0], twice))
    assert_same(run_epoch([1.0], [[3.0, 1.0]], [[3.0, 1.0]], YUMA3), run_epoch([1.0], twice, twice, YUMA3))
    assert twice.nnz == 3


@pytest.mark.parametrize("params", [SUBTENSOR, LIQUID], ids=lambda params: params.name)
def test_bonds_may_be_of_the_other_kind(params):
    weights, held = np.array([[1.0, 3.0], [0.0, 1.0]]), np.array([[0.3, 0.0], [0.7, 1.0]])
    expected = run_epoch([1.0, 1.0], weights, held, params)
    assert_same(expected, run_epoch([1.0, 1.0], sparse.csr_array(weights), held, params))
    dense = run_epoch([1.0, 1.0], weights, sparse.csr_array(held), params)
    assert isinstance(dense.bonds, np.ndarray)
    assert_same(expected, dense)


def test_a_bond_without_a_weight_decays_and_is_not_forgotten():
    held = sparse.csr_array([[0.0, 0.5], [0.0, 0.5]])
    decided = run_epoch([1.0, 1.0], sparse.csr_array([[1.0, 0.0], [1.0, 0.0]]), held, LIQUID)
    assert (decided.bonds.toarray()[:, 1] > 0).all()


def test_bonds_hold_no_zeros():
    weights = sparse.csr_array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    decided = run_epoch([2.0, 1.0], weights)
    assert decided.bonds.nnz == np.count_nonzero(decided.bonds.toarray())


def test_support_is_exact_for_many_miners():
    miners = 70_000  # sums over all columns need more bits than a float has
    weights = sparse.csr_array(np.tile([[0.3], [0.7]], (1, miners)))
    half = run_epoch([0.5, 0.5], weights, params=YUMA3).consensus
    np.testing.assert_allclose(half, np.full(miners, 1 / miners))
    mixed = np.where(np.arange(miners) % 2 == 0, 1.0, 3.0) * np.array([[1.0], [1.0]])
    mixed[1] = mixed[1][::-1]
    np.testing.assert_allclose(run_epoch([0.5, 0.5], sparse.csr_array(mixed), params=YUMA3).consensus, 1.5 / miners)
