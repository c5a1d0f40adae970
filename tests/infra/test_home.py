"""Where things are kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.home import HOME_VARIABLE, find_home, make_folder
from protocol.errors import ConfigError


def test_everything_is_below_the_named_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "new"))
    home = find_home()
    base = tmp_path / "new"
    assert (home.config, home.state, home.cache) == (base / "config", base / "state", base / "cache")
    assert home.settings_file == base / "config" / "longtail.toml"
    assert home.topics == base / "config" / "topics"
    assert home.runs == base / "state" / "runs"
    assert home.ledger == base / "state" / "ledger.sqlite"
    assert home.submissions == base / "state" / "submissions"
    assert not base.exists()


def test_a_relative_home_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(HOME_VARIABLE, "mine")
    home = find_home()
    monkeypatch.chdir("/")
    assert home.runs == tmp_path / "mine" / "state" / "runs"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(HOME_VARIABLE, "~/mine")
    assert find_home().cache == tmp_path / "mine" / "cache"
    monkeypatch.setenv(HOME_VARIABLE, "~no-such-user/mine")
    with pytest.raises(ConfigError, match="LONGTAIL_HOME = '~no-such-user/mine'"):
        find_home()


@pytest.mark.parametrize("named", [None, ""])
def test_without_a_home_the_xdg_directories_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    if named is not None:
        monkeypatch.setenv(HOME_VARIABLE, named)
    for kind in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    home = find_home()
    assert home.settings_file == tmp_path / "CONFIG" / "longtail" / "longtail.toml"
    assert home.runs == tmp_path / "STATE" / "longtail" / "runs"
    assert home.cache == tmp_path / "CACHE" / "longtail"


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == folder == make_folder(folder)
    assert folder.is_dir()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=f"folder {folder}: .*; set LONGTAIL_HOME or --out"):
            make_folder(folder)


def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(ConfigError, match=r"folder /proc/none: .*; set LONGTAIL_HOME or --out to a writable one"):
        make_folder(Path("/proc/none"))


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write everywhere
    with pytest.raises(ConfigError, match=f"folder {tmp_path} is not writable; set LONGTAIL_HOME"):
        make_folder(tmp_path)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=99_000_000))
    assert make_folder(tmp_path, free_bytes=99_000_000) == tmp_path
    with pytest.raises(ConfigError, match="99 MB free, 100 MB needed; free some space or set LONGTAIL_HOME"):
        make_folder(tmp_path, free_bytes=100_000_000)
