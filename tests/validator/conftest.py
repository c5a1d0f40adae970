"""A home of their own for the tests of the validator."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_market import write_market


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home, so that panels are built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(shared_home))


@pytest.fixture(scope="session")
def market_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Seven sectors at two brokers, with a signal that trees see and ridges do not."""
    return write_market(tmp_path_factory.mktemp("market") / "market.parquet")
