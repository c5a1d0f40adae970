"""How much each worker adds to the network, and the share of its class's reward that earns; Eq. 22-29."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.inputs import vector
from protocol.consensus.allora.potential import potential, present
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.errors import DataError

Floats = NDArray[np.float64]

#: Below this z, ln(1 + e^z) is e^z in float64.
UNDERFLOW = -37.0


def inference_scores(network: float, one_out: ArrayLike) -> Floats:
    """Return what the network would lose without each inference; Eq. 22.

    Parameters
    ----------
    network
        log10 loss of the network inference.
    one_out : (Ni,) float
        log10 loss of the network inference without each worker's inference. NaN: the worker was absent.

    Returns
    -------
    (Ni,) float64
        dex; positive if the worker helps. NaN where the worker, or everywhere if the network, has no loss.
    """
    return vector("one_out", one_out) - _loss(network)


def solo_fraction(forecasters: int, variant: Variant = SIMULATOR) -> float:
    """Return f+, the weight of the one-in score; Eq. 26.

    As printed it is 2^-Nf, which gives a lone forecaster 1/2 although it always appears solo; the simulator and the
    chain use 2^-(Nf - 1). Without forecasters it is 1.
    """
    return min(1.0, 2.0 ** (variant.solo_offset - forecasters))


def forecast_scores(
    network: float, naive: float, one_out: ArrayLike, one_in: ArrayLike, variant: Variant = SIMULATOR
) -> Floats:
    """Return what each forecaster adds, to the network and alone; Eq. 23-26.

    Parameters
    ----------
    network, naive
        log10 losses of the network inference and of the naive one.
    one_out : (Nf,) float
        log10 loss of the network inference without each forecast-implied inference. NaN: the forecaster was absent.
    one_in : (Nf,) float
        log10 loss of the naive inference with only that forecast-implied inference added. NaN: absent.
    variant
        Gives f+, in which only those present are counted.

    Returns
    -------
    (Nf,) float64
        dex. NaN for an absent forecaster, one for whom either loss is missing.
    """
    out = vector("one_out", one_out)
    into = vector("one_in", one_in, out.size)
    solo = solo_fraction(int(np.count_nonzero(~np.isnan(out + into))), variant)
    return (1 - solo) * (out - _loss(network)) + solo * (_loss(naive) - into)


def reward_fractions(scores: ArrayLike, history: ArrayLike | None = None, variant: Variant = SIMULATOR) -> Floats:
    """Return each worker's share of the reward of its task; Eq. 27-29.

    The deviation is the sample deviation (ddof 1) of all scores of the last `variant.score_window` steps, this one
    included; of fewer than two it is 0.

    Parameters
    ----------
    scores : (n,) float
        Of this step, dex. NaN: absent.
    history : (steps, m) float, optional
        Scores of earlier steps, oldest first, any number of workers; the newest ``score_window - 1`` steps count.
        NaN entries do not.
    variant
        `p`, `c`, `epsilon`, `score_window`, and `equal_below_epsilon`: whether scores that hardly differ are paid alike.

    Returns
    -------
    (n,) float64
        Sum to one, 0 for the absent; all 0 if nobody is there. Equal scores give equal shares. The shares are computed
        from the logarithm of the potential, so that they are defined however negative the scores are.
    """
    latest = vector("scores", scores)
    here = ~np.isnan(latest)
    if not here.any():
        return np.zeros_like(latest)
    past = _past(history, variant)
    sample = np.concatenate([past, latest[here]])
    deviation = float(sample.std(ddof=1)) if sample.size > 1 else 0.0
    fractions = np.zeros_like(latest)
    if variant.equal_below_epsilon and deviation < variant.epsilon:
        fractions[here] = 1 / np.count_nonzero(here)
        return fractions
    logs = _log_potential(latest[here] / (deviation + variant.epsilon), variant)
    paid = np.exp(logs - logs.max())
    fractions[here] = paid / paid.sum()
    return fractions


def remembered(history: ArrayLike | None, scores: ArrayLike, variant: Variant = SIMULATOR) -> Floats:
    """Return `history` with the newest scores as last row, cut to what the next step's :func:`reward_fractions` needs.

    Parameters
    ----------
    history : (steps, n) float, optional
        None before the first step.
    scores : (n,) float

    Returns
    -------
    (at most score_window - 1, n) float64
    """
    latest = vector("scores", scores)[None]
    rows = latest if history is None else np.concatenate([np.asarray(history, dtype=np.float64), latest])
    return rows[rows.shape[0] - min(rows.shape[0], variant.score_window - 1) :]


def _loss(value: float) -> float:
    return value if present(np.float64(value)) else np.nan


def _past(history: ArrayLike | None, variant: Variant) -> Floats:
    """Return the scores of the steps before this one that still count, in one row."""
    if history is None:
        return np.empty(0)
    rows = np.asarray(history, dtype=np.float64)
    if rows.ndim != 2:
        raise DataError(f"history has shape {rows.shape}; give (steps, workers), oldest step first")
    flat = rows[rows.shape[0] - min(rows.shape[0], variant.score_window - 1) :].ravel()
    return flat[present(flat)]


def _log_potential(x: Floats, variant: Variant) -> Floats:
    """Return the natural logarithm of the potential, Eq. 6, also where that underflows."""
    z = variant.p * (x - variant.c)
    safe = np.maximum(x, variant.c + UNDERFLOW / variant.p)
    return np.where(z < UNDERFLOW, z, np.log(potential(safe, variant.p, variant.c)))
