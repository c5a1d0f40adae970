"""The side of the fork server that hands out tasks: one server process, any number of tasks in flight."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.home import find_home

Reply = dict[str, Any]

#: One thread per evaluation: two spinning OpenMP threads made boosting 15-60 times slower under contention.
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JOBLIB_MULTIPROCESSING": "0",
    "PYTHONHASHSEED": "0",
}


class ServerDiedError(Exception):
    """The fork server ended with tasks in flight; they may be submitted again."""


@dataclass(slots=True)
class _Session:
    """One server process and what it was given."""

    process: subprocess.Popen[bytes]
    pending: dict[int, Future[Reply]] = field(default_factory=dict)


class ForkServer:
    """Client of one fork server. Safe for threads; a server that died is started again by the next task.

    Parameters
    ----------
    program : str
        Module with ``prepare`` and ``run``, see :mod:`infra.forkserver`.
    cache : Path
        Folder the program may keep computed data in.
    log : Path, optional
        Where the server's stderr goes; nowhere by default.
    """

    def __init__(self, program: str, cache: Path, log: Path | None = None) -> None:
        self.program = program
        self.cache = cache
        self.log = log
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._session: _Session | None = None

    def submit(self, task: Mapping[str, Any]) -> Future[Reply]:
        """Start `task` in a child of its own at once; the future gives the server's reply or :class:`ServerDiedError`."""
        future: Future[Reply] = Future()
        with self._lock:
            session = self._running()
            number = next(self._ids)
            session.pending[number] = future
            stdin = session.process.stdin
            try:
                assert stdin is not None  # noqa: S101 - opened with a pipe
                stdin.write(json.dumps({"id": number, "task": task}).encode() + b"\n")
                stdin.flush()
            except OSError:
                session.process.kill()  # the reader of its replies fails every task in flight
        return future

    @property
    def pid(self) -> int | None:
        """Process id of the server, None before the first task."""
        return self._session.process.pid if self._session else None

    def close(self) -> None:
        """End the server and whatever it runs; tasks in flight fail with :class:`ServerDiedError`."""
        with self._lock:
            session, self._session = self._session, None
        if session is None:
            return
        assert session.process.stdin is not None  # noqa: S101 - opened with a pipe
        with contextlib.suppress(OSError):
            session.process.stdin.close()
        try:
            session.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            session.process.kill()
            session.process.wait()

    def _running(self) -> _Session:
        if self._session is not None and self._session.process.poll() is None:
            return self._session
        with open(self.log or os.devnull, "ab") as log:  # noqa: PTH123 - devnull is no Path
            process = subprocess.Popen(
                [sys.executable, "-m", "infra.forkserver", self.program, str(self.cache)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **SINGLE_THREADED},
                start_new_session=True,  # a terminal's Ctrl-C is for the coordinator only
            )
        self._session = _Session(process)
        threading.Thread(target=self._read, args=(self._session,), daemon=True, name="forkserver-replies").start()
        return self._session

    def _read(self, session: _Session) -> None:
        assert session.process.stdout is not None  # noqa: S101 - opened with a pipe
        with session.process.stdout as replies:
            for line in replies:
                reply = json.loads(line)
                with self._lock:
                    future = session.pending.pop(reply["id"])
                future.set_result(reply)
        code = session.process.wait()
        with self._lock:
            lost, session.pending = session.pending, {}
        for future in lost.values():
            future.set_exception(ServerDiedError(f"the evaluation server ended with code {code}"))


_servers: dict[str, ForkServer] = {}
_servers_lock = threading.Lock()


def run_here(program: str, task: Mapping[str, Any]) -> Reply:
    """Run one task in this process's own fork server and wait for the reply: what a Dask worker does.

    Raises
    ------
    ServerDiedError
        The server died twice over this task.
    """
    with _servers_lock:
        server = _servers.setdefault(program, ForkServer(program, find_home().cache / "evaluations"))
    try:
        return server.submit(task).result()
    except ServerDiedError:
        return server.submit(task).result()
