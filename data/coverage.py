"""Which bars should be there: a calendar learnt from the panel itself, gaps against it, and a small picture.

No exchange calendar is needed. A panel is all series of one (type, broker). Where it trades on all seven weekdays every
point of the grid is expected; elsewhere the bars that at least ``QUORUM`` of the series alive at that moment have, so a
closed night, weekend or holiday is no gap, and one stray bar of one series makes no gap in the others. A stretch longer
than ``HOLE_US`` without any bar is a hole all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.dataset import SeriesSummary
from data.runs import Ints, micros, series_runs
from data.schema import DAY_US, MONDAY_US, grid_origin, interval_of

HOLE_US = 10 * DAY_US  # exchanges close for a week at most, as in September 2001 or for the Lunar New Year
WEEKDAY_SHARE = 0.05  # a market that never closes has a seventh of its bars on each weekday, fx has 2 % on Sundays
QUORUM = 0.25
MIN_DAYS = 14  # below two weeks nothing is learnt about weekdays
SHADES = " ·░▒▓█"

Calendars = Mapping[tuple[str, str], Ints]


def calendar_of(type_: str, times: Iterable[Ints]) -> Ints:
    """Return the rising bar opens (microseconds) that a panel is expected to have, from those of its series."""
    members = [member for member in times if len(member)]
    if not members:
        return np.empty(0, dtype=np.int64)
    union, count = np.unique(np.concatenate(members), return_counts=True)
    interval = interval_of(type_)
    if interval is None:
        return union
    weekday = np.bincount(((union - MONDAY_US) // DAY_US) % 7, minlength=7) / len(union)
    if len(np.unique(union // DAY_US)) < MIN_DAYS or weekday.min() < WEEKDAY_SHARE or interval > DAY_US:
        begun = np.searchsorted(np.sort([member[0] for member in members]), union, side="right")
        ended = np.searchsorted(np.sort([member[-1] for member in members]), union, side="left")
        return union[count >= QUORUM * (begun - ended)]
    origin = grid_origin(interval)
    first = origin + -(-(int(union[0]) - origin) // interval) * interval
    return np.arange(first, int(union[-1]) + 1, interval, dtype=np.int64)


def missing_between(times: Ints, calendar: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Compare one series with the calendar of its panel.

    Parameters
    ----------
    times : (n,) int64, rising bar opens in microseconds.
    calendar : (m,) int64, rising.

    Returns
    -------
    missing : (n - 1,) int64
        Expected bars that are absent between each row and the next.
    broken : (n - 1,) bool
        Whether the next row is not the next bar: bars are missing, or the panel has a hole there.
    """
    position = np.searchsorted(calendar, times)
    missing = np.maximum(np.diff(position) - 1, 0)
    return missing, (missing > 0) | (np.diff(times) > HOLE_US)


def calendars_of(series: Mapping[tuple[str, str, str], Ints]) -> dict[tuple[str, str], Ints]:
    """Return the calendar of every (type, broker) from the bar opens of its series."""
    panels = defaultdict(list)
    for (type_, broker, _), times in series.items():
        panels[type_, broker].append(times)
    return {panel: calendar_of(panel[0], times) for panel, times in panels.items()}


def times_of(keys: pa.Table) -> dict[tuple[str, str, str], Ints]:
    """Return the bar opens of every series in a sorted table."""
    times, series = micros(keys), {}
    for run in series_runs(keys):
        series[run.key] = times[run.start : run.stop]
    return series


def summaries(keys: pa.Table) -> list[SeriesSummary]:
    """Return one summary per series of a sorted table with the key columns."""
    series = times_of(keys)
    calendars = calendars_of(series)
    result = []
    for run in {run.key: run for run in series_runs(keys)}.values():
        times = series[run.key]
        missing, broken = missing_between(times, calendars[run.key[:2]])
        result.append(
            SeriesSummary(
                *run[:4],
                rows=len(times),
                first=_moment(times[0]),
                last=_moment(times[-1]),
                gaps=int(broken.sum()),
                missing=int(missing.sum()),
            )
        )
    return result


def picture(times: Ints, calendar: Ints, first: int, last: int, width: int = 32) -> str:
    """Return `width` characters for `first` to `last`, darker where more of the expected bars are there."""
    edges = np.linspace(first, last + 1, width + 1)
    have = np.histogram(times, edges)[0]
    expected = np.histogram(calendar, edges)[0]
    share = have / np.maximum(expected, 1)
    shade = np.ceil(np.clip(share, 0, 1) * (len(SHADES) - 1)).astype(int)
    return "".join(SHADES[number] for number in shade)


def _moment(micro: np.int64) -> datetime:
    return datetime.fromtimestamp(int(micro) // 10**6, UTC).replace(microsecond=int(micro) % 10**6)
