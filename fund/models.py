"""Asking the models of a topic what they think of a bar, in the jail.

A model is fitted once per period (a day, unless told otherwise) on what was knowable before the period's first bar, under
the purge and embargo of every split, and asked bar by bar: the jail releases one timestamp at a time and there are no
labels in it, so an answer depends on the rows before the period and those from its start to the bar itself. No fitted model
is kept: each question fits anew. Seeds make that the same model, and answers are remembered by what they depend on.

In a replay a whole period is asked at once (`ahead`), which saves fits and changes no answer: a bar's answer is a prefix of
the period's. Only a model that fails somewhere in the period is asked again bar by bar, so that it speaks until it fails, as
it would have live.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.schema import DAY_US
from data.splits import MAX_TRAIN_ROWS, MIN_BLOCK, MIN_EMBARGO, thin
from fund.rows import Rows
from fund.topic_state import Answers
from protocol.errors import ConfigError, DataError
from protocol.scores import gaussian_rank
from validator.course import Slice
from validator.evaluation import Contender, ReplayFailedError, Replays

SLICE = "fund"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Model:
    """A model block that speaks for a topic.

    Attributes
    ----------
    block_hash : str
        64 hex digits.
    text : str
        Canonical text with all seeds set, as :func:`validator.record.contender_of` gives it.
    seed : int
    weight : float
        Prior weight from its standing, in [0, 1]; crowned is 1.
    """

    block_hash: str
    text: str
    seed: int
    weight: float = 1.0

    @property
    def contender(self) -> Contender:
        """Return it as the jail's callers know it."""
        return Contender(self.block_hash, self.text, self.seed)


class Ahead(NamedTuple):
    """What a model says in a period: its number, its first row in the panel, and an answer for each row from there."""

    period: int
    first: int
    answers: Floats


@dataclass(slots=True)
class Questions:
    """Asks models about the rows of one version of a dataset.

    Attributes
    ----------
    rows : Rows
    key : str
        Names the rows: :func:`data.panel.panel_key` of content root and topic.
    replays : Replays
        The jail, its limits, and the memory of answers.
    refit_us : int
        Length of a period, microseconds; periods are counted from 1970, so that every restart and validator has the same.
    """

    rows: Rows
    key: str
    replays: Replays
    refit_us: int = DAY_US
    _broken: set[tuple[str, int]] = field(default_factory=set)  # models that fail somewhere in a period asked ahead
    _ahead: dict[Contender, Ahead] = field(default_factory=dict)  # of each the last period asked ahead

    def __post_init__(self) -> None:
        if self.refit_us < self.rows.panel.interval:
            raise ConfigError(
                f"a refit every {self.refit_us} µs is more often than bars of {self.rows.panel.interval} µs"
            )

    def answers(self, models: Sequence[Model], time: int, *, ahead: bool = False) -> Answers:
        """Return what the models say of the cross-section of a bar, gaussianised among its symbols.

        Parameters
        ----------
        models : sequence of Model
            Each block once; those of weight 0 are not asked.
        time : int
            Open of the bar, microseconds since 1970 UTC; its answers are known at its close plus the time of a fit.
        ahead : bool
            Ask the rest of the period too, for the questions to come; the answers of this bar are the same.

        Returns
        -------
        Answers
            Whoever reaches a limit, fails or answers with something that is not a number is among `failed`.

        Raises
        ------
        DataError
            The bar has no cross-section, or too little lies before its period to fit on.
        ClusterError, ConfigError
            The jail cannot be had.
        """
        symbols = self.rows.symbols_at(time)
        if not symbols:
            raise DataError(f"bar {time} has no cross-section with features; ask one of those in `Rows.times`")
        values: dict[str, Floats] = {}
        failed: dict[str, str] = {}
        for model in models:
            if model.weight <= 0:
                continue
            try:
                said = self._answer(model.contender, time, ahead)
            except ReplayFailedError as error:
                failed[model.block_hash] = error.detail
            else:
                values[model.block_hash] = gaussian_rank(said, np.zeros(said.size, dtype=np.int64))
        standing = {model.block_hash: model.weight for model in models}
        return Answers(time, symbols, values, standing, failed, self.rows.regime_at(time))

    def question(self, time: int, *, ahead: bool = False) -> Slice:
        """Return what is fitted on and asked for a bar: the rows from its period's start to the bar, or to the period's end.

        Raises
        ------
        DataError
            Too little lies before the period to fit on.
        """
        panel, period = self.rows.panel, time // self.refit_us
        grid = self.rows.times
        start = int(np.searchsorted(grid, period * self.refit_us))
        end = start - (panel.horizon + 1 + max(panel.horizon, MIN_EMBARGO))
        finished = np.flatnonzero(~np.isnan(panel.label))
        count = int(np.searchsorted(panel.time[finished], grid[max(end, 0)]))
        if end < MIN_BLOCK or not count:
            raise DataError(
                f"{start} timestamps before {grid[start]} are too few to fit on; begin later or use more data"
            )
        last = (period + 1) * self.refit_us if ahead else time + 1
        first, stop = np.searchsorted(panel.time, [grid[start], last]).tolist()
        rows = finished[thin(panel.time[finished], (0, count), MAX_TRAIN_ROWS)]
        names = [self.key, list(panel.feature_names), int(rows[0]), int(rows[-1]), first, stop, MAX_TRAIN_ROWS]
        key = hashlib.sha256(json.dumps([SLICE, *names]).encode()).hexdigest()
        return Slice(SLICE, key, panel, np.arange(len(panel.feature_names)), rows, (first, stop))

    def _answer(self, contender: Contender, time: int, ahead: bool) -> Floats:
        where = self.rows.at(time)
        period = contender.name, time // self.refit_us
        if ahead and period not in self._broken:
            try:
                said = self._period(contender, time)
            except ReplayFailedError:
                self._broken.add(period)
            else:
                return said.answers[where.start - said.first : where.stop - said.first]
        return self.replays.forecast(contender, self.question(time))[where.start - where.stop :]

    def _period(self, contender: Contender, time: int) -> Ahead:
        """Return the answers of the whole period of a bar; they are looked up once, not at each of its bars."""
        number = time // self.refit_us
        said = self._ahead.get(contender)
        if said is None or said.period != number:
            question = self.question(time, ahead=True)
            said = Ahead(number, question.test[0], self.replays.forecast(contender, question))
            self._ahead[contender] = said
        return said
