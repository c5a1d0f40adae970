"""Statistics of day scores: a mean with an honest error, and a Sharpe ratio deflated by the number of trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from protocol.errors import DataError


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """What is left of a Sharpe ratio that is the best of several trials.

    Attributes
    ----------
    sharpe : float
        Mean over deviation (ddof 1), per period, not annualised.
    psr : float
        Probability that the true ratio is above 0, had there been one trial.
    dsr : float
        Probability that it is above `expected_max`; a search over noise gives about 0.5 and less, rarely above 0.95.
    expected_max : float
        The best ratio that this many trials without skill would show, per period.
    """

    sharpe: float
    psr: float
    dsr: float
    expected_max: float


def hac_mean(x: ArrayLike, lags: int) -> tuple[float, float]:
    """Return the mean of a series and its standard error under autocorrelation.

    Newey and West (1987): Bartlett weights ``1 - k / (lags + 1)`` on the autocovariances (divided by n).

    Parameters
    ----------
    x : (n,) float
        At least 2 finite values in order of time, for example day scores.
    lags : int
        0 to n - 1; at least as long as the targets of neighbouring values overlap.

    Returns
    -------
    mean, se : float
        In the unit of `x`; se is 0 for a constant series.

    Raises
    ------
    DataError
        Too few values, a value that is not finite, or lags out of range.
    """
    values = _series(x, 2)
    n = values.size
    if not 0 <= lags < n:
        raise DataError(f"lags {lags} is not within 0 to {n - 1}; use fewer lags or more days")
    mean = values.mean()
    e = values - mean if np.ptp(values) else np.zeros(n)
    covariance = [float(e[k:] @ e[: n - k]) / n for k in range(lags + 1)]
    variance = covariance[0] + 2 * sum((1 - k / (lags + 1)) * covariance[k] for k in range(1, lags + 1))
    return float(mean), math.sqrt(max(variance, 0.0) / n)


def deflated_sharpe(x: ArrayLike, n_trials: int, trial_sharpes: ArrayLike) -> DeflatedSharpe:
    """Return the deflated Sharpe ratio of the chosen trial (Bailey and López de Prado 2014).

    ``dsr`` is :func:`probabilistic_sharpe` against :func:`expected_max_sharpe`, with the scatter of the trials' ratios
    and the skewness and kurtosis of `x`.

    Parameters
    ----------
    x : (T,) float
        Day scores (or returns) of the chosen trial, at least 3.
    n_trials : int
        Trials made, including discarded ones. Related trials count as one each: the result errs to the strict side.
    trial_sharpes : (m,) float
        Ratios per period of the trials for which they are known. With fewer than 2 the variance is ``1 / (T - 1)``,
        that of ratios without skill.

    Raises
    ------
    DataError
        Too few values, a value that is not finite, or `n_trials` below 1.
    """
    values = _series(x, 3)
    sharpes = _series(trial_sharpes, 0)
    if n_trials < 1:
        raise DataError(f"n_trials is {n_trials}; count at least the trial itself")
    if not np.ptp(values):
        raise DataError(f"all {values.size} scores are {values[0]}; a constant series has no Sharpe ratio")
    scatter = float(sharpes.std(ddof=1)) if sharpes.size > 1 else 1 / math.sqrt(values.size - 1)
    best = expected_max_sharpe(n_trials, scatter)
    e = values - values.mean()
    m2, m3, m4 = ((e**k).mean() for k in (2, 3, 4))
    sharpe = float(values.mean() / values.std(ddof=1))
    skewness, kurtosis = float(m3 / m2**1.5), float(m4 / m2**2)

    def probability(benchmark: float) -> float:
        return probabilistic_sharpe(sharpe, benchmark, n=values.size, skewness=skewness, kurtosis=kurtosis)

    return DeflatedSharpe(sharpe, probability(0.0), probability(best), best)


def expected_max_sharpe(n_trials: int, scatter: float) -> float:
    """Return the best ratio that `n_trials` without skill would show, their ratios having deviation `scatter`.

    ``scatter ((1 - γ) Z⁻¹[1 - 1/N] + γ Z⁻¹[1 - 1/(N e)])``, γ the Euler-Mascheroni constant; Bailey and López de Prado
    (2014), Eq. 1. 0 for one trial.
    """
    if n_trials == 1:
        return 0.0
    low, high = ndtri(1 - 1 / n_trials), ndtri(1 - 1 / (n_trials * math.e))
    return scatter * float((1 - np.euler_gamma) * low + np.euler_gamma * high)


def probabilistic_sharpe(sharpe: float, benchmark: float, *, n: int, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true ratio of n observations exceeds `benchmark`.

    ``Z[(SR - SR*) sqrt(n - 1) / sqrt(1 - skewness SR + (kurtosis - 1)/4 SR²)]``, kurtosis 3 for the normal; Bailey and
    López de Prado (2014), Eq. 2.
    """
    # Not negative, because kurtosis >= 1 + skewness²; 0 only for two-point series, whose ratio is known exactly.
    spread = max(1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2, np.finfo(float).tiny)
    return float(ndtr((sharpe - benchmark) * math.sqrt((n - 1) / spread)))


def _series(x: ArrayLike, at_least: int) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or values.size < at_least or not np.isfinite(values).all():
        raise DataError(f"a series of shape {values.shape} is too short or not finite; give {at_least} or more numbers")
    return values
