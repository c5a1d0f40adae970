"""How contenders do on the undeclared groups, which of them is the bar, and whether a newcomer clears it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.bootstrap import MeanTest, block_bootstrap_test, expected_block
from protocol.evidence import target_span_days
from protocol.generality import Generality, differential, generalized
from protocol.rounding import rounded
from protocol.scores import DayScores
from validator.course import Course, Slice, is_weekly, scores_of
from validator.evaluation import Contender, ReplayFailedError, Replays, baselines
from validator.record import Record


@dataclass(frozen=True, slots=True)
class Standing:
    """A contender's day scores.

    Attributes
    ----------
    contender : Contender
    declared : DayScores
        On the declared slice.
    groups : mapping of group to DayScores
    """

    contender: Contender
    declared: DayScores
    groups: Mapping[str, DayScores]

    @property
    def generality(self) -> Generality:
        """Of the groups' means, rounded as they are compared."""
        return generalized([rounded(days.mean) for days in self.groups.values()])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        general = self.generality
        return {
            "name": self.contender.name,
            "specific": rounded(self.declared.mean),
            "generalized": rounded(general.value),
            "mean": rounded(general.mean),
            "sd": rounded(general.sd),
            "share_not_negative": rounded(general.share_not_negative),
            "groups": [rounded(days.mean) for days in self.groups.values()],
        }


def standing_of(contender: Contender, course: Course, replays: Replays, *, recurs: bool = True) -> Standing:
    """Run a contender along the whole course.

    Raises
    ------
    ReplayFailedError
        It does not answer somewhere.
    """
    declared = scores_of([course.declared], [replays.forecast(contender, course.declared, recurs=recurs)])
    return Standing(contender, declared, replays.group_scores(contender, course, recurs=recurs))


def standings(record: Record, course: Course, replays: Replays) -> tuple[list[Standing], list[Standing]]:
    """Return how the record's models, oldest first, and the baselines stand; a model that fails here stands no more."""
    models = []
    for known in record.models:
        try:
            models.append(standing_of(known.contender, course, replays))
        except ReplayFailedError as error:
            replays.note(f"recorded model {known.block_hash[:12]} does not answer here: {error.detail}")
    return models, [standing_of(contender, course, replays) for contender in baselines()]


def bar_of(models: Iterable[Standing], others: Iterable[Standing]) -> Standing:
    """Return what is to be beaten: the most general model of the record, the oldest of equals; else the best baseline."""
    return max(list(models) or list(others), key=lambda standing: rounded(standing.generality.value))


def screen(own: Standing, bar: Standing, course: Course) -> tuple[MeanTest, float]:
    """Test whether a newcomer's daily advantage over the bar, averaged over the groups, is above zero.

    Returns
    -------
    MeanTest, float
        And the expected block length of its bootstrap, in days.
    """
    d = differential(own.groups, bar.groups)
    block = expected_block(d.day, max(span_of(slices, course.topic.horizon) for _, slices in course.groups))
    return block_bootstrap_test(d.score, block), block


def span_of(slices: Iterable[Slice], horizon: int) -> int:
    """Return how many days a target of these test rows reaches beyond its own."""
    parts = list(slices)
    panel = parts[0].panel
    time = np.concatenate([panel.time[slice(*one.test)] for one in parts])
    return target_span_days(time, horizon, panel.interval, weekly=is_weekly(parts[0]))
