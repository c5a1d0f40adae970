"""The file of a SQLite ledger: its schema, how it is made and opened, and what SQLite's errors mean for people."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from protocol.errors import ConfigError, DataError
from protocol.ledger.commitments import canonical
from protocol.ledger.event import Record, SignedEvent, genesis_record
from protocol.ledger.genesis import Genesis

#: "LTLG": tells a ledger from other SQLite files.
APPLICATION_ID = 0x4C544C47
FORMAT = 2
BUSY_S = 60.0
COLUMNS = "height, previous, time, event, event_hash, hash"
Row = tuple[int, str, int, str, str, str]

SCHEMA = """
CREATE TABLE records (
  height INTEGER PRIMARY KEY, previous TEXT NOT NULL, time INTEGER NOT NULL,
  event TEXT NOT NULL, event_hash TEXT NOT NULL UNIQUE, hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER records_grow BEFORE INSERT ON records
  WHEN NEW.height IS NOT (SELECT ifnull(max(height), -1) + 1 FROM records)
  BEGIN SELECT raise(ABORT, 'records are appended one above the other'); END;
CREATE TRIGGER records_stay BEFORE DELETE ON records
  BEGIN SELECT raise(ABORT, 'records are never removed'); END;
CREATE TRIGGER records_keep BEFORE UPDATE ON records
  BEGIN SELECT raise(ABORT, 'records are never changed'); END;
"""

#: SQLite's codes for a file that is not what it was, and what to do about the others; the fund's store has the same.
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space and try again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder readable and writable",
    sqlite3.SQLITE_BUSY: f"another process has held it for {BUSY_S:.0f} s: find and stop that one, or try again",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check it and its free space, then try again",
}


def create_file(path: Path, genesis: Genesis) -> None:
    """Write a ledger that holds its genesis; it is there whole or not at all.

    Raises
    ------
    ConfigError
        There is a file already, or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(partial, genesis)
            path.hardlink_to(partial)  # fails where another process was quicker
        finally:
            for suffix in ("", "-wal", "-shm"):
                partial.with_name(partial.name + suffix).unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise ConfigError(f"{path} is in the way; open it, or choose another file for a new ledger") from error
    except OSError as error:
        raise ConfigError(f"ledger {path} cannot be created: {error.strerror}; choose another folder") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open the file of a ledger for reading and writing.

    Raises
    ------
    ConfigError
        There is none, it is no ledger, another version wrote it, or it cannot be opened.
    DataError
        It is no database, or damaged.
    """
    if not path.is_file():
        raise ConfigError(f"there is no ledger {path}; make one with `ltvalidator init` or name another file")
    with ExitStack() as opened, explained(path):
        address = f"file:{quote(str(path.absolute()))}?mode=rw"
        db = opened.enter_context(
            # several threads may use it, one at a time: the ledger has a lock
            closing(sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False))
        )
        kind, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if kind != APPLICATION_ID:
            raise ConfigError(f"{path} is no ledger of longtail; name another file")
        if version != FORMAT:
            raise ConfigError(
                f"ledger {path} has format {version}, this version reads {FORMAT}; use the version that made it"
            )
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise ConfigError(f"ledger {path} cannot use write-ahead logging here ({mode}); put it on a local disk")
        db.text_factory = lambda raw: raw.decode(errors="replace")  # what is not UTF-8 fails its hash, not the reader
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA recursive_triggers=ON")
        db.execute("PRAGMA trusted_schema=OFF")
        opened.pop_all()
    return db


def insert(db: sqlite3.Connection, record: Record) -> None:
    """Add a record within the caller's transaction."""
    event = record.event
    row = (record.height, record.previous, record.time, event.text, event.hash, record.hash)
    db.execute(f"INSERT INTO records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - a constant


def read(row: Row | None) -> Record:
    """Return the record in a row of :data:`COLUMNS`; its hash and signature are checked by who applies it.

    Raises
    ------
    DataError
        There is no row, or the event is no canonical JSON of an event, or not the one its hash names.
    """
    if row is None:
        raise DataError("the record is missing")
    height, previous, time, text, event_hash, record_hash = row
    try:
        raw = json.loads(text)
        event = SignedEvent(**raw)
        if event.text != text:
            raise ValueError("it is not in canonical form")  # noqa: TRY301 - one message for all of them
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"the event of record {height} cannot be read: {error}") from error
    if event.hash != event_hash:
        raise DataError(f"the event of record {height} does not have the hash {event_hash!r:.80}")
    return Record(height, previous, time, event, record_hash)


def genesis_of(record: Record) -> Genesis:
    """Return the genesis in record 0.

    Raises
    ------
    DataError
        It is no genesis, or not what this version would write.
    """
    try:
        genesis = Genesis.from_dict(json.loads(canonical(record.event.body)))
    except ConfigError as error:
        raise DataError(f"record 0: {error}") from error
    if genesis_record(genesis) != record:
        raise DataError("record 0 is not the genesis that its hash names")
    return genesis


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into an error with a remedy; nothing is lost in any of these cases."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in DAMAGE:
            raise DataError(
                f"ledger {path} is damaged: {error}; restore it from a copy, then run `ledger verify`"
            ) from error
        remedy = REMEDIES.get(code, "nothing was recorded; try again")
        raise ConfigError(f"ledger {path} cannot be used: {error}; {remedy}") from error


def _write(path: Path, genesis: Genesis) -> None:
    with explained(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "PRAGMA journal_mode=WAL"
        )  # stays in the file, so that processes that open it at once need not switch
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; BEGIN; {SCHEMA}")
        insert(db, genesis_record(genesis))
        db.execute("COMMIT")


def sync_folder(folder: Path) -> None:
    """Have the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
