"""The specification names every equation and only functions that exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "spec" / "consensus.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
#: First and second cell of every row of a table.
ROWS = [
    (section.splitlines()[0], *re.match(r"\| (.*?) \| (.*?) \|", line).groups())  # type: ignore[union-attr]  # a row
    for section in SECTIONS
    for line in section.splitlines()
    if re.match(r"\| [^|-]+ \| `", line) and "_" not in line.split("|")[1]
]


def numbered(cell: str) -> set[int]:
    """Return the equations that a cell like "9-12, 15" stands for."""
    found: set[int] = set()
    for first, last in re.findall(r"(?<![\d§.])(\d+)(?:–(\d+))?(?![\d.])", cell):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_every_equation_of_the_white_paper_has_a_function() -> None:
    allora = [
        cell
        for title, cell, _ in ROWS
        if title in {"Inference synthesis", "Rewards of workers and reputers", "Emission, topics, fees"}
    ]
    without = {1, 2}  # what workers send
    assert set().union(*map(numbered, allora)) | without >= set(range(1, 59))


@pytest.mark.parametrize(("title", "names"), [(title, names) for title, _, names in ROWS])
def test_functions_named_by_the_specification_exist(title: str, names: str) -> None:
    package = "protocol.consensus.yuma" if title.startswith("Yuma") else "protocol.consensus.allora"
    module = None
    for said in re.findall(r"`([^`]+)`", names):
        name = f"loss.{said}" if title.startswith("Losses") else said
        path, _, attribute = name.rpartition(".")
        if path.startswith("economy"):
            module = import_module(name)
            continue
        if not path and module is None:  # a module on its own
            import_module(f"{package}.{attribute}")
            continue
        module = import_module(f"{package}.{path}") if path else module
        assert hasattr(module, attribute), f"{title}: {name}"
