"""Evidence on days that did not exist when a block was made: what crowns a model, or drops it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.checked import checked_panel
from data.dataset import Dataset
from data.panel import Panel, panel_key
from data.panel_store import panels_folder
from data.splits import MIN_EMBARGO, Fold
from protocol.errors import DataError
from protocol.evidence import EPath, e_process, target_span_days
from protocol.generality import differential
from protocol.rounding import rounded
from protocol.scores import DAY_US, DayScores
from protocol.topics import Topic
from validator.course import DECLARED, Note, Slice, is_weekly, scores_of, slice_of
from validator.evaluation import Contender, Jail, Replays
from validator.sandbox.policy import Limits

WEEK = 7


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
        Of those, days since 1970-01-01 UTC.
    mean : float
        Of the daily differential, rounded to six decimals.
    path : EPath
        Its course over time.
    """

    log_e: float
    days: int
    first_day: int
    last_day: int
    mean: float
    path: EPath

    @property
    def log_e_micro(self) -> int:
        """Millionths of a nat, as the ledger has them."""
        return round(self.log_e * 1_000_000)


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
    """Return the evidence for a block on the topic's own panel, against what it had to beat at its screen.

    Both are fitted once, on rows before the block's day under the purge and embargo of every split, and asked for the
    days after it, so that neither saw any of them and none was chosen for them.

    Parameters
    ----------
    subject, bar : Contender
        The block's pipeline; the bar its verdict names.
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
        As for :func:`validator.judging.score_module`.

    Returns
    -------
    Evidence or None
        None while no day after the block's own is finished, or the data do not reach beyond `until_day`.

    Raises
    ------
    DataError
        The dataset cannot be used, or has too little before the block to fit on.
    ReplayFailedError
        One of the two does not answer.
    """
    dataset = Dataset.open(uri, root)
    note(f"reading the panel of {topic.name}")
    panel = checked_panel(dataset, topic, panels or panels_folder())
    born_day = born_us // DAY_US
    one = _live_slice(panel, panel_key(dataset.known_root, topic), topic, born_day)
    if one is None:
        return None
    weekly = is_weekly(one)
    # From the past alone, so that it stays the same however far the data reach.
    span = target_span_days(panel.time[: one.train[-1] + 1], topic.horizon, panel.interval, weekly=weekly)
    replays = Replays(sandbox, limits or Limits(), cache, note)
    own, other = (
        _finished(scores_of([one], [replays.forecast(contender, one)]), born_day, until_day, weekly=weekly)
        for contender in (subject, bar)
    )
    d = differential({DECLARED: own}, {DECLARED: other}) if own.day.size else own
    reached = int(panel.time[-1]) // DAY_US - 1
    if not d.day.size or (until_day is not None and reached < until_day):
        return None
    path = e_process(d.day, d.score, span_days=span)
    first, last = int(d.day[0]), int(d.day[-1])
    return Evidence(rounded(path.last), d.day.size, first, last, rounded(d.mean), path)


def _live_slice(panel: Panel, key: str, topic: Topic, born_day: int) -> Slice | None:
    """Return the slice that begins after the block's day; None before there is such a row."""
    grid, first = np.unique(panel.time, return_index=True)
    start = int(np.searchsorted(grid, (born_day + 1) * DAY_US))
    if start == grid.size:
        return None
    end = start - (topic.horizon + 1 + max(topic.horizon, MIN_EMBARGO))
    if end < topic.horizon + 2:
        raise DataError(
            f"topic {topic.name!r}: {start} timestamps before the block's day are too few to fit on; use a dataset that "
            "reaches further back"
        )
    columns = np.arange(len(panel.feature_names))
    return slice_of(DECLARED, key, panel, columns, Fold((0, int(first[end])), (int(first[start]), panel.time.size)))


def _finished(days: DayScores, born_day: int, until_day: int | None, *, weekly: bool) -> DayScores:
    """Return the periods that began after the block's day and are over: the last one may still grow."""
    length = WEEK if weekly else 1
    kept = (days.day > born_day) & (days.day < days.day[-1])
    if until_day is not None:
        kept &= days.day + length - 1 <= until_day
    return DayScores(days.day[kept], days.score[kept])
