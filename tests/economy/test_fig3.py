"""Figure 3: how the emission is divided between tasks and participants."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from economy.experiments.fig3 import run, shares
from economy.experiments.network import draw_network
from economy.experiments.simulation import simulate
from protocol.consensus.allora.variant import PAPER


def test_shares_are_of_everything_paid() -> None:
    network = draw_network(1, 20)
    found = shares(1, simulate(network, PAPER))
    assert found.inference + found.forecasting + found.reputers == pytest.approx(1.0)
    paid = simulate(network, PAPER).forecast_rewards.sum() / network.emissions.sum()
    assert found.forecasting == pytest.approx(paid)


def test_the_numbers_name_median_and_range() -> None:
    experiment = run(seeds=3, epochs=8, variant=PAPER)
    numbers = experiment.numbers
    for key in ("inference", "forecasting", "reputers", "utility_last"):
        values = sorted(one[key] for one in numbers["per_seed"])
        assert [numbers[which][key] for which in ("smallest", "median", "largest")] == values
    assert experiment.picture is not None
    picture = np.asarray(imread(BytesIO(experiment.picture)))
    assert picture.shape[1] > 2 * picture.shape[0]
    assert np.ptp(picture) > 0


@pytest.mark.slow
def test_shares_over_thirty_seeds_are_the_known_ones() -> None:
    middle = run(30, 400, PAPER).numbers["median"]
    known = {"inference": 0.330, "forecasting": 0.282, "reputers": 0.397}
    assert {key: middle[key] for key in known} == pytest.approx(known, abs=0.02)
    assert middle["utility_early"] == pytest.approx(0.17, abs=0.03)
    assert middle["utility_last"] == pytest.approx(0.50, abs=0.01)
