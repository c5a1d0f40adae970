"""What cannot be mined, and command lines that make no sense: a clear message, the right exit code, nothing left behind."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from made_calls import SMALL, call_main, failed
from made_runs import TOPIC_FILE, write_series

from data.schema import table_from
from data.synthetic import synthetic
from miner import run as run_module
from miner.engine import SearchResult
from miner.search import PruningCount


def written(path: Path, table: pa.Table) -> str:
    pq.write_table(table, path)
    return str(path)


def unsorted(folder: Path) -> str:
    table = synthetic("noise", n_symbols=6, n_bars=600)
    return written(folder / "x.parquet", table.take(np.random.default_rng(0).permutation(table.num_rows)))


def repeated(folder: Path) -> str:
    table = synthetic("noise", n_symbols=6, n_bars=600)
    return written(folder / "x.parquet", pa.concat_tables([table.slice(0, 1), table]))


def infinite(folder: Path) -> str:
    table = synthetic("noise", n_symbols=6, n_bars=600)
    volume = table["volume"].to_numpy().copy()
    volume[77] = np.inf
    return written(
        folder / "x.parquet", table.set_column(table.column_names.index("volume"), "volume", pa.array(volume))
    )


def future(folder: Path) -> str:
    table = synthetic("noise", n_symbols=6, n_bars=600)
    moved = pa.array(
        table["datetime"].cast(pa.int64()).to_numpy() + 400 * 365 * 86_400_000_000, pa.timestamp("us", "UTC")
    )
    return written(folder / "x.parquet", table.set_column(0, table.schema.field(0), moved))


def steady(folder: Path) -> str:
    """Growth without end: the same clipped target everywhere."""
    n, symbols = 600, [f"S{number}" for number in range(6)]
    noise = 1 + 1e-9 * np.random.default_rng(0).standard_normal(n)
    price = np.tile(100 * np.exp(0.001 * np.arange(n)) * noise, 6)
    first = 1_577_836_800_000_000
    rows = {
        "datetime": np.tile(first + 3_600_000_000 * np.arange(n), 6),
        "sector": "synthetic",
        "broker": "synthetic",
        "symbol": np.repeat(symbols, n),
        **dict.fromkeys(("open", "high", "low", "close"), price),
        "volume": np.ones(6 * n),
    }
    return written(folder / "x.parquet", table_from(rows, "ohlcv-1h"))


def absent(folder: Path) -> str:
    return str(folder / "nothing")


def empty_folder(folder: Path) -> str:
    (folder / "data").mkdir()
    return str(folder / "data")


def no_rows(folder: Path) -> str:
    return written(folder / "x.parquet", synthetic("noise", n_symbols=6, n_bars=600).slice(0, 0))


def no_parquet(folder: Path) -> str:
    (folder / "x.parquet").write_bytes(b"time,close\n1,2\n")
    return str(folder / "x.parquet")


def nothing_in_it(folder: Path) -> str:
    (folder / "x.parquet").write_bytes(b"")
    return str(folder / "x.parquet")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (absent, ["no dataset there", "ltdata"]),
        (empty_folder, ["no dataset there"]),
        (no_parquet, ["ltdata check"]),
        (nothing_in_it, ["x.parquet", "ltdata check"]),
        (no_rows, ["x.parquet"]),
        (unsorted, ["breaks the format: E040 rows are not sorted", "ltdata check"]),
        (repeated, ["occurs twice", "ltdata check"]),
        (infinite, ["E050 infinite value (1)"]),
        (future, ["E044"]),
        (steady, ["the target is 5.0 in all", "nothing to predict"]),
        (lambda folder: write_series(folder, "noise", n_bars=100), ["none of 600 rows is usable", "use longer series"]),
        (
            lambda folder: write_series(folder, "noise", n_bars=300),
            ["timestamps are too few for 5 folds", "use more data"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_data_that_cannot_be_mined_is_refused(
    make: Any, words: list[str], topic: str, home: Path, tmp_path: Path
) -> None:
    uri = make(tmp_path)
    for _ in range(2):  # a cache must not make it acceptable
        result = call_main("--data", uri, "--topic", topic, "--out", str(tmp_path / "out"))
        failed(result, 3, *words)
    assert not (tmp_path / "out").exists()
    assert not (home / "state").exists()


def test_errors_are_json_for_machines(home: Path) -> None:
    result = call_main("--data", "/no/such/place", "--json")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert json.loads(result.stderr)["code"] == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('symbols = ["S0O1"]', ["S0O1", "did you mean S001"]),
        ('symbols = ["S001", "BTC/USDT"]', ["no rows of", "BTC/USDT", "ltdata show"]),
        ('sector = "synthetik"', ["synthetik", "did you mean synthetic"]),
        ('sector = "crypto"', ["sector crypto", "ltdata show"]),
        ('features = "standard-9"', ["'standard-9' is unknown; did you mean 'standard-1'?"]),
        ('color = "red"', ["unknown key 'color'"]),
    ],
)
def test_topics_that_do_not_fit_the_data_are_refused(
    series: str, home: Path, tmp_path: Path, line: str, words: list[str]
) -> None:
    (tmp_path / "t.toml").write_text(TOPIC_FILE + line + "\n")
    failed(call_main("--data", series, "--topic", str(tmp_path / "t.toml")), 3, *words)


def test_a_horizon_beyond_the_data_is_refused(series: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TOPIC_FILE.replace("horizon = 1", "horizon = 500"))
    failed(call_main("--data", series, "--topic", str(tmp_path / "t.toml")), 3, "shorter horizon")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--evaluations", "0"], 2, "0 is not in the range"),
        (["--evaluations", "-5"], 2, "is not in the range"),
        (["--time-budget", "0s"], 2, "time budget '0s' is no duration above zero"),
        (["--time-budget", "soon"], 2, "write 90s, 4m, 2h, 1d or none"),
        (["--population", "1"], 2, "is not in the range"),
        (["--workers", "0"], 2, "is not in the range"),
        (["--seed", "-1"], 2, "is not in the range"),
        (["--space", "galaxy"], 2, "no search space 'galaxy'; known: linear-light"),
        (["--topic", "atlantis"], 3, "no topic 'atlantis'; `ltminer topics` lists them"),
        (["--topic", "no/such.toml"], 3, "No such file or directory"),
        (["--cluster", "doctor"], 2, "'doctor' is neither a kind"),
        (["--cluster", "http://host:1"], 2, "neither a kind"),
        (["--cluster", "tcp://host"], 2, "an address such as tcp://host:8786"),
        (["--cluster", "tcp://host:99999"], 2, "neither a kind"),
        (["--cluster", "ec2"], 3, "setting bucket = ''"),
        (["--cluster", "ec2", "--budget", "0"], 2, "--budget"),
        (["--nonsense"], 2, "No such option"),
        (["nonsense"], 2, "No such command"),
        (["resume", "yesterday"], 3, "no run 'yesterday'; `ltminer runs` lists them"),
        (["resume"], 2, "Missing argument"),
    ],
)
def test_command_lines_that_make_no_sense_are_refused(home: Path, words: list[str], code: int, said: str) -> None:
    failed(call_main(*words), code, said)
    assert not (home / "state").exists()


def test_a_budget_of_zero_in_the_settings_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_EVALUATIONS", "0")
    failed(call_main("--dry-run"), 3, "evaluations")


def test_a_scheduler_that_does_not_answer_leaves_no_run(
    series: str, topic: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGTAIL_CONNECT_TIMEOUT_S", "2")
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        words = ("--data", series, "--topic", topic, "--cluster", address)
        failed(call_main(*words), 4, f"no scheduler answers at {address}")
        failed(call_main(*words, "--out", str(tmp_path / "out")), 4, address)
    assert not (tmp_path / "out").exists()
    assert call_main("runs", "--json").stdout == "[]\n"
    assert list((home / "state" / "runs").iterdir()) == []


def test_a_home_that_cannot_be_written_is_told(
    series: str, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file in its place")
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    failed(call_main("--data", series, "--topic", topic), 3, "Not a directory; set LONGTAIL_HOME")
    assert (tmp_path / "home").read_text() == "a file in its place"


def test_a_folder_that_cannot_be_made_is_told(series: str, topic: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ("--data", series, "--topic", topic, "--out")
    failed(call_main(*words, str(tmp_path / "file" / "run")), 3, "Not a directory")
    failed(call_main(*words, str(tmp_path / "file")), 2, "is a file")


def test_a_folder_holds_one_run(finished: tuple[Path, Result], series: str, topic: str, home: Path) -> None:
    run = finished[0] / "run"
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    failed(call_main("--data", series, "--topic", topic, "--out", str(run)), 3, f"ltminer resume {run}")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET value = 'longtail-journal-7' WHERE key = 'format'", "has format 'longtail-journal-7'"),
        (
            "UPDATE meta SET value = json_set(value, '$.numpy', '1.0') WHERE key = 'versions'",
            "was started with numpy 1.0",
        ),
        ("UPDATE candidates SET text = 'other' WHERE k = 5", "candidate 5 comes out different"),
        ("UPDATE meta SET value = json_set(value, '$.data_uri', '/gone') WHERE key = 'config'", "gone"),
        ("DROP TABLE candidates", "no such table: candidates"),
    ],
)
def test_a_journal_of_something_else_is_not_resumed(
    finished: tuple[Path, Result], home: Path, tmp_path: Path, statement: str, words: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "journal.sqlite").write_bytes((finished[0] / "run" / "journal.sqlite").read_bytes())
    with closing(sqlite3.connect(run / "journal.sqlite")) as db:
        db.execute(statement)
        db.commit()
    result = call_main("resume", str(run), "--json")
    assert result.exit_code == 3, result.output
    assert words in json.loads(result.stderr.splitlines()[-1])["error"]
    assert not (run / "pipeline.py").exists()


def test_a_budget_too_small_for_anything_ends_with_6(
    series: str, topic: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SearchResult("time", [], {}, PruningCount(), 0.0)
    monkeypatch.setattr(run_module, "run_search", lambda *_, **__: nothing)
    result = call_main("--data", series, "--topic", topic, *SMALL)
    failed(
        result, 6, "none of 0 candidates was scored in full: no time", "give more: ltminer resume ", "--time-budget 10m"
    )
