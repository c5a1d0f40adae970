from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RefusedError
from protocol.head.schedule import MAX_TIME, PERIOD_S, STALE_S, Period, turn


def test_periods_are_ten_minutes_of_unix_time() -> None:
    assert PERIOD_S == 600
    period = Period.at(1_700_000_399)
    assert period == Period(2_833_333)
    assert (period.start, period.end) == (1_699_999_800, 1_700_000_400)
    assert Period.at(period.start) == Period.at(period.end - 1) == period < Period.at(period.end)


def test_age_and_staleness() -> None:
    period = Period(10)
    assert [period.age(time) for time in (6_000, 6_599, 5_990)] == [0, 599, -10]
    assert not period.stale(6_000 + STALE_S - 1)
    assert period.stale(6_000 + STALE_S)


def test_the_first_head_misses_nothing() -> None:
    assert turn(None, 6_123).period == Period(10)
    assert not turn(None, 6_123).missed


def test_one_head_per_period() -> None:
    assert turn(Period(10), 6_599).period is None
    assert turn(Period(10), 6_600) == turn(Period(10), 7_199)
    assert turn(Period(10), 6_600).period == Period(11)
    assert not turn(Period(10), 6_600).missed


def test_a_clock_that_jumps_forward_misses_periods_by_name() -> None:
    due = turn(Period(10), 9_000)
    assert due.period == Period(15)
    assert list(due.missed) == [11, 12, 13, 14]
    assert not due.carried
    assert len(turn(Period(0), MAX_TIME).missed) == MAX_TIME // PERIOD_S - 1  # in constant time and memory


def test_a_replay_carries_them_instead() -> None:
    due = turn(Period(10), 9_000, replay=True)
    assert (due.period, list(due.carried), list(due.missed)) == (Period(15), [11, 12, 13, 14], [])


def test_a_clock_that_jumps_back_is_refused_until_it_has_caught_up() -> None:
    with pytest.raises(RefusedError, match="1 s before period 10"):
        turn(Period(10), 5_999)
    assert turn(Period(10), 6_000).period is None


@pytest.mark.parametrize("time", [-1, MAX_TIME + 1, 1.5, True, None])
def test_no_time_at_all(time: int) -> None:
    with pytest.raises(RefusedError, match="time of a HEAD"):
        turn(None, time)


@given(st.lists(st.integers(0, 100_000), max_size=30), st.booleans())
def test_every_period_is_made_missed_or_carried_once_and_none_is_invented(clock: list[int], replay: bool) -> None:
    last: Period | None = None
    seen: list[int] = []
    latest = 0
    for time in clock:
        try:
            due = turn(last, time, replay=replay)
        except RefusedError:
            assert last is not None
            assert time < last.start
            continue
        latest = max(latest, time)
        assert not (due.missed and due.carried)
        if due.period is None:
            assert not due.missed
            assert not due.carried
            continue
        seen += [*due.missed, *due.carried, due.period.number]
        last = due.period
    assert seen == list(range(seen[0], seen[0] + len(seen))) if seen else last is None
    assert all(number * PERIOD_S <= latest for number in seen)
