"""Vesting: never more than the grant, never less than before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.vesting import Grant

TIME = st.integers(0, 3000)
GRANTS = st.builds(
    Grant,
    holder=st.just("alice"),
    amount=amounts(100, 0),
    start=st.integers(0, 1000),
    duration=st.integers(0, 1000),
    cliff=st.integers(0, 1500),
    locked_until=st.integers(0, 2500),
)


@given(GRANTS, TIME, TIME)
def test_what_is_vested_never_falls_and_never_exceeds_the_grant(grant, one, other):
    early, late = sorted((one, other))
    assert 0 <= grant.vested(early) <= grant.vested(late) <= grant.amount
    assert grant.vested(grant.start + max(grant.duration, grant.cliff)) == grant.amount


@given(GRANTS, st.lists(TIME, max_size=10))
def test_releases_add_up_to_what_is_vested_at_any_times(grant, times):
    taken, newest = 0, None
    for time in times:
        try:
            grant, amount = grant.release(time)
        except RefusedError:
            assert grant.releasable(time) == 0
            continue
        taken += amount
        newest = max(time, newest or 0)
    assert taken == grant.released == (grant.vested(newest) if newest is not None else 0)


def test_cliff_line_and_lock():
    grant = Grant("alice", 1001, start=1000, duration=400, cliff=100, locked_until=1200)
    assert [grant.vested(t) for t in (0, 999, 1000, 1099, 1100, 1200, 1399, 1400, 9999)] == [
        *(0, 0, 0, 0, 250, 500, 998, 1001, 1001)
    ]
    assert grant.releasable(1199) == 0
    with pytest.raises(RefusedError, match="alice can take nothing at 1199: 497 of 1001 wei are vested, 0 taken"):
        grant.release(1199)
    grant, first = grant.release(1200)
    grant, last = grant.release(1400)
    assert (first, last, grant.released) == (500, 501, 1001)
    with pytest.raises(RefusedError, match="1001 taken"):
        grant.release(5000)


def test_a_lock_up_is_a_grant_without_a_duration():
    lock = Grant("bob", 7, start=50, locked_until=100)
    assert [lock.releasable(t) for t in (49, 50, 99, 100)] == [0, 0, 0, 7]
    assert [Grant("bob", 7, start=50, cliff=50).vested(t) for t in (99, 100)] == [0, 7]


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 2**300])
def test_nonsense_is_refused(bad):
    for name in ("amount", "start", "duration", "cliff", "locked_until", "released"):
        with pytest.raises(ConfigError, match="of a grant is"):
            Grant("alice", **{"amount": 10, "start": 0, name: bad})
    with pytest.raises(RefusedError, match="the time is"):
        Grant("alice", 10, 0).release(bad)


def test_no_more_is_released_than_granted():
    with pytest.raises(ConfigError, match="released of a grant is 11"):
        Grant("alice", 10, 0, released=11)
