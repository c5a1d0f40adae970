"""What the network and its parts lost, and whose inferences it regrets not to have followed: Eq. 14 and 15.

A regret is a moving average of log10 loss of the reference less log10 loss of the worker: positive for a worker who does
better than the reference. Every secondary inference is a reference of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.inputs import amounts
from protocol.consensus.allora.losses import Losses
from protocol.consensus.allora.one_out import SeparableRegrets
from protocol.consensus.allora.potential import ANCHOR, present, scale
from protocol.consensus.allora.reputers import adjusted_stakes
from protocol.consensus.allora.synthesis import Regrets
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

START_QUANTILE = 0.25  # of the experienced workers' regrets, from which a newcomer's is taken
DENSE_UP_TO = 4096  # workers (128 MiB of one-out regrets); beyond, separable regrets do not turn dense by themselves


def stake_weighted(log_losses: ArrayLike, stakes: ArrayLike, coefficients: ArrayLike | None = None) -> Floats:
    """Return the losses that regrets and scores are made of, Eq. 14.

    Parameters
    ----------
    log_losses : (Nr, n) float
        log10, one row per reputer, NaN where not reported.
    stakes : (Nr,) float
        Not negative, any unit. As printed, a silenced reputer's stake still counts in full.
    coefficients : (Nr,) float, optional
        Listening coefficients: weights are then the adjusted stakes of Eq. 30, so that whoever is not listened to
        has no say here either.

    Returns
    -------
    (n,) float64
        log10; each column over those who reported it, with equal weights if they have no stake. NaN where nobody did.

    Raises
    ------
    DataError
        Not one row per stake, or a stake is negative or not finite.
    """
    reports = np.asarray(log_losses, dtype=np.float64)
    s = amounts("stakes", stakes)
    if reports.ndim != 2 or reports.shape[0] != s.size:
        raise DataError(f"log_losses has shape {reports.shape}; give one row for each of {s.size} stakes")
    w = s / s.max() if s.any() else np.ones_like(s)
    if coefficients is not None:
        w = np.maximum(adjusted_stakes(s, coefficients), 0.0)
    there = present(reports)
    known = reports if there.all() else np.where(there, reports, 0.0)
    total = w @ there
    heard = total > 0
    mean = w @ known / np.where(heard, total, 1.0)
    if heard.all():
        return mean
    count = np.count_nonzero(there, axis=0)
    equal = known.sum(axis=0) / np.maximum(count, 1)
    return np.where(heard, mean, np.where(count > 0, equal, np.nan))


def updated(previous: ArrayLike, reference: ArrayLike, log_losses: ArrayLike, alpha: float) -> Floats:
    """Return regrets after one more epoch, Eq. 15; the arguments broadcast.

    Parameters
    ----------
    previous : float
        Regrets before; NaN, unknown, counts as 0.
    reference
        log10 loss of what is regretted: the network, or a secondary inference.
    log_losses
        log10 losses of the workers.
    alpha
        Weight of this epoch.

    Returns
    -------
    float64
        dex. Where either loss is absent, the previous regret.
    """
    old, ref, loss = (np.asarray(x, dtype=np.float64) for x in (previous, reference, log_losses))
    step = np.where(present(ref), ref, np.nan) - np.where(present(loss), loss, np.nan)
    new = alpha * step + (1 - alpha) * np.where(np.isnan(old), 0.0, old)
    return np.where(np.isnan(step), old, new)


def newcomer(regrets: ArrayLike, experienced: ArrayLike, variant: Variant = SIMULATOR) -> Floats:
    """Return the regret that a new worker starts from: enough for a small say, so that it has to earn more.

    The lower quartile of the experienced workers' regrets, plus c - 8.25/p times their scale (Eq. 8 and 11: the
    deviation plus epsilon), as on the chain.

    Parameters
    ----------
    regrets : (..., n) float
        Of one reference along the last axis.
    experienced : (..., n) bool
        Who took part in at least 1/alpha epochs.

    Returns
    -------
    (...,) float64
        dex; 0, as in a first epoch, where nobody is experienced.
    """
    r = np.asarray(regrets, dtype=np.float64)
    here = np.broadcast_to(np.asarray(experienced, dtype=bool), r.shape) & present(r)
    n = here.sum(axis=-1)
    if not n.any():
        return np.zeros(r.shape[:-1])
    ordered = np.sort(np.where(here, r, np.inf), axis=-1)
    place = START_QUANTILE * np.maximum(n - 1, 0)
    low = np.floor(place).astype(np.int64)
    at, above = (
        np.take_along_axis(ordered, i[..., None], axis=-1)[..., 0] for i in (low, np.minimum(low + 1, n - (n > 0)))
    )
    at, above = np.where(n > 0, at, 0.0), np.where(n > 0, above, 0.0)
    spread = scale(np.where(here, r, np.nan), variant)
    return np.where(n > 0, at + (place - low) * (above - at) + (variant.c + ANCHOR / variant.p) * spread, 0.0)


def regrets_after(regrets: Regrets, losses: Losses, alpha: float) -> Regrets:
    """Return all regrets after an epoch, Eq. 15.

    In the row of a withheld inferer, a forecaster's loss is that of its inference recomputed without that inferer.

    Parameters
    ----------
    losses
        Eq. 14, values (size,); NaN where absent.

    Raises
    ------
    DataError
        Someone of more than :data:`DENSE_UP_TO` workers with separable one-out regrets came or went.
    """
    inferers, forecasters = losses.inferences, losses.forecast_implied
    own = np.concatenate([np.broadcast_to(inferers, (forecasters.size, inferers.size)), forecasters[:, None]], axis=1)
    return Regrets(
        network=updated(regrets.network, losses.network, losses.workers, alpha),
        naive=updated(regrets.naive, losses.naive, inferers, alpha),
        one_out=_one_out_after(regrets.one_out, losses, alpha),
        one_in=updated(regrets.one_in, losses.one_in[:, None], own, alpha),
    )


def remapped(
    regrets: Regrets, inferers: Ints, forecasters: Ints, experience: Ints, variant: Variant = SIMULATOR
) -> Regrets:
    """Return the regrets of another set of workers.

    A newcomer starts at :func:`newcomer` of each reference. Withholding it leaves the network that was there before, and
    adding it as a forecaster to the naive network leaves that until it has said something: those references start
    with the regrets of the network and of the naive inference.

    Parameters
    ----------
    inferers, forecasters : (Ni',), (Nf',) int
        Old position within its task of each, -1 for a newcomer.
    experience : (Ni' + Nf',) int
        Epochs each took part in, in the new order.

    Raises
    ------
    DataError
        A newcomer to more than :data:`DENSE_UP_TO` workers with separable one-out regrets.
    """
    ni, nf, before = inferers.size, forecasters.size, regrets.naive.size
    place = np.concatenate([inferers, np.where(forecasters < 0, -1, before + forecasters)])
    known = experience >= 1 / variant.alpha
    network = _joined(taken(regrets.network, place), place, known, variant)
    naive = _joined(taken(regrets.naive, inferers), inferers, known[:ni], variant)

    own = np.append(inferers, before)  # the last column is the forecaster itself
    one_in = np.concatenate([np.tile(naive, (nf, 1)), np.full((nf, 1), np.nan)], axis=1)
    one_in[forecasters >= 0] = taken(regrets.one_in[forecasters[forecasters >= 0]], own)
    experts = np.concatenate([np.tile(known[:ni], (nf, 1)), known[ni:, None]], axis=1)
    one_in = _joined(
        one_in, np.where(forecasters[:, None] < 0, np.append(np.zeros(ni, dtype=np.int64), -1), own), experts, variant
    )

    if isinstance(regrets.one_out, SeparableRegrets) and (place >= 0).all():
        old = regrets.one_out
        one_out: Floats | SeparableRegrets = SeparableRegrets(
            old.withheld[place],
            old.inferences[inferers],
            old.forecast_implied[forecasters],
            old.forecast_implied_one_out[np.ix_(inferers, forecasters)],
        )
    else:
        one_out = np.tile(network, (ni + nf, 1))
        rows = np.flatnonzero(place >= 0)
        experts = known & (np.arange(ni + nf) != rows[:, None])
        one_out[rows] = _joined(taken(_dense(regrets.one_out)[place[rows]], place), place, experts, variant)
    return Regrets(network, naive, one_out, one_in)


def taken(values: Floats, place: Ints, fill: float = np.nan) -> Floats:
    """Return entries of the last axis by old position; `fill` where that is negative."""
    out = np.full((*values.shape[:-1], place.size), fill)
    out[..., place >= 0] = values[..., place[place >= 0]]
    return out


def _joined(regrets: Floats, place: Ints, experienced: NDArray[np.bool_], variant: Variant) -> Floats:
    """Return regrets in which newcomers, whose old place is negative, have their start."""
    return np.where(place < 0, newcomer(regrets, experienced, variant)[..., None], regrets)


def _one_out_after(old: Floats | SeparableRegrets, losses: Losses, alpha: float) -> Floats | SeparableRegrets:
    if isinstance(old, SeparableRegrets):
        parts = (losses.one_out, losses.inferences, losses.forecast_implied, losses.one_out_forecast_implied)
        kept = (old.withheld, old.inferences, old.forecast_implied, old.forecast_implied_one_out)
        if all(np.array_equal(present(new), present(was)) for new, was in zip(parts, kept, strict=True)):
            return old.updated(*parts, alpha)
        old = _dense(old)
    ni = losses.layout.inferers
    reference = losses.one_out[:, None]
    new = np.empty_like(old)
    new[:, :ni] = updated(old[:, :ni], reference, losses.inferences, alpha)
    new[:ni, ni:] = updated(old[:ni, ni:], reference[:ni], losses.one_out_forecast_implied, alpha)
    new[ni:, ni:] = updated(old[ni:, ni:], reference[ni:], losses.forecast_implied, alpha)
    return new


def _dense(one_out: Floats | SeparableRegrets) -> Floats:
    if not isinstance(one_out, SeparableRegrets):
        return one_out
    if one_out.withheld.size > DENSE_UP_TO:
        raise DataError(
            f"someone came or went among {one_out.withheld.size} workers, which separable one-out regrets cannot express; "
            f"above {DENSE_UP_TO} workers start with dense ones, or with everybody who takes part"
        )
    return np.nan_to_num(one_out.dense(), nan=0.0)  # never known, as a lone inferer's own row, is as at the start
