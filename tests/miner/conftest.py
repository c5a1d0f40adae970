"""A home of their own for the tests of the miner, and what several of them share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from made_calls import SMALL, call_main
from made_runs import FEATURES, ROWS, TOPIC_FILE, write_series

from infra.executor import LocalExecutor
from pipelines.spaces import search_space


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home, so that panels are built once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(shared_home))


@pytest.fixture(scope="session")
def space() -> Any:
    """The cheapest of the spaces, TPOT's own classes."""
    return search_space("ridge", n_features=FEATURES, n_samples=ROWS)


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A panel of 6 symbols and 900 hours with a linear signal."""
    return write_series(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """A real local pool, shared by the tests that only want evaluations."""
    folder = tmp_path_factory.mktemp("pool")
    executor = LocalExecutor("miner.program", folder, 2, folder / "log")
    yield executor
    executor.close()


@pytest.fixture(scope="session")
def topic(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a topic for the made series."""
    path = tmp_path_factory.mktemp("topic") / "made.toml"
    path.write_text(TOPIC_FILE)
    return str(path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, which does not exist yet."""
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def finished(series: str, topic: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """One whole run, for machines."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGTAIL_HOME", str(folder / "home"))
        result = call_main("--data", series, "--topic", topic, *SMALL, "--out", str(folder / "run"), "--json")
    return folder, result
