"""The runs of a home."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import config_of

from miner.journal import Journal
from miner.runs import find_run, link_run, list_runs, new_run_name
from protocol.errors import ConfigError


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))


def run_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Journal.create(folder, config_of(), {}).close()
    return folder


def test_a_home_without_runs(tmp_path: Path) -> None:
    assert list_runs() == []
    assert not (tmp_path / "home").exists()
    with pytest.raises(ConfigError, match="no run 'x'; `ltminer runs` lists them, or give the folder of one"):
        find_run("x")


def test_runs_are_found_by_name_link_and_folder(tmp_path: Path) -> None:
    runs = tmp_path / "home" / "state" / "runs"
    inside, outside = run_in(runs / "20250101-000000-aaaa"), run_in(tmp_path / "chosen")
    link_run(inside)
    link_run(outside)
    listed = list_runs()
    assert [Path(entry["folder"]) for entry in listed] == [inside, outside]
    assert all(find_run(entry["run"]).resolve() == Path(entry["folder"]) for entry in listed)
    assert find_run(str(outside)) == outside
    assert [entry["evaluated"] for entry in listed] == [0, 0]


def test_damaged_runs_say_why_and_deleted_ones_are_left_out(tmp_path: Path) -> None:
    runs = tmp_path / "home" / "state" / "runs"
    damaged, gone = run_in(runs / "damaged"), run_in(tmp_path / "gone")
    link_run(gone)
    (damaged / "journal.sqlite").write_bytes(b"rubbish" * 100)
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()
    (runs / "empty").mkdir()
    (entry,) = list_runs()
    assert entry["run"] == "damaged"
    assert "is not a database" in entry["error"]


def test_names_are_fresh_and_sort_by_time() -> None:
    names = [new_run_name() for _ in range(50)]
    assert len(set(names)) == 50
    assert sorted(name[:15] for name in names) == [name[:15] for name in names]


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file in its place")
    with pytest.raises(ConfigError, match="set LONGTAIL_HOME"):
        link_run(tmp_path / "chosen")
