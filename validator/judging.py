"""From a stranger's module to a verdict: parsed, compared, fitted in the jail, scored, judged.

The stages come in order of cost, and a module that fails one is not taken to the next. What the dataset or this machine
lacks is an error, never a verdict.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.dataset import Dataset
from data.panel_store import panels_folder
from pipelines.identity import library_versions, near_id, pipeline_id
from pipelines.parser import block_hash, parse_module
from pipelines.registry import fingerprint
from pipelines.spec import describe
from protocol.bootstrap import block_bootstrap_test, expected_block
from protocol.errors import RefusedError
from protocol.generality import relevant
from protocol.judgement import MAX_CORRELATION, Facts, Gate, judge, outcome_of
from protocol.originality import similarity
from protocol.rounding import rounded
from protocol.spending import ladder
from protocol.topics import Topic
from validator.course import Course, Note, Vector, lay_course, scores_of
from validator.evaluation import RULES_VERSION, Contender, Jail, ReplayFailedError, Replays
from validator.record import Record, contender_of
from validator.sandbox.policy import Limits
from validator.shown import shown_of
from validator.standing import Standing, bar_of, screen, span_of, standings
from validator.verdict import Verdict

_FAILURES = {
    "limits": "a replay of it reached a limit before it had answered",
    "fails": "a replay of it failed before it had answered",
    "not-finite": "it predicts what is no finite number",
}


@dataclass(frozen=True, slots=True)
class Check:
    """A gate that comes before those of the rule, with the fields of :class:`protocol.judgement.Gate`."""

    name: str
    value: float
    threshold: float
    passed: bool
    text: str


def score_module(
    source: bytes,
    name: str,
    *,
    topic: Topic,
    uri: str,
    root: str | None = None,
    record: Record | None = None,
    k: int = 1,
    born_us: int | None = None,
    sandbox: Jail,
    limits: Limits | None = None,
    panels: Path | None = None,
    cache: Path | None = None,
    note: Note = lambda _: None,
) -> Verdict:
    """Judge one module against the record of a topic.

    Parameters
    ----------
    source : bytes
        The module, whatever a stranger sent.
    name : str
        What to call it in the parser's words.
    topic : Topic
    uri : str
        Dataset.
    root : str, optional
        Content root of the version to score on; default its ``HEAD``.
    record : Record, optional
        Default: an empty one, so that the strongest baseline is to be beaten.
    k : int
        Number of the submission in its topic, from 1: the level of the screen depends on it, and on the topic's.
    born_us : int, optional
        Time of the submission's block, microseconds since 1970 UTC; without one no day is after it.
    sandbox : Jail
    limits : Limits, optional
        Of one fit.
    panels : Path, optional
        Cache of panels; default the home's.
    cache : Path, optional
        Where answers of baselines and recorded models are kept; None computes all.
    note : callable
        Told what is being done.

    Raises
    ------
    DataError
        The dataset is missing, empty, broken, of another root, or too small for the topic.
    ConfigError, ClusterError
        The jail cannot be had, or a cache cannot be written.
    """
    started = time.monotonic()
    limits = limits or Limits()
    replays = Replays(sandbox, limits, cache, note)
    case = _Case(source, name, topic, record or Record(), k, born_us, replays)
    outcome, reason = case.decide(Dataset.open(uri, root), panels)
    gates = [asdict(gate) for gate in case.gates]
    costs = replays.costs
    run = {
        "module": name,
        "uri": uri,
        "at": int(time.time()),
        "tier": sandbox.tier,
        "limits": asdict(limits),
        "machine": platform.machine(),
        "processor": _processor(),
        "python": platform.python_version(),
        "said": case.said,
        "elapsed_s": round(time.monotonic() - started, 3),
        "cpu_s": round(sum(cost["cpu_s"] for cost in costs), 3),
        "peak_mb": max((cost["peak_mb"] for cost in costs), default=0.0),
        "fits": costs,
    }
    return Verdict({**case.found, "gates": gates, "outcome": outcome, "reason": reason}, run)


@dataclass(slots=True)
class _Case:
    """One judgement: what went in, and what has been found so far."""

    source: bytes
    name: str
    topic: Topic
    record: Record
    k: int
    born_us: int | None
    replays: Replays
    found: dict[str, Any] = field(default_factory=dict)
    gates: list[Gate | Check] = field(default_factory=list)
    said: str = ""

    def decide(self, dataset: Dataset, panels: Path | None) -> tuple[str, str]:
        """Fill in findings and gates; return outcome and reason."""
        self.found = {
            "block_hash": block_hash(self.source),
            "bytes": len(self.source),
            "topic": self.topic.to_dict(),
            "k": self.k,
            "born_us": self.born_us,
            "data_root": dataset.known_root,
            "rules": {"version": RULES_VERSION, "registry": fingerprint(), "libraries": library_versions()},
            "record": {
                "height": self.record.height,
                "models": [known.block_hash for known in self.record.models],
                "earlier": [known.block_hash for known in self.record.earlier],
            },
        }
        try:
            spec = parse_module(self.source, self.name)
        except RefusedError as error:
            self.said = str(error)
            return self._invalid("parse", "module", "it does not parse as a pipeline module")
        self._passed("module", f"it is a pipeline module: {describe(spec)}")
        subject = contender_of(self.found["block_hash"], spec)
        self.found["pipeline"] = {
            "id": pipeline_id(spec),
            "near_id": near_id(spec),
            "words": describe(spec),
            "text": subject.text,
            "seed": subject.seed,
        }
        for known in self.record.all:
            if shared := known.shares_identity(spec):
                text = f"its {shared} is that of {known.block_hash[:12]}, which was there before"
                return self._invalid("copy", "identity", text)
        self._passed("identity", f"its pipeline_id and near_id are new among {len(self.record.all)} earlier pipelines")
        course = lay_course(dataset, self.topic, panels or panels_folder(), self.replays.note)
        self.found["course"] = course.to_dict()
        return self._replayed(subject, course)

    def _replayed(self, subject: Contender, course: Course) -> tuple[str, str]:
        try:
            declared = self.replays.forecast(subject, course.declared, recurs=False)
            others = self._others_on_declared(course)
            time_ = course.declared.panel.time[slice(*course.declared.test)]
            similar = {name: similarity(declared, theirs, time_) for name, theirs in others.items()}
            alike = {name: rounded(value) for name, value in similar.items()}
            if any(value > MAX_CORRELATION for value in alike.values()):
                self.found["similarity"] = alike
                gates = judge(Facts(k=self.k, rows=declared.size, finite=declared.size, correlations=similar))
                self.gates += gates
                return outcome_of(gates)
            groups = self.replays.group_scores(subject, course, recurs=False)
        except ReplayFailedError as error:
            self.said = str(error)  # where and how differs between machines: it stays out of the verdict's hash
            return self._invalid(error.reason, "complete", _FAILURES[error.reason])
        self.found["similarity"] = alike
        own = Standing(subject, scores_of([course.declared], [declared]), groups)
        return self._compared(own, course, declared, others, similar)

    def _others_on_declared(self, course: Course) -> dict[str, Vector]:
        answers = {}
        for known in self.record.all:
            try:
                answers[known.block_hash] = self.replays.forecast(known.contender, course.declared)
            except ReplayFailedError as error:
                self.replays.note(f"{known.block_hash[:12]} does not answer here: {error.detail}")
        return answers

    def _compared(
        self,
        own: Standing,
        course: Course,
        declared: Vector,
        others: Mapping[str, Vector],
        similar: Mapping[str, float],
    ) -> tuple[str, str]:
        models, plain = standings(self.record, course, self.replays)
        bar = bar_of(models, plain)
        test, block = screen(own, bar, course)
        gates = judge(
            Facts(
                k=self.k,
                level=self.topic.screen,
                rows=course.rows,
                finite=course.rows,
                correlations=similar,
                screen=test,
                generality=own.generality,
                record_generality=bar.generality,
            )
        )
        self.gates += gates
        self.found["scores"] = {**own.to_dict(), "relevant": self._relevant(own, course)}
        self.found["models"] = [standing.to_dict() for standing in models]
        self.found["baselines"] = [standing.to_dict() for standing in plain]
        self.found["bar"] = bar.contender.name
        self.found["screen"] = {"mean": rounded(test.mean), "se": rounded(test.se), "days": test.n, "block": block}
        self.found["feedback"] = _feedback(own, course)
        recorded = [others[standing.contender.name] for standing in models]
        self.found["shown"] = shown_of(course.declared, declared, own.declared, recorded, self.k)
        return outcome_of(gates)

    def _relevant(self, own: Standing, course: Course) -> float | None:
        if self.born_us is None:
            return None
        panel = course.declared.panel
        value = relevant(own.declared, born_us=self.born_us, now_us=int(panel.time[-1]) + panel.interval)
        return None if value is None else rounded(value)

    def _passed(self, name: str, text: str) -> None:
        self.gates.append(Check(name, 1.0, 1.0, True, text))

    def _invalid(self, reason: str, name: str, text: str) -> tuple[str, str]:
        self.gates.append(Check(name, 0.0, 1.0, False, text))
        return "invalid", reason


def _feedback(own: Standing, course: Course) -> dict[str, float]:
    """Return what the miner is told: scores rounded to one standard error each."""
    days, general = own.declared, own.generality
    block = expected_block(days.day, span_of([course.declared], course.topic.horizon))
    error = block_bootstrap_test(days.score, block).se
    return {
        "specific": ladder(rounded(days.mean), rounded(error)),
        "generalized": ladder(rounded(general.value), rounded(general.sd / math.sqrt(len(own.groups)))),
    }


def _processor() -> str:
    """Return the processor's name where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
