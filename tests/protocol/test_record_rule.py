"""The record rule as a whole, on generated panels: luck stays out, skill comes in. The benchmark of the same name is larger."""

import pytest

from benchmarks.record_rule import Market, simulate


@pytest.fixture(scope="module")
def outcome():
    return simulate(
        market=Market(horizon=6, symbols=10, days=240),
        submissions=160,
        worlds=20,
        orders=20,
        copied=2,
        planted=2,
        signals=4,
        strength=0.05,
        seed=3,
    )


@pytest.mark.slow
def test_submissions_without_skill_seldom_pass_the_screen(outcome):
    screens = outcome["screens"]
    assert screens["expected"] <= 0.1  # 0.05, and as much for chance
    assert screens["share_p_below_0.05"] <= 0.1
    assert screens["naive"] > 2  # what "scores more than the record" would let in


@pytest.mark.slow
def test_submissions_without_skill_are_seldom_crowned(outcome):
    for shares in outcome["crowns"].values():
        assert shares["rule_20"] <= 0.05
        assert shares["rule_100"] <= 0.01


@pytest.mark.slow
def test_copies_with_noise_are_never_accepted(outcome):
    assert outcome["copies"]["tried"] == 40
    assert outcome["copies"]["accepted"] == 0
    assert outcome["copies"]["least_similarity"] > 0.95


@pytest.mark.slow
def test_skill_passes_the_screen_and_is_crowned(outcome):
    skill = outcome["skill"]
    assert skill["ic"] > 0.05
    assert skill["screened_all_within_180_days"] == 1
    assert skill["crowned_all_within_180_days"] == 1
