"""What consumers pay for inferences, and what a topic's weight sees of it; sections 5.2 and 5.3.

Consumers pay what they want, down to nothing if the topic sets no minimum. They are told what others paid, which is what
makes people pay; and a topic nobody pays for has no weight, so that it earns nothing either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import median

from protocol.errors import ConfigError, DataError, RefusedError


@dataclass(frozen=True, slots=True)
class PriceRule:
    """A topic's prices; LTFT or any other unit, one throughout.

    Attributes
    ----------
    minimum
        Least fee accepted for an inference.
    cost
        What an inference costs to serve, which is suggested until somebody has paid.
    memory
        Number of latest fees shown to consumers.
    """

    minimum: float = 0.0
    cost: float = 0.0
    memory: int = 100

    def __post_init__(self) -> None:
        for name in ("minimum", "cost"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} price is {getattr(self, name)}; give a finite amount of at least 0")
        if self.memory < 1:
            raise ConfigError(f"price memory is {self.memory}; give at least 1")


@dataclass(frozen=True, slots=True)
class Revenue:
    """What a topic has earned.

    Attributes
    ----------
    effective
        C of Eq. 58: fees of about the last week.
    recent
        Latest fees for inferences, newest last, zeros included.
    rule
        Of the topic.
    """

    effective: float = 0.0
    recent: tuple[float, ...] = ()
    rule: PriceRule = field(default_factory=PriceRule)

    @property
    def suggestion(self) -> float:
        """Return the fee suggested: the median of the recent ones, the cost if there are none; at least the minimum."""
        return max(self.rule.minimum, median(self.recent) if self.recent else self.rule.cost)

    def consumed(self, fee: float) -> Revenue:
        """Return the revenue after a consumer has paid `fee` for an inference.

        Raises
        ------
        DataError
            The fee is negative or not finite.
        RefusedError
            It is below the topic's minimum.
        """
        if _checked(fee) < self.rule.minimum:
            raise RefusedError(f"a fee of {fee} is refused; this topic asks for at least {self.rule.minimum}")
        recent = (*self.recent, fee)[-self.rule.memory :]
        return replace(self, effective=self.effective + fee, recent=recent)

    def accessed(self, fee: float) -> Revenue:
        """Return the revenue after a worker or reputer has paid `fee` to take part; it tells consumers nothing."""
        return replace(self, effective=self.effective + _checked(fee))

    def decayed(self, epochs_per_week: float) -> Revenue:
        """Return the revenue one epoch later, less by its ``1 / epochs_per_week``; 0 if an epoch is a week or more."""
        if not epochs_per_week > 0:
            raise ConfigError(f"epochs per week is {epochs_per_week}; give more than 0")
        return replace(self, effective=self.effective * max(1 - 1 / epochs_per_week, 0.0))


def _checked(fee: float) -> float:
    if not 0 <= fee < math.inf:
        raise DataError(f"a fee of {fee} cannot be paid; give a finite amount of at least 0")
    return fee
