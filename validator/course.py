"""The course of a topic: the slices of one version of a dataset that every contender is fitted and asked on.

A slice is one fit and one question: training rows, whose targets are all known before the first test row, and the test
rows after purge and embargo. The declared slice is the last 20 % of the topic's own panel; every undeclared group has
two. A course is a function of the content root and the topic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.checked import checked_panel
from data.dataset import Dataset
from data.manifest import to_iso
from data.panel import Panel, PanelError, panel_key, panel_of
from data.splits import MAX_TRAIN_ROWS, Fold, thin, walk_forward
from protocol.errors import DataError
from protocol.scores import DAY_US, PANEL_MIN, DayScores, day_scores
from protocol.topics import Topic
from validator.groups import Group, choose_groups
from validator.sandbox.job import Job
from validator.sandbox.policy import Limits

DECLARED = "declared"
GROUP_HOLDOUT = 0.25  # of a group's timestamps, for the second of its two folds
GROUP_BARS = 8_000  # most recent timestamps of a group that are used: a question is asked per timestamp

Vector = NDArray[np.float64]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Slice:
    """One fit and one question.

    Attributes
    ----------
    group : str
        ``declared`` or the name of a group.
    key : str
        sha256 that names its rows, columns and thinning.
    panel : Panel
    columns : (f,) int64
        Features of the panel that contenders see, in the order of the declared panel.
    train : (m,) int64
        Rows to fit on, thinned to :data:`~data.splits.MAX_TRAIN_ROWS` by whole timestamps.
    test : (int, int)
        Rows [a, b) to predict.
    """

    group: str
    key: str
    panel: Panel
    columns: NDArray[np.int64]
    train: NDArray[np.int64]
    test: tuple[int, int]

    def job(self, text: str, seed: int, limits: Limits) -> Job:
        """Return what goes to the jail: test rows in batches of one timestamp, and no test label."""
        part = slice(*self.test)
        time = self.panel.time[part]
        starts = np.flatnonzero(np.diff(time, prepend=time[0] - 1)).tolist()
        return Job(
            text=text,
            seed=seed,
            train=np.ascontiguousarray(self.panel.features[self.train][:, self.columns]),
            label=np.array(self.panel.label[self.train]),
            test=np.ascontiguousarray(self.panel.features[part][:, self.columns]),
            batches=list(zip(starts, [*starts[1:], time.size], strict=True)),
            limits=limits,
        )


@dataclass(frozen=True, slots=True)
class Course:
    """All slices of a topic in one version of a dataset.

    Attributes
    ----------
    topic : Topic
    root : str
        Content root.
    declared : Slice
    groups : tuple of (Group, tuple of Slice)
    """

    topic: Topic
    root: str
    declared: Slice
    groups: tuple[tuple[Group, tuple[Slice, ...]], ...]

    @property
    def rows(self) -> int:
        """Predictions that a contender is asked for."""
        return sum(b - a for a, b in (one.test for one in self.slices))

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The declared slice, then those of the groups."""
        return (self.declared, *(one for _, slices in self.groups for one in slices))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: what was scored on what."""
        return {
            "root": self.root,
            "features": [self.declared.panel.feature_names[column] for column in self.declared.columns],
            "declared": _shown([self.declared]),
            "groups": [{**group.to_dict(), **_shown(slices)} for group, slices in self.groups],
        }


def lay_course(dataset: Dataset, topic: Topic, panels: Path, note: Note = lambda _: None) -> Course:
    """Read the panels of a topic and of its undeclared groups, and cut them into slices.

    A group whose panel cannot be made, or lacks a column of the declared panel, is left out and the choice repeated
    without its series.

    Parameters
    ----------
    dataset : Dataset
    topic : Topic
    panels : Path
        Panel cache.
    note : callable
        Told what is being done.

    Raises
    ------
    DataError
        The dataset breaks the format or is too small for the topic, its split, or six groups.
    """
    note(f"reading the panel of {topic.name}")
    panel = checked_panel(dataset, topic, panels)
    split = walk_forward(panel.time, horizon=topic.horizon, n_folds=1)
    key = panel_key(dataset.known_root, topic)
    columns = np.arange(len(panel.feature_names))
    declared = slice_of(DECLARED, key, panel, columns, split.holdout)
    series = dataset.series()
    laid: dict[str, tuple[Slice, ...] | None] = {}
    while True:
        groups = choose_groups(series, topic, dataset.known_root)
        for group in groups:
            if group.name not in laid:
                note(f"reading the group {group.name}")
                laid[group.name] = _group_slices(dataset, group, topic, panel, panels)
        bad = {(one.type, one.broker, name) for one in groups if laid[one.name] is None for name in one.symbols}
        if not bad:
            return Course(topic, dataset.known_root, declared, tuple((one, laid[one.name] or ()) for one in groups))
        series = [one for one in series if (one.type, one.broker, one.symbol) not in bad]


def scores_of(slices: Sequence[Slice], predicted: Sequence[Vector]) -> DayScores:
    """Return the day scores over the test rows of some slices of one panel, in order of time."""
    panel = slices[0].panel
    rows = np.concatenate([np.arange(*one.test) for one in slices])
    return day_scores(np.concatenate(predicted), panel.target[rows], panel.time[rows], panel.symbol[rows])


def is_weekly(one: Slice) -> bool:
    """Return whether a slice has too few symbols for daily cross-sections."""
    return np.unique(one.panel.symbol[slice(*one.test)]).size < PANEL_MIN


def columns_like(declared: Panel, panel: Panel) -> NDArray[np.int64]:
    """Return where a group's panel has the features of the declared one, in their order.

    Raises
    ------
    DataError
        It lacks one.
    """
    missing = sorted(set(declared.feature_names) - set(panel.feature_names))
    if missing:
        raise DataError(f"a panel of {', '.join(panel.symbols[:3])} … has no feature {missing[0]}; give it that column")
    return np.array([panel.feature_names.index(name) for name in declared.feature_names])


def slice_of(group: str, key: str, panel: Panel, columns: NDArray[np.int64], fold: Fold, *, offset: int = 0) -> Slice:
    """Return the slice of a fold, its training rows thinned; `key` names the panel, `offset` is the fold's row 0."""
    (a, b), (c, d) = ((first + offset, stop + offset) for first, stop in (fold.train, fold.test))
    rows = thin(panel.time, (a, b), MAX_TRAIN_ROWS)
    parts = [key, [panel.feature_names[column] for column in columns], a, b, c, d, MAX_TRAIN_ROWS]
    return Slice(group, hashlib.sha256(json.dumps(parts).encode()).hexdigest(), panel, columns, rows, (c, d))


def _group_slices(
    dataset: Dataset, group: Group, topic: Topic, declared: Panel, panels: Path
) -> tuple[Slice, ...] | None:
    """Return the two slices of a group; None when its series cannot carry them.

    The most recent part is used: no more timestamps than :data:`GROUP_BARS`, and no longer than the declared panel, so
    that a group with a long history does not outweigh the others in the daily differential.
    """
    like = group.topic(topic)
    try:
        panel = panel_of(dataset, like, panels)
    except PanelError:
        return None
    try:
        columns = columns_like(declared, panel)
        a, b = np.searchsorted(panel.time, [group.start, group.end]).tolist()
        recent = np.unique(panel.time[a:b])[-GROUP_BARS:]
        if recent.size:
            longest = declared.time[-1] - declared.time[0]
            a += int(np.searchsorted(panel.time[a:b], max(recent[0], recent[-1] - longest)))
        split = walk_forward(panel.time[a:b], horizon=topic.horizon, n_folds=1, holdout=GROUP_HOLDOUT)
        key = panel_key(dataset.known_root, like)
        folds = (*split.folds, split.holdout)
        slices = tuple(slice_of(group.name, key, panel, columns, fold, offset=a) for fold in folds)
        scores_of(slices, [np.zeros(stop - first) for first, stop in (one.test for one in slices)])
    except DataError:  # too few usable rows, or other columns: the summaries could not show it
        return None
    return slices


def _shown(slices: Sequence[Slice]) -> dict[str, Any]:
    panel = slices[0].panel
    tests = np.concatenate([np.arange(*one.test) for one in slices])
    return {
        "rows": int(tests.size),
        "fitted_on": [int(one.train.size) for one in slices],
        "names": len(np.unique(panel.symbol[tests])),
        "from": to_iso(int(panel.time[tests[0]]) // DAY_US * DAY_US),
        "to": to_iso(int(panel.time[tests[-1]]) // DAY_US * DAY_US),
    }
