"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from miner import artefacts
from miner.artefacts import write_whole
from protocol.errors import ConfigError


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    for content in (b"one", b"two" * 1000, b""):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    write_whole(tmp_path / "file", b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artefacts.os if step == "fsync" else Path, step, full)
    with pytest.raises(ConfigError, match="No space left on device; the journal is whole: make room, then resume"):
        write_whole(tmp_path / "file", b"after")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_went_away_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        write_whole(tmp_path / "gone" / "file", b"x")
