"""The potential and the weights of regrets, against the equations written out."""

from dataclasses import replace

import numpy as np
import pytest
from allora_literal import literal_scale, literal_weights
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.potential import log_slope, normalised, potential, scale, slope, weights
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, VARIANTS

ALL = [*VARIANTS.values(), replace(CHAIN2026, name="both", clip=True), replace(SIMULATOR, name="steep", p=20.0)]
REGRET = st.one_of(st.floats(-3, 3), st.floats(-1e3, 1e3), st.just(0.0), st.just(-6.0))
REGRETS = st.lists(REGRET, min_size=1, max_size=12)
variants = pytest.mark.parametrize("variant", ALL, ids=lambda v: v.name)


def test_the_potential_is_zero_on_the_left_a_line_on_the_right_and_its_slope_is_the_derivative():
    x = np.linspace(-4, 6, 2001)
    np.testing.assert_allclose(potential(x), np.log1p(np.exp(3 * (x - 0.75))), rtol=1e-13)
    np.testing.assert_allclose(np.gradient(potential(x, 2.5, 0.2), x)[1:-1], slope(x, 2.5, 0.2)[1:-1], atol=1e-4)
    np.testing.assert_allclose(np.exp(log_slope(x, 2.5, 0.2)), slope(x, 2.5, 0.2), rtol=1e-13)
    assert potential(1e6) == 3 * (1e6 - 0.75)
    assert potential(-1e6) == slope(-1e6) == 0
    assert slope(1e6) == 3
    assert log_slope(-1e6) == pytest.approx(-3e6)


@variants
@given(regrets=REGRETS)
def test_weights_are_those_of_the_equations(variant, regrets):
    np.testing.assert_allclose(weights(regrets, variant), literal_weights(regrets, variant), rtol=1e-9, atol=1e-13)


@variants
@given(regrets=REGRETS, seed=st.integers(0, 99))
def test_weights_sum_to_one_follow_their_workers_and_rise_with_the_regret(variant, regrets, seed):
    r = np.array(regrets)
    w = weights(r, variant)
    assert w.min() >= 0
    assert w.sum() == pytest.approx(1, rel=1e-14)
    order = np.random.default_rng(seed).permutation(r.size)
    np.testing.assert_allclose(weights(r[order], variant), w[order], rtol=1e-9, atol=1e-15)
    assert (np.diff(w[np.argsort(r, kind="stable")]) >= -1e-15).all()


@variants
@given(regrets=REGRETS, absent=st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 1e101]), min_size=1, max_size=4))
def test_an_absent_worker_has_weight_zero_and_changes_nothing(variant, regrets, absent):
    w = weights([*regrets, *absent], variant)
    np.testing.assert_allclose(w[: len(regrets)], weights(regrets, variant), rtol=1e-12)
    assert (w[len(regrets) :] == 0).all()


@variants
@given(regrets=REGRETS, factor=st.floats(1e-3, 1e3))
def test_only_regrets_relative_to_epsilon_matter(variant, regrets, factor):
    scaled = replace(variant, epsilon=variant.epsilon * factor)
    r = np.array(regrets)
    np.testing.assert_allclose(weights(r * factor, scaled), weights(r, variant), rtol=1e-8, atol=1e-12)


@variants
def test_equal_regrets_weigh_the_same_nobody_weighs_nothing_and_a_lone_worker_everything(variant):
    for regret in (0.0, -1e4, 1e4):
        np.testing.assert_allclose(weights(np.full(5, regret), variant), 0.2, rtol=1e-15)
        assert weights([np.nan, regret], variant).tolist() == [0, 1]
    assert not weights([np.nan, np.nan], variant).any()
    assert weights(np.empty((3, 0)), variant).shape == (3, 0)


def test_tight_and_very_negative_regrets_do_not_end_as_zero_over_zero():
    r = -6 + 1e-5 * np.arange(10)
    assert slope(r / scale(r, PAPER)).sum() == 0  # what the printed equations divide by
    np.testing.assert_allclose(weights(r, PAPER), literal_weights(r.tolist(), PAPER), rtol=1e-10)
    one_far_below = weights([-6.0, -6.0, -1e6], replace(PAPER, epsilon=1e-9))
    assert one_far_below[2] < 0.5 * one_far_below[0]


def test_the_clip_has_an_upper_cut_a_lift_and_a_zero():
    def with_divisor_one(variant, regrets):
        return weights(regrets, replace(variant, epsilon=1 - np.std(regrets, ddof=1)))

    assert with_divisor_one(SIMULATOR, [5.0, 6.0]).tolist() == [0.5, 0.5]  # both cut at c + 6.75/p = 3
    assert with_divisor_one(PAPER, [5.0, 6.0])[1] > 0.5
    low = slope([-3.0, -2.0])  # the larger one is lifted to c - 8.25/p = -2
    np.testing.assert_allclose(with_divisor_one(SIMULATOR, [-9.0, -8.0]), low / low.sum(), rtol=1e-14)
    assert with_divisor_one(PAPER, [-9.0, -8.0])[1] > low[1] / low.sum()
    for lowest, counts in ((-6.01, False), (-5.99, True)):  # weight zero 9/p below the largest
        assert (with_divisor_one(SIMULATOR, [lowest] + 19 * [-3.0])[0] > 0) == counts
        assert with_divisor_one(PAPER, [lowest] + 19 * [-3.0])[0] > 0


@given(st.lists(st.tuples(REGRET, st.sampled_from([0.0, 1e-7, 1e-6, 1e-5, 0.3])), min_size=1, max_size=9))
def test_the_median_absolute_deviation_is_over_workers_with_weight_and_over_all_if_none_has(pairs):
    regrets, previous = (list(x) for x in zip(*pairs, strict=True))
    assert scale(regrets, CHAIN2026, previous) == pytest.approx(literal_scale(regrets, CHAIN2026, previous), rel=1e-12)
    assert scale(regrets, CHAIN2026, [0.0] * len(regrets)) == scale(regrets, CHAIN2026)
    np.testing.assert_allclose(
        weights(regrets, CHAIN2026, previous), literal_weights(regrets, CHAIN2026, previous), rtol=1e-9, atol=1e-13
    )
    assert scale(regrets, PAPER, previous) == scale(regrets, PAPER)


def test_normalised_regrets_keep_absence_and_rows_do_not_mix():
    r = np.array([[0.3, np.nan, -0.2], [np.nan, np.nan, np.nan]])
    x = normalised(r, PAPER)
    assert x[0, 0] == pytest.approx(0.3 / (np.std([0.3, -0.2], ddof=1) + 0.01))
    assert np.isnan(x).tolist() == np.isnan(r).tolist()
    assert scale(r, PAPER)[1] == scale(r, CHAIN2026)[1] == 0.01
    batch = np.random.default_rng(0).normal(size=(4, 3, 7))
    for variant in ALL:
        np.testing.assert_allclose(weights(batch, variant)[2, 1], weights(batch[2, 1], variant), rtol=1e-13)
    previous = np.random.default_rng(1).choice([0.0, 0.5], batch.shape)
    alone = weights(batch[2, 1], CHAIN2026, previous[2, 1])
    np.testing.assert_allclose(weights(batch, CHAIN2026, previous)[2, 1], alone, rtol=1e-13)
    np.testing.assert_allclose(weights(batch, CHAIN2026, previous[2, 1])[2, 1], alone, rtol=1e-13)
