"""Figure 2: the network beats the naive one by about an order of magnitude."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from economy.experiments.fig2 import gain, run
from economy.experiments.network import draw_network
from economy.experiments.simulation import simulate
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, Variant


def test_gains_are_means_of_the_last_three_quarters() -> None:
    history = simulate(draw_network(1, 40))
    found = gain(1, history)
    network, naive = history.actual.values[10:, 0], history.actual.values[10:, 7]
    assert found.network_over_naive == pytest.approx(np.mean(naive - network))
    assert found.network_over_best - found.network_over_naive == pytest.approx(found.naive_over_best)


def test_the_network_beats_naive_and_best_worker() -> None:
    numbers = run(seeds=3, epochs=120).numbers
    for measure in ("network_over_naive", "network_over_best"):
        facts = numbers["gains"][measure]
        assert facts["positive"] == 3
        assert 0.3 < facts["worst"] <= facts["median"] <= facts["best"] < 2.0


def test_the_picture_is_of_a_typical_seed() -> None:
    experiment = run(seeds=3, epochs=8)
    gains = {one["seed"]: one["network_over_naive"] for one in experiment.numbers["per_seed"]}
    assert gains[experiment.numbers["seed_in_picture"]] == experiment.numbers["gains"]["network_over_naive"]["median"]
    assert experiment.picture is not None
    assert np.ptp(np.asarray(imread(BytesIO(experiment.picture)))) > 0
    assert run(seeds=3, epochs=8).picture == experiment.picture


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "least", "over_naive", "over_best"),
    [(SIMULATOR, 0.90, 0.942, 0.997), (PAPER, 0.90, 0.942, 1.002), (CHAIN2026, 0.85, 0.962, 0.996)],
    ids=lambda value: getattr(value, "name", None),
)
def test_gains_over_thirty_seeds_are_the_known_ones(
    variant: Variant, least: float, over_naive: float, over_best: float
) -> None:
    """Another generator draws other networks: a median of 30 has a standard error of about 0.035 dex.

    The chain's scale looks past workers of negligible weight, which makes it harder to come back: without that rule
    the median is 0.95 dex.
    """
    numbers = run(30, 400, variant).numbers
    naive, best = numbers["gains"]["network_over_naive"], numbers["gains"]["network_over_best"]
    assert naive["positive"] == best["positive"] == 30
    assert naive["median"] >= least
    assert naive["median"] == pytest.approx(over_naive, abs=0.12)
    assert best["median"] == pytest.approx(over_best, abs=0.12)
    assert numbers["gains"]["naive_over_best"]["median"] == pytest.approx(0.03, abs=0.03)
