"""Stock TPOT and ltminer's engine, interleaved, on the same data, space, folds, workers, caps and CPU time.

    python -m benchmarks.evolution --seeds 3 --minutes 3

For each seed: stock runs for some minutes of wall time; the engine then gets the CPU time that stock used, all descendants
charged on both sides. Printed per side, as median and range over the seeds:

- useful share: bare CPU of the pipelines that ended well, measured by fitting and scoring each once more in a plain loop, over
  all CPU charged;
- CPU seconds to stock's best full walk-forward score;
- bytes of a task, client CPU per evaluation;
- score of the best pipeline on a held-out span of months that neither side has seen.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.evolution_sides import panel_of
from benchmarks.process_cpu import CpuClock
from data.dataset import Dataset
from data.panel import score_rows
from data.sample import dataset_uri
from infra.forkclient import SINGLE_THREADED
from infra.home import find_home
from infra.topics import find_topic
from miner.config import RunConfig
from miner.evaluation import cpu_seconds, predict_fold
from pipelines.spec import from_canonical


def run_side(request: dict[str, Any]) -> tuple[dict[str, Any], CpuClock]:
    """Run one side in a process of its own and return its answer and the CPU of its tree over time."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request))
        command = [sys.executable, "-m", "benchmarks.evolution_sides", str(asked), str(answered)]
        environment = {**os.environ, **SINGLE_THREADED}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        clock = CpuClock(process.pid)
        code = process.wait()
        clock.stop()
        if code:
            sys.exit(f"the {request['side']} side ended with code {code}; run it by hand: {' '.join(command)}")
        return json.loads(answered.read_text()), clock


def bare_cpu(arguments: tuple[str, dict[str, Any], str]) -> float:
    """Return the CPU seconds that a pipeline's walk-forward costs in a plain loop; 0 if it fails there."""
    text, raw, cache = arguments
    config = RunConfig.from_dict(raw)
    panel, split, _ = panel_of(config, Path(cache))
    before = cpu_seconds()
    try:
        for fold in split.folds:
            score_rows(
                panel, fold.test, predict_fold(from_canonical(text), panel, fold, max_train_rows=config.max_train_rows)
            )
    except Exception:
        return 0.0
    return cpu_seconds() - before


def held_out(arguments: tuple[str, dict[str, Any], str]) -> float:
    """Return a pipeline's mean day score on the span that no side has seen."""
    text, raw, cache = arguments
    config = RunConfig.from_dict(raw)
    panel, split, _ = panel_of(config, Path(cache))
    predicted = predict_fold(from_canonical(text), panel, split.holdout, max_train_rows=config.max_train_rows)
    return float(score_rows(panel, split.holdout.test, predicted).score.mean())


def figures(
    answer: dict[str, Any], clock: CpuClock, target: float | None, config: RunConfig, cache: str
) -> dict[str, float]:
    """Return the figures of one side of one seed."""
    raw = config.to_dict()
    well = [entry for entry in answer["found"] if entry["score"] is not None and entry["text"]]
    best = max(well, key=lambda entry: entry["score"])
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        bare = sum(pool.map(bare_cpu, [(entry["text"], raw, cache) for entry in well]))
        unseen = pool.submit(held_out, (best["text"], raw, cache)).result()
    target = best["score"] if target is None else target
    charged = clock.at(answer["ended_at"])
    reached = [clock.at(entry["at"]) for entry in well if entry["score"] >= target - 1e-9]
    return {
        "useful_share": bare / charged,
        "cpu_s": charged,
        "cpu_to_target_s": min(reached, default=float("inf")),
        "best": best["score"],
        "held_out": unseen,
        "full_evaluations": len(well),
        "submitted": answer["submitted"],
        "client_cpu_per_evaluation_s": answer["client_cpu"] / max(1, answer["submitted"]),
        "task_bytes": answer["task_bytes"],
        "pruned": answer.get("pruned", 0),
    }


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="sample")
    parser.add_argument("--topic", default="us-daily")
    parser.add_argument("--space", default="linear-light")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--cap", type=float, default=30.0, help="CPU cap of an evaluation, seconds")
    parser.add_argument("--cluster", default="local", choices=["local", "pool"], help="the engine's cluster")
    parser.add_argument("--max-train-rows", type=int, default=8000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    os.environ.update(SINGLE_THREADED)
    uri = dataset_uri(given.data)
    cache = str(find_home().cache / "evaluations")
    rows: list[dict[str, Any]] = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        config = RunConfig(
            topic=find_topic(given.topic),
            data_uri=uri,
            data_root=str(Dataset.open(uri).root),
            space=given.space,
            seed=seed,
            evaluations=1_000_000,
            window=8,
            cap_ceiling_s=given.cap,
            max_train_rows=given.max_train_rows,
        )
        common = {"config": config.to_dict(), "cache": cache}
        stock, stock_clock = run_side({**common, "side": "stock", "minutes": given.minutes, "cap_s": given.cap})
        first = figures(stock, stock_clock, None, config, cache)
        shutil.rmtree(Path(cache, "prefixes"), ignore_errors=True)  # nothing from an earlier run
        ours, ours_clock = run_side({**common, "side": "ours", "cpu_budget": first["cpu_s"], "cluster": given.cluster})
        second = figures(ours, ours_clock, first["best"], config, cache)
        rows.append({"seed": seed, "stock": first, "ours": second})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'median (range) over seeds':<32}{'stock TPOT':>34}{'ltminer':>34}")
    for name in rows[0]["stock"]:
        cells = []
        for side in ("stock", "ours"):
            values = [row[side][name] for row in rows]
            cells.append(f"{median(values):.4g} ({min(values):.4g} to {max(values):.4g})")
        print(f"{name:<32}{cells[0]:>34}{cells[1]:>34}")


if __name__ == "__main__":
    main()
