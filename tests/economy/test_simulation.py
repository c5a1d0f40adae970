"""A mock network through the protocol's epochs: deterministic, conserving, independent of what it ought not to see."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from economy.experiments.network import draw_network
from economy.experiments.simulation import History, simulate, simulate_seeds
from protocol.consensus.allora.losses import Losses
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, VARIANTS
from protocol.errors import UsageError


def arrays(history: History) -> dict[str, np.ndarray]:
    found = {field.name: getattr(history, field.name) for field in fields(history)}
    return {name: value.values if isinstance(value, Losses) else value for name, value in found.items()}


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = (arrays(simulate(draw_network(5, 12))) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_future_changes_no_past() -> None:
    short, long = (arrays(simulate(draw_network(5, epochs))) for epochs in (8, 12))
    for name, array in short.items():
        np.testing.assert_array_equal(array, long[name][:8])


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
def test_rewards_are_the_emission(variant: object) -> None:
    network = draw_network(2, 15)
    history = simulate(network, variant)  # type: ignore[arg-type]  # pytest's parameters are objects
    parts = (history.inference_rewards, history.forecast_rewards, history.reputer_rewards)
    np.testing.assert_allclose(history.class_rewards.sum(axis=1), network.emissions, rtol=1e-12)
    for number, part in enumerate(parts):
        np.testing.assert_allclose(part.sum(axis=1), history.class_rewards[:, number], rtol=1e-12)
        assert np.all(part >= 0)
    assert np.all((history.utility >= 0.1) & (history.utility <= 0.5))


def test_variants_differ() -> None:
    network = draw_network(2, 15)
    runs = [arrays(simulate(network, variant)) for variant in (SIMULATOR, PAPER, CHAIN2026)]
    assert not np.array_equal(runs[0]["class_rewards"], runs[1]["class_rewards"])
    assert not np.array_equal(runs[0]["actual"], runs[2]["actual"])


def test_losses_do_not_depend_on_the_truth() -> None:
    network = draw_network(4, 15)
    moved = replace(network, truth=network.truth + 3.0, inferences=network.inferences + 3.0)
    np.testing.assert_allclose(simulate(moved).actual.values, simulate(network).actual.values, atol=1e-6)


def test_reputers_report_moving_averages() -> None:
    network = draw_network(6, 10)
    history = simulate(replace(network, report_errors=np.zeros_like(network.report_errors), memories=np.full(5, 0.25)))
    seen = history.actual.values[0]
    for epoch in range(10):
        seen = 0.25 * history.actual.values[epoch] + 0.75 * seen
        np.testing.assert_allclose(history.reported.values[epoch], seen, rtol=1e-12)


def test_seeds_come_in_turn_and_are_told() -> None:
    told: list[str] = []
    assert [seed for seed, _ in simulate_seeds(3, 4, progress=told.append)] == [1, 2, 3]
    assert told == ["1 of 3 seeds", "2 of 3 seeds", "3 of 3 seeds"]
    with pytest.raises(UsageError, match="0 seeds; give at least 1"):
        next(simulate_seeds(0))
