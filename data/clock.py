"""From the clock a file is on to bar opens in UTC microseconds: epochs in any unit, texts, dates, local time."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.runs import Ints
from data.schema import DAY_US
from protocol.errors import DataError

Bools = npt.NDArray[np.bool_]

UNITS = {"s": (10**6, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}  # multiply, then divide, to get microseconds
# Epochs of 1973 to 5138 in one unit do not overlap with those in another: 1e8 s is 1973-03-03, 1e11 ms as well.
_AUTO = ((10**8, 10**11, "s"), (10**11, 10**14, "ms"), (10**14, 10**17, "us"), (10**17, 2**63 - 1, "ns"))
_DATE = (18_000_101, 21_001_231)  # eight digits, YYYYMMDD: as seconds they would lie in 1970
_OFFSET = r"([zZ]|[+-]\d{2}:?\d{2})$"
_FIXED = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?")


@dataclass
class Moments:
    """Bar opens as read from a column.

    Attributes
    ----------
    micros : (n,) int64
        Microseconds since 1970 UTC; meaningless where ``problem`` has an entry.
    problem : dict of int to str
        Row to what is wrong with its time.
    found : Counter of str
        How many rows were written in which way (``s``, ``ms``, ``text``, …).
    """

    micros: Ints
    problem: dict[int, str] = field(default_factory=dict)
    found: Counter[str] = field(default_factory=Counter)


def parse_zone(text: str) -> tzinfo:
    """Return the time zone called `text`: ``UTC``, ``UTC-05:00`` or an IANA name such as ``America/New_York``."""
    if text.upper() in {"UTC", "GMT", "Z"}:
        return timezone.utc  # noqa: UP017  # a tzinfo, as the name of the type says
    match = _FIXED.fullmatch(text.upper())
    if match:
        size = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if size < timedelta(hours=24):
            return timezone(-size if match[1] == "-" else size)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DataError(f"time zone {text!r} is not known; write UTC, UTC-05:00 or America/New_York") from error


def read_moments(
    column: pa.ChunkedArray, groups: Ints, *, interval: int | None, unit: str, zone: tzinfo, pattern: str | None
) -> Moments:
    """Return the bar opens in `column`.

    Parameters
    ----------
    column : text, integer, float or timestamp
    groups : (n,) int64
        Number of the series of each row: an hour that a change of clocks repeats occurs twice per series.
    interval : int or None
        Microseconds of a bar. For a day or more, times that are all midnight are dates and stay what they are.
    unit : str
        ``s``, ``ms``, ``us``, ``ns``, or ``auto``: per row by magnitude, because real files mix them.
    zone : tzinfo
        The clock the file is on; holds for epochs too, as some brokers count theirs in local time. Texts and
        timestamps with an offset of their own keep it.
    pattern : str or None
        ``strftime`` pattern of texts; None: ISO 8601.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        aware = pa.types.is_timestamp(kind) and kind.tz is not None
        stamps = column.cast(pa.timestamp("us", tz=kind.tz if aware else None), safe=False)
        wall = np.array(stamps.cast(pa.int64()).fill_null(0).to_numpy())  # a copy: Arrow's own memory is read-only
        moments = Moments(wall, found=Counter({"timestamps": len(wall)}))
        naive = np.full(len(wall), not aware)
        bad = column.is_null().to_numpy()
    else:
        moments, naive, bad = _from_text(column, unit, pattern)
    moments.problem = dict.fromkeys(np.flatnonzero(bad).tolist(), "time is not readable")
    naive &= ~bad
    wall = moments.micros[naive]
    dates = interval is not None and interval >= DAY_US and not (wall % DAY_US).any()
    if len(wall) and not dates and zone.utcoffset(None) != timedelta(0):
        moments.micros[naive], problems = _localise(wall, groups[naive], zone)
        rows = np.flatnonzero(naive)
        moments.problem |= {int(rows[at]): text for at, text in problems.items()}
    return moments


def _from_text(column: pa.ChunkedArray, unit: str, pattern: str | None) -> tuple[Moments, Bools, Bools]:
    """Return moments, which of them are on the file's own clock, and which are not readable."""
    floating = pa.types.is_floating(column.type)
    text = pc.utf8_trim_whitespace((column.cast(pa.int64(), safe=False) if floating else column).cast(pa.string()))
    text = text.fill_null("")
    digits = pc.match_substring_regex(text, r"^\d{1,19}(\.0*)?$").to_numpy()
    result = Moments(np.zeros(len(text), dtype=np.int64))
    naive, good = np.ones(len(text), dtype=bool), np.zeros(len(text), dtype=bool)
    if digits.any() and pattern is None:
        whole = pc.replace_substring_regex(text.filter(pa.array(digits)), r"\..*$", "")
        numbers = np.array([min(int(word), 2**63 - 1) for word in whole.to_pylist()], dtype=np.int64)
        rows = np.flatnonzero(digits)
        if unit == "auto":
            dates = (numbers >= _DATE[0]) & (numbers <= _DATE[1])
            stamps = pd.to_datetime(pd.Series(numbers[dates].astype(str)), format="%Y%m%d", errors="coerce")
            result.micros[rows[dates]], good[rows[dates]] = _stamps(stamps)
            result.found["dates"] = int(dates.sum())
        for low, high, name in _AUTO if unit == "auto" else ((0, 2**63 - 1, unit),):
            inside = (numbers >= low) & (numbers < high)
            multiply, divide = UNITS[name]
            result.micros[rows[inside]] = numbers[inside] * multiply // divide
            good[rows[inside]] = True
            result.found[name] = int(inside.sum())
    rest = ~digits if pattern is None else np.ones(len(text), dtype=bool)
    if rest.any():
        offset = pc.match_substring_regex(text, r"\d" + _OFFSET).to_numpy()
        offset &= pc.match_substring_regex(text, ":").to_numpy() if pattern is None else "%z" in pattern
        for mask, aware in ((rest & offset, True), (rest & ~offset, False)):
            if mask.any():
                words = pd.Series(text.filter(pa.array(mask)).to_pylist())
                stamps = pd.to_datetime(words, format=pattern or "ISO8601", errors="coerce", utc=aware)
                result.micros[mask], good[mask] = _stamps(stamps)
                naive[mask] = not aware
        result.found["texts"] = int(rest.sum())
    result.found = +result.found
    return result, naive, ~good


def _stamps(stamps: pd.Series) -> tuple[Ints, Bools]:
    """Return microseconds and which of them were readable."""
    good = stamps.notna().to_numpy()
    if stamps.dt.tz is not None:
        stamps = stamps.dt.tz_localize(None)
    return stamps.to_numpy().astype("datetime64[us]").astype(np.int64), good


def _localise(wall: Ints, groups: Ints, zone: tzinfo) -> tuple[Ints, dict[int, str]]:
    """Return UTC for wall-clock times in `zone`, and the rows for which there is none.

    An hour that occurs twice when clocks go back is told apart by the order of the rows of its series, newest first
    or oldest first; an hour that then occurs once could be either and has no answer, as has one that clocks skipped.
    """
    index = pd.DatetimeIndex(wall.view("datetime64[us]"))
    early, late = (
        np.asarray(
            index.tz_localize(zone, ambiguous=np.full(len(wall), flag), nonexistent="NaT")
            .tz_convert("UTC")
            .tz_localize(None)
            .to_numpy()
            .astype("datetime64[us]")
        )
        for flag in (True, False)
    )
    skipped = np.isnat(early)
    problems = dict.fromkeys(np.flatnonzero(skipped).tolist(), "local time skipped when clocks went forward")
    result = early.astype(np.int64)
    twofold = np.flatnonzero(~skipped & (early != late))
    falling = len(wall) > 1 and wall[0] > wall[-1]
    seen: dict[tuple[int, int], list[int]] = {}
    for row in (twofold[::-1] if falling else twofold).tolist():
        seen.setdefault((int(groups[row]), int(wall[row])), []).append(row)
    for rows in seen.values():
        if len(rows) == 2:
            result[rows[1]] = late[rows[1]].astype(np.int64)
        else:
            problems |= dict.fromkeys(rows, "local time that clocks repeat, not there exactly twice")
    return result, problems
