"""Evidence on days that did not exist when a block was made: what crowns a model, or drops it.

Everything that is decided beforehand (groups, training rows, span) follows from the rows before the block's day, the
topic and the block hash. A day counts once it is over in every group, so that growing data add days and change none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.bars import MAX_CLOSURE_US
from data.checked import checked_panel
from data.coverage import summaries, times_of
from data.dataset import Dataset
from data.manifest import to_micros
from data.panel import Panel, panel_key, panel_of
from data.panel_store import open_entry, panels_folder, write_entry
from data.splits import MIN_BLOCK, MIN_EMBARGO, Fold
from pipelines.identity import library_versions
from pipelines.registry import fingerprint
from protocol.errors import DataError
from protocol.evidence import EPath, e_process, target_span_days
from protocol.generality import differential
from protocol.rounding import rounded
from protocol.scores import DAY_US, PANEL_MIN, DayScores
from protocol.topics import Topic
from validator.course import DECLARED, Note, Slice, columns_like, scores_of, slice_of
from validator.evaluation import RULES_VERSION, Contender, Jail, Replays
from validator.groups import Group, is_declared, live_groups
from validator.sandbox.policy import Limits

WEEK = 7
#: Days without a bar after which a group is no longer waited for: longer than any closure that a target may span.
PATIENCE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a block fares against its bar on days after its own.

    Attributes
    ----------
    log_e : float
        Natural logarithm of the e-value, rounded to six decimals.
    days : int
        Finished days with a score.
    first_day, last_day : int
        First of those, and the last day that they cover (the Sunday of a week), days since 1970-01-01 UTC.
    groups : tuple of str
        ``declared``, and the groups with at least one of those days.
    mean : float
        Of the daily differential, rounded to six decimals.
    path : EPath
        Its course over time.
    """

    log_e: float
    days: int
    first_day: int
    last_day: int
    groups: tuple[str, ...]
    mean: float
    path: EPath

    @property
    def log_e_micro(self) -> int:
        """Millionths of a nat, as the ledger has them."""
        return round(self.log_e * 1_000_000)


@dataclass(frozen=True, slots=True)
class _Part:
    """Subject and bar on one slice: scores of days, or weeks, after the block.

    ``final`` is the last day that more data cannot change, None for a group that has fallen silent; ``span`` comes from
    the past alone.
    """

    name: str
    length: int
    span: int
    final: int | None
    own: DayScores
    bar: DayScores

    def until(self, day: int) -> _Part:
        """Return it without the periods that end after `day`."""
        kept = self.own.day + self.length - 1 <= day
        own, bar = (DayScores(days.day[kept], days.score[kept]) for days in (self.own, self.bar))
        return _Part(self.name, self.length, self.span, self.final, own, bar)


def evidence_of(
    subject: Contender,
    bar: Contender,
    *,
    topic: Topic,
    uri: str,
    root: str | None = None,
    born_us: int,
    until_day: int | None = None,
    sandbox: Jail,
    limits: Limits | None = None,
    panels: Path | None = None,
    cache: Path | None = None,
    note: Note = lambda _: None,
) -> Evidence | None:
    """Return the evidence for a block, against what it had to beat at its screen, here and on undeclared groups.

    On the declared panel and on every group of :func:`validator.groups.live_groups` both are fitted once, on rows
    before the block's day under the purge and embargo of every split, and asked for the days after it, so that neither
    saw any of them and none was chosen for them. That is at most nine fits for each of the two.

    Two versions of a dataset with the same rows before the end of the block's day and the same later rows as far as
    both reach give the same evidence on every day that both have. A day counts when no slice can change it any more:
    a group that lags behind is waited for until it has been without a bar for :data:`PATIENCE_DAYS`. What cannot be
    promised: agreement with a dataset whose history begins elsewhere (other rows are fitted on), or that got rows of a
    group more than that late.

    Parameters
    ----------
    subject, bar : Contender
        The block's pipeline, whose name (the block hash) salts the choice of groups; the bar its verdict names.
    topic : Topic
    uri : str
        Dataset that has grown since.
    root : str, optional
        Its version; default ``HEAD``.
    born_us : int
        Time of the block, microseconds since 1970 UTC. Evidence begins with the next UTC day.
    until_day : int, optional
        Last day to count, so that validators whose data reach further agree; days since 1970-01-01 UTC.
    sandbox, limits, panels, cache, note
        As for :func:`validator.judging.score_module`. Panels of groups are not kept, the scores are, in `cache`.

    Returns
    -------
    Evidence or None
        None while no day after the block's own is finished, or the data do not reach beyond `until_day`.

    Raises
    ------
    DataError
        The dataset cannot be used, or has too little of the topic's own panel before the block to fit on.
    ReplayFailedError
        One of the two does not answer.
    """
    dataset = Dataset.open(uri, root)
    born_day = born_us // DAY_US
    asked = [[one.name, one.text, one.seed] for one in (subject, bar)]
    facts = [RULES_VERSION, dataset.known_root, topic.to_dict(), born_day, asked, fingerprint(), library_versions()]
    key = hashlib.sha256(json.dumps(["live", *facts], sort_keys=True).encode()).hexdigest()
    parts = _remembered(cache, key)
    if not parts:
        replays = Replays(sandbox, limits or Limits(), cache, note)
        parts = list(
            _parts((subject, bar), dataset, topic, born_day, replays=replays, panels=panels or panels_folder())
        )
        if not parts:
            return None
        _remember(cache, key, parts)
    reached = min(part.final for part in parts if part.final is not None)
    if until_day is not None and reached < until_day:
        return None
    last = reached if until_day is None else until_day
    counted = [part for part in (part.until(last) for part in parts) if part.own.day.size]
    if not counted:
        return None
    d = differential({part.name: part.own for part in counted}, {part.name: part.bar for part in counted})
    path = e_process(d.day, d.score, span_days=max(part.span for part in parts))
    covered = max(int(part.own.day[-1]) + part.length - 1 for part in counted)
    names = tuple(part.name for part in counted)
    return Evidence(rounded(path.last), d.day.size, int(d.day[0]), covered, names, rounded(d.mean), path)


def _parts(
    pair: tuple[Contender, Contender], dataset: Dataset, topic: Topic, born_day: int, *, replays: Replays, panels: Path
) -> Iterator[_Part]:
    """Yield subject and bar on the declared panel, then on the groups; nothing before the former has a row to ask about."""
    replays.note(f"reading the panel of {topic.name}")
    panel = checked_panel(dataset, topic, panels)
    columns = np.arange(len(panel.feature_names))
    one = _live_slice(DECLARED, panel_key(dataset.known_root, topic), panel, columns, born_day)
    if one.test[0] == panel.time.size:
        return
    final = int(panel.time[-1]) // DAY_US - 1
    yield _part(pair, one, final, born_day, replays)
    keys = dataset.read_keys()
    times = times_of(keys)
    for group in groups_before(keys, topic, (born_day + 1) * DAY_US, pair[0].name):
        replays.note(f"reading the group {group.name}")
        like = group.topic(topic)
        try:
            other = panel_of(dataset, like)
            columns = columns_like(panel, other)
            one = _live_slice(group.name, panel_key(dataset.known_root, like), other, columns, born_day)
        except DataError:  # too little to fit on, or other columns: the summaries could not show it
            continue
        grid = np.unique(np.concatenate([times[group.type, group.broker, symbol] for symbol in group.symbols]))
        yield _part(pair, one, _final(grid, topic.horizon, final), born_day, replays)


def groups_before(keys: pa.Table, topic: Topic, start_us: int, salt: str) -> tuple[Group, ...]:
    """Return the groups for live evidence from `start_us` on, chosen from the rows before it.

    Parameters
    ----------
    keys : pyarrow.Table
        Key columns of all rows, sorted. Later rows do not matter.
    topic : Topic
    start_us : int
        Microseconds since 1970 UTC. Undeclared series that ended :data:`PATIENCE_DAYS` before it are left out.
    salt : str
        Block hash.
    """
    past = keys.filter(pc.less(keys["datetime"], pa.scalar(start_us, pa.timestamp("us", "UTC"))))
    oldest = start_us - PATIENCE_DAYS * DAY_US
    series = [one for one in summaries(past) if is_declared(one, topic) or to_micros(one.last) >= oldest]
    return live_groups(series, topic, salt)


def _part(pair: tuple[Contender, Contender], one: Slice, final: int | None, born_day: int, replays: Replays) -> _Part:
    panel, weekly = one.panel, len(one.panel.symbols) < PANEL_MIN
    span = target_span_days(panel.time[: one.train[-1] + 1], panel.horizon, panel.interval, weekly=weekly)
    scores = [DayScores(np.empty(0, np.int64), np.empty(0))] * 2
    if one.test[0] < one.test[1]:
        scores = [scores_of([one], [replays.forecast(contender, one)]) for contender in pair]
        # A week may have begun before the block.
        scores = [DayScores(days.day[days.day > born_day], days.score[days.day > born_day]) for days in scores]
    return _Part(one.group, WEEK if weekly else 1, span, final, *scores)


def _live_slice(group: str, key: str, panel: Panel, columns: NDArray[np.int64], born_day: int) -> Slice:
    """Return the slice that begins after the block's day; its test is empty before there is such a row."""
    grid, first = np.unique(panel.time, return_index=True)
    start = int(np.searchsorted(grid, (born_day + 1) * DAY_US))
    end = start - (panel.horizon + 1 + max(panel.horizon, MIN_EMBARGO))
    if end < max(panel.horizon + 2, MIN_BLOCK):
        raise DataError(
            f"evidence on {group}: {start} timestamps before the block's day are too few to fit on; use a dataset that reaches "
            "further back"
        )
    row = np.append(first, panel.time.size)
    return slice_of(group, key, panel, columns, Fold((0, int(row[end])), (int(row[start]), panel.time.size)))


def _final(grid: NDArray[np.int64], horizon: int, declared: int) -> int | None:
    """Return the last day of a group that more data cannot change; None if it has been silent for too long.

    Parameters
    ----------
    grid : (g,) int64
        Bar opens of its panel.
    horizon : int
    declared : int
        The same day of the declared panel, by which silence is measured.
    """
    if declared - int(grid[-1]) // DAY_US > PATIENCE_DAYS:
        return None
    # The last bar whose target is known; no target spans a hole, so what lies before one is final.
    resumed = np.flatnonzero(np.diff(grid) > MAX_CLOSURE_US) + 1
    settled = np.append(resumed[-1:], max(grid.size - horizon - 2, 0)).max()
    return int(grid[settled]) // DAY_US - 1


def _remember(cache: Path | None, key: str, parts: Sequence[_Part]) -> None:
    if cache is None:
        return
    arrays: Mapping[str, NDArray[np.float64] | NDArray[np.int64]] = {
        "day": np.concatenate([part.own.day for part in parts]),
        "own": np.concatenate([part.own.score for part in parts]),
        "bar": np.concatenate([part.bar.score for part in parts]),
    }
    facts = [[part.name, part.length, part.span, part.final, part.own.day.size] for part in parts]
    if arrays["day"].size:
        write_entry(cache, key, arrays, {"parts": facts})


def _remembered(cache: Path | None, key: str) -> list[_Part]:
    entry = open_entry(cache, key) if cache else None
    if entry is None:
        return []
    arrays, facts = entry
    parts, at = [], 0
    for name, length, span, final, size in facts["parts"]:
        day, own, bar = (np.array(arrays[column][at : at + size]) for column in ("day", "own", "bar"))
        parts.append(_Part(name, length, span, final, DayScores(day, own), DayScores(day, bar)))
        at += size
    return parts
