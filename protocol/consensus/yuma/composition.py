"""Weights over weights: instances of Yuma stacked, each one's result a row or a seat of another.

"Running on only a set of weights without assumptions, Yuma Consensus is recursively composable." A :class:`Council` is one
instance. Upwards, a row of its weights may be the result of another council over the same seats: a committee that speaks with
one voice. Downwards, a seat may be another council, which divides what the seat receives among its own: the root over topics,
a topic over miners. The voices are stake, or any other reputation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.yuma.consensus import shares
from protocol.consensus.yuma.root import KAPPA, Rule, root_shares
from protocol.consensus.yuma.split import amounts
from protocol.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Council:
    """One instance of consensus: V voices over N seats.

    Attributes
    ----------
    voices : (V,) float
        Stake or reputation: finite, not negative, any scale.
    rows : sequence of V, each (N,) float or Council of N seats
        Weights of each voice, any scale; or a council whose result is the row.
    seats : sequence of N, each Council or None; or empty
        What each seat divides its share among; None, or empty for all: a leaf, paid itself.
    """

    voices: ArrayLike
    rows: Sequence[ArrayLike | Council]
    seats: Sequence[Council | None] = ()


def seat_shares(council: Council, rule: Rule = "yuma", kappa: float = KAPPA) -> NDArray[np.float64]:
    """Return the share of each seat, (N,) float64: :func:`protocol.consensus.yuma.root.root_shares` of voices and rows.

    A committee that agrees on nothing, or has no voice, abstains: its voice is left out, as absence must not be a veto.

    Returns
    -------
    (N,) float64
        Adds up to one, or is all zero where the council agrees on no seat.

    Raises
    ------
    ConfigError, DataError
        As :func:`root_shares`; the rows differ in length.
    """
    rows: list[Any] = [seat_shares(row, rule, kappa) if isinstance(row, Council) else row for row in council.rows]
    voices = shares(amounts(council.voices, "voices"))
    if voices.size != len(rows):
        raise DataError(f"{voices.size} voices and {len(rows)} rows; give one row per voice")
    for place, (given, row) in enumerate(zip(council.rows, rows, strict=True)):
        if isinstance(given, Council) and not np.any(row):
            voices[place] = 0.0
    return root_shares(voices, rows, rule, kappa)


def leaf_shares(council: Council, rule: Rule = "yuma", kappa: float = KAPPA) -> NDArray[np.float64]:
    """Return the share of each leaf below a council, depth first: the product of the shares on the way down.

    A seat whose own council agrees on nobody receives nothing, and its share goes to the other seats in proportion.

    Parameters
    ----------
    council : Council
        Finite; nested as deep as Python recurses.
    rule, kappa
        Of every instance; see :func:`protocol.consensus.yuma.root.root_shares`.

    Returns
    -------
    (leaves,) float64
        Adds up to one, or is all zero where no leaf is agreed on.

    Raises
    ------
    ConfigError, DataError
        As :func:`seat_shares`; the number of seats is not that of the weights.
    """
    upper = seat_shares(council, rule, kappa)
    seats = council.seats or [None] * upper.size
    if len(seats) != upper.size:
        raise DataError(f"{len(seats)} seats and weights on {upper.size}; give one seat per weight, or none for leaves")
    below = [np.ones(1) if seat is None else leaf_shares(seat, rule, kappa) for seat in seats]
    given = shares(upper * np.array([leaves.any() for leaves in below], dtype=np.float64))
    return np.concatenate([part * leaves for part, leaves in zip(given, below, strict=True)]) if below else given
