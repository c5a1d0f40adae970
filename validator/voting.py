"""What a validator says on the ledger: commitments to its reports, then the reports, each exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.network import send
from protocol.keys import Key
from protocol.ledger.ballots import reveals_open
from protocol.ledger.commitments import report_commitment, report_hash
from protocol.ledger.ledger import Ledger
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.state import Ballot, State
from validator.guard import Guard

#: Refusals that only say that others were quicker.
OVERTAKEN = frozenset(
    {"closed", "commits-closed", "already-committed", "already-revealed", "no-subject", "not-committed"}
)


@dataclass(frozen=True, slots=True)
class Question:
    """A subject on which this validator has not committed in this round."""

    subject: str
    round: int


class Voter:
    """One key's reports on one ledger. Every method may be repeated after a crash at any moment.

    Parameters
    ----------
    ledger : Ledger
    key : Key
    guard : Guard
        Of this key and this ledger.
    """

    def __init__(self, ledger: Ledger, key: Key, guard: Guard) -> None:
        self._ledger = ledger
        self._key = key
        self._guard = guard

    @property
    def address(self) -> str:
        """The key's address."""
        return self._key.address

    def questions(self, state: State) -> list[Question]:
        """Return what waits for a report of this validator, oldest first; nothing if it has no stake."""
        if self.address not in state.validators:
            return []
        return [Question(ballot.subject, ballot.round) for ballot in self._ballots(state) if self._may_commit(ballot)]

    def judged(self, question: Question) -> Mapping[str, int | str] | None:
        """Return the report that was made on this subject before, in this round or an earlier one."""
        return self._guard.known(question.subject)

    def commit(self, question: Question, report: Mapping[str, int | str]) -> bool:
        """Commit to `report`, or to the one this key is bound to already; return whether the ledger took it.

        Raises
        ------
        EquivocationError
            This key committed to something else elsewhere.
        """
        bound = self._guard.bind(question.subject, question.round, report)
        commitment = report_commitment(question.subject, self.address, bound.salt, report_hash(bound.report))
        self._guard.signing(question.subject, question.round, commitment)
        return self._append("report_commit", {"subject": question.subject, "commitment": commitment})

    def reveal(self, state: State) -> int:
        """Reveal every report whose time has come and return how many the ledger took."""
        taken = 0
        for ballot in self._ballots(state):
            waits = self.address in ballot.commits and self.address not in ballot.reports
            if waits and reveals_open(state, ballot):
                bound = self._guard.bound(ballot.subject, ballot.round)
                if bound is not None:  # refuse_foreign has made sure of it
                    body = {"subject": ballot.subject, "salt": bound.salt, "report": dict(bound.report)}
                    taken += self._append("report_reveal", body)
        return taken

    def refuse_foreign(self, state: State) -> None:
        """Make sure that every open commitment of this key was made here.

        Raises
        ------
        EquivocationError
            One was not.
        """
        for ballot in self._ballots(state):
            if self.address in ballot.commits:
                self._guard.refuse_foreign(ballot.subject, ballot.round, ballot.commits[self.address])

    def _ballots(self, state: State) -> Iterator[Ballot]:
        yield from sorted(state.ballots.values(), key=lambda ballot: ballot.opened)

    def _may_commit(self, ballot: Ballot) -> bool:
        return self.address not in ballot.commits and not ballot.reports and not ballot.decided

    def _append(self, kind: str, body: dict[str, Any]) -> bool:
        try:
            return send(self._ledger, self._key, kind, body).new
        except LedgerRefusal as refusal:
            if refusal.code in OVERTAKEN:
                return False
            raise
