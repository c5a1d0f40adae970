"""Files as they really are: every fault that was met in downloads, on small files."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from data.clock import parse_zone
from data.importer import ImportReport, Plan, import_files
from protocol.errors import DataError

NOW = 1_800_000_000_000_000
HEADER = "unix,open,high,low,close,volume\n"


def bar(moment: object, price: float = 2.0) -> str:
    return f"{moment},{price},{price + 1},{price - 1},{price},10\n"


def plan(**options: Any) -> Plan:
    standard = {"type": "ohlcv-1h", "broker": "gemini", "symbol": "BTC/USD", "sector": "crypto-majors", "now": NOW}
    return Plan(**(standard | options))


def bring(tmp_path: Path, text: str, name: str = "a.csv", **options: Any) -> tuple[pa.Table, ImportReport]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return import_files([path], plan(**options))


def hours(table: pa.Table) -> list[str]:
    return [f"{moment:%m-%d %H:%M}" for moment in table.column("datetime").to_pylist()]


def test_seconds_and_milliseconds_in_one_column(tmp_path: Path) -> None:
    text = HEADER + bar(1600002000000) + bar(1599998400) + bar("1599994800.0") + bar(1599991200000000)
    table, report = bring(tmp_path, text)
    assert hours(table) == ["09-13 10:00", "09-13 11:00", "09-13 12:00", "09-13 13:00"]
    assert report.notes == ["a.csv: times are mixed: 1 in ms, 2 in s, 1 in us"]
    assert (report.read, report.kept, report.dropped) == (4, 4, {})


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", 1600002000), ("ms", 1600002000000), ("us", 1600002000 * 10**6), ("ns", 1600002000 * 10**9)],
)
def test_units_on_demand(tmp_path: Path, unit: str, number: int) -> None:
    assert hours(bring(tmp_path, HEADER + bar(number), unit=unit)[0]) == ["09-13 13:00"]


def test_columns_in_another_order_under_other_names(tmp_path: Path) -> None:
    text = "MTS,OPEN,CLOSE,HIGH,LOW,Volume BTC,Trades\n1600002000000,1,2,3,0.5,7,4\n"
    columns = {"datetime": "MTS", "volume": "Volume BTC", "trades": "Trades"}
    (row,) = bring(tmp_path, text, columns=columns)[0].to_pylist()
    assert {name: row[name] for name in ("open", "high", "low", "close", "volume", "trades")} == {
        "open": 1.0,
        "high": 3.0,
        "low": 0.5,
        "close": 2.0,
        "volume": 7.0,
        "trades": 4.0,
    }


def test_lines_above_the_header_and_comments(tmp_path: Path) -> None:
    text = f"https://www.example.org\nDownloaded, today\n{HEADER}# half time\n{bar(1600002000)}\n"
    table, report = bring(tmp_path, "\ufeff" + text)
    assert hours(table) == ["09-13 13:00"]
    assert report.notes == ["a.csv: 2 lines above the header left out"]


def test_unused_columns_are_named(tmp_path: Path) -> None:
    _, report = bring(tmp_path, "unix,symbol,open,high,low,close,volume\n1600002000,X,2,3,1,2,9\n")
    assert report.notes == ["a.csv: columns not used: symbol"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_and_quotes(tmp_path: Path, delimiter: str) -> None:
    text = (HEADER + bar('"1600002000"')).replace(",", delimiter).replace("\n", "\r\n")
    assert bring(tmp_path, text)[0].num_rows == 1


def test_without_a_header(tmp_path: Path) -> None:
    columns = {"datetime": "1", "open": "2", "high": "3", "low": "4", "close": "5", "volume": "6"}
    assert bring(tmp_path, bar(1600002000) + bar(1600005600), header=False, columns=columns)[0].num_rows == 2


def test_a_column_that_the_file_has_not(tmp_path: Path) -> None:
    text = "date,open,high,low,close\n2020-01-01T00:00:00Z,2,3,1,2\n"
    with pytest.raises(DataError, match="has not a column for volume; it has date, open"):
        bring(tmp_path, text)
    table, _ = bring(tmp_path, text, columns={"volume": ""})
    assert table.column("volume").to_pylist() == [None]
    with pytest.raises(DataError, match="has not column 'Vol' for volume"):
        bring(tmp_path, text, columns={"volume": "Vol"})


def test_repeated_hours(tmp_path: Path) -> None:
    text = HEADER + bar(1600002000) + bar(1600005600) + bar(1600002000)
    table, report = bring(tmp_path, text)
    assert hours(table) == ["09-13 13:00", "09-13 14:00"]
    assert report.dropped == {"repeated with equal values": 1}


@pytest.mark.parametrize(("rule", "close"), [("first", [2.0, 5.0]), ("last", [3.0, 5.0]), ("drop", [5.0])])
def test_contradicting_hours(tmp_path: Path, rule: str, close: list[float]) -> None:
    text = HEADER + bar(1600002000, 2) + bar(1600005600, 5) + bar(1600002000, 3)
    with pytest.raises(DataError, match=r"a.csv line 2 and a.csv line 4 give different values .*\(1 such bars\)"):
        bring(tmp_path, text)
    table, report = bring(tmp_path, text, conflicts=rule)
    assert table.column("close").to_pylist() == close
    assert sum(report.dropped.values()) == 3 - len(close)


def test_repeats_across_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        path.write_text(HEADER + bar(1600002000) + bar(1600005600))
    table, report = import_files(paths, plan())
    assert (table.num_rows, report.dropped) == (2, {"repeated with equal values": 2})


def test_the_partial_last_bar(tmp_path: Path) -> None:
    text = HEADER + bar(1600002000) + bar(1600005600)
    table, report = bring(tmp_path, text, now=(1600005600 + 3599) * 10**6)
    assert hours(table) == ["09-13 13:00"]
    assert report.dropped == {"bar not closed yet": 1}
    assert bring(tmp_path, text, now=(1600005600 + 3600) * 10**6)[0].num_rows == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (bar("yesterday"), "time is not readable"),
        (bar("12345"), "time is not readable"),
        (bar(""), "time is not readable"),
        ("1600005600,x,3,1,2,10\n", "open 'x' is no number"),
        ("1600005600,1,2\n", "3 fields instead of 6"),
        ("1600005600,2,1,3,2,10\n", "E051"),
        ("1600005600,2,3,1,,10\n", "E052"),
        ("1600005600,2,3,1,2,-10\n", "E053"),
        ("1600005600,2,3,1,2,inf\n", "E050"),
        (bar(1600005601), "E043"),
    ],
)
def test_bad_rows_stop_the_import_or_are_counted(tmp_path: Path, line: str, problem: str) -> None:
    text = HEADER + bar(1600002000) + line + bar(1600009200)
    with pytest.raises(DataError, match=f"1 bad rows: a.csv line 3: {problem}.*--skip-bad"):
        bring(tmp_path, text)
    table, report = bring(tmp_path, text, skip_bad=True)
    assert hours(table) == ["09-13 13:00", "09-13 15:00"]
    assert report.dropped == {"bad row": 1}
    assert (report.bad[0]["file"], report.bad[0]["line"]) == ("a.csv", 3)
    assert report.read == report.kept + report.dropped.total()


def test_missing_values_are_null(tmp_path: Path) -> None:
    text = HEADER + "1600002000,,nan,NULL,2,N/A\n"
    (row,) = bring(tmp_path, text)[0].to_pylist()
    assert [row[name] for name in ("open", "high", "low", "close", "volume")] == [None, None, None, 2.0, None]


def texts(tmp_path: Path, words: list[str], **options: Any) -> list[str]:
    return hours(bring(tmp_path, HEADER + "".join(bar(word) for word in words), **options)[0])


@pytest.mark.parametrize(
    ("word", "hour"),
    [
        ("2020-01-01 05:00:00", "01-01 05:00"),
        ("2020-01-01T05:00Z", "01-01 05:00"),
        ("2020-01-01T05:00:00.000+02:00", "01-01 03:00"),
        ("2020-01-01", "01-01 00:00"),
    ],
)
def test_iso_texts(tmp_path: Path, word: str, hour: str) -> None:
    assert texts(tmp_path, [word]) == [hour]


def test_other_texts_by_pattern(tmp_path: Path) -> None:
    assert texts(tmp_path, ["2020-01-01 05-PM"], pattern="%Y-%m-%d %I-%p") == ["01-01 17:00"]
    assert texts(tmp_path, ["20200101 170000000"], pattern="%Y%m%d %H%M%S%f") == ["01-01 17:00"]


def test_a_broker_with_a_fixed_offset(tmp_path: Path) -> None:
    zone = parse_zone("UTC-05:00")
    assert texts(tmp_path, ["2020-01-01 05:00"], zone=zone) == ["01-01 10:00"]
    assert texts(tmp_path, ["1577854800"], zone=zone) == ["01-01 10:00"]  # its epochs are local, too
    assert texts(tmp_path, ["2020-01-01T05:00Z"], zone=zone) == ["01-01 05:00"]


FOLD = ["2021-11-07 00:00", "2021-11-07 01:00", "2021-11-07 01:00", "2021-11-07 02:00"]
FOLD_UTC = ["11-07 04:00", "11-07 05:00", "11-07 06:00", "11-07 07:00"]


@pytest.mark.parametrize("words", [FOLD, FOLD[::-1]])
def test_the_hour_that_clocks_repeat(tmp_path: Path, words: list[str]) -> None:
    assert texts(tmp_path, words, zone=parse_zone("America/New_York")) == FOLD_UTC


def test_the_repeated_hour_is_told_apart_per_symbol(tmp_path: Path) -> None:
    head = "unix,ticker,open,high,low,close,volume\n"
    rows = [f"{word},{ticker},2,3,1,2,9\n" for word in FOLD for ticker in ("A", "B")]
    table, _ = bring(
        tmp_path, head + "".join(rows), zone=parse_zone("America/New_York"), symbol="", columns={"symbol": "ticker"}
    )
    assert hours(table) == FOLD_UTC * 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (FOLD[:2] + FOLD[3:], "line 3: local time that clocks repeat"),
        (["2021-03-14 02:00"], "line 2: local time skipped"),
    ],
)
def test_local_times_without_an_answer(tmp_path: Path, words: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        texts(tmp_path, words, zone=parse_zone("America/New_York"))


def test_dates_of_daily_bars_are_not_moved(tmp_path: Path) -> None:
    for words in (["20200102", "20200103"], ["2020-01-02", "2020-01-03"], ["1577923200", "1578009600"]):
        zone = parse_zone("America/New_York")
        assert texts(tmp_path, words, type="ohlcv-1d", zone=zone) == ["01-02 00:00", "01-03 00:00"]


def test_times_that_name_the_close(tmp_path: Path) -> None:
    assert texts(tmp_path, ["2020-01-01 05:00"], stamp="close") == ["01-01 04:00"]


@pytest.mark.parametrize("name", ["Mars/Olympus", "UTC+99", "../etc"])
def test_unknown_zone(name: str) -> None:
    with pytest.raises(DataError, match="time zone"):
        parse_zone(name)


def test_zones() -> None:
    assert [
        parse_zone(name).utcoffset(datetime(2020, 1, 1, tzinfo=UTC)).total_seconds()
        for name in ("UTC", "utc-05:00", "+0530", "Asia/Tokyo")  # type: ignore[union-attr]  # never None
    ] == [0, -18_000, 19_800, 32_400]


def frame() -> pd.DataFrame:
    moments = pd.date_range("2020-01-01", periods=3, freq="h", tz="UTC")
    return pd.DataFrame(
        {"date": moments, "open": 2.0, "high": 3.0, "low": 1.0, "close": [2.0, 2.5, float("nan")], "volume": 1}
    )


def test_feather_and_parquet(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(frame())
    feather.write_feather(table, tmp_path / "a.feather")
    pq.write_table(table, tmp_path / "a.parquet")
    for name in ("a.feather", "a.parquet"):
        with pytest.raises(DataError, match=f"{name} line 3: E052"):
            import_files([tmp_path / name], plan())
        assert hours(import_files([tmp_path / name], plan(skip_bad=True))[0]) == ["01-01 00:00", "01-01 01:00"]


def test_naive_timestamps_are_on_the_files_clock(tmp_path: Path) -> None:
    naive = frame().assign(date=pd.date_range("2020-01-01", periods=3, freq="h"), close=2.0)
    feather.write_feather(naive, tmp_path / "a.feather")
    table, _ = import_files([tmp_path / "a.feather"], plan(zone=parse_zone("UTC-05:00")))
    assert hours(table)[0] == "01-01 05:00"


def test_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((HEADER + bar(1600002000)).encode()))
    assert import_files([tmp_path / "a.csv.gz"], plan())[0].num_rows == 1


def test_symbols_and_sectors_from_columns(tmp_path: Path) -> None:
    text = "date,ticker,gics,close\n2020-01-01,XOM,equity-energy,5\n2020-01-01,JPM,equity-financials,6\n"
    table, _ = bring(
        tmp_path, text, type="close-1d", symbol="", sector="", columns={"symbol": "ticker", "sector": "gics"}
    )
    assert table.column("symbol").to_pylist() == ["JPM", "XOM"]
    assert table.column("sector").to_pylist() == ["equity-financials", "equity-energy"]
    with pytest.raises(DataError, match="symbol 'X M'"):
        bring(
            tmp_path, text.replace("XOM", "X M"), type="close-1d", symbol="", sector="s", columns={"symbol": "ticker"}
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"\xff\xfe\x00", "damaged or no CSV"),
        (b"PAR1 torn", "damaged"),
        (b"ARROW1 torn", "damaged"),
        (b"\x1f\x8b torn", "damaged"),
        (b"<html>busy</html>\n", "has not a column for datetime"),
        (HEADER.encode(), "no row is left of 0: the files hold none"),
    ],
)
def test_files_that_are_no_data(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        import_files([tmp_path / "a.csv"], plan())


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        import_files([tmp_path / "a.csv"], plan())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "ohlcv-60m"}, "write 'ohlcv-1h'"),
        ({"broker": "Gemini"}, "broker 'Gemini'"),
        ({"symbol": ""}, "symbol ''"),
        ({"columns": {"Trades": "x"}}, "lower_snake"),
    ],
)
def test_bad_plans(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        plan(**options)


def test_files_longer_than_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.rawfile.CHUNK", 7)
    text = HEADER + "".join(bar(1600002000 + 3600 * hour) for hour in range(20)) + "torn\n"
    table, report = bring(tmp_path, text, skip_bad=True)
    assert (table.num_rows, report.bad[0]["line"]) == (20, 22)
