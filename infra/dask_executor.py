"""Evaluations on a Dask cluster, whose workers may come, go, freeze or be killed at any time.

A task carries a canonical pipeline and references to data; nothing is scattered and no result is kept on a worker, so losing
any worker loses at most the evaluations that ran there. Dask starts those again by itself; tasks that it blames for their
worker's death, and stragglers, which it never re-runs, are submitted again here. The first reply of a task counts.
"""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.executor import MAX_ATTEMPTS
from infra.forkclient import Reply, run_here
from protocol.errors import ClusterError

#: A task is a straggler after this multiple of the median wall time, and never before this many seconds.
STRAGGLER_MULTIPLE = 5.0
STRAGGLER_MIN_S = 60.0
#: How often the number of workers is asked for, seconds.
CENSUS_S = 2.0


@dataclass(slots=True)
class _Running:
    task: Mapping[str, Any]
    attempts: int = 0
    lost: int = 0
    futures: list[Any] = field(default_factory=list)
    #: When the task was among the oldest `slots` in flight for the first time, monotonic seconds.
    presumed_start: float | None = None


class DaskExecutor:
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
        Monotonic seconds.
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
        self._flight: dict[int, _Running] = {}
        self._walls: list[float] = []
        self._done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._slots = 0
        self._census_at = -CENSUS_S

    @property
    def slots(self) -> int:
        """Threads of the workers that the scheduler knows now; refreshed every couple of seconds."""
        now = self._clock()
        if now - self._census_at >= CENSUS_S:
            self._census_at = now
            workers = self._client.scheduler_info(n_workers=-1).get("workers", {})
            self._slots = sum(int(worker["nthreads"]) for worker in workers.values())
        return self._slots

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """See :class:`infra.executor.Executor`."""
        self._flight[k] = _Running(task)
        self._start(k)

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """See :class:`infra.executor.Executor`."""
        self._check_scheduler()
        self._resubmit_stragglers()
        replies: list[tuple[int, Reply]] = []
        block = True
        while block or not self._done.empty():
            try:
                k, future = self._done.get(timeout=timeout if block else 0)
            except queue.Empty:
                break
            block = False
            reply = self._settle(k, future)
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
        future = self._client.submit(
            run_here,
            self._program,
            dict(running.task),
            key=f"longtail-{id(self):x}-{k}-{running.attempts}",
            pure=False,
            priority=-k,  # the oldest candidate holds up the window
        )
        running.futures.append(future)
        future.add_done_callback(lambda done: self._done.put((k, done)))

    def _settle(self, k: int, future: Any) -> Reply | None:
        running = self._flight.get(k)
        if running is None or future not in running.futures:
            return None  # a copy whose twin was first
        running.futures.remove(future)
        if future.status == "finished":
            if running.presumed_start is not None:
                self._walls.append(self._clock() - running.presumed_start)
            del self._flight[k]
            self._client.cancel(running.futures, force=True)
            return self._result(future)
        running.lost += 1
        error = future.exception() if future.status == "error" else None
        if error is not None and type(error).__name__ not in {"KilledWorker", "ServerDiedError", "CancelledError"}:
            raise ClusterError(
                f"a worker cannot run evaluations: {type(error).__name__}: {error}; "
                "install the same longtail and locked dependencies on every worker"
            )
        self._check_scheduler()
        if running.lost >= MAX_ATTEMPTS:
            raise ClusterError(f"evaluation {k} lost its worker {MAX_ATTEMPTS} times; do the workers have enough memory?")
        if not running.futures:
            self.resubmitted += 1
            self._start(k)
        return None

    def _result(self, future: Any) -> Reply:
        try:
            reply: Reply = future.result(timeout=30)
        except Exception as error:
            raise ClusterError(f"the scheduler's answer did not arrive: {type(error).__name__}: {error}") from error
        return reply

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise ClusterError(f"the scheduler of {self.description} is gone; the journal is whole")

    def _resubmit_stragglers(self) -> None:
        now = self._clock()
        for k in sorted(self._flight)[: max(1, self.slots)]:
            running = self._flight[k]
            if running.presumed_start is None:
                running.presumed_start = now
        if len(self._walls) < 5:
            return
        limit = max(STRAGGLER_MIN_S, STRAGGLER_MULTIPLE * statistics.median(self._walls[-50:]))
        for k, running in self._flight.items():
            if running.presumed_start is not None and now - running.presumed_start > limit and self.slots > 1:
                running.presumed_start = now
                self.resubmitted += 1
                self._start(k)
