"""Every loss of an epoch as one vector per reputer: the order of columns that Eq. 13 and 31 leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.errors import DataError

if TYPE_CHECKING:
    from protocol.consensus.allora.synthesis import Synthesis

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LossLayout:
    """Which column of a flat vector belongs to which inference of Eq. 12.

    Columns in this order: network, inferences (Ni), forecast-implied (Nf), naive, one-out (Ni + Nf), one-in (Nf), and the
    forecast-implied inferences recomputed without inferer j (Ni x Nf, row by row).

    Attributes
    ----------
    inferers, forecasters
        Ni and Nf, absent ones counted.
    """

    inferers: int
    forecasters: int

    @property
    def workers(self) -> int:
        """Return Ni + Nf."""
        return self.inferers + self.forecasters

    @property
    def size(self) -> int:
        """Return the number of columns, 2 + 2 (Ni + Nf) + Nf + Ni Nf."""
        return 2 + 2 * self.workers + self.forecasters * (1 + self.inferers)

    def pack(
        self,
        *,
        network: ArrayLike,
        inferences: ArrayLike,
        forecast_implied: ArrayLike,
        naive: ArrayLike,
        one_out: ArrayLike,
        one_in: ArrayLike,
        one_out_forecast_implied: ArrayLike,
    ) -> Losses:
        """Return the bundle of parts with equal leading axes (none, or one per reputer).

        Parameters
        ----------
        network, naive : (...,) float
        inferences : (..., Ni) float
        forecast_implied, one_in : (..., Nf) float
        one_out : (..., Ni + Nf) float
            Row of the withheld worker, inferers first.
        one_out_forecast_implied : (..., Ni, Nf) float

        Raises
        ------
        DataError
            A part does not have the layout's shape.
        """
        lead = np.shape(network)
        i, f = self.inferers, self.forecasters
        parts = (
            ("network", network, ()),
            ("inferences", inferences, (i,)),
            ("forecast_implied", forecast_implied, (f,)),
            ("naive", naive, ()),
            ("one_out", one_out, (i + f,)),
            ("one_in", one_in, (f,)),
            ("one_out_forecast_implied", one_out_forecast_implied, (i, f)),
        )
        flat = []
        for name, value, shape in parts:
            array = np.asarray(value, dtype=np.float64)
            if array.shape != (*lead, *shape):
                raise DataError(
                    f"{name} has shape {array.shape}; give {(*lead, *shape)} for {i} inferers, {f} forecasters"
                )
            flat.append(array.reshape(*lead, int(np.prod(shape))))
        return Losses(self, np.concatenate(flat, axis=-1))

    def inferences(self, inferences: ArrayLike, synthesis: Synthesis) -> Floats:
        """Return every inference of an epoch, Eq. 12, in the order of the columns.

        A loss of this vector against the truth is the vector a reputer reports.

        Parameters
        ----------
        inferences : (Ni,) float
            What was given to the synthesis; NaN for the absent.

        Returns
        -------
        (size,) float64
            Unit of the target; NaN where nothing was inferred.
        """
        return self.pack(
            network=synthesis.network,
            inferences=inferences,
            forecast_implied=synthesis.forecast_implied,
            naive=synthesis.naive,
            one_out=synthesis.one_out,
            one_in=synthesis.one_in,
            one_out_forecast_implied=synthesis.one_out_forecast_implied,
        ).values


@dataclass(frozen=True, slots=True)
class Losses:
    """log10 losses of every inference of an epoch, Eq. 13; the parts are views.

    Attributes
    ----------
    layout
        Meaning of the columns.
    values : (..., size) float64
        log10 of the loss, NaN for one not reported; one row per reputer where reputers are meant.

    Raises
    ------
    DataError
        The last axis is not `layout.size` long.
    """

    layout: LossLayout
    values: Floats

    def __post_init__(self) -> None:
        if self.values.ndim < 1 or self.values.shape[-1] != self.layout.size:
            raise DataError(
                f"losses have shape {self.values.shape}; the last axis needs {self.layout.size} columns for "
                f"{self.layout.inferers} inferers and {self.layout.forecasters} forecasters"
            )

    @property
    def network(self) -> Floats:
        """Return the network's, (...,)."""
        return self.values[..., 0]

    @property
    def workers(self) -> Floats:
        """Return those of inferers, then forecasters, (..., Ni + Nf)."""
        return self.values[..., 1 : 1 + self.layout.workers]

    @property
    def inferences(self) -> Floats:
        """Return the inferers', (..., Ni)."""
        return self.workers[..., : self.layout.inferers]

    @property
    def forecast_implied(self) -> Floats:
        """Return the forecast-implied inferences', (..., Nf)."""
        return self.workers[..., self.layout.inferers :]

    @property
    def naive(self) -> Floats:
        """Return the naive network's, (...,)."""
        return self.values[..., 1 + self.layout.workers]

    @property
    def one_out(self) -> Floats:
        """Return the network's without each worker, inferers first, (..., Ni + Nf)."""
        start = 2 + self.layout.workers
        return self.values[..., start : start + self.layout.workers]

    @property
    def one_in(self) -> Floats:
        """Return the naive network's with one forecaster each, (..., Nf)."""
        start = 2 + 2 * self.layout.workers
        return self.values[..., start : start + self.layout.forecasters]

    @property
    def one_out_forecast_implied(self) -> Floats:
        """Return the forecast-implied inferences' recomputed without inferer j, (..., Ni, Nf)."""
        flat = self.values[..., 2 + 2 * self.layout.workers + self.layout.forecasters :]
        return flat.reshape(*self.values.shape[:-1], self.layout.inferers, self.layout.forecasters)
