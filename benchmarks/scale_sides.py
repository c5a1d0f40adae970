"""The processes of benchmarks/scale.py: a scheduler, many simulated workers, and the two loops that keep them busy.

    python -m benchmarks.scale_sides scheduler
    python -m benchmarks.scale_sides workers ADDRESS FIRST END SECONDS
    python -m benchmarks.scale_sides ours|unbatched|stock REQUEST

The scheduler and the workers are Dask's own, over TCP; many workers share one process and one event loop, and an evaluation
is a sleep. What a worker would do for itself only (its profile, its system monitor, its tick) is off, since on a real cluster
other machines pay for it.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import distributed
import numpy as np

from infra import dask_executor, forkclient
from infra.cluster import Job, open_executor
from infra.dask_settings import OWN_CLUSTER, allow_files
from infra.settings import load_settings
from infra.topics import find_topic
from miner.config import RunConfig, default_window
from miner.engine import run_search
from miner.journal import Journal
from miner.search import Search
from pipelines.spaces import search_space
from pipelines.tpot_import import load_tpot

QUIET_WORKERS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "1h",
    "distributed.admin.tick.interval": "1m",
    "distributed.admin.tick.limit": "1h",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "120s",
}
#: Rows and columns of a panel that no evaluation here opens; the static checks of the search ask for them.
ROWS, FEATURES = 8_000, 20

#: (start, end) of every evaluation that this process slept through, ``time.time()``.
slept: list[tuple[float, float]] = []
seconds = 2.0


def sleep() -> None:
    """Be an evaluation that costs no CPU."""
    start = time.time()
    time.sleep(seconds)
    slept.append((start, time.time()))


def score_of(text: str) -> float:
    """Return a score in [0, 0.03) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32 * 0.03


def sleep_here(_program: str, task: Mapping[str, Any]) -> forkclient.Reply:
    """Stand in for :func:`infra.forkclient.run_here`: the reply of a pipeline that ended well."""
    sleep()
    score = score_of(task["text"])
    folds = [{"score": score, "deviation": 0.1, "days": 250} for _ in range(task["data"]["folds"])]
    return {
        "id": task["k"],
        "end": "exit",
        "code": 0,
        "cpu_s": 1.6,
        "messages": [*folds, {"status": "ok", "would_prune": 0}],
    }


def objective(_individual: Any, **_: Any) -> float:
    """Stand in for TPOT's cross-validation."""
    sleep()
    return random.random() * 0.03  # noqa: S311 - a made-up score


async def run_scheduler() -> None:
    """Print the address and serve until stdin ends."""
    async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        print(scheduler.address, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def run_workers(address: str, names: range) -> None:
    """Connect a worker for each name; at a line of stdin print how much was slept since the last ``take``, or take it."""
    with tempfile.TemporaryDirectory() as folder:
        workers = [
            distributed.Worker(
                address, nthreads=1, memory_limit=0, dashboard=False, local_directory=folder, name=str(number)
            )
            for number in names
        ]
        for first in range(0, len(names), 50):  # a storm of connections is another question
            await asyncio.gather(*workers[first : first + 50])
        gc.freeze()  # of a thousand workers every collection would look at all
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while question := await loop.run_in_executor(None, sys.stdin.readline):
            told = slept.copy()
            if question == "take\n":
                del slept[: len(told)]
            print(json.dumps(told if question == "take\n" else len(told)), flush=True)
        os._exit(0)  # closing a thousand workers one by one takes minutes


def run_ours(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the engine over the workers and return what it found."""
    config = RunConfig(
        topic=find_topic("us-daily"),
        data_uri="none",
        data_root="0" * 64,
        seed=request["seed"],
        evaluations=request["evaluations"],
        window=request["window"] or default_window(request["workers"], request["evaluations"]),
    )
    space = search_space(config.space, n_features=FEATURES, n_samples=ROWS)
    settings = load_settings(connect_timeout_s=120.0)
    with tempfile.TemporaryDirectory(dir=request["folder"]) as name:
        folder = Path(name)
        with (
            open_executor(request["address"], Job("miner.program", folder, settings)) as executor,
            closing(Journal.create(folder, config, {})) as journal,
            journal.locked(),
        ):
            result = run_search(
                Search(config, space, FEATURES, ROWS), journal, executor, time_budget_s=request["seconds"]
            )
            return {
                "evaluated": len(result.outcomes),
                "reason": result.reason,
                "resubmitted": executor.resubmitted,
                "front": [member.candidate.text for member in result.front],
            }


def run_stock(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run TPOT's generational evolver over the workers until it is killed.

    A client without a cluster of its own needs a stand-in for it. The population is one individual per worker.
    """
    tpot = load_tpot()
    space = search_space("linear-light", n_features=FEATURES, n_samples=ROWS)
    rng = np.random.default_rng(request["seed"])
    workers = request["workers"]
    with distributed.Client(request["address"], timeout=120) as client:
        client.cluster = SimpleNamespace(workers=range(workers), status=distributed.Status.running)
        tpot.evolvers.BaseEvolver(
            individual_generator=iter(lambda: space.generate(rng), None),
            objective_functions=[objective],
            objective_function_weights=[1],
            population_size=workers,
            generations=10_000,
            max_eval_time_mins=10,
            client=client,
            verbose=0,
            rng=request["seed"],
        ).optimize()
    return {}


def main() -> None:
    """Be the process that the command line names."""
    global seconds  # the length of an evaluation, in the workers' process
    role = sys.argv[1]
    logging.disable(logging.WARNING)
    if role == "scheduler":
        load_tpot()  # Dask unpacks stock's tasks here; the import is not charged
        allow_files(5_000)
        with dask.config.set(OWN_CLUSTER):
            asyncio.run(run_scheduler())
    elif role == "workers":
        load_tpot()
        forkclient.run_here = sleep_here
        first, end, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
        with dask.config.set(QUIET_WORKERS):
            asyncio.run(run_workers(sys.argv[2], range(first, end)))
    else:
        request = json.loads(sys.argv[2])
        if role == "unbatched":
            dask_executor.BATCH_S = 0.0
        print(json.dumps(run_stock(request) if role == "stock" else run_ours(request)), flush=True)


if __name__ == "__main__":
    from benchmarks import scale_sides  # noqa: PLW0406 - under its own name, which is what travels to the workers

    scale_sides.main()
