"""Evaluations on a Dask cluster, whose workers may come, go, freeze or be killed at any time.

A task carries a canonical pipeline and references to data; nothing is scattered and no result stays on a worker, so losing
any worker loses at most the evaluations that ran there. Dask starts those again by itself; tasks that it blames for their
worker's death, and stragglers, which it never re-runs, are submitted again here. The first reply of a task counts.
"""

from __future__ import annotations

import queue
import statistics
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.executor import MAX_ATTEMPTS, FreeMachines, lost_too_often
from infra.forkclient import Reply, ServerDiedError, run_here
from protocol.errors import ClusterError

#: A task is a straggler after this multiple of the median wall time, and never before this many seconds.
STRAGGLER_MULTIPLE = 5.0
STRAGGLER_MIN_S = 60.0
#: Replies before the median says anything, and how many of the latest it is taken from.
MEDIAN_FROM, MEDIAN_OF = 5, 50
#: What says that a task was lost without saying that its worker died of it.
LOSSES = frozenset({"CancelledError", "FutureCancelledError", "CommClosedError", "TimeoutError"})
#: Times a task may lose its connection or its future before the cluster is given up.
MAX_LOSSES = 20
#: Workers that may die over one task before it is given up. A worker runs one task at a time, so a task that reclaimed spot
#: instances interrupt is seen with a few dead workers, never with this many.
MAX_DEATHS = 20


@dataclass(slots=True)
class _Running:
    task: Mapping[str, Any]
    attempts: int = 0
    lost: int = 0
    dead_workers: int = 0
    lost_servers: int = 0
    futures: list[Any] = field(default_factory=list)
    #: When the task was among the oldest `slots` in flight for the first time, or was last copied; clock seconds.
    presumed_start: float | None = None


class DaskExecutor(FreeMachines):
    """Executor over a connected ``distributed.Client``; see :class:`infra.executor.Executor`.

    Parameters
    ----------
    client : distributed.Client
    program : str
        Module for the fork server of each worker.
    description : str
        One line for people.
    on_close : callable
        Ends what was started for this executor.
    clock : callable
        Monotonic seconds, for stragglers.
    """

    def __init__(
        self,
        client: Any,
        program: str,
        description: str,
        on_close: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description = description
        self.resubmitted = 0
        self._client = client
        self._program = program
        self._on_close = on_close
        self._clock = clock
        self._name = f"longtail-{uuid.uuid4().hex}"  # the scheduler may serve others like us
        self._flight: dict[int, _Running] = {}
        self._walls: list[float] = []
        self._any_ended = False
        self._done: queue.SimpleQueue[tuple[int, Any, Any]] = queue.SimpleQueue()

    @property
    def slots(self) -> int:  # type: ignore[override]  # asked anew each time
        """Threads of the workers that the scheduler knew a couple of seconds ago."""
        # What the client keeps up to date by itself: asking the scheduler would wait for ever for a frozen one.
        return int(self._client._scheduler_identity.get("total_threads", 0))

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """See :class:`infra.executor.Executor`."""
        self._flight[k] = _Running(task, presumed_start=self._clock() if len(self._flight) < self.slots else None)
        self._start(k)

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """See :class:`infra.executor.Executor`."""
        self._check_scheduler()
        self._resubmit_stragglers()
        replies: list[tuple[int, Reply]] = []
        block = True
        while block or not self._done.empty():
            try:
                k, future, outcome = self._done.get(timeout=timeout if block else 0)
            except queue.Empty:
                break
            block = False
            reply = self._settle(k, future, outcome)
            if reply is not None:
                replies.append((k, reply))
        return replies

    def close(self) -> None:
        """See :class:`infra.executor.Executor`."""
        if self._client.status == "running":
            self._client.cancel([future for running in self._flight.values() for future in running.futures], force=True)
        self._flight.clear()
        self._on_close()

    def _start(self, k: int) -> None:
        running = self._flight[k]
        running.attempts += 1
        try:
            future = self._client.submit(
                run_here,
                self._program,
                dict(running.task),
                key=f"{self._name}-{k}-{running.attempts}",
                pure=False,
                priority=-k,  # the oldest candidate holds up the window
            )
        except Exception:
            self._check_scheduler()
            raise
        running.futures.append(future)
        self._client.loop.add_callback(self._await, k, future)

    async def _await(self, k: int, future: Any) -> None:
        """Wait for a future, and for its result to travel here, on the client's own loop."""
        outcome: Any
        try:
            outcome = await future
        except Exception as error:
            outcome = error
        self._done.put((k, future, outcome))

    def _settle(self, k: int, future: Any, outcome: Any) -> Reply | None:
        running = self._flight.get(k)
        if running is None or future not in running.futures:
            return None  # a copy whose twin was first
        running.futures.remove(future)
        if isinstance(outcome, Exception):
            reply = self._lost(k, running, outcome)
        else:
            reply = outcome
            self._any_ended = True
            if running.presumed_start is not None:
                self._walls = [*self._walls[1 - MEDIAN_OF :], self._clock() - running.presumed_start]
        if reply is not None:
            del self._flight[k]
            if running.futures:
                self._client.cancel(running.futures, force=True)
        return reply

    def _lost(self, k: int, running: _Running, error: Exception) -> Reply | None:
        self._check_scheduler()
        if isinstance(error, ServerDiedError):
            running.lost_servers += 1
        elif type(error).__name__ == "KilledWorker":
            running.dead_workers += (
                int(getattr(error, "allowed_failures", 0)) + 1
            )  # Dask tells of several deaths at once
        elif type(error).__name__ in LOSSES:
            running.lost += 1
        else:
            words = " ".join(f"{type(error).__name__}: {error}".split())
            raise ClusterError(
                f"a worker cannot run evaluations: {words}; "
                "install the same longtail and locked dependencies on the scheduler and every worker"
            ) from error
        if running.lost_servers >= MAX_ATTEMPTS:
            return lost_too_often(k, error, others_ended=self._any_ended)
        if running.dead_workers >= MAX_DEATHS:
            return lost_too_often(k, error, MAX_DEATHS, others_ended=self._any_ended)
        if running.lost >= MAX_LOSSES:
            raise ClusterError(
                f"evaluation {k} was lost {MAX_LOSSES} times ({error}); is the network of the cluster sound?"
            )
        if not running.futures:
            self.resubmitted += 1
            self._start(k)
        return None

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise ClusterError(
                f"the scheduler ({self.description}) is gone; start it and its workers again, then resume the run"
            )

    def _resubmit_stragglers(self) -> None:
        now, slots = self._clock(), self.slots
        for k in sorted(self._flight)[: max(1, slots)]:
            running = self._flight[k]
            if running.presumed_start is None:
                running.presumed_start = now
        if len(self._walls) < MEDIAN_FROM or slots < 2:
            return
        limit = max(STRAGGLER_MIN_S, STRAGGLER_MULTIPLE * statistics.median(self._walls))
        for k, running in self._flight.items():
            # Each copy doubles the patience: a task that is slow by nature does not fill the cluster.
            if running.presumed_start is not None and now - running.presumed_start > limit * 2 ** (
                len(running.futures) - 1
            ):
                running.presumed_start = now
                self.resubmitted += 1
                self._start(k)
