"""Two forecasters: what log10 loss to expect of each model at the next bar, from what is known when it is asked.

Both correct the same starting point, each model's shrunken long-run mean (:attr:`Seen.base`), by a regression that is
learnt from bars whose truth has arrived:

* :class:`Reverting` asks how much of a recent good or bad run lasts;
* :class:`RegimeRidge` asks which regimes each model does well in.

A bar is learnt from with what was *seen when it was asked*, kept beside it until its truth arrives. So the delay between
question and truth is part of what is learnt, and nothing later can enter.

Loss is log10 of the market loss, minus CORR: in [-1, 1], lower is better; of one bar of S symbols its standard error is about
1/sqrt(S), several times what separates models. Everything here is shrunk accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fund.regime import NAMES
from protocol.rounding import PREDICTION_DECIMALS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONG, RECENT = 0.998, 0.95  # kept per bar: averages over about 500 and 20 bars
SHRINK = 60.0  # bars after which a model's own mean counts for half: noise (1/sqrt(40))^2 over skill 0.02^2
FORGET = 0.999  # kept per bar of what regressions learnt
REVERTING_PRIOR = 0.1  # noise variance 0.025 over a prior variance of the gain of 0.5^2
RIDGE_PRIOR = 60.0  # the same over a prior variance of coefficients of 0.02^2, dex per unit of a feature
RUN_UNIT = 5.0  # a run of 0.2 dex is about one in size, as regime features are


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What forecasters look at when a bar is asked; known at its close.

    Attributes
    ----------
    regime : (r,) float64
        See :mod:`fund.regime`.
    base : (n,) float64
        dex; each model's mean loss, shrunk towards 0, no skill: a newcomer gets no say from the merit of others.
    run : (n,) float64
        dex; recent less long-run mean loss of each model, 0 where unknown.
    """

    regime: Floats
    base: Floats
    run: Floats

    def seated(self, place: Ints) -> Seen:
        """Return it for models in another order: old positions (n',), -1 for who was not there."""
        return Seen(self.regime, _seated(self.base, place), _seated(self.run, place))


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Each model's losses so far: discounted sums and weights, (n,) float64 each. A bar without a loss changes nothing."""

    long: Floats
    long_weight: Floats
    recent: Floats
    recent_weight: Floats

    @classmethod
    def start(cls, models: int) -> Track:
        """Return the track of models of whom no loss is known."""
        return cls(*(np.zeros(models) for _ in fields(cls)))

    def learnt(self, losses: Floats) -> Track:
        """Return the track after one more bar; `losses` (n,) dex, NaN for the absent."""
        new, here = np.nan_to_num(losses, nan=0.0), ~np.isnan(losses)

        def kept(rate: float) -> Floats:
            return np.where(here, rate, 1.0)

        return Track(
            kept(LONG) * self.long + new,
            kept(LONG) * self.long_weight + here,
            kept(RECENT) * self.recent + new,
            kept(RECENT) * self.recent_weight + here,
        )

    def seated(self, place: Ints) -> Track:
        """Return the track of models in another order: old positions (n',), -1 for a newcomer."""
        return Track(*(_seated(getattr(self, field.name), place) for field in fields(self)))

    def seen(self, regime: Floats) -> Seen:
        """Return what forecasters see with this track in a regime (r,)."""
        known = [np.where(weight > 0, weight, 1.0) for weight in (self.long_weight, self.recent_weight)]
        base = self.long / (self.long_weight + SHRINK)  # n / (n + SHRINK) of its mean
        return Seen(regime, base, self.recent / known[1] - self.long / known[0])


class Forecaster(Protocol):
    """A forecaster of the losses of n models. A value: learning returns another."""

    @property
    def name(self) -> str:
        """What it is called wherever it is named or paid."""

    def forecast(self, seen: Seen) -> Floats:
        """Return the log10 loss it expects of each model, (n,) dex, rounded."""

    def learnt(self, seen: Seen, losses: Floats) -> Self:
        """Return it after the truth of a bar: what was seen when it was asked, and the losses (n,), NaN for the absent."""

    def seated(self, place: Ints) -> Self:
        """Return it for models in another order: old positions (n',), -1 for a newcomer."""

    def arrays(self) -> dict[str, Floats]:
        """Return all it knows, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Reverting:
    """Discounted recent loss that reverts to the long-run mean: ``base + gain * run``.

    The gain, one for all models, is the regression of what came on what had been the run; 0 for losses without memory, up
    to 1 for those that stay where they are.

    Attributes
    ----------
    products, squares : () float64
        Discounted sums of run times surprise, and of run squared.
    """

    products: Floats
    squares: Floats

    @property
    def name(self) -> str:
        """``reverting``."""
        return "reverting"

    @classmethod
    def start(cls, models: int) -> Reverting:
        """Return a forecaster that has learnt nothing; it pools its models, however many."""
        return cls(np.zeros(()), np.zeros(()))

    @property
    def gain(self) -> float:
        """Share of a run that lasts until the next truth, in [-1, 1]."""
        return float(np.clip(self.products / (self.squares + REVERTING_PRIOR), -1, 1))

    def forecast(self, seen: Seen) -> Floats:
        """See :meth:`Forecaster.forecast`."""
        return _bounded(seen.base + self.gain * seen.run)

    def learnt(self, seen: Seen, losses: Floats) -> Reverting:
        """See :meth:`Forecaster.learnt`."""
        here = ~np.isnan(losses)
        x, y = seen.run[here], (losses - seen.base)[here]
        return Reverting(np.asarray(FORGET * self.products + x @ y), np.asarray(FORGET * self.squares + x @ x))

    def seated(self, place: Ints) -> Reverting:
        """See :meth:`Forecaster.seated`; what it knows is about no model in particular."""
        return self

    def arrays(self) -> dict[str, Floats]:
        """See :meth:`Forecaster.arrays`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, eq=False)
class RegimeRidge:
    """Recursive ridge regression of each model's surprise on the regime: ``base + coefficients · (1, regime, run)``.

    Least squares with exponential forgetting and a ridge that does not fade, so that without evidence, and long after it,
    the coefficients are 0.

    Attributes
    ----------
    squares : (n, d, d) float64
        Discounted sums of outer products of the design, d = 1 + r + 1.
    products : (n, d) float64
        Discounted sums of design times surprise, dex.
    """

    squares: Floats
    products: Floats

    @property
    def name(self) -> str:
        """``regime-ridge``."""
        return "regime-ridge"

    @classmethod
    def start(cls, models: int) -> RegimeRidge:
        """Return a forecaster that has learnt nothing."""
        d = len(NAMES) + 2
        return cls(np.zeros((models, d, d)), np.zeros((models, d)))

    @property
    def coefficients(self) -> Floats:
        """Return dex per unit of the design, (n, d)."""
        ridge = RIDGE_PRIOR * np.eye(self.products.shape[1])
        solved = np.linalg.solve(self.squares + ridge, self.products[..., None])[..., 0]
        return np.asarray(solved, dtype=np.float64)

    def forecast(self, seen: Seen) -> Floats:
        """See :meth:`Forecaster.forecast`."""
        return _bounded(seen.base + np.einsum("nd,nd->n", self.coefficients, _design(seen)))

    def learnt(self, seen: Seen, losses: Floats) -> RegimeRidge:
        """See :meth:`Forecaster.learnt`."""
        surprise, here = losses - seen.base, ~np.isnan(losses)
        x = np.where(here[:, None], _design(seen), 0.0)
        keep = np.where(here, FORGET, 1.0)
        return RegimeRidge(
            keep[:, None, None] * self.squares + x[:, :, None] * x[:, None, :],
            keep[:, None] * self.products + x * np.where(here, surprise, 0.0)[:, None],
        )

    def seated(self, place: Ints) -> RegimeRidge:
        """See :meth:`Forecaster.seated`."""
        return replace(self, squares=_seated(self.squares, place), products=_seated(self.products, place))

    def arrays(self) -> dict[str, Floats]:
        """See :meth:`Forecaster.arrays`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


#: By name, in the order in which a topic has them.
FORECASTERS: dict[str, type[Reverting] | type[RegimeRidge]] = {"reverting": Reverting, "regime-ridge": RegimeRidge}


def _design(seen: Seen) -> Floats:
    n = seen.base.size
    return np.concatenate(
        [np.ones((n, 1)), np.broadcast_to(seen.regime, (n, seen.regime.size)), RUN_UNIT * seen.run[:, None]], axis=1
    )


def _bounded(losses: Floats) -> Floats:
    """Return losses as a market loss can be, rounded so that validators agree."""
    return np.asarray(np.round(np.clip(losses, -1.0, 1.0), PREDICTION_DECIMALS) + 0.0, dtype=np.float64)


def _seated(values: Floats, place: Ints) -> Floats:
    """Return entries of the first axis by old position, 0 where that is negative."""
    out = np.zeros((place.size, *values.shape[1:]))
    out[place >= 0] = values[place[place >= 0]]
    return out
