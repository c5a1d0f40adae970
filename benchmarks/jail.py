"""What the jail costs: the same fits and predictions in this process and jailed, side by side.

    python -m benchmarks.jail [--repeats 15] [--tier full] [--json]

CPU of the jail is all there is: host, zygote (its part of the fork) and the child with everything below it. Goal: at most
40 ms above this process, which is warm and has one thread too. Streaming is the same pipeline asked for one timestamp after
the other instead of for all rows at once. Private memory is what a child does not share with the zygote.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from pipelines.build import build
from pipelines.spec import PIPELINE, STEPS, Call, canonical_text, from_canonical
from validator.sandbox.host import Job, Sandbox, environment
from validator.sandbox.policy import TIERS, Limits

GOAL_MS = 40.0
SCALER = Call("sklearn.preprocessing.StandardScaler", ())
RIDGE = Call(PIPELINE, ((STEPS[PIPELINE], (SCALER, Call("sklearn.linear_model.Ridge", ()))),))
PIPELINES = {
    "scaler + ridge": RIDGE,
    "histogram boosting": Call("sklearn.ensemble.HistGradientBoostingRegressor", ()),
    "LightGBM": Call("lightgbm.LGBMRegressor", ()),
    "XGBoost": Call("xgboost.XGBRegressor", ()),
    "random forest, 20 trees": Call("sklearn.ensemble.RandomForestRegressor", (("n_estimators", 20),)),
}


def job(spec: Call, rows: int, columns: int, test: int, batches: int) -> Job:
    """Return a made-up job of the given shape."""
    rng = np.random.default_rng(1)
    train = rng.standard_normal((rows, columns))
    label = 0.1 * train[:, 0] + rng.standard_normal(rows)
    edges = np.linspace(0, test, batches + 1).astype(int).tolist()
    return Job(
        canonical_text(spec),
        1,
        train,
        label,
        rng.standard_normal((test, columns)),
        list(pairwise(edges)),
        Limits(cpu_s=600, wall_s=3600),
    )


def here(asked: Job) -> tuple[float, float]:
    """Do a job in this process; return CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    pipeline = build(from_canonical(asked.text), asked.seed).fit(asked.train, asked.label)
    for start, end in asked.batches:
        pipeline.predict(asked.test[start:end])
    return time.process_time() - cpu, time.perf_counter() - wall


def jailed(sandbox: Sandbox, asked: Job) -> tuple[float, float]:
    """Do a job in the jail; return CPU and wall seconds."""
    cpu, zygote = time.process_time(), cpu_of(sandbox.pid)
    replay = sandbox.run(asked)
    assert replay.status == "ok", replay
    return time.process_time() - cpu + cpu_of(sandbox.pid) - zygote + replay.cpu_s, replay.wall_s


def cpu_of(pid: int | None) -> float:
    """Return the CPU seconds of one process, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def spread(values: list[float]) -> dict[str, float]:
    """Return median and range."""
    return {"median": round(median(values), 2), "min": round(min(values), 2), "max": round(max(values), 2)}


def memory(sandbox: Sandbox, asked: Job) -> dict[str, float | None]:
    """Return the most that a child's memory was seen to be, MiB: resident, and its private part if that may be read."""
    seen, ended = [0.0], threading.Event()

    def sample() -> None:
        while not ended.is_set():
            for child in psutil.Process(sandbox.pid).children(recursive=True):
                try:
                    lines = Path(f"/proc/{child.pid}/smaps_rollup").read_text().splitlines()
                except OSError:
                    continue
                seen.append(sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        peaks = [sandbox.run(asked).peak_mb for _ in range(5)]
    finally:
        ended.set()
        thread.join()
    return {"resident_mb": max(peaks), "private_mb": round(max(seen), 1) or None}


def compare(sandbox: Sandbox, asked: Job, repeats: int) -> dict[str, Any]:
    """Run a job by turns in this process and in the jail."""
    sides: list[Callable[[], tuple[float, float]]] = [lambda: here(asked), lambda: jailed(sandbox, asked)]
    for side in sides:
        side()  # imports, caches
    pairs = [[side() for side in sides] for _ in range(repeats)]
    return {
        "here_cpu_ms": spread([1000 * own[0] for own, _ in pairs]),
        "jailed_cpu_ms": spread([1000 * other[0] for _, other in pairs]),
        "extra_cpu_ms": spread([1000 * (other[0] - own[0]) for own, other in pairs]),
        "cpu_ratio": spread([other[0] / own[0] for own, other in pairs]),
        "extra_wall_ms": spread([1000 * (other[1] - own[1]) for own, other in pairs]),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=list(TIERS), help="default: the strongest of this machine")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":  # libraries read it once: start over
        command = [sys.executable, "-m", "benchmarks.jail", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **limited()})  # noqa: S606 - our own command line
    shape = (given.rows, given.columns, given.test)
    began = time.perf_counter()
    with Sandbox(tier=given.tier) as sandbox:
        started = time.perf_counter() - began
        result: dict[str, Any] = {
            "tier": sandbox.tier,
            "train": shape[:2],
            "test_rows": given.test,
            "repeats": given.repeats,
            "start_s": round(started, 2),
            "zygote_mb": round(psutil.Process(sandbox.pid).memory_info().rss / 2**20, 1),
            "pipelines": {},
        }
        for name, spec in PIPELINES.items():
            asked = job(spec, *shape, 1)
            result["pipelines"][name] = compare(sandbox, asked, given.repeats) | memory(sandbox, asked)
        streamed = compare(sandbox, job(RIDGE, *shape, given.test), given.repeats)
    whole = result["pipelines"]["scaler + ridge"]["extra_cpu_ms"]["median"]
    result["streaming"] = streamed | {
        "timestamps": given.test,
        "extra_cpu_us_per_timestamp": round(1000 * (streamed["extra_cpu_ms"]["median"] - whole) / given.test, 1),
    }
    result["goal_met"] = all(row["extra_cpu_ms"]["median"] <= GOAL_MS for row in result["pipelines"].values())
    if given.json:
        print(json.dumps(result, indent=1))
        return
    print(f"tier {result['tier']}, train {shape[:2]}, {given.test} test rows; median (range) of {given.repeats}")
    columns = ("here_cpu_ms", "jailed_cpu_ms", "extra_cpu_ms", "cpu_ratio", "extra_wall_ms")
    print(f"{'':<26}" + "".join(f"{name:>26}" for name in columns) + f"{'resident, private MB':>24}")
    for name, row in (*result["pipelines"].items(), (f"ridge, {given.test} timestamps", streamed)):
        cells = [f"{row[key]['median']} ({row[key]['min']} to {row[key]['max']})" for key in columns]
        kept = f"{row['resident_mb']}, {row['private_mb']}" if "resident_mb" in row else ""
        print(f"{name:<26}" + "".join(f"{cell:>26}" for cell in cells) + f"{kept:>24}")
    print(f"streaming: {result['streaming']['extra_cpu_us_per_timestamp']} us of CPU for each timestamp")
    print(f"goal of {GOAL_MS:g} ms {'met' if result['goal_met'] else 'missed'}")


def limited() -> dict[str, str]:
    """Return the zygote's environment, but for its folders."""
    return {name: value for name, value in environment().items() if name not in ("HOME", "TMPDIR")}


if __name__ == "__main__":
    main()
