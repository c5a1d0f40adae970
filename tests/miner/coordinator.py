"""A process that is killed over and over: ``python coordinator.py FOLDER SERIES SLOTS [OUTCOMES…]``.

Loads TPOT once, then runs the search of FOLDER in forked coordinators with real evaluations: each is killed by SIGKILL some
random moment after the journal holds one more of OUTCOMES, the last is left to end. Prints the front as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from made_runs import FEATURES, ROWS, front_of, real_config

from infra.executor import LocalExecutor
from miner.engine import run_search
from miner.journal import Journal
from miner.search import Search
from pipelines.spaces import search_space


def coordinate(folder: Path, slots: int) -> None:
    """Run the search of a journal to its end."""
    space = search_space("ridge", n_features=FEATURES, n_samples=ROWS)
    executor = LocalExecutor("miner.program", folder / "cache", slots, folder / "log")
    try:
        with closing(Journal.open(folder)) as journal, journal.locked():
            journal.start_session("2026-01-01T00:00:00+00:00", "pool")
            result = run_search(Search(journal.config, space, FEATURES, ROWS), journal, executor)
    finally:
        executor.close()
    (folder / "front.json").write_text(json.dumps(front_of(result)))


def written(folder: Path) -> int:
    """Return the outcomes in the journal."""
    with closing(Journal.open(folder)) as journal:
        return len(journal.outcomes())


def main() -> None:
    """Kill, then finish."""
    folder, uri, slots = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    Journal.create(folder, real_config(uri, evaluations=24, population=6, window=8), {}).close()
    search_space("ridge", n_features=FEATURES, n_samples=ROWS)  # TPOT, before the first fork
    for least in [int(word) for word in sys.argv[4:]]:
        pid = os.fork()
        if pid == 0:
            coordinate(folder, slots)
            os._exit(0)
        while written(folder) < least:
            time.sleep(0.05)
        time.sleep(random.random() / 5)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not (folder / "front.json").exists(), "it was killed too late to show anything"
    coordinate(folder, slots)
    sys.stdout.write((folder / "front.json").read_text())


if __name__ == "__main__":
    main()
