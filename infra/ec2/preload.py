"""What runs beside a Dask worker on an instance: it watches for the end of the instance, and leaves in time and in order.

``dask worker --preload infra.ec2.preload``. On a notice of interruption, or when the supervisor wants the instance drained, the
worker takes no more tasks, finishes those it runs as far as the time allows, hands its results over and closes: nobody is
blamed and nothing is lost. It tells the supervisor what it sees through files below the folder of the Dask setting
``longtail.state``. Whatever goes wrong here is logged and goes no further.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import time
from pathlib import Path
from typing import Any

from infra.ec2.bootstrap import metadata
from infra.ec2.layout import instance_of
from infra.ec2.state import BUSY, CONNECTED, State

LOG = logging.getLogger("distributed.longtail")
#: Topic of the scheduler's event log that notices go to.
TOPIC = "longtail-instances"
POLL_S = 2.0
#: Notices come two minutes ahead; AWS recommends to look every 5 seconds.
NOTICE_POLL_S = 5.0
#: Of the time a notice leaves, what is kept for handing over.
MARGIN_S = 20.0
#: For handing results over and saying goodbye.
CLOSE_S = 15.0
_tasks: set[asyncio.Task[None]] = set()


async def dask_setup(worker: Any) -> None:
    """Start watching; called by Dask on the worker's loop when it starts."""
    import dask

    state = State(Path(dask.config.get("longtail.state")))
    task = asyncio.get_running_loop().create_task(_watch(worker, state))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def notice(now: dt.datetime) -> tuple[str, float] | None:
    """Return why and in how many seconds EC2 takes the instance, None while it does not say so.

    Parameters
    ----------
    now : datetime
        UTC.

    Raises
    ------
    OSError
        The metadata service cannot be reached.
    """
    text = metadata("meta-data/spot/instance-action")
    if text is None:
        return None
    try:
        action = json.loads(text)
        at = dt.datetime.fromisoformat(str(action["time"]).replace("Z", "+00:00"))
        return f"spot {action['action']} at {action['time']}", (at - now).total_seconds()
    except (ValueError, KeyError, TypeError):
        return "spot notice without a time", 0.0


async def _watch(worker: Any, state: State) -> None:
    next_look = 0.0
    rebalance = False
    while worker.status.name not in {"closing", "closed", "failed"}:
        try:
            _tell(worker, state)
            why = state.drain()
            if why is None and time.monotonic() >= next_look:
                next_look = time.monotonic() + NOTICE_POLL_S
                with contextlib.suppress(OSError):  # asked again soon
                    why = await asyncio.to_thread(notice, dt.datetime.now(dt.UTC))
                    if why is None and not rebalance:
                        rebalance = (
                            await asyncio.to_thread(metadata, "meta-data/events/recommendations/rebalance") is not None
                        )
                        if rebalance:
                            _log(worker, "rebalance", "EC2 expects to take this instance")
            if why is not None:
                await _leave(worker, state, *why)
                return
        except asyncio.CancelledError:
            raise
        except Exception:
            LOG.exception("watching the instance failed; going on")
        await asyncio.sleep(POLL_S)


def _tell(worker: Any, state: State) -> None:
    if (
        worker.status.name == "running"
        and worker.batched_stream.comm is not None
        and not worker.batched_stream.comm.closed()
    ):
        state.mark(CONNECTED)
    if worker.state.executing_count:
        state.mark(BUSY)


def _log(worker: Any, what: str, why: str) -> None:
    LOG.warning("%s: %s", what, why)
    with contextlib.suppress(Exception):  # the scheduler may be gone
        worker.log_event(TOPIC, {"what": what, "why": why, "instance": instance_of(worker.name)})


async def _leave(worker: Any, state: State, why: str, within_s: float) -> None:
    """Drain and close; however that goes, the worker closes."""
    _log(worker, "leaving", why)
    deadline = time.monotonic() + max(0.0, within_s - MARGIN_S)
    try:
        await asyncio.wait_for(_retire(worker, remove=False), CLOSE_S)
        while worker.state.executing_count and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        await asyncio.wait_for(_retire(worker, remove=True), CLOSE_S)
    except Exception:
        LOG.exception("the scheduler does not take leave of this worker; closing")
    state.ended(why)
    await worker.close(nanny=True, reason=why)


async def _retire(worker: Any, *, remove: bool) -> None:
    # Not close_gracefully: it waits for data to move, not for what runs.
    await worker.scheduler.retire_workers(
        workers=[worker.address], close_workers=False, remove=remove, stimulus_id=f"longtail-leave-{time.time()}"
    )
