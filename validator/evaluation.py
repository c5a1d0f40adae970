"""Asking contenders along a course: through the jail, or from the memory of what recurs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data.panel_store import open_entry, write_entry
from infra.home import find_home
from infra.settings import Settings
from pipelines.baselines import reversal, ridge_spec
from pipelines.identity import library_versions
from pipelines.registry import fingerprint
from pipelines.spec import canonical_text
from protocol.rounding import round_predictions
from protocol.scores import DayScores
from validator.course import Course, Note, Slice, Vector, scores_of
from validator.sandbox.job import Job, Replay
from validator.sandbox.policy import Limits

#: Raised when the same module, data and record can give another verdict.
RULES_VERSION = 1


#: Ends that a busy or failing machine can bring about too: a bond is at stake, so they are looked at twice.
UNSURE = frozenset({"failed", "killed", "short", "wall"})


class Jail(Protocol):
    """What runs strangers' pipelines: :class:`validator.sandbox.host.Sandbox`."""

    @property
    def tier(self) -> str:
        """Which walls it has."""

    def run(self, job: Job) -> Replay:
        """Fit and ask once."""


class ReplayFailedError(Exception):
    """A contender did not answer a slice.

    Attributes
    ----------
    group : str
        Of the slice.
    reason : str
        ``limits``, ``not-finite`` or ``fails``.
    detail : str
        The jail's words.
    """

    def __init__(self, group: str, reason: str, detail: str) -> None:
        super().__init__(f"{group}: {detail}")
        self.group = group
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Contender:
    """A pipeline on the course.

    Attributes
    ----------
    name : str
        Block hash, or ``ridge``, ``reversal`` or ``zero``.
    text : str
        Canonical text with all seeds set; empty for the two baselines that are no pipelines.
    seed : int
    """

    name: str
    text: str = ""
    seed: int = 0


def baselines() -> tuple[Contender, ...]:
    """Return what is to be beaten where the record is empty."""
    return Contender("zero"), Contender("reversal"), Contender("ridge", canonical_text(ridge_spec()))


def limits_of(settings: Settings) -> Limits:
    """Return what one fit may use by the settings; its wall time is three times its CPU time."""
    cpu_s = settings.replay_cpu_s
    return Limits(cpu_s=cpu_s, wall_s=3 * cpu_s, memory_mb=settings.replay_memory_mb)


def replays_folder() -> Path:
    """Return where the home keeps the answers that recur."""
    return find_home().cache / "replays"


@dataclass(slots=True)
class Replays:
    """Asks contenders, remembers the answers of those that recur, and keeps the books.

    Attributes
    ----------
    jail : Jail
    limits : Limits
        Of one fit.
    cache : Path, optional
        Folder of rounded predictions by contender and slice; None remembers for the life of this object only.
    note : callable
    costs : list
        One entry per fit in the jail: contender, group, CPU and wall seconds, peak MB.
    """

    jail: Jail
    limits: Limits
    cache: Path | None
    note: Note = lambda _: None
    costs: list[dict[str, Any]] = field(default_factory=list)
    _answers: dict[str, Vector] = field(default_factory=dict)

    def forecast(self, contender: Contender, one: Slice, *, recurs: bool = True) -> Vector:
        """Return the predictions of a contender for the test rows of a slice, rounded as validators agree on them.

        Parameters
        ----------
        recurs : bool
            Whether to keep the answer for verdicts to come.

        Raises
        ------
        ReplayFailedError
            It does not answer.
        """
        if not contender.text:
            part = slice(*one.test)
            plain = np.zeros(one.panel.time.size) if contender.name == "zero" else reversal(one.panel)
            return round_predictions(plain[part], one.panel.time[part])
        parts = [RULES_VERSION, contender.text, contender.seed, one.key, fingerprint(), library_versions()]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        if key in self._answers:
            return self._answers[key]
        if self.cache and recurs and (entry := open_entry(self.cache, key)):
            if "prediction" in entry[0]:
                return np.asarray(entry[0]["prediction"])
            if entry[1]["limits"] == asdict(self.limits):
                raise ReplayFailedError(one.group, *entry[1]["failure"])
        replay = self._run(contender, one)
        if replay.status in UNSURE:
            replay = self._run(contender, one)
        if replay.status != "ok" or replay.predictions is None:
            failure = _REASONS.get(replay.status, "fails"), f"{replay.status}: {replay.reason}"
            if self.cache:
                # Whatever waits behind an undecided submission is compared with it: its limits are used up once.
                write_entry(self.cache, key, {}, {"failure": failure, "limits": asdict(self.limits)})
            raise ReplayFailedError(one.group, *failure)
        self._answers[key] = predicted = round_predictions(replay.predictions, one.panel.time[slice(*one.test)])
        if self.cache and recurs:
            write_entry(self.cache, key, {"prediction": predicted}, {})
        return predicted

    def _run(self, contender: Contender, one: Slice) -> Replay:
        self.note(f"fitting {contender.name[:12]} on {one.group}")
        replay = self.jail.run(one.job(contender.text, contender.seed, self.limits))
        cost = {"cpu_s": round(replay.cpu_s, 3), "wall_s": round(replay.wall_s, 3), "peak_mb": round(replay.peak_mb, 1)}
        self.costs.append({"contender": contender.name, "group": one.group, "status": replay.status, **cost})
        return replay

    def group_scores(self, contender: Contender, course: Course, *, recurs: bool = True) -> dict[str, DayScores]:
        """Return the day scores of a contender in every group.

        Raises
        ------
        ReplayFailedError
            It does not answer somewhere.
        """
        return {
            group.name: scores_of(slices, [self.forecast(contender, one, recurs=recurs) for one in slices])
            for group, slices in course.groups
        }


_REASONS = {"cpu": "limits", "memory": "limits", "wall": "limits", "not-finite": "not-finite"}
