"""Outcomes: the scores that follow from fold statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.outcome import MACHINE_DEPENDENT, STATUSES, Outcome

folds = st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=8), min_size=1, max_size=5)


def outcome_of(parts: list[list[float]], status: str = "ok") -> Outcome:
    deviations = tuple(float(np.std(part, ddof=1)) if len(part) > 1 else 0.0 for part in parts)
    means = tuple(float(np.mean(part)) for part in parts)
    return Outcome(0, status, means, deviations, tuple(map(len, parts)))  # type: ignore[arg-type]  # one of the literals


@given(folds)
def test_the_pooled_sharpe_is_that_of_all_days(parts: list[list[float]]) -> None:
    days = np.concatenate([np.array(part) for part in parts])
    sharpe = outcome_of(parts).daily_sharpe
    if days.size < 2:
        assert math.isnan(sharpe)
    elif np.std(days, ddof=1) > 1e-6:
        assert sharpe == pytest.approx(days.mean() / days.std(ddof=1), rel=1e-6, abs=1e-9)


@given(folds)
def test_the_score_is_the_mean_of_the_fold_means(parts: list[list[float]]) -> None:
    assert outcome_of(parts).score == pytest.approx(np.mean([np.mean(part) for part in parts]), abs=1e-12)


def test_a_constant_series_has_no_sharpe() -> None:
    assert outcome_of([[0.0, 0.0], [0.0]]).daily_sharpe == 0.0


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"ok"}))
def test_only_full_evaluations_have_a_score(status: str) -> None:
    outcome = outcome_of([[0.1, 0.2], [0.3, 0.1]], status)
    assert math.isnan(outcome.score)
    assert math.isnan(outcome.daily_sharpe)


def test_what_the_machine_decides_is_listed() -> None:
    assert set(STATUSES) - MACHINE_DEPENDENT == {"ok", "pruned", "failed", "not-finite"}
