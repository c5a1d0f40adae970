"""What this machine finds about what the ledger asks: reports on submissions, and live evidence on models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.topics import find_topic
from pipelines.registry import fingerprint
from protocol.errors import DataError
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import DAY_S
from protocol.ledger.state import Block, Submission
from protocol.ledger.texts import TextMissingError
from protocol.topics import Topic
from validator.daemon import Report
from validator.evaluation import Contender, Jail, baselines
from validator.judging import score_module
from validator.live import evidence_of
from validator.record import Known, Record, record_of
from validator.sandbox.policy import Limits
from validator.verdict import MAX_BYTES, Verdict, read_verdict

MICRO = 1_000_000
#: Stands in the report on a module that could not be judged, since its text is not to be had.
NO_VERDICT = "0" * 64
#: In a simulation evidence is looked at as of the last multiple of this, seconds, so that validators ask about the same days.
EVIDENCE_STEP_S = 28 * DAY_S
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class LocalJudge:
    """Judges with this machine's data, topics and jail; see :class:`validator.daemon.Judge`.

    Attributes
    ----------
    ledger : Ledger
        Of its own: judging runs in a thread of its own.
    uri : str
        Dataset.
    sandbox : Jail
    limits : Limits
        Of one fit.
    verdicts : Path
        Folder that keeps every verdict.
    cache : Path
        Folder that keeps what recurs.
    note : callable
        Told what is being done.
    simulated : bool
        The dataset reaches beyond the network's time: a submission is judged on what was known at its reveal, evidence on
        what is known by now.
    """

    ledger: Ledger
    uri: str
    sandbox: Jail
    limits: Limits
    verdicts: Path
    cache: Path
    note: Callable[[str], None] = lambda _: None
    simulated: bool = False

    def screen(self, submission: Submission) -> Report:
        """Return the report on a submission, against the record as it stood when it was revealed; keep the verdict.

        A module whose text is not on the ledger has as long to appear as reports on it would have; then it is invalid.

        Raises
        ------
        LongtailError
            The topic, its data or the jail cannot be had here, or the module's text not yet.
        """
        try:
            self.ledger.source(submission.block_hash)
        except TextMissingError:
            if self.ledger.now().time < submission.time + self.ledger.genesis.params.report_window_s:
                raise
            return _unreadable(submission)
        return report_of(self._judged(submission))

    def evidence(self, block: Block, day: int | None) -> tuple[int, Report] | None:
        """Return the last day covered and the report on a block's evidence; None while there is no finished day.

        Raises
        ------
        LongtailError, ReplayFailedError
            As for a submission.
        """
        topic = find_topic(block.topic)
        subject = Known(self.ledger.source(block.hash).encode()).contender
        found = evidence_of(
            subject,
            self._bar(block),
            topic=topic,
            uri=self._uri(self.ledger.now().time // EVIDENCE_STEP_S * EVIDENCE_STEP_S),
            born_us=block.time * SECOND_US,
            until_day=day,
            sandbox=self.sandbox,
            limits=self.limits,
            cache=self.cache,
            note=self.note,
        )
        if found is None:
            return None
        return day if day is not None else found.last_day, {"log_e": found.log_e_micro, "days": found.days}

    def _uri(self, moment: int) -> str:
        return f"{self.uri}?until={moment}" if self.simulated else self.uri

    def _judged(self, submission: Submission) -> Verdict:
        topic, record = self._record(submission)
        source = self.ledger.source(submission.block_hash).encode()
        verdict = score_module(
            source,
            f"{submission.block_hash[:12]}.py",
            topic=topic,
            uri=self._uri(submission.time),
            record=record,
            k=submission.k,
            born_us=submission.time * SECOND_US,
            sandbox=self.sandbox,
            limits=self.limits,
            cache=self.cache,
            note=self.note,
        )
        verdict.save(
            self.verdicts, {known.block_hash: known.source for known in record.all} | {submission.block_hash: source}
        )
        return verdict

    def _record(self, submission: Submission) -> tuple[Topic, Record]:
        return find_topic(submission.topic), record_of(self.ledger, submission.topic, submission.height)

    def _bar(self, block: Block) -> Contender:
        """Return what a block had to beat at its screen, from the verdict that was given here or by judging it again."""
        submission = self.ledger.state().submissions[block.hash]
        verdict = self._kept(block.hash) or self._judged(submission)
        name = verdict.judged.get("bar")
        for plain in baselines():
            if plain.name == name:
                return plain
        for known in self._record(submission)[1].models:
            if known.block_hash == name:
                return known.contender
        raise DataError(
            f"block {block.hash}: this validator's own verdict names no bar ({verdict.reason}); look at it with explain"
        )

    def _kept(self, block_hash: str) -> Verdict | None:
        for path in sorted(self.verdicts.glob(f"{block_hash[:16]}-*.json")):
            if path.stat().st_size <= MAX_BYTES:
                verdict = read_verdict(path.read_bytes(), str(path))
                if verdict.block_hash == block_hash and "bar" in verdict.judged:
                    return verdict
        return None


def _unreadable(submission: Submission) -> Report:
    """Return the report on a module that its miner keeps back; there is no verdict."""
    return {
        "outcome": "invalid",
        "reason": "text",
        "pipeline_id": "",
        "near_id": "",
        "verdict": NO_VERDICT,
        "data_root": "",
        "registry": fingerprint(),
        "specific": 0,
        "generalized": 0,
        "k": submission.k,
    }


def report_of(verdict: Verdict) -> Report:
    """Return what goes to the ledger of a verdict: scores in millionths, identities, and the verdict's hash.

    Of a module that is not accepted everybody learns its scores to one standard error only: finer ones would let a miner
    climb along the held-out days.
    """
    judged = verdict.judged
    pipeline = judged.get("pipeline", {})
    scores = judged.get("scores" if verdict.outcome == "accepted" else "feedback", {})
    return {
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "pipeline_id": pipeline.get("id", ""),
        "near_id": pipeline.get("near_id", ""),
        "verdict": verdict.hash,
        "data_root": judged["data_root"],
        "registry": fingerprint(),
        "specific": round(scores.get("specific", 0.0) * MICRO),
        "generalized": round(scores.get("generalized", 0.0) * MICRO),
        "k": int(judged["k"]),
    }
