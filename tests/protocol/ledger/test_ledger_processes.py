"""Several processes on one ledger, some of them killed: what was acknowledged is there, once, in one order."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from made_ledgers import ADDRESS, Clock, made_genesis

from protocol.ledger.event import SignedEvent
from protocol.ledger.sqlite import SqliteLedger

WRITERS = ("alice", "bob", "val1", "val2")
WRITER = Path(__file__).with_name("ledger_writer.py")


@contextmanager
def writer(path: Path, name: str, count: int) -> Iterator[subprocess.Popen[str]]:
    """Start a process that appends `count` events of `name`; it is gone at the end."""
    with subprocess.Popen(
        [sys.executable, WRITER, path, name, str(count)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(lines: list[str], word: str) -> list[str]:
    """Return what follows `word` in whole lines; a killed process may leave half a line."""
    return [line.removeprefix(word).strip() for line in lines if line.startswith(word) and line.endswith("\n")]


def test_four_processes_append_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    SqliteLedger.create(path, made_genesis()).close()
    with (
        writer(path, WRITERS[0], 30) as one,
        writer(path, WRITERS[1], 30) as two,
        writer(path, WRITERS[2], 30) as three,
        writer(path, WRITERS[3], 30) as four,
    ):
        outputs = [list(process.stdout or ()) for process in (one, two, three, four)]
        assert [process.wait() for process in (one, two, three, four)] == [0] * 4
    with SqliteLedger.open(path) as ledger:
        assert ledger.verify().records == 121
        hashes = {record.height: record.hash for record in ledger.records()}
        acknowledged = [line.split() for output in outputs for line in said(output, "done")]
        assert sorted(int(height) for height, _ in acknowledged) == list(range(1, 121))
        assert all(hashes[int(height)] == hash_ for height, hash_ in acknowledged)
        assert {ledger.state().accounts[ADDRESS[name]].nonce for name in WRITERS} == {30}


def test_kill_loses_nothing_acknowledged_and_a_repetition_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    SqliteLedger.create(path, made_genesis()).close()
    chosen = random.Random(0)
    for name in ("alice", "bob", "alice"):
        with writer(path, name, 100_000) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2 * chosen.randrange(5, 30) + chosen.randrange(2))]
            process.kill()
            lines += list(process.stdout)
        with SqliteLedger.open(path, Clock()) as ledger:
            *_, (height, head) = [line.split() for line in said(lines, "done")]
            found = ledger.verify(head)
            assert found.ok, found.damage
            assert ledger.record(int(height)).hash == head
            before = ledger.tip().height
            assert before - int(height) in {0, 1}, "at most the one that was on its way"
            last = SignedEvent.from_json(said(lines, "send")[-1])
            receipt = ledger.append(last)
            assert receipt.new == (receipt.height > before)
            assert receipt.height == ledger.tip().height
            assert ledger.state().accounts[ADDRESS[name]].nonce == last.nonce + 1
            assert ledger.verify(head).ok
