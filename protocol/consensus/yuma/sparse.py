"""The sparse path: the same epoch from a scipy CSR array of weights, where most validators rate few miners.

Every function is the counterpart of the dense one of the same name and agrees with it to rounding. The work goes with
the number of weights and bonds, and is less than the dense path's while under about a quarter of the pairs have one.
Bonds decay and never quite vanish, so they fill up as validators move on to other miners. The runtime's sparse code,
when liquid rates are on, forgets at once what was held with a miner whose weight is not listed any more; its dense code
and the documentation do not, and neither does this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from protocol.consensus.yuma.bonds import has_liquid_rates, moved, weights_for_bonds
from protocol.consensus.yuma.consensus import TIE, Agreement, countable
from protocol.consensus.yuma.variant import Params

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

UNIT = 1 << 53  # of a stake's share as an integer: sums are exact in any order, and wrap round without harm


@dataclass(frozen=True, slots=True)
class Pairs:
    """The stored entries of a CSR array, in its order.

    Attributes
    ----------
    validators, miners : (n,) int
        Row and column of each entry.
    shape : (int, int)
        Of the matrix.
    """

    validators: NDArray[np.intp]
    miners: NDArray[np.intp]
    shape: tuple[int, int]

    @classmethod
    def stored(cls, matrix: Any) -> Pairs:
        """Return those of a CSR array."""
        return cls(np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices, matrix.shape)

    def of_miner(self, values: Floats) -> Floats:
        """Return (M,) values, one per entry."""
        return values[self.miners]

    def of_validator(self, values: Floats) -> Floats:
        """Return (V,) values, one per entry."""
        return values[self.validators]

    def per_miner(self, entries: Floats) -> Floats:
        """Return (M,) sums."""
        return np.bincount(self.miners, entries, self.shape[1]).astype(np.float64, copy=False)  # int if there are none

    def per_validator(self, entries: Floats) -> Floats:
        """Return (V,) sums."""
        return np.bincount(self.validators, entries, self.shape[0]).astype(np.float64, copy=False)


def weight_shares(weights: Any, mask: Flags | None = None) -> Any:
    """Return W as a CSR array; see :func:`protocol.consensus.yuma.consensus.weight_shares`."""
    w = _csr(weights)
    at = Pairs.stored(w)
    if mask is not None:
        w.data[~np.broadcast_to(mask, w.shape)[at.validators, at.miners]] = 0.0
    w.data = countable(w.data)
    total = at.per_validator(w.data)
    w.data = w.data / at.of_validator(np.where(total > 0, total, 1.0))
    return w


def consensus_weights(stakes: Floats, weights: Any, kappa: float) -> Floats:
    """Return the largest weight on each miner that at least `kappa` of the stake supports, Eq. 3."""
    at = Pairs.stored(weights)
    miners = weights.shape[1]
    order = np.argsort(weights.data)[::-1]
    # grouped by miner, largest weight first; integers of at most 16 bits are sorted in linear time
    order = order[np.argsort(at.miners[order].astype(np.min_scalar_type(miners)), kind="stable")]
    support = np.rint(stakes * UNIT).astype(np.uint64)[at.validators[order]].cumsum()
    counts = np.bincount(at.miners, minlength=miners)
    ends = counts.cumsum()
    before = np.concatenate(([np.uint64(0)], support))[ends - counts]
    lacking = support - np.repeat(before, counts) < np.uint64(np.ceil((kappa - TIE) * UNIT))
    place = ends - counts + np.bincount(at.miners[order], weights=lacking, minlength=miners).astype(np.intp)
    supported = place < ends
    consensus = np.zeros(miners)
    consensus[supported] = weights.data[order[place[supported]]]
    return consensus


def agreement(stakes: Floats, weights: Any, kappa: float) -> Agreement:
    """Return consensus, ranks and trust."""
    at = Pairs.stored(weights)
    consensus = consensus_weights(stakes, weights, kappa)
    clipped = np.minimum(weights.data, at.of_miner(consensus))
    stake = at.of_validator(stakes)
    return Agreement(
        consensus, at.per_miner(stake * weights.data), at.per_miner(stake * clipped), at.per_validator(clipped)
    )


def bonds_and_dividends(
    stakes: Floats, weights: Any, bonds: Any, *, consensus: Floats, incentive: Floats, params: Params
) -> tuple[Any, Floats]:
    """Return the bonds after this epoch as a CSR array and what they pay, not yet normalised."""
    bought = weights_for_bonds(weights.data, consensus[weights.indices], params.bond_penalty)
    # the sum of a real and an imaginary array has the entries of both, aligned
    both = csr_array((bought.astype(np.complex128), weights.indices, weights.indptr), shape=weights.shape)
    if bonds is not None:
        both = both + 1j * _csr(bonds)
    at = Pairs.stored(both)
    after, paid = moved(
        at,
        np.ascontiguousarray(both.data.real),
        np.ascontiguousarray(both.data.imag),
        stakes=stakes,
        consensus=consensus,
        incentive=incentive,
        params=params,
        liquid=has_liquid_rates(consensus, params),
    )
    result = csr_array((after, both.indices, both.indptr), shape=both.shape)
    result.eliminate_zeros()
    return result, paid


def _csr(matrix: Any) -> Any:
    """Return a copy as a CSR array of float64 with sorted rows and no duplicates."""
    copy = csr_array(matrix, dtype=np.float64, copy=True)
    copy.sum_duplicates()
    return copy
