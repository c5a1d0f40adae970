"""Where the other makers of test data are; and nothing here runs without an EVM."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from place import Place

for folder in ("ledger", "head"):
    sys.path.insert(0, str(Path(__file__).parents[1] / "protocol" / folder))
#: The EVM comes with the development tools; an installation for miners has none.
collect_ignore_glob = [] if importlib.util.find_spec("eth") else ["test_*.py"]


@pytest.fixture(params=["eth-tester", "anvil"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    from place import made_place  # needs web3

    yield from made_place(request.param, tmp_path)
