"""What enters the equations: vectors of floats in which NaN means absent, and amounts that are never negative."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.potential import present
from protocol.errors import DataError


def vector(name: str, values: ArrayLike, length: int | None = None) -> NDArray[np.float64]:
    """Return `values` as an (n,) float64 array in which everything that does not count is NaN.

    Raises
    ------
    DataError
        Not one-dimensional, or not of the length asked for.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or (length is not None and x.size != length):
        wanted = "(n,)" if length is None else f"({length},)"
        raise DataError(f"{name} has shape {x.shape}; give {wanted}, one entry per participant, NaN for an absent one")
    counts = present(x)
    return x if counts.all() else np.where(counts, x, np.nan)


def amounts(name: str, values: ArrayLike, length: int | None = None) -> NDArray[np.float64]:
    """Return `values`, which must all be finite and not negative, as an (n,) float64 array.

    Raises
    ------
    DataError
        Wrong shape, or an entry is negative, NaN or infinite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or (length is not None and x.size != length):
        raise DataError(f"{name} has shape {x.shape}; give one entry per participant" + f": ({length},)" * bool(length))
    bad = ~((x >= 0) & (x < np.inf))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        raise DataError(f"{name}[{place}] is {x[place]}; give finite amounts of at least 0")
    return x


def shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return non-negative `values` divided by their sum; NaN counts as 0, and all are 0 when the sum is."""
    largest = np.nanmax(values, initial=0.0)
    if largest == 0:
        return np.zeros_like(values)
    scaled = np.where(np.isnan(values), 0.0, values) / largest
    return np.asarray(scaled / scaled.sum())
