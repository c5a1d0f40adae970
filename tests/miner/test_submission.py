"""A submission reaches the ledger exactly once, wherever an attempt is cut off and however many are made at once."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_network
import pytest
from made_network import TOPIC, decide, local, network

from infra.home import find_home
from infra.network import find_key
from infra.settings import load_settings
from miner import sealing, submission
from miner.precheck import Module
from miner.sealing import Sealings
from miner.submission import submit
from protocol.errors import ConfigError, RefusedError
from protocol.keys import Key
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.sqlite import SqliteLedger

MODULE = made_network.module()


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """A home of its own for each test."""


def send_in(ledger: Ledger, key: Key, module: Module = MODULE, **options: Any) -> tuple[Any, bool]:
    return submit(ledger, key, module, options.pop("topic", TOPIC), name="miner", say=lambda _: None, **options)


def kinds(ledger: SqliteLedger) -> list[str]:
    return [record.event.kind for record in ledger.records(1)]


@pytest.fixture
def miner() -> Key:
    local().close()
    return find_key(load_settings(), "miner")


def test_a_module_is_committed_then_revealed_and_the_second_time_only_shown(miner: Key) -> None:
    said: list[str] = []
    with local() as ledger:
        first, new = submit(ledger, miner, MODULE, TOPIC, name="miner", say=said.append)
        assert (new, first.k, first.miner, first.block_hash) == (True, 1, miner.address, MODULE.block_hash)
        assert ledger.source(MODULE.block_hash).encode() == MODULE.source
        assert send_in(ledger, miner) == (first, False)
        assert kinds(ledger) == ["commit", "reveal"]
        assert ledger.verify().ok
    assert [line.partition(":")[0] for line in said] == ["committed", "revealed"]


def test_what_the_ledger_sees_before_the_reveal_tells_nothing(miner: Key) -> None:
    with local() as ledger:
        send_in(ledger, miner)
        committed = ledger.record(1).event.text
    assert MODULE.block_hash not in committed
    seal = Sealings.of(ledger.domain, miner.address).find(MODULE.block_hash)
    assert seal is not None
    assert seal.salt not in committed
    assert seal.commitment in committed


def killed(step: int, action: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run `action` in a child that kills itself before step number `step`: a file written or an event sent, done or not."""
    reached = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def reach() -> None:
            nonlocal reached
            if reached == step:
                os.kill(os.getpid(), signal.SIGKILL)
            reached += 1

        def call(*args: Any, **options: Any) -> Any:
            reach()
            result = function(*args, **options)
            reach()
            return result

        return call

    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sealing, "atomic_write", counted(sealing.atomic_write))
        patch.setattr(submission, "register", counted(submission.register))
        patch.setattr(submission, "send", counted(submission.send))
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the child touches none of them
        child = os.fork()
        if child == 0:  # pragma: no cover  # another process
            try:
                action()
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


#: Before and after: register, module's copy, seal, commit, reveal.
STEPS = 10


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_a_kill_at_any_moment_then_once_more_is_one_submission(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    local().close()
    newcomer = Key.create()

    def attempt() -> None:
        with local() as ledger:
            send_in(ledger, newcomer)

    assert killed(step, attempt, monkeypatch) == (signal.SIGKILL if step < STEPS else 0)
    with local() as ledger:
        found, new = send_in(ledger, newcomer)
        assert new == (step < STEPS - 1)
        assert kinds(ledger) == ["register", "commit", "reveal"]
        state = ledger.state()
        assert list(state.submissions) == [MODULE.block_hash] == [found.block_hash]
        assert not state.commitments
        params = state.params
        assert state.accounts[newcomer.address].balance == params.welcome - params.bond - params.fee
        assert ledger.verify().ok


def test_many_at_once_are_one(miner: Key) -> None:
    results: list[bool] = []

    def attempt() -> None:
        with local() as ledger:
            results.append(send_in(ledger, miner)[1])

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    with local() as ledger:
        assert kinds(ledger) == ["commit", "reveal"]


def test_several_modules_at_once_by_one_key_all_arrive(miner: Key) -> None:
    """Each finds the next nonce, whatever the others do."""
    modules = [made_network.module(alpha) for alpha in (1.0, 2.0, 3.0, 4.0)]
    failures: list[Exception] = []

    def attempt(module: Module) -> None:
        try:
            with local() as ledger:
                send_in(ledger, miner, module)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt, args=(module,)) for module in modules]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with local() as ledger:
        assert {one.k for one in ledger.state().submissions.values()} == {1, 2, 3, 4}


def test_the_copy_of_a_committed_module_can_be_revealed_when_the_file_has_changed(miner: Key) -> None:
    with local() as ledger:
        seal = Sealings.of(ledger.domain, miner.address).make(MODULE.block_hash, MODULE.source, TOPIC)
        submission.send(ledger, miner, "commit", {"topic": TOPIC, "commitment": seal.commitment})
        kept = Sealings.of(ledger.domain, miner.address).module(MODULE.block_hash)
        again = made_network.module_of(kept.read_bytes(), str(kept))
        assert send_in(ledger, miner, again)[1]
        assert kinds(ledger) == ["commit", "reveal"]


def test_a_commitment_for_another_topic_is_named(miner: Key) -> None:
    with local() as ledger:
        seal = Sealings.of(ledger.domain, miner.address).make(MODULE.block_hash, MODULE.source, "another")
        submission.send(ledger, miner, "commit", {"topic": "another", "commitment": seal.commitment})
        with pytest.raises(RefusedError, match="with --topic another"):
            send_in(ledger, miner)
        assert send_in(ledger, miner, topic="another")[1]


def test_a_missed_window_costs_its_bond_and_the_next_attempt_begins_anew(tmp_path: Path) -> None:
    now = [1000]
    miner = Key.create()
    ledger, _ = network(tmp_path / "ledger.sqlite", miner=miner, clock=lambda: now[0], reveal_window_s=60)
    with ledger:
        seal = Sealings.of(ledger.domain, miner.address).make(MODULE.block_hash, MODULE.source, TOPIC)
        submission.send(ledger, miner, "commit", {"topic": TOPIC, "commitment": seal.commitment})
        now[0] += 60
        _, new = send_in(ledger, miner)
        state = ledger.state()
        assert new
        assert state.accounts[miner.address].balance == 8 * LTFT - state.params.fee
        assert Sealings.of(ledger.domain, miner.address).find(MODULE.block_hash) != seal


def test_too_little_money_is_said_before_anything_is_paid(tmp_path: Path) -> None:
    miner = Key.create()
    ledger, _ = network(tmp_path / "ledger.sqlite", miner=miner, bond=10 * LTFT)
    with ledger:
        with pytest.raises(RefusedError, match=r"has 10 LTFT, .* bond of 10 LTFT and a fee of 0\.01 LTFT"):
            send_in(ledger, miner)
        assert kinds(ledger) == []
        assert not find_home().submissions.exists() or not list(find_home().submissions.rglob("*.json"))


def test_an_undecided_module_may_be_submitted_again(tmp_path: Path) -> None:
    now = [1000]
    miner = Key.create()
    ledger, _ = network(tmp_path / "ledger.sqlite", miner=miner, clock=lambda: now[0], submission_expiry_s=60)
    with ledger:
        send_in(ledger, miner)
        now[0] += 61
        again, new = send_in(ledger, miner)
        assert (new, again.k, again.status) == (True, 2, "open")
        assert ledger.state().accounts[miner.address].balance == 10 * LTFT - ledger.state().params.bond - again.fee


def test_a_decided_module_is_shown_also_to_another_miner(tmp_path: Path) -> None:
    miner, other = Key.create(), Key.create()
    ledger, validator = network(tmp_path / "ledger.sqlite", miner=miner)
    with ledger:
        send_in(ledger, miner)
        decide(ledger, validator, MODULE.block_hash, "refused", "screen")
        shown, new = send_in(ledger, other)
        assert (new, shown.miner, shown.status) == (False, miner.address, "refused")
        assert other.address not in ledger.state().accounts


def test_a_module_that_another_miner_reveals_in_between_is_a_duplicate(
    miner: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = submission.send
    with local() as ledger:

        def overtaken(where: Ledger, key: Key, kind: str, body: dict[str, Any]) -> Any:
            if kind == "reveal":
                monkeypatch.setattr(submission, "send", real)
                send_in(ledger, Key.create())
            return real(where, key, kind, body)

        monkeypatch.setattr(submission, "send", overtaken)
        with pytest.raises(LedgerRefusal, match="was submitted at height"):
            send_in(ledger, miner)


# ---------------------------------------------------------------------------------------------------------------- seals


def test_seals_are_for_their_owner_only_and_apart_by_ledger_and_miner(miner: Key) -> None:
    with local() as ledger:
        mine = Sealings.of(ledger.domain, miner.address)
        seal = mine.make(MODULE.block_hash, MODULE.source, TOPIC)
        (file,) = mine.folder.glob("*.json")
        assert file.stat().st_mode & 0o777 == 0o600
        assert mine.all() == [seal] == [mine.find(MODULE.block_hash)]
        assert Sealings.of(ledger.domain, Key.create().address).all() == []
        assert mine.make(MODULE.block_hash, MODULE.source, TOPIC).salt != seal.salt


@pytest.mark.parametrize("content", ["", "[]", "{}", "\ud800", '{"block_hash": 1, "topic": 1, "miner": 1, "salt": 1}'])
def test_a_damaged_seal_is_named(miner: Key, content: str) -> None:
    with local() as ledger:
        mine = Sealings.of(ledger.domain, miner.address)
        mine.make(MODULE.block_hash, MODULE.source, TOPIC)
        (file,) = mine.folder.glob("*.json")
        file.write_bytes(content.encode(errors="surrogatepass"))
        with pytest.raises(ConfigError, match=r"\.json is damaged"):
            send_in(ledger, miner)
        assert kinds(ledger) == []
