"""The miner's program with a child that does what a broken native library does; found by its name, PYTHONPATH leads here."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from miner import program
from miner.program import prepare

__all__ = ["prepare", "run"]


def run(task: Any, state: Any, emit: Callable[[dict[str, Any]], None]) -> None:
    """Die of a signal after the second fold where the task says so, else evaluate."""
    if task["k"] != 13:
        program.run(task, state, emit)
        return

    def deadly(message: dict[str, Any]) -> None:
        emit(message)
        if state.split.folds and "score" in message:
            deaths.append(message)
        if len(deaths) == 2:
            os.kill(os.getpid(), signal.SIGSEGV)

    deaths: list[dict[str, Any]] = []
    program.run(task, state, deadly)
