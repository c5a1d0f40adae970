"""Liquid alpha: a rate of its own for every bond."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.consensus.yuma.variant import Params

Floats = NDArray[np.float64]


def rates(weights: Floats, bonds: Floats, consensus: Floats, params: Params) -> Floats:
    """Return the weight of the newest value in the moving average of each relative bond.

    Buying (weight >= bond) goes by how far the weight is above the consensus, selling by how far the bond is above
    the weight, both limited to [0, 1]: rate = low + (high - low) / (1 + exp(-steepness (difference - 0.5))).
    Source: the runtime's `alpha_sigmoid`.

    Parameters
    ----------
    weights, bonds : (...) float64
        Weights for bonds (Eq. 4) and the bonds before this epoch, aligned.
    consensus : float64
        Of the same miners, broadcast against them.
    params : Params
        `alpha_low`, `alpha_high`, `steepness`.

    Returns
    -------
    (...) float64
        In [alpha_low, alpha_high].
    """
    selling = bonds - weights
    difference = np.where(selling > 0, selling, weights - consensus)
    np.clip(difference, 0.0, 1.0, out=difference)
    # 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, which cannot overflow
    difference -= 0.5
    difference *= params.steepness / 2
    np.tanh(difference, out=difference)
    difference += 1.0
    difference *= (params.alpha_high - params.alpha_low) / 2
    difference += params.alpha_low
    return np.clip(difference, params.alpha_low, params.alpha_high, out=difference)
