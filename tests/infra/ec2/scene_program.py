"""A program for the fork server that takes its time and says its number; on a worker of the scene it is part of the bundle."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def prepare(task: dict[str, Any], cache: Path) -> None:
    pass


def run(task: dict[str, Any], state: None, emit: Callable[[dict[str, Any]], None]) -> None:
    time.sleep(task["sleep_s"])
    emit({"k": task["k"]})
