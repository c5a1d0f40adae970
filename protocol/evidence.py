"""Betting on a model block's live differentials: evidence that may be looked at every day and still holds.

The second stage of the record rule: what a screened block does on days that did not exist when it was submitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.errors import DataError
from protocol.scores import DAY_US

CLIP = 0.15  # of a differential, about two deviations of a day's
FALSE_CROWNS = 0.05  # chance that any of m slots is ever won without skill
DROP_LOG_E = math.log(0.05)
PRIOR_BLOCKS = 5  # blocks of deviation clip/2 and mean 0 that stand before the first
MAX_LOSS = 0.5  # of the free capital, in one block
USUAL_SHARE = 0.9
MAX_AGE_DAYS = 180  # a block that is not crowned by then is dropped

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EPath:
    """Evidence over time.

    Attributes
    ----------
    day : (b,) int64
        Last scored day of each finished block, days since 1970-01-01 UTC, ascending.
    log_e : (b,) float64
        Natural logarithm of the e-value after that block.
    """

    day: Ints
    log_e: Floats

    @property
    def last(self) -> float:
        """Return the present log e-value, 0 before the first block is finished."""
        return float(self.log_e[-1]) if self.log_e.size else 0.0


def crown_log_e(slots: int) -> float:
    """Return the log e-value that crowns: ``ln(20 m)`` for m slots.

    Raises
    ------
    DataError
        `slots` is below 1.
    """
    if slots < 1:
        raise DataError(f"a topic with {slots} slots cannot crown anything; it needs at least 1")
    return math.log(slots / FALSE_CROWNS)


def e_process(day: ArrayLike, differential: ArrayLike, *, span_days: int, clip: float = CLIP) -> EPath:
    """Return the evidence that a block beats the record: the capital of a gambler who bets on it and started with 1.

    Days are cut into blocks of `span_days`; x_j is the mean differential of block j, cut at ±clip. At the opening of
    block j the gambler stakes s_j = λ_j F_j of the free capital F_j, which returns s_j x_j. As targets reach into the
    next block, block j is settled when block j + 1 is over; till then its worst loss, s_j clip, is not free:

        λ_j = min(max(0, S / (5 (clip/2)^2 + Q)), 1 / (2 clip))    S, Q: sums of x_i and x_i^2 over i <= j - 2
        F_(j+2) = F_(j+1) (1 - λ_(j+1) clip) + s_j (clip + x_j)

    from F_0 = F_1 = 1. The e-value after block j is F_(j+2): the bet that is still open counts as lost as far as it can
    be. If no stake has a positive expectation at its opening (no skill), the capital that is left once open bets are
    settled has expectation at most 1 at any stopping time, and E never exceeds it: P(ever E >= a) <= 1/a, however
    often one looks and however much targets overlap. A product of daily bets has no such bound, since overlapping
    targets make neighbours' gains alike. λ is about the growth-optimal mean over mean square (Kelly 1956; Waudby-Smith
    and Ramdas 2024, sec. 5), shrunk by five blocks without a mean.

    Parameters
    ----------
    day : (n,) int
        Ascending days since 1970-01-01 UTC, all after the block's time, whose targets are known.
    differential : (n,) float
        Daily (or weekly) score less the record's, finite; see :func:`protocol.generality.differential`.
    span_days : int
        Days that a target reaches beyond its own; blocks are ``day // span_days``.
    clip : float
        Bound of a block's mean differential, in (0, 1].

    Returns
    -------
    EPath
        One entry per finished block: one of whose last calendar day, or a later day, there is a score.

    Raises
    ------
    DataError
        Shapes differ, days do not ascend, a number is not finite or out of range.
    """
    days, d = np.asarray(day), np.asarray(differential, dtype=np.float64)
    if days.ndim != 1 or days.shape != d.shape or not np.isfinite(d).all() or (days[1:] <= days[:-1]).any():
        raise DataError(f"days {days.shape} and differentials {d.shape} must be of one length, ascending and finite")
    if span_days < 1 or not 0 < clip <= 1:
        raise DataError(f"span_days {span_days} must be at least 1 and clip {clip} above 0 and at most 1")
    if not days.size:
        return EPath(np.empty(0, np.int64), np.empty(0))
    days = days.astype(np.int64)
    block = days // span_days
    starts = np.flatnonzero(np.concatenate(([True], block[1:] != block[:-1])))
    last = np.append(starts[1:], days.size) - 1
    x = np.clip(np.add.reduceat(d, starts) / (last - starts + 1), -clip, clip)
    if (days[-1] + 1) % span_days:
        x, last = x[:-1], last[:-1]
    prior = PRIOR_BLOCKS * (clip / 2) ** 2
    known = np.maximum(np.arange(x.size + 1) - 1, 0)  # blocks settled when block j opens
    total, square = (np.concatenate(([0.0], np.cumsum(values)))[known] for values in (x, x * x))
    stake = np.clip(total / (prior + square), 0, MAX_LOSS / clip).tolist()
    growth, log_e = 1 - stake[0] * clip, [math.log1p(-stake[0] * clip)]
    for j, outcome in enumerate(x.tolist()):
        growth = 1 - stake[j + 1] * clip + stake[j] / growth * (clip + outcome)
        log_e.append(log_e[-1] + math.log(growth))
    return EPath(days[last], np.array(log_e[1:]))


def target_span_days(time: ArrayLike, horizon: int, interval: int, *, weekly: bool = False) -> int:
    """Return how many days a target reaches beyond the day of its forecast.

    From the end of a UTC day to the close of bar t + 1 + horizon, t the last bar that opens on that day, counted along
    the bars that are there: five bars of a stock exchange are more than five days. The reach that nine of ten days do
    not exceed is rounded up to whole days, so that a closure or an outage does not set it.

    Parameters
    ----------
    time : (n,) int
        Bar opens of the scored rows of one group, any order, repetitions allowed; microseconds since 1970 UTC.
    horizon : int
        Bars.
    interval : int
        Microseconds of one bar.
    weekly : bool
        Whether the scores are of weeks (fewer than five symbols): six days more.

    Raises
    ------
    DataError
        Fewer than ``horizon + 2`` timestamps.
    """
    grid = np.unique(np.asarray(time, dtype=np.int64))
    if grid.size < horizon + 2:
        raise DataError(f"{grid.size} timestamps are fewer than a target of horizon {horizon} spans; widen the range")
    day = grid // DAY_US
    last = np.flatnonzero(day[1:] != day[:-1])  # of each day
    last = np.append(last[last < grid.size - horizon - 1], grid.size - horizon - 2)
    reach = grid[last + horizon + 1] + interval - (day[last] + 1) * DAY_US
    usual = int(np.quantile(reach, USUAL_SHARE, method="higher"))
    return max(1, -(-usual // DAY_US)) + 6 * weekly
