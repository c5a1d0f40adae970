"""Grants that vest over time and lock-ups, seed "Token Bonding", section 4.3.1, distribution parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.wei import whole

MAX_TIME = 2**53


@dataclass(frozen=True, slots=True)
class Grant:
    """So many wei for somebody, released as time goes by.

    Nothing before the cliff, then in proportion to the time since the start, everything at the end. A lock-up is a grant
    without a duration.

    Attributes
    ----------
    holder : str
    amount : int
        Wei in all.
    start : int
        Unix seconds.
    duration : int
        Seconds from start to end; 0 vests everything at the cliff.
    cliff : int
        Seconds after the start before which nothing is vested.
    locked_until : int
        Unix seconds; what is vested before can be taken from then on.
    released : int
        Wei taken so far.

    Raises
    ------
    ConfigError
        A number is not whole or out of range.
    """

    holder: str
    amount: int
    start: int
    duration: int = 0
    cliff: int = 0
    locked_until: int = 0
    released: int = 0

    def __post_init__(self) -> None:
        for name in ("start", "duration", "cliff", "locked_until"):
            whole(getattr(self, name), f"the {name} of a grant", 0, MAX_TIME, ConfigError)
        whole(self.amount, "the amount of a grant", error=ConfigError)
        whole(self.released, "what was released of a grant", 0, self.amount, ConfigError)

    def vested(self, time: int) -> int:
        """Return the wei vested at `time`, Unix seconds, rounded down; never falls as time goes by."""
        since = time - self.start
        if since < self.cliff or since < 0:
            return 0
        return self.amount * since // self.duration if since < self.duration else self.amount

    def releasable(self, time: int) -> int:
        """Return the wei that can be taken at `time`, Unix seconds."""
        return max(0, self.vested(time) - self.released) if time >= self.locked_until else 0

    def release(self, time: int) -> tuple[Grant, int]:
        """Take what can be taken at `time`, Unix seconds; returns the grant after it and the wei.

        Raises
        ------
        RefusedError
            There is nothing to take.
        """
        amount = self.releasable(whole(time, "the time", 0, MAX_TIME))
        if not amount:
            raise RefusedError(
                f"{self.holder} can take nothing at {time}: {self.vested(time)} of {self.amount} wei are vested, "
                f"{self.released} taken, and the lock ends at {self.locked_until}; wait"
            )
        return replace(self, released=self.released + amount), amount
