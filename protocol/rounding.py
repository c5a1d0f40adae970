"""Rounding, so that validators whose processors differ in the last bits of a float agree on what they compare.

Predictions are rounded before they are scored, numbers before they meet a threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.errors import DataError

ROUND = 6  # decimals of a score before it is compared: the ledger's millionths
PREDICTION_DECIMALS = 9  # the bits of two CPU types differ from about the 12th digit on
MAX_PREDICTION = 1e100  # beyond it sums of squares leave the floats; no forecast needs it
P_DIGITS = 6  # significant digits of a probability, as thresholds go down to 1e-9


def rounded(value: float) -> float:
    """Return `value` rounded to :data:`ROUND` decimals, never -0.0."""
    return round(value, ROUND) + 0.0


def rounded_p(p: float) -> float:
    """Return a probability rounded to :data:`P_DIGITS` significant digits."""
    return float(f"{p:.{P_DIGITS - 1}e}")


def round_predictions(prediction: ArrayLike, time: ArrayLike) -> NDArray[np.float64]:
    """Return predictions rounded to nine decimals relative to the largest magnitude of their timestamp.

    The unit is the power of two just above that magnitude, which scales without an error of its own. Values that only
    differ by how a sum was ordered become equal, so they share their rank. Uses nothing beyond the row's own
    timestamp: a unit of all rows would let a late prediction undo what an early one said.

    Parameters
    ----------
    prediction : (n,) float
        Finite, any unit.
    time : (n,) int
        Equal in all rows of one timestamp; rows in any order.

    Returns
    -------
    (n,) float64
        In the unit given; all of one sign and magnitude stay so, 0 stays 0.

    Raises
    ------
    DataError
        A value is not finite, or the lengths differ.
    """
    p, t = np.asarray(prediction, dtype=np.float64), np.asarray(time)
    if p.shape != t.shape:
        raise DataError(f"prediction {p.shape} and time {t.shape} must have one entry per row")
    if not np.isfinite(p).all():
        raise DataError("a prediction is not finite; every row needs a finite number")
    moments, place = np.unique(t, return_inverse=True)
    largest = np.zeros(moments.size)
    np.maximum.at(largest, place, np.abs(p))
    exponent = np.frexp(largest)[1][place]
    with np.errstate(over="ignore"):  # what rounds up beyond the largest float stays the largest float
        out = np.ldexp(np.round(np.ldexp(p, -exponent), PREDICTION_DECIMALS), exponent)
    limit = np.finfo(np.float64).max
    return np.clip(out, -limit, limit) + 0.0  # no -0.0
