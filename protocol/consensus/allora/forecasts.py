"""What each forecaster implies for the target: inferences weighted by the losses it expects of them, Eq. 3-8."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from protocol.consensus.allora.one_out import combine_rows, without_each
from protocol.consensus.allora.potential import Floats, present
from protocol.consensus.allora.variant import Variant
from protocol.errors import DataError


def forecast_implied(
    inferences: ArrayLike,
    log_forecasts: ArrayLike,
    previous_log_loss: float,
    variant: Variant,
    previous: ArrayLike | None = None,
) -> Floats:
    """Return the forecast-implied inferences, Eq. 3-8.

    Parameters
    ----------
    inferences : (Ni,)
        Of the target; NaN is an absent one.
    log_forecasts : (Nf, Ni)
        log10 of the loss that forecaster k expects of inferer j; NaN where it says nothing.
    previous_log_loss
        log10 of the network's loss one epoch before. NaN counts as 0, as in a first epoch.
    variant, previous
        See :func:`protocol.consensus.allora.potential.weights`; `previous` is (Ni,).

    Returns
    -------
    (Nf,) float64
        Unit of the inferences; NaN for a forecaster that forecasts nobody who is present.

    Raises
    ------
    DataError
        Shapes differ.
    """
    v, regrets, known = _inputs(inferences, log_forecasts, previous_log_loss, previous)
    centre = centre_of(v)
    return combined(v - centre, regrets, variant, known) + centre


def forecast_implied_one_out(
    inferences: ArrayLike,
    log_forecasts: ArrayLike,
    previous_log_loss: float,
    variant: Variant,
    previous: ArrayLike | None = None,
) -> Floats:
    """Return the forecast-implied inferences without each inferer: (Ni, Nf), row = withheld.

    Parameters and errors as in :func:`forecast_implied`. The scale of Eq. 8 is that of the others. A row is NaN where
    the inferer is absent, an entry where the forecaster forecasts nobody else who is present.
    """
    v, regrets, known = _inputs(inferences, log_forecasts, previous_log_loss, previous)
    centre = centre_of(v)
    v -= centre
    return without_each(v, regrets, combined(v, regrets, variant, known), variant, known) + centre


def combined(inferences: Floats, regrets: Floats, variant: Variant, previous: Floats | None) -> Floats:
    """Return the means of the inferences (Ni,) by each row of forecasted regrets (Nf, Ni): (Nf,), Eq. 3."""
    nobody_else = np.empty((len(regrets), 0))
    return combine_rows(lambda start, stop: regrets[start:stop].copy(), inferences, nobody_else, variant, previous)


def centre_of(inferences: Floats) -> float:
    """Return the present inference of the smallest magnitude, 0 if none is.

    Means are taken of differences to it: what all inferences share costs no digits, and no difference is taken to an
    absurd inference while there is a sane one.
    """
    known = inferences[present(inferences)]
    size = np.abs(known)
    return float(known[size == size.min()].min()) if known.size else 0.0


def forecasted_regrets(log_forecasts: Floats, previous_log_loss: float) -> Floats:
    """Return Eq. 4; the first epoch has no previous loss and takes 0. What is absent stays so: NaN or beyond sense."""
    regrets: Floats = (previous_log_loss if present(previous_log_loss) else 0.0) - log_forecasts
    return regrets


def _inputs(
    inferences: ArrayLike, log_forecasts: ArrayLike, previous_log_loss: float, previous: ArrayLike | None
) -> tuple[Floats, Floats, Floats | None]:
    """Return inferences with NaN for absent ones, forecasted regrets (Nf, Ni), and previous weights."""
    v, f = np.asarray(inferences, dtype=np.float64), np.asarray(log_forecasts, dtype=np.float64)
    if v.ndim != 1 or f.ndim != 2 or f.shape[1] != v.size:
        raise DataError(
            f"forecasts {f.shape} need one row per forecaster and one column for each of {v.shape} inferences"
        )
    known = None if previous is None else np.asarray(previous, dtype=np.float64)
    return np.where(present(v), v, np.nan), forecasted_regrets(f, previous_log_loss), known
