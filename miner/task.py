"""What travels to a worker: a canonical pipeline text, its bounds, and references to the data. No data, no code."""

from __future__ import annotations

from typing import Any, TypedDict

from miner.candidate import Candidate
from miner.config import RunConfig


class DataReference(TypedDict):
    """Where a worker finds the panel and how it is split; the panel is cached by content."""

    uri: str
    root: str
    topic: dict[str, Any]
    folds: int
    holdout: float
    max_train_rows: int


class Task(TypedDict):
    """One evaluation; plain JSON, about 2 kB."""

    k: int
    text: str
    cap_s: float
    floors: list[float]
    spared: bool
    memory_mb: int
    cache_mb: int
    final: bool
    data: DataReference


def data_reference(config: RunConfig) -> DataReference:
    """Return the references that are the same for every task of a run."""
    return {
        "uri": config.data_uri,
        "root": config.data_root,
        "topic": config.topic.to_dict(),
        "folds": config.folds,
        "holdout": config.holdout,
        "max_train_rows": config.max_train_rows,
    }


def task_of(candidate: Candidate, config: RunConfig) -> Task:
    """Return the task that evaluates `candidate` over the walk-forward folds."""
    return {
        "k": candidate.k,
        "text": candidate.text,
        "cap_s": candidate.cap_s,
        "floors": list(candidate.floors),
        "spared": candidate.spared,
        "memory_mb": config.memory_mb,
        "cache_mb": config.cache_mb if config.prefix_cache else 0,
        "final": False,
        "data": data_reference(config),
    }
