"""Warnings W060-W062 and W064: gaps, jumps, stale closes and thin coverage of single series."""

from __future__ import annotations

import numpy as np

from data.coverage import missing_between
from data.manifest import to_iso
from data.rules import Example, Findings
from data.runs import Floats, Ints
from data.schema import DAY_US, interval_of

JUMP = 0.9  # |log return|; an unadjusted 1:2.5 split or a wrong digit is larger
STALE_BARS = 24  # bars shorter than a day
STALE_DAYS = 10  # bars of a day or more
COVERAGE = 0.9


def plausibility(
    key: tuple[str, str, str], times: Ints, values: Floats | None, calendar: Ints, findings: Findings
) -> None:
    """Add the warnings about one series to `findings`.

    Parameters
    ----------
    key : (type, broker, symbol)
    times : (n,) int64, rising bar opens in microseconds.
    values : (n,) float64 or None
        Closes, NaN where not known; None where the type has no prices.
    calendar : (m,) int64, rising, bars expected of the panel.
    """
    name = f"{key[0]}/{key[1]} {key[2]}"
    missing, broken = missing_between(times, calendar)
    if broken.any():
        at = int(np.argmax(np.where(broken, np.diff(times), 0)))
        text = f"{int(broken.sum())} gaps, {int(missing.sum())} bars; the longest {_span(times, at)}"
        findings.add("W060", Example("", None, name, text), int(broken.sum()))
    expected = len(times) + int(missing.sum())
    if len(times) < COVERAGE * expected:
        findings.add("W064", Example("", None, name, f"{len(times)} of {expected} bars"))
    if values is None:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.diff(np.log(values))
    jumps = np.flatnonzero((np.abs(steps) > JUMP) & ~broken)
    if len(jumps):
        at = int(jumps[np.argmax(np.abs(steps[jumps]))])
        text = f"{len(jumps)} jumps; the largest {steps[at]:+.2f} at {to_iso(int(times[at + 1]))}"
        findings.add("W061", Example("", None, name, text), len(jumps))
    length, at = _longest_stale(values, broken)
    interval = interval_of(key[0]) or 0
    if length > (STALE_BARS if interval < DAY_US else STALE_DAYS):
        text = f"{length} bars at {values[at]:g} from {to_iso(int(times[at]))}"
        findings.add("W062", Example("", None, name, text))


def _span(times: Ints, at: int) -> str:
    return f"{to_iso(int(times[at]))} to {to_iso(int(times[at + 1]))}"


def _longest_stale(values: Floats, broken: np.typing.NDArray[np.bool_]) -> tuple[int, int]:
    """Return how many bars the longest unbroken stretch of one value has, and where it begins."""
    moves = np.flatnonzero((np.diff(values) != 0) | broken) + 1
    edges = np.concatenate([[0], moves, [len(values)]])
    at = int(np.argmax(np.diff(edges)))
    return int(edges[at + 1] - edges[at]), int(edges[at])
