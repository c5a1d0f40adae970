"""How many workers one coordinator and one scheduler keep busy: ltminer's loop beside stock TPOT's, on the same workers.

    python -m benchmarks.scale

Starts one Dask scheduler and, in one or more processes, up to a thousand Dask workers whose evaluations are sleeps; both loops
run over them in turn, each in a process of its own. Printed per number of workers and side, as median and range over the seeds:

- busy: share of the worker seconds slept, between the end of the warm-up and the start of the last evaluation;
- evaluations per second of that time;
- CPU milliseconds per evaluation: of the coordinator's main thread (the loop), of its other threads (Dask's client), of the
  scheduler, and of the processes that stand for all workers, which no coordinator pays for;
- scheduler_idle: cores that the scheduler uses while nothing runs, for heartbeats mostly; contained in the figure above.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil

PERIOD_S = 0.25
#: How long the idle scheduler and workers are watched.
IDLE_S = 10.0
COLUMNS = ("busy", "per_s", "loop_ms", "client_ms", "scheduler_ms", "workers_ms", "scheduler_idle")


def cpu_of(process: psutil.Process) -> tuple[float, float]:
    """Return CPU seconds of a process and of its main thread."""
    times = process.cpu_times()
    main = next(thread for thread in process.threads() if thread.id == process.pid)
    return times.user + times.system, main.user_time + main.system_time


class Watch:
    """Samples the CPU of named processes until they end or it is told to stop."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in pids}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def between(self, name: str, start: float, end: float) -> tuple[float, float]:
        """Return the CPU seconds that a process and its main thread used between two moments, to a sample's period."""
        inside = [sample for sample in self._samples[name] if start <= sample[0] <= end]
        scale = (end - start) / (inside[-1][0] - inside[0][0])
        return (inside[-1][1] - inside[0][1]) * scale, (inside[-1][2] - inside[0][2]) * scale

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            for name, process in self._processes.items():
                try:
                    self._samples[name].append((time.time(), *cpu_of(process)))
                except (psutil.Error, StopIteration):
                    continue


def start(role: str, *given: str) -> subprocess.Popen[str]:
    """Start one of the processes of benchmarks/scale_sides.py."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.scale_sides", role, *given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints; leave when it ended instead."""
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        sys.exit(f"{' '.join(process.args[3:6])} ended with code {process.wait()}; its message is above")
    return line.strip()


@contextmanager
def cluster(workers: int, processes: int, seconds: float) -> Iterator[tuple[str, dict[str, subprocess.Popen[str]]]]:
    """Run a scheduler and workers connected to it; gives the address and the processes."""
    running = {"scheduler": start("scheduler")}
    try:
        address = line_of(running["scheduler"])
        for number in range(processes):
            share = range(workers * number // processes, workers * (number + 1) // processes)
            running[f"workers{number}"] = start("workers", address, str(share.start), str(share.stop), str(seconds))
            line_of(running[f"workers{number}"])
        yield address, running
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def ask(processes: Mapping[str, subprocess.Popen[str]], question: str) -> list[Any]:
    """Return what the workers' processes answer: ``count`` evaluations slept so far, or ``take`` their moments."""
    crowds = [process for name, process in processes.items() if name != "scheduler"]
    for crowd in crowds:
        assert crowd.stdin
        print(question, file=crowd.stdin, flush=True)
    return [json.loads(line_of(crowd)) for crowd in crowds]


def measure(
    side: str, request: dict[str, Any], processes: Mapping[str, subprocess.Popen[str]], warm_up: float
) -> dict[str, Any]:
    """Run one side once and return its figures."""
    coordinator = start(side, json.dumps(request))
    watch = Watch({"coordinator": coordinator.pid, **{name: process.pid for name, process in processes.items()}})
    answer = {}
    if side == "stock":  # its own time limit is looked at once a generation has started
        while not sum(ask(processes, "count")):
            time.sleep(PERIOD_S)
        time.sleep(request["seconds"])
        coordinator.kill()
    else:
        answer = json.loads(line_of(coordinator))
    coordinator.wait()
    time.sleep(request["sleep"] + 0.5)  # what stock cancelled sleeps on
    watch.stop()
    spans = [span for taken in ask(processes, "take") for span in taken]
    begin, end = min(first for first, _ in spans) + warm_up, max(first for first, _ in spans)
    if end - begin < 4 * PERIOD_S:
        sys.exit(
            f"{side}: evaluations started for {end - begin + warm_up:.1f} s, no more than the warm-up; raise --seconds"
        )
    inside = sum(max(0.0, min(last, end) - max(first, begin)) for first, last in spans)
    ended = sum(begin <= last <= end for _, last in spans)
    coordinator_s, loop_s = watch.between("coordinator", begin, end)
    used = {"loop_ms": loop_s, "client_ms": coordinator_s - loop_s}
    spent = {name: watch.between(name, begin, end)[0] for name in processes}
    used["scheduler_ms"] = spent.pop("scheduler")
    used["workers_ms"] = sum(spent.values())
    return {
        "workers": request["workers"],
        "seed": request["seed"],
        "side": side,
        "busy": inside / (request["workers"] * (end - begin)),
        "per_s": ended / (end - begin),
        **{name: 1000 * seconds / max(1, ended) for name, seconds in used.items()},
        "steady_s": end - begin,
        **{name: value for name, value in answer.items() if name != "front"},
    }


def cell(values: list[float]) -> str:
    """Return median and range."""
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=1_000_000, help="most evaluations of a side")
    parser.add_argument("--seconds", type=float, default=25.0, help="wall time of a side")
    parser.add_argument("--warm-up", type=float, default=8.0, help="seconds after the first start that do not count")
    parser.add_argument("--processes", type=int, default=1, help="that stand for the workers")
    parser.add_argument("--sleep", type=float, default=2.0, help="seconds of an evaluation")
    parser.add_argument(
        "--window", type=int, default=0, help="of ltminer's search; 0: what ltminer takes for so many slots"
    )
    parser.add_argument("--sides", nargs="+", default=["ours", "stock"], choices=["ours", "unbatched", "stock"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for workers in given.workers:
        began = time.monotonic()
        with (
            cluster(workers, given.processes, given.sleep) as (address, processes),
            tempfile.TemporaryDirectory() as folder,
        ):
            print(f"{workers} workers after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            scheduler = psutil.Process(processes["scheduler"].pid)
            before, _ = cpu_of(scheduler)
            time.sleep(IDLE_S)
            idle = {"scheduler_idle": (cpu_of(scheduler)[0] - before) / IDLE_S}
            for seed in range(1, given.seeds + 1):
                for side in given.sides:
                    request = {**vars(given), "workers": workers, "seed": seed, "address": address, "folder": folder}
                    load = os.getloadavg()[0]
                    rows.append({**measure(side, request, processes, given.warm_up), **idle, "load": load})
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'workers':>7} {'side':<10}" + "".join(f"{name:>26}" for name in COLUMNS))
    for workers in given.workers:
        for side in given.sides:
            of = [row for row in rows if row["workers"] == workers and row["side"] == side]
            print(f"{workers:>7} {side:<10}" + "".join(f"{cell([row[name] for row in of]):>26}" for name in COLUMNS))


if __name__ == "__main__":
    main()
