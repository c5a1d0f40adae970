"""Verification: everything in a ledger's file recomputed from its genesis, until the first thing that does not hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from protocol.errors import DataError
from protocol.ledger.digest import state_digest
from protocol.ledger.ledger import Damage, Verification
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.rules import apply, initial_state
from protocol.ledger.sqlite_file import COLUMNS, SCHEMA, connect, explained, genesis_of, read
from protocol.ledger.state import State

_ALL = f"SELECT {COLUMNS} FROM records ORDER BY height"  # noqa: S608 - a constant
_DEFINITIONS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"


def verify_file(path: Path, expected: Iterable[str] = ()) -> Verification:
    """Recompute a ledger: file, schema and triggers, forms, hashes, links, heights, times, signatures and rules.

    Parameters
    ----------
    path : Path
    expected : iterable of str
        Hashes of records that were seen in this ledger before.

    Returns
    -------
    Verification
        With the first damage, if there is any; the file is not changed.

    Raises
    ------
    ConfigError
        There is no file, it is no ledger, or another version wrote it.
    """
    state: State | None = None
    missing = set(expected)
    try:
        with explained(path), closing(connect(path)) as db:
            _check_file(db)
            rows = db.execute(_ALL)
            state = initial_state(genesis_of(read(rows.fetchone())))
            missing.discard(state.head)
            for row in rows:
                missing.discard(apply(state, read(row)).head)
        _check_none_gone(missing)
    except (DataError, LedgerRefusal) as error:
        return _found(state, Damage(state.height + 1 if state else 0, str(error)))
    return _found(state, None)


def _check_file(db: sqlite3.Connection) -> None:
    problem = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if problem != "ok":
        raise DataError(f"the file is damaged: {problem}")
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(SCHEMA)
        right = model.execute(_DEFINITIONS).fetchall()
    if db.execute(_DEFINITIONS).fetchall() != right:
        raise DataError("tables or triggers are not those of a ledger: somebody has altered the file")


def _check_none_gone(missing: set[str]) -> None:
    if missing:
        raise DataError(f"record {min(missing)}, seen before, is gone: the end was cut, or all of it written anew")


def _found(state: State | None, damage: Damage | None) -> Verification:
    if state is None:
        return Verification(0, "", "", damage)
    return Verification(state.height + 1, state.head, state_digest(state), damage)
