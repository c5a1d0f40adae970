"""How much a held-out range may be asked: error spent per submission, and feedback kept coarse."""

from __future__ import annotations

import math

from protocol.errors import DataError
from protocol.rounding import rounded

ALPHA = 0.05  # chance that any of all submissions without skill ever passes the screen, unless a topic says another


def alpha_at(k: int, level: float = ALPHA) -> float:
    """Return the level of the k-th submission of a topic: ``level * 6 / (pi^2 k^2)``, which sums to `level` over all k.

    Parameters
    ----------
    k : int
        From 1; refused submissions count too, since each has looked at the held-out range.
    level : float
        Of all submissions together, in (0, 1]: the topic's ``screen``.

    Raises
    ------
    DataError
        `k` is below 1.
    """
    if k < 1:
        raise DataError(f"submission number {k} does not exist; count from 1")
    return level * 6 / (math.pi**2 * k**2)


def ladder(score: float, se: float) -> float:
    """Return the score that a miner is told: the multiple of its standard error that is nearest.

    ``se * floor(score / se + 1/2)``; Blum and Hardt (2015), "The Ladder". What is smaller than the noise cannot be
    climbed by asking again.

    Parameters
    ----------
    score, se : float
        In one unit; with an `se` of 0 the score is returned.
    """
    return rounded(se * math.floor(score / se + 0.5) if se > 0 else score)
