"""The division of a topic's reward between tasks and participants."""

import json
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.classes import (
    Entropies,
    Utility,
    effective_number,
    entropy,
    payout,
    smoothed,
    split,
    utility,
)
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, VARIANTS
from protocol.errors import DataError

CASES = json.loads((Path(__file__).parent / "vectors" / "allora_rewards.json").read_text())["cases"]
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
FRACTIONS = st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1)), min_size=1, max_size=12)
ENTROPY = st.one_of(st.just(0.0), st.floats(1e-6, 8))
ENTROPIES = st.builds(Entropies, ENTROPY, ENTROPY, ENTROPY)
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)


@pytest.mark.parametrize("case", CASES)
def test_smoothing_entropies_utility_and_rewards_of_the_vectors(case):
    given_, expected, variant = case["input"], case["output"], VARIANTS[case["variant"]]
    found = []
    for letter in "uvw":
        average = smoothed(expected[letter], given_[f"prev_{letter}"], variant)
        np.testing.assert_allclose(average, expected[f"{letter}_ema"], **CLOSE)
        found.append(entropy(average, variant))
    np.testing.assert_allclose(found, [expected[letter] for letter in "FGH"], **CLOSE)
    use = utility(given_["net"], given_["naive"], expected["T_ij"], given_["tau_prev"], variant)
    np.testing.assert_allclose([use.tau, use.chi], [expected["tau"], expected["chi"]], **CLOSE)
    parts = split(given_["E"], Entropies(*found), use.chi)
    np.testing.assert_allclose(
        [parts.inference, parts.forecast, parts.reputer, parts.gamma],
        [expected[name] for name in ("U", "V", "W", "gamma")],
        **CLOSE,
    )
    paid = [
        np.multiply(fractions, reward)
        for fractions, reward in zip(
            (expected["u"], expected["v"], expected["w"]), (parts.inference, parts.forecast, parts.reputer), strict=True
        )
    ]
    for rewards, name in zip(paid, ("U_ij", "V_ik", "W_im"), strict=True):
        np.testing.assert_allclose(rewards, expected[name], **CLOSE)


def test_newcomers_start_at_their_first_fraction_and_the_absent_keep_their_average():
    np.testing.assert_allclose(smoothed([0.5, 0.4, np.nan], [0.2, np.nan, 0.8]), [0.23, 0.4, 0.8])


@variants
@given(fractions=FRACTIONS, seed=st.integers(0, 99), factor=st.floats(1e-3, 1e3))
def test_entropy_is_bounded_and_does_not_depend_on_order_or_scale(variant, fractions, seed, factor):
    f = np.array(fractions)
    found = entropy(f, variant)
    assert 0 <= found <= max(log(f.size), variant.single_entropy) * (1 + 1e-12)
    order = np.random.default_rng(seed).permutation(f.size)
    assert entropy(f[order] * factor, variant) == pytest.approx(found, rel=1e-9, abs=1e-12)
    number = effective_number(f)
    assert number == 0 if not f.any() else 1 - 1e-12 <= number <= np.count_nonzero(f) * (1 + 1e-12)


@pytest.mark.parametrize("number", [2, 5, 100])
def test_equal_fractions_have_the_entropy_of_their_number(number):
    assert entropy([1 / number] * number) == pytest.approx(log(number))
    assert effective_number([3.0] * number) == pytest.approx(number)


def test_a_single_participant_counts_for_something_on_the_chain_only():
    assert entropy([1.0], PAPER) == 0
    assert entropy([0.7]) == entropy([0.7, np.nan], CHAIN2026) == log(2) / 4
    assert entropy([0.0]) == entropy([]) == entropy([np.nan, np.nan]) == entropy([0.0, 0.0]) == 0
    assert entropy([1.0, 0.0]) == 0  # two participants, one of whom gets everything


def test_one_of_five_equal_workers_gains_at_most_nine_percent_by_splitting():
    honest = entropy([0.2] * 5)
    gains = [entropy([0.2] * 4 + [0.2 / k] * k) / honest for k in (2, 4, 10, 50)]
    assert gains == pytest.approx([1.065, 1.086, 1.045, 0.866], abs=5e-4)
    without = replace(SIMULATOR, beta=0.0)
    assert entropy([0.2] * 4 + [0.004] * 50, without) / entropy([0.2] * 5, without) > 1.4


def test_utility_rises_from_a_tenth_to_a_half():
    steady = [utility(-2.0, -2.0 + gain, [1.0, 0.2], gain).chi for gain in (-1, 0, 0.25, 0.5, 1, 3)]
    assert steady == pytest.approx([0.1, 0.1, 0.2, 0.3, 0.5, 0.5])
    assert utility(-2.0, -1.0, [0.5], 0.0) == Utility(pytest.approx(0.2), pytest.approx(0.18))


def test_when_no_worker_helps_the_paper_measures_against_the_best_of_them_and_the_chain_against_nothing():
    assert utility(-2.0, -1.9, [-0.2, -0.5], 0.0, PAPER).tau == pytest.approx(0.1 * (0.1 + 0.2) / 0.2)
    for scores in ([-0.2, -0.5], [0.0, -1.0], [1e-250]):
        assert utility(-2.0, -1.9, scores, 0.5).tau == pytest.approx(0.1 + 0.45)
        assert utility(-2.0, -2.1, scores, 0.5).tau == pytest.approx(-0.1 + 0.45)
        assert utility(-2.0, -2.0, scores, 0.7) == Utility(0.0, 0.5)


@variants
def test_the_ratio_stays_finite_and_unknowns_leave_it_alone(variant):
    kept = Utility(0.5, pytest.approx(0.3))
    assert utility(np.nan, -1.0, [0.3], 0.5, variant) == kept
    assert utility(-1.0, np.inf, [0.3], 0.5, variant) == kept
    assert utility(-1.0, -1.0, [np.nan], 0.5, variant) == utility(-1.0, -1.0, [], 0.5, variant) == kept
    assert np.isfinite(utility(-1e100, 1e100, [1e-200], 0.5, variant).tau)
    assert utility(-2.0, -1.0, [np.nan, 0.5], 0.0, variant).tau == pytest.approx(0.2)


@given(emission=st.floats(0, 1e12), entropies=ENTROPIES, chi=st.floats(0.1, 0.5))
def test_nothing_is_lost_and_utility_moves_rewards_between_worker_tasks_only(emission, entropies, chi):
    parts = split(emission, entropies, chi)
    assert sum((parts.inference, parts.forecast, parts.reputer, parts.kept)) == pytest.approx(emission)
    total = entropies.inference + entropies.forecast + entropies.reputer
    if total:
        assert parts.kept == 0
        assert parts.reputer == pytest.approx(emission * entropies.reputer / total)
        if entropies.inference and entropies.forecast:
            ratio = entropies.inference * (1 - chi) / (entropies.forecast * chi)
            assert parts.inference == pytest.approx(parts.forecast * ratio, rel=1e-9, abs=1e-300)


def test_without_any_entropy_the_emission_is_kept():
    assert split(7.0, Entropies(0, 0, 0), 0.5).kept == 7
    paid = payout(7, Entropies(0, 0, 0), 0.5, inference=[1], forecast=[1], reputer=[1])
    assert (paid.inference, paid.forecast, paid.reputer, paid.kept) == ((0,), (0,), (0,), 7)


@given(
    total=st.integers(0, 10**30),
    entropies=ENTROPIES,
    chi=st.floats(0.1, 0.5),
    fractions=st.tuples(*[st.lists(st.one_of(st.floats(0, 1), st.just(np.nan)), max_size=5)] * 3),
)
def test_whole_units_are_conserved_and_near_their_exact_share(total, entropies, chi, fractions):
    u, v, w = fractions
    paid = payout(total, entropies, chi, inference=u, forecast=v, reputer=w)
    assert sum((*paid.inference, *paid.forecast, *paid.reputer, paid.kept)) == total
    parts = split(1.0, entropies, chi)
    for units, part, weights in (
        (paid.inference, parts.inference, u),
        (paid.forecast, parts.forecast, v),
        (paid.reputer, parts.reputer, w),
    ):
        assert len(units) == len(weights)
        assert all(not unit for unit, weight in zip(units, weights, strict=True) if np.isnan(weight) or not weight)
        assert sum(units) in (0, pytest.approx(part * total, rel=1e-9, abs=1.5))


def test_nonsense_is_refused():
    with pytest.raises(DataError, match=r"chi is 1\.5"):
        split(1.0, Entropies(1, 1, 1), 1.5)
    with pytest.raises(DataError, match=r"emission and entropies\[0\] is -1"):
        split(-1.0, Entropies(1, 1, 1), 0.5)
    with pytest.raises(DataError, match="reward fractions are at least 0"):
        entropy([0.5, -0.1])
    with pytest.raises(DataError, match=r"previous has shape \(1,\); give \(2,\)"):
        smoothed([0.5, 0.5], [1.0])
