"""The network's time, from the wall or from the file of a simulation."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infra.clock import clock_file, network_time, read_time, write_time
from infra.network import open_network
from infra.settings import Settings, load_settings
from protocol.errors import ConfigError


def test_without_a_file_it_is_the_walls() -> None:
    assert clock_file(Settings()) is None
    assert network_time(Settings()) is time.time


def test_a_file_tells_the_time_and_moves_the_ledgers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    file = tmp_path / "clock"
    write_time(file, 1_000)
    settings = load_settings(clock=str(file))
    now = network_time(settings)
    with open_network(settings) as ledger:
        assert (now(), ledger.genesis.time, ledger.now().time) == (1_000, 1_000, 1_000)
        write_time(file, 5_000)
        assert (now(), ledger.now().time) == (5_000, 5_000)
        assert ledger.state().time == 1_000


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "9" * 40, "\xff", "٣"])
def test_a_file_that_tells_no_time_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "clock"
    file.write_bytes(text.encode("latin-1" if text == "\xff" else "utf-8"))
    with pytest.raises(ConfigError, match="clock"):
        read_time(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_time(tmp_path / "none")
