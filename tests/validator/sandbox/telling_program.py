"""The replay, which fails if fitting or predicting needed an import, and tells how the process was set up."""

from __future__ import annotations

import sys

from validator.sandbox import replay
from validator.sandbox.task import Task

warm = replay.warm
#: Imported to print an estimator in an error message.
TOLERATED = {"sklearn.utils._pprint"}


def run(task: Task) -> None:
    before = set(sys.modules)
    replay.run(task)
    if imported := set(sys.modules) - before - TOLERATED:
        raise RuntimeError(f"imported late: {sorted(imported)}")
