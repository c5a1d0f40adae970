"""The two sides of benchmarks/evolution.py, each run in a process of its own: stock TPOT, and ltminer's engine.

Both get the same panel, folds, search space, number of workers, cap and label, and both use a Dask cluster of two one-thread
workers. A side writes what it found as JSON; the driver charges it with the CPU of all its descendants.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process_cpu import CpuClock
from data.panel import Panel, load_panel, score_rows
from data.splits import Split, thin, walk_forward
from infra.cluster import Job, open_executor
from infra.settings import load_settings
from miner.config import RunConfig
from miner.engine import Snapshot, run_search
from miner.journal import Journal
from miner.search import Search
from miner.task import task_of
from pipelines.export import from_estimator
from pipelines.spaces import search_space
from pipelines.spec import canonical_text
from protocol.errors import RefusedError


def own_cpu() -> float:
    """Return the CPU seconds of this process alone."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def panel_of(config: RunConfig, cache: Path) -> tuple[Panel, Split, int]:
    """Return the panel, its folds and the size of the smallest training part."""
    panel = load_panel(config.data_uri, config.data_root, config.topic, cache=cache / "panels")
    split = walk_forward(panel.time, horizon=config.topic.horizon, n_folds=config.folds, holdout=config.holdout)
    return panel, split, min(len(thin(panel.time, fold.train, config.max_train_rows)) for fold in split.folds)


class WalkForward:
    """The engine's folds as a scikit-learn splitter."""

    def __init__(self, folds: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.folds = folds

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return len(self.folds)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Yield the row numbers of each fold."""
        yield from self.folds


class DayScorer:
    """The engine's fold score as a scikit-learn scorer; row numbers come back in the index of y."""

    __name__ = "day_score"  # TPOT names the objective after it

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Return the mean day score of a fold."""
        rows = y.index.to_numpy()
        predicted = np.asarray(estimator.predict(X), dtype=np.float64).reshape(-1)
        return float(np.mean(score_rows(self.panel, (int(rows[0]), int(rows[-1]) + 1), predicted).score))


def run_stock(config: RunConfig, cache: Path, minutes: float, cap_s: float) -> dict[str, Any]:
    """Run TPOTEstimator for some minutes of wall time."""
    import cloudpickle
    import pandas as pd

    panel, split, smallest = panel_of(config, cache)
    space = search_space(config.space, n_features=panel.features.shape[1], n_samples=smallest)
    import tpot

    folds = [(thin(panel.time, fold.train, config.max_train_rows), np.arange(*fold.test)) for fold in split.folds]
    last = split.folds[-1].test[1]
    estimator = tpot.TPOTEstimator(
        search_space=space,
        scorers=[DayScorer(panel)],
        scorers_weights=[1.0],
        classification=False,
        cv=WalkForward(folds),
        population_size=config.population,
        generations=10_000,
        max_time_mins=minutes,
        max_eval_time_mins=cap_s / 60,
        n_jobs=2,
        random_state=config.seed,
        verbose=0,
    )
    search: dict[str, float] = {}
    optimize = tpot.evolvers.BaseEvolver.optimize

    def timed(evolver: Any, *given: Any, **named: Any) -> Any:
        before = own_cpu()
        try:
            return optimize(evolver, *given, **named)
        finally:
            search.update(cpu=own_cpu() - before, ended_at=time.time())

    tpot.evolvers.BaseEvolver.optimize = timed  # the final fit that follows is not charged
    estimator.fit(np.array(panel.features[:last]), pd.Series(np.array(panel.label[:last])))
    table = estimator.evaluated_individuals
    column = estimator.objective_names[0]
    found = []
    for _, row in table.iterrows():
        score = float(row[column]) if row[column] == row[column] else None
        try:
            text = canonical_text(from_estimator(row["Individual"].export_pipeline()))
        except RefusedError:
            text = None
        found.append(
            {"at": float(row["Completed Timestamp"]) if score is not None else None, "score": score, "text": text}
        )
    sizes = [len(cloudpickle.dumps(row["Individual"])) for _, row in table.head(20).iterrows()]
    return {
        "found": found,
        "ended_at": search["ended_at"],
        "client_cpu": search["cpu"],
        "submitted": len(table),
        "task_bytes": float(np.mean(sizes)),
    }


def run_ours(config: RunConfig, cache: Path, cpu_budget: float, cluster: str) -> dict[str, Any]:
    """Run the engine until its process tree has used `cpu_budget` CPU seconds."""
    clock = CpuClock(os.getpid())
    panel, _, smallest = panel_of(config, cache)
    space = search_space(config.space, n_features=panel.features.shape[1], n_samples=smallest)
    search = Search(config, space, panel.features.shape[1], smallest)
    found: list[dict[str, Any]] = []
    sizes: list[int] = []

    def watch(snapshot: Snapshot) -> None:
        for outcome in snapshot.latest:
            score = outcome.score if outcome.status == "ok" else None
            found.append({"k": outcome.k, "at": time.time(), "score": score, "status": outcome.status})

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder), config, {})
        with open_executor(cluster, Job("miner.program", cache, load_settings(workers=2))) as executor:
            before = own_cpu()
            result = run_search(search, journal, executor, watch=watch, interrupted=lambda: clock.now >= cpu_budget)
            client_cpu, ended_at = own_cpu() - before, time.time()
        texts = {member.outcome.k: member.candidate for member in search.members}
        texts |= {member.outcome.k: member.candidate for member in result.front}
        for entry in found:
            candidate = texts.get(entry["k"])
            entry["text"] = candidate.text if candidate else None
            if candidate:
                sizes.append(len(json.dumps(task_of(candidate, config)).encode()))
    clock.stop()
    count = result.pruning
    return {
        "found": found,
        "ended_at": ended_at,
        "client_cpu": client_cpu,
        "submitted": search.asked,
        "task_bytes": float(np.mean(sizes)),
        "pruned": count.pruned,
        "pruned_sample": [count.sampled, count.false_kills],
    }


def main() -> None:
    """Run the side named on the command line; arguments and answer are JSON files."""
    warnings.simplefilter("ignore")
    request = json.loads(Path(sys.argv[1]).read_text())
    config, cache = RunConfig.from_dict(request["config"]), Path(request["cache"])
    if request["side"] == "stock":
        answer = run_stock(config, cache, request["minutes"], request["cap_s"])
    else:
        answer = run_ours(config, cache, request["cpu_budget"], request["cluster"])
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
