"""The side of the fork server that hands out tasks: one server process, any number of tasks in flight."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from infra.home import find_home
from protocol.errors import ClusterError

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
#: A child that used no CPU for this long is taken for hung, seconds.
HUNG_AFTER_S = 60.0
#: Servers a Dask worker gives to one task before it hands the task back.
SERVERS_PER_TASK = 3


class ServerDiedError(Exception):
    """The fork server ended with tasks in flight; they may be submitted again."""


@dataclass(slots=True)
class _Session:
    """One server process and what it was given."""

    process: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]
    reader: threading.Thread | None = None
    pending: dict[int, Future[Reply]] = field(default_factory=dict)
    ended: bool = False


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
    hung_after_s : float
        A child that used no CPU for this long is taken for hung.
    """

    def __init__(
        self, program: str, cache: Path, log: Path | None = None, *, hung_after_s: float = HUNG_AFTER_S
    ) -> None:
        self.program = program
        self.cache = cache
        self.log = log
        self.hung_after_s = hung_after_s
        self._lock = threading.Lock()
        self._ids = itertools.count()
        self._session: _Session | None = None

    def submit(self, task: Mapping[str, Any]) -> Future[Reply]:
        """Start `task` in a child of its own at once.

        Returns
        -------
        Future
            Gives the server's reply; or raises :class:`ServerDiedError`, or :class:`ClusterError` when the program cannot be
            imported.

        Raises
        ------
        ClusterError
            The server cannot be started.
        """
        future: Future[Reply] = Future()
        with self._lock:
            session = self._running()
            number = next(self._ids)
            session.pending[number] = future
            try:
                session.stdin.write(json.dumps({"id": number, "task": task}).encode() + b"\n")
                session.stdin.flush()
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
        with contextlib.suppress(OSError):
            session.stdin.close()
        try:
            session.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            session.process.kill()
            session.process.wait()
        if session.reader is not None:
            session.reader.join(timeout=5)

    def _running(self) -> _Session:
        if self._session is not None and not self._session.ended and self._session.process.poll() is None:
            return self._session
        command = [
            sys.executable,
            "-P",
            "-u",  # what a library prints is in the log even if the server is killed
            "-m",
            "infra.forkserver",
            self.program,
            str(self.cache),
            str(self.hung_after_s),
        ]
        try:
            with open(self.log or os.devnull, "ab") as log:  # noqa: PTH123 - devnull is no Path
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **SINGLE_THREADED},
                    start_new_session=True,  # a terminal's Ctrl-C is for the coordinator only
                )
        except OSError as error:
            raise ClusterError(
                f"the evaluation server does not start: {error}; is there memory, disk space and a free file?"
            ) from error
        session = _Session(process, cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout))
        session.reader = threading.Thread(target=self._read, args=(session,), daemon=True, name="forkserver-replies")
        session.reader.start()
        self._session = session
        return session

    def _read(self, session: _Session) -> None:
        fatal = ""
        # No lock in the loop: submit may hold it while it waits for the server to read, which may wait for us to read.
        with session.stdout:
            for line in session.stdout:
                try:
                    reply = json.loads(line)
                except ValueError:
                    break  # cut off by the server's death
                if "fatal" in reply:
                    fatal = reply["fatal"]
                    break
                session.pending.pop(reply["id"]).set_result(reply)
        session.process.kill()  # if it did not end by itself, nobody listens to it any more
        code = session.process.wait()
        with self._lock:
            session.ended = True
            with contextlib.suppress(OSError):
                session.stdin.close()
            lost, session.pending = session.pending, {}
        error = (
            ClusterError(f"the evaluation server cannot load {self.program}: {fatal}; install requirements.lock there")
            if fatal
            else ServerDiedError(f"the evaluation server ended with code {code}")
        )
        for future in lost.values():
            future.set_exception(error)


_servers: dict[str, ForkServer] = {}
_servers_lock = threading.Lock()


def run_here(program: str, task: Mapping[str, Any]) -> Reply:
    """Run one task in this process's own fork server and wait for the reply: what a Dask worker does.

    Raises
    ------
    ServerDiedError
        Several servers in a row died over this task.
    ClusterError
        No server can run here.
    """
    with _servers_lock:
        server = _servers.setdefault(program, ForkServer(program, find_home().cache / "evaluations"))
    for _ in range(SERVERS_PER_TASK - 1):
        with contextlib.suppress(ServerDiedError):
            return server.submit(task).result()
    return server.submit(task).result()


def run_batch(program: str, tasks: Sequence[Mapping[str, Any]]) -> list[tuple[float, Reply | ServerDiedError]]:
    """Run tasks one after another: what a Dask worker does with tasks that are cheap.

    Returns
    -------
    list of (float, Reply or ServerDiedError)
        Wall seconds and reply of each task, in order; the error of a task that its servers died over, which costs only itself.

    Raises
    ------
    ClusterError
        No server can run here.
    """
    results: list[tuple[float, Reply | ServerDiedError]] = []
    for task in tasks:
        start = time.monotonic()
        reply: Reply | ServerDiedError
        try:
            reply = run_here(program, task)
        except ServerDiedError as error:
            reply = error
        results.append((time.monotonic() - start, reply))
    return results
