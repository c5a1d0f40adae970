"""Worker scores and the reward fractions they earn."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.scores import (
    forecast_scores,
    inference_scores,
    remembered,
    reward_fractions,
    solo_fraction,
)
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, VARIANTS
from protocol.errors import DataError

CASES = json.loads((Path(__file__).parent / "vectors" / "allora_rewards.json").read_text())["cases"]
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
SCORES = st.lists(st.one_of(st.floats(-3, 3), st.sampled_from([0.0, 1e-9, 50.0, -1e4])), min_size=1, max_size=12)
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)


@pytest.mark.parametrize("case", CASES)
def test_scores_and_fractions_of_the_vectors(case):
    given_, expected, variant = case["input"], case["output"], VARIANTS[case["variant"]]
    net, naive = given_["net"], given_["naive"]
    scores = inference_scores(net, given_["one_out_j"])
    forecasts = forecast_scores(net, naive, given_["one_out_k"], given_["one_in_k"], variant)
    np.testing.assert_allclose(scores, expected["T_ij"], **CLOSE)
    np.testing.assert_allclose(forecasts, expected["T_ik"], **CLOSE)
    np.testing.assert_allclose(reward_fractions(scores, given_["history_j"], variant), expected["u"], **CLOSE)
    np.testing.assert_allclose(reward_fractions(forecasts, given_["history_k"], variant), expected["v"], **CLOSE)


def test_whoever_is_missed_scores_positive():
    assert inference_scores(-2.0, [-1.5, -2.25]).tolist() == [0.5, -0.25]


def test_a_lone_forecaster_is_always_solo_but_not_as_printed():
    assert [solo_fraction(n) for n in (0, 1, 2, 3)] == [1, 1, 0.5, 0.25]
    assert [solo_fraction(n, PAPER) for n in (0, 1, 2, 3)] == [1, 0.5, 0.25, 0.125]
    assert solo_fraction(5000) == 0
    # naive 0.3 dex worse without it: the one-out loss does not count
    assert forecast_scores(-2, -1.5, [7.0], [-1.8]) == pytest.approx([0.3])
    assert forecast_scores(-2, -1.5, [-1.9], [-1.8], PAPER) == pytest.approx([0.5 * 0.1 + 0.5 * 0.3])


@variants
def test_absent_forecasters_do_not_dilute_the_one_in_score(variant):
    alone = forecast_scores(-2, -1.5, [-1.9, -1.8], [-1.6, -1.7], variant)
    crowd = forecast_scores(-2, -1.5, [-1.9, np.nan, -1.8, 0], [-1.6, 0, -1.7, np.inf], variant)
    np.testing.assert_array_equal(crowd, [alone[0], np.nan, alone[1], np.nan])


def test_without_a_network_loss_nobody_has_a_score():
    assert np.isnan(inference_scores(np.nan, [-1, -2])).all()
    assert np.isnan(forecast_scores(-1, np.inf, [-1, -2], [-1, -2])).all()
    assert (reward_fractions([np.nan, np.nan]) == 0).all()
    assert reward_fractions([]).shape == (0,)


@variants
@given(scores=SCORES, history=st.lists(SCORES, max_size=3), seed=st.integers(0, 99))
def test_fractions_sum_to_one_follow_their_workers_and_rise_with_the_score(variant, scores, history, seed):
    t = np.array(scores)
    past = np.concatenate([[0.3], *history])[None]
    u = reward_fractions(t, past, variant)
    assert u.min() >= 0
    assert u.sum() == pytest.approx(1, rel=1e-13)
    order = np.random.default_rng(seed).permutation(t.size)
    np.testing.assert_allclose(reward_fractions(t[order], past, variant), u[order], rtol=1e-9, atol=1e-300)
    assert (np.diff(u[np.argsort(t, kind="stable")]) >= 0).all()


@variants
@given(scores=SCORES, factor=st.floats(1e-3, 1e3))
def test_only_scores_relative_to_epsilon_matter(variant, scores, factor):
    t = np.array(scores)
    scaled = replace(variant, epsilon=variant.epsilon * factor)
    past = [[1.0, -1.0, 0.5]]
    expected = reward_fractions(t, past, variant)
    np.testing.assert_allclose(reward_fractions(t * factor, np.multiply(past, factor), scaled), expected, rtol=1e-8)


@variants
def test_the_absent_get_nothing_and_change_nothing(variant):
    u = reward_fractions([0.3, np.nan, -0.2, np.inf], [[0.1, np.nan, 0.4, 0.0]], variant)
    np.testing.assert_allclose(u[[0, 2]], reward_fractions([0.3, -0.2], [[0.1, 0.4, 0.0]], variant))
    assert (u[[1, 3]] == 0).all()


@variants
def test_equal_and_hopeless_scores_are_paid_alike(variant):
    assert reward_fractions([0.2] * 4, None, variant) == pytest.approx([0.25] * 4)
    # without spread in their past every potential underflows; as printed that is 0/0
    assert reward_fractions([-1e6] * 4, None, variant) == pytest.approx([0.25] * 4)
    assert reward_fractions([-5.0], None, variant).tolist() == [1]


def test_scores_that_hardly_differ_are_told_apart_as_printed_only():
    scores = [0.004, -0.004]
    assert reward_fractions(scores).tolist() == reward_fractions(scores, None, CHAIN2026).tolist() == [0.5, 0.5]
    x = 0.004 / (0.004 * math.sqrt(2) + 0.01)
    potentials = [math.log1p(math.exp(3 * (y - 0.75))) for y in (x, -x)]
    assert reward_fractions(scores, None, PAPER) == pytest.approx(np.divide(potentials, sum(potentials)))


def test_the_deviation_looks_ten_steps_back_this_one_included():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(25, 3))
    expected = reward_fractions(steps[-1], steps[-10:-1])
    np.testing.assert_array_equal(reward_fractions(steps[-1], steps[:-1]), expected)
    assert not np.allclose(reward_fractions(steps[-1], steps[-9:-1]), expected)
    history = None
    for step in steps[:-1]:
        history = remembered(history, step)
    np.testing.assert_array_equal(history, steps[-10:-1])
    only_this = replace(SIMULATOR, score_window=1)
    assert remembered(None, steps[0], only_this).shape == (0, 3)
    np.testing.assert_array_equal(
        reward_fractions(steps[-1], steps[:-1], only_this), reward_fractions(steps[-1], None, only_this)
    )


def test_wrong_shapes_are_named():
    with pytest.raises(DataError, match=r"one_in has shape \(1,\); give \(2,\)"):
        forecast_scores(-2, -1, [-1, -1], [-1])
    with pytest.raises(DataError, match=r"history has shape \(2,\); give \(steps, workers\)"):
        reward_fractions([0.1, 0.2], [0.1, 0.2])
    with pytest.raises(DataError, match=r"one_out has shape \(1, 2\)"):
        inference_scores(-2, [[-1, -1]])
