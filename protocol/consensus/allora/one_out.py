"""Leave-one-out in bulk: rows of regrets combined with a worker withheld in each, Eq. 3 and 9; separable regrets.

Withholding a worker changes the scale that divides everybody's regret, so that each of n one-outs takes n new weights. For
the network that is one row of its own regrets per worker. For the forecasters it would be n squared weights each:
few inferers are computed so, many by :mod:`protocol.consensus.allora.nodes`, with results equal to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from protocol.consensus.allora.nodes import BLOCK, by_nodes
from protocol.consensus.allora.potential import Floats, present, relative_weights
from protocol.consensus.allora.variant import Variant
from protocol.errors import DataError

EXACT_UP_TO = {"std": 32, "mad": 64}  # inferers, by `scale`; below, n squared weights take less time than nodes


@dataclass(frozen=True, slots=True)
class SeparableRegrets:
    """One-out regrets as differences, in O(Ni + Nf + Ni Nf) floats instead of (Ni + Nf) squared.

    The moving average of Eq. 15 is linear, so R[l, x] = withheld[l] - loss of x, each side with its own average. This
    holds while the same workers take part in every epoch since a common start (absent from the start is allowed: NaN).
    Where workers come and go, or regrets start elsewhere than at a common value, keep the full array instead.

    Attributes
    ----------
    withheld : (Ni + Nf,)
        Moving average of the log10 loss of the network inference without l.
    inferences : (Ni,), forecast_implied : (Nf,)
        Moving averages of the log10 losses of the workers.
    forecast_implied_one_out : (Ni, Nf)
        Of forecaster k without inferer j: takes the place of ``forecast_implied[k]`` in row j.
    """

    withheld: Floats
    inferences: Floats
    forecast_implied: Floats
    forecast_implied_one_out: Floats

    def __post_init__(self) -> None:
        ni, nf = self.inferences.size, self.forecast_implied.size
        expected = {"withheld": (ni + nf,), "inferences": (ni,), "forecast_implied": (nf,)}
        for name, shape in {**expected, "forecast_implied_one_out": (ni, nf)}.items():
            if (found := getattr(self, name).shape) != shape:
                raise DataError(
                    f"{name} of separable regrets is {found}; {ni} inferers and {nf} forecasters need {shape}"
                )

    @classmethod
    def start(cls, inferers: int, forecasters: int) -> SeparableRegrets:
        """Return regrets 0 of everybody, as before the first epoch; a lone inferer cannot be withheld: NaN."""
        lone = np.nan if inferers == 1 else 0.0
        withheld = np.zeros(inferers + forecasters)
        withheld[:inferers] = lone
        return cls(withheld, np.zeros(inferers), np.zeros(forecasters), np.full((inferers, forecasters), lone))

    def rows(self, start: int, stop: int) -> Floats:
        """Return rows `start` to `stop` of :meth:`dense` as a new array, (stop - start, Ni + Nf)."""
        ni = self.inferences.size
        out = np.empty((stop - start, self.withheld.size))
        np.subtract(self.withheld[start:stop, None], self.inferences, out=out[:, :ni])
        cut = min(max(ni - start, 0), stop - start)
        out[:cut, ni:] = self.withheld[start : start + cut, None] - self.forecast_implied_one_out[start : start + cut]
        out[cut:, ni:] = self.withheld[start + cut : stop, None] - self.forecast_implied
        return out

    def dense(self) -> Floats:
        """Return the regrets as an array, row = withheld: (Ni + Nf, Ni + Nf), 8 (Ni + Nf)^2 bytes."""
        return self.rows(0, self.withheld.size)

    def updated(
        self,
        one_out: ArrayLike,
        inferences: ArrayLike,
        forecast_implied: ArrayLike,
        forecast_implied_one_out: ArrayLike,
        alpha: float,
    ) -> SeparableRegrets:
        """Return the regrets after one epoch, Eq. 15 for every pair at once, from that epoch's log10 losses.

        Parameters
        ----------
        one_out : (Ni + Nf,)
            Log10 loss of the network inference without l, Eq. 14.
        inferences : (Ni,), forecast_implied : (Nf,), forecast_implied_one_out : (Ni, Nf)
            Log10 losses of the workers, and of the forecasters without inferer j.
        alpha
            Weight of this epoch.

        Raises
        ------
        DataError
            A shape differs, or a loss is absent that was not, or the other way round: differences cannot express that.
        """
        losses = [
            np.asarray(x, dtype=np.float64) for x in (one_out, inferences, forecast_implied, forecast_implied_one_out)
        ]
        names = ("withheld", "inferences", "forecast_implied", "forecast_implied_one_out")
        for name, new in zip(names, losses, strict=True):
            old = getattr(self, name)
            if new.shape != old.shape:
                raise DataError(f"losses for {name} are {new.shape}, its regrets {old.shape}; give one loss each")
            if (changed := present(new) != present(old)).any():
                raise DataError(
                    f"{name}: entry {np.argwhere(changed)[0].tolist()} came or went; continue with the array of dense()"
                )
        return SeparableRegrets(
            *(alpha * new + (1 - alpha) * getattr(self, name) for name, new in zip(names, losses, strict=True))
        )


def combine_rows(
    rows: Callable[[int, int], Floats],
    common: Floats,
    own: Floats,
    variant: Variant,
    previous: Floats | None = None,
) -> Floats:
    """Return the weighted mean of each row's inferences, Eq. 3 and 9, in blocks that fit a core's cache.

    Parameters
    ----------
    rows
        Returns regrets ``start`` to ``stop`` as a new array (stop - start, n + m), NaN for who is left out; it is
        written to.
    common : (n,)
        Inferences that all rows share; absent is NaN.
    own : (R, m)
        Inferences of the row itself.
    variant, previous
        See :func:`protocol.consensus.allora.potential.weights`; `previous` is (n + m,) or (R, n + m).

    Returns
    -------
    (R,) float64
        NaN where nobody is present.
    """
    n, count = common.size, own.shape[0]
    gone, own_gone = np.isnan(common), np.isnan(own)
    common, own = np.where(gone, 0.0, common), np.where(own_gone, 0.0, own)
    out = np.empty(count)
    step = max(1, BLOCK // max(n + own.shape[1], 1))
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        r = rows(part.start, part.stop)
        r[:, :n][:, gone] = np.nan
        r[:, n:][own_gone[part]] = np.nan
        w, total = relative_weights(
            r, variant, previous[part] if previous is not None and previous.ndim > 1 else previous
        )
        total[total == 0] = np.nan
        out[part] = (w[:, :n] @ common + np.einsum("ij,ij->i", w[:, n:], own[part])) / total
    return out


def without_each(
    inferences: Floats, regrets: Floats, whole: Floats, variant: Variant, previous: Floats | None = None
) -> Floats:
    """Return each forecaster's inference without each inferer, Eq. 3-8 with inferer j withheld.

    Parameters
    ----------
    inferences : (Ni,)
        Absent ones are NaN.
    regrets : (Nf, Ni)
        Forecasted, Eq. 4; absent ones are NaN.
    whole : (Nf,)
        The forecasters' inferences with nobody withheld.
    variant, previous
        See :func:`protocol.consensus.allora.potential.weights`; `previous` is (Ni,).

    Returns
    -------
    (Ni, Nf) float64
        NaN where the inferer is absent or withholding it leaves the forecaster nobody. Forecasters that do not name
        the inferer keep their inference.
    """
    absent = np.isnan(inferences)
    v = np.where(absent, 0.0, inferences)
    here = present(regrets) & ~absent
    out = np.where(here, np.nan, whole[:, None])
    if v.size > EXACT_UP_TO[variant.scale]:
        step = max(1, BLOCK // v.size)
        for part in (slice(start, start + step) for start in range(0, len(out), step)):
            found = by_nodes(np.where(here[part], regrets[part], -np.inf), here[part], v, variant, previous)
            np.copyto(out[part], found, where=here[part])
    k_of, j_of = np.nonzero(np.isnan(out) & here)

    def rows(start: int, stop: int) -> Floats:
        some = np.where(here[k_of[start:stop]], regrets[k_of[start:stop]], np.nan)
        some[np.arange(stop - start), j_of[start:stop]] = np.nan
        return some

    out[k_of, j_of] = combine_rows(rows, v, np.empty((k_of.size, 0)), variant, previous)
    out[:, absent] = np.nan
    return np.ascontiguousarray(out.T)
