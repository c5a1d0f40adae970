"""Inference synthesis: every inference that the network makes in one epoch, Eq. 9-12 of the Allora white paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from protocol.consensus.allora.forecasts import centre_of, combined, forecasted_regrets
from protocol.consensus.allora.one_out import SeparableRegrets, combine_rows, without_each
from protocol.consensus.allora.potential import Floats, present, weights
from protocol.consensus.allora.variant import Variant
from protocol.errors import DataError


@dataclass(frozen=True, slots=True)
class Regrets:
    """Regrets of the previous epoch, Eq. 15, in log10 of losses: inferers first, forecasters behind them. NaN = absent.

    Attributes
    ----------
    network : (Ni + Nf,)
        Of the network inference.
    naive : (Ni,)
        Of the naive inference, which leaves out all forecasters.
    one_out : (Ni + Nf, Ni + Nf) or SeparableRegrets
        Row l: of the inference without worker l, whose own entry is not read. The array takes 8 (Ni + Nf)^2 bytes (0.8
        GB for 10,000 workers); the separable form takes 8 (2 Ni + 2 Nf + Ni Nf) and means the same where it holds.
    one_in : (Nf, Ni + 1)
        Row k: of the naive inference plus forecaster k, who comes last.
    """

    network: Floats
    naive: Floats
    one_out: Floats | SeparableRegrets
    one_in: Floats

    def __post_init__(self) -> None:
        n, ni = self.network.size, self.naive.size
        nf = n - ni
        expected = {"network": (n,), "naive": (ni,), "one_in": (nf, ni + 1)}
        found = {name: getattr(self, name).shape for name in expected}
        if isinstance(self.one_out, SeparableRegrets):
            expected["one_out"] = (ni, nf)
            found["one_out"] = (self.one_out.inferences.size, self.one_out.forecast_implied.size)
        else:
            expected["one_out"], found["one_out"] = (n, n), self.one_out.shape
        if wrong := [name for name in expected if found[name] != expected[name]]:
            name = wrong[0]
            raise DataError(
                f"regrets of {ni} inferers and {nf} forecasters: {name} is {found[name]}, not {expected[name]}"
            )

    @classmethod
    def start(cls, inferers: int, forecasters: int, *, separable: bool = False) -> Regrets:
        """Return regrets of 0 of everybody, as before the first epoch."""
        n = inferers + forecasters
        one_out = SeparableRegrets.start(inferers, forecasters) if separable else np.zeros((n, n))
        return cls(np.zeros(n), np.zeros(inferers), one_out, np.zeros((forecasters, inferers + 1)))


@dataclass(frozen=True, slots=True)
class Synthesis:
    """All inferences of one epoch, Eq. 12, in the unit of the target; NaN where there is none.

    Attributes
    ----------
    forecast_implied : (Nf,)
        Eq. 3.
    network : float
        Eq. 9. Without anybody: NaN.
    weights : (Ni + Nf,)
        Of the network inference: sum 1, 0 where absent.
    naive : float
        Without any forecaster.
    naive_weights : (Ni,)
        Sum 1, 0 where absent.
    one_out : (Ni + Nf,)
        Network inference without worker l; NaN if l is absent or alone.
    one_out_forecast_implied : (Ni, Nf)
        Inference implied by forecaster k without inferer j.
    one_in : (Nf,)
        Naive inference plus forecaster k.
    """

    forecast_implied: Floats
    network: float
    weights: Floats
    naive: float
    naive_weights: Floats
    one_out: Floats
    one_out_forecast_implied: Floats
    one_in: Floats


def synthesise(  # noqa: PLR0917 - what the equations need, in their order
    inferences: ArrayLike,
    log_forecasts: ArrayLike,
    previous_log_loss: float,
    regrets: Regrets,
    variant: Variant,
    previous_weights: ArrayLike | None = None,
) -> Synthesis:
    """Return every inference of an epoch, Eq. 3-12, from what was reported in it and the regrets of the one before.

    Parameters
    ----------
    inferences : (Ni,)
        Of the target. NaN, infinite or beyond :data:`protocol.rounding.MAX_PREDICTION`: absent, like a NaN regret.
    log_forecasts : (Nf, Ni)
        log10 of the loss that forecaster k expects of inferer j; NaN where it says nothing. A forecaster that names no
        inferer who is present is absent.
    previous_log_loss
        log10 of the network's loss one epoch before; NaN counts as 0.
    regrets
        Of the epoch before. Scales (Eq. 8, 11) are taken over the workers that are combined, never over absent ones or
        the withheld one.
    variant
        See :mod:`protocol.consensus.allora.variant`.
    previous_weights : (Ni + Nf,), optional
        Network weights of the epoch before; only a variant that scales by the median absolute deviation looks at them.

    Raises
    ------
    DataError
        Shapes differ.

    Notes
    -----
    When inferer j is withheld, the forecast-implied inferences are those without j. Costs O(Ni Nf) weights times about
    ten for these, and (Ni + Nf)^2 weights for the network's one-outs; memory beyond inputs and outputs is a few arrays
    of (Nf, Ni).
    """
    v, f = np.asarray(inferences, dtype=np.float64), np.asarray(log_forecasts, dtype=np.float64)
    ni, nf = regrets.naive.size, regrets.one_in.shape[0]
    previous = None if previous_weights is None else np.asarray(previous_weights, dtype=np.float64)
    for name, found, expected in (
        ("inferences", v.shape, (ni,)),
        ("log_forecasts", f.shape, (nf, ni)),
        ("previous_weights", (ni + nf,) if previous is None else previous.shape, (ni + nf,)),
    ):
        if found != expected:
            raise DataError(f"{name} are {found}; regrets of {ni} inferers and {nf} forecasters need {expected}")
    centre = centre_of(v)
    v = np.where(present(v), v, np.nan) - centre
    known = None if previous is None else previous[:ni]
    forecasted = forecasted_regrets(f, previous_log_loss)
    implied = combined(v, forecasted, variant, known)
    without = without_each(v, forecasted, implied, variant, known)
    everyone = np.concatenate([v, implied])
    network, w = _mean(everyone, regrets.network, variant, previous)
    naive, naive_w = _mean(v, regrets.naive, variant, known)
    in_previous = None
    if previous is not None:
        in_previous = np.concatenate([np.broadcast_to(previous[:ni], (nf, ni)), previous[ni:, None]], axis=1)
    one_in = combine_rows(lambda a, b: regrets.one_in[a:b].copy(), v, implied[:, None], variant, in_previous)

    def rows(start: int, stop: int) -> Floats:
        known = regrets.one_out
        out = known.rows(start, stop) if isinstance(known, SeparableRegrets) else known[start:stop].copy()
        out[np.arange(stop - start), np.arange(start, stop)] = np.nan
        return out

    says = np.concatenate([without, np.broadcast_to(implied, (nf, nf))])
    one_out = combine_rows(rows, v, says, variant, previous)
    return Synthesis(
        forecast_implied=implied + centre,
        network=network + centre,
        weights=w,
        naive=naive + centre,
        naive_weights=naive_w,
        one_out=np.where(np.isnan(everyone), np.nan, one_out) + centre,
        one_out_forecast_implied=without + centre,
        one_in=np.where(np.isnan(implied), np.nan, one_in) + centre,
    )


def _mean(values: Floats, regrets: Floats, variant: Variant, previous: Floats | None) -> tuple[float, Floats]:
    """Return the weighted mean of Eq. 9 and its weights."""
    here = ~np.isnan(values)
    w = weights(np.where(here, regrets, np.nan), variant, previous)
    return (float(w @ np.where(here, values, 0.0)) if w.any() else np.nan), w
