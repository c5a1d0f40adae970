"""Degenerate epochs: regrets that underflow, scores that are all equal, one participant per task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from economy.experiments.attacks.row import Row, middle
from economy.experiments.attacks.topic import draw_topic, run_topic
from economy.experiments.network import draw_network
from economy.experiments.simulation import simulate
from protocol.consensus.allora.potential import potential, slope, weights
from protocol.consensus.allora.scores import reward_fractions
from protocol.consensus.allora.variant import PAPER, SIMULATOR

Floats = NDArray[np.float64]

RUNS, EPOCHS = 3, 400  # networks per seed, and epochs of each: those of Fig. 2


def literal_weights(regrets: Floats) -> Floats:
    """Return Eq. 5 and 8 as printed, not divided by their sum; (..., n) regrets in log10 of losses."""
    spread = regrets.std(axis=-1, ddof=1, keepdims=True)
    return slope(regrets / (spread + PAPER.epsilon), PAPER.p, PAPER.c)


def forecast_regrets(seed: int) -> Floats:
    """Return what forecasters expect of the inferers that are left when one is withheld, Eq. 4; (j, T, Nf, Ni - 1)."""
    network = draw_network(seed, EPOCHS)
    reported = simulate(network, PAPER).reported.network
    before = np.concatenate([[0.0], reported[:-1]])
    regrets = before[:, None, None] - network.log_forecasts
    return np.stack([np.delete(regrets, j, axis=-1) for j in range(regrets.shape[-1])])


def regrets_underflow(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield in how many runs of the paper's experiment the weights as printed are all 0, so that Eq. 3 is 0/0."""
    runs = [RUNS * (seed - 1) + run for seed in seeds for run in range(1, RUNS + 1)]
    literal, stable = 0, 0
    for run in runs:
        regrets = forecast_regrets(run)
        literal += bool((literal_weights(regrets).sum(axis=-1) == 0).any())
        stable += not bool((abs(weights(regrets, PAPER).sum(axis=-1) - 1) < 1e-9).all())
    for on, count in ((True, stable), (False, literal)):
        yield Row.over(
            [count],
            attack="regrets-underflow",
            setting=f"{len(runs)} runs of {EPOCHS} epochs, 3 workers who infer and forecast; one withheld (Eq. 12)",
            defence="ratio of weights in log space",
            on=on,
            measure="runs in which a forecast-implied inference is 0/0",
            unit=f"of {len(runs)}",
            verdict="the paper's 'always a non-zero weight' is false in float64" if count else "never 0/0",
        )


def equal_scores(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield how many of five workers with the same score are not paid a fifth."""
    row = partial(Row.over, attack="equal-scores", setting="5 workers score the same in their first epoch")
    for on in (True, False):
        undefined = []
        for seed in seeds:
            scores = np.full(5, np.random.default_rng(seed).normal())
            if on:
                shares = reward_fractions(scores, None, PAPER)
            else:
                with np.errstate(divide="ignore", invalid="ignore"):
                    paid = potential(scores / np.float64(0), PAPER.p, PAPER.c)  # equal scores do not deviate
                    shares = paid / paid.sum()
            undefined.append(5 - int(np.count_nonzero(np.isclose(shares, 0.2))))
        yield row(
            undefined,
            defence="epsilon of Eq. 29",
            on=on,
            measure="workers without a fifth of the reward",
            unit="of 5",
            verdict="equal scores are paid alike" if max(undefined) == 0 else "0/0",
        )


def one_participant(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what is paid to one inferer, one forecaster and one reputer, whose entropies are 0 by definition."""
    for on, variant in ((True, SIMULATOR), (False, PAPER)):
        values = [float(run_topic(draw_topic(seed, workers=1, epochs=20), variant).paid.mean()) for seed in seeds]
        yield Row.over(
            values,
            attack="one-participant",
            setting="1 worker who infers and forecasts, 1 reputer",
            defence="entropy of one participant ln(2)/4",
            on=on,
            measure="share of the emission that is paid",
            unit="share",
            verdict="all of it is paid" if middle(values) > 0.999 else "Eq. 42 is 0/0: the treasury keeps the emission",
        )
