"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra import files
from infra.files import atomic_write
from protocol.errors import ConfigError


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    for content in (b"one", b"two" * 1000, b""):
        atomic_write(tmp_path / "new" / "file", content)
        assert (tmp_path / "new" / "file").read_bytes() == content
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    atomic_write(tmp_path / "file", b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os if step == "fsync" else Path, step, full)
    with pytest.raises(ConfigError, match="No space left on device; free space"):
        atomic_write(tmp_path / "file", b"after")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        atomic_write(tmp_path / "secret", b"x", mode=0o600)
    finally:
        os.umask(old)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
