"""One measured row of the attack table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


def middle(values: Iterable[float]) -> float:
    """Return the median of the values of all seeds."""
    return float(median(values))


@dataclass(frozen=True, slots=True)
class Row:
    """What one attack achieved in one setting, with a defence on or off.

    Attributes
    ----------
    attack, setting
        Name in the registry, and what was varied.
    defence, on
        The rule that ought to stop the attack, and whether it was in force.
    measure, unit
        What `value` is.
    value, low, high
        Median, smallest and largest over the seeds.
    verdict
        One sentence, chosen by the measured values.
    """

    attack: str
    setting: str
    defence: str
    on: bool
    measure: str
    unit: str
    value: float
    low: float
    high: float
    verdict: str

    @classmethod
    def over(
        cls,
        values: Iterable[float],
        *,
        attack: str,
        setting: str,
        defence: str,
        on: bool,
        measure: str,
        unit: str,
        verdict: str,
    ) -> Row:
        """Return the row of `values`, one for each seed."""
        seen = [float(value) for value in values]
        return cls(attack, setting, defence, on, measure, unit, middle(seen), min(seen), max(seen), verdict)

    def shown(self) -> str:
        """Return the value and its range as text, three significant digits."""
        value, low, high = (f"{number:.3g}" for number in (self.value, self.low, self.high))
        return value if low == high else f"{value} ({low} to {high})"
