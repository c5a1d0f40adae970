from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard.chart import WIDTH, Line, draw, drawdown, rebased, thinned, time_ticks, value_ticks

numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))
columns = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[numbers] * width), min_size=1, max_size=200).map(
        lambda rows: np.array(rows, float).T
    )
)


@given(columns, st.integers(1, 20))
def test_thinning_keeps_extremes_ends_and_gaps(data: np.ndarray, bins: int) -> None:
    at = thinned(list(data), bins)
    assert (np.diff(at) > 0).all()
    assert {0, data.shape[1] - 1} <= set(at.tolist())
    for values in data:
        known = values[np.isfinite(values)]
        if known.size:
            assert np.nanmin(values[at]) == known.min()
            assert np.nanmax(values[at]) == known.max()
        before = np.isfinite(values[at])
        for left, right, here, there in zip(at[:-1], at[1:], before[:-1], before[1:], strict=True):
            if here and there:  # drawn as connected: then nothing unknown lies between
                assert np.isfinite(values[left : right + 1]).all()


def test_ten_thousand_points_become_few() -> None:
    walk = np.cumsum(np.random.default_rng(1).normal(size=(3, 10_000)), axis=1)
    assert thinned(list(walk)).size <= 3 * 400 + 2


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50), st.integers(1, 49))
def test_drawdown_looks_back_only(values: list[float], cut: int) -> None:
    nav = np.array(values)
    falls = drawdown(nav)
    assert ((falls <= 0) & (falls > -1)).all()
    np.testing.assert_array_equal(drawdown(nav[:cut]), falls[:cut])
    assert falls[np.argmax(nav)] == 0


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 8))
def test_value_ticks_are_round_and_inside(low: float, width: float, count: int) -> None:
    high = low + width
    ticks = value_ticks(low, high, count)
    assert len(ticks) <= count + 1
    slack = width * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@given(st.integers(0, 4_000_000_000), st.integers(600, 1_500_000_000))
def test_time_ticks_are_inside_and_few(start: int, length: int) -> None:
    ticks = time_ticks(start, start + length)
    times = [time for time, _ in ticks]
    assert times == sorted(set(times))
    assert all(start <= time <= start + length for time in times)
    assert len(ticks) <= 8


def test_time_ticks_speak_as_the_range_is_long() -> None:
    midnight = 1_780_012_800  # 2026-05-29
    assert [label for _, label in time_ticks(midnight, midnight + 7200)] == [
        "29 May",
        "00:30",
        "01:00",
        "01:30",
        "02:00",
    ]
    assert time_ticks(midnight, midnight + 20 * 86_400)[0][1] == "1 Jun"  # a Monday
    assert {label for _, label in time_ticks(midnight, midnight + 3000 * 86_400)} <= {
        str(year) for year in range(2026, 2040)
    }


def test_lines_break_where_nothing_is_known() -> None:
    times = np.arange(6) * 600
    values = np.array([1.0, 2.0, np.nan, np.nan, 4.0, 3.0])
    chart = draw(times, [("Price", 100, [Line("main", "Price", values)])])
    assert chart
    (line,) = chart.panels[0].lines
    assert line.path.count("M") == 2
    assert line.values == "1 2 - - 4 3"
    assert (line.first, line.last) == (1.0, 3.0)
    assert np.cumsum([int(one) for one in chart.times.split()]).tolist() == times.tolist()


@given(st.lists(st.floats(0.001, 1000), min_size=2, max_size=30))
def test_points_lie_in_the_plot(values: list[float]) -> None:
    nav = np.array(values)
    panels = [
        ("NAV", 100, [Line("main", "Fund", nav)]),
        ("Drawdown", 50, [Line("main", "Fund", drawdown(nav), filled=True)]),
    ]
    chart = draw(np.arange(nav.size) * 600, panels)
    assert chart
    for panel in chart.panels:
        (line,) = panel.lines
        pairs = [tuple(map(float, one)) for one in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", line.path)]
        inside = [(x, y) for x, y in pairs if 0 <= x <= WIDTH]
        assert len(inside) == nav.size
        assert all(-0.1 <= y <= panel.plot + 0.1 for _, y in inside)
    assert all(0 <= y <= panel.plot for panel in chart.panels for y, _ in panel.ticks)


def test_a_window_is_cut_before_thinning_and_an_empty_one_is_nothing() -> None:
    times = np.arange(10_000) * 600
    panels = [("NAV", 100, [Line("main", "Fund", np.arange(10_000.0))])]
    chart = draw(times, panels, start=600_000, end=606_000)
    assert chart
    assert (chart.start, chart.end, len(chart.times.split())) == (600_000, 606_000, 11)
    assert draw(times, panels, start=10**9) is None
    assert draw(times, panels, start=601, end=1199) is None
    assert draw(times[:1], [("NAV", 100, [Line("main", "Fund", np.ones(1))])]) is None


def test_nothing_known_and_nothing_moving_are_drawn_calmly() -> None:
    times = np.arange(5) * 600
    for values in (np.full(5, np.nan), np.full(5, 7.0), np.zeros(5)):
        chart = draw(times, [("Price", 100, [Line("main", "Price", values)])])
        assert chart
        assert "nan" not in chart.panels[0].lines[0].path


def test_a_comparison_begins_at_one_point() -> None:
    times, base = np.arange(5) * 600, np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    values = np.array([10.0, np.nan, 0.0, 8.0, 4.0])
    np.testing.assert_allclose(rebased(values, base, times, None), values / 10)
    np.testing.assert_allclose(rebased(values, base, times, 600), values / 2)
    np.testing.assert_array_equal(rebased(values, base, times, 10**9), values)
    assert rebased(values[:0], base[:0], times[:0], None).size == 0


def test_labels_tell_their_ticks_apart() -> None:
    times = np.arange(50) * 600
    for low, high in ((1.0, 1.1), (0.0, 0.0007), (1000.0, 250_000.0), (-3.0, 3.0), (0.999, 1.0012)):
        chart = draw(times, [("NAV", 260, [Line("main", "Fund", np.linspace(low, high, 50))])])
        assert chart
        ticks = chart.panels[0].ticks
        assert len({label for _, label in ticks}) == len(ticks) >= 3
        numbers = [float(label.replace("−", "-").replace("\N{NARROW NO-BREAK SPACE}", "")) for _, label in ticks]
        np.testing.assert_allclose(np.diff(numbers), numbers[1] - numbers[0], rtol=1e-6)
