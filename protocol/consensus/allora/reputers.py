"""Whom the network listens to when losses are reported, and what reputers earn; Eq. 30-37.

Every array of losses holds log10 losses, one row per reputer and one column per loss of Eq. 31. NaN is a missing report:
a column's consensus is taken over those who reported it, a reputer is compared on the columns it reported, and the score
shrinks with what it left out (:func:`coverage`), so that silence where agreement is hard does not pay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.inputs import amounts, shares, vector
from protocol.consensus.allora.potential import present
from protocol.consensus.allora.proximity import Reports, closeness
from protocol.errors import ConfigError, DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Listening:
    """Parameters of the descent of Eq. 35; the defaults are the simulator's.

    Attributes
    ----------
    rate
        Learning rate lambda.
    step
        By how much a coefficient is moved to see the total score change: up, or down from exactly 1.
    iterations
        At most this many steps.
    threshold
        Stop when no coefficient moved by this times `rate` or more.
    min_fraction
        Least share of the reporting stake that is listened to; a step that goes below is interpolated to it.
    clamp
        Bring coefficients back to 0 to 1 after that interpolation. The simulator does not: once rounding, or stakes that
        changed since, have put the share a little below `min_fraction`, interpolation extrapolates, and coefficients may
        become negative or far larger than 1. Without effect as long as the share starts at or above `min_fraction`.
    tolerance
        epsilon_r of Eq. 33, which caps a score at its inverse. Also stands in for the norm of a consensus that is 0.
    """

    rate: float = 0.05
    step: float = 0.001
    iterations: int = 10
    threshold: float = 0.001
    min_fraction: float = 0.5
    clamp: bool = False
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        for name in ("rate", "step", "tolerance"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"listening {name} is {getattr(self, name)}; give more than 0 and at most 1")
        if self.iterations < 1:
            raise ConfigError(f"listening iterations is {self.iterations}; give at least 1")
        if not self.threshold >= 0 or not 0 <= self.min_fraction <= 1:
            raise ConfigError(
                f"listening threshold is {self.threshold} and min_fraction {self.min_fraction}; give a threshold of at "
                "least 0 and a fraction from 0 to 1"
            )


class Listened(NamedTuple):
    """What the descent ends with.

    Attributes
    ----------
    coefficients : (Nr,) float64
        Listening coefficients after the last step.
    scores : (Nr,) float64
        Eq. 33, of the coefficients before the last step, as in the simulator and on the chain.
    iterations
        Steps taken.
    adjusted_stakes : (Nr,) float64
        Eq. 30, of the same coefficients as the scores; 0 for a reputer without reports.
    """

    coefficients: Floats
    scores: Floats
    iterations: int
    adjusted_stakes: Floats


def adjusted_stakes(stakes: ArrayLike, coefficients: ArrayLike) -> Floats:
    """Return the weights of reputers in the consensus; Eq. 30.

    Parameters
    ----------
    stakes : (Nr,) float
        Any unit, not negative.
    coefficients : (Nr,) float
        Listening coefficients.

    Returns
    -------
    (Nr,) float64
        At most 1, which whoever has the average listened stake or more gets. If nobody has a stake, all stakes count as
        equal; all 1 if nobody with a stake is listened to.
    """
    s = amounts("stakes", stakes)
    a = vector("coefficients", coefficients, s.size)
    return _adjusted(a * _voices(s))


def consensus_losses(log_losses: ArrayLike, weights: ArrayLike) -> Floats:
    """Return the weighted mean of the reported log losses; Eq. 32.

    Parameters
    ----------
    log_losses : (Nr, n) float
        log10, NaN where not reported.
    weights : (Nr,) float
        Adjusted stakes.

    Returns
    -------
    (n,) float64
        log10. NaN where nobody of positive weight reported.
    """
    reports = _reports(log_losses)
    w = vector("weights", weights, reports.shape[0])
    there = ~np.isnan(reports)
    total = w @ there
    heard = total > 0
    return np.where(heard, w @ np.where(there, reports, 0.0) / np.where(heard, total, 1.0), np.nan)


def proximity_scores(log_losses: ArrayLike, consensus: ArrayLike, tolerance: float = 0.01) -> Floats:
    """Return how near each reputer's losses are to the consensus; Eq. 33.

    Parameters
    ----------
    log_losses : (Nr, n) float
        log10, NaN where not reported.
    consensus : (n,) float
        log10, NaN where there is none.
    tolerance
        epsilon_r; also stands in for the norm of the consensus where that is 0.

    Returns
    -------
    (Nr,) float64
        0 to 1/tolerance. Both norms run over the columns that the reputer reported and that have a consensus; 0 for a
        reputer without any.
    """
    reports = _reports(log_losses)
    centre = vector("consensus", consensus, reports.shape[1])
    deviation = reports - centre
    there = ~np.isnan(deviation)
    distance = np.where(there, deviation, 0.0)
    norm = there @ np.where(np.isnan(centre), 0.0, centre) ** 2
    scores = closeness(np.einsum("mc,mc->m", distance, distance), norm, tolerance)
    return np.where(there.any(axis=1), scores, 0.0)


def coverage(log_losses: ArrayLike, stakes: ArrayLike) -> Floats:
    """Return how much of what was there to be reported each reputer reported.

    A column counts for the stake behind those who reported it, so that neither leaving out what all others report nor
    reporting what nobody else does is worth much. Not in the paper; 1 for everybody when nothing is missing.

    Parameters
    ----------
    log_losses : (Nr, n) float
        log10, NaN where not reported.
    stakes : (Nr,) float

    Returns
    -------
    (Nr,) float64
        0 for a reputer without reports, 1 for one without gaps.
    """
    there = ~np.isnan(_reports(log_losses))
    s = amounts("stakes", stakes, there.shape[0])
    worth = _voices(s) @ there
    total = worth.sum()
    return np.where(there.all(axis=1), 1.0, there @ worth / (total if total > 0 else 1.0))


def total_score(stakes: ArrayLike, scores: ArrayLike) -> float:
    """Return the stake-weighted mean of the reputers' scores; Eq. 34. The plain mean if nobody has a stake."""
    s = amounts("stakes", stakes)
    t = vector("scores", scores, s.size)
    return float(_voices(s) @ t)


def listen(
    log_losses: ArrayLike, stakes: ArrayLike, coefficients: ArrayLike, listening: Listening | None = None
) -> Listened:
    """Move the listening coefficients uphill on the total score; Eq. 30-35.

    The consensuses of all perturbed coefficients of a step are compared at once, :class:`.proximity.Reports`.

    Parameters
    ----------
    log_losses : (Nr, n) float
        log10, NaN where not reported.
    stakes : (Nr,) float
        Any unit, not negative.
    coefficients : (Nr,) float
        From the last epoch. NaN: a newcomer, who is fully listened to and starts at 1.
    listening
        The simulator's by default.

    Returns
    -------
    Listened
        A reputer without reports scores 0, keeps its coefficient, and counts neither in Nr nor in the stake. Without
        any reporter, no step is taken.
    """
    rule = listening or Listening()
    reports = _reports(log_losses)
    s = amounts("stakes", stakes, reports.shape[0])
    a = np.nan_to_num(vector("coefficients", coefficients, reports.shape[0]), nan=1.0)
    here = ~np.isnan(reports).all(axis=1)
    if here.all() and here.any():
        return _descend(reports, s, a, rule)
    outcome = Listened(a.copy(), np.zeros_like(s), 0, np.zeros_like(s))
    if not here.any():
        return outcome
    heard = _descend(reports[here], s[here], a[here], rule)
    outcome.coefficients[here], outcome.scores[here], outcome.adjusted_stakes[here] = heard[:2] + heard[3:]
    return outcome._replace(iterations=heard.iterations)


def reputer_fractions(stakes: ArrayLike, scores: ArrayLike, p: float = 1.0) -> Floats:
    """Return each reputer's share of the reward of its task; Eq. 36.

    Parameters
    ----------
    stakes : (Nr,) float
        Any unit, not negative.
    scores : (Nr,) float
        Eq. 33; NaN or 0: not paid.
    p
        Spread of the rewards; `Variant.reputer_p`.

    Returns
    -------
    (Nr,) float64
        Sum to one; all 0 if no reputer has both stake and score.
    """
    s = amounts("stakes", stakes)
    t = amounts("scores", np.nan_to_num(vector("scores", scores, s.size), nan=0.0))
    base = shares(shares(s) * t)
    return base if p == 1 else shares(base**p)


def next_stakes(stakes: ArrayLike, fractions: ArrayLike, reward: float) -> Floats:
    """Return stakes after the reward of the task has been added to them; Eq. 37. All in one unit."""
    s = amounts("stakes", stakes)
    return s + amounts("fractions", fractions, s.size) * reward


def _reports(log_losses: ArrayLike) -> Floats:
    reports = np.asarray(log_losses, dtype=np.float64)
    if reports.ndim != 2:
        raise DataError(f"log_losses has shape {reports.shape}; give (reputers, losses), NaN for a missing report")
    counts = present(reports)
    return reports if counts.all() else np.where(counts, reports, np.nan)


def _descend(reports: Floats, stakes: Floats, old: Floats, rule: Listening) -> Listened:
    """Carry out Eq. 35 for reputers who all reported something; see :func:`listen`."""
    share = _voices(stakes)
    covered = coverage(reports, stakes)
    columns = Reports.of(reports)
    moves = np.eye(stakes.size + 1, stakes.size, -1)  # row 0 moves nothing, row 1 + l coefficient l
    iterations, moved = 0, np.inf
    while iterations < rule.iterations and moved / rule.rate >= rule.threshold:
        iterations += 1
        move = np.where(old == 1, -rule.step, rule.step)
        weights = _adjusted((old + moves * move) * share)
        scores = covered * columns.scores(weights, rule.tolerance)
        total = scores @ share
        gradient = (1 - total[0] / total[1:]) / move
        new = _clamped(old + rule.rate * gradient)
        before, after = old @ share, new @ share
        if after < rule.min_fraction:
            if after == before:
                break
            new = old + (new - old) * ((rule.min_fraction - before) / (after - before))
            if rule.clamp:
                new = _clamped(new)
        moved, old = float(np.abs(new - old).max()), new
    return Listened(old, scores[0], iterations, weights[0])


def _voices(stakes: Floats) -> Floats:
    """Return each reputer's share of the stake; equal shares if nobody has a stake."""
    return shares(stakes if stakes.any() else np.ones_like(stakes))


def _adjusted(listened: Floats) -> Floats:
    """Return Eq. 30 along the last axis from stake times coefficient; all 1 where that adds up to nothing."""
    total = listened.sum(axis=-1, keepdims=True)
    some = total > 0
    return np.where(some, np.minimum(listened.shape[-1] * listened / np.where(some, total, 1.0), 1.0), 1.0)


def _clamped(coefficients: Floats) -> Floats:
    return np.minimum(np.maximum(coefficients, 0.0), 1.0)
