"""A dataset and its writer on a local folder: what is read, what an append changes, what a crash leaves."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_series import HOUR, START, hourly, with_value

from data import appending, filesystem
from data.appending import parquet_bytes, preview
from data.dataset import Dataset
from data.manifest import parse_manifest
from data.root import leaves_of, root_of
from data.schema import schema_of, table_from
from infra import files
from protocol.errors import ConfigError, DataError

YEAR_END = START - 24 * HOUR  # a day before 2023


def two_years() -> pa.Table:
    """Two symbols across a change of year, and another broker."""
    return pa.concat_tables(
        [
            hourly("BTC/USDT", start=YEAR_END),
            hourly("ETH/USDT", start=YEAR_END, seed=1, sector="crypto-layer1"),
            hourly("BTC/USDT", start=YEAR_END, seed=2, broker="kraken"),
        ]
    )


def ordered(table: pa.Table) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in ("type", "broker", "symbol", "datetime")])


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.create(str(tmp_path / "d")).append(two_years(), source="made")


@pytest.fixture(params=["versioned", "tree", "data tree", "file"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    """The same rows in every layout that can be opened."""
    place = tmp_path / "place"
    if request.param == "versioned":
        Dataset.create(str(place)).append(two_years())
    elif request.param == "file":
        place = tmp_path / "one.parquet"
        place.write_bytes(parquet_bytes(ordered(two_years())))
    else:
        base = place / "data" if request.param == "data tree" else place
        for broker in ("binance", "kraken"):
            rows = ordered(two_years().filter(pc.equal(two_years().column("broker"), broker)))
            first = pc.less(rows.column("datetime"), datetime(2023, 1, 1, tzinfo=UTC))
            for period, part in (("2022", rows.filter(first)), ("2023", rows.filter(pc.invert(first)))):
                path = base / "type=ohlcv-1h" / f"broker={broker}" / f"{period}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(parquet_bytes(part))
    return Dataset.open(str(place))


def test_reads_everything_sorted(anywhere: Dataset) -> None:
    assert anywhere.read().equals(ordered(two_years()))
    assert anywhere.root == root_of(leaves_of(two_years()))
    assert Dataset.open(anywhere.uri, anywhere.root).root == anywhere.root


def test_filters(anywhere: Dataset) -> None:
    start = datetime(2022, 12, 31, 22, tzinfo=UTC)
    table = anywhere.read(
        type="ohlcv-1h",
        broker="binance",
        symbols=["ETH/USDT"],
        start=start,
        end=start + timedelta(hours=4),
        columns=["close"],
    )
    assert table.column_names == ["datetime", "sector", "broker", "symbol", "type", "close"]
    assert table.column("datetime").to_pylist() == [start + timedelta(hours=hour) for hour in range(4)]
    assert anywhere.read(sectors=["crypto-layer1"]).column("symbol").unique().to_pylist() == ["ETH/USDT"]
    assert anywhere.read(broker="kraken").num_rows == 48
    many = [f"X{number}" for number in range(100)]
    assert anywhere.read(symbols=[*many, "ETH/USDT"]).num_rows == 48


@pytest.mark.parametrize("nothing", [{"broker": "nobody"}, {"type": "close-1d"}, {"symbols": ["NO"]}])
def test_what_matches_nothing_is_empty(anywhere: Dataset, nothing: dict[str, str]) -> None:
    assert anywhere.read(**nothing).num_rows == 0  # type: ignore[arg-type]  # one of several keywords


def test_bad_questions(anywhere: Dataset) -> None:
    with pytest.raises(DataError, match="no column 'price'; it has open, high"):
        anywhere.read(columns=["price"])
    with pytest.raises(DataError, match="no time zone"):
        anywhere.read(start=datetime(2023, 1, 1))  # noqa: DTZ001  # naive on purpose


def test_summaries(anywhere: Dataset) -> None:
    series = anywhere.series()
    assert [(one.broker, one.symbol, one.rows, one.gaps) for one in series] == [
        ("binance", "BTC/USDT", 48, 0),
        ("binance", "ETH/USDT", 48, 0),
        ("kraken", "BTC/USDT", 48, 0),
    ]
    assert series[0].first == datetime(2022, 12, 31, tzinfo=UTC)
    assert series[1].sector == "crypto-layer1"


def test_only_a_versioned_dataset_grows(anywhere: Dataset) -> None:
    if anywhere.is_bare:
        with pytest.raises(DataError, match="no manifests"):
            anywhere.append(hourly())
        if anywhere.uri.endswith("place"):
            with pytest.raises(DataError, match="append to a new place"):
                Dataset.create(anywhere.uri)
    else:
        assert anywhere.append(hourly(start=START + 1000 * HOUR)).read().num_rows == 3 * 48 + 48


def test_a_file_is_no_place_to_append(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match="is a file; name a folder"):
        Dataset.create(str(tmp_path / "a.csv"))


def test_opening_a_bare_file_reads_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.parquet").write_bytes(b"not Parquet at all")
    dataset = Dataset.open(str(tmp_path / "one.parquet"))
    with pytest.raises(DataError, match="cannot read"):
        _ = dataset.root


def test_files_are_named_by_content_and_stored_plainly(dataset: Dataset) -> None:
    folder = Path(dataset.uri)
    manifest = dataset.manifest
    assert manifest is not None
    assert [entry.period for entry in manifest.files] == ["2022", "2023", "2022", "2023"]
    for entry in manifest.files:
        content = (folder / entry.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert entry.sha256[:16] in entry.path
        footer = pq.ParquetFile(folder / entry.path)
        assert footer.schema_arrow == schema_of("ohlcv-1h")
        for at in range(footer.metadata.num_columns):
            column = footer.metadata.row_group(0).column(at)
            assert column.compression == "ZSTD"
            assert column.has_dictionary_page is (1 <= at <= 4)
    assert (folder / "HEAD").read_text() == f"{dataset.root}\n"
    leaves = (folder / "manifests" / f"{dataset.root}.leaves").read_bytes()
    assert hashlib.sha256(leaves).hexdigest() == dataset.root


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([7_000] * 10, [21_000, 21_000, 21_000, 7_000]),
        ([70_000], [65_536, 4_464]),
        ([10_000, 60_000], [10_000, 60_000]),
        ([16_384, 65_536, 1], [16_384, 65_536, 1]),
    ],
)
def test_row_groups(tmp_path: Path, lengths: list[int], groups: list[int]) -> None:
    """At most 64k rows; series stay together."""
    daily = table_from(
        {
            "datetime": np.concatenate([np.arange(length) for length in lengths]) * 10**6,
            "sector": "s",
            "broker": "b",
            "symbol": np.repeat([f"S{number}" for number in range(len(lengths))], lengths),
            "close": np.ones(sum(lengths)),
        },
        "close-1s",
    )
    (entry,) = Dataset.create(str(tmp_path)).append(daily).entries
    footer = pq.ParquetFile(tmp_path / entry.path).metadata
    assert [footer.row_group(at).num_rows for at in range(footer.num_row_groups)] == groups


@pytest.mark.parametrize(
    ("type_", "step", "periods"),
    [
        ("close-1h", 24, ["2022", "2023"]),
        ("close-1d", 24, ["all"]),
        ("close-1m", 24, ["2022-12", "2023-01"]),
        ("trades", 24, ["2022-12", "2023-01"]),
    ],
)
def test_periods(tmp_path: Path, type_: str, step: int, periods: list[str]) -> None:
    rows = {"datetime": YEAR_END + step * HOUR * np.arange(3), "sector": "s", "broker": "b", "symbol": "S"}
    values = {"price": [1.0] * 3, "volume": [1.0] * 3} if type_ == "trades" else {"close": [1.0] * 3}
    dataset = Dataset.create(str(tmp_path)).append(table_from(rows | values, type_))
    assert [entry.period for entry in dataset.entries] == periods
    assert dataset.read().num_rows == 3


def test_a_version_never_changes(dataset: Dataset) -> None:
    before = dataset.read()
    after = dataset.append(hourly(start=START + 24 * HOUR))
    assert after.root != dataset.root
    assert after.manifest is not None
    assert after.manifest.parent == dataset.root
    assert dataset.read().equals(before)
    assert Dataset.open(dataset.uri, dataset.root).read().equals(before)
    assert Dataset.open(dataset.uri).root == after.root


def test_untouched_files_are_shared(dataset: Dataset) -> None:
    after = dataset.append(hourly(start=START + 24 * HOUR))
    assert {e.path for e in dataset.entries} - {e.path for e in after.entries} == {
        e.path for e in dataset.entries if e.broker == "binance" and e.period == "2023"
    }


def test_appending_again_changes_nothing(dataset: Dataset) -> None:
    files = sorted(Path(dataset.uri).rglob("*"))
    again = dataset.append(two_years().slice(10, 70))
    assert again.root == dataset.root
    assert sorted(path for path in Path(dataset.uri).rglob("*") if path.name != ".lock") == [
        path for path in files if path.name != ".lock"
    ]


def test_overlap_adds_only_what_is_new(dataset: Dataset) -> None:
    longer = hourly(n=72, start=YEAR_END)
    after = dataset.append(longer)
    assert after.read(broker="binance", symbols=["BTC/USDT"]).equals(longer)


def test_other_values_are_refused_unless_revised(dataset: Dataset) -> None:
    wrong = with_value(hourly(start=YEAR_END), "volume", 30, 9.0)
    with pytest.raises(DataError, match=r"binance BTC/USDT 2023-01-01T06:00:00Z is there with other values \(1 such"):
        dataset.append(wrong)
    assert Dataset.open(dataset.uri).root == dataset.root
    revised = dataset.append(wrong, revise=True)
    assert revised.read(broker="binance", symbols=["BTC/USDT"]).equals(wrong)
    back = revised.append(hourly(start=YEAR_END), revise=True)
    assert back.root == dataset.root
    assert Dataset.open(dataset.uri).read().equals(dataset.read())


def test_null_against_a_value_is_another_value(dataset: Dataset) -> None:
    with pytest.raises(DataError, match="other values"):
        dataset.append(with_value(hourly(start=YEAR_END), "volume", 0, None))


def test_columns_may_be_added_later(dataset: Dataset) -> None:
    new = hourly(start=START + 24 * HOUR, n=3).append_column("trades", pa.array([1.0, 2.0, None]))
    after = dataset.append(new)
    table = after.read(broker="binance", symbols=["BTC/USDT"], columns=["trades"])
    assert table.column("trades").to_pylist() == [None] * 48 + [1.0, 2.0, None]
    assert after.append(hourly(start=YEAR_END)).root == after.root


def test_several_types_at_once(tmp_path: Path) -> None:
    daily = table_from(
        {"datetime": [START], "sector": "equity-energy", "broker": "x", "symbol": "XOM", "close": [1.0]}, "close-1d"
    )
    dataset = Dataset.create(str(tmp_path)).append(pa.concat_tables([hourly(), daily], promote_options="default"))
    assert {entry.type: entry.columns for entry in dataset.entries} == {
        "close-1d": ("close",),
        "ohlcv-1h": ("open", "high", "low", "close", "volume"),
    }
    assert dataset.read(type="close-1d").column_names[-1] == "close"
    assert dataset.read().num_rows == 49


def test_sector_may_not_change(dataset: Dataset) -> None:
    with pytest.raises(DataError, match=r"E042 .*'crypto-majors', the new rows say 'meme'"):
        dataset.append(hourly(start=START + 500 * HOUR, sector="meme"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (with_value(hourly(), "high", 3, 1.0), "E051"),
        (with_value(hourly(), "close", 3, None), "E052"),
        (hourly(start=START + 1), "E043"),
        (hourly(start=START + HOUR * 24 * 365 * 100), "E044"),
        (pa.concat_tables([hourly(), hourly()]), "E041"),
        (hourly(broker="Bin"), "E032"),
        (hourly().drop_columns("symbol"), "'symbol' is missing"),
        (hourly().set_column(0, "datetime", pa.array(range(48))), "not a UTC timestamp"),
    ],
)
def test_bad_rows_do_not_enter(tmp_path: Path, rows: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.create(str(tmp_path / "d")).append(rows)
    assert not (tmp_path / "d").exists()


def test_nothing_to_append(tmp_path: Path, dataset: Dataset) -> None:
    assert dataset.append(hourly().slice(0, 0)).root == dataset.root
    empty = Dataset.create(str(tmp_path / "e")).append(hourly().slice(0, 0))
    assert (empty.root, empty.read().num_rows, empty.series()) == (None, 0, [])
    assert not (tmp_path / "e").exists()


def test_cuts_keep_held_out_rows_away(tmp_path: Path) -> None:
    dataset = Dataset.create(str(tmp_path)).append(hourly(), cuts={"crypto-*": "2023-01-03T00:00:00+00:00"})
    with pytest.raises(DataError, match="E071"):
        dataset.append(hourly(n=49))
    other = dataset.append(hourly(start=START + 100 * HOUR, symbol="EUR/USD", sector="fx"))
    assert other.manifest is not None
    assert other.manifest.cuts == {"crypto-*": "2023-01-03T00:00:00+00:00"}
    tighter = other.append(hourly(), cuts={"fx": "2024-01-01T00:00:00+00:00"})
    assert tighter.root == other.root
    assert Dataset.open(str(tmp_path)).manifest.cuts.keys() == {"crypto-*", "fx"}  # type: ignore[union-attr]  # it has one


def test_preview_writes_nothing(dataset: Dataset) -> None:
    files = sorted(Path(dataset.uri).rglob("*"))
    new = hourly(start=START + 24 * HOUR)
    coming = preview(dataset, new, cuts={})
    assert coming is not None
    assert sorted(Path(dataset.uri).rglob("*")) == files
    assert coming.root == dataset.append(new).root
    assert preview(dataset, new, cuts={}) is None


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(5)), st.sets(st.integers(1, 143), min_size=4, max_size=4))
def test_any_partition_in_any_order_has_one_root(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: set[int]
) -> None:
    rows, edges = two_years(), [0, *sorted(cuts), 144]
    dataset = Dataset.create(str(tmp_path_factory.mktemp("d")))
    for part in order:
        dataset = dataset.append(rows.slice(edges[part], edges[part + 1] - edges[part]))
    assert dataset.root == root_of(leaves_of(rows))
    assert dataset.read().equals(ordered(rows))


class CrashError(Exception):
    """Stands for the power going off."""


@pytest.mark.parametrize("stage", ["open", "write", "replace"])
def test_a_crash_at_any_step_leaves_the_old_version(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Every file written passes through mkstemp, fsync and replace; each of them fails once for each file."""
    old, new = dataset.read(), pa.concat_tables([hourly(start=START + 24 * HOUR), hourly("A/B", start=YEAR_END)])
    place, name = {
        "open": (files.tempfile, "mkstemp"),
        "write": (files.os, "fsync"),
        "replace": (files.Path, "replace"),
    }[stage]
    original, calls, fatal = getattr(place, name), 0, 0

    def crash(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == fatal:
            raise CrashError
        return original(*args, **kwargs)

    monkeypatch.setattr(place, name, crash)
    crashes = 0
    while True:
        calls, fatal = 0, fatal + 1
        try:
            after = dataset.append(new)
        except CrashError:
            crashes += 1
            reopened = Dataset.open(dataset.uri)
            if reopened.root != dataset.root:  # only the sync of the folder came after the move of HEAD
                assert stage == "write"
                assert reopened.read().num_rows == 3 * 48 + 2 * 48
                return
            assert reopened.read().equals(old)
            assert not list(Path(dataset.uri).rglob(".tmp-*"))
            continue
        break
    assert crashes >= 5  # two data files, leaves, manifest, HEAD
    assert after.read().num_rows == 3 * 48 + 2 * 48


def test_a_first_append_that_crashed_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = str(tmp_path / "d")
    with monkeypatch.context() as patch:
        patch.setattr(appending, "move_head", lambda *_: (_ for _ in ()).throw(CrashError))
        with pytest.raises(CrashError):
            Dataset.create(place).append(hourly())
    with pytest.raises(DataError, match="first append did not finish"):
        Dataset.open(place)
    assert Dataset.create(place).append(hourly()).read().num_rows == 48


def test_full_disk_is_said_plainly(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device; free space"):
        dataset.append(hourly(start=START + 24 * HOUR))
    monkeypatch.undo()
    assert Dataset.open(dataset.uri).root == dataset.root


def _append_symbols(uri: str, symbols: list[str]) -> None:
    for symbol in symbols:
        Dataset.create(uri).append(hourly(symbol, n=5))


def test_two_appenders_lose_nothing(tmp_path: Path) -> None:
    uri = str(tmp_path / "d")
    names = [[f"{side}{number}/USD" for number in range(4)] for side in "AB"]
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_symbols, args=(uri, side)) for side in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert [one.symbol for one in Dataset.open(uri).series()] == sorted([*names[0], *names[1]])


def test_the_loser_of_a_race_merges_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    move, others = filesystem.move_head, [hourly(f"O{n}/USD", n=3) for n in range(2)]

    def raced(storage: filesystem.LocalStorage, root: str, tag: str | None) -> bool:
        if others:
            rows = others.pop()
            with monkeypatch.context() as patch:
                patch.setattr(appending, "move_head", move)
                Dataset.open(storage.uri).append(rows)
        return move(storage, root, tag)

    monkeypatch.setattr(appending, "move_head", raced)
    after = dataset.append(hourly("MINE/USD", n=3))
    assert [one.symbol for one in after.series() if "USD" in one.symbol and one.rows == 3] == [
        "MINE/USD",
        "O0/USD",
        "O1/USD",
    ]
    monkeypatch.setattr(appending, "move_head", lambda *_: False)
    with pytest.raises(DataError, match="HEAD moved 20 times"):
        dataset.append(hourly("LATE/USD", n=3))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "HEAD").write_text("nonsense"), "not a root"),
        (lambda d: (d / "HEAD").write_text("0" * 64), "no version"),
        (lambda d: next((d / "manifests").glob("*.json")).write_text("{"), "is damaged"),
        (lambda d: next((d / "manifests").glob("*.json")).write_text('{"format": "ltds-9"}'), "ltds-9"),
        (lambda d: next((d / "data").rglob("*.parquet")).unlink(), "cannot read"),
        (lambda d: next((d / "data").rglob("*.parquet")).write_bytes(b"PAR1"), "cannot read"),
    ],
)
def test_damage_is_said_plainly(dataset: Dataset, damage: object, message: str) -> None:
    damage(Path(dataset.uri))  # type: ignore[operator]  # a lambda of the list above
    with pytest.raises(DataError, match=message):
        Dataset.open(dataset.uri).read()


def test_damaged_leaves_stop_an_append(dataset: Dataset) -> None:
    next((Path(dataset.uri) / "manifests").glob("*.leaves")).write_text("x\ty\n")
    with pytest.raises(DataError, match="missing or damaged"):
        Dataset.open(dataset.uri).append(hourly("NEW/USD"))


def test_a_manifest_cannot_point_outside(dataset: Dataset) -> None:
    manifest = dataset.manifest
    assert manifest is not None
    raw = json.loads(manifest.to_json())
    raw["files"][0]["path"] = "data/../../secret"
    with pytest.raises(DataError, match="outside the dataset"):
        parse_manifest(json.dumps(raw).encode(), "m")
    assert parse_manifest(manifest.to_json(), "m") == manifest


@pytest.mark.parametrize("uri", ["nowhere", "http://example.org/x"])
def test_nothing_there(tmp_path: Path, uri: str) -> None:
    with pytest.raises(DataError, match=r"no dataset there|unknown kind of address"):
        Dataset.open(uri if "://" in uri else str(tmp_path / uri))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no dataset there"):
        Dataset.open(str(tmp_path / "empty"))


def test_another_root_than_asked_for(anywhere: Dataset) -> None:
    with pytest.raises(DataError, match=r"not 0000|no version 0000"):
        Dataset.open(anywhere.uri, "0" * 64)


def test_bare_files_must_have_keys_and_a_time_zone(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(hourly().drop_columns("broker"), path)
    with pytest.raises(DataError, match="'broker' is missing"):
        Dataset.open(str(path)).read()
    naive = hourly()
    pq.write_table(naive.set_column(0, "datetime", naive.column(0).cast(pa.timestamp("us"))), path)
    with pytest.raises(DataError, match="ltdata import"):
        Dataset.open(str(path)).read()


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_bare_files_with_other_text_types(tmp_path: Path, kind: pa.DataType) -> None:
    table = hourly()
    other = table.cast(pa.schema([f.with_type(kind) if f.type == pa.string() else f for f in table.schema]))
    for broker in ("binance",):
        path = tmp_path / "type=ohlcv-1h" / f"broker={broker}" / "2023.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(other, path)
    dataset = Dataset.open(str(tmp_path))
    assert dataset.read(symbols=["BTC/USDT"]).equals(table)
    assert dataset.root == root_of(leaves_of(table))
