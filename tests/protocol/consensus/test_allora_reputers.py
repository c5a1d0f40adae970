"""Listening to reputers, against the equations written out as loops."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora import proximity
from protocol.consensus.allora.reputers import (
    Listening,
    adjusted_stakes,
    consensus_losses,
    coverage,
    listen,
    next_stakes,
    proximity_scores,
    reputer_fractions,
    total_score,
)
from protocol.errors import ConfigError, DataError

VECTORS = Path(__file__).parent / "vectors"
CASES = json.loads((VECTORS / "allora_listening.json").read_text())["cases"]
REWARDS = json.loads((VECTORS / "allora_rewards.json").read_text())["cases"]
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
STAKES = st.lists(st.floats(0, 1e12), min_size=1, max_size=8).filter(any)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_listening_of_the_vectors(case):
    given_, expected = case["input"], case["output"]
    losses, stakes, before = (np.array(given_[name]) for name in ("log_losses", "stakes", "coefficients"))
    rule = Listening(
        rate=given_["lambda"],
        step=given_["step"],
        iterations=given_["max_iterations"],
        threshold=given_["threshold"],
        min_fraction=given_["min_fraction"],
        tolerance=given_["epsilon_r"],
    )
    weights = adjusted_stakes(stakes, before)
    np.testing.assert_allclose(weights, expected["adjusted_stake_before"], **CLOSE)
    consensus = consensus_losses(losses, weights)
    np.testing.assert_allclose(consensus, expected["consensus_before"], **CLOSE)
    np.testing.assert_allclose(proximity_scores(losses, consensus, rule.tolerance), expected["scores_before"], **CLOSE)
    heard = listen(losses, stakes, before, rule)
    np.testing.assert_allclose(heard.coefficients, expected["coefficients"], **CLOSE)
    np.testing.assert_allclose(heard.scores, expected["scores"], **CLOSE)
    np.testing.assert_allclose(heard.adjusted_stakes, expected["adjusted_stake"], **CLOSE)
    assert heard.iterations == expected["iterations"]


@pytest.mark.parametrize("case", REWARDS)
def test_fractions_and_next_stakes_of_the_vectors(case):
    given_, expected = case["input"], case["output"]
    fractions = reputer_fractions(given_["stakes"], given_["reputer_scores"])
    np.testing.assert_allclose(fractions, expected["w"], **CLOSE)
    np.testing.assert_allclose(next_stakes(given_["stakes"], fractions, expected["W"]), expected["stake_next"], **CLOSE)


def literal_scores(losses, stakes, coefficients, covered, rule):
    """Eq. 30-33, one consensus; a column that nobody reported or listened to is left out."""
    listened = coefficients * stakes
    weights = np.minimum(len(stakes) * listened / listened.sum(), 1)
    there = ~np.isnan(losses)
    consensus = np.array(
        [
            weights[k] @ column[k] / weights[k].sum() if (weights * k).any() else np.nan
            for column, k in zip(losses.T, there.T, strict=True)
        ]
    )
    scores = np.zeros(len(stakes))
    for m, reported in enumerate(losses):
        k = ~np.isnan(reported - consensus)
        distance, norm = np.linalg.norm((reported - consensus)[k]), np.linalg.norm(consensus[k])
        scores[m] = covered[m] / (distance / norm + rule.tolerance)
    return scores


def literal_listen(losses, stakes, coefficients, rule):
    """Eq. 35, one perturbed consensus per reputer."""
    covered = coverage(losses, stakes)
    old = coefficients.copy()
    iteration, moved = 0, 1
    while iteration < rule.iterations and moved / rule.rate >= rule.threshold:
        iteration += 1
        scores = literal_scores(losses, stakes, old, covered, rule)
        new = old.copy()
        for m in range(len(stakes)):
            trial = old.copy()
            trial[m] += (move := -rule.step if old[m] == 1 else rule.step)
            ratio = (scores @ stakes) / (literal_scores(losses, stakes, trial, covered, rule) @ stakes)
            new[m] = min(max(old[m] + rule.rate * (1 - ratio) / move, 0), 1)
        before, after = (a @ stakes / stakes.sum() for a in (old, new))
        if after < rule.min_fraction:
            new = old + (new - old) * (rule.min_fraction - before) / (after - before)
            new = new.clip(0, 1) if rule.clamp else new
        moved, old = np.abs(new - old).max(), new
    return old, scores, iteration


@pytest.mark.parametrize("gaps", [0.0, 0.2], ids=["full", "gaps"])
@pytest.mark.parametrize("seed", range(8))
def test_the_batched_gradient_is_that_of_the_loops(monkeypatch, seed, gaps):
    monkeypatch.setattr(proximity, "BLOCK", (1 << 20, 40)[seed % 2])  # the second takes columns a few at a time
    rng = np.random.default_rng(seed)
    number, columns = 2 + seed, 30
    losses = rng.normal(-2, 1, columns) + rng.normal(0, 10.0 ** rng.uniform(-2, 0, (number, 1)), (number, columns))
    losses[rng.random(losses.shape) < gaps] = np.nan
    stakes, before = 10 ** rng.uniform(3, 6, number), rng.uniform(0.6, 1, number)
    rule = Listening(clamp=seed > 3)
    heard = listen(losses, stakes, before, rule)
    coefficients, scores, iterations = literal_listen(losses, stakes, before, rule)
    np.testing.assert_allclose(heard.coefficients, coefficients, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(heard.scores, scores, rtol=1e-9)
    assert heard.iterations == iterations
    assert not np.isnan(losses).all(axis=1).any()


def reporting(rng, reputers=8, columns=44, noise=0.05):
    return rng.normal(-2, 0.5, columns) + rng.normal(0, noise, (reputers, columns))


def lying(share, epochs=20):
    """Two of eight reputers with this share of the stake report 2 dex too little on 8 of 44 losses."""
    rng = np.random.default_rng(1)
    stakes = np.array([share / 2] * 2 + [(1 - share) / 6] * 6)
    coefficients = np.ones(8)
    for _ in range(epochs):
        losses = reporting(rng)
        honest = losses[2:].mean(axis=0)
        losses[:2, :8] -= 2
        coefficients, scores, _, weights = listen(losses, stakes, coefficients)
    shift = np.abs(consensus_losses(losses, weights) - honest).max()
    return coefficients[:2].max(), reputer_fractions(stakes, scores)[:2].sum(), shift


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_lying_minorities_are_silenced_and_earn_less_than_their_stake(share):
    coefficient, earned, shift = lying(share)
    assert coefficient < 0.05
    assert earned < share / 3
    assert shift < 0.1


def test_a_lying_majority_is_not_silenced():
    coefficient, _, shift = lying(0.6)
    assert coefficient > 0.5
    assert shift > 0.5


@given(STAKES, st.floats(1e-9, 1e9))
def test_adjusted_stakes_saturate_at_the_average_and_only_shares_matter(stakes, factor):
    s = np.array(stakes)
    adjusted = adjusted_stakes(s, np.ones_like(s))
    average = s >= s.mean() * (1 + 1e-9)
    assert ((adjusted >= 0) & (adjusted <= 1)).all()
    assert (adjusted[average] == 1).all()
    np.testing.assert_allclose(adjusted_stakes(s * factor, np.ones_like(s)), adjusted, rtol=1e-9, atol=1e-300)


def test_a_stake_beyond_the_average_moves_the_consensus_no_further():
    losses, ones = [[-1.0], [-3.0], [-3.0]], np.ones(3)
    moved = [consensus_losses(losses, adjusted_stakes([s, 1, 1], ones))[0] for s in (0.5, 1, 2, 100)]
    assert moved[0] < moved[1] == pytest.approx(-7 / 3)
    assert moved[2:] == pytest.approx([-1 - 2 * 1.5 / 2.5, -1 - 2 * 6 / 108])


@pytest.mark.parametrize("seed", range(4))
def test_coefficients_and_scores_go_with_their_reputers_and_ignore_the_unit_of_stake(seed):
    rng = np.random.default_rng(seed)
    losses, stakes = reporting(rng, 6, noise=0.3), rng.uniform(1, 5, 6)
    losses[2, :9] = np.nan
    expected = listen(losses, stakes, np.full(6, 0.9))
    order = rng.permutation(6)
    found = listen(losses[order], stakes[order] * 1e18, np.full(6, 0.9))
    np.testing.assert_allclose(found.coefficients, expected.coefficients[order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.scores, expected.scores[order], rtol=1e-9)


def test_a_reputer_without_reports_scores_nothing_keeps_its_coefficient_and_changes_nothing():
    rng = np.random.default_rng(0)
    losses, stakes, before = reporting(rng, 4, noise=0.4), np.array([5.0, 2, 9, 4]), np.array([0.9, 0.8, 0.7, 1.0])
    alone = listen(losses[[0, 1, 3]], stakes[[0, 1, 3]], before[[0, 1, 3]])
    losses[2] = [np.nan] * 40 + [np.inf] * 3 + [1e101]
    heard = listen(losses, stakes, before)
    assert (heard.coefficients[2], heard.scores[2], heard.adjusted_stakes[2]) == (0.7, 0, 0)
    for found, expected in zip(heard[:2], alone[:2], strict=True):
        np.testing.assert_array_equal(found[[0, 1, 3]], expected)
    assert heard.iterations == alone.iterations
    nobody = listen(np.full((2, 3), np.nan), [1, 1], [0.4, np.nan])
    assert (nobody.coefficients.tolist(), nobody.scores.tolist(), nobody.iterations) == ([0.4, 1], [0, 0], 0)
    assert listen(np.empty((0, 3)), [], []).iterations == 0
    assert listen(np.empty((2, 0)), [1, 1], [1, 1]).scores.tolist() == [0, 0]


def test_a_column_that_nobody_reported_does_not_matter():
    losses, stakes = reporting(np.random.default_rng(0), 5, noise=0.4), np.arange(1.0, 6)
    padded = np.insert(losses, [0, 7, 44], np.nan, axis=1)
    for found, expected in zip(listen(padded, stakes, np.ones(5)), listen(losses, stakes, np.ones(5)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_reports_left_out_cost_what_the_others_stake_on_them():
    losses = np.zeros((3, 4))
    assert coverage(losses, [1, 2, 3]).tolist() == [1, 1, 1]
    losses[0, 2:] = np.nan  # the columns are worth 6, 6, 5, 5 of stake
    assert coverage(losses, [1, 2, 3]) == pytest.approx([12 / 22, 1, 1])
    losses[1:, 0] = np.nan  # what only the smallest reports is worth 1
    assert coverage(losses, [1, 2, 3]) == pytest.approx([7 / 17, 16 / 17, 16 / 17])


def test_silence_where_agreement_is_hard_does_not_pay():
    rng = np.random.default_rng(3)
    losses, stakes = reporting(rng, 6, noise=0.3), np.ones(6)
    honest = listen(losses, stakes, np.ones(6)).scores[0]
    consensus = losses[1:].mean(axis=0)
    easiest = np.argsort(np.abs(losses[0] - consensus))
    losses[0, easiest[4:]] = np.nan
    assert listen(losses, stakes, np.ones(6)).scores[0] < honest


def test_a_column_reported_only_by_the_unheard_is_left_out():
    losses = np.array([[-1.0, np.nan], [-1.2, np.nan], [np.nan, -3.0]])
    heard = listen(losses, [1, 1, 1], [1, 1, 0])
    assert heard.scores[2] == 0
    assert (heard.scores[:2] > 0).all()
    consensus = consensus_losses(losses, [1, 1, 0])
    np.testing.assert_allclose(consensus, [-1.1, np.nan])
    assert proximity_scores(losses, consensus)[2] == 0


def test_scores_are_capped_and_a_consensus_of_zero_has_the_tolerance_for_norm():
    assert proximity_scores([[-2.0, -3.0]], [-2.0, -3.0]) == pytest.approx([100])
    assert proximity_scores([[0.02, 0.0], [0.0, 0.0]], [0.0, 0.0]) == pytest.approx([1 / 2.01, 100])
    assert listen([[0.5], [-0.5]], [1, 1], [1, 1], Listening(iterations=1)).scores == pytest.approx([1 / 50.01] * 2)


def test_one_or_equal_reputers_are_listened_to_at_once():
    for losses in ([[-2.0, -3.0]], [[-2.0, -3.0]] * 3):
        ones = np.ones(len(losses))
        heard = listen(losses, ones, ones)
        np.testing.assert_allclose(heard.scores, 100)
        np.testing.assert_allclose(heard.coefficients, 1)
        assert heard.iterations == 1


def test_without_stake_all_voices_are_equal_and_nobody_is_paid():
    losses = reporting(np.random.default_rng(0), 4, noise=0.4)
    for found, expected in zip(
        listen(losses, np.zeros(4), np.ones(4)), listen(losses, np.full(4, 7.0), np.ones(4)), strict=True
    ):
        np.testing.assert_allclose(found, expected)
    assert adjusted_stakes([0, 0], [0.2, 1]).tolist() == [pytest.approx(1 / 3), 1]
    assert adjusted_stakes([2, 3], [0, 0]).tolist() == adjusted_stakes([0, 3], [1, 0]).tolist() == [1, 1]
    assert total_score(np.zeros(2), [1.0, 3.0]) == 2
    assert total_score([3, 1], [1.0, 3.0]) == 1.5
    assert reputer_fractions([0, 0], [3, 4]).tolist() == reputer_fractions([1, 1], [0, np.nan]).tolist() == [0, 0]
    unheard = listen(losses, np.ones(4), np.zeros(4))
    assert np.isfinite(unheard.coefficients).all()
    assert (unheard.scores > 0).all()


def test_dust_is_paid_in_proportion_and_huge_powers_do_not_overflow():
    assert reputer_fractions([1e-300, 1e300], [50, 50])[0] == pytest.approx(0, abs=1e-300)
    assert reputer_fractions([1e300, 2e300], [50, 50], p=3) == pytest.approx([1 / 9, 8 / 9])
    heard = listen(reporting(np.random.default_rng(0), 3, noise=0.4), [5e-324, 1, 2], np.ones(3))
    assert np.isfinite(heard.scores).all()


def test_at_least_half_of_the_stake_is_listened_to():
    rng = np.random.default_rng(19)
    losses, stakes = reporting(rng, 3, noise=0.3), np.array([1.0, 1.0, 3.0])
    losses[2] -= 1
    coefficients = np.ones(3)
    for _ in range(60):
        coefficients = listen(losses, stakes, coefficients, Listening(clamp=True)).coefficients
        assert coefficients @ stakes / 5 >= 0.5 - 1e-9
        assert ((coefficients >= 0) & (coefficients <= 1)).all()


def test_interpolation_from_below_the_least_fraction_leaves_the_unit_interval_unless_clamped():
    losses = [[-1.8, -1.0, -2.0], [-2.2, -1.9, -1.7], [-1.7, -1.5, -1.5]]
    stakes, before = [1, 1, 2], [0.11, 0.26, 0.42]
    free = listen(losses, stakes, before, Listening(iterations=1)).coefficients
    clamped = listen(losses, stakes, before, Listening(iterations=1, clamp=True)).coefficients
    assert free.min() < 0
    assert free.max() > 1
    assert free @ stakes / 4 == pytest.approx(0.5)
    np.testing.assert_array_equal(clamped, free.clip(0, 1))


@pytest.mark.parametrize(
    "change", [{"rate": 0}, {"step": -1}, {"tolerance": 2}, {"iterations": 0}, {"threshold": -1}, {"min_fraction": 1.5}]
)
def test_a_rule_that_cannot_work_is_refused(change):
    with pytest.raises(ConfigError, match=f"listening .*{next(iter(change))} .*give"):
        replace(Listening(), **change)


def test_wrong_shapes_and_negative_stakes_are_named():
    with pytest.raises(DataError, match=r"log_losses has shape \(2,\)"):
        listen([1, 2], [1, 1], [1, 1])
    with pytest.raises(DataError, match=r"stakes has shape \(1,\)"):
        listen([[1], [2]], [1], [1, 1])
    with pytest.raises(DataError, match=r"stakes\[1\] is -1"):
        listen([[1], [2]], [1, -1], [1, 1])
    with pytest.raises(DataError, match=r"coefficients has shape \(3,\); give \(2,\)"):
        adjusted_stakes([1, 1], [1, 1, 1])
