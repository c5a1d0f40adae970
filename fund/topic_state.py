"""What a topic's inference is made of: answers, what the network said, what waits for its truth, what is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fund.forecasters import FORECASTERS, Forecaster, Seen, Track
from fund.regime import NAMES
from protocol.consensus.allora import epoch
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.errors import DataError
from protocol.scores import PANEL_MIN

#: CORR of one bar has a standard error of about 1/sqrt(symbols), against differences in skill of a few hundredths: regrets
#: average over some 50 bars instead of 10.
MARKET = replace(SIMULATOR, name="market", alpha=0.02)
ALONE: Mapping[str, float] = MappingProxyType({"fund": 1.0})  # reputers and stakes of a network without validators
NEVER = -(2**63)  # before every bar

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the models of a topic say at the close of one bar.

    Attributes
    ----------
    time : int
        Open of the bar, microseconds since 1970 UTC.
    symbols : tuple of str
        S of them, at least five; sorted.
    values : mapping of block hash to (S,) float64
        Gaussianised rank of each symbol among the S. A model with a value that is not finite counts as absent.
    standing : mapping of block hash to float
        Prior weight of every model of the topic, also of those that do not answer; 0 is absent.
    failed : mapping of block hash to str
        Why a model does not answer.
    regime : (r,) float64
        Of this bar, see :mod:`fund.regime`.
    """

    time: int
    symbols: tuple[str, ...]
    values: Mapping[str, Floats]
    standing: Mapping[str, float]
    failed: Mapping[str, str]
    regime: Floats

    def __post_init__(self) -> None:
        s = len(self.symbols)
        if s < PANEL_MIN or len(set(self.symbols)) < s:
            raise DataError(
                f"the cross-section has {s} symbols ({len(set(self.symbols))} different ones); symbols are ranked among "
                f"each other, so give at least {PANEL_MIN}, each once"
            )
        if unknown := sorted({*self.values, *self.failed} - set(self.standing)):
            raise DataError(f"model {unknown[0][:12]} answers but has no standing; give a weight for each model")
        for name, value in self.values.items():
            if np.shape(value) != (s,):
                raise DataError(f"model {name[:12]} gives {np.shape(value)} values; give one for each of {s} symbols")
        for name, weight in self.standing.items():
            if not 0 <= weight <= 1:
                raise DataError(f"model {name[:12]} has weight {weight}; give a number from 0 to 1")
        if self.regime.shape != (len(NAMES),) or not np.isfinite(self.regime).all():
            raise DataError(f"the regime is {self.regime.tolist()}; give {len(NAMES)} finite numbers")


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """What the network says at the close of one bar; all arrays have one entry per symbol.

    Attributes
    ----------
    time : int
        Open of the bar, microseconds since 1970 UTC; nothing after its close was known.
    symbols : tuple of str
    network : (S,) float64
        Eq. 9: weighted mean of gaussianised ranks, rounded to nine decimals.
    value : (S,) float64
        Gaussianised rank of `network` among the symbols: shorter means of disagreeing models are brought to one length.
    low, high : (S,) float64
        Quantiles .1587 and .8413 of the inferences behind it (Eq. 16-19), on the scale of `value`: the value that the symbol
        would have if its own network inference were there and those of others as they are. Being a weighted mean, the value
        may lie outside.
    shares : tuple of (block hash, float)
        Share of each model in `network`, largest first, summing to 1.
    absent : tuple of (block hash, str)
        Models that have no say, and why.

    With nobody present arrays are empty, as is `symbols`: the network says nothing.
    """

    time: int
    symbols: tuple[str, ...]
    network: Floats
    value: Floats
    low: Floats
    high: Floats
    shares: tuple[tuple[str, float], ...]
    absent: tuple[tuple[str, str], ...]

    @property
    def is_empty(self) -> bool:
        """Whether nobody was there to say anything."""
        return not self.shares


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A bar that was asked and whose truth has not arrived.

    Attributes
    ----------
    models : tuple of str
        Positions when it was asked: Ni of them.
    inference : Inference
        What was said.
    made : (size, S) float64
        Every inference of Eq. 12 in the order of :class:`~protocol.consensus.allora.losses.LossLayout`; a row is NaN where
        nothing was inferred.
    weights, naive_weights : (Ni + Nf,), (Ni,) float64
        Of the network's and the naive synthesis.
    seen : Seen
        What forecasters saw.
    """

    models: tuple[str, ...]
    inference: Inference
    made: Floats
    weights: Floats
    naive_weights: Floats
    seen: Seen

    @property
    def time(self) -> int:
        """Return the open of the bar, microseconds since 1970 UTC."""
        return self.inference.time

    @property
    def present(self) -> tuple[str, ...]:
        """Return the models that spoke."""
        spoke = ~np.isnan(self.made[1 : 1 + len(self.models), 0])
        return tuple(name for name, there in zip(self.models, spoke.tolist(), strict=True) if there)


@dataclass(frozen=True, slots=True, eq=False)
class TopicState:
    """All that a topic's inference remembers. A value: every step returns another.

    Attributes
    ----------
    interval, horizon : int
        Microseconds of a bar; bars from entry to exit.
    variant : Variant
    models : tuple of str
        Block hashes by position in `epoch`.
    reputers : tuple of str
        By position in `epoch`.
    epoch : State
        Regrets, scores and so on, after the last settled bar.
    track, forecasters
        What is known of losses, after the last settled bar.
    asked, settled : int
        Open of the latest bar that was asked, of the latest that was settled; :data:`NEVER` before.
    pending : tuple of Pending
        Bars between, oldest first; bars at which nobody spoke are not among them.
    """

    interval: int
    horizon: int
    variant: Variant
    models: tuple[str, ...]
    reputers: tuple[str, ...]
    epoch: epoch.State
    track: Track
    forecasters: tuple[Forecaster, ...]
    asked: int = NEVER
    settled: int = NEVER
    pending: tuple[Pending, ...] = ()

    @classmethod
    def start(
        cls,
        *,
        interval: int,
        horizon: int,
        forecasters: Sequence[str] = tuple(FORECASTERS),
        variant: Variant = MARKET,
    ) -> TopicState:
        """Return the state before the first bar.

        Raises
        ------
        DataError
            A forecaster is unknown or named twice, or interval or horizon is not positive.
        """
        if min(interval, horizon) < 1:
            raise DataError(f"interval {interval} and horizon {horizon} must be positive")
        if len(set(forecasters)) < len(forecasters) or not set(forecasters) <= set(FORECASTERS):
            raise DataError(f"forecasters are {list(forecasters)}; name some of {', '.join(FORECASTERS)}, each once")
        return cls(
            interval,
            horizon,
            variant,
            models=(),
            reputers=tuple(ALONE),
            epoch=epoch.State.start(0, len(forecasters), list(ALONE.values())),
            track=Track.start(0),
            forecasters=tuple(FORECASTERS[name].start(0) for name in forecasters),
        )

    def known_at(self, time: int) -> int:
        """Return the earliest moment at which the truth of a bar can be known: the close of the bar of its exit."""
        return time + (self.horizon + 2) * self.interval


@dataclass(frozen=True, slots=True, eq=False)
class Settlement:
    """What became of a bar.

    Attributes
    ----------
    time : int
        Open of the bar, microseconds since 1970 UTC.
    models, forecasters, reputers : tuple of str
        By position in `outcome`.
    rows : int
        Symbols whose truth is known.
    outcome : Outcome or None
        Losses (log10, minus CORR), scores and shares of an emission of 1; None if too few rows are known to judge it.
    """

    time: int
    models: tuple[str, ...]
    forecasters: tuple[str, ...]
    reputers: tuple[str, ...]
    rows: int
    outcome: epoch.Outcome | None

    @property
    def losses(self) -> Mapping[str, float]:
        """Return the log10 loss of ``network``, ``naive`` and every model and forecaster that took part."""
        if self.outcome is None:
            return {}
        found = self.outcome.losses
        named = {"network": float(found.network), "naive": float(found.naive)}
        named |= dict(zip((*self.models, *self.forecasters), found.workers.tolist(), strict=True))
        return {name: loss for name, loss in named.items() if not np.isnan(loss)}
