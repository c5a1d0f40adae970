"""Time series as SVG geometry: thinned by minimum and maximum, scaled, with ticks at round values. Pure; templates draw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dashboard import words

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WIDTH = 1000  # user units across the plot; the browser stretches them
BINS = 200  # at most two points of every line survive in each
FOOT = 22  # px under the lowest panel for the times
_PAD = 0.06  # of the range above and below
_STEPS = (60, 300, 600, 1_800, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400)
_MONTHS = (1, 3, 6, 12, 24, 60, 120)
_MONTH_S = 2_629_746


@dataclass(frozen=True, slots=True)
class Line:
    """One series: CSS class, name for people, values (n,) float64 with NaN where unknown, whether it is filled to zero."""

    key: str
    name: str
    values: Floats
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line ready to draw: SVG path data, its values at the chart's times as text, and its first and last value."""

    key: str
    name: str
    path: str
    values: str
    first: float
    last: float
    filled: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines on one vertical scale; `ticks` are (px from the top, label), `plot` px of `height` are for the lines."""

    title: str
    height: int
    plot: int
    lines: tuple[Drawn, ...]
    ticks: tuple[tuple[float, str], ...]
    percent: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Panels over one axis of time. `times` are the seconds of the points: the first, then differences.

    `digits` are the decimals that show five significant digits of the first panel's values.
    """

    start: int
    end: int
    times: str
    panels: tuple[Panel, ...]
    ticks: tuple[tuple[float, str], ...]
    digits: int


def rebased(values: Floats, base: Floats, times: Ints, start: int | None) -> Floats:
    """Return `values` scaled to equal `base` at the first time from `start` on at which both are known and not zero.

    So a comparison over a stretch of time begins at one point; (n,) float64 each, `start` None is the beginning.
    """
    with np.errstate(invalid="ignore"):
        shared = np.isfinite(values) & np.isfinite(base) & (values != 0) & (base != 0)
    at = np.flatnonzero(shared & (times >= (times[0] if start is None else start))) if times.size else shared
    return values * (base[at[0]] / values[at[0]]) if at.size else values


def drawdown(nav: Floats) -> Floats:
    """Return the loss since the highest value so far, (n,) float64 in −1 … 0; NaN stays NaN. Uses no later value."""
    peak = np.fmax.accumulate(nav) if nav.size else nav
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(peak > 0, nav / peak - 1, np.nan), np.float64)


def thinned(columns: Sequence[Floats], bins: int = BINS) -> Ints:
    """Return which points to draw: per bin of equal count each column's minimum and maximum, both ends, and gap edges.

    The extremes of every column survive, so that a drawdown is never drawn smaller than it was.

    Parameters
    ----------
    columns : sequence of (n,) float64
        Series on the same points; NaN means unknown.

    Returns
    -------
    (m,) int64
        Ascending indices, ``m <= 2 * bins * len(columns) + 2`` and the gap edges.
    """
    size = len(columns[0]) if columns else 0
    if size <= 2 * bins:
        return np.arange(size)
    keep = np.zeros(size, bool)
    keep[[0, -1]] = True
    edges = np.linspace(0, size, bins + 1).astype(np.int64)
    for values in columns:
        known = np.isfinite(values)
        low, high = np.where(known, values, np.inf), np.where(known, values, -np.inf)
        for first, last in pairwise(edges.tolist()):
            keep[first + np.argmin(low[first:last])] = keep[first + np.argmax(high[first:last])] = True
        turns = np.flatnonzero(known[1:] != known[:-1])
        keep[turns] = keep[turns + 1] = True
    return np.flatnonzero(keep)


def value_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return multiples of 1, 2, 2.5 or 5 × 10ᵏ within the range, about `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= raw * (1 - 1e-9))
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def time_ticks(start: int, end: int, count: int = 6) -> list[tuple[int, str]]:
    """Return round UTC times within the range with their labels: hours, days, months or years as it is long."""
    raw = (end - start) / max(1, count)
    step = next((one for one in _STEPS if one >= raw), None)
    if step:
        offset = 4 * 86_400 if step % (7 * 86_400) == 0 else 0  # weeks begin on Monday; 1970-01-01 was a Thursday
        first = -(-(start - offset) // step) * step + offset
        times = list(range(first, end + 1, step))
    else:
        months = next((one for one in _MONTHS if one * _MONTH_S >= raw), _MONTHS[-1])
        begin, last = (int(np.datetime64(edge, "s").astype("datetime64[M]").astype(int)) for edge in (start, end))
        grid = np.arange(-(-begin // months) * months, last + 1, months).astype("datetime64[M]")
        times = [one for one in grid.astype("datetime64[s]").astype(np.int64).tolist() if start <= one <= end]
    return [(one, _time_label(datetime.fromtimestamp(one, UTC), step)) for one in times]


def _time_label(time: datetime, step: int | None) -> str:
    if step is None:
        return f"{time:%Y}" if time.month == 1 else f"{time:%b}"
    midnight = not (time.hour or time.minute)
    return f"{time.day} {time:%b}" if midnight else f"{time:%H:%M}"


def draw(
    times: Ints, panels: Sequence[tuple[str, int, Sequence[Line]]], *, start: int | None = None, end: int | None = None
) -> Chart | None:
    """Thin and scale series over one axis of time.

    Parameters
    ----------
    times : (n,) int64
        Unix seconds, ascending.
    panels : sequence of (title, height in px, lines)
        From top to bottom. A panel whose lines are filled has percentages on its scale and reaches up to 0.
    start, end : int, optional
        Window in unix seconds, both ends included; by default all.

    Returns
    -------
    Chart or None
        None when fewer than two points lie in the window: there is nothing to draw.
    """
    low = 0 if start is None else int(np.searchsorted(times, start))
    high = times.size if end is None else int(np.searchsorted(times, end, side="right"))
    if high - low < 2:
        return None
    window = slice(low, high)
    at = thinned([line.values[window] for _, _, lines in panels for line in lines])
    clock = times[window][at]
    first, last = int(clock[0]), int(clock[-1])
    x = np.asarray((clock - first) * (WIDTH / (last - first)), np.float64)
    last_panel = len(panels) - 1
    return Chart(
        first,
        last,
        " ".join(map(str, [first, *np.diff(clock).tolist()])),
        tuple(
            _panel(title, height, [(line, line.values[window][at]) for line in lines], x, FOOT * (index == last_panel))
            for index, (title, height, lines) in enumerate(panels)
        ),
        tuple((round((tick - first) / (last - first) * 100, 3), label) for tick, label in time_ticks(first, last)),
        max(2, min(10, 4 - math.floor(math.log10(most)))) if (most := _most(panels[0][2], window)) else 2,
    )


def _most(lines: Sequence[Line], window: slice) -> float:
    known = [np.abs(line.values[window][np.isfinite(line.values[window])]) for line in lines]
    return max((float(one.max()) for one in known if one.size), default=0.0)


def _panel(title: str, height: int, lines: Sequence[tuple[Line, Floats]], x: Floats, foot: int) -> Panel:
    filled = any(line.filled for line, _ in lines)
    known = np.concatenate([values[np.isfinite(values)] for _, values in lines])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if filled:
        high = 0.0  # percentages below the highest value
    spread = high - low if high - low > 1e-9 * max(abs(high), abs(low)) else max(abs(high), 1.0) * 0.01
    low, high = low - spread * _PAD, high if filled else high + spread * _PAD
    scale = height / (high - low)
    step = value_ticks(low, high, max(3, height // 50))
    size = (step[1] - step[0] if len(step) > 1 else high - low) * (100 if filled else 1)
    digits = max(0, -math.floor(math.log10(size) + 1e-9))
    digits += not math.isclose(size * 10**digits, round(size * 10**digits))  # 0.025 needs one more than 0.02

    def label(tick: float) -> str:
        return words.percent(tick, digits) if filled else words.number(tick, digits)

    return Panel(
        title,
        height + foot,
        height,
        tuple(_drawn(line, values, x, (high - values) * scale) for line, values in lines),
        tuple((round((high - tick) * scale, 1), label(tick)) for tick in step),
        filled,
    )


def _drawn(line: Line, values: Floats, x: Floats, y: Floats) -> Drawn:
    known = np.isfinite(values)
    path, pen = [], "M"
    for here, across, down in zip(known.tolist(), x.tolist(), y.tolist(), strict=True):
        if here:
            path.append(f"{pen}{across:.1f} {down:.1f}")
        pen = "L" if here else "M"
    if line.filled and known.any():
        # The area is closed above and beside the plot, where the clipped outline is not seen; 0 is the upper edge.
        path = [f"M-9 -9L-9 {y[known][0]:.1f}", *path, f"L{WIDTH + 9} {y[known][-1]:.1f}V-9Z"]
        path[1] = path[1].replace("M", "L")
    seen = values[known]
    first, last = (float(seen[0]), float(seen[-1])) if seen.size else (math.nan, math.nan)
    text = " ".join(f"{one:.6g}" if here else "-" for one, here in zip(values.tolist(), known.tolist(), strict=True))
    return Drawn(line.key, line.name, "".join(path), text, first, last, line.filled)
