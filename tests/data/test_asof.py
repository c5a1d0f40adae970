"""Views: what ``?until=`` shows is what a dataset that ended there would hold, root and all."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_series import HOUR, NOW_US, START, hourly, with_value

from data.appending import parquet_bytes, preview
from data.asof import parse_uri
from data.checked import checked_panel
from data.checks import check
from data.cli import main
from data.dataset import Dataset
from data.panel import load_panel, panel_key
from data.root import leaves_of, root_of
from data.sample import dataset_uri, sample_uri
from data.schema import KEYS, table_from
from data.synthetic import synthetic
from protocol.errors import DataError
from protocol.topics import Topic

DAY = 24 * HOUR
DAYS = 75  # from the first of January to the middle of March
INTERVALS = {"ohlcv-1h": HOUR, "close-1d": DAY, "close-1w": 7 * DAY, "trades": 0}
TOPIC = Topic(name="made", type="ohlcv-1h", broker="synthetic", horizon=1)


@functools.cache
def mixed() -> pa.Table:
    """Bars of an hour, a day and a week, and trades, over three calendar months; one column begins in the third."""
    keys = {"sector": "equity-a", "broker": "north"}
    days, late = START + DAY * np.arange(DAYS), START + 60 * DAY
    mood = np.where(days < late, np.nan, 1.0)
    weeks = START + DAY + 7 * DAY * np.arange(10)  # Mondays
    ticks = START + np.arange(0, DAYS * DAY, 7 * HOUR) + 1
    paid = 1.0 + np.arange(ticks.size) / 100
    parts = [
        hourly("BTC/USDT", 24 * DAYS - 5),
        hourly("ETH/USDT", 24 * 20, start=START + 30 * DAY, seed=1),
        table_from(
            {**keys, "datetime": days, "symbol": "XOM", "close": 1.0 + np.arange(DAYS), "mood": mood}, "close-1d"
        ),
        table_from({**keys, "datetime": weeks, "symbol": "XOM", "close": 1.0 + np.arange(10)}, "close-1w"),
        table_from({**keys, "datetime": ticks, "symbol": "XOM", "price": paid, "volume": paid}, "trades"),
    ]
    order = ["open", "high", "low", "close", "price", "volume", "mood"]
    return pa.concat_tables(parts, promote_options="default").select([*KEYS, *order])


def known_rows(table: pa.Table, until: int) -> pa.Table:
    """Return the rows that had closed, row by row."""
    rows = []
    for number, row in enumerate(table.select(["datetime", "type"]).to_pylist()):
        opened = (row["datetime"] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        interval = INTERVALS[row["type"]]
        if opened + interval <= until if interval else opened < until:
            rows.append(number)
    return table.take(pa.array(rows, pa.int64()))


def iso(moment: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=moment)).isoformat()  # noqa: DTZ001  # without an offset: UTC


@pytest.fixture(scope="module", params=["versioned", "file", "tree"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same rows in every layout."""
    folder = tmp_path_factory.mktemp("place")
    rows = mixed().sort_by([(name, "ascending") for name in ("type", "broker", "symbol", "datetime")])
    if request.param == "versioned":
        return Dataset.create(str(folder)).append(rows).uri
    if request.param == "file":
        (folder / "x.parquet").write_bytes(parquet_bytes(rows))
        return str(folder / "x.parquet")
    for entry in Dataset.create(str(folder / "versioned")).append(rows).entries:
        path = folder / "tree" / f"type={entry.type}" / f"broker={entry.broker}" / f"{entry.period}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / "versioned" / entry.path).read_bytes())
    return str(folder / "tree")


MOMENTS = st.one_of(
    st.integers(START - DAY, START + 80 * DAY),
    st.builds(
        lambda step, count, off: START + count * step + off,
        st.sampled_from([HOUR, DAY, 7 * DAY]),
        st.integers(0, 100),
        st.sampled_from([-1, 0, 1]),
    ),
)


@settings(max_examples=25, deadline=None)
@given(MOMENTS)
@example(START + 31 * DAY)  # the turn of a month
@example(START + 32 * DAY)
@example(START + 60 * DAY)  # before the column that comes late
@example(START + 300 * DAY)
def test_a_view_is_a_dataset_that_ended_there(place: str, until: int) -> None:
    view, rows = Dataset.open(f"{place}?until={iso(until)}"), known_rows(mixed(), until)
    if not rows.num_rows:
        assert (view.root, view.read().num_rows, view.read_keys().num_rows, view.series()) == (None, 0, 0, [])
        return
    root = root_of(leaves_of(rows))
    assert view.root == view.known_root == root
    assert view.leaves == leaves_of(rows)
    assert view.read_keys().num_rows == rows.num_rows
    assert leaves_of(view.read()) == view.leaves
    for type_ in ("ohlcv-1h", "close-1d"):
        some = view.read(type=type_, start=datetime(2023, 1, 20, tzinfo=UTC), columns=["close"])
        expected = rows.filter(pa.compute.equal(rows["type"], type_))
        late = pa.compute.greater_equal(expected["datetime"], datetime(2023, 1, 20, tzinfo=UTC))
        assert some.num_rows == expected.filter(late).num_rows
    assert Dataset.open(view.uri, root).uri == view.uri


def test_a_view_equals_what_had_been_written_by_then(place: str, tmp_path: Path) -> None:
    until = START + 45 * DAY
    ended = Dataset.create(str(tmp_path / "ended")).append(known_rows(mixed(), until))
    view = Dataset.open(f"{place}?until={until // 10**6}")
    assert view.root == ended.root
    assert view.series() == ended.series()
    assert "mood" not in view.read().column_names, "nobody had heard of it"
    assert view.read(type="close-1d").equals(ended.read(type="close-1d"))
    assert [view.read(columns=["mood"])["mood"].null_count] == [view.read().num_rows]
    assert "mood" in Dataset.open(f"{place}?until=2023-03-05").read(type="close-1d").column_names
    report = check(view.uri, now=NOW_US)
    assert (report.root, report.rows, report.errors) == (ended.root, ended.read().num_rows, [])


def test_a_bar_is_there_from_its_close_on(place: str) -> None:
    def last(moment: str, type_: str) -> str:
        return str(Dataset.open(f"{place}?until={moment}").read(type=type_)["datetime"][-1])[:19]

    assert last("2023-02-01", "close-1d") == last("2023-02-01T00:30", "close-1d") == "2023-01-31 00:00:00"
    assert last("2023-01-31T23:59:59.999999", "close-1d") == "2023-01-30 00:00:00"
    assert last("2023-02-01", "ohlcv-1h") == "2023-01-31 23:00:00"
    assert last("2023-02-01T00:59:59.999999", "ohlcv-1h") == "2023-01-31 23:00:00"
    assert last("2023-02-01T03:00+02:00", "ohlcv-1h") == "2023-02-01 00:00:00"


def test_only_files_that_matter_are_opened(tmp_path: Path) -> None:
    dataset = Dataset.create(str(tmp_path)).append(
        pa.concat_tables([hourly(n=48), hourly(n=5, start=START + 400 * DAY)])
    )
    view = Dataset.open(f"{tmp_path}?until=2023-06-01")
    assert len(dataset.entries) == 2
    (entry,) = view.entries
    (tmp_path / next(one.path for one in dataset.entries if one != entry)).unlink()
    assert view.root == root_of(leaves_of(hourly(n=48)))


def test_growth_leaves_a_view_as_it_is(tmp_path: Path) -> None:
    dataset = Dataset.create(str(tmp_path)).append(hourly(n=100))
    view = Dataset.open(f"{tmp_path}?until=2023-01-03")
    dataset.append(hourly(n=900))
    again = Dataset.open(view.uri, view.root)
    assert again.read().equals(hourly(n=48))
    with pytest.raises(DataError, match=rf"has root {view.root}, not {dataset.root}; fetch the version"):
        Dataset.open(view.uri, dataset.root)


def test_nothing_can_be_added_to_a_view(place: str) -> None:
    view = Dataset.open(f"{place}?until=2023-02-01")
    for call in (
        lambda: view.append(hourly("NEW/USD")),
        lambda: preview(view, hourly("NEW/USD"), cuts={}),
        lambda: Dataset.create(view.uri),
    ):
        with pytest.raises(DataError, match=f"is a view, which nothing can be added to; append to {place}$"):
            call()


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("?", r"unknown '' behind '\?'; write \?until=MOMENT"),
        ("?asof=2018-01-01", "unknown 'asof'"),
        ("?until", "until names no moment"),
        ("?until=", "until names no moment"),
        ("?until=2018-01-01&until=2019-01-01", "says until 2 times"),
        ("?until=2018-01-01?until=2018-01-01", "says until 2 times"),
        ("?until=2018-01-01&x=1", "unknown 'x'"),
        ("?until=soon", "time 'soon' is not ISO 8601; .* or whole Unix seconds"),
        ("?until=-5", "time '-5' is not ISO 8601"),
        ("?until=12.5", "is not ISO 8601"),
        ("?until=٣", "is not ISO 8601"),
        ("?until=0001-01-01T00:00+05:00", "is not ISO 8601"),
        ("?until=1514764800000", "1514764800000 are no Unix seconds"),
        ("?until=" + "9" * 5000, "are no Unix seconds"),
    ],
)
def test_what_is_no_moment_is_named(suffix: str, message: str) -> None:
    for call in (Dataset.open, Dataset.create):
        with pytest.raises(DataError, match=message):
            call(sample_uri() + suffix)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-01-01", 1_514_764_800),
        ("20180101", 1_514_764_800),
        ("1514764800", 1_514_764_800),
        ("2018-01-01T02:00+02:00", 1_514_764_800),
        ("2018-01-01T12:00", 1_514_808_000),
        ("0", 0),
    ],
)
def test_moments(text: str, moment: int) -> None:
    assert parse_uri(f"s3://bucket/path?until={text}") == ("s3://bucket/path", moment * 10**6)


@pytest.mark.parametrize("moment", ["1900-01-01", "0001-01-01", "2023-01-01T00:00", "0"])
def test_before_the_first_bar_there_is_no_dataset(place: str, moment: str) -> None:
    view = Dataset.open(f"{place}?until={moment}")
    for call in (lambda: view.known_root, lambda: check(view.uri, now=NOW_US)):
        with pytest.raises(DataError, match="is empty: no bar had closed by then; name a later moment"):
            call()


def test_names_keep_what_stands_behind_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    behind = "?until=2018-01-01"
    assert dataset_uri(f"sample{behind}") == sample_uri() + behind
    assert dataset_uri(f"d/x.parquet{behind}") == f"{tmp_path}/d/x.parquet{behind}"
    assert dataset_uri(f"s3://bucket/path{behind}") == f"s3://bucket/path{behind}"
    for uri in (dataset_uri(f"sample{behind}"), Dataset.open(dataset_uri(f"sample{behind}")).uri):
        assert dataset_uri(uri) == uri


def test_a_run_finds_its_panel_again(tmp_path: Path) -> None:
    """What a plan, a journal and a task hold is uri and root; a worker elsewhere has no cache of the panel."""
    rows = synthetic("linear", n_symbols=5, n_bars=400)
    pq.write_table(rows, tmp_path / "all.parquet")
    until = datetime(2020, 1, 15, tzinfo=UTC)
    cut = rows.filter(pa.compute.less(rows["datetime"], until))
    pq.write_table(cut, tmp_path / "cut.parquet")
    view = Dataset.open(dataset_uri(f"{tmp_path}/all.parquet?until=2020-01-15"))
    panel = checked_panel(view, TOPIC, tmp_path / "panels")
    elsewhere = load_panel(view.uri, view.root, TOPIC)
    ended = load_panel(str(tmp_path / "cut.parquet"), view.root, TOPIC, tmp_path / "other")
    for other in (elsewhere, ended):
        assert np.array_equal(panel.features, other.features)
        assert np.array_equal(panel.target, other.target)
    assert panel_key(view.known_root, TOPIC) in {path.name for path in (tmp_path / "other").iterdir()}
    with pytest.raises(DataError, match="fetch the version you need"):
        load_panel(str(tmp_path / "all.parquet"), view.root, TOPIC)


def test_later_faults_do_not_concern_a_view(tmp_path: Path) -> None:
    rows = synthetic("linear", n_symbols=5, n_bars=400)
    bad = with_value(rows, "open", 390, -1.0)  # of the first symbol, at 06:00 on the 17th of January
    pq.write_table(bad, tmp_path / "bad.parquet")
    with pytest.raises(DataError, match="E051"):
        checked_panel(Dataset.open(f"{tmp_path}/bad.parquet"), TOPIC, tmp_path / "panels")
    with pytest.raises(DataError, match=r"`ltdata check '.*until=2020-01-17T09:00:00Z'`"):
        checked_panel(Dataset.open(f"{tmp_path}/bad.parquet?until=2020-01-17T09:00"), TOPIC, tmp_path / "panels")
    checked_panel(Dataset.open(f"{tmp_path}/bad.parquet?until=2020-01-17"), TOPIC, tmp_path / "panels")


def test_commands_take_views(place: str) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    shown = json.loads(run("show", "sample?until=2005-01-01", "--json"))
    assert shown["uri"] == f"{sample_uri()}?until=2005-01-01"
    assert {one["last"] for one in shown["series"]} == {"2004-12-31T00:00:00+00:00"}
    assert run("root", "sample?until=2005-01-01") == f"{shown['root']}\n"
    assert f"root {shown['root']}" in run("show", "sample?until=2005-01-01")
    version = Dataset.open(place).manifest
    assert ("seen in version" in run("show", f"{place}?until=2023-02-01")) == (version is not None)
    assert json.loads(run("show", f"{place}?until=2023-02-01", "--json")).get("version") == (version and version.root)
    assert "no complaints" in run("check", f"{place}?until=2023-01-20")
    result = CliRunner().invoke(main, ["show", "sample?until=1980-01-01"])
    assert (result.exit_code, "is empty" in result.stderr) == (3, True)
