"""Warning W063: the same thing quoted by two brokers must move at the same time.

A clock that is five hours off turns one broker's past into another's future: a perfect look-ahead. For every pair of
brokers that quote a symbol, the correlation of their log returns is taken at several lags, year by year; where it peaks
away from lag 0 one of the two clocks is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from data.rules import Example, Findings
from data.runs import Floats, Ints
from data.schema import DAY_US, interval_of

MAX_LAG = 24  # bars shorter than a day
MAX_LAG_DAYS = 5  # bars of a day or more
MIN_COMMON = 250  # pairs of returns; the correlation of fewer means little
MIN_PEAK = 0.2
MARGIN = 0.1  # by how much the peak must exceed lag 0
YEAR_US = 366 * DAY_US

Series = Mapping[tuple[str, str, str], tuple[Ints, Floats]]


def peer_lags(series: Series, findings: Findings) -> None:
    """Add a W063 for each pair of brokers and year whose returns match best at another lag than 0.

    Parameters
    ----------
    series : mapping of (type, broker, symbol) to (times, closes)
        Rising bar opens in microseconds and closes, NaN where not known.
    """
    groups = defaultdict(list)
    for key in sorted(series):
        groups[key[0], key[2].partition(":")[0]].append(key)  # a perpetual is a peer of its spot pair
    for (type_, symbol), keys in groups.items():
        interval = interval_of(type_)
        if interval is None:
            continue
        for first, second in combinations(keys, 2):
            if first[1] == second[1]:
                continue
            for start, lag, peak, level in _lags(series[first], series[second], interval):
                year = str(np.datetime64(start, "us").astype("datetime64[D]"))
                text = f"from {year}: correlation {peak:.2f} at lag {lag:+d} bars, {level:.2f} at lag 0"
                findings.add("W063", Example("", None, f"{type_} {symbol} {first[1]} v {second[1]}", text))


def _lags(
    first: tuple[Ints, Floats], second: tuple[Ints, Floats], interval: int
) -> list[tuple[int, int, float, float]]:
    """Return (start, lag of the peak, peak, correlation at lag 0) of each year whose peak is not at lag 0."""
    begin = max(int(first[0][0]), int(second[0][0]))
    end = min(int(first[0][-1]), int(second[0][-1]))
    reach = MAX_LAG if interval < DAY_US else MAX_LAG_DAYS
    found = []
    for start in range(begin, end, YEAR_US):
        size = (min(end, start + YEAR_US) - start) // interval + 1
        a, b = (_returns(*one, start, interval, size) for one in (first, second))
        level = {lag: _correlation(a, b, lag) for lag in range(-reach, reach + 1)}
        peak = max(level, key=lambda lag: level[lag])
        if peak != 0 and level[peak] >= MIN_PEAK and level[peak] > max(level[0], -1.0) + MARGIN:
            found.append((start, peak, level[peak], level[0]))
    return found


def _returns(times: Ints, values: Floats, start: int, interval: int, size: int) -> Floats:
    """Return log returns on the grid from `start`, shape (size - 1,), NaN where one of the two bars is absent."""
    place = (times - start) // interval
    inside = (place >= 0) & (place < size)
    grid = np.full(size, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        grid[place[inside]] = np.log(values[inside])
        return np.diff(grid)


def _correlation(a: Floats, b: Floats, lag: int) -> float:
    """Return the correlation of a[t] with b[t + lag]; -2 when there is too little to say."""
    a, b = (a[: len(a) - lag], b[lag:]) if lag >= 0 else (a[-lag:], b[: len(b) + lag])
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < MIN_COMMON:
        return -2.0
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else -2.0
