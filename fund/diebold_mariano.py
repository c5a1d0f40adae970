"""Do two forecasts lose the same? The test of Diebold and Mariano, corrected for small samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from fund.units import plain
from protocol.errors import DataError
from protocol.rounding import MAX_PREDICTION
from protocol.statistics import hac_mean

#: A difference is called one below this p; the interval of a mean covers the rest.
LEVEL = 0.05
#: A test needs so many bars, and so many horizons: with fewer it finds differences where there are none.
MIN_BARS = 30
MIN_HORIZONS = 20
#: A scatter below this part of the losses is rounding.
ROUNDING = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """A two-sided test that the mean of a differential is 0.

    Attributes
    ----------
    bars : int
        Values that were there.
    left_out : int
        Bars without a value.
    mean : float
        Unit of the series; NaN without a bar.
    low, high : float
        95 % interval of the mean; NaN where nothing was tested.
    statistic : float
        Mean in standard errors, corrected; NaN where nothing was tested.
    p : float
        1 where nothing was tested.
    lags : int
        Of the long-run variance that was used; -1 where nothing was tested.
    reason : str
        Why nothing was tested; empty if it was.
    """

    bars: int
    left_out: int
    mean: float
    low: float
    high: float
    statistic: float
    p: float
    lags: int
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, null for NaN."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}


def differential_test(d: ArrayLike, horizon: int) -> DieboldMariano:
    """Test that the mean of a differential is 0.

    Diebold and Mariano (1995) with the correction of Harvey, Leybourne and Newbold (1997, Eq. 9)::

        se²       = (c_0 + 2 Σ_(0<k<h) c_k) / n / correction(h)        c_k autocovariances, divided by n
        correction(h) = (n + 1 - 2h + h (h - 1) / n) / n
        statistic = mean / se,    p = 2 P(t_(n-1) > |statistic|)

    Targets of bars less than a horizon h apart overlap, so that losses resemble each other up to h - 1 lags. They may for
    longer, and with these weights se² can be negative. So it is never taken below Newey and West's: Bartlett weights
    (:func:`protocol.statistics.hac_mean`) over ``M - 1`` lags, ``M = max(2h, 1 + floor(4 (n/100)^(2/9)))``, corrected with
    M/2 for h, because Bartlett's weights add up to M where uniform ones add up to 2h - 1.

    Its size at a level of 5 %, simulated: independent values 4 to 5 % (h = 1, n from 30 on); targets that overlap entirely
    6 to 7 % at 20 horizons, 5 to 6 % from 60 on (h = 5, 24); values that carry on 0.4 of the last one besides 10 % at
    n = 100, 7 to 8 % at 400 and more. A p just below the level is no finding.

    Parameters
    ----------
    d : (T,) float
        In order of bars, any unit. NaN at bars without a value: they are left out, which only brings those further apart into
        the window.
    horizon : int
        Bars from entry to exit of a target, at least 1; 1 also for returns that do not overlap.

    Returns
    -------
    DieboldMariano
        Nothing is tested, and p is 1, with fewer than 30 bars or 20 horizons, and for a differential without scatter: a
        constant has no standard error.

    Raises
    ------
    DataError
        Not one-dimensional, infinite, above 1e100, or a horizon below 1.
    """
    x = column("differential", d)
    return _tested(x, horizon, float(np.nanmax(np.abs(x))) if np.isfinite(x).any() else 0.0)


def diebold_mariano(losses: ArrayLike, rival: ArrayLike, horizon: int) -> DieboldMariano:
    """Return :func:`differential_test` of ``losses - rival``: a negative mean speaks for `losses`.

    Parameters
    ----------
    losses, rival : (T,) float
        Of the same bars, in order; NaN where there is none. Only bars with both count.
    horizon : int
        See :func:`differential_test`.

    Raises
    ------
    DataError
        As there, or lengths differ.
    """
    a, b = column("losses", losses), column("rival", rival)
    if a.size != b.size:
        raise DataError(f"losses are of {a.size} bars, the rival's of {b.size}; give one of each per bar")
    both = np.isfinite(a) & np.isfinite(b)
    return _tested(a - b, horizon, float(np.abs(np.concatenate([a[both], b[both]])).max(initial=0.0)))


def _tested(d: Floats, horizon: int, scale: float) -> DieboldMariano:
    """Test `d`, which was made of numbers as large as `scale`."""
    check_horizon(horizon)
    x = d[np.isfinite(d)]
    n, least = x.size, max(MIN_BARS, MIN_HORIZONS * horizon)
    mean = float(x.mean()) if n else math.nan
    if n < least:
        reason = f"{n} bars are too few, a horizon of {horizon} needs {least}"
    elif np.ptp(x) <= ROUNDING * scale:
        same = abs(mean) <= ROUNDING * scale
        reason = (
            "both are the same at every bar" if same else f"the difference is {mean:+.6g} at every bar, without scatter"
        )
    else:
        variance, lags = max(_uniform(x, horizon), _bartlett(x, horizon))
        if variance > 0:
            se = math.sqrt(variance)
            half = float(stdtrit(n - 1, 1 - LEVEL / 2)) * se
            p = 2 * float(stdtr(n - 1, -abs(mean / se)))
            return DieboldMariano(n, d.size - n, mean, mean - half, mean + half, mean / se, p, lags)
        reason = "the scatter is too small for a float"
    return DieboldMariano(n, d.size - n, mean, math.nan, math.nan, math.nan, 1.0, -1, reason)


def _uniform(x: Floats, horizon: int) -> tuple[float, int]:
    """Return the variance of the mean from `horizon` - 1 lags of equal weight, and the lags."""
    n, e = x.size, x - x.mean()
    covariance = [float(e[k:] @ e[: n - k]) / n for k in range(horizon)]
    return (covariance[0] + 2 * sum(covariance[1:])) / n / _correction(n, horizon), horizon - 1


def _bartlett(x: Floats, horizon: int) -> tuple[float, int]:
    """Return the variance of the mean from lags of falling weight, and the lags."""
    n = x.size
    window = max(2 * horizon, 1 + math.floor(4 * (n / 100) ** (2 / 9)))
    _, se = hac_mean(x, window - 1)
    return se**2 / _correction(n, window / 2), window - 1


def _correction(n: int, h: float) -> float:
    """Return the part of the variance that is left when the mean is taken off n values, h - 1 lags counted."""
    return (n + 1 - 2 * h + h * (h - 1) / n) / n


def column(name: str, values: ArrayLike) -> Floats:
    """Return one number per bar, NaN where there is none.

    Raises
    ------
    DataError
        Not one-dimensional, infinite, or above 1e100.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1:
        raise DataError(f"{name} has shape {x.shape}; give one number per bar")
    return bounded(name, x)


def bounded(name: str, x: Floats) -> Floats:
    """Return `x` if squares of it stay floats; NaN is allowed.

    Raises
    ------
    DataError
        A value is infinite or above 1e100.
    """
    bad = np.abs(x) > MAX_PREDICTION
    if bad.any():
        raise DataError(
            f"{name}: {x[bad].flat[0]} is infinite or above {MAX_PREDICTION:g}; where there is none give NaN"
        )
    return x


def check_horizon(horizon: int) -> None:
    """Raise DataError for a horizon below one bar."""
    if horizon < 1:
        raise DataError(f"horizon {horizon} is below one bar; give the topic's")


def shown_p(p: float) -> str:
    """Return a probability for people: small ones by a bound."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def day(time: int) -> str:
    """Return microseconds since 1970 UTC as an ISO date."""
    return str(np.datetime64(time, "us").astype("datetime64[D]"))
