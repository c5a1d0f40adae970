"""What tells the fund that a HEAD is due: the clock on the wall, faster if wanted, or the bars of a replay.

Both give :class:`protocol.head.schedule.Turn`; what a turn means is said there. Live, every ten minutes one is due, and those
that nobody used are missed. In a replay the clock jumps from bar to bar and the periods between are carried.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Protocol

from protocol.errors import ConfigError
from protocol.head.schedule import MAX_TIME, PERIOD_S, Period, Turn, turn

#: Longest pause in seconds: after it the clock is read again, for it may have been set, or the machine asleep.
MAX_PAUSE_S = 10.0


class Clock(Protocol):
    """Says what is due. Nothing here waits: whoever asks waits :meth:`pause` and asks again.

    The last HEAD's period is always given by the caller, who has it from the store: a clock that was restarted goes on
    where the HEADs are, not where it was.
    """

    def time(self) -> float:
        """Return the network's time, Unix seconds; fit to be a ledger's clock."""

    def due(self, last: Period | None) -> Turn | None:
        """Return what is due after the last HEAD; a turn without a period means nothing yet, None nothing any more."""

    def pause(self, last: Period | None) -> float:
        """Return for how many seconds on the wall there is nothing to ask, at most :data:`MAX_PAUSE_S`."""


@dataclass(frozen=True, slots=True)
class LiveClock:
    """The clock on the wall, or ``origin + (wall - began) * rate``: the same in all processes that share the three numbers.

    A network of its own that was stopped goes on with `origin` its last time and `began` the time on the wall.

    Attributes
    ----------
    rate : float
        Seconds of the network per second on the wall.
    began, origin : float
        Unix seconds: a moment on the wall, and the network's time then.
    wall : callable
        Unix seconds; stands still or jumps as it likes.

    Raises
    ------
    ConfigError
        The rate is not positive, or a number not finite.
    """

    rate: float = 1.0
    began: float = 0.0
    origin: float = 0.0
    wall: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not (isfinite(self.rate) and self.rate > 0 and isfinite(self.began) and isfinite(self.origin)):
            raise ConfigError(f"{self}: give a positive rate, and times in Unix seconds")

    def time(self) -> float:
        """Return the network's time, Unix seconds."""
        return self.origin + (self.wall() - self.began) * self.rate

    def due(self, last: Period | None) -> Turn:
        """Return what is due; nothing while the clock is :meth:`behind` the last HEAD.

        Raises
        ------
        RefusedError
            The clock is before 1970 or beyond 2**53 s.
        """
        now = int(self.time() // 1)
        return turn(last, max(now, last.start) if last else now)

    def behind(self, last: Period | None) -> int:
        """Return how many seconds the clock is before the last HEAD, 0 if it is not.

        It was set back, then, or was wrong when that HEAD was made. A HEAD is never made twice, so the fund waits until
        the clock has caught up.
        """
        return max(0, last.start - int(self.time() // 1)) if last else 0

    def pause(self, last: Period | None) -> float:
        """Return the seconds on the wall until the period after the last HEAD, cut to 0 … :data:`MAX_PAUSE_S`."""
        left = (last.end - self.time()) / self.rate if last else 0.0
        return min(max(left, 0.0), MAX_PAUSE_S)


class ReplayClock:
    """Jumps through the times at which something new was knowable: the closes of the bars of a replay.

    Parameters
    ----------
    times : iterable of int
        Unix seconds, ascending. Of several in one period of ten minutes the first is used: one HEAD a period.
    last : Period, optional
        Of the last HEAD, for a replay that goes on: its time is that HEAD's until the next bar is due.
    pace_s : float
        Seconds on the wall between two bars at least.
    tell : callable
        Told every time that the clock jumps to, before anybody acts on it.

    Raises
    ------
    ConfigError
        A time is no whole number of seconds or not after the one before.
    """

    def __init__(
        self,
        times: Iterable[int],
        last: Period | None = None,
        *,
        pace_s: float = 0.0,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._times = tuple(times)
        for one in self._times:
            if type(one) is not int or not 0 <= one <= MAX_TIME:
                raise ConfigError(f"time {one!r} of a replay is no whole number of Unix seconds")
        for one, other in pairwise(self._times):
            if other <= one:
                raise ConfigError(f"the replay has {other} after {one}; give its times in ascending order")
        self._pace_s, self._tell, self._jumped = pace_s, tell, float("-inf")
        passed = bisect_left(self._times, last.end) if last else 0
        self._now = self._times[max(passed - 1, 0)] if self._times else 0
        if last:
            self._now = next((one for one in self._times[:passed] if one >= last.start), self._now)

    def time(self) -> float:
        """Return the time of the bar that was last due; before that of the last HEAD's bar, or of the first."""
        return self._now

    def due(self, last: Period | None) -> Turn | None:
        """Jump to the first bar in a later period than the last HEAD's, None if there is none."""
        place = bisect_left(self._times, last.end) if last else 0
        if place == len(self._times):
            return None
        if self._times[place] != self._now or last is None:
            self._tell(self._times[place])
        self._now, self._jumped = self._times[place], time.monotonic()
        return turn(last, self._now, replay=True)

    def left(self, last: Period | None) -> int:
        """Return how many HEADs the replay still has after the last one."""
        place = bisect_left(self._times, last.end) if last else 0
        return len({one // PERIOD_S for one in self._times[place:]})

    def pause(self, last: Period | None) -> float:
        """Return the seconds on the wall that are left of the pace; a replay without one does not wait."""
        return max(0.0, self._jumped + self._pace_s - time.monotonic())
