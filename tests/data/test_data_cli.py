from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from made_series import hourly, with_value

from data.cli import main
from data.dataset import Dataset

HEADER = "unix,open,high,low,close,volume\n"
IMPORT = ["--type", "ohlcv-1h", "--broker", "gemini", "--symbol", "BTC/USD", "--sector", "crypto-majors"]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def run_json(*words: object) -> Any:
    result = run(*words, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.fixture
def place(tmp_path: Path) -> str:
    table = hourly(n=480)
    return Dataset.create(str(tmp_path / "d")).append(table.take([*range(100), *range(150, 480)]), source="made").uri


def test_show(place: str) -> None:
    shown = run_json("show", place)
    assert shown["root"] == Dataset.open(place).root
    (series,) = shown["series"]
    assert (series["symbol"], series["rows"], series["gaps"], series["missing"]) == ("BTC/USDT", 430, 1, 50)
    assert (shown["source"], shown["parent"], shown["rows"]) == ("made", None, 430)
    text = run("show", place).stdout
    picture = text.splitlines()[-1][-32:]
    assert (picture[0], picture[8], picture[-1]) == ("█", " ", "█")


def test_show_nothing(tmp_path: Path) -> None:
    pq.write_table(hourly().slice(0, 0), tmp_path / "x.parquet")
    assert run_json("show", tmp_path / "x.parquet")["series"] == []
    assert "0 rows, 0 series" in run("show", tmp_path / "x.parquet").stdout


def test_show_another_version(place: str) -> None:
    first = Dataset.open(place).root
    Dataset.open(place).append(hourly("ETH/USDT"))
    assert len(run_json("show", place)["series"]) == 2
    assert len(run_json("show", place, "--root", first)["series"]) == 1


def test_root(place: str) -> None:
    root = Dataset.open(place).root
    assert run("root", place).stdout == f"{root}\n"
    assert run_json("root", place) == {"uri": place, "root": root}


def test_check_of_warnings_only(place: str) -> None:
    report = run_json("check", place)
    assert report["ok"]
    assert [finding["code"] for finding in report["findings"]] == ["W060", "W064"]
    text = run("check", place)
    assert text.exit_code == 0
    assert "W060  bars missing" in text.stdout


def test_check_of_errors(tmp_path: Path) -> None:
    pq.write_table(with_value(hourly(), "volume", 3, -1.0), tmp_path / "x.parquet")
    result = run("check", tmp_path / "x.parquet", "--json")
    assert result.exit_code == 3
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["code"], finding["examples"][0]["row"]) == ("E053", 3)
    assert (
        "x.parquet row 3  ohlcv-1h/binance BTC/USDT  2023-01-01T03:00:00Z"
        in run("check", tmp_path / "x.parquet").stdout
    )


def test_check_held_out_and_now(place: str) -> None:
    assert run("check", place, "--held-out", "2023-01-15").exit_code == 3
    assert run("check", place, "--held-out", "2024-01-01").exit_code == 0
    result = run("check", place, "--now", "2023-01-10T12:30")
    assert (result.exit_code, "E044" in result.stdout) == (3, True)
    assert "not ISO 8601" in run("check", place, "--now", "soon").stderr


def test_sample(tmp_path: Path) -> None:
    where = run_json("sample")
    assert Path(where["uri"]).is_file()
    copy = run_json("sample", "--out", tmp_path / "copy")
    assert copy["root"] == where["root"] == Dataset.open(str(tmp_path / "copy")).root
    assert run_json("sample", "--out", tmp_path / "copy") == copy


def test_import(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "1600002000,2,3,1,2,9\n1600002000,2,3,1,2,9\n1600005600,2,3,1,2,-9\n")
    words = ["import", tmp_path / "a.csv", "--to", tmp_path / "d", *IMPORT]
    refused = run(*words)
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "a.csv line 4: E053" in refused.stderr
    dry = run_json(*words, "--skip-bad", "--dry-run")
    assert not (tmp_path / "d").exists()
    done = run_json(*words, "--skip-bad")
    assert dry == done | {"dry_run": True}
    assert (done["read"], done["kept"], done["new"], done["rows"]) == (3, 1, 1, 1)
    assert done["dropped"] == {"repeated with equal values": 1, "bad row": 1}
    assert run_json(*words, "--skip-bad")["new"] == 0
    text = run(*words, "--skip-bad").stdout
    assert "dropped 1: bad row" in text
    assert f"root {done['root']}" in text
    assert Dataset.open(str(tmp_path / "d")).root == done["root"]


def test_import_with_every_choice(tmp_path: Path) -> None:
    rows = [
        "2020-01-01 01:00;2;3;1;2",
        "2020-01-01 02:00;2;3;1;2",
        "2020-01-01 02:00;2;3;1;2.5",
        "2020-01-01 09:00;2;3;1;2",
    ]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    columns = "datetime=1,open=2,high=3,low=4,close=5,volume="
    words = ["import", tmp_path / "a.csv", "--to", tmp_path / "d", *IMPORT, "--no-header", "--columns", columns]
    words += [
        "--timezone",
        "UTC-05:00",
        "--datetime-format",
        "%Y-%m-%d %H:%M",
        "--stamp",
        "close",
        "--conflicts",
        "last",
    ]
    done = run_json(*words, "--now", "2020-01-01T10:00", "--cut", "crypto-*=2021-01-01", "--unit", "s")
    assert (done["first"], done["last"]) == ("2020-01-01T05:00:00+00:00", "2020-01-01T06:00:00+00:00")
    assert done["dropped"] == {"bar not closed yet": 1, "repeated with other values, last rule": 1}
    dataset = Dataset.open(str(tmp_path / "d"))
    assert dataset.read().column("close").to_pylist() == [2.0, 2.5]
    assert dataset.manifest is not None
    assert dataset.manifest.cuts == {"crypto-*": "2021-01-01T00:00:00+00:00"}
    (tmp_path / "a.csv").write_text(rows[0].replace(";2\n", ";3\n")[:-1] + "2.75")
    assert "other values" in run(*words).stderr
    assert run_json(*words, "--revise")["new"] == 0
    assert Dataset.open(str(tmp_path / "d")).read().column("close").to_pylist() == [2.75, 2.5]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["show", "nowhere"], 3, "no dataset there"),
        (["sample", "--out", "/dev/null/x"], 3, "cannot"),
        (["check", "nowhere"], 3, "no dataset there"),
        (["root", "s3://bucket"], 3, "s3://bucket/path"),
        (["import", "a.csv", "--to", "d", *IMPORT], 3, "No such file"),
        (["import", "a.csv", "--to", "d", *IMPORT, "--columns", "unix"], 2, "NAME=SOURCE"),
        (["import", "a.csv", "--to", "d", *IMPORT, "--cut", "2020-01-01"], 3, "PATTERN=TIME"),
        (["import", "a.csv", "--to", "d", *IMPORT, "--timezone", "Moon"], 3, "time zone 'Moon'"),
    ],
)
def test_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    for extra in ([], ["--json"]):
        result = run(*words, *extra)
        assert (result.exit_code, result.stdout) == (code, "")
        assert message in result.stderr
        if extra:
            assert json.loads(result.stderr)["code"] == code
    assert list(tmp_path.iterdir()) == []


def test_help_is_light() -> None:
    """No command's help may import what takes seconds, and the group's help not even its commands."""
    for words in (["--help"], ["import", "--help"], ["fetch", "--help"], ["show", "--help"]):
        program = (
            f"import sys; from data.cli import main\ntry: main({words!r})\nexcept SystemExit: pass\n"
            "heavy = {'pyarrow', 'pandas', 'numpy', 'ccxt', 'sklearn', 'tpot', 'distributed', 'boto3'} & set(sys.modules)\n"
            "sys.exit(' '.join(heavy) or 0)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage" in done.stdout
