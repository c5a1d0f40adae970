"""What the fork server runs for a miner: load the panel once, then evaluate one pipeline per child."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data.panel import Panel, load_panel, panel_key, score_rows
from data.splits import Split, walk_forward
from infra.forkserver import PR_SET_PDEATHSIG
from miner.evaluation import NotFiniteError, arm_cpu_cap, predict_fold, walk
from miner.outcome import Outcome
from miner.prefix import PrefixCache
from miner.task import DataReference, Task
from pipelines.build import build
from pipelines.spec import from_canonical
from protocol.errors import DataError
from protocol.topics import topic_from_dict

#: The prefix folder is swept back to its limit every so many tasks.
SWEEP_EVERY = 25


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a child inherits: read-only data, memory-mapped, and the folds."""

    panel: Panel
    split: Split
    scope: str
    cache: PrefixCache


@functools.lru_cache(maxsize=2)
def _load(reference: str, cache: Path) -> tuple[Panel, Split, str]:
    data: DataReference = json.loads(reference)
    topic = topic_from_dict(data["topic"], "task")
    key = panel_key(data["root"], topic)
    # Building a panel reads Parquet on threads; a process that forks must never have had any.
    _in_child(lambda: load_panel(data["uri"], data["root"], topic, cache=cache / "panels"))
    panel = load_panel(data["uri"], data["root"], topic, cache=cache / "panels")
    split = walk_forward(panel.time, horizon=topic.horizon, n_folds=data["folds"], holdout=data["holdout"])
    # Another version of a library transforms otherwise: what it left in the cache must not be taken for ours.
    versions = ":".join(
        f"{name}={version(name)}" for name in ("longtail", "scikit-learn", "numpy", "scipy", "lightgbm")
    )
    return panel, split, f"{key}:{data['folds']}:{data['holdout']}:{versions}"


def _in_child(work: Callable[[], object]) -> None:
    """Run `work` for its effect on the disk in a process of its own; its DataError is raised here."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        message = ""
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.close(reader)
            work()
        except DataError as error:
            message = str(error)
        except BaseException as error:
            traceback.print_exc()
            message = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, message.encode()[:60_000])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        message = answer.read().decode()
    _, status = os.waitpid(pid, 0)
    if message:
        raise DataError(message)
    if status:
        raise DataError(f"building the panel ended with status {status}; is there enough memory?")


_prepared_tasks = 0


def prepare(task: Task, cache: Path) -> Prepared:
    """Open the data of a task, import what its pipeline needs, and keep both for the tasks to come."""
    global _prepared_tasks  # noqa: PLW0603 - one counter per server process
    panel, split, scope = _load(json.dumps(task["data"], sort_keys=True), cache)
    build(from_canonical(task["text"]))
    prefixes = PrefixCache(cache / "prefixes", task["cache_mb"] << 20)
    _prepared_tasks += 1
    if _prepared_tasks % SWEEP_EVERY == 0:
        prefixes.sweep()
    return Prepared(panel, split, scope, prefixes)


def run(task: Task, state: Prepared, emit: Callable[[dict[str, Any]], None]) -> None:
    """Evaluate the task's pipeline, one message per fold and one for the end."""
    try:
        if task["final"]:
            _run_final(task, state, emit)
        else:
            _run_folds(task, state, emit)
    except NotFiniteError as error:
        emit({"status": "not-finite", "reason": str(error)})
    except MemoryError:
        emit({"status": "memory", "reason": f"more than {task['memory_mb']} MB"})
    except Exception as error:
        status = "memory" if "bad_alloc" in str(error) else "failed"
        emit({"status": status, "reason": f"{type(error).__name__}: {error}"[:300]})


def _run_folds(task: Task, state: Prepared, emit: Callable[[dict[str, Any]], None]) -> None:
    total, would_prune, floors = 0.0, 0, task["floors"]
    folds = walk(
        task["text"],
        state.panel,
        state.split.folds,
        cap_s=task["cap_s"],
        max_train_rows=task["data"]["max_train_rows"],
        cache=state.cache,
        scope=state.scope,
    )
    for number, fold in enumerate(folds, start=1):
        emit({"score": fold.score, "deviation": fold.deviation, "days": fold.days})
        total += fold.score
        if number <= len(floors) and total / number < floors[number - 1] and not would_prune:
            if not task["spared"]:
                emit({"status": "pruned", "reason": f"below every simpler member after {number} folds"})
                return
            would_prune = number
    emit({"status": "ok", "would_prune": would_prune})


def _run_final(task: Task, state: Prepared, emit: Callable[[dict[str, Any]], None]) -> None:
    """Score the pipeline day by day on every fold and on the untouched last slice."""
    spec = from_canonical(task["text"])
    folds = (*state.split.folds, state.split.holdout)
    for number, fold in enumerate(folds):
        arm_cpu_cap(task["cap_s"])
        predicted = predict_fold(spec, state.panel, fold, max_train_rows=task["data"]["max_train_rows"])
        scores = score_rows(state.panel, fold.test, predicted)
        emit({"fold": number, "day": scores.day.tolist(), "score": [round(float(value), 9) for value in scores.score]})
    emit({"status": "ok"})


def outcome_of(k: int, reply: Mapping[str, Any], task: Task) -> Outcome:
    """Turn a fork server's reply into the outcome of candidate `k`.

    Raises
    ------
    DataError
        The worker could not open the data: no candidate can be evaluated there.
    """
    if reply["end"] == "refused":
        raise DataError(f"a worker cannot open the data: {reply['error']}")
    if reply["end"] == "error":
        return Outcome(k, "crashed", reason=str(reply["error"])[:300])
    messages = reply["messages"]
    folds = [message for message in messages if "score" in message and "deviation" in message]
    end = next((message for message in messages if "status" in message), None)
    if end is not None:
        status, reason = end["status"], end.get("reason", "")
    elif reply["end"] == "hung":
        status, reason = "hung", "used no CPU for a minute"
    elif reply["end"] == "flood":
        status, reason = "crashed", "sent more output than an evaluation has"
    elif reply["end"] == "signal" and reply["code"] == signal.SIGPROF:
        status, reason = "cap", f"fold {len(folds) + 1} showed that {task['cap_s']:g} CPU seconds do not suffice"
    elif reply["end"] == "signal":
        status, reason = "crashed", f"ended by signal {reply['code']} ({signal.strsignal(reply['code'])})"
    else:
        status, reason = "crashed", f"ended with code {reply['code']}"
    return Outcome(
        k=k,
        status=status,
        scores=tuple(fold["score"] for fold in folds),
        deviations=tuple(fold["deviation"] for fold in folds),
        days=tuple(fold["days"] for fold in folds),
        cpu_s=reply["cpu_s"],
        reason=reason,
        would_prune=end.get("would_prune", 0) if end else 0,
    )
