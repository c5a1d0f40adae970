"""A mock network run through the protocol's epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from economy.experiments.experiment import Progress
from economy.experiments.network import MockNetwork, draw_network
from protocol.consensus.allora.epoch import Outcome, State, infer, settle
from protocol.consensus.allora.loss import SQUARED
from protocol.consensus.allora.losses import Losses
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.errors import UsageError

Floats = NDArray[np.float64]

#: The paper's number of epochs, and networks drawn unless told otherwise.
EPOCHS = 400
SEEDS = 30


@dataclass(frozen=True, slots=True)
class History:
    """What happened in T epochs with Ni inferers, Nf forecasters and Nr reputers.

    Attributes
    ----------
    actual
        log10 of the squared error of every inference against the truth; values (T, size).
    reported
        log10 of the losses that the network acts on, stake-weighted over the reputers, Eq. 14; values (T, size).
    class_rewards : (T, 3) float64
        Tokens for inference, forecasting and reputers, Eq. 42.
    inference_rewards, forecast_rewards, reputer_rewards : (T, Ni), (T, Nf), (T, Nr) float64
        Tokens, Eq. 47.
    utility : (T,) float64
        chi of Eq. 45.
    """

    actual: Losses
    reported: Losses
    class_rewards: Floats
    inference_rewards: Floats
    forecast_rewards: Floats
    reputer_rewards: Floats
    utility: Floats


def simulate(network: MockNetwork, variant: Variant = SIMULATOR) -> History:
    """Run a mock network from the first epoch to its last, every rule being the protocol's.

    A reputer reports the moving average of what it sees: log10 of the actual losses plus its own error; it begins with
    the first epoch's.
    """
    layout, memory = network.layout, network.memories[:, np.newaxis]
    state = State.start(layout.inferers, layout.forecasters, network.stakes)
    actual = np.empty((network.epochs, layout.size))
    reports: Floats | None = None
    outcomes: list[Outcome] = []
    for epoch, truth in enumerate(network.truth):
        inferences = network.inferences[epoch]
        synthesis = infer(state, inferences, network.log_forecasts[epoch], variant)
        actual[epoch] = SQUARED.log10(layout.inferences(inferences, synthesis), truth)
        seen = actual[epoch] + network.report_errors[epoch]
        reports = seen if reports is None else memory * seen + (1.0 - memory) * reports
        state, outcome = settle(state, synthesis, Losses(layout, reports), float(network.emissions[epoch]), variant)
        outcomes.append(outcome)
    return History(
        actual=Losses(layout, actual),
        reported=Losses(layout, np.stack([one.losses.values for one in outcomes])),
        class_rewards=np.stack([one.class_rewards for one in outcomes]),
        inference_rewards=np.stack([one.inference_rewards for one in outcomes]),
        forecast_rewards=np.stack([one.forecast_rewards for one in outcomes]),
        reputer_rewards=np.stack([one.reputer_rewards for one in outcomes]),
        utility=np.array([one.chi for one in outcomes]),
    )


def simulate_seeds(
    seeds: int, epochs: int = EPOCHS, variant: Variant = SIMULATOR, progress: Progress = lambda text: None
) -> Iterator[tuple[int, History]]:
    """Yield seed and history of the mock networks of seeds 1 to `seeds`, in turn.

    Raises
    ------
    UsageError
        No seed or no epoch.
    """
    if seeds < 1:
        raise UsageError(f"{seeds} seeds; give at least 1")
    for seed in range(1, seeds + 1):
        yield seed, simulate(draw_network(seed, epochs), variant)
        progress(f"{seed} of {seeds} seeds")
