"""Ballots: validators commit to reports, reveal them, and more than two thirds of the stake decide.

A round gathers commitments until every validator has committed, or until ``report_window_s`` have passed and more than two
thirds of the stake have. Then reports may be revealed; the first one closes the commitments, so that nobody can copy it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from protocol.ledger import blocks, submissions
from protocol.ledger.commitments import Subject, parse_subject, report_commitment, report_hash
from protocol.ledger.event import SignedEvent
from protocol.ledger.money import set_stake
from protocol.ledger.params import DAY_S
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.reports import agreement, check_report, lower_median, plurality
from protocol.ledger.state import Ballot, Deadline, Outcome, Report, State

WINDOW_RANK = 1
REVEAL_RANK = 2
EXPIRY_RANK = 3


def open_ballot(state: State, ballot: Ballot) -> None:
    """Begin to gather reports."""
    state.ballots[ballot.subject] = ballot
    state.schedule(Deadline(ballot.expires, EXPIRY_RANK, ballot.subject))
    state.schedule(Deadline(ballot.opened + state.params.report_window_s, WINDOW_RANK, ballot.subject))


def reveals_open(state: State, ballot: Ballot) -> bool:
    """Return whether reports may be revealed at the time of `state` (:func:`protocol.ledger.rules.advance` it to now first)."""
    if ballot.reveal_by:
        return True
    if not ballot.commits:
        return False
    if all(validator in ballot.commits for validator in state.validators):
        return True
    return state.time >= ballot.opened + state.params.report_window_s and _is_quorum(state, ballot.commits)


def commit(state: State, event: SignedEvent) -> None:
    """Take a validator's commitment to a report."""
    author, text = event.author, event.body["subject"]
    if author not in state.validators:
        raise LedgerRefusal(
            "not-validator", f"{author} stakes less than {state.params.min_stake} wei; only validators report"
        )
    subject = parse_subject(text)
    ballot = _checked(state, subject, text)
    if ballot.reports:
        raise LedgerRefusal(
            "commits-closed", f"{text}: a report was revealed, no more commitments in round {ballot.round}"
        )
    if author in ballot.commits:
        raise LedgerRefusal(
            "already-committed", f"{author} has committed to a report on {text} in round {ballot.round}"
        )
    if text not in state.ballots:
        open_ballot(state, ballot)
    _count(state, author, open_reports=1)
    _begin_reveals(state, replace(ballot, commits={**ballot.commits, author: event.body["commitment"]}))


def reveal(state: State, event: SignedEvent) -> None:
    """Take the report that a validator committed to, and decide if it is the deciding one."""
    author, text, report = event.author, event.body["subject"], event.body["report"]
    subject = parse_subject(text)
    ballot = state.ballots.get(text)
    if ballot is None or author not in ballot.commits:
        raise LedgerRefusal("not-committed", f"{author} has no open commitment to a report on {text}")
    if author in ballot.reports:
        raise LedgerRefusal("already-revealed", f"{author} has revealed its report on {text} in round {ballot.round}")
    if not reveals_open(state, ballot):
        raise LedgerRefusal("too-early", f"{text}: commitments are still being gathered in round {ballot.round}")
    if report_commitment(text, author, event.body["salt"], report_hash(report)) != ballot.commits[author]:
        raise LedgerRefusal("wrong-opening", f"report and salt do not open the commitment of {author} on {text}")
    check_report(subject.kind, report)
    if subject.kind == "screen" and report["k"] != (k := state.submissions[subject.block_hash].k):
        raise LedgerRefusal("wrong-number", f"the report says k = {report['k']}; {text} is submission {k} of its topic")
    _count(state, author, open_reports=-1, reports=1)
    ballot = _begin_reveals(state, replace(ballot, reports={**ballot.reports, author: report}))
    if ballot.decided:
        _count(state, author, agreed=int(agreement(subject.kind, report) == ballot.decision))
    else:
        ballot = _decide(state, subject, ballot)
    if len(ballot.reports) == len(ballot.commits):
        if not ballot.decided:
            _give_up(state, subject)
        del state.ballots[text]


def end_window(state: State, deadline: Deadline) -> None:
    """Let two thirds of the stake suffice from now on."""
    ballot = state.ballots.get(deadline.key)
    if ballot is not None and ballot.opened + state.params.report_window_s == deadline.time:
        _begin_reveals(state, ballot)


def end_reveals(state: State, deadline: Deadline) -> None:
    """Fine those who did not reveal; without a decision, begin a new round."""
    ballot = state.ballots.get(deadline.key)
    if ballot is None or ballot.reveal_by != deadline.time:
        return
    for author in _missing(ballot):
        fine = min(state.params.report_penalty, state.accounts[author].stake)
        set_stake(state, author, state.accounts[author].stake - fine)
        state.pool += fine
        _count(state, author, open_reports=-1, missed=1)
    del state.ballots[ballot.subject]
    if not ballot.decided:
        open_ballot(state, Ballot(ballot.subject, state.time, ballot.expires, ballot.round + 1))


def expire(state: State, deadline: Deadline) -> None:
    """Give a subject up that was not decided in time."""
    ballot = state.ballots.get(deadline.key)
    if ballot is None or ballot.expires != deadline.time or ballot.decided:
        return
    for author in _missing(ballot):
        _count(state, author, open_reports=-1)
    del state.ballots[ballot.subject]
    _give_up(state, parse_subject(ballot.subject))


def _checked(state: State, subject: Subject, text: str) -> Ballot:
    """Return the ballot on a subject, a new one for live evidence, if it still takes commitments."""
    ballot = state.ballots.get(text)
    if subject.kind == "screen":
        if subject.block_hash not in state.submissions:
            raise LedgerRefusal("no-subject", f"no module {subject.block_hash} was submitted")
        if ballot is None or ballot.decided:
            raise LedgerRefusal("closed", f"{text} is {state.submissions[subject.block_hash].status} already")
        return ballot
    block = state.blocks.get(subject.block_hash)
    if block is None:
        raise LedgerRefusal("no-subject", f"there is no model block {subject.block_hash}")
    if block.status == "dropped" or subject.day <= block.evidence_day or (ballot is not None and ballot.decided):
        raise LedgerRefusal(
            "closed", f"{text}: the block is {block.status}, its evidence covers day {block.evidence_day}"
        )
    if (subject.day + 1) * DAY_S > state.time:
        raise LedgerRefusal("too-early", f"{text}: day {subject.day} is not over at {state.time}")
    return ballot or Ballot(text, state.time, state.time + state.params.submission_expiry_s)


def _begin_reveals(state: State, ballot: Ballot) -> Ballot:
    """Store a changed ballot; start the clock of the reveals if they are open now and were not before."""
    if not ballot.reveal_by and reveals_open(state, ballot):
        ballot = replace(ballot, reveal_by=state.time + state.params.report_reveal_s)
        state.schedule(Deadline(ballot.reveal_by, REVEAL_RANK, ballot.subject))
    state.ballots[ballot.subject] = ballot
    return ballot


def _decide(state: State, subject: Subject, ballot: Ballot) -> Ballot:
    """Look for a group of agreeing reports with more than two thirds of the stake, and do what it says."""
    groups: dict[tuple[int | str, ...], dict[str, Report]] = {}
    for author, report in ballot.reports.items():
        groups.setdefault(agreement(subject.kind, report), {})[author] = report
    decision = next((one for one, group in groups.items() if _is_quorum(state, group)), None)
    if decision is None:
        return ballot
    group = groups[decision]
    for author in group:
        _count(state, author, agreed=1)
    votes = [(report, state.validators.get(author, 0)) for author, report in group.items()]

    def median(name: str) -> int:
        return lower_median([(int(report[name]), stake) for report, stake in votes])

    def most(name: str) -> str:
        return plurality([(str(report[name]), stake) for report, stake in votes])

    if subject.kind == "screen":
        said: dict[str, Any] = {
            name: most(name) for name in ("reason", "pipeline_id", "near_id", "verdict", "data_root", "registry")
        }
        said |= {name: median(name) for name in ("specific", "generalized")}
        submissions.settle(state, subject.block_hash, cast(Outcome, decision[0]), said)
    else:
        blocks.take_evidence(state, subject.block_hash, subject.day, median("log_e"), median("days"))
    state.ballots[ballot.subject] = replace(ballot, decided=True, decision=decision)
    return state.ballots[ballot.subject]


def _give_up(state: State, subject: Subject) -> None:
    if subject.kind == "screen":
        submissions.settle(state, subject.block_hash, "undecided", {"reason": "undecided"})


def _is_quorum(state: State, authors: Iterable[str]) -> bool:
    stake = sum(state.validators.get(author, 0) for author in authors)
    return stake * 3 > sum(state.validators.values()) * 2


def _missing(ballot: Ballot) -> list[str]:
    return [author for author in ballot.commits if author not in ballot.reports]


def _count(
    state: State, address: str, *, open_reports: int = 0, reports: int = 0, agreed: int = 0, missed: int = 0
) -> None:
    account = state.accounts[address]
    state.accounts[address] = replace(
        account,
        open_reports=account.open_reports + open_reports,
        reports=account.reports + reports,
        agreed=account.agreed + agreed,
        missed=account.missed + missed,
    )
