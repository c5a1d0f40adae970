"""Rounding, so that validators whose processors differ in the last bits of a float agree on what they compare.

Predictions are rounded before they are scored, numbers before they meet a threshold.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.errors import DataError

ROUND = 6  # decimals of a score before it is compared: the ledger's millionths
PREDICTION_DECIMALS = 9  # the bits of two CPU types differ from about the 12th digit on
P_DIGITS = 6  # significant digits of a probability, as thresholds go down to 1e-9


def rounded(value: float) -> float:
    """Return `value` rounded to :data:`ROUND` decimals, never -0.0."""
    return round(value, ROUND) + 0.0


def rounded_p(p: float) -> float:
    """Return a probability rounded to :data:`P_DIGITS` significant digits."""
    return float(f"{p:.{P_DIGITS - 1}e}")


def round_predictions(prediction: ArrayLike) -> NDArray[np.float64]:
    """Return predictions rounded to nine decimals relative to the largest magnitude.

    The unit is the power of two just above the largest magnitude, which scales without an error of its own. Values
    that only differ by how a sum was ordered become equal, so they share their rank.

    Parameters
    ----------
    prediction : (n,) float
        Finite, any unit.

    Returns
    -------
    (n,) float64
        In the unit given; all of one sign and magnitude stay so, 0 stays 0.

    Raises
    ------
    DataError
        A value is not finite.
    """
    p = np.asarray(prediction, dtype=np.float64)
    largest = float(np.abs(p).max(initial=0.0))
    if not math.isfinite(largest):
        raise DataError("a prediction is not finite; every row needs a finite number")
    exponent = math.frexp(largest)[1]
    with np.errstate(over="ignore"):  # what rounds up beyond the largest float stays the largest float
        out = np.ldexp(np.round(np.ldexp(p, -exponent), PREDICTION_DECIMALS), exponent)
    limit = np.finfo(np.float64).max
    return np.clip(out, -limit, limit) + 0.0  # no -0.0
