"""The embedded backend: the common suite, and what can happen to a file."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ledger_conformance import LedgerConformance
from made_ledgers import ADDRESS, Clock, Network, made_genesis, module

from protocol.errors import ConfigError, DataError
from protocol.ledger.genesis import Genesis
from protocol.ledger.ledger import Ledger
from protocol.ledger.sqlite import SqliteLedger


class TestSqliteLedger(LedgerConformance):
    def make(self, folder: Path, genesis: Genesis, clock: Clock) -> Ledger:
        return SqliteLedger.create(folder / "ledger.sqlite", genesis, clock)

    def reopen(self, ledger: Ledger, clock: Clock) -> Ledger:
        assert isinstance(ledger, SqliteLedger)
        return SqliteLedger.open(ledger.path, clock)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    clock = Clock()
    with SqliteLedger.create(tmp_path / "ledger.sqlite", made_genesis(), clock) as ledger:
        yield Network(ledger, clock)
        assert ledger.verify().ok


def test_a_ledger_is_never_written_over(network: Network, tmp_path: Path) -> None:
    network.wait(1)
    with pytest.raises(ConfigError, match="is in the way"):
        SqliteLedger.create(tmp_path / "ledger.sqlite", made_genesis())
    assert network.ledger.tip().height == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(ConfigError, match="there is no ledger"):
        SqliteLedger.open(path)
    with pytest.raises(ConfigError, match="there is no ledger"):
        SqliteLedger.open(tmp_path)
    assert not path.exists()
    path.touch()
    with pytest.raises(ConfigError, match="no ledger of longtail"):
        SqliteLedger.open(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE records (height INTEGER)")
    with pytest.raises(ConfigError, match="no ledger of longtail"):
        SqliteLedger.open(path)
    path.write_bytes(b"not a database at all " * 100)
    with pytest.raises(DataError, match=r"damaged.*copy"):
        SqliteLedger.open(path)


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "ledger.sqlite", tmp_path / "file" / "folder" / "ledger.sqlite"):
        with pytest.raises(ConfigError, match="choose another"):
            SqliteLedger.create(place, made_genesis())


def test_a_ledger_of_another_version_is_left_alone(network: Network) -> None:
    with closing(sqlite3.connect(network.ledger.path)) as db:
        db.execute("PRAGMA user_version=9")
    with pytest.raises(ConfigError, match="format 9, this version reads 2"):
        SqliteLedger.open(network.ledger.path)
    with pytest.raises(ConfigError, match="format 9"):
        network.ledger.verify()
    with closing(sqlite3.connect(network.ledger.path)) as db:
        db.execute("PRAGMA user_version=2")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE records SET time = time + 1", "never changed"),
        ("DELETE FROM records WHERE height = 1", "never removed"),
        ("INSERT INTO records VALUES (7, 'a', 1, 'b', 'c', 'd')", "one above the other"),
        ("INSERT OR REPLACE INTO records VALUES (1, 'a', 1, 'b', 'c', 'd')", "one above the other"),
        ("INSERT INTO records VALUES (-1, 'a', 1, 'b', 'c', 'd')", "one above the other"),
        ("INSERT INTO records VALUES (2, 'a', 'soon', 'b', 'c', 'd')", "cannot store TEXT"),
        (
            "INSERT INTO records SELECT 2, previous, time, event, event_hash, hash FROM records WHERE height = 1",
            "UNIQUE",
        ),
    ],
)
def test_the_file_itself_refuses_change(network: Network, statement: str, said: str) -> None:
    network.wait(1)
    with (
        closing(sqlite3.connect(network.ledger.path)) as db,
        pytest.raises(sqlite3.IntegrityError, match=said),
    ):
        db.execute(statement)


def test_a_full_disk_loses_nothing(network: Network) -> None:
    ledger = network.ledger
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count={pages + 20}")
    with pytest.raises(ConfigError, match="the disk is full: free some space"):
        for number in range(100):
            commitment = network.commit("alice", module(number) * 500)
            network.send(
                "alice",
                "reveal",
                commitment=commitment,
                salt="5a" * 32,
                topic="layer1-24h",
                source=module(number) * 500,
            )
    height = ledger.tip().height
    assert height > 1
    assert ledger.verify().records == height + 1
    ledger._db.execute("PRAGMA max_page_count=100000")
    network.send("alice", "tick")
    assert ledger.tip().height == height + 1


def test_a_locked_ledger_says_who_to_look_for(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = network.ledger
    event = network.event("alice", "tick")
    ledger._db.execute("PRAGMA busy_timeout=1")
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigError, match="another process"):
            ledger.append(event)
        assert ledger.state().height == 0, "reading goes on"
        db.execute("ROLLBACK")
    assert ledger.append(event).new


def test_a_ledger_that_is_read_only_says_so(network: Network) -> None:
    ledger = network.ledger
    event = network.event("alice", "tick")
    ledger._db.execute("PRAGMA query_only=ON")
    with pytest.raises(ConfigError, match="make the file and its folder writable"):
        ledger.append(event)
    ledger._db.execute("PRAGMA query_only=OFF")
    assert ledger.append(event).new


@contextmanager
def without_privileges() -> Iterator[None]:
    """Let this thread touch files as an ordinary user does, also when the tests run as root."""
    libc = ctypes.CDLL(None)
    libc.setfsuid(65_534)
    try:
        yield
    finally:
        libc.setfsuid(os.geteuid())


def test_a_file_that_may_not_be_touched_says_so() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "ledger.sqlite"
        SqliteLedger.create(path, made_genesis()).close()
        folder.chmod(0o555)
        for mode in (0o444, 0o000):
            path.chmod(mode)
            with without_privileges(), pytest.raises(ConfigError, match=r"make the file and its folder .*writable"):
                SqliteLedger.open(path)
        folder.chmod(0o755)
        path.chmod(0o644)
        with SqliteLedger.open(path) as ledger:
            assert ledger.verify().ok


class Faulty:
    """A connection that fails at the n-th statement, before or after it has done its work."""

    def __init__(self, db: Any, fail_at: int, error: BaseException, *, after: bool) -> None:
        self.db, self.left, self.error, self.after = db, fail_at, error, after

    @property
    def in_transaction(self) -> bool:
        return bool(self.db.in_transaction)

    def execute(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise self.error
        done = self.db.execute(*arguments)
        if self.left == 0:
            raise self.error
        return done


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), KeyboardInterrupt()], ids=["disk", "ctrl-c"]
)
def test_a_fault_at_any_statement_leaves_all_or_nothing(network: Network, error: BaseException, after: bool) -> None:
    ledger = network.ledger
    db = ledger._db
    recorded = 0
    for step in range(1, 20):
        network.clock.now += 10
        event = network.event("val1", "unstake", amount=step)
        ledger._db = Faulty(db, step, error, after=after)
        try:
            receipt = ledger.append(event)
        except (ConfigError, KeyboardInterrupt):
            ledger._db = db
            found = ledger.verify()
            assert found.ok, found.damage
            receipt = ledger.append(event)
        else:
            break
        finally:
            ledger._db = db
        recorded += 1
        assert receipt.height == recorded, "sent twice, recorded once"
        assert len(ledger.state().unstakes) == recorded
        with SqliteLedger.open(ledger.path) as other:
            assert other.tip().hash == receipt.hash
    assert recorded >= 5, "a fault at every statement of an append"
    assert receipt.height == recorded + 1


def test_a_ledger_read_while_another_is_cut_says_so(network: Network) -> None:
    network.wait(1)
    network.wait(1)
    with closing(sqlite3.connect(network.ledger.path, isolation_level=None)) as db:
        cut = db.execute("SELECT * FROM records WHERE height = 2").fetchone()
        stay = db.execute("SELECT sql FROM sqlite_master WHERE name = 'records_stay'").fetchone()[0]
        db.execute("DROP TRIGGER records_stay")
        db.execute("DELETE FROM records WHERE height = 2")
        with pytest.raises(DataError, match="height 2: the record that was here before is gone"):
            network.ledger.append(network.event("alice", "tick"))
        found = network.ledger.verify()
        assert found.damage is not None
        db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", cut)
        db.execute(stay)
    assert ADDRESS["alice"] in network.state.accounts
