"""What an experiment hands to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Told how far an experiment is.
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A finished experiment.

    Attributes
    ----------
    name
        What its files are called.
    numbers
        Plain JSON values.
    table
        The same in short, for people.
    picture
        PNG; None if there is nothing to draw.
    """

    name: str
    numbers: Mapping[str, Any]
    table: str
    picture: bytes | None = None


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of equal length as columns: the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = (
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
