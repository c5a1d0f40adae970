"""One pipeline to evaluate: what the search hands out and the journal writes down before it is submitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal["known", "random", "mutation", "crossover"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A canonical pipeline with the bounds that were fixed when it was asked for.

    Attributes
    ----------
    k : int
        Submission number.
    text : str
        Canonical pipeline text.
    origin : Origin
    complexity : float
    cap_s : float
        CPU seconds the evaluation may take.
    floors : tuple of float
        Stop after fold j when the mean of the first j fold scores is below ``floors[j - 1]``; empty: never stop.
    spared : bool
        Belongs to the sample that is evaluated in full all the same.
    """

    k: int
    text: str
    origin: Origin
    complexity: float
    cap_s: float
    floors: tuple[float, ...]
    spared: bool
