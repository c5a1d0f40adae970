"""The journal of a run: one SQLite file on the coordinator that outlives it.

Guarantees: what was committed survives ``kill -9`` and power loss; candidates and outcomes are written in submission order and
never changed; one coordinator at a time. Nothing in it is executable: JSON and numbers only. Since the search is a function of
the configuration and of the outcomes, resuming replays them through a fresh search and equals never having stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from miner.candidate import Candidate
from miner.config import RunConfig
from miner.outcome import Outcome
from protocol.errors import ConfigError

FORMAT = "longtail-journal-1"
FILE_NAME = "journal.sqlite"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE candidates (
  k INTEGER PRIMARY KEY, text TEXT NOT NULL, origin TEXT NOT NULL, complexity REAL NOT NULL, cap_s REAL NOT NULL
) STRICT;
CREATE TABLE outcomes (k INTEGER PRIMARY KEY, outcome TEXT NOT NULL) STRICT;
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY, started TEXT NOT NULL, wall_s REAL NOT NULL DEFAULT 0, cluster TEXT NOT NULL
) STRICT;
"""


class Journal:
    """An open journal; see the module's docstring for what it guarantees."""

    def __init__(self, path: Path, connection: sqlite3.Connection, config: RunConfig) -> None:
        self.path = path
        self.config = config
        self._db = connection
        self._session = 0

    @classmethod
    def create(cls, folder: Path, config: RunConfig, versions: dict[str, str]) -> Journal:
        """Start a journal in `folder`.

        Raises
        ------
        ConfigError
            There is one already, or the folder cannot be written.
        """
        path = folder / FILE_NAME
        refuse_present(folder)
        partial = folder / f".{FILE_NAME}.{os.getpid()}"
        try:
            with closing(sqlite3.connect(partial)) as db:
                db.execute("PRAGMA journal_mode=MEMORY")  # nobody reads it before it is whole
                db.executescript(_SCHEMA)
                values = {"format": FORMAT, "config": json.dumps(config.to_dict()), "versions": json.dumps(versions)}
                db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
                db.commit()
            path.hardlink_to(partial)  # fails where another process was quicker
            _sync_folder(folder)
        except FileExistsError:
            refuse_present(folder)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"journal {path} cannot be created: {error}; free some space or choose another --out"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Open the journal of a run.

        Raises
        ------
        ConfigError
            There is none, it is damaged, or another version wrote it.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise ConfigError(f"{folder} holds no run; see `ltminer runs`")
        with ExitStack() as opened:
            db = opened.enter_context(closing(sqlite3.connect(path, timeout=10, isolation_level=None)))
            with _explained(path, "read", "start a new run"):
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                meta = dict(db.execute("SELECT key, value FROM meta"))
            if problem != "ok":
                raise ConfigError(f"journal {path} is damaged: {problem}; start a new run")
            if meta.get("format") != FORMAT:
                raise ConfigError(
                    f"journal {path} has format {meta.get('format')!r}, this version reads {FORMAT!r}; use that version"
                )
            with _explained(path, "read", "start a new run"):
                config = RunConfig.from_dict(json.loads(meta["config"]))
            opened.pop_all()
        return cls(path, db, config)

    def check_versions(self, versions: Mapping[str, str]) -> None:
        """Make sure that the libraries are those that the run was started with: others score otherwise.

        Raises
        ------
        ConfigError
            One has another version.
        """
        with _explained(self.path, "read", "start a new run"):
            row = self._db.execute("SELECT value FROM meta WHERE key = 'versions'").fetchone()
            started = dict(json.loads(row[0]))
        for name, number in started.items():
            if versions.get(name) != number:
                raise ConfigError(
                    f"run {self.path.parent} was started with {name} {number}, here is {versions.get(name)}; "
                    "install that version to resume it, or start a new run"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other coordinator away while this one writes.

        Raises
        ------
        ConfigError
            Another process holds the run.
        """
        try:
            file = self.path.with_suffix(".lock").open("w")
        except OSError as error:
            raise ConfigError(
                f"run {self.path.parent} cannot be written: {error.strerror}; make the folder writable"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    f"run {self.path.parent} is in use by another ltminer; wait for it or stop it"
                ) from error
            yield

    def start_session(self, started: str, cluster: str) -> None:
        """Note that a coordinator works on the run from now on (ISO 8601 UTC)."""
        with self._written():
            cursor = self._db.execute("INSERT INTO sessions (started, cluster) VALUES (?, ?)", (started, cluster))
        self._session = cursor.lastrowid or 0

    def record_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Write down candidates, in one transaction, before they are submitted.

        Raises
        ------
        ConfigError
            The journal has another candidate under one of the numbers: another version or another library searched.
        """
        if not candidates:
            return
        with self._written():
            for candidate in candidates:
                row = (candidate.k, candidate.text, candidate.origin, candidate.complexity, candidate.cap_s)
                if self._db.execute("INSERT OR IGNORE INTO candidates VALUES (?, ?, ?, ?, ?)", row).rowcount:
                    continue
                if self._db.execute("SELECT * FROM candidates WHERE k = ?", (candidate.k,)).fetchone() != row:
                    raise ConfigError(
                        f"journal {self.path}: candidate {candidate.k} comes out different from what is written there; the run "
                        "was started by another version of longtail or of its libraries: use that one, or start a new run"
                    )

    def record_outcomes(self, outcomes: Sequence[Outcome], wall_s: float) -> None:
        """Write down outcomes; all are on the disk when this returns. `wall_s` is how long this session has worked."""
        if not outcomes:
            return
        with self._written():
            self._db.executemany(
                "INSERT OR IGNORE INTO outcomes VALUES (?, ?)",
                [(outcome.k, json.dumps(outcome.to_dict())) for outcome in outcomes],
            )
            self._db.execute("UPDATE sessions SET wall_s = ? WHERE id = ?", (wall_s, self._session))

    def outcomes(self) -> dict[int, Outcome]:
        """Return the outcomes written so far, by candidate."""
        with _explained(self.path, "read", "start a new run"):
            rows = self._db.execute("SELECT k, outcome FROM outcomes ORDER BY k")
            return {int(k): Outcome.from_dict(json.loads(text)) for k, text in rows}

    def tried(self, text: str) -> bool:
        """Return whether a pipeline, as canonical text, is among the candidates."""
        with _explained(self.path, "read", "start a new run"):
            return self._db.execute("SELECT 1 FROM candidates WHERE text = ?", (text,)).fetchone() is not None

    def record_account(self, record: Mapping[str, Any]) -> None:
        """Write down what the machines of this and earlier sessions cost; replaces what was written before."""
        with self._written():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('account', ?)", (json.dumps(dict(record)),))

    def account(self) -> dict[str, Any] | None:
        """Return what :meth:`record_account` wrote last, None if it never did."""
        with _explained(self.path, "read", "start a new run"):
            row = self._db.execute("SELECT value FROM meta WHERE key = 'account'").fetchone()
            return None if row is None else dict(json.loads(row[0]))

    def summary(self) -> dict[str, Any]:
        """Return what a list of runs shows."""
        with _explained(self.path, "read", "start a new run"):
            first = self._db.execute("SELECT min(started) FROM sessions").fetchone()[0]
        outcomes = self.outcomes()
        scored = [outcome.score for outcome in outcomes.values() if outcome.status == "ok"]
        return {
            "started": first,
            "topic": self.config.topic.name,
            "space": self.config.space,
            "seed": self.config.seed,
            "evaluated": len(outcomes),
            "evaluations": self.config.evaluations,
            "best": max(scored, default=None),
        }

    def covers(self, other: Journal) -> bool:
        """Return whether this is a journal of the same run as `other` and has an outcome wherever that has one."""
        return self.config == other.config and other._done() <= self._done()

    def adopt(self, other: Journal) -> None:
        """Become what `other` is, in one transaction; the caller holds the lock."""
        with _explained(self.path, "written", "free some space, then try again"):
            other._db.backup(self._db)

    def _done(self) -> set[tuple[int, str]]:
        with _explained(self.path, "read", "start a new run"):
            return set(self._db.execute("SELECT k, text FROM candidates JOIN outcomes USING (k)"))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _written(self) -> Iterator[None]:
        """One transaction: all of it is on the disk at the end, or none."""
        with _explained(self.path, "written", "it is whole: free some space, then resume the run"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._db.execute("ROLLBACK")
                raise


def copy_of(folder: Path) -> bytes:
    """Return a consistent copy of a journal, which may be written meanwhile, as the bytes of a file.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    path = folder / FILE_NAME
    with (
        _explained(path, "read", "see whether its disk is full or gone"),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10)) as db,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        db.backup(copy)
        return copy.serialize()


def refuse_present(folder: Path) -> None:
    """Raise ConfigError where a run is: nothing may be written over it."""
    if (folder / FILE_NAME).exists():
        raise ConfigError(
            f"{folder} already holds a run; resume it with `ltminer resume {folder}` or choose another --out"
        )


@contextmanager
def _explained(path: Path, verb: str, remedy: str) -> Iterator[None]:
    """Turn what SQLite or JSON says of a damaged file or a full disk into a ConfigError."""
    try:
        yield
    except (sqlite3.Error, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"journal {path} cannot be {verb}: {error}; {remedy}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
