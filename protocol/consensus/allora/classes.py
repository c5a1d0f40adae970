"""How a topic's reward is divided between its three tasks and then between participants; Eq. 38-47."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.inputs import amounts, shares, vector
from protocol.consensus.allora.potential import present
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.consensus.shares import apportion
from protocol.errors import DataError

Floats = NDArray[np.float64]

#: Range of the forecasting task's utility, Eq. 45.
LEAST_UTILITY, GREATEST_UTILITY = 0.1, 0.5
#: A largest inference score nearer to 0 than this (dex) counts as 0 in Eq. 44, so that the ratio stays finite.
NEGLIGIBLE_SCORE = 1e-200


@dataclass(frozen=True, slots=True)
class Entropies:
    """Modified entropies F, G and H of the inference, forecasting and reputer tasks, in nats; Eq. 38."""

    inference: float
    forecast: float
    reputer: float


@dataclass(frozen=True, slots=True)
class Utility:
    """Usefulness of the forecasting task.

    Attributes
    ----------
    tau
        Smoothed ratio of its score to the best inference score, Eq. 44; carries over into the next step.
    chi
        Its utility, 0.1 to 0.5, Eq. 45.
    """

    tau: float
    chi: float


@dataclass(frozen=True, slots=True)
class Split:
    """A topic's reward by task, in the unit of the emission; Eq. 42 and 46.

    Attributes
    ----------
    inference, forecast, reputer
        U, V and W.
    gamma
        What keeps U + V independent of the utility, Eq. 46; 1 if neither task has any entropy.
    kept
        What nobody is paid: the whole emission if all entropies are 0, else 0. U + V + W + kept is the emission.
    """

    inference: float
    forecast: float
    reputer: float
    gamma: float
    kept: float


@dataclass(frozen=True, slots=True)
class Payout:
    """Whole units paid to each participant, Eq. 47, and `kept`, which stays in the treasury; their sum is the total."""

    inference: tuple[int, ...]
    forecast: tuple[int, ...]
    reputer: tuple[int, ...]
    kept: int


def smoothed(fractions: ArrayLike, previous: ArrayLike, variant: Variant = SIMULATOR) -> Floats:
    """Return the moving average of reward fractions; Eq. 40.

    Parameters
    ----------
    fractions : (n,) float
        Of this step. NaN: absent; the average stays as it was.
    previous : (n,) float
        Averages after the last step. NaN: a newcomer, whose average starts at its first fraction.
    variant
        `alpha`.

    Returns
    -------
    (n,) float64
        Not divided by their sum: that is Eq. 39, done by :func:`effective_number` and :func:`entropy`. Sums to one if
        both arguments do.
    """
    new = vector("fractions", fractions)
    old = vector("previous", previous, new.size)
    average = variant.alpha * new + (1 - variant.alpha) * old
    return np.where(np.isnan(new), old, np.where(np.isnan(old), new, average))


def effective_number(fractions: ArrayLike) -> float:
    """Return how many participants the fractions are worth, 1 / sum f^2 of the fractions over their sum; Eq. 39, 41.

    Between 1 and the number of non-zero fractions; 0 if all are 0 or absent (NaN).
    """
    f = shares(_fractions(fractions))
    squares = float(f @ f)
    return 1 / squares if squares else 0.0


def entropy(fractions: ArrayLike, variant: Variant = SIMULATOR) -> float:
    """Return the modified entropy of a class; Eq. 38, 39 and 41.

    Parameters
    ----------
    fractions : (n,) float
        Smoothed reward fractions of those present, on any scale. NaN entries are absent and not counted in N; zero
        entries are counted.
    variant
        `beta`, and `single_entropy`: what a single participant counts for.

    Returns
    -------
    float
        nats, 0 to ln N. 0 if nobody is there, or if all fractions are 0 (there is nobody to pay).
    """
    values = _fractions(fractions)
    number = int(np.count_nonzero(~np.isnan(values)))
    f = shares(values)
    if not f.any():
        return 0.0
    if number == 1:
        return variant.single_entropy
    plain = -float(f @ np.log(np.where(f > 0, f, 1.0)))
    return max(plain, 0.0) * math.pow(float(1 / (f @ f * number)), variant.beta)


def utility(
    network: float, naive: float, inference_scores: ArrayLike, tau: float, variant: Variant = SIMULATOR
) -> Utility:
    """Return the utility of the forecasting task after this step; Eq. 43-45.

    Parameters
    ----------
    network, naive
        log10 losses of the network inference and of the naive one.
    inference_scores : (Ni,) float
        Of this step, dex; NaN: absent.
    tau
        Smoothed ratio after the last step, 0 before the first.
    variant
        `alpha`, and `positive_best`: the chain takes the best score to be at least 0, the paper as it is.

    Returns
    -------
    Utility
        A best score of 0 leaves Eq. 44 undefined: the task's score is then compared with its own magnitude, ratio 1 or
        -1, and if that is 0 too, tau starts again from 0 with the greatest utility, as on the chain. Without losses or
        inference scores nothing can be said and `tau` stays.
    """
    scores = vector("inference_scores", inference_scores)
    if np.isnan(scores).all() or not present([network, naive]).all():
        return Utility(tau, _chi(tau))
    gain, best = float(naive - network), float(np.nanmax(scores))
    if variant.positive_best:
        best = max(best, 0.0)
    if abs(best) >= NEGLIGIBLE_SCORE:
        ratio = (gain - min(0.0, best)) / abs(best)
    elif gain == 0:
        return Utility(0.0, GREATEST_UTILITY)
    else:
        ratio = math.copysign(1.0, gain)
    tau = variant.alpha * ratio + (1 - variant.alpha) * tau
    return Utility(tau, _chi(tau))


def _chi(tau: float) -> float:
    """Return the utility that a ratio stands for; Eq. 45."""
    return (GREATEST_UTILITY - LEAST_UTILITY) * min(max(tau, 0.0), 1.0) + LEAST_UTILITY


def split(emission: float, entropies: Entropies, chi: float) -> Split:
    """Divide a topic's emission between the three tasks; Eq. 42 and 46.

    Parameters
    ----------
    emission
        E, of the topic in this step; any unit.
    entropies
        Of the smoothed fractions.
    chi
        Utility of the forecasting task, Eq. 45.

    Returns
    -------
    Split
        When all entropies are 0, as in the paper's variant with one participant per class, Eq. 42 is 0/0: nothing is
        paid and the whole emission is `kept`.

    Raises
    ------
    DataError
        Emission or an entropy is negative or not finite, or chi is not strictly between 0 and 1.
    """
    f, g, h = entropies.inference, entropies.forecast, entropies.reputer
    amounts("emission and entropies", [emission, f, g, h])
    if not 0 < chi < 1:
        raise DataError(f"chi is {chi}; the utility of the forecasting task lies between 0 and 1")
    modulated = (1 - chi) * f + chi * g
    gamma = (f + g) / modulated if modulated > 0 else 1.0
    total = f + g + h
    if total == 0:
        return Split(0.0, 0.0, 0.0, gamma, emission)
    unit = emission / total
    return Split((1 - chi) * gamma * f * unit, chi * gamma * g * unit, h * unit, gamma, 0.0)


def payout(
    total: int, entropies: Entropies, chi: float, *, inference: ArrayLike, forecast: ArrayLike, reputer: ArrayLike
) -> Payout:
    """Pay a whole number of units to the participants of a topic, without losing or making one; Eq. 42, 46 and 47.

    Parameters
    ----------
    total
        Units of the smallest denomination to be paid in this step.
    entropies, chi
        As for :func:`split`.
    inference, forecast, reputer : (n,) float
        Reward fractions of this step: u, v and w. NaN or 0: not paid.

    Returns
    -------
    Payout
        First the tasks, then the participants of each get the exact share to within one unit. What a task without
        anybody to pay would get is kept.
    """
    parts = split(1.0, entropies, chi)
    budgets = apportion(total, (parts.inference, parts.forecast, parts.reputer, parts.kept))
    paid, kept = [], budgets[3]
    for budget, fractions in zip(budgets[:3], (inference, forecast, reputer), strict=True):
        weights = np.nan_to_num(_fractions(fractions), nan=0.0)
        if weights.any():
            paid.append(apportion(budget, weights))
        else:
            paid.append((0,) * weights.size)
            kept += budget
    return Payout(paid[0], paid[1], paid[2], kept)


def _fractions(fractions: ArrayLike) -> Floats:
    values = vector("fractions", fractions)
    if (values < 0).any():
        raise DataError(f"fractions hold {float(np.nanmin(values))}; reward fractions are at least 0")
    return values
