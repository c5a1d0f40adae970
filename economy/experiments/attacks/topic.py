"""A mock Allora topic whose one reputer reports every loss as it is: what attacks on inferences and forecasts are tried on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from economy.experiments.network import MockNetwork, draw_network
from protocol.consensus.allora.epoch import State, infer, settle
from protocol.consensus.allora.loss import SQUARED
from protocol.consensus.allora.losses import Losses
from protocol.consensus.allora.variant import SIMULATOR, Variant

Floats = NDArray[np.float64]

WORKERS, EPOCHS = 5, 120


@dataclass(frozen=True, slots=True)
class Course:
    """What happened in T epochs.

    Attributes
    ----------
    losses
        log10 of the squared error of every inference; values (T, size), NaN where there is none.
    weights : (T, Ni + Nf) float64
        Of the network inference, Eq. 10.
    inference_fractions, forecast_fractions : (T, Ni), (T, Nf) float64
        Eq. 27 and 28.
    paid : (T,) float64
        Share of the emission that anybody was paid.
    """

    losses: Losses
    weights: Floats
    inference_fractions: Floats
    forecast_fractions: Floats
    paid: Floats


def draw_topic(seed: int, workers: int = WORKERS, epochs: int = EPOCHS) -> MockNetwork:
    """Return a mock network of :func:`economy.experiments.network.draw_network` of which the reputers are not used."""
    return draw_network(seed, epochs, workers=workers)


def run_topic(network: MockNetwork, variant: Variant = SIMULATOR) -> Course:
    """Run the network through the protocol's epochs."""
    layout = network.layout
    state = State.start(layout.inferers, layout.forecasters, [1.0])
    losses = np.empty((network.epochs, layout.size))
    weights = np.empty((network.epochs, layout.workers))
    outcomes = []
    for epoch, truth in enumerate(network.truth):
        inferences = network.inferences[epoch]
        synthesis = infer(state, inferences, network.log_forecasts[epoch], variant)
        losses[epoch] = SQUARED.log10(layout.inferences(inferences, synthesis), truth)
        weights[epoch] = synthesis.weights
        state, outcome = settle(state, synthesis, Losses(layout, losses[epoch : epoch + 1]), 1.0, variant)
        outcomes.append(outcome)
    return Course(
        losses=Losses(layout, losses),
        weights=weights,
        inference_fractions=np.stack([one.inference_fractions for one in outcomes]),
        forecast_fractions=np.stack([one.forecast_fractions for one in outcomes]),
        paid=np.array([1 - one.kept for one in outcomes]),
    )
