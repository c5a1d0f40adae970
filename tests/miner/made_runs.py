"""Small runs for the tests of the miner: data, configurations, and an executor that answers out of order without evaluating."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq

from data.dataset import Dataset
from data.synthetic import Kind, synthetic
from infra.executor import FreeMachines
from miner import program
from miner.config import RunConfig
from miner.engine import SearchResult, run_search
from miner.evaluation import FoldScore
from miner.journal import Journal
from miner.search import Search
from pipelines.spec import PIPELINE, Call, Value, call, canonical_text
from protocol.topics import Topic

FEATURES, ROWS = 20, 2000
TOPIC = Topic(name="made", type="ohlcv-1h", broker="synthetic", horizon=1)
TOPIC_FILE = 'name = "made"\ntype = "ohlcv-1h"\nbroker = "synthetic"\nhorizon = 1\n'


def write_series(folder: Path, kind: Kind = "linear", **options: Any) -> str:
    """Write a small synthetic panel as one Parquet file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}.parquet"
    pq.write_table(synthetic(kind, **{"n_symbols": 6, "n_bars": 900, "strength": 0.3, **options}), path)
    return str(path)


def config_of(**changes: Any) -> RunConfig:
    """Return a configuration for searches that are not evaluated."""
    values = {"data_uri": "nowhere", "data_root": "0" * 64, "space": "ridge", "population": 6, "window": 5, "seed": 6}
    return RunConfig(topic=TOPIC, **{**values, "evaluations": 40, **changes})


def real_config(uri: str, **changes: Any) -> RunConfig:
    """Return a configuration for `uri`, for searches that are evaluated."""
    return config_of(data_uri=uri, data_root=Dataset.open(uri).root, cap_start_s=20.0, memory_mb=1024, **changes)


def pipeline(*steps: Call) -> Call:
    """Return the pipeline of these steps."""
    members: tuple[Value, ...] = steps
    return call(PIPELINE, {"steps": members})


def text_of(*steps: Call) -> str:
    """Return the canonical text of the pipeline of these steps."""
    return canonical_text(pipeline(*steps))


def made_scores(text: str, n_folds: int = 5) -> tuple[float, ...]:
    """Return fold scores that are a function of the text alone: a level of its own and a small scatter."""
    digest = hashlib.sha256(text.encode()).digest()
    level = int.from_bytes(digest[:4], "big") / 2**32 - 0.5
    return tuple(round(level / 10 + (digest[4 + fold] - 128) / 5000, 9) for fold in range(n_folds))


def _made_walk(text: str, *_: Any, **__: Any) -> Iterator[FoldScore]:
    for score in made_scores(text):
        yield FoldScore(score, 0.1, 20)


class ShufflingExecutor(FreeMachines):
    """Answers what is in flight in random order and numbers, a few at a time; costs are random too.

    A share of the candidates fails, chosen by their text.
    """

    description = "shuffled"

    def __init__(self, slots: int, seed: int, fail_share: float = 0.15) -> None:
        self.slots = slots
        self.resubmitted = 0
        self.submitted: list[int] = []
        self.most_in_flight = 0
        self._random = random.Random(seed)
        self._fail_share = fail_share
        self._flight: dict[int, Mapping[str, Any]] = {}

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        assert k not in self._flight
        self.submitted.append(k)
        self._flight[k] = task
        self.most_in_flight = max(self.most_in_flight, len(self._flight))

    def collect(self, timeout: float) -> list[tuple[int, dict[str, Any]]]:
        running = sorted(self._flight)[: self.slots]
        chosen = self._random.sample(running, self._random.randint(0, len(running)))
        return [(k, self._answer(self._flight.pop(k))) for k in chosen]

    def close(self) -> None:
        self._flight.clear()

    def _answer(self, task: Mapping[str, Any]) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        if hashlib.sha256(task["text"].encode()).digest()[20] / 256 < self._fail_share:
            messages.append({"status": "failed", "reason": "ValueError: made to fail"})
        else:
            state: Any = SimpleNamespace(panel=None, split=SimpleNamespace(folds=range(5)), scope="", cache=None)
            program.run(task, state, messages.append)  # type: ignore[arg-type]  # a task is a mapping like any other
        return {"end": "exit", "code": 0, "messages": messages, "cpu_s": self._random.random(), "peak_mb": 1.0}


@contextmanager
def made_walk() -> Iterator[None]:
    """Have :mod:`miner.program` take scores from the text instead of evaluating."""
    before, program.walk = program.walk, _made_walk  # type: ignore[assignment]  # fewer named arguments
    try:
        yield
    finally:
        program.walk = before


def searched(config: RunConfig, space: Any, folder: Path, executor: Any, **options: Any) -> SearchResult:
    """Run, or resume, the search of `folder` on an executor whose scores are made up."""
    folder.mkdir(parents=True, exist_ok=True)
    present = (folder / "journal.sqlite").exists()
    with closing(Journal.open(folder) if present else Journal.create(folder, config, {})) as journal, journal.locked():
        journal.start_session("2026-01-01T00:00:00+00:00", "made")
        with made_walk():
            return run_search(Search(config, space, FEATURES, ROWS), journal, executor, **options)


def front_of(result: SearchResult) -> list[tuple[int, str, float, float]]:
    """Return what must be equal between runs."""
    return [
        (member.candidate.k, member.candidate.text, member.candidate.complexity, member.outcome.score)
        for member in result.front
    ]


def texts_in(folder: Path) -> list[str]:
    """Return the candidates of a journal in order."""
    import sqlite3

    with closing(sqlite3.connect(folder / "journal.sqlite")) as db:
        return [text for (text,) in db.execute("SELECT text FROM candidates ORDER BY k")]
