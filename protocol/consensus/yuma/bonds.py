"""Bonds, what validators hold in miners, and the dividends they pay.

Sources: subtensor's `docs/consensus.md`, Eq. 4 to 6 and "Reward distribution"; its runtime for relative bonds.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.consensus.yuma.consensus import blocks
from protocol.consensus.yuma.liquid import rates
from protocol.consensus.yuma.variant import Params

Floats = NDArray[np.float64]


def weights_for_bonds(weights: Floats, consensus: Floats, penalty: float) -> Floats:
    """Return (1 - penalty) W + penalty min(W, consensus), Eq. 4.

    Parameters
    ----------
    weights : (...) float64
        Shares.
    consensus : float64
        Of the same miners, broadcast against `weights`.
    penalty : float
        beta in [0, 1].
    """
    if penalty == 0:
        return weights
    clipped = np.minimum(weights, consensus)
    return clipped if penalty == 1 else (1 - penalty) * weights + penalty * clipped


def has_liquid_rates(consensus: Floats, params: Params) -> bool:
    """Return whether bonds move at rates of their own: that needs a consensus on somebody, as in the runtime."""
    return params.liquid and bool(consensus.any())


class Entries(Protocol):
    """How the entries of a (V, M) matrix are stored; :mod:`protocol.consensus.yuma.sparse` has another way."""

    def of_miner(self, values: Floats) -> Floats:
        """Return (M,) values so that they broadcast against entries."""

    def of_validator(self, values: Floats) -> Floats:
        """Return (V,) values so that they broadcast against entries."""

    def per_miner(self, entries: Floats) -> Floats:
        """Return (M,) sums."""

    def per_validator(self, entries: Floats) -> Floats:
        """Return (V,) sums."""


class Block:
    """All entries of some columns, as a matrix."""

    def of_miner(self, values: Floats) -> Floats:
        """Return (M,) values as a row."""
        return values

    def of_validator(self, values: Floats) -> Floats:
        """Return (V,) values as a column."""
        return values[:, None]

    def per_miner(self, entries: Floats) -> Floats:
        """Return (M,) sums."""
        return np.asarray(entries.sum(axis=0))

    def per_validator(self, entries: Floats) -> Floats:
        """Return (V,) sums."""
        return np.asarray(entries.sum(axis=1))


def moved(
    at: Entries,
    weights: Floats,
    bonds: Floats,
    *,
    stakes: Floats,
    consensus: Floats,
    incentive: Floats,
    params: Params,
    liquid: bool,
) -> tuple[Floats, Floats]:
    """Return bonds after this epoch, Eq. 5 and 6, and what they pay each validator, not yet normalised.

    Shares of columns: B = alpha S_i W_ij / (sum_k S_k W_kj) + (1 - alpha) B_ij / (sum_k B_kj), divided by its column
    sum once more where nobody bought or nobody held; D_i = sum_j B_ij I_j. Relative bonds: B = alpha W_ij +
    (1 - alpha) B_ij, at most 1; D_i = S_i sum_j B_ij / (sum_k B_kj) I_j.

    Parameters
    ----------
    at : Entries
        How the two matrices are stored.
    weights, bonds : entries
        Weights for bonds, Eq. 4, and the bonds before this epoch; any scale per miner, but in [0, 1] for relative bonds.
    stakes : (V,) float64
        Shares.
    consensus, incentive : (M,) float64
        This epoch's.
    params : Params
        The variant.
    liquid : bool
        Whether relative bonds move at :func:`protocol.consensus.yuma.liquid.rates`.

    Returns
    -------
    bonds : entries
    paid : (V,) float64
    """
    if params.relative_bonds:
        alpha = rates(weights, bonds, at.of_miner(consensus), params) if liquid else params.alpha
        new = np.minimum((1 - alpha) * bonds + alpha * weights, 1.0)
        pays = new / at.of_miner(_divisor(at.per_miner(new)))
        pays *= at.of_miner(incentive)
        return new, stakes * at.per_validator(pays)
    new, old = at.of_validator(stakes) * weights, bonds
    bought, held = at.per_miner(new), at.per_miner(old)
    new_share = np.where(bought > 0, params.alpha, 0.0)
    old_share = np.where(held > 0, 1 - params.alpha, 0.0)
    both = _divisor(new_share + old_share)
    new /= at.of_miner(_divisor(bought))  # two divisions: their product could be too small for a float
    new *= at.of_miner(new_share / both)
    new += old / at.of_miner(_divisor(held)) * at.of_miner(old_share / both)
    return new, at.per_validator(new * at.of_miner(incentive))


def _divisor(sums: Floats) -> Floats:
    """Return sums with 1 in place of 0: what is empty stays empty."""
    return np.where(sums > 0, sums, 1.0)


def bonds_and_dividends(
    stakes: Floats, weights: Floats, bonds: Floats | None, *, consensus: Floats, incentive: Floats, params: Params
) -> tuple[Floats, Floats]:
    """Return the (V, M) bonds after this epoch and what they pay each of V validators, not yet normalised.

    Parameters
    ----------
    weights : (V, M) float64
        Shares, as set.
    bonds : (V, M) float64 or None
        Before this epoch; None if nobody holds any.
    stakes, consensus, incentive, params
        As of :func:`moved`.
    """
    after, paid = np.empty_like(weights), np.zeros_like(stakes)
    liquid = has_liquid_rates(consensus, params)
    for columns in blocks(consensus.size):
        bought = weights_for_bonds(weights[:, columns], consensus[columns], params.bond_penalty)
        after[:, columns], part = moved(
            Block(),
            bought,
            np.zeros_like(bought) if bonds is None else bonds[:, columns],
            stakes=stakes,
            consensus=consensus[columns],
            incentive=incentive[columns],
            params=params,
            liquid=liquid,
        )
        paid += part
    return after, paid
