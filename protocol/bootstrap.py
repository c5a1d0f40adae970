"""Is a mean above zero, when neighbouring days resemble each other? The stationary bootstrap without drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr

from protocol.errors import DataError

MIN_N = 20
MIN_BLOCK = 5.0  # entries; a working week


@dataclass(frozen=True, slots=True)
class MeanTest:
    """One-sided test of a mean against "not above 0".

    Attributes
    ----------
    mean, se : float
        In the unit of the series.
    p : float
        Probability of such a mean without skill; 1 where there is too little to tell.
    n : int
        Entries of the series.
    """

    mean: float
    se: float
    p: float
    n: int


def expected_block(day: ArrayLike, span_days: int) -> float:
    """Return the expected block length for a series of daily or weekly scores: twice the entries that a target spans.

    Parameters
    ----------
    day : (n,) int
        Ascending days of the entries; holes between eras do no harm.
    span_days : int
        Days that a target reaches beyond its own (:func:`protocol.evidence.target_span_days`).

    Returns
    -------
    float
        At least 5; twice the largest number of entries within `span_days` days. Blocks of one span would see less than
        3/4 of the variance that overlap adds.
    """
    days = np.asarray(day, dtype=np.int64)
    within = np.searchsorted(days, days + span_days) - np.arange(days.size)
    return max(MIN_BLOCK, 2.0 * int(within.max(initial=0)))


def degrees_of_freedom(n: int, block: float) -> float:
    """Return those of Student's t for a mean of n entries at an expected block length: ``n / (2 block)``.

    A variance with the bootstrap's weights is about as certain as one of n / block independent numbers. Half of that
    makes up for its being too small where scores resemble their neighbours: simulated, false positives at levels of
    1e-2 to 1e-6 are at most 1.4 times the level for targets that overlap entirely, and fewer for independent scores.
    """
    return n / (2 * block)


def block_bootstrap_test(d: ArrayLike, block: float) -> MeanTest:
    """Test that the mean of an autocorrelated series is above 0, by the stationary bootstrap.

    The variance that resampling in blocks of geometric length would give has a closed form (Politis and Romano 1994,
    Lemma 1): with ``q = 1 / block`` and autocovariances ``c_i = sum((d_j - mean)(d_(j+i) - mean)) / n``,

        n se^2 = c_0 + 2 sum_(0 < i < n) b_i c_i,     b_i = (1 - i/n)(1 - q)^i + (i/n)(1 - q)^(n-i).

    Nothing is drawn, so that every validator gets the same number and levels of 1e-7 can be resolved. p is the upper
    tail of Student's t at ``mean / se`` with :func:`degrees_of_freedom`.

    Parameters
    ----------
    d : (n,) float
        Finite, in order of time.
    block : float
        Expected block length in entries, at least 1.

    Returns
    -------
    MeanTest
        p is 1 for n below 20, fewer than four blocks, or a constant series.

    Raises
    ------
    DataError
        Not one-dimensional, not finite, or `block` below 1.
    """
    x = np.asarray(d, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise DataError(f"a series of shape {x.shape} is not one-dimensional or not finite; give one number per day")
    if not block >= 1:
        raise DataError(f"expected block length {block} is below one entry; give at least 1")
    n = x.size
    mean = float(x.mean()) if n else 0.0
    if n < max(MIN_N, 4 * block) or not np.ptp(x):
        return MeanTest(mean, 0.0, 1.0, n)
    e = x - mean
    size = 1 << (2 * n - 1).bit_length()
    covariance = np.fft.irfft(np.abs(np.fft.rfft(e, size)) ** 2, size)[:n] / n
    lag, keep = np.arange(n), 1 - 1 / block
    weight = (1 - lag / n) * keep**lag + (lag / n) * keep ** (n - lag)
    variance = float(2 * weight @ covariance - covariance[0])
    # All weights together are a circular autocovariance with a positive spectrum, so this only guards the last bit.
    se = math.sqrt(max(variance, 0.0) / n)
    p = float(stdtr(degrees_of_freedom(n, block), -mean / se)) if se > 0 else 1.0
    return MeanTest(mean, se, p, n)
