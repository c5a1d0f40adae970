"""The success multiplier M(t) of the bonding curve, seed "Token Bonding", Eq. 4 and section 4.3.3.

It applies to buys only. If it moved the price for sellers too, tokens bought at M = 1.345 and sold at M = 1.85 would find
a reserve that covers 1.345 / 1.85 of them: 27.3 % of all claims would be unfunded, at every supply.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.wei import WAD, div_up, whole

#: Lowest and highest value of model accuracy, adoption, performance improvement and network growth, times 10**18.
BOUNDS = ((7 * WAD // 10, WAD), (0, WAD), (8 * WAD // 10, WAD), (0, WAD))


def bounded(metrics: Sequence[int], bounds: Sequence[tuple[int, int]] = BOUNDS) -> tuple[int, ...]:
    """Return measured metrics cut to their bounds.

    Parameters
    ----------
    metrics : (n,) int
        Times 10**18.
    bounds : (n,) pairs of int
        The seed's by default, whose four metrics are in the order of :data:`BOUNDS`.

    Raises
    ------
    RefusedError
        There are not as many metrics as bounds.
    """
    if len(metrics) != len(bounds):
        raise RefusedError(f"{len(metrics)} metrics for {len(bounds)} bounds; give one each")
    return tuple(min(max(metric, low), high) for metric, (low, high) in zip(metrics, bounds, strict=True))


def success_multiplier(weights: Sequence[int], metrics: Sequence[int]) -> int:
    """Return ``M = 1 + sum of w_i m_i``, rounded up, as it is what buyers pay.

    Parameters
    ----------
    weights : (n,) int
        Times 10**18, not negative, at most 10**18 in all.
    metrics : (n,) int
        Times 10**18, each from 0 to 10**18; see :func:`bounded`.

    Returns
    -------
    int
        Times 10**18: from 10**18 to 2 * 10**18.

    Raises
    ------
    ConfigError
        A weight is not whole or negative, or they add up to more than one.
    RefusedError
        A metric is not whole or out of range, or there are not as many as weights.
    """
    if len(weights) != len(metrics):
        raise RefusedError(f"{len(metrics)} metrics for {len(weights)} weights; give one each")
    for number, weight in enumerate(weights):
        whole(weight, f"weight {number}", 0, WAD, ConfigError)
    whole(sum(weights), "the sum of the weights", 0, WAD, ConfigError)
    for number, metric in enumerate(metrics):
        whole(metric, f"metric {number}", 0, WAD)
    return WAD + div_up(sum(w * m for w, m in zip(weights, metrics, strict=True)), WAD)
