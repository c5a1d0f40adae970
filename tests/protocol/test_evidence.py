"""Evidence against a gambler's account kept entry by entry, and what it must never do without skill."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import DataError
from protocol.evidence import CLIP, crown_log_e, e_process, target_span_days
from protocol.scores import DAY_US

HOUR_US = DAY_US // 24
SEEDS = st.integers(0, 2**32 - 1)


def account(x, clip):
    """Capital settled once every bet is, and free capital after each block; stakes as in the docstring's words."""
    settled, free, stakes = 1.0, [], []
    for j in range(len(x) + 1):
        if j >= 2:
            settled += stakes[j - 2] * x[j - 2]
        now = settled - (stakes[j - 1] * clip if j >= 1 else 0)
        free.append(now)
        past = x[: max(j - 1, 0)]
        bet = sum(past) / (5 * (clip / 2) ** 2 + sum(v * v for v in past))
        stakes.append(min(max(bet, 0), 0.5 / clip) * now)
    free.append(settled + (stakes[len(x) - 1] * x[-1] if len(x) else 0) - stakes[len(x)] * clip)
    return settled + stakes[len(x) - 1] * x[-1], free[2:]


@settings(deadline=None)
@given(SEEDS, st.integers(1, 60), st.sampled_from([0.15, 0.5]))
def test_the_path_is_the_free_capital_of_an_account(seed, n, clip):
    x = np.random.default_rng(seed).uniform(-clip, clip, n) + clip / 8
    path = e_process(np.arange(n), x, span_days=1, clip=clip)
    np.testing.assert_allclose(np.exp(path.log_e), account(np.clip(x, -clip, clip).tolist(), clip)[1], rtol=1e-9)
    assert path.day.tolist() == list(range(n))


@settings(deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_blocks_are_means_over_spans_of_the_calendar(seed, span):
    rng = np.random.default_rng(seed)
    day = np.flatnonzero(rng.random(90) < 0.7) + 19_000
    d = rng.normal(0.03, 0.1, day.size)
    block = day // span
    finished = [b for b in np.unique(block) if b < block[-1] or day[-1] % span == span - 1]
    path = e_process(day, d, span_days=span)
    assert path.day.tolist() == [day[block == b].max() for b in finished]
    means = [np.clip(d[block == b].mean(), -CLIP, CLIP) for b in finished]
    np.testing.assert_allclose(path.log_e, e_process(np.arange(len(means)), means, span_days=1).log_e)


@settings(deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(0, 60))
def test_later_days_change_nothing_that_was_reported(seed, span, shown):
    rng = np.random.default_rng(seed)
    d = rng.normal(0.02, 0.1, 60)
    early, whole = (e_process(np.arange(n), d[:n], span_days=span) for n in (shown, 60))
    np.testing.assert_array_equal(early.log_e, whole.log_e[: early.log_e.size])
    np.testing.assert_array_equal(early.day, whole.day[: early.day.size])


def test_over_all_outcomes_without_skill_the_capital_stays_one_and_is_seldom_ever_large():
    clip, n, capitals, peaks = 0.15, 12, [], []
    for coins in itertools.product((-1, 1), repeat=n + 1):
        # Overlapping targets: neighbours share a coin, and none knows its own at its opening.
        x = [clip * (a + b) / 2 for a, b in itertools.pairwise(coins)]
        settled, free = account(x, clip)
        capitals.append(settled)
        peaks.append(max(free))
    assert np.mean(capitals) == pytest.approx(1, abs=1e-12)
    for bound in (1.2, 1.5, 2, 3, 5):
        assert np.mean(np.array(peaks) >= bound) <= 1 / bound
    assert max(peaks) > 3


def test_forecasts_without_skill_on_overlapping_targets_are_not_crowned():
    rng, days, span, crowned, dropped = np.random.default_rng(0), 240, 6, 0, 0
    for _ in range(400):
        moves = rng.standard_t(4, days + span) * 0.05
        d = np.convolve(moves, np.ones(span) / math.sqrt(span), "valid")[:days]  # each day's target spans six
        path = e_process(np.arange(days), d, span_days=span)
        crowned += path.log_e.max() >= crown_log_e(1)
        dropped += path.log_e[-1] < 0
    assert crowned <= 400 * 0.05
    assert dropped > 200


def test_skill_is_crowned_and_more_of_it_sooner():
    rng = np.random.default_rng(1)

    def days_to_crown(mean):
        path = e_process(np.arange(2000), rng.normal(mean, 0.06, 2000), span_days=1)
        return path.day[np.argmax(path.log_e >= crown_log_e(5))]

    slow, fast = (np.median([days_to_crown(mean) for _ in range(30)]) for mean in (0.02, 0.04))
    assert 20 < fast < slow < 400


def test_ten_thousand_days_of_anything_stay_finite():
    for d in (np.full(10_000, 1.0), np.full(10_000, -1.0), np.tile(np.repeat([1.0, -1.0], 50), 100)):
        path = e_process(np.arange(10_000), d, span_days=1)
        assert path.log_e.size == 10_000
        assert np.isfinite(path.log_e).all()
    assert e_process(np.arange(10_000), np.full(10_000, 1.0), span_days=1).last > 1000


def test_before_the_first_block_is_over_there_is_no_evidence():
    assert e_process([], [], span_days=3).last == 0
    assert e_process([9, 10], [0.1, 0.1], span_days=3).last == 0
    assert e_process([9, 10, 12], [0.1, 0.1, 0.1], span_days=3).day.tolist() == [10]


@pytest.mark.parametrize(("slots", "e"), [(1, 20), (5, 100)])
def test_more_slots_need_more_evidence(slots, e):
    assert crown_log_e(slots) == pytest.approx(math.log(e))


def hourly(days, hours=range(24), start=0):
    return [(start + d) * DAY_US + h * HOUR_US for d in range(days) for h in hours]


@pytest.mark.parametrize(
    ("time", "horizon", "interval", "span"),
    [
        (hourly(30), 1, HOUR_US, 1),
        (hourly(30), 24, HOUR_US, 2),
        (hourly(30), 22, HOUR_US, 1),
        (np.arange(300) * DAY_US, 1, DAY_US, 2),
        ([d * DAY_US for d in range(700) if d % 7 < 5], 5, DAY_US, 10),  # six sessions and a weekend or two
        (hourly(400, range(14, 21)), 1, HOUR_US, 1),
        (hourly(30) + hourly(30, start=3000), 1, HOUR_US, 1),  # a hole of years does not count
    ],
)
def test_a_span_is_counted_along_the_bars(time, horizon, interval, span):
    assert target_span_days(time, horizon, interval) == span
    assert target_span_days(np.repeat(time[::-1], 2), horizon, interval, weekly=True) == span + 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crown_log_e(0), "0 slots"),
        (lambda: target_span_days([0, 1], 1, 1), "2 timestamps are fewer"),
        (lambda: e_process([1, 2], [0.1], span_days=1), "one length"),
        (lambda: e_process([2, 1], [0.1, 0.1], span_days=1), "ascending"),
        (lambda: e_process([1, 1], [0.1, 0.1], span_days=1), "ascending"),
        (lambda: e_process([1], [math.nan], span_days=1), "finite"),
        (lambda: e_process([1], [0.1], span_days=0), "span_days 0"),
        (lambda: e_process([1], [0.1], span_days=1, clip=0), "clip 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
