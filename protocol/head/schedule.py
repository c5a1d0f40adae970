"""When a HEAD is due: once per period of 600 s. A period without one is missed, and never filled in later.

Periods are numbered by Unix time, ``number = time // 600``. The HEAD of a period stands from the period's start until
the next HEAD.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import RefusedError
from protocol.head.wire import whole
from protocol.ltft.emission import HEAD_PERIOD_S

#: Seconds of a period: "every ten minutes".
PERIOD_S = HEAD_PERIOD_S
#: From this age on (seconds since the start of its period) a HEAD is stale: its successor is a whole period late.
STALE_S = 2 * PERIOD_S
#: Unix seconds stay exact in every JSON reader, as in the genesis.
MAX_TIME = 2**53 - 1
MAX_PERIOD = MAX_TIME // PERIOD_S


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Ten minutes.

    Attributes
    ----------
    number : int
        Of the period, Unix time // 600.

    Raises
    ------
    RefusedError
        The number is not whole or out of range.
    """

    number: int

    def __post_init__(self) -> None:
        whole(self.number, "the number of a period", 0, MAX_PERIOD)

    @classmethod
    def at(cls, time: int) -> Period:
        """Return the period of a moment, Unix seconds."""
        return cls(whole(time, "the time of a HEAD", 0, MAX_TIME) // PERIOD_S)

    @property
    def start(self) -> int:
        """First second, Unix time."""
        return self.number * PERIOD_S

    @property
    def end(self) -> int:
        """First second of the next period, Unix time; the next HEAD is due then."""
        return self.start + PERIOD_S

    def age(self, time: int) -> int:
        """Return how old the HEAD of this period is at a time, in seconds; negative where the clock has gone back."""
        return time - self.start

    def stale(self, time: int) -> bool:
        """Return whether the HEAD of this period should no longer be relied on: a whole period has gone without another."""
        return self.age(time) >= STALE_S


@dataclass(frozen=True, slots=True)
class Turn:
    """What the clock asks for.

    Attributes
    ----------
    period : Period or None
        The one to make a HEAD for; None: its HEAD is made already.
    missed : range
        Numbers of the periods since the last HEAD in which nobody made one. Nothing was said, nobody is paid.
    carried : range
        In a replay: numbers of the periods since the last HEAD, through which it stood. Their emission is one sum, paid
        with the HEAD that is due.
    """

    period: Period | None
    missed: range
    carried: range


def turn(last: Period | None, time: int, *, replay: bool = False) -> Turn:
    """Return what is due at a time, given the last HEAD's period.

    Live, the periods that passed without a HEAD are missed. In a replay the clock jumps from bar to bar, so that the last
    HEAD stands in between on purpose and they are carried. Every period after the first HEAD is made, missed or
    carried, and only one of them, however the clock moves.

    Parameters
    ----------
    last : Period or None
        None before the first HEAD; no earlier period is missed then.
    time : int
        Unix seconds.
    replay : bool

    Raises
    ------
    RefusedError
        The clock is before the last HEAD's period: a HEAD is never made twice or out of order.
    """
    now = Period.at(time)
    nothing = range(0)
    if last is None:
        return Turn(now, nothing, nothing)
    if now < last:
        raise RefusedError(
            f"the clock says {time}, {last.start - time} s before period {last.number} of the last HEAD; "
            "set the clock right, or wait until it has caught up"
        )
    if now == last:
        return Turn(None, nothing, nothing)
    between = range(last.number + 1, now.number)
    return Turn(now, nothing, between) if replay else Turn(now, between, nothing)
