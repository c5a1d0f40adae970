"""The guard: one answer per question, whatever happens in between."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from protocol.errors import ConfigError, EquivocationError
from validator.guard import Guard

ADDRESS, LEDGER = "0x" + "1" * 40, "a" * 64


def guard(folder: Path, ledger: str = LEDGER) -> Guard:
    return Guard(folder, ADDRESS, ledger)


def test_the_first_report_on_a_question_stays(tmp_path: Path) -> None:
    with guard(tmp_path) as one:
        first = one.bind("screen:x", 1, {"outcome": "accepted"})
        assert one.bind("screen:x", 1, {"outcome": "refused"}) == first
        assert one.bind("screen:x", 2, {"outcome": "refused"}).salt != first.salt
    with guard(tmp_path) as two:
        assert two.bound("screen:x", 1) == first
        assert two.known("screen:x") == {"outcome": "refused"}
        assert two.known("screen:y") is None
    with guard(tmp_path, "b" * 64) as other_ledger:
        assert other_ledger.bound("screen:x", 1) is None


def test_a_second_commitment_is_never_signed(tmp_path: Path) -> None:
    with guard(tmp_path) as one:
        one.bind("screen:x", 1, {})
        one.signing("screen:x", 1, "c1")
        one.signing("screen:x", 1, "c1")
        with pytest.raises(EquivocationError, match="in use elsewhere"):
            one.signing("screen:x", 1, "c2")
        one.refuse_foreign("screen:x", 1, "c1")
        with pytest.raises(EquivocationError, match="in use elsewhere"):
            one.refuse_foreign("screen:y", 1, "c1")


def test_two_daemons_on_one_key_are_refused_in_and_across_processes(tmp_path: Path) -> None:
    with guard(tmp_path), pytest.raises(EquivocationError, match="another validator is running with key") as refusal:
        guard(tmp_path)
    assert refusal.value.exit_code == 78

    ready, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path, child))
    process.start()
    assert ready.recv() == "held"
    with pytest.raises(EquivocationError):
        guard(tmp_path)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with guard(tmp_path) as after:
        assert after.known("screen:x") == {"outcome": "accepted"}


def _hold(folder: Path, ready: Connection) -> None:
    with guard(folder) as held:
        held.bind("screen:x", 1, {"outcome": "accepted"})
        ready.send("held")
        signal.pause()


def test_a_guard_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{ADDRESS}.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError, match="restore it from a backup"):
        guard(tmp_path)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    with guard(tmp_path) as one:
        one.bind("screen:x", 1, {})
        assert one.path.stat().st_mode & 0o077 == 0
