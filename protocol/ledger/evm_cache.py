"""What was read of a chain, in a SQLite file, so that opening a ledger asks the node for news only: one row per event, and the
texts that the chain has hashes of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from protocol.errors import ConfigError
from protocol.ledger.event import SignedEvent

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  height INTEGER PRIMARY KEY, time INTEGER NOT NULL, block INTEGER NOT NULL, block_hash TEXT NOT NULL, event TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS texts (hash TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS place (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
_FIELDS = ("kind", "author", "nonce", "body", "signature")


class Row(NamedTuple):
    """An event of the chain and the block it is in."""

    height: int
    time: int
    block: int
    block_hash: str
    event: SignedEvent


class Look(NamedTuple):
    """What was in the file at one moment.

    Attributes
    ----------
    number, digest : int, str
        The last block that was read whole, and its hash; -1 and "" before the first.
    rows : list of Row
    """

    number: int
    digest: str
    rows: list[Row]


class Cache:
    """Events in the order of their heights, and how far the chain was read. Without a file it is in memory.

    Whoever opens it names the ledger it is for; a file of another ledger is refused. Several processes may share a file: what
    one of them writes counts only if nobody has written since it looked, and what it has not read itself it finds here.
    """

    def __init__(self, path: Path | None, salt: str) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False)
            self._db.executescript(_SCHEMA)
            known = self._get("salt")
        except sqlite3.Error as error:
            raise ConfigError(f"{path} cannot be used: {error}; remove it, it is made again from the chain") from error
        if known not in {"", salt}:
            raise ConfigError(f"{path} is of the ledger {known}, not of {salt}; give another file")
        self._set("salt", salt)

    def look(self, start: int) -> Look:
        """Return the events from a height on, and what goes with them."""
        with self._transaction("BEGIN"):
            number, _, digest = (self._get("read_to") or "-1 ").partition(" ")
            found = self._db.execute(
                "SELECT height, time, block, block_hash, event FROM events WHERE height >= ? ORDER BY height", (start,)
            ).fetchall()
            return Look(int(number), digest, [_row(*one) for one in found])

    def add(self, rows: list[Row], read_to: tuple[int, str], since: Look) -> bool:
        """Keep events and how far the chain was read, together; False if somebody else has written since."""
        with self._transaction("BEGIN IMMEDIATE"):
            if not self._unchanged(since):
                return False
            self._db.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                [(row.height, row.time, row.block, row.block_hash, row.event.text) for row in rows],
            )
            self._set("read_to", f"{read_to[0]} {read_to[1]}")
            return True

    def blocks(self) -> list[tuple[int, str]]:
        """Return number and hash of the blocks that events are in, the newest first."""
        return list(self._db.execute("SELECT DISTINCT block, block_hash FROM events ORDER BY block DESC"))

    def forget(self, above: int, digest: str, since: Look) -> None:
        """Forget what is in blocks above a number, whose hash is `digest`: the chain has gone another way.

        Nothing happens if somebody else has written since.
        """
        with self._transaction("BEGIN IMMEDIATE"):
            if self._unchanged(since):
                self._db.execute("DELETE FROM events WHERE block > ?", (above,))
                self._set("read_to", f"{above} {digest}")

    def text(self, block_hash: str) -> str | None:
        """Return a text that was kept."""
        row = self._db.execute("SELECT text FROM texts WHERE hash = ?", (block_hash,)).fetchone()
        return str(row[0]) if row else None

    def keep(self, block_hash: str, text: str) -> None:
        """Keep a text of this hash."""
        self._db.execute("INSERT OR REPLACE INTO texts VALUES (?, ?)", (block_hash, text))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _unchanged(self, since: Look) -> bool:
        return (self._get("read_to") or "-1 ") == f"{since.number} {since.digest}"

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._db.execute(begin)
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _get(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM place WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def _set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO place VALUES (?, ?)", (name, value))


def _row(height: int, time: int, block: int, block_hash: str, text: str) -> Row:
    raw = json.loads(text)
    return Row(height, time, block, block_hash, SignedEvent(*(raw[name] for name in _FIELDS)))
