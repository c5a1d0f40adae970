"""Where evaluations run: the one interface of the local pool and of every cluster.

An executor takes tasks under a number of the caller's choice and gives each reply exactly once, in any order. It owns its
processes; what it runs must be safe to run twice, since a task whose worker died or lags is submitted again. One thread of the
caller uses it at a time.

A reply is what :mod:`infra.forkserver` says it is. A task over which servers die again and again, while others end, gets the
reply ``{"end": "error", "error": …}``: it costs itself and nothing else.
"""

from __future__ import annotations

import heapq
import queue
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from infra.dollars import in_dollars
from infra.forkclient import ForkServer, Reply, ServerDiedError
from protocol.errors import ClusterError

#: Times a task may lose its server before it is given up.
MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Account:
    """What the machines of an executor cost, all sessions of the run together.

    Attributes
    ----------
    spent, rate, budget : int
        So far, per hour at present, and at most; micro-dollars.
    exhausted : bool
        The budget bears no more: the machines are being ended, and the run has to stop.
    record : mapping
        Plain JSON values with which a later session goes on.
    """

    spent: int
    rate: int
    budget: int
    exhausted: bool
    record: Mapping[str, Any]

    def words(self) -> str:
        """Return it for people."""
        hourly = f", {in_dollars(self.rate)} an hour now" if self.rate else ""
        return f"{in_dollars(self.spent)} of at most {in_dollars(self.budget)}{hourly}"


class Executor(Protocol):
    """Runs tasks of one program."""

    #: One line for people: what it is and where.
    description: str
    #: Where data must lie that its machines cannot read from here, None where they can.
    shelf: str | None

    @property
    def capacity(self) -> int:
        """Evaluations that run at once when all machines are there."""

    @property
    def account(self) -> Account | None:
        """What it costs, None where nothing is paid for."""

    def news(self) -> list[str]:
        """Return what became of its machines since the last call, in words."""

    @property
    def slots(self) -> int:
        """Evaluations that run at once, now."""

    @property
    def resubmitted(self) -> int:
        """Tasks that had to be started again."""

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """Take task number `k`; returns at once. It starts at the next :meth:`collect` at the latest, lower numbers first."""

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """Return the replies that came in, waiting up to `timeout` seconds for the first.

        Raises
        ------
        ClusterError
            No further reply can be expected: the scheduler is gone, the workers cannot run the program, or they all die of it.
        """

    def close(self) -> None:
        """Drop what is in flight and end the processes this executor started."""


class FreeMachines:
    """The part of an executor whose machines cost nothing and read what this one reads."""

    shelf: str | None = None
    slots: int

    @property
    def capacity(self) -> int:
        """See :class:`Executor`: the slots of now."""
        return self.slots

    @property
    def account(self) -> Account | None:
        """See :class:`Executor`."""
        return None

    def news(self) -> list[str]:
        """See :class:`Executor`."""
        return []


def lost_too_often(k: int, why: object, times: int = MAX_ATTEMPTS, *, others_ended: bool) -> Reply:
    """Return the reply of a task over which its server or worker died this many `times`.

    Raises
    ------
    ClusterError
        No task has ever ended here, so the fault is not this one's.
    """
    if not others_ended:
        raise ClusterError(
            f"evaluation {k}, like all before it, was lost {times} times ({why}); is there enough memory?"
        )
    return {"end": "error", "error": f"lost its server {times} times: {why}"}


class LocalExecutor(FreeMachines):
    """A pool on this machine: one fork server, `slots` children at a time.

    Lower numbers run first. When the server dies, what ran in it runs again at the end, one by one, so that the task that did
    it is found out.
    """

    def __init__(self, program: str, cache: Path, slots: int, log: Path | None = None) -> None:
        self.description = f"this machine, {slots} slots"
        self.slots = slots
        self.resubmitted = 0
        self.server = ForkServer(program, cache, log)
        self._waiting: list[tuple[int, int]] = []  # a heap of (times lost, number)
        self._tasks: dict[int, Mapping[str, Any]] = {}
        self._running: set[int] = set()
        self._lost: dict[int, int] = {}
        self._any_ended = False
        self._done: queue.SimpleQueue[tuple[int, Future[Reply]]] = queue.SimpleQueue()

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """See :class:`Executor`."""
        self._tasks[k] = task
        heapq.heappush(self._waiting, (0, k))
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
            self._running.discard(k)
            reply = self._reply(k, future)
            if reply is not None:
                del self._tasks[k]
                self._lost.pop(k, None)
                replies.append((k, reply))
            self._fill()
        return replies

    def close(self) -> None:
        """See :class:`Executor`."""
        self._waiting.clear()
        self.server.close()

    def _reply(self, k: int, future: Future[Reply]) -> Reply | None:
        try:
            reply = future.result()
        except ServerDiedError as error:
            self._lost[k] = self._lost.get(k, 0) + 1
            if self._lost[k] >= MAX_ATTEMPTS:
                return lost_too_often(k, error, others_ended=self._any_ended)
            self.resubmitted += 1
            heapq.heappush(self._waiting, (self._lost[k], k))  # behind those that are under no suspicion
            return None
        self._any_ended = True
        return reply

    def _fill(self) -> None:
        while self._waiting:
            alone = self._waiting[0][1] in self._lost or not self._lost.keys().isdisjoint(self._running)
            if len(self._running) >= (1 if alone else self.slots):
                return
            _, k = heapq.heappop(self._waiting)
            self._running.add(k)
            self.server.submit(self._tasks[k]).add_done_callback(lambda future, k=k: self._done.put((k, future)))  # type: ignore[misc]  # mypy cannot type a lambda with a default
