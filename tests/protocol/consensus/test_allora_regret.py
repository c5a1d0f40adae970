"""Losses over reputers and regrets, Eq. 14 and 15, and what newcomers start from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora import regret
from protocol.consensus.allora.losses import Losses, LossLayout
from protocol.consensus.allora.one_out import SeparableRegrets
from protocol.consensus.allora.regret import newcomer, regrets_after, remapped, stake_weighted, updated
from protocol.consensus.allora.reputers import adjusted_stakes
from protocol.consensus.allora.synthesis import Regrets
from protocol.consensus.allora.variant import PAPER, SIMULATOR
from protocol.errors import DataError

VECTORS = Path(__file__).parent / "vectors"
CASES = json.loads((VECTORS / "allora_regret.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES)
def test_vectors(case):
    given_, expected = case["input"], case["output"]
    losses = stake_weighted(np.array(given_["log_losses"], dtype=np.float64), given_["stakes"])
    np.testing.assert_allclose(losses, expected["log_loss"], rtol=1e-10, atol=1e-12)
    found = updated(given_["old_regret"], losses[0], losses, given_["alpha"])
    np.testing.assert_allclose(found, expected["regret"], rtol=1e-10, atol=1e-12)


def test_each_column_over_those_who_reported_it():
    nan = np.nan
    reports = [[-1.0, nan, nan, -4.0], [-2.0, -3.0, nan, nan], [-4.0, np.inf, nan, -2.0]]
    found = stake_weighted(reports, [1.0, 1.0, 2.0])
    np.testing.assert_allclose(found, [-2.75, -3.0, nan, -8 / 3])


def test_equal_weights_without_stake():
    reports = np.array([[-1.0, -1.0], [-2.0, np.nan], [-6.0, -3.0]])
    np.testing.assert_allclose(stake_weighted(reports, [0, 0, 0]), [-3, -2])
    np.testing.assert_allclose(stake_weighted(reports, [0, 5, 0]), [-2, -2])  # per column
    assert np.isnan(stake_weighted(np.empty((0, 3)), [])).all()


def test_robust_losses_do_not_hear_the_silenced():
    reports = np.array([[-1.0], [-1.0], [-9.0]])
    stakes, heard = [30.0, 30.0, 40.0], [1.0, 1.0, 0.0]
    assert stake_weighted(reports, stakes) == pytest.approx(-4.2)
    assert stake_weighted(reports, stakes, heard) == pytest.approx(-1.0)
    some = [1.0, 0.4, 0.1]
    w = adjusted_stakes(stakes, some)
    assert stake_weighted(reports, stakes, some) == pytest.approx(w @ reports[:, 0] / w.sum())


@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_mean_lies_between_reports_and_knows_neither_unit_nor_order(reputers, seed, unit):
    rng = np.random.default_rng(seed)
    reports = np.where(rng.random((reputers, 7)) < 0.2, np.nan, rng.normal(-2, 1, (reputers, 7)))
    stakes = rng.uniform(0, 1, reputers)
    found = stake_weighted(reports, stakes)
    order = rng.permutation(reputers)
    np.testing.assert_allclose(stake_weighted(reports[order], unit * stakes[order]), found, rtol=1e-9)
    known = ~np.isnan(reports).all(axis=0)
    np.testing.assert_array_equal(np.isnan(found), ~known)
    assert (found[known] >= np.nanmin(reports[:, known], axis=0) - 1e-9).all()
    assert (found[known] <= np.nanmax(reports[:, known], axis=0) + 1e-9).all()


def test_stakes_and_reports_must_fit():
    with pytest.raises(DataError, match="one row for each of 2 stakes"):
        stake_weighted(np.zeros((3, 4)), [1.0, 2.0])
    with pytest.raises(DataError, match="stakes"):
        stake_weighted(np.zeros((1, 4)), [-1.0])


def test_the_absent_keep_their_regret_and_the_unknown_start_from_none():
    found = updated([0.5, 0.5, np.nan, 0.5, np.nan], -2.0, [-3.0, np.nan, -3.0, 1e200, np.nan], 0.1)
    np.testing.assert_allclose(found, [0.55, 0.5, 0.1, 0.5, np.nan])
    np.testing.assert_array_equal(updated([0.5, -1.0], np.nan, [-3.0, -1.0], 0.1), [0.5, -1.0])


def test_newcomer_starts_below_the_lower_quartile_of_the_experienced():
    rng = np.random.default_rng(0)
    r, experienced = rng.normal(size=(3, 11)), np.arange(11) < 7
    r[1, 2] = np.nan
    for row, start in zip(r, newcomer(r, experienced, PAPER), strict=True):
        known = row[:7][~np.isnan(row[:7])]
        assert start == pytest.approx(np.quantile(known, 0.25) - 2.0 * (known.std(ddof=1) + 0.01), rel=1e-12)
    assert newcomer(r[0], experienced & False) == 0
    assert newcomer(np.full((2, 3), np.nan), True).tolist() == [0, 0]
    assert newcomer([0.3], [True]) == pytest.approx(0.3 - 2.0 * 0.01)
    assert newcomer(np.empty((2, 0)), np.empty(0, bool)).tolist() == [0, 0]


LAYOUT = LossLayout(4, 3)


def epochs(count, layout=LAYOUT, seed=0):
    rng = np.random.default_rng(seed)
    return [Losses(layout, rng.normal(-2, 0.5, layout.size)) for _ in range(count)]


def after(count, *, separable=False, layout=LAYOUT):
    regrets = Regrets.start(layout.inferers, layout.forecasters, separable=separable)
    for losses in epochs(count, layout):
        regrets = regrets_after(regrets, losses, 0.1)
    return regrets


def test_every_reference_has_its_own_regrets():
    (losses,) = epochs(1)
    regrets = regrets_after(Regrets.start(4, 3), losses, 0.1)
    for x in range(7):
        assert regrets.network[x] == pytest.approx(0.1 * (losses.network - losses.workers[x]))
        for withheld in range(7):
            loss = losses.workers[x] if withheld >= 4 or x < 4 else losses.one_out_forecast_implied[withheld, x - 4]
            assert regrets.one_out[withheld, x] == pytest.approx(0.1 * (losses.one_out[withheld] - loss))
    for j in range(4):
        assert regrets.naive[j] == pytest.approx(0.1 * (losses.naive - losses.inferences[j]))
    for k in range(3):
        workers = [*losses.inferences, losses.forecast_implied[k]]
        np.testing.assert_allclose(regrets.one_in[k], 0.1 * (losses.one_in[k] - np.array(workers)))


def test_separable_and_dense_agree_until_somebody_is_absent_and_after_it():
    dense, separable = after(5), after(5, separable=True)
    assert isinstance(separable.one_out, SeparableRegrets)
    np.testing.assert_allclose(separable.one_out.dense(), dense.one_out, atol=1e-14)
    (losses,) = epochs(1, seed=9)
    values = losses.values.copy()
    values[2] = np.nan
    dense, separable = (regrets_after(r, Losses(LAYOUT, values), 0.1) for r in (dense, separable))
    assert isinstance(separable.one_out, np.ndarray)
    np.testing.assert_allclose(separable.one_out, dense.one_out, atol=1e-14)
    np.testing.assert_array_equal(dense.one_out[:, 1], after(5).one_out[:, 1])


def test_large_separable_regrets_refuse_to_turn_dense(monkeypatch):
    monkeypatch.setattr(regret, "DENSE_UP_TO", 6)
    (losses,) = epochs(1)
    losses.values[2] = np.nan
    with pytest.raises(DataError, match="came or went among 7 workers"):
        regrets_after(after(1, separable=True), losses, 0.1)


EXPERIENCED = np.full(7, 30)


@pytest.mark.parametrize("separable", [False, True])
def test_remapping_permutes_and_forgets(separable):
    old = after(3, separable=separable)
    i, k = np.array([2, 0, 3]), np.array([1, 0])
    new = remapped(old, i, k, EXPERIENCED[:5])
    both = np.concatenate([i, 4 + k])
    np.testing.assert_array_equal(new.network, old.network[both])
    np.testing.assert_array_equal(new.naive, old.naive[i])
    np.testing.assert_array_equal(new.one_in, old.one_in[np.ix_(k, [*i, 4])])
    old_out, new_out = (r.one_out.dense() if separable else r.one_out for r in (old, new))
    np.testing.assert_array_equal(new_out, old_out[np.ix_(both, both)])


@pytest.mark.parametrize("separable", [False, True])
def test_newcomers_start_alike_in_every_reference(separable):
    old = after(3, separable=separable)
    i, k = np.array([0, -1, 1, 2, 3]), np.array([0, 1, 2, -1])
    known = np.array([30, 0, 30, 9, 10, 30, 30, 30, 0])
    new = remapped(old, i, k, known)
    stay = np.flatnonzero(np.concatenate([i, k]) >= 0)
    expert = np.flatnonzero(known >= 10)

    def start(row):
        return np.quantile(row, 0.25) - 2.0 * (row.std(ddof=1) + SIMULATOR.epsilon)

    np.testing.assert_allclose(new.network[[1, 8]], start(new.network[expert]))
    np.testing.assert_allclose(new.naive[1], start(new.naive[expert[expert < 5]]))
    dense = old.one_out.dense() if separable else old.one_out
    np.testing.assert_allclose(new.one_out[np.ix_(stay, stay)], dense, atol=1e-15)
    for withheld in stay:
        row = new.one_out[withheld]
        np.testing.assert_allclose(row[[1, 8]], start(row[expert[expert != withheld]]))
    np.testing.assert_array_equal(new.one_out[1], new.network)  # without the newcomer: the network as it was
    np.testing.assert_array_equal(new.one_out[8], new.network)
    np.testing.assert_array_equal(new.one_in[3, :5], new.naive)
    np.testing.assert_allclose(new.one_in[3, 5], start(new.naive[expert[expert < 5]]))
    row = new.one_in[1]
    np.testing.assert_allclose(row[1], start(row[[0, 2, 4, 5]]))


def test_nobody_experienced_means_no_regret():
    new = remapped(after(3), np.array([0, -1]), np.array([-1]), np.array([9, 0, 0]), replace(SIMULATOR, alpha=0.1))
    assert new.network[1:].tolist() == [0, 0]
    assert new.one_out[0, 1:].tolist() == [0, 0]
    empty = remapped(Regrets.start(0, 0), np.array([-1, -1]), np.array([-1]), np.zeros(3, dtype=np.int64))
    assert not empty.network.any()
    assert not empty.one_out.any()
    assert empty.one_in.shape == (1, 3)


def test_a_lone_inferer_gets_company():
    old = Regrets.start(1, 1, separable=True)
    new = remapped(old, np.array([0, -1]), np.array([0]), np.array([5, 0, 5]))
    np.testing.assert_array_equal(new.one_out, np.zeros((3, 3)))
