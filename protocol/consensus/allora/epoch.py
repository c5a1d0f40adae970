"""One epoch of a topic: workers infer, reputers report losses, everyone is scored and paid.

    synthesis = infer(state, inferences, log_forecasts, variant)
    every = state.layout.inferences(inferences, synthesis)                      # Eq. 12
    reports = one row per reputer: log10 losses of `every` against the truth    # Eq. 13
    state, outcome = settle(state, synthesis, Losses(state.layout, reports), emission, variant)

Participants are positions; callers keep the names. Someone who is absent for an epoch keeps its position and what is
known of it; :meth:`State.with_workers` and :meth:`State.with_reputers` are for those who join and leave for good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.classes import Entropies, entropy, smoothed, split, utility
from protocol.consensus.allora.inputs import amounts
from protocol.consensus.allora.losses import Losses, LossLayout
from protocol.consensus.allora.potential import present
from protocol.consensus.allora.regret import regrets_after, remapped, stake_weighted, taken
from protocol.consensus.allora.reputers import Listened, Listening, consensus_losses, listen, reputer_fractions
from protocol.consensus.allora.scores import forecast_scores, inference_scores, remembered, reward_fractions
from protocol.consensus.allora.synthesis import Regrets, Synthesis, synthesise
from protocol.consensus.allora.variant import SIMULATOR, Variant
from protocol.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: The simulator's descent can leave [0, 1] when stakes change; an epoch that feeds the next must not.
BOUNDED = Listening(clamp=True)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What an epoch leaves to the next.

    Attributes
    ----------
    regrets
        Eq. 15, of the network and of each secondary inference.
    log_loss
        log10 of the network's last known loss, Eq. 4; 0 before the first epoch.
    weights : (Ni + Nf,) float64
        Share of each worker in the last network inference; the `mad` scale of a variant looks at it.
    experience : (Ni + Nf,) int64
        Epochs in which the worker's loss was known.
    stakes, coefficients : (Nr,) float64
        Stake (unit of the emission) and listening coefficient, Eq. 37 and 35.
    inference_history, forecast_history : (steps, Ni), (steps, Nf) float64
        Scores of the latest steps, oldest first, NaN where there was none, Eq. 29.
    inference_fractions, forecast_fractions, reputer_fractions : (Ni,), (Nf,), (Nr,) float64
        Smoothed reward fractions, Eq. 40; NaN for those never paid.
    tau
        Eq. 44.
    """

    regrets: Regrets
    log_loss: float
    weights: Floats
    experience: Ints
    stakes: Floats
    coefficients: Floats
    inference_history: Floats
    forecast_history: Floats
    inference_fractions: Floats
    forecast_fractions: Floats
    reputer_fractions: Floats
    tau: float

    @classmethod
    def start(cls, inferers: int, forecasters: int, stakes: ArrayLike, *, separable: bool = False) -> State:
        """Return the state before the first epoch: no regret, no score, every reputer fully listened to.

        Parameters
        ----------
        inferers, forecasters
            Ni and Nf; 0 is allowed.
        stakes : (Nr,) float
            Not negative.
        separable
            Keep one-out regrets in O(Ni Nf) instead of O((Ni + Nf)^2) floats: for large networks in which everybody takes
            part in every epoch. When somebody does not, they turn dense by themselves up to
            :data:`protocol.consensus.allora.regret.DENSE_UP_TO` workers, beyond which that is an error.
        """
        s = amounts("stakes", stakes)
        return cls(
            regrets=Regrets.start(inferers, forecasters, separable=separable),
            log_loss=0.0,
            weights=np.zeros(inferers + forecasters),
            experience=np.zeros(inferers + forecasters, dtype=np.int64),
            stakes=s,
            coefficients=np.ones(s.size),
            inference_history=np.empty((0, inferers)),
            forecast_history=np.empty((0, forecasters)),
            inference_fractions=np.full(inferers, np.nan),
            forecast_fractions=np.full(forecasters, np.nan),
            reputer_fractions=np.full(s.size, np.nan),
            tau=0.0,
        )

    @property
    def layout(self) -> LossLayout:
        """Return the order of the loss columns."""
        return LossLayout(self.inference_fractions.size, self.forecast_fractions.size)

    def with_workers(self, inferers: ArrayLike, forecasters: ArrayLike, variant: Variant = SIMULATOR) -> State:
        """Return the state of another set of workers, in another order if wanted.

        Parameters
        ----------
        inferers, forecasters : (Ni',), (Nf',) int
            Old position of each within its task, -1 for a newcomer. Who is not named is forgotten; to keep what is known
            of somebody who pauses, keep the position and leave the inference NaN.
        variant
            A newcomer's regrets start at :func:`protocol.consensus.allora.regret.newcomer`.

        Raises
        ------
        DataError
            A position does not exist or is named twice.
        """
        i = _places("inferers", inferers, self.layout.inferers)
        k = _places("forecasters", forecasters, self.layout.forecasters)
        both = np.concatenate([i, np.where(k < 0, -1, k + self.layout.inferers)])
        experience = (
            np.where(both < 0, 0, self.experience[both]) if self.experience.size else np.zeros(both.size, np.int64)
        )
        return replace(
            self,
            regrets=remapped(self.regrets, i, k, experience, variant),
            weights=taken(self.weights, both, 0.0),
            experience=experience,
            inference_history=taken(self.inference_history, i),
            forecast_history=taken(self.forecast_history, k),
            inference_fractions=taken(self.inference_fractions, i),
            forecast_fractions=taken(self.forecast_fractions, k),
        )

    def with_reputers(self, reputers: ArrayLike, stakes: ArrayLike) -> State:
        """Return the state of another set of reputers: old positions, -1 for a newcomer, and all their stakes.

        A newcomer is fully listened to.

        Raises
        ------
        DataError
            A position does not exist or is named twice, or there is not one stake for each.
        """
        m = _places("reputers", reputers, self.stakes.size)
        return replace(
            self,
            stakes=amounts("stakes", stakes, m.size),
            coefficients=taken(self.coefficients, m, 1.0),
            reputer_fractions=taken(self.reputer_fractions, m),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What was settled. The state after it holds the smoothed fractions (Eq. 40) and the next stakes (Eq. 37).

    Attributes
    ----------
    losses
        log10, Eq. 14; values (size,), NaN where nobody reported.
    consensus
        log10, Eq. 32, by the adjusted stakes of `listened`; values (size,).
    inference_scores, forecast_scores : (Ni,), (Nf,) float64
        Eq. 22, 23; dex, NaN for the absent.
    inference_fractions, forecast_fractions, reputer_fractions : (Ni,), (Nf,), (Nr,) float64
        Eq. 27, 28, 36; each sums to one, or is 0 throughout if nobody can be paid.
    listened
        Coefficients, reputers' scores, steps and adjusted stakes, Eq. 30-35.
    entropies
        F, G, H of Eq. 38, in nats.
    task_score, tau, chi, gamma
        Eq. 43 (dex, NaN if unknown), 44, 45 and 46.
    class_rewards : (3,) float64
        U, V, W of Eq. 42, in the unit of the emission.
    inference_rewards, forecast_rewards, reputer_rewards : (Ni,), (Nf,), (Nr,) float64
        Eq. 47, in the unit of the emission.
    kept
        What of the emission had nobody to go to; with the rewards it adds up to the emission.
    """

    losses: Losses
    consensus: Losses
    inference_scores: Floats
    forecast_scores: Floats
    inference_fractions: Floats
    forecast_fractions: Floats
    reputer_fractions: Floats
    listened: Listened
    entropies: Entropies
    task_score: float
    tau: float
    chi: float
    gamma: float
    class_rewards: Floats
    inference_rewards: Floats
    forecast_rewards: Floats
    reputer_rewards: Floats
    kept: float


def infer(state: State, inferences: ArrayLike, log_forecasts: ArrayLike, variant: Variant = SIMULATOR) -> Synthesis:
    """Return every inference of the epoch, Eq. 3-12.

    Parameters
    ----------
    inferences : (Ni,) float
        Unit of the target; NaN for the absent.
    log_forecasts : (Nf, Ni) float
        log10 of the loss each forecaster expects of each inference; NaN where it says nothing.
    """
    return synthesise(inferences, log_forecasts, state.log_loss, state.regrets, variant, state.weights)


def settle(
    state: State,
    synthesis: Synthesis,
    losses: Losses,
    emission: float,
    variant: Variant = SIMULATOR,
    *,
    listening: Listening | None = None,
) -> tuple[State, Outcome]:
    """Return the next state and what everyone earned, Eq. 14-15 and 22-47.

    Parameters
    ----------
    synthesis
        What :func:`infer` returned for this state.
    losses
        Reports, values (Nr, size), log10; NaN where a reputer did not report. Reports on an inference that was not made
        do not count.
    emission
        E of Eq. 42, to be divided among everyone.
    listening
        Parameters of Eq. 35; by default the simulator's with coefficients kept in [0, 1], which is the same as long as at
        least half of the stake is listened to.

    Returns
    -------
    State
        An absent worker keeps its regrets and smoothed fraction; a silent reputer its coefficient and smoothed fraction.
        Without a loss of the network, the last known one stays.
    Outcome
        Someone absent is paid nothing. An inferer without whom no inference would be left has no score and shares its
        task's reward as if it were 0, so one inferer alone gets all of it.

    Raises
    ------
    DataError
        Losses are not one row per reputer with the columns of this state, or the emission is negative.
    """
    layout = state.layout
    if losses.layout != layout or losses.values.ndim != 2:
        raise DataError(
            f"losses {losses.values.shape} are laid out for {losses.layout.inferers} inferers and "
            f"{losses.layout.forecasters} forecasters; give one row per reputer for {layout.inferers} and {layout.forecasters}"
        )
    made = _made(layout, synthesis)
    there = made & present(losses.values)
    reports = losses.values if there.all() else np.where(there, losses.values, np.nan)
    listened = listen(reports, state.stakes, state.coefficients, listening or BOUNDED)
    merged = Losses(layout, stake_weighted(reports, state.stakes, listened.coefficients if variant.robust else None))
    network, naive = float(merged.network), float(merged.naive)

    ni = layout.inferers
    scores = (
        inference_scores(network, merged.one_out[:ni]),
        forecast_scores(network, naive, merged.one_out[ni:], merged.one_in, variant),
    )
    alone = made[1 : 1 + ni] & np.isnan(synthesis.one_out[:ni])
    counted = np.where(alone & ~np.isnan(merged.inferences), 0.0, scores[0]), scores[1]
    histories = state.inference_history, state.forecast_history
    u, v = (reward_fractions(now, past, variant) for now, past in zip(counted, histories, strict=True))
    w = reputer_fractions(state.stakes, listened.scores, variant.reputer_p)

    absent = np.isnan(counted[0]), np.isnan(counted[1]), ~there.any(axis=1)
    before = state.inference_fractions, state.forecast_fractions, state.reputer_fractions
    smooth = [
        smoothed(np.where(gone, np.nan, now), old, variant)
        for now, gone, old in zip((u, v, w), absent, before, strict=True)
    ]
    entropies = Entropies(
        *(entropy(np.where(gone, np.nan, now), variant) for now, gone in zip(smooth, absent, strict=True))
    )
    use = utility(network, naive, scores[0], state.tau, variant)
    parts = split(emission, entropies, use.chi)
    budgets = parts.inference, parts.forecast, parts.reputer
    rewards = [budget * share for budget, share in zip(budgets, (u, v, w), strict=True)]
    unpaid = (budget for budget, share in zip(budgets, (u, v, w), strict=True) if not share.any())

    after = State(
        regrets=regrets_after(state.regrets, merged, variant.alpha),
        log_loss=state.log_loss if np.isnan(network) else network,
        weights=synthesis.weights,
        experience=state.experience + ~np.isnan(merged.workers),
        stakes=state.stakes + rewards[2],
        coefficients=listened.coefficients,
        inference_history=remembered(state.inference_history, scores[0], variant),
        forecast_history=remembered(state.forecast_history, scores[1], variant),
        inference_fractions=smooth[0],
        forecast_fractions=smooth[1],
        reputer_fractions=smooth[2],
        tau=use.tau,
    )
    return after, Outcome(
        losses=merged,
        consensus=Losses(layout, consensus_losses(reports, listened.adjusted_stakes)),
        inference_scores=scores[0],
        forecast_scores=scores[1],
        inference_fractions=u,
        forecast_fractions=v,
        reputer_fractions=w,
        listened=listened,
        entropies=entropies,
        task_score=naive - network,
        tau=use.tau,
        chi=use.chi,
        gamma=parts.gamma,
        class_rewards=np.array(budgets),
        inference_rewards=rewards[0],
        forecast_rewards=rewards[1],
        reputer_rewards=rewards[2],
        kept=parts.kept + sum(unpaid),
    )


def _made(layout: LossLayout, synthesis: Synthesis) -> NDArray[np.bool_]:
    """Return which columns stand for an inference that was made, (size,)."""
    # A lone inferer cannot be withheld, but has all the weight of the naive inference.
    inferers = ~np.isnan(synthesis.one_out[: layout.inferers]) | (synthesis.naive_weights > 0)
    return present(layout.inferences(np.where(inferers, 0.0, np.nan), synthesis))


def _places(name: str, positions: ArrayLike, size: int) -> Ints:
    """Return old positions as integers: -1 or below `size`, none twice."""
    place = np.asarray(positions)
    place = place.astype(np.int64) if place.size == 0 else place
    if place.ndim != 1 or place.dtype.kind not in "iu" or (place < -1).any() or (place >= size).any():
        raise DataError(f"{name} are {place.tolist()}; give old positions from 0 to {size - 1}, -1 for a newcomer")
    known = place[place >= 0]
    if np.unique(known).size < known.size:
        raise DataError(f"{name} are {place.tolist()}; name each old position once")
    return place.astype(np.int64)
