"""A fund as it is read: every HEAD period it went through, from its one SQLite file.

Any number of readers, in any process and thread, also while a :class:`fund.store.Store` writes. A reader sees whole steps, and
several answers of one moment inside :meth:`Reader.unchanging`. Periods are numbers, Unix time // 600.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from sqlite3 import Connection
from threading import RLock
from types import TracebackType
from typing import Any, NamedTuple, Self

from fund.journal import Record, record_of
from fund.market import Market
from fund.market_events import Event, event_of
from fund.step import BEGINNING, Texts, root_of, sha256
from fund.store_file import connect, explained, held, unpacked
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.head.claims import Claims
from protocol.head.head import Head
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature
from protocol.head.rewards import Earning

LAST = 2**63 - 1
PAGE = 1_024
_SIGNATURES = (
    "SELECT period, head, validator, s.signature, ifnull(v.signature, '') "
    "FROM signatures AS s LEFT JOIN value_signatures AS v USING (period, validator, head)"
)


class AbsentError(DataError):
    """What was asked for is not on record."""


class Entry(NamedTuple):
    """A step in a list of steps: its period, the carried periods before it, the HEAD's hash, the digest of all so far."""

    period: int
    carried: int
    hash: str
    digest: str


class Reader:
    """An open fund; see the module's docstring for what it guarantees.

    Attributes
    ----------
    path : Path
    ledger : str
        Hash of the genesis of the ledger that its HEADs are stamped on.
    config : mapping
        Plain JSON values that it was started with.
    """

    _writes = False

    def __init__(self, path: Path, db: Connection) -> None:
        self.path = path
        self._db = db
        self._lock = RLock()
        self._closing = ExitStack()
        facts = dict(self._all("SELECT name, value FROM fund"))
        with self._whole("the fund's own facts"):
            self.ledger: str = facts["ledger"]
            self.config: Mapping[str, Any] = json.loads(facts["config"])

    @classmethod
    def open(cls, path: Path, ledger: str | None = None) -> Self:
        """Open a fund.

        Parameters
        ----------
        path : Path
        ledger : str, optional
            Hash of the genesis it must belong to.

        Raises
        ------
        ConfigError
            There is none, it belongs to another ledger, another version wrote it, it cannot be opened; or this is
            to write and another process does.
        DataError
            It is damaged.
        """
        with ExitStack() as opened:
            db = connect(path, write=cls._writes)
            opened.callback(db.close)
            if cls._writes:
                opened.enter_context(held(path))
            fund = cls(path, db)
            if ledger not in (None, fund.ledger):
                raise ConfigError(f"fund {path} belongs to ledger {fund.ledger}, not to {ledger}; name another file")
            fund._closing = opened.pop_all()
        return fund

    def entries(self, first: int = 0, last: int = LAST, most: int = -1) -> tuple[Entry, ...]:
        """Return the steps from period `first` to `last`, in order, `most` of them unless that is negative.

        What is neither here nor carried was missed.
        """
        query = "SELECT period, carried, hash, digest FROM steps WHERE period BETWEEN ? AND ? ORDER BY period LIMIT ?"
        return tuple(Entry(*row) for row in self._all(query, first, last, most))

    def first(self) -> int | None:
        """Return the first period, None before any."""
        found = self._row("SELECT min(period) FROM steps")[0]
        return None if found is None else int(found)

    def latest(self, last: int = LAST) -> Entry | None:
        """Return the newest step up to period `last`, None before any."""
        query = "SELECT period, carried, hash, digest FROM steps WHERE period <= ? ORDER BY period DESC LIMIT 1"
        row = self._row(query, last)
        return Entry(*row) if row else None

    def head(self, period: int) -> Head:
        """Return the HEAD of a period.

        Raises
        ------
        AbsentError
            The period has no step. So for all that is asked by period.
        DataError
            It is damaged.
        """
        text, name = self._step(period, "head, hash")
        with self._whole(f"the HEAD of period {period}"):
            head = Head.from_json(text)
            if (head.period, head.hash) != (period, name):
                raise DataError(f"it has the hash {head.hash}, not {name}")
            return head

    def signatures(self, period: int) -> tuple[HeadSignature, ...]:
        """Return all signatures of a period, whatever HEAD they are under, by validator."""
        self._step(period, "1")
        rows = self._all(f"{_SIGNATURES} WHERE period = ? ORDER BY validator, head", period)
        with self._whole(f"the signatures of period {period}"):
            return tuple(HeadSignature(*row) for row in rows)

    def signatures_from(self, first: int, most: int) -> tuple[HeadSignature, ...]:
        """Return the signatures of all periods from `first` on, by period and validator, at most so many."""
        rows = self._all(f"{_SIGNATURES} WHERE period >= ? ORDER BY period, validator, head LIMIT ?", first, most)
        with self._whole(f"the signatures from period {first} on"):
            return tuple(HeadSignature(*row) for row in rows)

    def predictions(self, period: int) -> tuple[Prediction, ...]:
        """Return the predictions of a period's HEAD, checked against its root."""
        root = self.head(period).predictions_root
        row = self._row("SELECT content FROM predictions WHERE root = ?", root)
        with self._whole(f"the predictions of period {period}"):
            found = tuple(Prediction.from_dict(one) for one in json.loads(unpacked(row[0])))
            if root_of(found) != root:
                raise DataError(f"they do not have the root {root}")
            return found

    def earnings(self, period: int) -> tuple[Earning, ...]:
        """Return who earned what for a period's HEAD."""
        (content,) = self._step(period, "earnings")
        with self._whole(f"the earnings of period {period}"):
            return tuple(Earning(*one) for one in json.loads(unpacked(content)))

    def claims(self, period: int = LAST) -> Claims:
        """Return what everybody had earned in all after the step of a period, or the last one before it; by default now."""
        totals = self._totals(period)
        with self._whole("what was earned in all"):
            return Claims(totals)

    def market(self, period: int | None = None) -> Market | None:
        """Return the market after the step of a period, by default the newest; None where there was none."""
        if period is None:
            latest = self.latest()
            if latest is None:
                return None
            period = latest.period
        (text,) = self._step(period, "market")
        with self._whole(f"the market of period {period}"):
            return None if text is None else Market.from_dict(json.loads(text))

    def events(self, first: int = 0, last: int = LAST) -> tuple[tuple[int, Event], ...]:
        """Return what happened in the market in the steps from period `first` to `last`, each with its step's period."""
        query = "SELECT period, events FROM steps WHERE period BETWEEN ? AND ? AND events != '[]' ORDER BY period"
        rows = self._all(query, first, last)
        with self._whole("the events of the market"):
            return tuple((period, event_of(one)) for period, text in rows for one in json.loads(text))

    def journal(self, book: str, kind: type[Record] | None = None, *, after: int = 0) -> Iterator[tuple[int, Record]]:
        """Yield the records of a book in order, with their numbers from 1: all, or one class, those above `after` only."""
        which, values = ("AND kind = ?", (kind.__name__.lower(),)) if kind else ("", ())
        query = f"SELECT seq, record FROM journal WHERE book = ? {which} AND seq > ? ORDER BY seq LIMIT {PAGE}"  # noqa: S608 - constants
        while rows := self._all(query, book, *values, after):
            with self._whole(f"the journal of {book} after record {after}"):
                page = [(seq, record_of(json.loads(text))) for seq, text in rows]
            yield from page
            after = page[-1][0]

    def records(self, period: int) -> Mapping[str, tuple[Record, ...]]:
        """Return what happened to each book in the step of a period."""
        self._step(period, "1")
        texts = self._journal_texts(period)
        with self._whole(f"the journal of period {period}"):
            return {book: tuple(record_of(json.loads(text)) for text in lines) for book, lines in texts.items()}

    def memory(self) -> Mapping[str, bytes]:
        """Return the newest state under each name; those who made them check what is inside."""
        return dict(self._all("SELECT name, content FROM memory ORDER BY name"))

    def documents(self, name: str, first: int = 0, last: int = LAST) -> tuple[tuple[int, Any], ...]:
        """Return the documents of a name from period `first` to `last`, each with its period."""
        query = "SELECT period, content FROM documents WHERE name = ? AND period BETWEEN ? AND ? ORDER BY period"
        rows = self._all(query, name, first, last)
        with self._whole(f"document {name}"):
            return tuple((period, json.loads(unpacked(content))) for period, content in rows)

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Read everything inside as it is at one moment, whatever is committed meanwhile; other threads wait."""
        with self._lock, self._told():
            if self._db.in_transaction:
                yield
                return
            try:
                self._db.execute("BEGIN")
                yield
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def verify(self, note: Callable[[int, int], None] | None = None) -> int:
        """Read everything there is and compute every digest again; return how many steps there are.

        Parameters
        ----------
        note : callable, optional
            Told after each step how many are done, and of how many.

        Raises
        ------
        DataError
            Something is damaged or missing; the message says what.
        """
        kept: dict[str, str] = {}
        with self.unchanging():
            problem = self._row("PRAGMA integrity_check(1)")[0]
            entries, previous = self.entries(), BEGINNING
            with self._whole("the file"):
                if problem != "ok":
                    raise DataError(problem)
            for done, one in enumerate(entries, 1):
                texts = self._checked(one.period)
                with self._whole(f"the step of period {one.period}"):
                    if texts.digest(previous) != one.digest:
                        raise DataError("its digest is another")
                previous = one.digest
                kept |= texts.memory
                if note:
                    note(done, len(entries))
            memory = {name: sha256(content) for name, content in self.memory().items()}
        with self._whole("the memory"):
            if kept != memory:
                raise DataError("it is not that of the steps")
        return len(entries)

    def _checked(self, period: int) -> Texts:
        """Return the texts of a step, all of which can be read and fit its HEAD."""
        head, claims = self.head(period), self.claims(period)
        for part in (self.predictions, self.earnings, self.market, self.signatures, self.records):
            part(period)
        self.events(period, period)
        carried, earnings, market, events, memory = self._step(period, "carried, earnings, market, events, memory")
        papers = self._all("SELECT name, content FROM documents WHERE period = ?", period)
        journal = self._journal_texts(period)
        with self._whole(f"the step of period {period}"):
            if (claims.root, claims.total) != (head.rewards_root, head.reward_total):
                raise DataError("what was earned in all is not what its HEAD stands for")
            return Texts(
                head=head.text,
                carried=carried,
                earnings=unpacked(earnings),
                market=market,
                events=events,
                journal={book: tuple(lines) for book, lines in journal.items()},
                documents={name: unpacked(content) for name, content in papers},
                memory=json.loads(memory),
            )

    def close(self) -> None:
        """Close the file."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _step(self, period: int, columns: str) -> Any:
        row = self._row(f"SELECT {columns} FROM steps WHERE period = ?", period)  # noqa: S608 - the callers' constants
        if row is None:
            raise AbsentError(f"fund {self.path} has no step of period {period}; see `ltfund head` for those it has")
        return row

    def _totals(self, period: int) -> dict[str, int]:
        """Return what everybody had earned after a period, whoever had earned nothing left out."""
        newest = "SELECT total FROM totals WHERE account = a.account AND period <= ? ORDER BY period DESC LIMIT 1"
        rows = self._all(f"SELECT account, ({newest}) FROM accounts AS a", period)  # noqa: S608 - a constant
        with self._whole("what was earned in all"):
            totals = {account: int(total) for account, total in rows if total is not None}
        return {account: total for account, total in totals.items() if total}

    def _journal_texts(self, period: int) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = {}
        for book, text in self._all("SELECT book, record FROM journal WHERE period = ? ORDER BY book, seq", period):
            texts.setdefault(book, []).append(text)
        return texts

    def _row(self, query: str, *values: object) -> Any:
        """Return the first row, None if there is none."""
        return next(iter(self._all(query, *values)), None)

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._told():
            return self._db.execute(query, values).fetchall()

    def _told(self) -> AbstractContextManager[None]:
        return explained(self.path)

    @contextmanager
    def _whole(self, what: str) -> Iterator[None]:
        try:
            yield
        except (RefusedError, DataError, ValueError, TypeError, KeyError, RecursionError, zlib.error) as error:
            raise DataError(f"fund {self.path} is damaged: {what}: {error}; restore it from a copy") from error
