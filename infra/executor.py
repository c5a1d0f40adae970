"""Where evaluations run: the one interface of the local pool and of every cluster.

An executor takes tasks under a number of the caller's choice and gives each reply exactly once, in any order. It owns its
processes; what it runs must be safe to run twice, since a task whose worker died or lags is submitted again. One thread of the
caller uses it at a time.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from infra.forkclient import ForkServer, Reply
from protocol.errors import ClusterError

#: Times a task may lose its worker or server before the run is given up.
MAX_ATTEMPTS = 20


class Executor(Protocol):
    """Runs tasks of one program."""

    #: One line for people: what it is and where.
    description: str

    @property
    def slots(self) -> int:
        """Evaluations that run at once, now."""

    @property
    def resubmitted(self) -> int:
        """Tasks that had to be started again."""

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """Take task number `k`; returns at once."""

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """Return the replies that came in, waiting up to `timeout` seconds for the first.

        Raises
        ------
        ClusterError
            No further reply can be expected: the scheduler is gone, or a task lost its worker too often.
        """

    def close(self) -> None:
        """Drop what is in flight and end the processes this executor started."""


class LocalExecutor:
    """A pool on this machine: one fork server, `slots` children at a time."""

    def __init__(self, program: str, cache: Path, slots: int, log: Path | None = None) -> None:
        self.description = f"this machine, {slots} slots"
        self.slots = slots
        self.resubmitted = 0
        self.server = ForkServer(program, cache, log)
        self._waiting: deque[int] = deque()
        self._tasks: dict[int, Mapping[str, Any]] = {}
        self._attempts: dict[int, int] = {}
        self._running = 0
        self._done: queue.SimpleQueue[tuple[int, Future[Reply]]] = queue.SimpleQueue()

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """See :class:`Executor`."""
        self._tasks[k] = task
        self._waiting.append(k)
        self._fill()

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """See :class:`Executor`."""
        replies: list[tuple[int, Reply]] = []
        block = True
        while block or not self._done.empty():
            try:
                k, future = self._done.get(timeout=timeout if block else 0)
            except queue.Empty:
                break
            block = False
            self._running -= 1
            error = future.exception()
            if error is None:
                del self._tasks[k]
                replies.append((k, future.result()))
            else:
                self._again(k, error)
            self._fill()
        return replies

    def close(self) -> None:
        """See :class:`Executor`."""
        self._waiting.clear()
        self.server.close()

    def _again(self, k: int, error: BaseException) -> None:
        self._attempts[k] = self._attempts.get(k, 0) + 1
        if self._attempts[k] >= MAX_ATTEMPTS:
            raise ClusterError(
                f"evaluation {k} lost its server {MAX_ATTEMPTS} times ({error}); is there enough memory?"
            )
        self.resubmitted += 1
        self._waiting.appendleft(k)

    def _fill(self) -> None:
        while self._waiting and self._running < self.slots:
            k = self._waiting.popleft()
            self._running += 1
            self.server.submit(self._tasks[k]).add_done_callback(lambda future, k=k: self._done.put((k, future)))  # type: ignore[misc]  # mypy cannot type a lambda with a default
