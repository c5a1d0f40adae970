"""Is the network better than what it is made of? Its losses, bar by bar, beside those of rivals, with a Diebold-Mariano test.

Rivals that anybody could name:

- the **plain mean** of the models that spoke, without regrets, forecasters and weights (:func:`mean_loss`);
- the **leader**: at every bar the model with the lowest mean loss among those that were known then. It could have been
  followed (:func:`leaders`);
- the **best model in hindsight**. It could not have been known; picking it among several favours it.

Losses are log10 of :class:`~protocol.consensus.allora.loss.MarketLoss`, that is minus CORR, in dex; any other loss will do.
They look back at settled bars and are no features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fund.diebold_mariano import (
    LEVEL,
    DieboldMariano,
    bounded,
    check_horizon,
    column,
    day,
    diebold_mariano,
    shown_p,
)
from fund.units import plain
from protocol.consensus.allora.loss import MarketLoss
from protocol.consensus.allora.potential import present
from protocol.errors import DataError
from protocol.scores import PANEL_MIN

#: Settled bars of a model before it can lead.
LEAD_BARS = 20

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def mean_loss(inferences: ArrayLike, truth: ArrayLike) -> float:
    """Return the log10 loss of the plain mean of the models that spoke at one bar.

    Parameters
    ----------
    inferences : (N, S) float
        Gaussianised rank per model and symbol; a model with a value that is not finite is absent.
    truth : (S,) float
        u of :mod:`data.target`, known ``horizon + 1`` bars later; NaN where it will never be known.

    Returns
    -------
    float
        Minus CORR over the known symbols; NaN if nobody spoke or fewer than five are known.

    Raises
    ------
    DataError
        Shapes do not fit.
    """
    x, u = np.asarray(inferences, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if x.ndim != 2 or u.shape != x.shape[1:]:
        raise DataError(f"inferences {x.shape} need one row per model, truth {u.shape} one entry per column")
    spoke, known = present(x).all(axis=1), present(u)
    if not spoke.any() or np.count_nonzero(known) < PANEL_MIN:
        return math.nan
    rows = np.arange(np.count_nonzero(known), dtype=np.int64)
    return float(MarketLoss(np.zeros_like(rows), rows).log10(x[spoke].mean(axis=0)[known], u[known]))


def leaders(models: ArrayLike, horizon: int) -> Ints:
    """Return who led at each bar: the model present with the lowest mean loss so far.

    Uses at row t losses of rows up to ``t - horizon - 1``, whose truth is known at the close of bar t, and of t only who is
    there. With bars missing between rows it waits longer than it had to.

    Parameters
    ----------
    models : (N, T) float
        Losses of each model in order of bars, NaN where it is absent.
    horizon : int

    Returns
    -------
    (T,) int64
        Row of `models`; the first of equals; -1 while nobody present has 20 known losses.

    Raises
    ------
    DataError
        Not two-dimensional, infinite, above 1e100, or a horizon below 1.
    """
    x = _table(models)
    check_horizon(horizon)
    n, bars = x.shape
    late = min(horizon + 1, bars)
    there = np.isfinite(x)
    total = np.zeros((n, bars))
    count = np.zeros((n, bars))
    total[:, late:] = np.cumsum(np.where(there, x, 0.0), axis=1)[:, : bars - late]
    count[:, late:] = np.cumsum(there, axis=1)[:, : bars - late]
    able = there & (count >= LEAD_BARS)
    mean = np.divide(total, count, out=np.full((n, bars), np.inf), where=able)
    if not n:
        return np.full(bars, -1, dtype=np.int64)
    return np.where(able.any(axis=0), mean.argmin(axis=0), -1).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class LossHistory:
    """Losses of one topic, bar by bar.

    Attributes
    ----------
    topic : str
    time : (T,) int64
        Open of each settled bar, microseconds since 1970 UTC, ascending.
    horizon : int
        Bars.
    network, mean : (T,) float64
        log10 losses of the network and of the plain mean; NaN where there is none.
    names : tuple of str
        Block hashes.
    models : (N, T) float64
        NaN where a model did not speak.

    Raises
    ------
    DataError
        Shapes differ, bars are not ascending, a value is infinite or above 1e100, a name comes twice, the horizon is below 1.
    """

    topic: str
    time: Ints
    horizon: int
    network: Floats
    mean: Floats
    names: tuple[str, ...]
    models: Floats

    def __post_init__(self) -> None:
        check_horizon(self.horizon)
        bars, found = np.size(self.time), (column("network", self.network), column("mean", self.mean))
        if np.shape(self.time) != (bars,) or not (np.diff(self.time) > 0).all():
            raise DataError(f"{self.topic}: the {bars} bars are not ascending; give each settled bar once, in order")
        if any(one.size != bars for one in found) or _table(self.models).shape != (len(self.names), bars):
            raise DataError(
                f"{self.topic}: losses {found[0].shape}, {found[1].shape} and {np.shape(self.models)} do not fit {bars} bars "
                f"and {len(self.names)} models"
            )
        if len(set(self.names)) < len(self.names):
            raise DataError(f"{self.topic}: a model is named twice; give each block once")

    @classmethod
    def of(
        cls,
        topic: str,
        horizon: int,
        *,
        time: Sequence[int],
        losses: Sequence[Mapping[str, float]],
        mean: Sequence[float],
        models: Sequence[str],
    ) -> LossHistory:
        """Return the history of settlements.

        Parameters
        ----------
        topic : str
        horizon : int
        time : (T,) int
        losses : (T,) mapping of name to float
            :attr:`fund.topic_state.Settlement.losses`: ``network`` and whoever took part.
        mean : (T,) float
            :func:`mean_loss` of the same bars.
        models : sequence of str
            Names in `losses` that are models, every model that ever spoke.
        """
        rows = [[one.get(name, math.nan) for one in losses] for name in ("network", *models)]
        network, *rest = np.array(rows, dtype=np.float64).reshape(len(rows), len(losses))
        table = np.array(rest, dtype=np.float64).reshape(len(models), len(losses))
        at = np.asarray(time, dtype=np.int64)
        return cls(topic, at, horizon, network, np.asarray(mean, dtype=np.float64), tuple(models), table)


@dataclass(frozen=True, slots=True, eq=False)
class Rival:
    """The network beside one rival.

    Attributes
    ----------
    name : {'mean', 'leader', 'hindsight'}
    label : str
        In words.
    tried : int
        Among how many it was picked in hindsight; 1 for one that was named beforehand.
    differential : (T,) float64
        Network's loss less the rival's: negative speaks for the network. NaN where one is missing.
    test : DieboldMariano
    """

    name: str
    label: str
    tried: int
    differential: Floats
    test: DieboldMariano

    @property
    def p(self) -> float:
        """p that counts the picking: times the tries (Bonferroni) where the rival is ahead; else picking worked against it."""
        return min(1.0, self.test.p * (self.tried if self.test.mean > 0 else 1))

    @property
    def verdict(self) -> str:
        """One sentence with the numbers behind it."""
        test = self.test
        if test.reason:
            return f"network beside {self.label}: not tested, {test.reason}"
        picked = ""
        if self.tried > 1 and test.mean > 0:
            picked = f" after {shown_p(test.p)} for each of the {self.tried} it was picked from"
        elif self.tried > 1:
            picked = f"; picking it from {self.tried} in hindsight favours it"
        evidence = (
            f"loss less its {test.mean:+.5f}, 95 % interval {test.low:+.5f} to {test.high:+.5f}; Diebold-Mariano "
            f"{test.statistic:+.2f}, {shown_p(self.p)}{picked}; {test.bars} bars"
        )
        if self.p >= LEVEL:
            return f"network beside {self.label}: no difference that this sample can show ({evidence})"
        better = "better" if test.mean < 0 else "worse"
        return f"network {better} than {self.label} ({evidence})"


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The network of a topic beside its rivals.

    Attributes
    ----------
    topic : str
    time : (T,) int64
    horizon : int
    bars : int
        At which the network has a loss.
    loss : float
        Its mean over them; NaN without one.
    rivals : tuple of Rival
    """

    topic: str
    time: Ints
    horizon: int
    bars: int
    loss: float
    rivals: tuple[Rival, ...]

    @property
    def verdict(self) -> tuple[str, ...]:
        """The sample, then a sentence per rival."""
        span = f" from {day(int(self.time[0]))} to {day(int(self.time[-1]))}" if self.time.size else ""
        level = f"mean loss {self.loss:+.5f}" if self.bars else "no loss"
        first = (
            f"{self.topic}: {self.bars} settled bars{span}, horizon {self.horizon}, network's {level} (0 is no skill)"
        )
        return (first, *(f"{self.topic}: {rival.verdict}" for rival in self.rivals))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, null for NaN."""
        return {
            "topic": self.topic,
            "horizon": self.horizon,
            "bars": self.bars,
            "network_loss": plain(self.loss),
            "rivals": [
                {
                    "name": rival.name,
                    "label": rival.label,
                    "tried": rival.tried,
                    **rival.test.to_dict(),
                    "p_of_all_tried": plain(rival.p),
                }
                for rival in self.rivals
            ],
            "verdict": list(self.verdict),
        }


def compare(history: LossHistory, names: Mapping[str, str] = MappingProxyType({})) -> Comparison:
    """Return the network beside the plain mean, the leader, and the best model in hindsight.

    `names` says what to call a model; without one it is called by the first digits of its block.

    The last is the one with the lowest mean differential against the network, among those that spoke at half of the network's
    bars or more: over a short life luck is best. Its p is multiplied by their number if it is ahead.
    """
    h, network = history.horizon, history.network
    leading = leaders(history.models, h)
    led = leading >= 0
    followed = np.full(network.size, math.nan)
    followed[led] = history.models[leading[led], np.flatnonzero(led)]
    settled = np.isfinite(network)

    def rival(name: str, label: str, losses: Floats, tried: int = 1) -> Rival:
        return Rival(name, label, tried, network - losses, diebold_mariano(network, losses, h))

    common = np.isfinite(history.models) & settled
    count = common.sum(axis=1)
    lasting = np.flatnonzero((count > 0) & (2 * count >= np.count_nonzero(settled)))
    rivals = [
        rival("mean", "the plain mean of its models", history.mean),
        rival("leader", "the best model so far", followed),
    ]
    if lasting.size:
        ahead = [float((network - history.models[i])[common[i]].mean()) for i in lasting]
        best = int(lasting[int(np.argmax(ahead))])
        name = history.names[best]
        label = f"{names.get(name, name[:12])}, the best model in hindsight"
        rivals.append(rival("hindsight", label, history.models[best], lasting.size))
    else:
        nobody = np.full(network.size, math.nan)
        rivals.append(rival("hindsight", "the best model in hindsight (none spoke at half of the bars)", nobody))
    bars = int(np.count_nonzero(settled))
    mean = float(network[settled].mean()) if bars else math.nan
    return Comparison(history.topic, history.time, h, bars, mean, tuple(rivals))


def _table(values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2:
        raise DataError(f"losses of models have shape {x.shape}; give one row per model, one column per bar")
    return bounded("losses of models", x)
