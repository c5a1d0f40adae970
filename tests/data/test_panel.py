"""Panels: what is kept, what is dropped and why, and the cache on disk."""

import multiprocessing
import shutil
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import Dataset
from data.panel import Panel, load_panel, panel_from, panel_key
from data.panel_store import MANIFEST, write_entry
from data.synthetic import synthetic
from protocol.errors import ConfigError, DataError
from protocol.scores import gaussian_rank
from protocol.topics import Topic

TOPIC = Topic("t", "close-1h", "synthetic", 3)
ROOT = "0" * 64


def table_of(n_symbols=6, n_bars=300, **columns):
    table = synthetic("linear", n_symbols=n_symbols, n_bars=n_bars, type_="close-1h")
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.float64(), from_pandas=True))
    return table


def same(one, other):
    return all(
        np.array_equal(a, b) if isinstance(a := getattr(one, field.name), np.ndarray) else a == b
        for field in fields(Panel)
        for b in [getattr(other, field.name)]
    )


def test_rows_are_sorted_finite_and_counted():
    panel = panel_from(table_of(), TOPIC)
    assert panel.features.flags.c_contiguous
    assert panel.features.shape == (panel.time.size, len(panel.feature_names))
    assert np.isfinite(panel.features).all()
    assert (np.lexsort((panel.symbol, panel.time)) == np.arange(panel.time.size)).all()
    assert panel.report == {
        "rows": 1800,
        "dropped": {"warm-up": 6 * 168, "no target": 6 * 4},
        "kept": 6 * 128,
        "share": 128 / 300,
        "timestamps": 128,
    }
    assert (panel.interval, panel.horizon, panel.symbols) == (3_600_000_000, 3, tuple(f"S00{n}" for n in range(6)))
    assert (panel.symbol.dtype, panel.time.dtype) == (np.int32, np.int64)


def test_target_and_label_belong_to_their_rows():
    table = table_of()
    panel = panel_from(table, TOPIC)
    close = table["close"].to_numpy().reshape(6, 300)
    row = 6 * 50 + 4
    t = 168 + 50
    returns = np.diff(np.log(close[4]))
    y = np.log(close[4, t + 4] / close[4, t + 1])
    assert panel.realised[row] == pytest.approx(y)
    assert panel.target[row] == pytest.approx(y / (returns[t - 168 : t].std(ddof=1) * np.sqrt(3)))
    np.testing.assert_array_equal(panel.label, gaussian_rank(panel.target, panel.time))
    few = panel_from(table_of(4), TOPIC)
    np.testing.assert_array_equal(few.label, few.target)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_rows_of_other_topics_change_nothing(seed):
    rng = np.random.default_rng(seed)
    table = table_of(12).filter(pa.array(rng.random(3600) > 0.0003))
    other = table.set_column(2, "broker", pa.array(["elsewhere"] * table.num_rows)).cast(table.schema)
    mixed = pa.concat_tables([table, other])
    assert same(panel_from(table, TOPIC), panel_from(mixed.take(pa.array(rng.permutation(mixed.num_rows))), TOPIC))


def test_a_users_column_becomes_a_feature_as_it_is():
    own = np.arange(1800.0)
    own[[5, 200, 700]] = np.nan
    panel = panel_from(table_of(mine=own), TOPIC)
    assert panel.feature_names[-1] == "x_mine"
    assert panel.report["dropped"]["user column null"] == 1  # rows 5 and 700 are warm-up anyway
    column = panel.features[panel.symbol == 0, -1]
    assert column.tolist() == [float(n) for n in range(168, 296) if n != 200]


def test_every_reason_for_dropping_is_told_apart():
    table = table_of(volume=np.where(np.arange(1800) == 1750, np.nan, np.random.default_rng(0).random(1800)))
    close = table["close"].to_numpy().copy()
    close[300:600] = 5.0
    table = table.set_column(5, "close", pa.array(close))
    table = table.filter(pa.array(np.arange(1800) != 1100))  # symbol 3, bar 200
    panel = panel_from(table, TOPIC)
    dropped = panel.report["dropped"]
    assert dropped["warm-up"] == 6 * 168
    assert dropped["no movement"] == 132
    assert dropped["gap"] == 99
    assert dropped["value missing"] == 50
    assert dropped["no target"] == 3 * 4 + 4  # three sound series, and symbol 3 before its gap
    assert sum(dropped.values()) + panel.report["kept"] == panel.report["rows"]


def test_small_cross_sections_of_a_panel_are_dropped():
    table = table_of(6)
    late = pc.is_in(table["symbol"], pa.array(["S000", "S001"]))
    ends = pc.less(table["datetime"], table["datetime"][250])
    panel = panel_from(table.filter(pc.or_(pc.invert(late), ends)), TOPIC)
    assert panel.report["dropped"]["small cross-section"] == 4 * (296 - 246)
    assert (np.unique(panel.time, return_counts=True)[1] == 6).all()


@pytest.mark.parametrize(
    ("change", "table", "message"),
    [
        ({"type": "trades"}, table_of(), "type 'trades' has no regular closes"),
        ({"broker": "elsewhere"}, table_of(), "no rows of type close-1h, broker elsewhere; `ltdata show`"),
        ({"sectors": ("tech",)}, table_of(), "no rows of sector tech in close-1h, synthetic"),
        ({"symbols": ("S00", "S001")}, table_of(), "no rows of symbol S00 in close-1h, synthetic; did you mean S00"),
        ({}, table_of(n_bars=160), r"none of 960 rows is usable \(960 warm-up\); features need 169 unbroken"),
        ({"horizon": 200}, table_of(), r"\(1008 warm-up, 792 no target\).*the target 201 more"),
        ({}, table_of(mine=np.full(1800, np.nan)), "column 'mine' is null in 100% of 1800 rows"),
        (
            {},
            table_of().append_column("mine", pa.array(["a"] * 1800)),
            "column 'mine' is string; features must be float64",
        ),
        ({}, table_of(1).slice(0, 0), "no rows of type close-1h"),
    ],
)
def test_what_cannot_be_used_is_named(change, table, message):
    with pytest.raises(DataError, match=message):
        panel_from(table, replace(TOPIC, **change))


def test_a_constant_target_is_refused():
    close = np.where(np.arange(300) < 169, 1 + np.arange(300) % 2, 2.0)
    table = table_of(1).set_column(5, "close", pa.array(close))
    with pytest.raises(DataError, match=r"the target is 0.0 in all 128 rows; there is nothing to predict"):
        panel_from(table, TOPIC)


def test_an_unknown_feature_set_is_refused():
    with pytest.raises(ConfigError, match="feature set 'standard-2' is unknown"):
        panel_from(table_of(), replace(TOPIC, features="standard-2"))


def test_the_key_depends_on_root_and_topic():
    keys = {panel_key(ROOT, TOPIC), panel_key("1" * 64, TOPIC), panel_key(ROOT, replace(TOPIC, horizon=4))}
    assert len(keys) == 3
    assert panel_key(ROOT, TOPIC) == panel_key(ROOT, replace(TOPIC))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    uri = str(tmp_path_factory.mktemp("dataset") / "ds")
    return uri, Dataset.create(uri).append(table_of(mine=np.arange(1800.0))).root


def entries(cache):
    return [path.name for path in cache.iterdir() if path.suffix != ".lock"]


def test_a_panel_comes_from_the_cache_read_only_and_without_the_dataset(stored, tmp_path):
    uri, root = stored
    direct = load_panel(uri, None, TOPIC)
    first = load_panel(uri, None, TOPIC, tmp_path / "cache")
    assert same(direct, first)
    again = load_panel("/nowhere", root, TOPIC, tmp_path / "cache")
    assert same(direct, again)
    assert isinstance(again.features, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again.target[0] = 1
    assert entries(tmp_path / "cache") == [panel_key(root, TOPIC)]


def test_unknown_symbols_of_a_dataset_are_named_with_near_ones(stored):
    with pytest.raises(DataError, match=r"no rows of symbol S09 in .*did you mean S00"):
        load_panel(stored[0], None, replace(TOPIC, symbols=("S001", "S09")))


@pytest.mark.parametrize("name", ["features.npy", "time.npy", MANIFEST])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_entry_is_rebuilt(stored, tmp_path, name, damage):
    uri, root = stored
    direct = load_panel(uri, root, TOPIC, tmp_path)
    path = tmp_path / panel_key(root, TOPIC) / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    assert same(load_panel(uri, root, TOPIC, tmp_path), load_panel(uri, root, TOPIC))
    assert path.is_file()
    assert len(entries(tmp_path)) == 1
    del direct


def _load(arguments):
    panel = load_panel(*arguments)
    return panel.features.sum(), isinstance(panel.features, np.memmap)


def test_writers_of_the_same_key_may_race(stored, tmp_path):
    uri, root = stored
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.map(_load, [(uri, root, TOPIC, tmp_path)] * 9, chunksize=1)
    assert len(set(results)) == 1
    assert results[0][1]
    assert entries(tmp_path) == [panel_key(root, TOPIC)]


def test_a_full_disk_leaves_nothing_and_is_named(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(DataError, match=r"panel cache .*: No space left on device; free space or name another"):
        write_entry(tmp_path, "k", {"a": np.zeros(3)}, {})
    assert not list(tmp_path.iterdir())


def test_a_cache_that_is_a_file_is_named(stored, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"panel cache .*file"):
        load_panel(stored[0], stored[1], TOPIC, tmp_path / "file")


def test_folders_of_writers_that_died_are_swept(stored, tmp_path):
    old, young = tmp_path / ".panel-old", tmp_path / ".panel-young"
    old.mkdir()
    young.mkdir()
    shutil.os.utime(old, (0, 0))
    load_panel(*stored, TOPIC, tmp_path)
    assert not old.exists()
    assert young.exists()
