"""The equivocation guard: what this key has bound itself to, on disk before it is signed.

One file per key, held by an exclusive lock for as long as it is open: a second daemon on the same key and home cannot
start. A report is written here, with its salt, before its commitment is signed; afterwards the same subject and round
always gives the same report back, also after a crash in between. A commitment of this key on the ledger that the guard
does not know was made elsewhere: going on would mean two answers to one question.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.home import make_folder
from protocol.errors import ConfigError, EquivocationError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS report (
    ledger TEXT NOT NULL, subject TEXT NOT NULL, round INTEGER NOT NULL,
    salt TEXT NOT NULL, report TEXT NOT NULL, commitment TEXT,
    PRIMARY KEY (ledger, subject, round)
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Bound:
    """A report this key is bound to, and the salt of its commitment."""

    salt: str
    report: Mapping[str, int | str]


class Guard:
    """Reports of one key. One process at a time; use it as a context manager.

    Parameters
    ----------
    folder : Path
        Folder of the guards.
    address : str
        The key's address.
    ledger : str
        Genesis hash of the ledger.

    Raises
    ------
    EquivocationError
        Another process holds this key's guard.
    ConfigError
        The file cannot be used.
    """

    def __init__(self, folder: Path, address: str, ledger: str) -> None:
        self.path = make_folder(folder) / f"{address}.sqlite"
        self._ledger = ledger
        # One connection, used under the daemon's lock by whichever thread has it.
        old = os.umask(0o077)
        try:
            self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise ConfigError(f"guard {self.path}: {error}; choose a home that can be written") from error
        finally:
            os.umask(old)
        with contextlib.ExitStack() as failing:
            failing.callback(self._db.close)
            self._begin(address)
            failing.pop_all()

    def _begin(self, address: str) -> None:
        """Take the lock, for as long as the connection lives, and make the table."""
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute(_SCHEMA)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise EquivocationError(
                    f"another validator is running with key {address} (guard {self.path}); stop one of the two"
                ) from error
            raise ConfigError(f"guard {self.path}: {error}; free space or restore it from a backup") from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"guard {self.path}: {error}; restore it from a backup, or register a new key: without its guard this one "
                "could contradict itself"
            ) from error

    def bind(self, subject: str, round_: int, report: Mapping[str, int | str]) -> Bound:
        """Bind the key to `report` and return what it is bound to: an earlier report on the same question wins."""
        values = (self._ledger, subject, round_, secrets.token_hex(32), json.dumps(report, sort_keys=True))
        self._execute("INSERT INTO report VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING", values)
        bound = self.bound(subject, round_)
        assert bound is not None  # noqa: S101 - it has just been written
        return bound

    def bound(self, subject: str, round_: int) -> Bound | None:
        """Return the report on `subject` in this round, if there is one."""
        query = "SELECT salt, report FROM report WHERE ledger = ? AND subject = ? AND round = ?"
        row = self._execute(query, (self._ledger, subject, round_)).fetchone()
        return Bound(row[0], json.loads(row[1])) if row else None

    def known(self, subject: str) -> Mapping[str, int | str] | None:
        """Return the latest report on `subject` from any round, if there is one."""
        query = "SELECT report FROM report WHERE ledger = ? AND subject = ? ORDER BY round DESC LIMIT 1"
        row = self._execute(query, (self._ledger, subject)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def signing(self, subject: str, round_: int, commitment: str) -> None:
        """Note that `commitment` is about to be signed.

        Raises
        ------
        EquivocationError
            Another commitment was noted for the same question.
        """
        where = (self._ledger, subject, round_)
        query = "UPDATE report SET commitment = ? WHERE ledger = ? AND subject = ? AND round = ?"
        self._execute(f"{query} AND (commitment IS NULL OR commitment = ?)", (commitment, *where, commitment))
        self.refuse_foreign(subject, round_, commitment)

    def refuse_foreign(self, subject: str, round_: int, commitment: str) -> None:
        """Make sure that a commitment of this key was made here.

        Raises
        ------
        EquivocationError
            It was not: the key is in use elsewhere, or the guard was lost.
        """
        query = "SELECT commitment FROM report WHERE ledger = ? AND subject = ? AND round = ?"
        row = self._execute(query, (self._ledger, subject, round_)).fetchone()
        if row is None or row[0] != commitment:
            raise EquivocationError(
                f"this key committed to {commitment[:16]}… on {subject[:40]} and the guard {self.path} does not know it: "
                "the key is in use elsewhere or the guard was lost; stop the other validator, or register a new key"
            )

    def _execute(self, query: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(query, values)
        except sqlite3.Error as error:
            raise ConfigError(f"guard {self.path}: {error}; nothing was signed; free space and start again") from error

    def close(self) -> None:
        """Let go of the key."""
        self._db.close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
