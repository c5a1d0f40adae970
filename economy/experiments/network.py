"""Mock workers, forecasters and reputers of the white paper's section 3.3, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from protocol.consensus.allora.losses import LossLayout
from protocol.errors import UsageError

Floats = NDArray[np.float64]

WORKERS = 3
REPUTERS = 5

#: Section 3.3; mean and dispersion of log10 of what is drawn, or of the value itself where a bias is drawn.
INFERENCE_ERROR = (-0.700, 0.176)
INFERENCE_BIAS = (0.0, 0.05)
FORECAST_ERROR = (-0.222, 0.176)  # dex
FORECAST_BIAS = (0.0, 0.3)  # dex
REPORT_ERROR = (-1.000, 0.097)  # dex
REPORT_BIAS = (0.0, 0.05)  # dex
REPORT_MEMORY = (-1.523, 0.301)  # alpha_m, weight of the newest loss
OUTPERFORMANCE = 0.3
"""Error and bias of the epoch's favoured worker are multiplied by this."""

#: Not in the paper, and without influence on losses (weights sum to one, so the truth cancels): log return per epoch.
TRUTH_STEP = 0.1
#: Not in the paper either: log10 of the tokens that each reputer stakes at first, and the tokens emitted to the topic per
#: epoch, whose log10 is an autoregressive process of this memory and stationary dispersion.
STAKE = (5.3, 0.3)
EMISSION = 7_500.0
EMISSION_MEMORY = 0.9
EMISSION_DISPERSION = 0.05


@dataclass(frozen=True, slots=True)
class MockNetwork:
    """Everything that is drawn before the network is asked; T epochs, Ni inferers, Nf forecasters, Nr reputers.

    Attributes
    ----------
    truth : (T,) float64
        Target variable, a random walk of log returns.
    favoured : (T,) int64
        Worker whose error and bias are multiplied by 0.3 in that epoch.
    inferences : (T, Ni) float64
        Unit of the truth.
    log_forecasts : (T, Nf, Ni) float64
        log10 of the squared error that each forecaster expects of each inference.
    report_errors : (T, Nr, size) float64
        Added to log10 of each loss by each reputer, bias included; columns of `layout`.
    memories : (Nr,) float64
        alpha_m, the weight of the newest loss in what a reputer reports.
    stakes : (Nr,) float64
        Tokens before the first epoch.
    emissions : (T,) float64
        Tokens for everyone in the topic, per epoch.
    """

    truth: Floats
    favoured: NDArray[np.int64]
    inferences: Floats
    log_forecasts: Floats
    report_errors: Floats
    memories: Floats
    stakes: Floats
    emissions: Floats

    @property
    def epochs(self) -> int:
        """Return T."""
        return self.truth.size

    @property
    def layout(self) -> LossLayout:
        """Return the order of the loss columns."""
        return LossLayout(self.inferences.shape[1], self.log_forecasts.shape[1])


def experience(epochs: int) -> Floats:
    """Return the factor on a worker's error and bias, Eq. 20: from 1 towards 0.5; (T,)."""
    factor: Floats = 0.5 * (1.0 + np.exp(-0.03 * np.arange(epochs)))
    return factor


def context_sensitivity(drawn: Floats, slope: float = 10.0, middle: float = 0.5) -> Floats:
    """Return how far each forecaster sees outperformance coming, Eq. 21; `drawn` is uniform in [0, 1]."""
    sensitivity: Floats = 1.0 / (1.0 + np.exp(-slope * (drawn - middle)))
    return sensitivity


def draw_network(seed: int, epochs: int, *, workers: int = WORKERS, reputers: int = REPUTERS) -> MockNetwork:
    """Draw a network; the same seed gives the same one, and a longer one begins with a shorter one of its seed.

    Forecasts follow the paper to the letter: log10 of the actual loss plus a Gaussian of the forecaster's bias and error
    ("context-aware"), the same with a fresh Gaussian and the favoured worker's loss divided by 0.3 squared
    ("context-unaware"), and their mean weighted by the forecaster's sensitivity.

    Parameters
    ----------
    seed : int
        At least 0.
    epochs : int
        T, at least 1.
    workers : int
        Each infers and forecasts, as in Fig. 2.
    reputers : int

    Raises
    ------
    UsageError
        A number is too small.
    """
    for name, value, least in (
        ("seed", seed, 0),
        ("epochs", epochs, 1),
        ("workers", workers, 1),
        ("reputers", reputers, 1),
    ):
        if value < least:
            raise UsageError(f"{name} = {value}; give at least {least}")
    streams = [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(10)]
    truths, people, contexts, guesses, aware, unaware, judges, reports, emissions, holdings = streams
    truth = np.cumsum(truths.normal(0.0, TRUTH_STEP, epochs))
    practice = experience(epochs)[:, np.newaxis]

    error, bias = 10.0 ** people.normal(*INFERENCE_ERROR, workers), people.normal(*INFERENCE_BIAS, workers)
    favoured = contexts.integers(workers, size=epochs)
    outperforming = favoured[:, np.newaxis] == np.arange(workers)
    quality = practice * np.where(outperforming, OUTPERFORMANCE, 1.0)
    misses = quality * (bias + error * guesses.standard_normal((epochs, workers)))
    log_losses = 2.0 * np.log10(np.abs(misses))

    blur = (10.0 ** people.normal(*FORECAST_ERROR, workers))[:, np.newaxis]
    lean = people.normal(*FORECAST_BIAS, workers)[:, np.newaxis]
    sees = context_sensitivity(people.random(workers))[:, np.newaxis]
    usual = log_losses - 2.0 * np.log10(OUTPERFORMANCE) * outperforming
    shape = (epochs, workers, workers)
    skill = practice[:, np.newaxis]
    expected = log_losses[:, np.newaxis] + skill * (lean + blur * aware.standard_normal(shape))
    unsuspecting = usual[:, np.newaxis] + skill * (lean + blur * unaware.standard_normal(shape))

    deviation = 10.0 ** judges.normal(*REPORT_ERROR, reputers)[:, np.newaxis]
    partiality = judges.normal(*REPORT_BIAS, reputers)[:, np.newaxis]
    size = LossLayout(workers, workers).size
    return MockNetwork(
        truth=truth,
        favoured=favoured,
        inferences=truth[:, np.newaxis] + misses,
        log_forecasts=sees * expected + (1.0 - sees) * unsuspecting,
        report_errors=partiality + deviation * reports.standard_normal((epochs, reputers, size)),
        memories=np.minimum(10.0 ** judges.normal(*REPORT_MEMORY, reputers), 1.0),
        stakes=10.0 ** holdings.normal(*STAKE, reputers),
        emissions=_emissions(emissions.standard_normal(epochs)),
    )


def _emissions(shocks: Floats) -> Floats:
    """Return tokens per epoch around `EMISSION`, from standard normal shocks."""
    innovation = EMISSION_DISPERSION * np.sqrt(1.0 - EMISSION_MEMORY**2)
    steps = [EMISSION_DISPERSION * shocks[0], *(innovation * shocks[1:])]
    tokens: Floats = EMISSION * 10.0 ** np.array([*accumulate(steps, lambda old, new: EMISSION_MEMORY * old + new)])
    return tokens
