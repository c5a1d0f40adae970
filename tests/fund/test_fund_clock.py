"""What is due when: live clocks that are set and sped up, and replays that jump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fund.clock import MAX_PAUSE_S, Clock, LiveClock, ReplayClock
from protocol.errors import ConfigError, RefusedError
from protocol.head.schedule import PERIOD_S, Period, Turn

NOW = 1_700_000_400  # a multiple of 600
HERE = Period.at(NOW)
NOTHING = range(0)


def live(now: float, **shared: float) -> LiveClock:
    return LiveClock(wall=lambda: now, **shared)


def test_a_head_is_due_once_a_period() -> None:
    assert live(NOW + 599.9).due(None) == Turn(HERE, NOTHING, NOTHING)
    assert live(NOW + 599.9).due(HERE) == Turn(None, NOTHING, NOTHING)
    assert live(NOW + 600).due(HERE) == Turn(Period(HERE.number + 1), NOTHING, NOTHING)


def test_what_nobody_made_is_missed_live() -> None:
    turn = live(NOW + 3 * PERIOD_S).due(HERE)
    assert (turn.period, list(turn.missed), turn.carried) == (
        Period(HERE.number + 3),
        [HERE.number + 1, HERE.number + 2],
        NOTHING,
    )


def test_a_clock_that_was_set_back_waits_and_says_by_how_much() -> None:
    back = live(NOW - 3_600.5)
    assert back.due(HERE) == Turn(None, NOTHING, NOTHING)
    assert back.behind(HERE) == 3_601
    assert back.pause(HERE) == MAX_PAUSE_S
    assert live(NOW).behind(HERE) == live(NOW + 9e6).behind(HERE) == back.behind(None) == 0
    with pytest.raises(RefusedError, match="time of a HEAD"):
        live(-5).due(None)


def test_a_pause_ends_with_the_period_and_is_never_long() -> None:
    assert live(NOW + 597.5).pause(HERE) == 2.5
    assert live(NOW).pause(HERE) == MAX_PAUSE_S
    assert live(NOW + 700).pause(HERE) == live(NOW).pause(None) == 0
    assert live(1_000.0, rate=100.0, began=1_000.0, origin=NOW + 500.0).pause(HERE) == 1.0


def test_processes_that_share_three_numbers_share_a_clock_and_it_goes_on_after_a_stop() -> None:
    shared = {"rate": 60.0, "began": 5_000.0, "origin": float(NOW)}
    assert live(5_010.0, **shared).time() == NOW + 600
    turn = live(5_010.0, **shared).due(HERE)
    assert turn.period == Period(HERE.number + 1)
    stopped = live(5_010.0, **shared).time()
    again = live(9_001.0, rate=60.0, began=9_000.0, origin=stopped)
    assert again.time() == NOW + 660
    assert again.due(turn.period).period is None


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clock_that_does_not_go_forward_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="positive rate"):
        LiveClock(rate=rate)


def test_the_wall_is_the_default() -> None:
    clock: Clock = LiveClock()
    assert clock.time() > NOW


def test_a_replay_jumps_from_bar_to_bar_and_carries_what_is_between() -> None:
    clock = ReplayClock([NOW, NOW + 3_600, NOW + 3_700, NOW + 7_200])
    assert clock.time() == NOW
    seen, last = [], None
    while (turn := clock.due(last)) is not None:
        assert turn.period is not None
        assert not turn.missed
        seen.append((clock.time() - NOW, len(turn.carried), clock.left(last)))
        last = turn.period
        assert clock.pause(last) == 0
    assert seen == [(0, 0, 3), (3_600, 5, 2), (7_200, 5, 1)]
    assert clock.left(last) == 0
    assert clock.time() == NOW + 7_200


def test_a_replay_that_was_stopped_goes_on_after_its_last_head() -> None:
    clock = ReplayClock(range(NOW, NOW + 86_400, 3_600))
    turn = clock.due(Period.at(NOW + 36_000))
    assert turn is not None
    assert (turn.period, len(turn.carried)) == (Period.at(NOW + 39_600), 5)
    assert clock.due(Period.at(NOW + 10**6)) is None
    assert ReplayClock([]).due(None) is None


@pytest.mark.parametrize("times", [[5, 5], [5, 4], [1.0], [True], [-1]])
def test_times_of_a_replay_ascend(times: list[int]) -> None:
    with pytest.raises(ConfigError, match="replay"):
        ReplayClock(times)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=30, unique=True).map(sorted), st.booleans())
def test_every_period_is_made_missed_or_carried_and_only_one_of_them(times: list[int], replay: bool) -> None:
    """Whatever the clock does, live or in a replay."""
    now = 0.0
    clock: Clock = ReplayClock(times) if replay else LiveClock(wall=lambda: now)
    last, made, gaps = None, [], []
    for time in times:
        now = float(time)
        turn = clock.due(last)
        if turn is None or turn.period is None:
            continue
        made.append(turn.period.number)
        gaps += [*turn.missed, *turn.carried]
        assert NOTHING in (turn.missed, turn.carried)
        last = turn.period
    assert sorted(made + gaps) == list(range(made[0], made[-1] + 1))
    assert made == sorted({time // PERIOD_S for time in times})
