"""Features: the formulas, gaps, and that nothing looks ahead."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bars import DAY_US, bars_from, holes_of
from data.feature_sets import FEATURE_SETS, feature_set
from data.features import CLIP, SIGMA_BARS, compute_features, window_sum
from data.synthetic import synthetic
from protocol.errors import ConfigError, DataError
from protocol.scores import gaussian_rank

OHLCV = ("open", "high", "low", "close", "volume")
HOUR_US = DAY_US // 24
SEEDS = st.integers(0, 2**32 - 1)


def features_of(table, names=OHLCV, interval=HOUR_US):
    bars = bars_from(table, names, interval)
    return bars, compute_features(bars, feature_set("standard-1"))


def by_row(table, only=None):
    """Every feature by (symbol, time); ranks left out when `only` is 'own'."""
    bars, features = features_of(table)
    rows = [i for i, name in enumerate(features.names) if only != "own" or not name.startswith("rank_")]
    keys = zip((bars.symbols[code] for code in bars.symbol), bars.time.tolist(), strict=True)
    return dict(zip(keys, features.values[rows].T.tolist(), strict=True))


def with_faults(rng, n_symbols, n_bars=230):
    """A table with missing bars, a flat stretch and null volumes."""
    table = synthetic("noise", n_symbols=n_symbols, n_bars=n_bars, seed=int(rng.integers(2**32)))
    volume = np.where(rng.random(table.num_rows) < 0.0005, np.nan, table["volume"].to_numpy())
    table = table.set_column(table.schema.get_field_index("volume"), "volume", pa.array(volume, from_pandas=True))
    return table.filter(pa.array(rng.random(table.num_rows) > 0.0005))


@given(SEEDS, st.integers(1, 60), st.integers(0, 200))
def test_window_sums_equal_the_direct_ones_and_keep_nan_to_its_windows(seed, bars, n):
    rng = np.random.default_rng(seed)
    x = rng.random(n) * 10.0 ** rng.integers(-12, 12, n)
    x[rng.random(n) < 0.02] = np.nan
    expected = [x[t - bars + 1 : t + 1].sum() if t >= bars - 1 else np.nan for t in range(n)]
    np.testing.assert_allclose(window_sum(x, bars), expected, rtol=1e-13)


def test_window_sums_do_not_remember_a_huge_value():
    x = np.full(1000, 1e-9)
    x[100] = 1e15
    np.testing.assert_allclose(window_sum(x, 24)[124:], 24e-9, rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 7))
def test_nothing_after_a_bar_changes_its_features(seed, n_symbols):
    rng = np.random.default_rng(seed)
    table = with_faults(rng, n_symbols)
    times = np.unique(table["datetime"].cast(pa.int64()).to_numpy())
    now = int(rng.choice(times[SIGMA_BARS:]))
    past = pc.less_equal(table["datetime"].cast(pa.int64()), now)
    future = table.filter(pc.invert(past))
    for name in OHLCV:
        noise = pa.array(np.exp(rng.normal(size=future.num_rows) * 3))
        future = future.set_column(future.schema.get_field_index(name), name, noise)
    future = future.filter(pa.array(rng.random(future.num_rows) < rng.random()))
    before, after = by_row(table), by_row(pa.concat_tables([table.filter(past), future]))
    compared = [key for key in before if key[1] <= now]
    assert compared
    for key in compared:
        assert np.array_equal(before[key], after[key], equal_nan=True), key


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(1, 7))
def test_the_order_of_rows_does_not_matter(seed, n_symbols):
    rng = np.random.default_rng(seed)
    table = with_faults(rng, n_symbols)
    _, one = features_of(table)
    _, other = features_of(table.take(pa.array(rng.permutation(table.num_rows))))
    assert np.array_equal(one.values, other.values, equal_nan=True)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_another_symbol_changes_ranks_only(seed):
    six = synthetic("noise", n_symbols=6, n_bars=200, seed=seed)
    five = six.filter(pc.not_equal(six["symbol"], "S003"))
    assert _equal(by_row(five, "own"), by_row(six, "own"))
    assert not _equal(by_row(five), by_row(six))


def _equal(some, others):
    return all(np.array_equal(values, others[key], equal_nan=True) for key, values in some.items())


def test_every_formula_by_hand_at_one_row():
    table = synthetic("noise", n_symbols=5, n_bars=400, seed=2)
    bars, features = features_of(table)
    t, one = 300, bars.symbol == 3
    o = {name: bars.columns[name][one] for name in OHLCV}
    p = np.log(o["close"])
    r = np.diff(p, prepend=np.nan)
    sigma = r[t - 167 : t + 1].std(ddof=1)
    width, root = np.log(o["high"] / o["low"]), np.sqrt(o["volume"][t - 167 : t + 1])
    walk = np.cumsum(np.random.default_rng(0).normal(size=(200_000, 24)), axis=1)
    expected = {
        "ret_1": r[t] / sigma,
        "ret_1_lag1": r[t - 1] / sigma,
        "ret_1_lag2": r[t - 2] / sigma,
        **{f"mean_{w}": r[t - w + 1 : t + 1].mean() * np.sqrt(w) / sigma for w in (6, 24, 72, 168)},
        "vol_24": 3 * (r[t - 23 : t + 1].std(ddof=1) / sigma - 1),
        "z_24": pytest.approx(
            (p[t] - p[t - 23 : t + 1].mean()) / sigma / (walk[:, -1] - walk.mean(axis=1)).std(), rel=0.01
        ),
        "range": width[t] / width[t - 167 : t + 1].mean() - 1,
        "position": 3**0.5 * (2 * o["close"][t] - o["high"][t] - o["low"][t]) / (o["high"][t] - o["low"][t]),
        "volume_z": (root[-1] - root.mean()) / root.std(ddof=1),
        "hour_sin": np.sqrt(2) * np.sin(2 * np.pi * (t % 24) / 24),
        "weekday": ((2 + t // 24) % 7 - 3) / 2,  # 2020-01-01 was a Wednesday
    }
    row = dict(zip(features.names, features.values[:, np.flatnonzero(one)[t]], strict=True))
    for name, value in expected.items():
        assert row[name] == (value if name == "z_24" else pytest.approx(value, rel=1e-9)), name
    ranked = gaussian_rank(features.values[features.names.index("mean_24")][bars.position == t], np.zeros(5, int))
    assert row["rank_mean_24"] == pytest.approx(ranked[3])
    assert features.sigma[one][t] == pytest.approx(sigma, rel=1e-12)


def test_features_are_about_one_in_size_and_bounded():
    _, features = features_of(synthetic("noise", n_symbols=8, n_bars=1500))
    known = features.values[:, ~np.isnan(features.values).any(axis=0)]
    assert ((known.std(axis=1) > 0.2) & (known.std(axis=1) < 1.5)).all()
    assert np.abs(known).max() <= CLIP


@pytest.mark.parametrize(
    ("type_", "n_symbols", "interval", "absent"),
    [
        ("ohlcv-1h", 5, HOUR_US, set()),
        ("ohlcv-1h", 4, HOUR_US, {"rank_"}),
        ("mark-1h", 5, HOUR_US, {"volume_z"}),
        ("close-1d", 5, DAY_US, {"volume_z", "range", "position", "hour_"}),
        ("close-1w", 5, 7 * DAY_US, {"volume_z", "range", "position", "hour_", "weekday"}),
    ],
)
def test_a_set_leaves_out_what_the_series_cannot_give(type_, n_symbols, interval, absent):
    table = synthetic("noise", type_=type_, n_symbols=n_symbols, n_bars=180)
    _, features = features_of(table, tuple(table.column_names[5:]), interval)
    all_names = [feature.name for feature in FEATURE_SETS["standard-1"]]
    assert features.names == tuple(name for name in all_names if not name.startswith(tuple(absent)))
    assert not np.isnan(features.values[:, -1]).any()


@pytest.mark.parametrize("n_bars", [1, 2, 5, 168, 169])
def test_short_series_are_known_from_their_169th_bar_on(n_bars):
    _, features = features_of(synthetic("noise", n_symbols=6, n_bars=n_bars))
    known = ~np.isnan(features.values[:-3]).any(axis=0)
    assert known.tolist() == 6 * [t >= SIGMA_BARS for t in range(n_bars)]


def test_a_missing_bar_empties_exactly_the_windows_that_hold_it():
    table = synthetic("noise", n_symbols=2, n_bars=500, type_="close-1h")
    hole = 250
    bars, features = features_of(pa.concat_tables([table[:hole], table[hole + 1 :]]), ("close",))
    known = ~np.isnan(features.values).any(axis=0)
    assert known[bars.symbol == 1].tolist() == [False] * 168 + [True] * 332
    time = (bars.time[bars.symbol == 0] - bars.time[0]) // HOUR_US
    # The returns into and out of the missing bar are unknown; a window of 168 returns must lie behind both.
    assert time[known[bars.symbol == 0]].tolist() == [*range(168, hole), *range(hole + 169, 500)]


@pytest.mark.parametrize(("hours", "broken"), [(2, True), (24 * 400, True), (1, False)])
def test_a_hole_in_the_whole_grid_breaks_a_market_that_trades_around_the_clock(hours, broken):
    table = synthetic("noise", n_symbols=2, n_bars=500, type_="close-1h")
    late = pc.greater_equal(table["datetime"].cast(pa.int64()), table["datetime"][300].value)
    moved = pc.add(table["datetime"].cast(pa.int64()), pc.if_else(late, (hours - 1) * HOUR_US, 0))
    table = table.set_column(0, "datetime", moved.cast(pa.timestamp("us", "UTC")))
    bars, features = features_of(table, ("close",))
    known = ~np.isnan(features.sigma[bars.symbol == 0])
    assert known.tolist() == [False] * 168 + [True] * 132 + [not broken] * 168 + [True] * 32


@given(st.integers(0, 40), st.lists(st.sampled_from([1, 1, 1, 2, 8]), max_size=60), st.integers(1, 100))
def test_holes_are_found_by_looking_back_only(weekdays, steps, n):
    days = np.busday_offset("1990-01-01", np.arange(weekdays + 1), roll="forward").astype(np.int64)
    grid = np.concatenate([days, days[-1] + np.cumsum(steps, dtype=np.int64)]) * DAY_US  # later around the clock
    assert holes_of(grid[:n], DAY_US).tolist() == holes_of(grid, DAY_US)[:n].tolist()


@pytest.mark.parametrize(("closed_days", "broken"), [(7, False), (8, True), (900, True)])
def test_nights_weekends_and_holidays_are_no_gaps_but_longer_holes_are(closed_days, broken):
    table = synthetic("noise", n_symbols=2, n_bars=600, type_="close-1d")
    days = np.busday_offset("2001-01-02", np.arange(2000), roll="forward").astype(np.int64)
    monday = days[299]
    days = days[(days <= monday) | (days >= monday + closed_days)][:600]
    assert days[300] - monday == closed_days
    table = table.set_column(0, "datetime", pa.array(np.tile(days * DAY_US, 2), pa.timestamp("us", "UTC")))
    bars, features = features_of(table, ("close",), DAY_US)
    known = ~np.isnan(features.sigma[bars.symbol == 0])
    assert known[168:300].all()
    assert known[300:468].any() == (not broken)
    assert known[468:].all()


def test_a_price_that_stands_still_has_no_features_and_constant_volume_none_either():
    table = synthetic("noise", n_symbols=1, n_bars=400)
    flat = {name: pa.array(np.full(400, 7.0)) for name in ("open", "high", "low", "close")}
    for name, values in flat.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    _, features = features_of(table)
    assert (features.sigma[168:] == 0).all()
    assert np.isnan(features.values[0, 168:]).all()
    table = synthetic("noise", n_symbols=1, n_bars=400)
    table = table.set_column(table.schema.get_field_index("volume"), "volume", pa.array(np.full(400, 0.3)))
    _, features = features_of(table)
    assert not features.values[features.names.index("volume_z"), 168:].any()


def test_steady_growth_is_no_movement_despite_rounding():
    table = synthetic("noise", n_symbols=1, n_bars=400, type_="close-1h")
    table = table.set_column(5, "close", pa.array(100 * 1.001 ** np.arange(400)))
    _, features = features_of(table, ("close",))
    assert (features.sigma[168:] == 0).all()


def test_bad_rows_are_named():
    table = synthetic("noise", n_symbols=2, n_bars=10, type_="close-1h")
    with pytest.raises(DataError, match=r"S000 has two bars at 2020-01-01T02:00Z"):
        bars_from(pa.concat_tables([table, table[2:3]]), ("close",), HOUR_US)
    close = np.where(np.arange(20) == 13, -1.0, table["close"].to_numpy())
    with pytest.raises(DataError, match=r"S001 closes at -1.0 on 2020-01-01T03:00Z \(1 such rows\)"):
        bars_from(table.set_column(5, "close", pa.array(close)), ("close",), HOUR_US)
    with pytest.raises(ConfigError, match="feature set 'standard-9' is unknown; did you mean 'standard-1'"):
        feature_set("standard-9")
