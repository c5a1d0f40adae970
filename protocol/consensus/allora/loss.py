"""What a wrong inference costs: one interface over the loss functions a topic can choose, Q of Eq. 13.

The network only ever sees log10 of a loss, so a loss must be positive. Every loss here has a floor for that: a perfect
inference loses the floor, which is where :mod:`protocol.rounding` stops telling inferences apart.

A loss that is convex in the inference makes the network at least as good as the weighted mean of the losses it is made
of (Jensen): Q(sum w I) <= sum w Q(I). This holds for squared and absolute error, and for log loss of inferences in
[1e-9, 1 - 1e-9]; raising a convex loss to a floor keeps it convex. It says nothing about the mean of *logarithms*, which
may be lower, so no worker is beaten by definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.potential import present
from protocol.errors import DataError
from protocol.rounding import PREDICTION_DECIMALS
from protocol.scores import day_scores

Floats = NDArray[np.float64]

RESOLUTION = 10.0**-PREDICTION_DECIMALS  # errors below it are rounding


class Loss(Protocol):
    """A topic's loss function."""

    @property
    def name(self) -> str:
        """What a topic calls it."""

    @property
    def convex(self) -> bool:
        """Jensen holds: a weighted mean of inferences loses at most the weighted mean of their losses."""

    def log10(self, inferences: ArrayLike, truth: ArrayLike) -> Floats:
        """Return log10 of the loss of each inference; NaN for an absent inference.

        Raises
        ------
        DataError
            The truth is not a finite value of the kind that the loss needs, or shapes do not fit.
        """
        ...


@dataclass(frozen=True, slots=True)
class PointLoss:
    """A loss of single numbers.

    Attributes
    ----------
    floor
        Least loss, in the unit of the loss; more than 0. Adapt it (``dataclasses.replace``) to a target whose unit makes
        errors of 1e-9 meaningful.
    evaluate
        Takes finite inferences and truths of one shape, returns losses that are not negative.
    lowest, highest
        Range of the truth.
    """

    name: str
    floor: float
    evaluate: Callable[[Floats, Floats], Floats]
    convex: bool = True
    lowest: float = -np.inf
    highest: float = np.inf

    def log10(self, inferences: ArrayLike, truth: ArrayLike) -> Floats:
        """Return log10 of the loss; the arguments broadcast. See :meth:`Loss.log10`."""
        x, y = np.asarray(inferences, dtype=np.float64), np.asarray(truth, dtype=np.float64)
        bad = ~present(y) | (y < self.lowest) | (y > self.highest)
        if bad.any():
            raise DataError(
                f"the truth holds {y[bad].flat[0]}; {self.name} loss needs finite values from {self.lowest} to {self.highest}"
            )
        here = present(x)
        loss = self.evaluate(*np.broadcast_arrays(np.where(here, x, 0.0), y))
        return np.where(here, np.log10(np.maximum(loss, self.floor)), np.nan)


def _log_loss(probability: Floats, truth: Floats) -> Floats:
    q = np.clip(probability, RESOLUTION, 1 - RESOLUTION)
    loss: Floats = -(truth * np.log(q) + (1 - truth) * np.log1p(-q))
    return loss


#: Squared error, in squared units of the target; the paper's.
SQUARED = PointLoss("squared", RESOLUTION**2, lambda x, y: np.square(x - y))
#: Absolute error, in units of the target: less moved by single large misses.
ABSOLUTE = PointLoss("absolute", RESOLUTION, lambda x, y: np.abs(x - y))
#: Cross entropy in nats of a probability (an inference outside [1e-9, 1 - 1e-9] is cut to it) and an outcome in [0, 1].
LOG_LOSS = PointLoss("log", RESOLUTION, _log_loss, lowest=0.0, highest=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class MarketLoss:
    """The loss of a market topic: 10 to the power of minus the mean day score of the epoch.

    An inference is a vector, one prediction per row (symbol and bar), and so is the target. log10 of the loss is minus the
    mean of :func:`protocol.scores.day_scores`, by which models are ranked: -1 is perfect, 0 no skill or a constant, 1 the
    opposite. It is bounded and needs no floor; regrets become differences of scores, epsilon the difference in CORR
    worth telling apart, and the average over epochs is the average score.

    Why not something more usual: log10(1 - CORR) curves, so that of two forecasts with the same mean the more erratic one
    would get the lower loss, and a bet on one factor a better place than its skill is worth. Squared error would reward
    the network for being short, not right: at a CORR of 0.03 nearly all of it is the length of the prediction, which any
    independent noise in an average shortens.

    Predictions may have any unit, so bring each worker's to a common one (:func:`protocol.scores.gaussian_rank` per bar)
    before they are averaged. The average's correlation is then the weighted mean of the workers' divided by the length
    of the average, at most 1: combining helps wherever that mean is positive, up to the ranking inside CORR. Where it is
    negative the network is further off than its workers, so the loss is not convex.

    Attributes
    ----------
    time, symbol : (n,) int64
        Of each row, as :func:`protocol.scores.day_scores` takes them.
    """

    time: NDArray[np.int64]
    symbol: NDArray[np.int64]
    name: str = "market"
    convex: bool = False

    def log10(self, inferences: ArrayLike, truth: ArrayLike) -> Floats:
        """Return minus the mean day score, (...,), of inferences (..., n) against the target (n,).

        An inference that lacks a row is absent: NaN. See :meth:`Loss.log10`.
        """
        x, u = np.asarray(inferences, dtype=np.float64), np.asarray(truth, dtype=np.float64)
        if u.shape != self.time.shape or x.shape[-1:] != u.shape:
            raise DataError(
                f"inferences {x.shape} and target {u.shape} need one entry for each of {self.time.size} rows"
            )
        rows = x.reshape(-1, u.size)
        out = np.full(len(rows), np.nan)
        for i in np.flatnonzero(present(rows).all(axis=1)):
            out[i] = 0.0 - day_scores(rows[i], u, self.time, self.symbol).mean
        return out.reshape(x.shape[:-1])


#: By name; a market topic's depends on its rows, see :class:`MarketLoss`.
LOSSES: dict[str, PointLoss] = {loss.name: loss for loss in (SQUARED, ABSOLUTE, LOG_LOSS)}
