"""The local network comes into being once, whole, whoever calls at once or is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import network
from infra.home import find_home
from infra.keystore import save_key
from infra.network import (
    BALANCE,
    STAKE,
    TOKENS,
    ensure_local_network,
    find_address,
    find_key,
    find_network,
    open_network,
    send,
)
from infra.settings import load_settings
from protocol.errors import ConfigError, DataError
from protocol.keys import Key
from protocol.ledger.refusal import LedgerRefusal

ROLES = ("miner", "validator", "fund")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_local_network_has_a_validator_with_stake_and_a_miner_and_a_fund_with_money() -> None:
    settings = load_settings()
    with open_network(settings) as ledger:
        state = ledger.state()
        assert state.validators == {find_key(settings, "validator").address: STAKE}
        assert state.accounts[find_key(settings, "miner").address].balance == BALANCE
        assert state.accounts[find_key(settings, "fund").address].balance == TOKENS
        assert ledger.verify().ok
    files = {f"{role}.{ending}" for role in ROLES for ending in ("json", "password")}
    assert names(find_home().keys) == {".lock", *files}
    for name in files:
        assert (find_home().keys / name).stat().st_mode & 0o777 == 0o600


def test_it_is_the_same_the_second_time() -> None:
    settings = load_settings()
    with open_network(settings) as first:
        pass
    with open_network(settings) as second:
        assert second.domain == first.domain
        assert find_address(settings, "miner") == find_key(settings, "miner").address


def _first(_: int) -> str:
    with ensure_local_network(find_home()) as ledger:
        return ledger.domain.salt


def test_three_processes_at_once_make_one_network() -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(_first, range(6)))) == 1


def in_child(action: Callable[[], Any]) -> int:
    """Run `action` in a forked child and return the signal that ended it, 0 for none."""
    with warnings.catch_warnings():
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


@pytest.mark.parametrize("step", range(8))
def test_a_kill_between_any_two_files_leaves_nothing_that_the_next_call_cannot_finish(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are made in the order password and keystore of each role, ledger."""
    made = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal made
            if made == step:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return function(*args, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(network, "atomic_write", counted(network.atomic_write))
        patch.setattr(network, "save_key", counted(network.save_key))
        patch.setattr(network.SqliteLedger, "create", counted(network.SqliteLedger.create))
        ended = in_child(lambda: ensure_local_network(find_home()))
    assert ended == (signal.SIGKILL if step < 7 else 0)
    settings = load_settings()
    with open_network(settings) as ledger:
        assert set(ledger.state().accounts) == {find_key(settings, role).address for role in ROLES}


def test_reading_makes_nothing() -> None:
    assert find_network(load_settings()) is None
    assert not find_home().state.exists()
    open_network(load_settings()).close()
    found = find_network(load_settings())
    assert found is not None
    found.close()


def test_a_key_of_ones_own_takes_part(tmp_path: Path) -> None:
    own = Key.create()
    save_key(find_home().keys / "miner.json", own, "mine", iterations=2)
    password = tmp_path / "password"
    password.write_text("mine\n")
    settings = load_settings(password_file=str(password))
    with open_network(settings) as ledger:
        assert ledger.state().accounts[own.address].balance == BALANCE
    assert find_key(settings, "miner").address == own.address


def test_the_settings_choose_ledger_and_key(tmp_path: Path) -> None:
    open_network(load_settings()).close()
    elsewhere = tmp_path / "elsewhere.sqlite"
    find_home().ledger.rename(elsewhere)
    settings = load_settings(ledger=str(elsewhere), key="validator")
    with open_network(settings) as ledger:
        assert find_key(settings, "miner").address in ledger.state().validators
    assert not find_home().ledger.exists()


def test_a_ledger_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no ledger .*nothing\.sqlite"):
        open_network(load_settings(ledger=str(tmp_path / "nothing.sqlite")))
    open_network(load_settings()).close()
    find_home().ledger.write_bytes(b"nonsense" * 1000)
    with pytest.raises((ConfigError, DataError), match=r"ledger\.sqlite"):
        open_network(load_settings())


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no keystore .*miner\.json; make one with `key new`"):
        find_key(load_settings(), "miner")
    with pytest.raises(ConfigError, match=r"no keystore .*alice\.json"):
        find_address(load_settings(key="alice"), "miner")


def test_a_damaged_keystore_stops_the_network_before_it_is_made() -> None:
    keys = find_home().keys
    keys.mkdir(parents=True)
    (keys / "miner.json").write_text("{")
    with pytest.raises(ConfigError, match=r"miner\.json is damaged"):
        open_network(load_settings())
    assert not find_home().ledger.exists()


def test_one_key_for_both_roles_is_refused() -> None:
    key = Key.create()
    for name in ("miner", "validator"):
        save_key(find_home().keys / f"{name}.json", key, "x", iterations=2)
    with pytest.raises(ConfigError, match="the same key"):
        open_network(load_settings())


def test_an_event_is_sent_with_the_next_nonce_whoever_signs_meanwhile() -> None:
    settings = load_settings()
    with open_network(settings) as ledger, open_network(settings) as other:
        key = find_key(settings, "miner")
        real, calls = ledger.state, 0

        def stale(height: int | None = None) -> Any:
            nonlocal calls
            calls += 1
            state = real(height)
            if calls == 1:
                send(other, key, "stake", {"amount": 1})
            return state

        ledger.state = stale  # type: ignore[method-assign]  # another program signs between the look and the signing
        assert send(ledger, key, "tick", {}).height == 2
        assert [record.event.nonce for record in ledger.records(1)] == [0, 1]


def test_a_refusal_of_a_rule_is_not_tried_again() -> None:
    settings = load_settings()
    with open_network(settings) as ledger:
        with pytest.raises(LedgerRefusal) as refusal:
            send(
                ledger,
                find_key(settings, "miner"),
                "transfer",
                {"to": find_address(settings, "validator"), "amount": 10**30},
            )
        assert refusal.value.code == "funds"
        assert ledger.state().height == 0
