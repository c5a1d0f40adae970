"""A ledger in one SQLite file: no server, any number of processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection, Error
from threading import RLock
from types import TracebackType

from protocol.errors import DataError
from protocol.ledger.event import Record, SignedEvent, record_at
from protocol.ledger.genesis import Genesis
from protocol.ledger.ledger import Receipt, Verification
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.rules import advance, apply, initial_state
from protocol.ledger.sqlite_file import COLUMNS, Row, connect, create_file, explained, genesis_of, insert, read
from protocol.ledger.state import State
from protocol.ledger.verification import verify_file
from protocol.typed_data import Domain

PAGE = 256
_BY_HEIGHT = f"SELECT {COLUMNS} FROM records WHERE height BETWEEN ? AND ? ORDER BY height LIMIT ?"  # noqa: S608 - a constant
_BY_EVENT = "SELECT height, hash FROM records WHERE event_hash = ?"
_HASH_AT = "SELECT hash FROM records WHERE height = ?"
_TOP = 2**63 - 1


class SqliteLedger:
    """The embedded backend of :class:`protocol.ledger.ledger.Ledger`; see there for what it guarantees.

    Every record that comes from the file is checked like one from a stranger, signature included, before it counts.
    """

    def __init__(self, path: Path, db: Connection, genesis: Genesis, clock: Callable[[], float]) -> None:
        self.path = path
        self._db = db
        self._clock = clock
        self._lock = RLock()
        self._state = initial_state(genesis)
        self._past = self._state.copy()

    @classmethod
    def create(cls, path: Path, genesis: Genesis, clock: Callable[[], float] = time.time) -> SqliteLedger:
        """Make a ledger and open it.

        Raises
        ------
        ConfigError
            There is a file already, or the folder cannot be written.
        """
        create_file(path, genesis)
        return cls.open(path, clock)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> SqliteLedger:
        """Open a ledger and check every record in it.

        Parameters
        ----------
        path : Path
        clock : callable
            Unix seconds; stands still or jumps as it likes.

        Raises
        ------
        ConfigError
            There is no ledger, another version wrote it, or it cannot be opened.
        DataError
            It is damaged.
        """
        db = connect(path)
        try:
            with explained(path):
                first = db.execute(_BY_HEIGHT, (0, 0, 1)).fetchone()
            try:
                ledger = cls(path, db, genesis_of(read(first)), clock)
            except DataError as error:
                raise _damaged(path, 0, error) from error
            ledger._current()
        except BaseException:
            db.close()
            raise
        return ledger

    @property
    def genesis(self) -> Genesis:
        """What the ledger starts from."""
        return self._state.genesis

    @property
    def domain(self) -> Domain:
        """Where signatures for this ledger are valid."""
        return self._state.domain

    def append(self, event: SignedEvent) -> Receipt:
        """Record an event; see :meth:`protocol.ledger.ledger.Ledger.append`."""
        event.check()
        event = SignedEvent.from_json(event.text)  # nobody else holds this one
        with self._lock, explained(self.path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                known = self._db.execute(_BY_EVENT, (event.hash,)).fetchone()
                if known is not None:
                    return Receipt(known[0], known[1], new=False)
                self._catch_up()
                state, now = self._state, int(self._clock())
                with state.transaction():
                    record = record_at(state.height + 1, state.head, max(state.time, now), event)
                    apply(state, record)
                    insert(self._db, record)
                    self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    with suppress(Error):  # SQLite may have rolled back by itself
                        self._db.execute("ROLLBACK")
        return Receipt(record.height, record.hash, new=True)

    def state(self, height: int | None = None) -> State:
        """Return the state at a height; see :meth:`protocol.ledger.ledger.Ledger.state`."""
        with self._lock:
            now = self._current()
            if height is None or height == now.height:
                return now.copy()
            self._check_known(height)
            if self._past.height > height:
                self._past = initial_state(self.genesis)
            for row in self._rows(self._past.height + 1, height):
                self._apply(self._past, row, signatures=False)
            return self._past.copy()

    def now(self) -> State:
        """Return the state at the clock's time; see :meth:`protocol.ledger.ledger.Ledger.now`."""
        return advance(self.state(), int(self._clock()))

    def records(self, start: int = 0) -> Iterator[Record]:
        """Yield the records from height `start` on, as far as there are any when they are reached."""
        with self._lock:
            top = self._current().height
        for row in self._rows(max(start, 0), top):
            yield read(row)

    def record(self, height: int) -> Record:
        """Return one record.

        Raises
        ------
        DataError
            No record has this height.
        """
        with self._lock:
            self._current()
            self._check_known(height)
            return read(next(self._rows(height, height)))

    def tip(self) -> Record:
        """Return the last record, whichever process wrote it."""
        with self._lock:
            return self.record(self._current().height)

    def source(self, block_hash: str) -> str:
        """Return the text of a submitted module.

        Raises
        ------
        DataError
            No such module was revealed.
        """
        with self._lock:
            submission = self._current().submissions.get(block_hash)
        if submission is None:
            raise DataError(f"ledger {self.path} has no module {block_hash}; see `ltminer status` for those it has")
        return str(self.record(submission.height).event.body["source"])

    def clock_skew(self) -> int:
        """Return by how many seconds the last record is ahead of the clock; 0 if it is not."""
        with self._lock:
            return max(0, self._current().time - int(self._clock()))

    def verify(self, expected_head: str | None = None) -> Verification:
        """Recompute everything from the file; see :meth:`protocol.ledger.ledger.Ledger.verify`.

        What this object has read before must still be there, whatever the caller expects.
        """
        return verify_file(self.path, {self.domain.salt, self._state.head, expected_head or self.domain.salt})

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> SqliteLedger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _current(self) -> State:
        """Return the state itself, with what other processes have appended."""
        with explained(self.path):
            self._catch_up()
        return self._state

    def _catch_up(self) -> None:
        known = self._db.execute(_HASH_AT, (self._state.height,)).fetchone()
        if known is None or known[0] != self._state.head:
            raise _damaged(self.path, self._state.height, "the record that was here before is gone or changed")
        for row in self._rows(self._state.height + 1):
            self._apply(self._state, row)

    def _rows(self, first: int, last: int = _TOP) -> Iterator[Row]:
        """Yield rows by height, a page at a time, so that no statement stays open meanwhile."""
        while first <= last:
            with self._lock, explained(self.path):
                rows = self._db.execute(_BY_HEIGHT, (first, last, PAGE)).fetchall()
            yield from rows
            if len(rows) < PAGE:
                return
            first = rows[-1][0] + 1

    def _apply(self, state: State, row: Row, *, signatures: bool = True) -> None:
        try:
            apply(state, read(row), signatures=signatures)
        except (DataError, LedgerRefusal) as error:
            raise _damaged(self.path, state.height + 1, error) from error

    def _check_known(self, height: int) -> None:
        if not 0 <= height <= self._state.height:
            raise DataError(f"ledger {self.path} has no record {height}; its last is {self._state.height}")


def _damaged(path: Path, height: int, what: object) -> DataError:
    return DataError(f"ledger {path} is damaged at height {height}: {what}; restore it from a copy")
