"""Time-weighted average prices from running sums of price times seconds, as in Uniswap v2.

A price counts for the seconds it stood, at the prices before the trade that ends them: whatever is traded within one
second has no weight. Two averages are kept, because the mean of a price is not one over the mean of its inverse.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import NamedTuple

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.wei import whole

#: Binary places of a price (UQ112.112).
PLACES = 112
MAX_TIME = 2**53


class Point(NamedTuple):
    """The running sums at one time, in seconds times 2**-112."""

    time: int
    quote_per_ltft: int
    ltft_per_quote: int


class Mean(NamedTuple):
    """Average prices, fixed-point with 112 binary places, rounded down."""

    quote_per_ltft: int
    ltft_per_quote: int


@dataclass(frozen=True, slots=True)
class Twap:
    """The running sums over a window.

    Attributes
    ----------
    window : int
        Seconds, at least 1.
    points : tuple of Point
        Ascending times; the last is the newest, and enough are kept to reach back a window. Between two the price stood
        still.
    """

    window: int
    points: tuple[Point, ...]

    @classmethod
    def begun(cls, window: int, time: int) -> Twap:
        """Start at `time`, Unix seconds.

        Raises
        ------
        ConfigError
            A number is not whole or out of range.
        """
        whole(window, "the window of a TWAP", 1, MAX_TIME, ConfigError)
        return cls(window, (Point(whole(time, "the time", 0, MAX_TIME, ConfigError), 0, 0),))

    @property
    def time(self) -> int:
        """Of the newest point, Unix seconds."""
        return self.points[-1].time

    @property
    def covered(self) -> int:
        """Seconds that the points reach back; :meth:`mean` needs a window."""
        return self.time - self.points[0].time

    def advanced(self, time: int, ltft: int, quote: int) -> Twap:
        """Return the sums at `time`, the reserves having stood since the newest point.

        Raises
        ------
        RefusedError
            `time` is before the newest point.
        """
        last = self.points[-1]
        seconds = whole(time, "the time of the pool", last.time, MAX_TIME) - last.time
        if not seconds:
            return self
        new = Point(
            time,
            last.quote_per_ltft + (quote << PLACES) // ltft * seconds,
            last.ltft_per_quote + (ltft << PLACES) // quote * seconds,
        )
        points = (*self.points, new)
        return replace(self, points=points[max(0, self._before(points, time - self.window)) :])

    def mean(self) -> Mean:
        """Return the averages over the window that ends at the newest point.

        Raises
        ------
        RefusedError
            The points do not reach back a whole window.
        """
        if self.covered < self.window:
            raise RefusedError(f"the TWAP covers {self.covered} s of its window of {self.window} s; wait for the rest")
        start = self.time - self.window
        place = self._before(self.points, start)
        left, right, last = self.points[place], self.points[place + 1], self.points[-1]
        share = (
            start - left.time,
            right.time - left.time,
        )  # exact: between two points a sum grows evenly by whole numbers
        begun = Point(*(a + (b - a) * share[0] // share[1] for a, b in zip(left, right, strict=True)))
        return Mean(
            (last.quote_per_ltft - begun.quote_per_ltft) // self.window,
            (last.ltft_per_quote - begun.ltft_per_quote) // self.window,
        )

    @staticmethod
    def _before(points: tuple[Point, ...], time: int) -> int:
        """Return the index of the last point at or before `time`, -1 if there is none."""
        return bisect_right(points, time, key=lambda point: point.time) - 1
