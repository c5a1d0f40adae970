"""Emission: conserved, halving, capped, and the same however the periods are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.emission import MAX_PERIOD, SCHEDULE, Schedule
from protocol.ltft.wei import WAD


@given(st.integers(0, 300), st.integers(1, 7), st.integers(0, 3000), st.integers(0, 60))
def test_the_closed_form_is_the_sum_of_the_periods(first, era, cap, periods):
    schedule, emitted = Schedule(first, era, cap), 0
    for period in range(periods):
        due = min(first >> period // era, cap - emitted)  # the rule, step by step
        assert schedule.of(period) == due
        emitted += due
        assert schedule.until(period + 1) == emitted <= cap


@given(amounts(100), st.integers(1, 10**6), amounts(110), st.lists(st.integers(0, 10**8), min_size=2, max_size=8))
def test_cutting_time_differently_changes_nothing(first, era, cap, cuts):
    schedule, cuts = Schedule(first, era, cap), sorted(cuts)
    assert sum(schedule.of(a, b) for a, b in pairwise(cuts)) == schedule.of(cuts[0], cuts[-1])
    assert schedule.until(MAX_PERIOD) <= cap


def test_the_schedule_of_the_network():
    assert SCHEDULE.of(0) == SCHEDULE.of(209_999) == 50 * WAD
    assert SCHEDULE.of(210_000) == 25 * WAD
    assert SCHEDULE.until(420_000) == 15_750_000 * WAD
    assert 0 < SCHEDULE.cap - SCHEDULE.until(MAX_PERIOD) < 10 * WAD // 10**6  # what halving whole wei leaves


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 2**300])
def test_nonsense_is_refused(bad):
    for numbers in ((bad, 1, 1), (1, bad, 1), (1, 1, bad)):
        with pytest.raises(ConfigError, match="give a whole number"):
            Schedule(*numbers)
    with pytest.raises(RefusedError, match="a period is"):
        SCHEDULE.of(0, 5) and SCHEDULE.until(bad)
    with pytest.raises(RefusedError, match="from 5 to"):
        SCHEDULE.of(5, 4)


def test_an_era_has_a_period():
    with pytest.raises(ConfigError, match="era of an emission is 0"):
        Schedule(1, 0, 1)
