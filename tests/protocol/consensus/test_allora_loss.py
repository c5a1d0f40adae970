"""Losses a topic can choose: values, floors, and what Jensen promises for the convex ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.loss import ABSOLUTE, LOG_LOSS, LOSSES, RESOLUTION, SQUARED, MarketLoss
from protocol.errors import DataError
from protocol.scores import day_scores

HOUR_US = 3_600_000_000


def test_values():
    assert SQUARED.log10(3.0, 1.0) == pytest.approx(np.log10(4))
    assert ABSOLUTE.log10([3.0, -9.0], 1.0) == pytest.approx([np.log10(2), 1.0])
    assert LOG_LOSS.log10([0.25, 0.25], [0.0, 1.0]) == pytest.approx(np.log10([np.log(4 / 3), np.log(4)]))
    assert LOG_LOSS.log10(0.5, 0.5) == pytest.approx(np.log10(np.log(2)))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_perfect_inference_loses_the_floor(loss):
    assert loss.log10(1.0, 1.0) == pytest.approx(np.log10(loss.floor), abs=1e-6)
    assert loss.log10(0.0, 0.0) == pytest.approx(np.log10(loss.floor), abs=1e-6)


def test_probabilities_are_cut_and_absurd_inferences_absent():
    worst = np.log10(-np.log(RESOLUTION))
    assert LOG_LOSS.log10([-3.0, 0.0, 7.0], [1.0, 1.0, 0.0]) == pytest.approx([worst] * 3)
    found = SQUARED.log10([np.nan, np.inf, 1e300, 1e100], 0.0)
    assert np.isnan(found[:3]).all()
    assert found[3] == pytest.approx(200)


@pytest.mark.parametrize(
    ("loss", "truth"), [(SQUARED, np.nan), (ABSOLUTE, np.inf), (LOG_LOSS, 1.5), (LOG_LOSS, -0.1), (LOG_LOSS, np.nan)]
)
def test_refuses_a_truth_that_is_none(loss, truth):
    with pytest.raises(DataError, match=f"{loss.name} loss needs"):
        loss.log10(0.5, truth)


@given(
    st.sampled_from(sorted(LOSSES)),
    st.lists(st.tuples(st.floats(1e-6, 1 - 1e-6), st.floats(0.01, 1)), min_size=1, max_size=8),
    st.floats(0, 1),
)
def test_jensen(name, pairs, truth):
    loss = LOSSES[name]
    assert loss.convex
    x, w = np.array(pairs).T
    w /= w.sum()
    together, apart = 10 ** loss.log10(w @ x, truth), w @ 10 ** loss.log10(x, truth)
    assert together <= apart * (1 + 1e-9)


def market(symbols, bars, seed=0):
    rng = np.random.default_rng(seed)
    time = np.repeat(np.arange(bars) * HOUR_US, symbols)
    return time, np.tile(np.arange(symbols), bars), rng.standard_normal(symbols * bars), rng


@pytest.mark.parametrize(("symbols", "bars"), [(8, 3), (30, 1), (2, 40)])
def test_market_loss_is_the_day_score_turned_round(symbols, bars):
    time, symbol, target, rng = market(symbols, bars)
    loss = MarketLoss(time, symbol)
    predictions = rng.standard_normal((4, 3, target.size)) + 0.5 * target
    predictions[1, 2, 0] = np.nan
    found = loss.log10(predictions, target)
    assert found.shape == (4, 3)
    assert np.isnan(found[1, 2])
    assert found[0, 1] == -day_scores(predictions[0, 1], target, time, symbol).mean
    assert (np.abs(found[~np.isnan(found)]) <= 1).all()


def test_market_loss_of_perfect_constant_and_opposite():
    time, symbol, target, _ = market(40, 2)
    perfect, constant, opposite = MarketLoss(time, symbol).log10([target, np.ones_like(target), -target], target)
    assert perfect < -0.9
    assert constant == 0
    assert opposite == pytest.approx(-perfect)


def test_market_loss_does_not_pay_for_being_erratic():
    time, symbol, target, _ = market(20, 1)
    loss = MarketLoss(time, symbol)
    swings = loss.log10([target, -target], target)  # a coin toss between all right and all wrong
    assert swings.mean() == pytest.approx(0, abs=1e-12)
    assert np.log10(1 + swings).mean() < -0.5  # log10(1 - CORR) would call it three times better than no skill


def test_market_loss_refuses_other_shapes():
    time, symbol, target, _ = market(6, 2)
    with pytest.raises(DataError, match="one entry for each of 12 rows"):
        MarketLoss(time, symbol).log10(target[:-1], target)
