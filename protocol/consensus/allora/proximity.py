"""How near reports of losses are to many consensuses at once; what the gradient of Eq. 35 needs of Eq. 32 and 33.

A consensus is linear in the reports. Its distance to each report therefore follows from the inner products of the
reports' deviations from one of the consensuses: a matrix product per step of the descent instead of a consensus per
reputer. Deviations, not the reports themselves, because the distances are small differences of large numbers otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Numbers held at once beside the reports themselves: columns are taken in blocks of about this many entries.
BLOCK = 1 << 20


def closeness(squared_distance: Floats, squared_norm: Floats, tolerance: float) -> Floats:
    """Return Eq. 33 from squared norms; `tolerance` is its epsilon_r and stands in for a norm of 0."""
    norm = np.sqrt(np.maximum(squared_norm, 0.0))
    distance = np.sqrt(np.maximum(squared_distance, 0.0))
    return np.asarray(1 / (distance / np.where(norm > 0, norm, tolerance) + tolerance))


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports of reputers, (Nr, n) log10 losses, by whether a column has gaps.

    Attributes
    ----------
    full : (Nr, a) float64
        Columns that everybody reported.
    part, there : (Nr, b) float64
        The others, 0 where not reported, and 1 where reported.
    """

    full: Floats
    part: Floats
    there: Floats

    @classmethod
    def of(cls, log_losses: Floats) -> Reports:
        """Sort the columns of `log_losses`, in which NaN is a gap."""
        gaps = np.isnan(log_losses)
        ragged = gaps.any(axis=0)
        if not ragged.any():
            return cls(log_losses, log_losses[:, :0], log_losses[:, :0])
        part = np.where(gaps, 0.0, log_losses)[:, ragged]
        return cls(log_losses[:, ~ragged], part, (~gaps[:, ragged]).astype(np.float64))

    def scores(self, weights: Floats, tolerance: float) -> Floats:
        """Return the proximity of every report to each of `k` consensuses; Eq. 32 and 33.

        Parameters
        ----------
        weights : (k, Nr) float64
            Adjusted stakes that each consensus is made with. The first row gives the consensus that deviations refer
            to: the others should be near it.
        tolerance
            See :func:`closeness`.

        Returns
        -------
        (k, Nr) float64
            0 for a report that has no column in common with the consensus.
        """
        distance, norm = _full(self.full, weights)
        if not self.part.shape[1]:
            return closeness(distance, norm, tolerance)
        more, longer, compared = _ragged(self.part, self.there, weights)
        scores = closeness(distance + more, norm + longer, tolerance)
        return scores if self.full.shape[1] else np.where(compared > 0, scores, 0.0)


def _full(reports: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return squared distances (k, Nr) of reports to consensuses, and the consensuses' squared norms (k, 1)."""
    w = weights / weights.sum(axis=1, keepdims=True)
    number, columns = reports.shape
    inner, along, length = np.zeros((number, number)), np.zeros(number), 0.0
    block = max(BLOCK // number, 1)
    for start in range(0, columns, block):
        some = reports[:, start : start + block]
        centre = w[0] @ some
        deviation = some - centre
        inner += deviation @ deviation.T
        along += deviation @ centre
        length += centre @ centre
    product = w @ inner
    drift = (product * w).sum(axis=1, keepdims=True)
    return inner.diagonal() - 2 * product + drift, length + 2 * (w @ along)[:, None] + drift


def _ragged(reports: Floats, there: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """As :func:`_full` for columns with gaps; norms are (k, Nr) too, and the number of columns compared (Nr,) is added.

    A column that nobody of positive weight reported has no consensus and is left out; negative weights, which unclamped
    coefficients may bring, count as 0.
    """
    weights = np.maximum(weights, 0.0)
    number, columns = reports.shape
    distance, norm = np.zeros((2, weights.shape[0], number))
    compared = np.zeros(number)
    block = max(BLOCK // weights.shape[0], 1)
    for start in range(0, columns, block):
        some, mask = reports[:, start : start + block], there[:, start : start + block]
        total = weights @ mask
        heard = (total > 0).all(axis=0)
        some, mask, total = some[:, heard], mask[:, heard], total[:, heard]
        centre = weights[0] @ some / total[0]
        deviation = mask * (some - centre)
        drift = weights @ deviation / total
        distance += np.sum(deviation**2, axis=1) - 2 * drift @ deviation.T + drift**2 @ mask.T
        norm += (centre + drift) ** 2 @ mask.T
        compared += mask.sum(axis=1)
    return distance, norm, compared
