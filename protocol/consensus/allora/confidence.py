"""How far the inferences behind the network's disagree: weighted quantiles, Eq. 16-19."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.inputs import vector
from protocol.consensus.allora.potential import present
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.errors import DataError

if TYPE_CHECKING:
    from protocol.consensus.allora.synthesis import Synthesis

Floats = NDArray[np.float64]


def interval(
    inferences: ArrayLike,
    weights: ArrayLike,
    network: float,
    variant: Variant = SIMULATOR,
    quantiles: ArrayLike | None = None,
) -> Floats:
    """Return quantiles of the weighted inferences, Eq. 16-19.

    It tells how much the workers disagree now, nothing about how often the network was right.

    Parameters
    ----------
    inferences : (n,) float
        Inferences and forecast-implied inferences, unit of the target; NaN is absent.
    weights : (n,) float
        Of the network inference, on any scale, not negative. An inference of weight 0 is left out and does not count.
    network
        Network inference, around which Eq. 16 shrinks.
    variant
        `shrink_interval`: deviations from `network` over sqrt(N), as the paper prints it; `quantiles` by default.
    quantiles : (Q,) float, optional
        Each from 0 to 1.

    Returns
    -------
    (Q,) float64
        Unit of the target, interpolated between the middles of the weights (Eq. 18) and not extrapolated: beyond the
        middle of the smallest or largest inference it is that inference. NaN if nobody has weight.

    Raises
    ------
    DataError
        Lengths differ, a weight is negative, or a quantile is not from 0 to 1.
    """
    x = vector("inferences", inferences)
    w = vector("weights", weights, x.size)
    q = vector("quantiles", variant.quantiles if quantiles is None else quantiles)
    if not ((q >= 0) & (q <= 1)).all():
        raise DataError(f"quantiles are {q.tolist()}; give numbers from 0 to 1")
    if (w < 0).any():
        raise DataError(f"weights hold {float(np.nanmin(w))}; give weights of at least 0")
    counts = ~np.isnan(x) & (w > 0)
    x, w = x[counts], w[counts]
    if not x.size or not present(network):
        return np.full(q.size, np.nan)
    if variant.shrink_interval:
        x = network + (x - network) / np.sqrt(x.size)
    order = np.lexsort((w, x))  # by weight among equals, so that the order of workers does not matter
    x, w = x[order], w[order] / w.max()
    below = np.cumsum(w)
    return np.interp(q, (below - 0.5 * w) / below[-1], x)


def network_interval(
    inferences: ArrayLike, synthesis: Synthesis, variant: Variant = SIMULATOR, quantiles: ArrayLike | None = None
) -> Floats:
    """Return the :func:`interval` of a network inference from the workers' inferences (Ni,) and what came of them."""
    everyone = np.concatenate([vector("inferences", inferences), synthesis.forecast_implied])
    return interval(everyone, synthesis.weights, synthesis.network, variant, quantiles)
