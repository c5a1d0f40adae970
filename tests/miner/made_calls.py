"""Calling `ltminer` in this process, and what to expect of every call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from miner.cli import main

ARTEFACTS = {
    "equity.png",
    "evaluations.log",
    "journal.lock",
    "journal.sqlite",
    "pipeline.py",
    "report.json",
    "search.png",
}
SMALL = (
    "--space",
    "ridge",
    "--evaluations",
    "8",
    "--population",
    "4",
    "--workers",
    "2",
    "--window",
    "4",
    "--no-record",
)


def call_main(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def events(output: str) -> list[dict[str, Any]]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in output.splitlines()]


def files(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def failed(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.stderr
    assert "defect" not in result.stderr
