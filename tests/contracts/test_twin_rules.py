"""The rules of the ledger, written for the state machine, run on the twin: the contracts pass the same tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from made_ledgers import Network
from twin import TwinLedger, twin_network

FOLDER = Path(__file__).parents[1] / "protocol" / "ledger"
RULES = ("blocks", "ballots", "heads", "money", "submissions")
#: They look into the state machine, not at the ledger.
PURE = {
    "test_ledger_heads": {"test_however_much_people_earn_the_money_is_conserved"},
}


def copy_of(name: str) -> ModuleType:
    """Return a fresh copy of a test module that makes twins where it made pure ledgers."""
    spec = importlib.util.spec_from_file_location(f"twin_of_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    made = sys.modules["made_ledgers"]
    before = made.pure_network
    made.pure_network = twin_network  # type: ignore[attr-defined]  # what the copy binds
    try:
        spec.loader.exec_module(module)
    finally:
        made.pure_network = before  # type: ignore[attr-defined]
    return module


def gathered(name: str) -> list[Any]:
    """Return the tests of a module that need nothing but a network."""
    module = copy_of(name)
    found = []
    for key, value in vars(module).items():
        if key.startswith("test_") and isinstance(value, Callable) and key not in PURE.get(name, ()):  # type: ignore[arg-type]  # mypy's view of abc
            needs = value.__code__.co_varnames[: value.__code__.co_argcount]
            if needs == ("network",) and not hasattr(value, "hypothesis"):
                found.append(pytest.param(value, id=f"{name}-{key}"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("test", [one for name in RULES for one in gathered(f"test_ledger_{name}")])
def test_the_contracts_keep_the_rule(test: Callable[[Network], None]) -> None:
    network = twin_network()
    test(network)
    assert isinstance(network.ledger, TwinLedger)
