"""What the doctor and the sandbox's self-attack report: one thing that was looked at, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    state : State
        An ``error`` keeps a validator from starting.
    detail : str
        What was found; if it is not as it should be, with the remedy.
    """

    name: str
    state: State
    detail: str
