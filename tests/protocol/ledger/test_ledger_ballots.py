"""Ballots: nobody copies a report, two thirds of the stake decide, and silence has its price."""

from __future__ import annotations

import pytest
from made_ledgers import (
    ADDRESS,
    PARAMS,
    SALT,
    START,
    VALIDATORS,
    Network,
    made_genesis,
    module,
    pure_network,
    screen_report,
)

from protocol.ledger.ballots import reveals_open
from protocol.ledger.commitments import report_commitment, report_hash, screen_subject
from protocol.ledger.params import LTFT
from protocol.ledger.state import Account, Ballot, Submission

REFUSED: dict[str, int | str] = {"outcome": "refused", "reason": "screen"}


class Court(Network):
    """A network with one submission under judgement."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.ledger, network.clock)
        self.block_hash = self.submit("alice", module(1))
        self.subject = screen_subject(self.block_hash)

    @property
    def ballot(self) -> Ballot:
        return self.state.ballots[self.subject]

    @property
    def submission(self) -> Submission:
        return self.state.submissions[self.block_hash]

    @property
    def status(self) -> str:
        return self.submission.status

    def account(self, who: str) -> Account:
        return self.state.accounts[ADDRESS[who]]

    def report(self, **changes: int | str) -> dict[str, int | str]:
        return screen_report(self.block_hash, self.submission.k, **changes)

    def commits(self, *names: str, **changes: int | str) -> None:
        for who in names:
            self.commit_report(who, self.subject, self.report(**changes))

    def reveals(self, *names: str, **changes: int | str) -> None:
        for who in names:
            self.reveal_report(who, self.subject, self.report(**changes))

    def no_reveal(self, who: str, **changes: int | str) -> str:
        return self.refused(who, "report_reveal", subject=self.subject, salt=SALT, report=self.report(**changes))

    def no_commit(self, who: str, subject: str = "") -> str:
        return self.refused(who, "report_commit", subject=subject or self.subject, commitment=SALT)


@pytest.fixture
def court() -> Court:
    return Court(pure_network())


def stakes(**stakes: int) -> Court:
    return Court(pure_network(made_genesis(**stakes)))


def test_reveals_wait_for_every_validator_or_the_window_and_two_thirds(court: Court) -> None:
    court.commits("val1", "val2")
    assert court.no_reveal("val1") == "too-early"
    court.commits("val3")
    assert court.ballot.reveal_by == START + PARAMS.report_reveal_s
    court.reveals("val1")


def test_two_thirds_must_be_exceeded(court: Court) -> None:
    court.commits("val1", "val2")
    court.wait(PARAMS.report_window_s + 1)
    assert court.no_reveal("val1") == "too-early"
    court.commits("val3")
    court.reveals("val3", "val2")
    assert court.status == "open"
    court.reveals("val1")
    assert court.status == "accepted"


def test_more_than_two_thirds_suffice_after_the_window() -> None:
    court = stakes(val1=401, val2=400, val3=400)
    court.commits("val1", "val2")
    court.wait(PARAMS.report_window_s - 1)
    assert not reveals_open(court.state, court.ballot)
    court.wait(1)
    assert court.ballot.reveal_by == START + PARAMS.report_window_s + PARAMS.report_reveal_s
    court.reveals("val1")
    court.reveals("val2")
    assert court.status == "accepted"
    assert court.no_commit("val3") == "closed"


def test_commitments_are_welcome_until_the_first_report_is_revealed() -> None:
    court = stakes(val1=500, val2=500, val3=300)
    court.commits("val1", "val2")
    court.wait(PARAMS.report_window_s)
    court.commits("val3")
    court.reveals("val1")
    court = stakes(val1=500, val2=500, val3=300)
    court.commits("val1", "val2")
    court.wait(PARAMS.report_window_s)
    court.reveals("val1")
    assert court.no_commit("val3") == "commits-closed"


def test_a_quorum_reached_late_opens_the_reveals_at_once() -> None:
    court = stakes(val1=500, val2=300, val3=500)
    court.commits("val1")
    court.wait(PARAMS.report_window_s + 50)
    assert not court.ballot.reveal_by
    court.commits("val3")
    assert court.ballot.reveal_by == START + PARAMS.report_window_s + 50 + PARAMS.report_reveal_s


def test_a_validator_that_leaves_is_not_waited_for(court: Court) -> None:
    court.commits("val1", "val2")
    court.send("val3", "unstake", amount=400 * LTFT)
    court.reveals("val1", "val2")
    assert court.status == "accepted"


def test_a_report_cannot_be_copied_changed_or_given_twice(court: Court) -> None:
    court.commits("val1", "val2")
    copied = court.ballot.commits[ADDRESS["val1"]]
    court.send("val3", "report_commit", subject=court.subject, commitment=copied)
    court.reveals("val1")
    assert court.no_reveal("val3") == "wrong-opening"
    assert court.no_reveal("val2", outcome="refused") == "wrong-opening"
    assert court.no_reveal("val1") == "already-revealed"
    assert court.no_reveal("alice") == "not-committed"
    court.reveals("val2")
    assert court.status == "open"


def test_who_may_report_on_what(court: Court) -> None:
    assert court.no_commit("alice") == "not-validator"
    assert court.no_commit("val1", screen_subject(SALT)) == "no-subject"
    court.commits("val1")
    assert court.no_commit("val1") == "already-committed"
    court.commits("val2", "val3")
    court.reveals(*VALIDATORS)
    assert court.no_commit("val1") == "closed"
    assert court.no_reveal("val1") == "not-committed"


def test_a_late_reveal_counts_for_the_validator_only() -> None:
    court = stakes(val1=600, val2=200, val3=100)
    court.commits("val1", "val2")
    court.commits("val3", specific=99)
    court.reveals("val1", "val2")
    before = court.submission
    assert before.status == "accepted"
    court.reveals("val3", specific=99)
    assert court.submission == before
    assert (court.account("val3").reports, court.account("val3").agreed) == (1, 1)
    assert court.subject not in court.state.ballots


def test_dissent_is_counted_and_does_not_change_the_outcome() -> None:
    court = stakes(val1=600, val2=200, val3=100)
    court.commits("val1", "val2")
    court.commits("val3", **REFUSED)
    court.reveals("val3", **REFUSED)
    court.reveals("val1", "val2")
    assert court.status == "accepted"
    assert [court.account(who).agreed for who in VALIDATORS] == [1, 1, 0]
    assert [court.account(who).open_reports for who in VALIDATORS] == [0, 0, 0]


@pytest.mark.parametrize("changes", [REFUSED, {"pipeline_id": "11" * 32}], ids=["outcome", "pipeline"])
def test_without_agreement_of_two_thirds_nothing_is_decided(court: Court, changes: dict[str, int | str]) -> None:
    court.commits("val1", "val2")
    court.commits("val3", **changes)
    court.reveals("val1", "val2")
    court.reveals("val3", **changes)
    assert court.status == "undecided"
    assert court.subject not in court.state.ballots
    assert [court.account(who).agreed for who in VALIDATORS] == [0, 0, 0]


def test_silence_after_a_commitment_is_fined_and_starts_a_new_round(court: Court) -> None:
    court.commits(*VALIDATORS)
    court.reveals("val1", "val2")
    pool = court.state.pool
    court.wait(PARAMS.report_reveal_s - 1)
    assert court.ballot.round == 1
    court.wait(1)
    assert (court.ballot.round, court.ballot.opened, dict(court.ballot.commits)) == (
        2,
        START + PARAMS.report_reveal_s,
        {},
    )
    silent = court.account("val3")
    assert (silent.stake, silent.missed, silent.open_reports) == (400 * LTFT - PARAMS.report_penalty, 1, 0)
    assert court.state.validators[ADDRESS["val3"]] == silent.stake
    assert court.state.pool == pool + PARAMS.report_penalty
    assert court.no_reveal("val3") == "not-committed"
    court.commits(*VALIDATORS)
    court.reveals(*VALIDATORS)
    assert court.status == "accepted"


def test_silence_is_fined_after_the_decision_too() -> None:
    court = stakes(val1=600, val2=200, val3=100)
    court.commits(*VALIDATORS)
    court.reveals("val1", "val2")
    court.wait(PARAMS.report_reveal_s)
    assert court.status == "accepted"
    assert court.account("val3").missed == 1
    assert ADDRESS["val3"] not in court.state.validators, "the fine took it below the minimum"
    assert not court.state.ballots


def test_stake_stays_while_a_reveal_is_owed(court: Court) -> None:
    court.commits("val1")
    assert court.refused("val1", "unstake", amount=1) == "reports-open"
    court.wait(PARAMS.submission_expiry_s)
    assert (court.account("val1").open_reports, court.account("val1").missed) == (0, 0)
    court.send("val1", "unstake", amount=1)


def test_stake_counts_as_it_is_at_the_decision() -> None:
    court = stakes(val1=500, val2=500, val3=300)
    court.commits(*VALIDATORS)
    court.reveals("val1")
    court.send("val1", "unstake", amount=450 * LTFT)
    court.reveals("val2")
    assert court.status == "open"
    court.reveals("val3")
    assert court.status == "accepted"


def test_the_report_must_number_the_submission_as_the_ledger_does(court: Court) -> None:
    wrong = court.report(k=2)
    court.commits("val1", "val2")
    court.commit_report("val3", court.subject, wrong)
    assert court.refused("val3", "report_reveal", subject=court.subject, salt=SALT, report=wrong) == "wrong-number"


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "great"},
        {"reason": "because of this"},
        {"pipeline_id": ""},
        {"verdict": "11"},
        {"specific": "high"},
        {"extra": 1},
        {"k": "1"},
    ],
    ids=str,
)
def test_a_report_has_its_fields(court: Court, changes: dict[str, int | str]) -> None:
    bad = court.report(**changes)
    court.commits("val1", "val2")
    court.commit_report("val3", court.subject, bad)
    assert court.refused("val3", "report_reveal", subject=court.subject, salt=SALT, report=bad) == "malformed"


def test_an_invalid_module_needs_no_pipeline_id(court: Court) -> None:
    nothing: dict[str, int | str] = {
        "outcome": "invalid",
        "reason": "parse",
        "pipeline_id": "",
        "near_id": "",
        "data_root": "",
    }
    assert court.judge(court.block_hash, nothing, nothing, nothing) == "invalid"


def test_a_commitment_binds_its_author_and_subject(court: Court) -> None:
    other = court.submit("bob", module(2))
    report = court.report()
    for_other = report_commitment(screen_subject(other), ADDRESS["val3"], SALT, report_hash(report))
    court.commits("val1", "val2")
    court.send("val3", "report_commit", subject=court.subject, commitment=for_other)
    assert court.no_reveal("val3") == "wrong-opening"


def test_what_was_decided_just_before_its_expiry_stays_decided() -> None:
    court = stakes(val1=600, val2=200, val3=100)
    court.wait(PARAMS.submission_expiry_s - 10)
    court.commits(*VALIDATORS)
    court.reveals("val1", "val2")
    court.wait(10)
    assert court.status == "accepted"
    court.reveals("val3")
    assert court.account("val3").agreed == 1


def test_a_deadline_of_a_closed_ballot_does_not_touch_the_next(court: Court) -> None:
    court.commits("val1", "val2")
    court.commits("val3", **REFUSED)
    court.reveals("val1", "val2")
    court.reveals("val3", **REFUSED)
    assert court.status == "undecided"
    court.wait(PARAMS.report_reveal_s - 10)
    court.submit("alice", module(1))
    court.commits(*VALIDATORS)
    court.wait(10)
    assert (court.ballot.round, court.account("val1").missed) == (1, 0)
    court.wait(PARAMS.submission_expiry_s - PARAMS.report_reveal_s)
    assert court.ballot.round == 2, "the expiry of the first submission, while the second is in its next round"
    assert court.status == "open"


def test_a_commitment_made_again_has_its_own_window(court: Court) -> None:
    court.commits("val1", "val2")
    court.commits("val3", **REFUSED)
    court.reveals("val1", "val2")
    court.reveals("val3", **REFUSED)
    court.wait(PARAMS.reveal_window_s - 10)
    commitment = court.commit("alice", module(1))
    court.wait(10)
    assert commitment in court.state.commitments


def test_a_fine_takes_no_more_than_the_stake() -> None:
    params = PARAMS.model_copy(update={"report_penalty": 500 * LTFT})
    court = Court(pure_network(made_genesis(params, val1=600, val2=200, val3=100)))
    court.commits(*VALIDATORS)
    court.wait(params.report_reveal_s)
    assert [court.account(who).stake // LTFT for who in VALIDATORS] == [100, 0, 0]
