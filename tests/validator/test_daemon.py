"""Daemons over one ledger: every submission gets one verdict, whoever dies when."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from judged_network import FixedJudge, Network, report_on

from protocol.errors import ConfigError, EquivocationError
from protocol.keys import Key
from protocol.ledger.commitments import report_commitment, report_hash, screen_subject
from protocol.ledger.rules import advance
from protocol.ledger.state import Submission
from validator.daemon import Daemon
from validator.guard import Guard
from validator.metrics import Metrics
from validator.voting import Voter

LOG = logging.getLogger("test")


@contextmanager
def daemon(network: Network, key: Key, folder: Path, judge: FixedJudge | None = None) -> Iterator[Daemon]:
    ledger = network.open()
    with Guard(folder / "guards", key.address, ledger.domain.salt) as guard:
        voter = Voter(ledger, key, guard)
        yield Daemon(ledger, voter, judge or FixedJudge(), metrics=Metrics(), log=LOG)
    ledger.close()


def test_three_validators_accept_a_module_and_mint_its_block(tmp_path: Path) -> None:
    network = Network(tmp_path)
    name = network.submit("first = 1\n")
    judge = FixedJudge()
    with ExitStack() as stack:
        daemons = [stack.enter_context(daemon(network, key, tmp_path, judge)) for key in network.validators]
        assert [one.run_once() for one in daemons] == [1, 1, 1]
        state = network.ledger.state()
        assert len(state.ballots[screen_subject(name)].commits) == 3
        assert state.submissions[name].status == "open"
        for one in daemons:
            one.vote()
        assert [one.run_once() for one in daemons] == [0, 0, 0]
    state = network.ledger.state()
    assert state.submissions[name].status == "accepted"
    assert state.blocks[name].miner == network.miner.address
    assert judge.asked == [name] * 3
    assert not state.ballots
    assert network.ledger.verify().ok


def test_a_sole_validator_needs_one_call(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=1)
    names = [network.submit(f"number = {number}\n") for number in range(3)]
    with daemon(network, network.validators[0], tmp_path) as one:
        assert one.run_once() == 3
    assert [network.ledger.state().submissions[name].status for name in names] == ["accepted"] * 3


def test_a_daemon_that_dies_after_any_step_goes_on_where_it_was(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=1)
    name = network.submit("first = 1\n")
    judge, key = FixedJudge(), network.validators[0]
    with daemon(network, key, tmp_path) as one, pytest.MonkeyPatch.context() as patch:
        patch.setattr(one._voter, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        one._voter._guard.bind(screen_subject(name), 1, report_on(name, 1, "refused", "screen"))
        with pytest.raises(KeyboardInterrupt):
            one.vote()  # judged and bound, not sent
    with daemon(network, key, tmp_path, judge) as two:
        two.vote()
        assert judge.asked == []
        two.vote()
    assert network.ledger.state().submissions[name].status == "refused"


def test_the_same_key_elsewhere_stops_the_daemon(tmp_path: Path) -> None:
    network = Network(tmp_path)
    name = network.submit("first = 1\n")
    key = network.validators[0]
    with daemon(network, key, tmp_path / "here") as here, daemon(network, key, tmp_path / "there") as there:
        there.run_once()
        with pytest.raises(EquivocationError, match="in use elsewhere"):
            here.run_once()
    assert len(network.ledger.state().ballots[screen_subject(name)].commits) == 1


def test_what_cannot_be_judged_keeps_nobody_waiting(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=1)
    poison = network.submit("poison = 1\n")
    good = network.submit("good = 1\n")

    def screens(submission: Submission) -> dict[str, int | str]:
        if submission.block_hash == poison:
            raise ZeroDivisionError("a defect")
        return report_on(submission.block_hash, submission.k)

    with daemon(network, network.validators[0], tmp_path, FixedJudge(screens)) as one:
        assert one.run_once() == 1
        assert one.failed == {screen_subject(poison): "a defect"}
        one._retry.clear()
        one._judge = FixedJudge()
        assert one.run_once() == 1
        assert not one.failed
    state = network.ledger.state()
    assert [state.submissions[name].status for name in (poison, good)] == ["accepted", "accepted"]


def test_without_stake_nothing_is_judged(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.submit("first = 1\n")
    judge = FixedJudge()
    with daemon(network, Key.create(), tmp_path, judge) as one:
        assert one.run_once() == 0
        assert not one.staked
    assert judge.asked == []


def test_a_round_whose_reports_are_missing_is_repeated_with_the_same_report(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=3)
    name = network.submit("first = 1\n")
    judge = FixedJudge()
    with ExitStack() as stack:
        first, second, third = (
            stack.enter_context(daemon(network, key, tmp_path, judge)) for key in network.validators
        )
        for one in (first, second, third):
            one.run_once()
        first.vote()  # reveals, as the third did at once; the second does not
        network.clock.now += network.ledger.genesis.params.report_reveal_s + 1
        for _ in range(2):
            for one in (first, second, third):
                one.vote()
    state = network.ledger.state()
    assert state.submissions[name].status == "accepted"
    assert judge.asked == [name] * 3
    assert [state.accounts[key.address].missed for key in network.validators] == [0, 1, 0]
    assert network.ledger.verify().ok


def test_evidence_crowns_a_model(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=2)
    name = network.submit("first = 1\n")
    judges = FixedJudge(), FixedJudge()
    with ExitStack() as stack:
        daemons = [
            stack.enter_context(daemon(network, key, tmp_path, judge))
            for key, judge in zip(network.validators, judges, strict=True)
        ]
        for _ in range(2):
            for one in daemons:
                one.run_once()
        network.clock.now += 20 * 86_400
        today = network.clock.now // 86_400
        for judge, day in zip(judges, (today - 2, today - 1), strict=True):  # the second one's data are newer
            judge.day, judge.log_e = day, 5_000_000
        for _ in range(2):
            for one in daemons:
                one.evidence()
                one.vote()
    block = network.ledger.state().blocks[name]
    assert (block.status, block.evidence_day, block.log_e) == ("crowned", today - 2, 5_000_000)


def test_a_report_opens_its_commitment(tmp_path: Path) -> None:
    with Guard(tmp_path, "0x" + "1" * 40, "a" * 64) as guard:
        bound = guard.bind("screen:x", 1, {"b": 1, "a": "x"})
        again = guard.bound("screen:x", 1)
    assert again is not None
    one, two = (report_commitment("screen:x", "0x" + "1" * 40, b.salt, report_hash(b.report)) for b in (bound, again))
    assert one == two


def test_a_voter_without_a_report_says_nothing(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.submit("first = 1\n")
    with daemon(network, network.validators[0], tmp_path) as one:
        state = advance(network.ledger.state(), network.clock.now)
        assert one._voter.reveal(state) == 0


def test_a_full_disk_signs_nothing(tmp_path: Path) -> None:
    network = Network(tmp_path, validators=1)
    name = network.submit("first = 1\n")
    with daemon(network, network.validators[0], tmp_path) as one:
        guard = one._voter._guard
        guard._db.execute("PRAGMA max_page_count = 1")
        guard._db.execute("CREATE TEMP TABLE x (y)")
        big = {"outcome": "x" * 100_000}
        with pytest.raises(ConfigError, match="nothing was signed"):
            guard.bind(screen_subject(name), 1, big)
    assert not network.ledger.state().ballots[screen_subject(name)].commits
