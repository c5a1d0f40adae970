"""Evaluations on a Dask cluster, whose workers may come, go, freeze or be killed at any time.

A task carries a canonical pipeline and references to data; nothing is scattered and no result stays on a worker, so losing
any worker loses at most the evaluations that ran there. Dask starts those again by itself; tasks that it blames for their
worker's death, and stragglers, which it never re-runs, are submitted again here. The first reply of a task counts.

Evaluations that take well below two seconds travel in batches, as far as that leaves every slot a batch to run and another
one waiting: Dask's own work is per batch. Everything that starts at once is one message to the scheduler.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import queue
import statistics
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.executor import MAX_ATTEMPTS, FreeMachines, lost_too_often
from infra.forkclient import Reply, ServerDiedError, run_batch
from infra.scheduler import dask
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
#: A batch should take this many seconds; evaluations whose median is above half of it travel alone. Source: what a task costs
#: Dask, see docs/benchmarks.md.
BATCH_S = 2.0
#: Batches per slot that a batch must leave room for: one runs, one waits.
BATCHES_PER_SLOT = 2
#: Seconds between two looks for stragglers.
LOOK_S = 1.0


@dataclass(slots=True, eq=False)
class _Batch:
    """One task of Dask: evaluations that run one after another."""

    numbers: Sequence[int]
    key: str
    future: Any = None
    #: When it was among the oldest `slots` in flight for the first time, or was last copied; clock seconds.
    presumed_start: float | None = None


@dataclass(slots=True)
class _Running:
    task: Mapping[str, Any]
    attempts: int = 0
    lost: int = 0
    dead_workers: int = 0
    lost_servers: int = 0
    #: Travels without others, and at once: it was lost, or lagged, before.
    alone: bool = False
    batches: list[_Batch] = field(default_factory=list)


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
        self._waiting: set[int] = set()
        self._batches: set[_Batch] = set()
        self._walls: deque[float] = deque(maxlen=MEDIAN_OF)
        self._looked = float("-inf")
        self._any_ended = False
        self._waiters: set[Any] = set()
        self._done: queue.SimpleQueue[tuple[_Batch, Any]] = queue.SimpleQueue()

    @property
    def slots(self) -> int:  # type: ignore[override]  # asked anew each time
        """Threads of the workers that the scheduler knew a couple of seconds ago."""
        # What the client keeps up to date by itself: asking the scheduler would wait for ever for a frozen one.
        return int(self._client._scheduler_identity.get("total_threads", 0))

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """See :class:`infra.executor.Executor`."""
        self._check_scheduler()
        self._flight[k] = _Running(dict(task))
        self._waiting.add(k)

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """See :class:`infra.executor.Executor`."""
        self._check_scheduler()
        self._copy_stragglers()
        self._start(self._batched())
        replies: list[tuple[int, Reply]] = []
        block = True
        while block or not self._done.empty():
            try:
                batch, outcome = self._done.get(timeout=timeout if block else 0)
            except queue.Empty:
                break
            block = False
            replies += self._settle(batch, outcome)
        return replies

    def close(self) -> None:
        """See :class:`infra.executor.Executor`."""
        if self._client.status == "running":
            self._client.cancel([batch.future for batch in self._batches], force=True)
        self._flight.clear()
        self._waiting.clear()
        self._batches.clear()
        self._on_close()

    def _batched(self) -> list[Sequence[int]]:
        """Take from what waits, oldest first, what shall start now, in batches."""
        alone = [k for k in self._waiting if self._flight[k].alone]
        together = sorted(self._waiting.difference(alone))
        size, slots = 1, max(1, self.slots)
        if len(self._walls) >= MEDIAN_FROM and (usual := statistics.median(self._walls)) <= BATCH_S / 2:
            room = len(self._flight) // (BATCHES_PER_SLOT * slots)
            size = max(1, min(room, math.ceil(BATCH_S / max(usual, 0.001))))
        groups = [together[at : at + size] for at in range(0, len(together), size)]
        # The rest may wait to become a batch as long as it is young and the slots have others.
        if groups and len(groups[-1]) < size and len(self._batches) + len(groups) - 1 > slots:
            groups.pop()
        started: list[Sequence[int]] = [*([k] for k in alone), *groups]
        self._waiting.difference_update(*started)
        return started

    def _start(self, groups: Sequence[Sequence[int]]) -> None:
        """Send these batches to the scheduler in one message."""
        if not groups:
            return
        batches, slots = [], self.slots
        for numbers in groups:
            batch = _Batch(numbers, f"{self._name}/{numbers[0]}/{self._flight[numbers[0]].attempts}")
            if len(self._batches) < slots:
                batch.presumed_start = self._clock()
            for k in numbers:
                self._flight[k].attempts += 1
                self._flight[k].batches.append(batch)
            self._batches.add(batch)
            batches.append(batch)
        try:
            with dask().annotate(priority=priority_of):
                futures = self._client.map(
                    run_batch,
                    [self._program] * len(batches),
                    [[self._flight[k].task for k in batch.numbers] for batch in batches],
                    key=[batch.key for batch in batches],
                    pure=False,
                )
        except Exception:
            self._check_scheduler()
            raise
        for batch, future in zip(batches, futures, strict=True):
            batch.future = future
        self._client.loop.add_callback(self._await_all, batches)

    def _await_all(self, batches: Sequence[_Batch]) -> None:
        """Wait for batches, and for their results to travel here, on the client's own loop."""
        for batch in batches:
            self._waiters.add(waiter := asyncio.ensure_future(self._await(batch)))
            waiter.add_done_callback(self._waiters.discard)

    async def _await(self, batch: _Batch) -> None:
        outcome: Any
        try:
            outcome = await batch.future
        except Exception as error:
            outcome = error
        self._done.put((batch, outcome))

    def _settle(self, batch: _Batch, outcome: Any) -> list[tuple[int, Reply]]:
        """Return the replies that a batch brought; what it lost waits again."""
        if batch not in self._batches:
            return []  # all of it was answered elsewhere
        self._batches.remove(batch)
        replies: list[tuple[int, Reply]] = []
        for place, k in enumerate(batch.numbers):
            running = self._flight.get(k)
            if running is None:
                continue  # its copy was first
            running.batches.remove(batch)
            reply: Reply | None
            if isinstance(outcome, Exception):
                reply = self._lost(k, running, outcome, shared=len(batch.numbers) > 1)
            else:
                wall_s, reply = outcome[place]
                if isinstance(reply, ServerDiedError):
                    reply = self._lost(k, running, reply)
                elif reply["end"] == "refused" and running.attempts < MAX_ATTEMPTS:
                    self._again(k, running)  # that machine may be alone in not reaching the data
                    reply = None
                else:
                    self._any_ended = True
                    self._walls.append(wall_s)
            if reply is not None:
                replies.append((k, reply))
                del self._flight[k]
                self._waiting.discard(k)
                self._drop(running.batches)
        return replies

    def _drop(self, batches: Sequence[_Batch]) -> None:
        """Cancel those batches of which nothing is wanted any more."""
        useless = [batch for batch in batches if self._flight.keys().isdisjoint(batch.numbers)]
        if useless:
            self._batches.difference_update(useless)
            self._client.cancel([batch.future for batch in useless], force=True)

    def _lost(self, k: int, running: _Running, error: Exception, *, shared: bool = False) -> Reply | None:
        self._check_scheduler()
        if isinstance(error, ServerDiedError):
            running.lost_servers += 1
        elif type(error).__name__ == "KilledWorker":
            # Dask tells of several deaths at once. Of a batch, one may have done it: that shows when each runs for itself.
            running.dead_workers += 0 if shared else int(getattr(error, "allowed_failures", 0)) + 1
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
        self._again(k, running)
        return None

    def _again(self, k: int, running: _Running) -> None:
        """Have an evaluation wait for another start, unless a copy of it is under way."""
        if not running.batches:
            self.resubmitted += 1
            running.alone = True
            self._waiting.add(k)

    def _check_scheduler(self) -> None:
        if self._client.status != "running":
            raise ClusterError(
                f"the scheduler ({self.description}) is gone; start it and its workers again, then resume the run"
            )

    def _copy_stragglers(self) -> None:
        """Have what runs for too long run once more, each evaluation for itself."""
        now, slots = self._clock(), self.slots
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        for batch in heapq.nsmallest(max(1, slots), self._batches, key=lambda batch: batch.numbers[0]):
            if batch.presumed_start is None:
                batch.presumed_start = now
        if len(self._walls) < MEDIAN_FROM or slots < 2:
            return
        limit = max(STRAGGLER_MIN_S, STRAGGLER_MULTIPLE * statistics.median(self._walls))
        for batch in list(self._batches):
            if batch.presumed_start is None:
                continue
            unanswered = [k for k in batch.numbers if k in self._flight and self._flight[k].batches[-1] is batch]
            # Each copy doubles the patience: a task that is slow by nature does not fill the cluster.
            copies = max((len(self._flight[k].batches) for k in unanswered), default=1)
            if now - batch.presumed_start > limit * len(batch.numbers) * 2 ** (copies - 1):
                self.resubmitted += len(unanswered)
                for k in unanswered:
                    self._flight[k].alone = True
                self._waiting.update(unanswered)


def priority_of(key: str) -> int:
    """Return the priority of a batch, from its key: the oldest candidate holds up the window. Called by the scheduler."""
    return -int(key.split("/")[1])
