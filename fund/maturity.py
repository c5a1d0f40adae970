"""Bars whose truth has arrived: settled in order, with what a review of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fund.comparison import mean_loss
from fund.inference import settle
from fund.performance import hits
from fund.rows import Rows
from fund.topic_state import ALONE, Settlement, TopicState


class Matured(NamedTuple):
    """A settled bar.

    Attributes
    ----------
    settlement : Settlement
    mean : float
        log10 loss of the plain mean of its models.
    calls : (hits, calls)
        How many signs of the network's values were right, of how many.
    """

    settlement: Settlement
    mean: float
    calls: tuple[int, int]


def matured(
    state: TopicState, rows: Rows, now: int, stakes: Mapping[str, float] = ALONE
) -> tuple[TopicState, list[Matured]]:
    """Settle the pending bars whose truth is known at `now` (microseconds since 1970 UTC), oldest first."""
    found = []
    while state.pending and now >= state.known_at(state.pending[0].time):
        waiting = state.pending[0]
        truth = rows.truth(waiting.time, waiting.inference.symbols, now)
        if truth is None:
            break
        state, settlement = settle(state, waiting.time, truth, asof=now, stakes=stakes)
        if settlement is not None:
            mean = mean_loss(waiting.made[1 : 1 + len(waiting.models)], truth)
            found.append(Matured(settlement, mean, hits(waiting.inference.value, truth)))
    return state, found
