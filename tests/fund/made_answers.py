"""Made models of a made topic: what they say, what comes of it, and a run of bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fund.inference import ask, settle
from fund.regime import NAMES
from fund.topic_state import Answers, Inference, Settlement, TopicState
from protocol.scores import gaussian_rank

Floats = NDArray[np.float64]
HOUR = 3_600_000_000
START = 1_600_000_000_000_000 // HOUR * HOUR


def names(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(1, count + 1)]


def ranked(values: Floats) -> Floats:
    return gaussian_rank(values, np.zeros(values.size, np.int64))


@dataclass(frozen=True)
class World:
    """Bars of a topic: regimes (t, r), truth (t, S), and values (t, n, S) of models."""

    regime: Floats
    truth: Floats
    values: Floats
    horizon: int = 1

    def time(self, bar: int) -> int:
        return START + bar * HOUR

    def answers(self, bar: int, standing: dict[str, float] | None = None) -> Answers:
        models = names(self.values.shape[1])
        return Answers(
            time=self.time(bar),
            symbols=tuple(f"S{number:03d}" for number in range(self.truth.shape[1])),
            values=dict(zip(models, self.values[bar], strict=True)),
            standing=standing or dict.fromkeys(models, 1.0),
            failed={},
            regime=self.regime[bar],
        )

    def start(self, **options: object) -> TopicState:
        return TopicState.start(interval=HOUR, horizon=self.horizon, **options)  # type: ignore[arg-type]  # options are start's

    def due(self, bar: int) -> int:
        """Return the bar whose truth arrives at the close of `bar`."""
        return bar - self.horizon - 1

    def run(
        self,
        bars: Sequence[int],
        state: TopicState | None = None,
        answers: Callable[[int], Answers] | None = None,
        between: Callable[[TopicState], TopicState] = lambda state: state,
    ) -> Iterator[tuple[TopicState, Inference, Settlement | None]]:
        """Settle what is due at the close of each bar, then ask it."""
        state = state or self.start()
        for bar in bars:
            settlement = None
            while state.pending and state.pending[0].time <= self.time(self.due(bar)):
                old = (state.pending[0].time - START) // HOUR
                state, settlement = settle(state, state.pending[0].time, self.truth[old], asof=self.time(bar + 1))
                state = between(state)
            state, inference = ask(state, (answers or self.answers)(bar))
            state = between(state)
            yield state, inference, settlement


def world(
    bars: int,
    skill: Callable[[Floats], Floats] | Floats,
    *,
    symbols: int = 40,
    horizon: int = 1,
    seed: int = 0,
    memory: float = 0.97,
) -> World:
    """Return a world in which a model's forecast correlates with the truth by its skill, a function of the regime.

    Parameters
    ----------
    skill : (n,) float, or a function of the regimes (t, r) that returns (t, n)
    memory : float
        Correlation of a regime with the one before.
    """
    rng = np.random.default_rng(seed)
    regime = np.zeros((bars, len(NAMES)))
    steps = rng.standard_normal((bars, len(NAMES)))
    for bar in range(1, bars):
        regime[bar] = memory * regime[bar - 1] + np.sqrt(1 - memory**2) * steps[bar]
    regime = np.clip(regime, -3, 3)
    skills = skill(regime) if callable(skill) else np.broadcast_to(skill, (bars, len(skill)))
    truth = rng.standard_normal((bars, symbols))
    errors = rng.standard_normal((bars, skills.shape[1], symbols))
    raw = skills[..., None] * truth[:, None] + np.sqrt(1 - skills[..., None] ** 2) * errors
    values = np.array([[ranked(one) for one in models] for models in raw]).reshape(raw.shape)
    return World(regime, truth, values, horizon)
