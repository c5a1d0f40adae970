"""The memory of a fund: one SQLite file that holds every HEAD period it went through.

Guarantees: a :class:`fund.step.Step` is committed in one transaction and is on the disk when :meth:`Store.commit` returns, so
that ``kill -9`` and power cuts leave whole steps only; a step is committed once, and again is no step; steps are never changed
or removed, except that signatures join them. There is one writer at a time, and any number of readers besides
(:class:`fund.store_reader.Reader`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from sqlite3 import Error
from typing import Any, Self

from fund.step import BEGINNING, Step, Texts
from fund.store_file import create_file, packed
from fund.store_reader import LAST, Reader
from protocol.errors import RefusedError
from protocol.head.quorum import HeadSignature
from protocol.ledger.commitments import canonical


class Store(Reader):
    """A fund open for writing, alone until it is closed."""

    _writes = True

    @classmethod
    def create(cls, path: Path, ledger: str, config: Mapping[str, Any]) -> Self:
        """Make a fund without steps and open it for writing.

        Parameters
        ----------
        path : Path
        ledger : str
            Hash of the genesis of the ledger that its HEADs are stamped on.
        config : mapping
            Plain JSON values that it was started with; kept as they are.

        Raises
        ------
        ConfigError
            There is a file already, or the folder cannot be written.
        """
        create_file(path, {"ledger": ledger, "config": canonical(dict(config))})
        return cls.open(path, ledger)

    def commit(self, step: Step) -> bool:
        """Write a step; it is on the disk when this returns.

        Returns
        -------
        bool
            False if it was there already: then nothing has changed, except that new signatures were added.

        Raises
        ------
        RefusedError
            Its period has another step, or is before the last one's; or more periods are carried than there are between.
        ConfigError
            The file cannot be written, or is open for reading; nothing was committed.
        """
        texts, period = Texts.of(step), step.period
        with self._written():
            last = self._row("SELECT period, digest FROM steps ORDER BY period DESC LIMIT 1")
            present = self._row("SELECT previous, digest FROM steps WHERE period = ?", period)
            digest = texts.digest(present[0] if present else last[1] if last else BEGINNING)
            if present:
                if present[1] != digest:
                    raise RefusedError(f"fund {self.path} has another step of period {period}; a HEAD is made once")
            elif last and period < last[0]:
                raise RefusedError(f"fund {self.path} is at period {last[0]}; period {period} is past")
            elif last and step.carried >= period - last[0]:
                raise RefusedError(f"{step.carried} periods cannot be carried between {last[0]} and {period}")
            else:
                self._add(step, texts, (last[1] if last else BEGINNING, digest))
            self._sign(step.signatures)
        return present is None

    def sign(self, signatures: Iterable[HeadSignature]) -> int:
        """Add signatures to steps, those of other HEADs of the same period too; return how many were new.

        Raises
        ------
        RefusedError
            One is of a period without a step.
        ConfigError
            The file cannot be written, or is open for reading.
        """
        with self._written():
            return self._sign(signatures)

    def _add(self, step: Step, texts: Texts, digests: tuple[str, str]) -> None:
        period, db = step.period, self._db
        before = self._totals(LAST)
        db.execute(
            "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(period, texts.head, step.head.hash, texts.carried, packed(texts.earnings)),
                *(texts.market, texts.events, canonical(texts.memory), *digests),
            ),
        )
        leaves = canonical([one.to_dict() for one in step.predictions])
        if not self._row("SELECT 1 FROM predictions WHERE root = ?", step.head.predictions_root):
            db.execute("INSERT INTO predictions VALUES (?, ?)", (step.head.predictions_root, packed(leaves)))
        after = step.claims.totals
        changed = [account for account in {**before, **after} if before.get(account) != after.get(account)]
        db.executemany("INSERT OR IGNORE INTO accounts VALUES (?)", ((account,) for account in changed))
        rows = ((account, period, str(after.get(account, 0))) for account in changed)
        db.executemany("INSERT INTO totals VALUES (?, ?, ?)", rows)
        for book, records in texts.journal.items():
            top = self._row("SELECT ifnull(max(seq), 0) FROM journal WHERE book = ?", book)[0]
            kinds = (type(one).__name__.lower() for one in step.journal[book])
            lines = (
                (book, top + n, period, kind, text)
                for n, (kind, text) in enumerate(zip(kinds, records, strict=True), 1)
            )
            db.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", lines)
        papers = ((name, period, packed(text)) for name, text in texts.documents.items())
        db.executemany("INSERT INTO documents VALUES (?, ?, ?)", papers)
        states = ((name, period, content) for name, content in step.memory.items())
        db.executemany("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", states)

    def _sign(self, signatures: Iterable[HeadSignature]) -> int:
        new = 0
        for one in signatures:
            if not self._row("SELECT 1 FROM steps WHERE period = ?", one.period):
                raise RefusedError(f"{one.validator} signed period {one.period}, of which fund {self.path} has no step")
            place = one.period, one.validator, one.head
            for table, mark in (("signatures", one.signature), ("value_signatures", one.values)):
                if mark:
                    row = self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?)", (*place, mark))  # noqa: S608 - two constants
                    new += row.rowcount if table == "signatures" else 0
        return new

    @contextmanager
    def _written(self) -> Iterator[None]:
        """One transaction: all of it is on the disk at the end, or none."""
        with self._lock, self._told():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    with suppress(Error):  # SQLite may have rolled back by itself
                        self._db.execute("ROLLBACK")
