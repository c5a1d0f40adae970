"""Specific, relevant and generalized: one pipeline's day scores here, lately, and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocol.errors import DataError
from protocol.rounding import rounded
from protocol.scores import DAY_US, DayScores

HALF_LIFE_DAYS = 30.0  # DESIGN "Target and scores"
WINDOW_DAYS = 90.0
SPREAD_COST = 0.5  # deviations between groups taken off their mean
MIN_GROUPS = 6
SHARE_NOT_NEGATIVE = (2, 3)  # at least 2/3 of the groups, kept as a fraction so that 4 of 6 is enough exactly


@dataclass(frozen=True, slots=True)
class Generality:
    """What a pipeline is worth on groups of series that it did not declare.

    Attributes
    ----------
    value : float
        ``mean - 0.5 sd``.
    mean, sd : float
        Over the groups' mean day scores, each group counting once; ddof 1.
    share_not_negative : float
        Share of groups whose mean, rounded to six decimals, is at least 0.
    passed : bool
        Whether that share is at least 2/3.
    """

    value: float
    mean: float
    sd: float
    share_not_negative: float
    passed: bool


def specific(days: DayScores) -> float:
    """Return the mean day score on the declared sector, broker, symbols and type, each day counting once."""
    _some(days)
    return days.mean


def relevant(days: DayScores, *, born_us: int, now_us: int) -> float | None:
    """Return the recent mean day score, with a half-life of 30 days over the last 90, of days after the block only.

    ``sum(w s) / sum(w)``, ``w = 2^(-age / 30)``, age the days from the day's 00:00 UTC to `now_us`.

    Parameters
    ----------
    days : DayScores
        Days whose targets are known at `now_us`.
    born_us, now_us : int
        Time of the pipeline's block and present time, microseconds since 1970 UTC. Days that begin before the first or
        not before the second are left out: the pipeline could have been chosen for them, or they are not over.

    Returns
    -------
    float or None
        None ("n/a") when no day is left.
    """
    start = days.day * DAY_US
    age = (now_us - start) / DAY_US
    live = (start >= born_us) & (age > 0) & (age <= WINDOW_DAYS)
    if not live.any():
        return None
    weight = np.exp2(-age[live] / HALF_LIFE_DAYS)
    return float(weight @ days.score[live] / weight.sum())


def generalized(means: Sequence[float]) -> Generality:
    """Return how well a pipeline, refitted on each, does on groups that it did not declare.

    Parameters
    ----------
    means : (g,) float
        Mean day score per group.

    Raises
    ------
    DataError
        Fewer than six groups, or a mean that is not finite.
    """
    values = np.asarray(means, dtype=np.float64)
    if values.size < MIN_GROUPS:
        raise DataError(
            f"{values.size} undeclared groups are too few to call a pipeline general; give at least {MIN_GROUPS}"
        )
    if not np.isfinite(values).all():
        raise DataError("a group's mean score is not finite; leave out groups without day scores")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    count = sum(rounded(value) >= 0 for value in values.tolist())
    part, whole = SHARE_NOT_NEGATIVE
    return Generality(
        value=mean - SPREAD_COST * sd,
        mean=mean,
        sd=sd,
        share_not_negative=count / values.size,
        passed=count * whole >= values.size * part,
    )


def differential(candidate: Mapping[str, DayScores], record: Mapping[str, DayScores]) -> DayScores:
    """Return by how much a candidate beats the record, day by day: ``d_t = mean_g (s_gt - s_gt of the record)``.

    Parameters
    ----------
    candidate, record : mapping of group to DayScores
        The same groups; days within a group ascend. With an empty record, its place is taken by the strongest
        baseline.

    Returns
    -------
    DayScores
        Days on which at least one group has both, ascending; the mean is over the groups that have both on that day.
        The scores lie in [-2, 2].

    Raises
    ------
    DataError
        The groups differ, or no group has a day that both have.
    """
    if candidate.keys() != record.keys() or not candidate:
        different = sorted(candidate.keys() ^ record.keys())
        raise DataError(f"candidate and record need the same groups, at least one; only one of them has {different}")
    days, differences = [], []
    for group, one in candidate.items():
        other = record[group]
        day, here, there = np.intersect1d(one.day, other.day, assume_unique=True, return_indices=True)
        days.append(day)
        differences.append(one.score[here] - other.score[there])
    day, place = np.unique(np.concatenate(days), return_inverse=True)
    if not day.size:
        raise DataError("candidate and record have no day in common; score both on the same rows")
    # Summed exactly, so that the order of the groups does not show in the last bits.
    columns: list[list[float]] = [[] for _ in range(day.size)]
    for at, value in zip(place.tolist(), np.concatenate(differences).tolist(), strict=True):
        columns[at].append(value)
    return DayScores(day, np.array([math.fsum(column) / len(column) for column in columns]))


def _some(days: DayScores) -> None:
    if not days.day.size:
        raise DataError("there is no scored day; widen the time range")
