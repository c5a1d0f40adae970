"""The daemon: two loops, one that judges and one that votes, over one ledger and one key.

Judging takes minutes, votes are due at once; so they run apart and meet in the guard, which holds the reports. Either loop
may be killed at any moment: what was judged is judged again or found in the guard, what was sent is found on the ledger.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from protocol.errors import EquivocationError, LongtailError
from protocol.ledger.commitments import live_subject, parse_subject
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import LTFT
from protocol.ledger.state import Block, State, Submission
from validator.metrics import Metrics
from validator.voting import Question, Voter

#: Seconds between looks at the ledger.
PERIOD_S = 1.0

#: Seconds between looks at live evidence: new days come once a day, at a time of their own.
EVIDENCE_PERIOD_S = 600.0
#: The same where days pass in seconds.
QUICK_EVIDENCE_S = 5.0
#: Seconds until a subject that could not be judged is tried again; doubled each time, up to an hour.
RETRY_S, MAX_RETRY_S = 30.0, 3600.0

Report = Mapping[str, int | str]


class Judge(Protocol):
    """What this validator finds; raises LongtailError where this machine cannot judge."""

    def screen(self, submission: Submission) -> Report:
        """Return the report on a submission, against the record as of its reveal."""
        ...

    def evidence(self, block: Block, day: int | None) -> tuple[int, Report] | None:
        """Return the last day covered (`day`, or the newest there is) and the report; None if there are no such days yet."""
        ...


class Daemon:
    """A validator's duties.

    Parameters
    ----------
    ledger : Ledger
    voter : Voter
    judge : Judge
    metrics : Metrics
    log : logging.Logger
    evidence_period_s : float
        Seconds between looks at live evidence.
    """

    def __init__(
        self,
        ledger: Ledger,
        voter: Voter,
        judge: Judge,
        *,
        metrics: Metrics,
        log: logging.Logger,
        evidence_period_s: float = EVIDENCE_PERIOD_S,
    ) -> None:
        self._ledger = ledger
        self._voter = voter
        self._judge = judge
        self._metrics = metrics
        self._log = log
        self._evidence_period_s = evidence_period_s
        self._voting = threading.Lock()  # of the voter and its guard
        self._retry: dict[str, tuple[float, float]] = {}  # subject -> when (monotonic), pause
        self.queue: tuple[Question, ...] = ()
        self.staked = False  # whether this key may report
        self.failed: dict[str, str] = {}  # what could not be judged here, and why

    def vote(self) -> float:
        """Commit to and reveal whatever is ready; return the seconds until it is worth looking again.

        Raises
        ------
        EquivocationError
            The key is in use elsewhere.
        """
        state = self.look()
        with self._voting:
            self._voter.refuse_foreign(state)
            for question in self.queue:
                report = self._voter.judged(question)
                if report is not None and self._voter.commit(question, report):
                    self._log.info("report committed", extra={"subject": question.subject, "round": question.round})
            revealed = self._voter.reveal(self.look())
        if revealed:
            self._log.info("reports revealed", extra={"count": revealed})
        return PERIOD_S

    def judge_next(self) -> bool:
        """Judge the oldest submission that waits for it; return whether one was judged or tried.

        What cannot be judged is put off, so that no submission can keep the others waiting.
        """
        state = self.look()
        for question in self.queue:
            with self._voting:
                known = self._voter.judged(question)
            if known is None and self._due(question.subject):
                self._attempt(question.subject, lambda question=question: self._judge_one(state, question))  # type: ignore[misc]  # binds the question
                return True
        return False

    def judging(self) -> float:
        """One step of the judging loop."""
        return 0.0 if self.judge_next() else PERIOD_S

    def evidence(self) -> float:
        """Report live evidence on standing models: on days others ask about, else on the newest day there is."""
        state = self.look()
        if self.staked:
            for topic in state.standing:
                for block in state.standing_blocks(topic):
                    self._attempt(f"live:{block.hash}", lambda block=block: self._weigh(state, block))  # type: ignore[misc]  # binds the block
        return self._evidence_period_s

    def run_once(self) -> int:
        """Judge and vote until nothing is left that this validator can do; return how many submissions it judged."""
        given = 0
        while True:
            self.vote()
            if not self.judge_next():
                break
            given += 1
        self.evidence()
        self.vote()
        return given - len(self.failed)

    def look(self) -> State:
        """Read the ledger as it is now, and note what waits."""
        state = self._ledger.now()
        questions = self._voter.questions(state)
        self.queue = tuple(one for one in questions if parse_subject(one.subject).kind == "screen")
        self.staked = self._voter.address in state.validators
        self._metrics.height.set(state.height)
        self._metrics.queue.set(len(self.queue))
        self._metrics.stake.set(state.validators.get(self._voter.address, 0) / LTFT)
        return state

    def _due(self, subject: str) -> bool:
        return self._retry.get(subject, (0.0, 0.0))[0] <= time.monotonic()

    def _attempt(self, subject: str, work: Callable[[], None]) -> None:
        """Do `work`; whatever goes wrong with it is told, and tried again later."""
        try:
            work()
        except EquivocationError:
            raise
        except Exception as error:  # a stranger's module must not end the daemon, whatever defect it meets
            pause = min(2 * self._retry.get(subject, (0.0, RETRY_S / 2))[1], MAX_RETRY_S)
            self._retry[subject] = (time.monotonic() + pause, pause)
            self.failed[subject] = str(error)
            facts = {"subject": subject, "error": f"{type(error).__name__}: {error}", "retry_s": pause}
            self._log.error("cannot judge", extra=facts, exc_info=None if isinstance(error, LongtailError) else error)
        else:
            self._retry.pop(subject, None)
            self.failed.pop(subject, None)

    def _weigh(self, state: State, block: Block) -> None:
        """Report evidence on one model."""
        open_days = {
            about.day: ballot
            for ballot in state.ballots.values()
            if (about := parse_subject(ballot.subject)).kind == "live" and about.block_hash == block.hash
        }
        mine = [day for day, ballot in open_days.items() if self._voter.address in ballot.commits]
        asked = [day for day in sorted(open_days) if day not in mine and not open_days[day].reports]
        for day in [*asked, *([] if asked or mine else [None])]:
            found = self._judge.evidence(block, day)
            if found is None or found[0] <= block.evidence_day:
                continue
            subject = live_subject(block.hash, found[0])
            ballot = state.ballots.get(subject)
            with self._voting:
                self._voter.commit(Question(subject, ballot.round if ballot else 1), found[1])
            self._log.info("evidence", extra={"block": block.hash, "day": found[0], **found[1]})

    def _judge_one(self, state: State, question: Question) -> None:
        submission = state.submissions[parse_subject(question.subject).block_hash]
        facts = {"block": submission.block_hash, "topic": submission.topic, "k": submission.k}
        self._log.info("judging", extra=facts)
        started = time.monotonic()
        report = self._judge.screen(submission)
        elapsed = time.monotonic() - started
        outcome, reason = str(report["outcome"]), str(report["reason"])
        self._metrics.judging.observe(elapsed)
        self._metrics.verdicts.labels(outcome, reason).inc()
        self._log.info("judged", extra={**facts, "outcome": outcome, "reason": reason, "seconds": round(elapsed, 1)})
        with self._voting:
            self._voter.commit(question, report)
