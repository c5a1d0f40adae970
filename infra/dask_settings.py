"""How Dask is set for workers that come, go, freeze and are killed: what was measured, in one place."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Mapping
from typing import Any

#: A worker that dies is rarely a task's fault, and a frozen one is let go after a minute.
#: Nothing waits on a worker: a task that waits at the scheduler can overtake, and is not lost or blamed with a worker.
OWN_CLUSTER: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 10,
    "distributed.scheduler.worker-ttl": "60s",
    "distributed.scheduler.worker-saturation": 1.0,
}
#: Beyond one machine: TLS or nothing; a cut cable is noticed after some 20 s (38 s by default; below 11 s Dask fails); hundreds
#: of workers that connect at once get their time; a worker keeps trying while a partition lasts.
FAR_CLUSTER: dict[str, Any] = {
    **OWN_CLUSTER,
    "distributed.comm.require-encryption": True,
    "distributed.comm.tls.min-version": 1.3,
    "distributed.comm.timeouts.tcp": "15s",
    "distributed.comm.timeouts.connect": "60s",
    "distributed.comm.retry.count": 3,
    "distributed.comm.socket-backlog": 4096,
    "distributed.admin.tick.limit": "10s",
}
#: Files a scheduler keeps open per worker: 2 when busy (600 workers: 1193), and as many again while they reconnect.
FILES_PER_WORKER = 4
#: Files for everything else.
FILES_BESIDE = 512


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return Dask settings as the environment variables that Dask reads them from."""
    return {"DASK_" + name.replace(".", "__").replace("-", "_").upper(): str(value) for name, value in settings.items()}


def allow_files(workers: int) -> int:
    """Raise this process's limit of open files as far as a scheduler of `workers` workers needs; return the limit in force.

    What the hard limit does not allow is not tried: the caller compares, see :func:`files_needed`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_needed(workers)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def files_needed(workers: int) -> int:
    """Return how many files a scheduler of `workers` workers may have open at once."""
    return FILES_BESIDE + FILES_PER_WORKER * workers
