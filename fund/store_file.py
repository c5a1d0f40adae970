"""The file of a fund: its schema, how it is made, opened and held, and what SQLite's errors mean for people."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from protocol.errors import ConfigError, DataError
from protocol.ledger.sqlite_file import BUSY_S, DAMAGE, REMEDIES, sync_folder

#: "LTFD": tells a fund from other SQLite files.
APPLICATION_ID = 0x4C544644
FORMAT = 2

#: Tables to which rows are only added.
GROWING = ("steps", "predictions", "signatures", "value_signatures", "totals", "journal", "documents")
#: What format 1 did not have: signatures of the values, which may come later than those of the HEAD.
VALUE_SIGNATURES = """
CREATE TABLE value_signatures (
  period INTEGER NOT NULL, validator TEXT NOT NULL, head TEXT NOT NULL, signature TEXT NOT NULL,
  PRIMARY KEY (period, validator, head), FOREIGN KEY (period, validator, head) REFERENCES signatures
) STRICT, WITHOUT ROWID;
"""
SCHEMA = """
CREATE TABLE fund (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE steps (
  period INTEGER PRIMARY KEY, head TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, carried INTEGER NOT NULL,
  earnings BLOB NOT NULL, market TEXT, events TEXT NOT NULL, memory TEXT NOT NULL,
  previous TEXT NOT NULL UNIQUE, digest TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE predictions (root TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
CREATE TABLE signatures (
  period INTEGER NOT NULL REFERENCES steps, validator TEXT NOT NULL, head TEXT NOT NULL, signature TEXT NOT NULL,
  PRIMARY KEY (period, validator, head)
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (account TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE totals (
  account TEXT NOT NULL, period INTEGER NOT NULL REFERENCES steps, total TEXT NOT NULL, PRIMARY KEY (account, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
  book TEXT NOT NULL, seq INTEGER NOT NULL, period INTEGER NOT NULL REFERENCES steps, kind TEXT NOT NULL,
  record TEXT NOT NULL, PRIMARY KEY (book, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_kind ON journal (book, kind, seq);
CREATE INDEX journal_period ON journal (period);
CREATE TABLE documents (
  name TEXT NOT NULL, period INTEGER NOT NULL REFERENCES steps, content BLOB NOT NULL, PRIMARY KEY (name, period)
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_period ON documents (period);
CREATE TABLE memory (
  name TEXT PRIMARY KEY, period INTEGER NOT NULL REFERENCES steps, content BLOB NOT NULL
) STRICT;
CREATE TRIGGER steps_grow BEFORE INSERT ON steps
  WHEN NEW.period <= (SELECT ifnull(max(period), -1) FROM steps)
  BEGIN SELECT raise(ABORT, 'steps are added one after the other'); END;
"""
GUARD = "CREATE TRIGGER {0}_{1} BEFORE {1} ON {0} BEGIN SELECT raise(ABORT, '{0} are never changed or removed'); END;"


def create_file(path: Path, facts: Mapping[str, str]) -> None:
    """Write a fund without steps; it is there whole or not at all.

    Raises
    ------
    ConfigError
        There is a file already, or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(partial, facts)
            try:
                path.hardlink_to(partial)  # fails where another process was quicker
            except FileExistsError as error:
                raise ConfigError(f"{path} is in the way; open it, or choose another file for a new fund") from error
        finally:
            for suffix in ("", "-wal", "-shm"):
                partial.with_name(partial.name + suffix).unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"fund {path} cannot be created: {error.strerror}; choose another folder") from error


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the file of a fund.

    Raises
    ------
    ConfigError
        There is none, it is no fund, another version wrote it, or it cannot be opened.
    DataError
        It is no database, or damaged.
    """
    if not path.is_file():
        raise ConfigError(f"there is no fund {path}; start one with `ltfund run` or name another file")
    with ExitStack() as opened, explained(path):
        address = f"file:{quote(str(path.absolute()))}?mode=rw"
        db = opened.enter_context(
            # several threads may use it, one at a time: the store has a lock
            closing(sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False))
        )
        kind, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if kind != APPLICATION_ID:
            raise ConfigError(f"{path} is no fund of longtail; name another file")
        if version not in {1, FORMAT}:
            raise ConfigError(
                f"fund {path} has format {version}, this version reads {FORMAT}; use the version that made it"
            )
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise ConfigError(f"fund {path} cannot use write-ahead logging here ({mode}); put it on a local disk")
        if version == 1:
            _upgrade(db)
        db.text_factory = lambda raw: raw.decode(errors="replace")  # what is not UTF-8 is refused by who reads it
        for setting in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON", "trusted_schema=OFF"):
            db.execute(f"PRAGMA {setting}")
        if not write:
            db.execute("PRAGMA query_only=ON")
        opened.pop_all()
    return db


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Be the only writer of a fund; the operating system takes the lock back from whoever dies.

    Raises
    ------
    ConfigError
        Another process is, or the folder cannot be written.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        file = lock.open("a")
    except OSError as error:
        raise ConfigError(f"lock {lock}: {error.strerror}; put the fund on a local, writable disk") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"fund {path} is in use by another `ltfund`; stop it, or only read") from error
        except OSError as error:
            raise ConfigError(f"lock {lock}: {error.strerror}; put the fund on a local, writable disk") from error
        yield


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into an error with a remedy; nothing is lost in any of these cases."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in DAMAGE:
            raise DataError(f"fund {path} is damaged: {error}; restore it from a copy") from error
        remedy = REMEDIES.get(code, "nothing was committed; try again")
        raise ConfigError(f"fund {path} cannot be used: {error}; {remedy}") from error


def packed(text: str) -> bytes:
    """Return a text compressed."""
    return zlib.compress(text.encode())


def unpacked(content: bytes) -> str:
    """Return what :func:`packed` compressed."""
    return zlib.decompress(content).decode()


def _write(path: Path, facts: Mapping[str, str]) -> None:
    with explained(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")  # stays in the file, so that who opens it need not switch
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; BEGIN; {SCHEMA}")
        db.execute(VALUE_SIGNATURES)
        _guard(db, *GROWING)
        db.executemany("INSERT INTO fund VALUES (?, ?)", facts.items())
        db.execute("COMMIT")


def _guard(db: sqlite3.Connection, *tables: str) -> None:
    for table in tables:
        for change in ("UPDATE", "DELETE"):
            db.execute(GUARD.format(table, change))


def _upgrade(db: sqlite3.Connection) -> None:
    """Make a file of format 1 one of this format; nothing in it changes. Whoever opens it first does that."""
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] == 1:
        db.execute(VALUE_SIGNATURES)
        _guard(db, "value_signatures")
        db.execute(f"PRAGMA user_version={FORMAT}")
    db.execute("COMMIT")
