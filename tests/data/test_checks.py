"""Every error and warning code, each shown by a file that has the fault and nothing else wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_series import HOUR, NOW_US, START, hourly, with_column, with_value

from data.appending import parquet_bytes
from data.checks import check, warnings_of
from data.dataset import Dataset
from data.rules import EXAMPLES, RULES
from data.schema import table_from

FILE = "type=ohlcv-1h/broker=binance/2023.parquet"
HOURS = 400


def good() -> pa.Table:
    """Two symbols, nothing wrong, no warning."""
    return pa.concat_tables([hourly("BTC/USDT", HOURS), hourly("ETH/USDT", HOURS, seed=1)])


def put(folder: Path, table: pa.Table, path: str = FILE) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target)
    return target


def codes(place: Path, **options: int) -> list[str]:
    return sorted(check(str(place), now=NOW_US, **options).findings)


def renamed(table: pa.Table, **names: str) -> pa.Table:
    return table.rename_columns([names.get(name, name) for name in table.column_names])


def retyped(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, table.column(name).cast(kind))


def nullable(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))


def closes(values: np.ndarray, **keys: object) -> pa.Table:
    rows = {
        "datetime": START + HOUR * np.arange(len(values)),
        "sector": "fx",
        "broker": "a",
        "symbol": "X",
        "close": values,
    }
    return table_from(rows | keys, "close-1h")


ONE_FILE: dict[str, Callable[[pa.Table], pa.Table]] = {
    "E010": lambda t: t.select(["sector", "datetime", *t.column_names[2:]]),
    "E011": lambda t: t.drop_columns("volume"),
    "E020": lambda t: retyped(t, "datetime", pa.timestamp("us")),
    "E022": lambda t: t.set_column(1, "sector", pa.array([1] * t.num_rows)),
    "E023": lambda t: t.append_column("Trades", pa.array([1.0] * t.num_rows)),
    "E024": lambda t: retyped(t, "volume", pa.float32()),
    "E030": lambda t: with_value(nullable(t), "symbol", 5, None),
    "E031": lambda t: t.slice(0, 0),
    "E032": lambda t: with_column(t, "symbol", ["BTC USDT"] * HOURS + ["ETH/USDT"] * HOURS),
    "E033": lambda t: with_column(t, "broker", ["kraken"] * t.num_rows),
    "E040": lambda t: pa.concat_tables([t.slice(HOURS), t.slice(0, HOURS)]),
    "E041": lambda t: pa.concat_tables([t.slice(0, 8), t.slice(7)]),
    "E042": lambda t: with_column(t, "sector", ["crypto-majors"] * 7 + ["meme"] * (t.num_rows - 7)),
    "E043": lambda t: with_value(t, "datetime", 0, START - 1),
    "E044": lambda t: with_value(t, "datetime", HOURS - 1, NOW_US // HOUR * HOUR),
    "E050": lambda t: with_value(t, "volume", 3, float("inf")),
    "E051": lambda t: with_value(t, "high", 3, 1.0),
    "E052": lambda t: with_value(t, "close", 3, None),
    "E053": lambda t: with_value(t, "volume", 3, -1.0),
    "W021": lambda t: retyped(t, "symbol", pa.dictionary(pa.int32(), pa.string())),
    "W022": lambda t: t.set_column(9, "volume", pa.array([float("nan")] * t.num_rows, from_pandas=False)),
}
SIDE_EFFECTS = {"E044": {"W060", "W064"}}  # a bar in 2030 leaves a gap behind it


def test_a_good_tree_has_no_complaints(tmp_path: Path) -> None:
    put(tmp_path, good())
    report = check(str(tmp_path), now=NOW_US)
    assert report.findings == {}
    assert (report.rows, report.series, report.files) == (2 * HOURS, 2, 1)
    assert report.root == Dataset.open(str(tmp_path)).root


@pytest.mark.parametrize("code", ONE_FILE)
def test_a_fault_in_one_file(tmp_path: Path, code: str) -> None:
    put(tmp_path, ONE_FILE[code](good()))
    report = check(str(tmp_path), now=NOW_US)
    assert set(report.findings) - SIDE_EFFECTS.get(code, set()) == {code}
    assert bool(report.errors) == code.startswith("E")
    assert (report.root is None) == code.startswith("E")
    assert report.findings[code].examples[0].file == FILE


@pytest.mark.parametrize(
    ("code", "row", "series", "value"),
    [
        ("E051", 3, "ohlcv-1h/binance BTC/USDT", "2023-01-01T03:00:00Z open="),
        ("E053", 3, "ohlcv-1h/binance BTC/USDT", "volume=-1.0"),
        ("E041", 8, "ohlcv-1h/binance BTC/USDT", "2023-01-01T07:00:00Z"),
        ("E042", 7, "ohlcv-1h/binance BTC/USDT", "sector=meme"),
        ("E040", HOURS, "ohlcv-1h/binance BTC/USDT", "2023-01-01"),
        ("E043", 0, "ohlcv-1h/binance BTC/USDT", "2022-12-31T23:59:59.999999Z"),
    ],
)
def test_the_offending_row_is_named(tmp_path: Path, code: str, row: int, series: str, value: str) -> None:
    put(tmp_path, ONE_FILE[code](good()))
    example = check(str(tmp_path), now=NOW_US).findings[code].examples[0]
    assert (example.row, example.series) == (row, series)
    assert value in example.value


def test_rows_are_named_as_they_lie_in_an_unsorted_file(tmp_path: Path) -> None:
    table = with_value(good(), "volume", 3, -1.0)
    put(tmp_path, pa.concat_tables([table.slice(HOURS), table.slice(0, HOURS)]))
    findings = check(str(tmp_path), now=NOW_US).findings
    assert (findings["E053"].examples[0].row, findings["E040"].count) == (HOURS + 3, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.drop_columns("sector"), "E010"),
        (lambda t: t.select([*t.column_names[:5], "high", "open", "low", "close", "volume"]), "E010"),
        (lambda t: t.select(t.column_names[:5]), "E011"),
        (lambda t: retyped(t, "datetime", pa.timestamp("ns", tz="UTC")), "E020"),
        (lambda t: retyped(t, "datetime", pa.timestamp("us", tz="Europe/Paris")), "E020"),
        (lambda t: with_value(nullable(t), "datetime", 5, None), "E030"),
        (lambda t: with_column(t, "type", ["ohlcv-60m"] * t.num_rows), "E032"),
        (lambda t: with_value(t, "low", 3, 0.0), "E051"),
        (lambda t: with_value(t, "low", 3, 1000.0), "E051"),
        (lambda t: with_value(t, "open", 3, 1000.0), "E051"),
        (lambda t: retyped(t, "symbol", pa.large_string()), "W021"),
    ],
)
def test_other_faults_of_the_same_kind(tmp_path: Path, change: Callable[[pa.Table], pa.Table], code: str) -> None:
    put(tmp_path, change(good()))
    assert code in codes(tmp_path)


def test_unknown_prices_contradict_nothing(tmp_path: Path) -> None:
    table = good()
    for name in ("open", "high", "low", "volume"):
        table = with_value(table, name, 3, None)
    put(tmp_path, table)
    assert codes(tmp_path) == []


def test_extra_columns_are_welcome(tmp_path: Path) -> None:
    put(tmp_path, good().append_column("trades", pa.nulls(2 * HOURS, pa.float64())))
    assert codes(tmp_path) == []


def test_unreadable_file(tmp_path: Path) -> None:
    put(tmp_path, good())
    (tmp_path / "type=ohlcv-1h/broker=binance/2024.parquet").write_bytes(b"PAR1 torn")
    assert codes(tmp_path) == ["E001"]


def test_examples_are_bounded_and_the_count_is_whole(tmp_path: Path) -> None:
    put(tmp_path, with_column(good(), "volume", [-1.0] * 2 * HOURS))
    finding = check(str(tmp_path), now=NOW_US).findings["E053"]
    assert (finding.count, len(finding.examples)) == (2 * HOURS, EXAMPLES)


def test_faults_between_files(tmp_path: Path) -> None:
    put(tmp_path, good().slice(0, HOURS))
    put(tmp_path, good().slice(HOURS - 1), FILE.replace("2023", "more"))
    assert codes(tmp_path) == ["E041"]
    put(
        tmp_path,
        with_column(good().slice(HOURS // 2, HOURS // 2), "sector", ["meme"] * (HOURS // 2)),
        FILE.replace("2023", "more"),
    )
    put(tmp_path, good().slice(0, HOURS // 2))
    assert codes(tmp_path) == ["E042"]


def test_a_month_split_over_files_has_the_same_root(tmp_path: Path) -> None:
    put(tmp_path, good().slice(0, 100))
    put(tmp_path, good().slice(100), FILE.replace("2023", "more"))
    put(tmp_path / "whole", good())
    assert check(str(tmp_path / "type=ohlcv-1h" / ".."), now=NOW_US).files == 3
    shutil.rmtree(tmp_path / "whole")
    report = check(str(tmp_path), now=NOW_US)
    assert report.root == Dataset.open(str(tmp_path)).root is not None


def test_manifest_that_tells_another_story(tmp_path: Path) -> None:
    dataset = Dataset.create(str(tmp_path)).append(good())
    assert codes(tmp_path) == []
    (entry,) = dataset.entries
    (tmp_path / entry.path).write_bytes(parquet_bytes(with_value(good(), "volume", 3, 1.5)))
    finding = check(str(tmp_path), now=NOW_US).findings["E070"]
    assert [example.value[:6] for example in finding.examples] == ["sha256"]
    manifest = tmp_path / "manifests" / f"{dataset.root}.json"
    manifest.write_text(manifest.read_text().replace(entry.sha256, ""))
    example = check(str(tmp_path), now=NOW_US).findings["E070"].examples[0]
    assert "rows have root" in example.value
    (tmp_path / entry.path).unlink()
    assert codes(tmp_path) == ["E001"]


def test_held_out_rows(tmp_path: Path) -> None:
    put(tmp_path, good())
    assert codes(tmp_path, held_out=START + HOURS * HOUR) == []
    report = check(str(tmp_path), now=NOW_US, held_out=START + (HOURS - 2) * HOUR)
    assert report.findings["E071"].count == 4
    assert report.findings["E071"].examples[0].row == HOURS - 2


def test_held_out_rows_by_the_cuts_of_the_manifest(tmp_path: Path) -> None:
    dataset = Dataset.create(str(tmp_path)).append(good())
    day = datetime(2023, 1, 5, tzinfo=UTC).isoformat()
    dataset.append(hourly("EUR/USD", sector="fx"), cuts={"crypto-*": day, "equity*": "2001-01-01"})
    assert codes(tmp_path) == ["E071"]


def test_gaps_of_a_market_that_never_closes(tmp_path: Path) -> None:
    put(tmp_path, pa.concat_tables([good().slice(0, 100), good().slice(150)]))
    report = check(str(tmp_path), now=NOW_US)
    assert list(report.findings) == ["W060", "W064"]
    value = report.findings["W060"].examples[0].value
    assert value == "1 gaps, 50 bars; the longest 2023-01-05T03:00:00Z to 2023-01-07T06:00:00Z"
    assert report.errors == []


def test_jumps_are_seen_but_not_across_gaps(tmp_path: Path) -> None:
    values = np.exp(np.random.default_rng(3).normal(0, 0.01, HOURS))
    values[199:201] = 1.0, 3.0
    values[201:] *= 3
    table = closes(values)
    assert [f.examples[0].value for f in warnings_of(table).warnings()] == [
        "1 jumps; the largest +1.10 at 2023-01-09T08:00:00Z"
    ]
    assert "W061" not in warnings_of(pa.concat_tables([table.slice(0, 190), table.slice(210)]))


def test_stale_closes() -> None:
    values = np.exp(np.random.default_rng(3).normal(0, 0.01, HOURS))
    values[100:125] = 1.5
    assert warnings_of(closes(values))["W062"].examples[0].value == "25 bars at 1.5 from 2023-01-05T04:00:00Z"
    values[124] = 1.6
    assert warnings_of(closes(values)) == {}


@pytest.mark.parametrize("lag", [-5, 0, 3])
def test_a_broker_whose_clock_is_wrong(lag: int) -> None:
    rng = np.random.default_rng(7)
    walk = np.cumsum(rng.normal(0, 0.01, 1000))
    right = np.exp(walk + rng.normal(0, 0.001, 1000))
    other = np.exp(walk + rng.normal(0, 0.001, 1000))
    pair = [closes(right), closes(other, broker="b", datetime=START + HOUR * (np.arange(1000) + lag))]
    findings = warnings_of(pa.concat_tables(pair))
    if lag == 0:
        assert "W063" not in findings
    else:
        example = findings["W063"].examples[0]
        assert example.series == "close-1h X a v b"
        assert f"at lag {lag:+d} bars" in example.value


def test_a_perpetual_is_a_peer_of_its_spot_pair() -> None:
    walk = np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, 1000)))
    spot = closes(walk, symbol="BTC/USDT")
    perpetual = closes(walk, symbol="BTC/USDT:USDT", broker="b", datetime=START + HOUR * (np.arange(1000) + 2))
    other = closes(walk, symbol="ETH/USDT", broker="c", datetime=START + HOUR * (np.arange(1000) + 2))
    assert warnings_of(pa.concat_tables([spot, perpetual]))["W063"].count == 1
    assert "W063" not in warnings_of(pa.concat_tables([spot, other]))


def test_every_code_is_shown_and_documented() -> None:
    shown = {*ONE_FILE, "E001", "E070", "E071", "W060", "W061", "W062", "W063", "W064"}
    assert shown == set(RULES)
    docs = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert [code for code in RULES if f"`{code}`" not in docs] == []
