"""What the stake agrees on: consensus weights, the clip at them, ranks and trust.

Sources: subtensor's `docs/consensus.md`, "Consensus policy" (Eq. 3), "Reward distribution" and "Mathematical
definitions". V validators set weights on M miners.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.rounding import MAX_PREDICTION

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Support this much below kappa is enough, so that stakes which sum to kappa but for rounding count as a tie.
TIE = 1e-12
BLOCK = 128  # columns worked on at once: a few such blocks of 256 rows stay in a core's cache


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What the weights of one epoch agree on.

    Attributes
    ----------
    consensus : (M,)
        The largest weight that kappa of the stake supports, Eq. 3.
    preranks : (M,)
        P, the stake-weighted sum of the weights as set.
    ranks : (M,)
        R, the stake-weighted sum of the weights clipped at consensus.
    validator_trust : (V,)
        T_v, the sum of a validator's clipped weights.
    """

    consensus: Floats
    preranks: Floats
    ranks: Floats
    validator_trust: Floats


def blocks(columns: int) -> Iterator[slice]:
    """Yield slices of at most :data:`BLOCK` columns."""
    for start in range(0, columns, BLOCK):
        yield slice(start, min(start + BLOCK, columns))


def shares(values: Floats) -> Floats:
    """Return `values` (n,) >= 0 divided by their sum, or all 0; values near the limits of floats do no harm."""
    largest = values.max(initial=0.0)
    if largest == 0:
        return np.zeros_like(values)
    scaled = values / largest
    return np.asarray(scaled / scaled.sum())


def countable(weights: Floats) -> Floats:
    """Return weights with 0 for whatever is not in [0, 1e100]: strangers set them, and none can spoil an epoch."""
    if weights.size == 0 or (weights.min() >= 0 and weights.max() <= MAX_PREDICTION):
        return weights
    return np.where((weights >= 0) & (weights <= MAX_PREDICTION), weights, 0.0)


def weight_shares(weights: Floats, mask: Flags | None = None) -> Floats:
    """Return W, each validator's weights divided by their sum ("Weight").

    Parameters
    ----------
    weights : (V, M) float64
        Any scale per row; what is not in [0, 1e100] is no weight.
    mask : bool, optional
        Broadcast against `weights`. False: the weight does not count.

    Returns
    -------
    (V, M) float64
        A new array; rows sum to 1, or are all 0 for a validator without weights.
    """
    w = countable(weights if mask is None else np.where(mask, weights, 0.0))
    total = w.sum(axis=1, keepdims=True)
    return np.asarray(w / np.where(total > 0, total, 1.0))


def consensus_weights(stakes: Floats, weights: Floats, kappa: float) -> Floats:
    """Return the largest weight on each miner that at least `kappa` of the stake supports, Eq. 3.

    consensus_j = max w such that sum_i S_i {W_ij >= w} >= kappa, within :data:`TIE`. It is one of the column's own
    weights: they are sorted and the rank is found by halving, so no bisection error is left.

    What a minority A with the share S_A of the stake cannot do:

    - If S_A < kappa and S_A <= 1 - kappa, the consensus stays between the smallest and the largest weight the
      others set. Where they agree it is theirs, whatever A does.
    - Those above the consensus hold less than kappa. However they move, and whoever joins them while together they
      stay below kappa, as long as nobody falls below the consensus it does not move, and neither do clipped weights,
      ranks and incentives, except through `weight_shares`: what a row gives to one miner it takes from others.

    Parameters
    ----------
    stakes : (V,) float64
        Shares that sum to 1, or all 0.
    weights : (V, M) float64
        Finite and at least 0.
    kappa : float
        In (0, 1].

    Returns
    -------
    (M,) float64
        0 without stake, or where less than `kappa` of it set a weight.
    """
    validators, miners = weights.shape
    consensus = np.zeros(miners)
    if not stakes.any():
        return consensus
    support = np.empty((BLOCK, validators))
    for columns in blocks(miners):
        w = np.ascontiguousarray(weights[:, columns].T)
        ascending = np.sort(w, axis=1)
        every, supports = np.arange(len(w)), support[: len(w)]
        rank = np.zeros(len(w), dtype=np.intp)  # all the stake supports the smallest weight
        for step in 1 << np.arange((validators - 1).bit_length())[::-1]:
            higher = np.minimum(rank + step, validators - 1)
            np.greater_equal(w, ascending[every, higher][:, None], out=supports)
            rank = np.where(supports @ stakes >= kappa - TIE, higher, rank)
        consensus[columns] = ascending[every, rank]
    return consensus


def agreement(stakes: Floats, weights: Floats, kappa: float) -> Agreement:
    """Return consensus, ranks and trust; arguments as of :func:`consensus_weights`."""
    consensus = consensus_weights(stakes, weights, kappa)
    ranks, trust = np.empty_like(consensus), np.zeros_like(stakes)
    for columns in blocks(consensus.size):
        clipped = np.minimum(weights[:, columns], consensus[columns])
        ranks[columns] = stakes @ clipped
        trust += clipped.sum(axis=1)
    return Agreement(consensus, stakes @ weights, ranks, trust)
