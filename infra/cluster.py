"""Which cluster a run uses: the local pool, a local Dask cluster, one on EC2, or an existing scheduler.

``--cluster`` takes KIND or ADDRESS. A further kind needs an entry in :data:`STARTERS` and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.dask_executor import DaskExecutor
from infra.dask_settings import OWN_CLUSTER, allow_files
from infra.executor import Executor, LocalExecutor
from infra.scheduler import ADDRESS, dask, reach_scheduler
from infra.settings import Settings
from protocol.errors import ClusterError, UsageError

#: Loggers that Dask lets write to stderr.
DASK_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")


@dataclass(frozen=True, slots=True)
class Job:
    """What a cluster is started for.

    Attributes
    ----------
    program : str
        Module for the fork servers.
    cache : Path
        Cache folder of the local pool; Dask workers use the one of their own home.
    settings : Settings
    log : Path, optional
        stderr of the local pool's server.
    run : str
        Name of the run.
    data : str
        Address of its dataset.
    record : mapping, optional
        Of the account of an earlier session, see :class:`infra.executor.Account`.
    say : callable
        Told what is being done while it starts and while it ends.
    """

    program: str
    cache: Path
    settings: Settings
    log: Path | None = None
    run: str = "run"
    data: str = ""
    record: Mapping[str, Any] | None = None
    say: Callable[[str], None] = lambda text: None


def parse_cluster(value: str | None, settings: Settings) -> str:
    """Return the kind or address that `--cluster` asks for; ``pool`` when it was not given.

    Raises
    ------
    UsageError
        The value is neither a kind nor an address.
    """
    if value is None:
        return "pool"
    chosen = settings.cluster if value == "default" else value
    address = ADDRESS.match(chosen)
    if chosen in STARTERS or (address and 0 < int(address[3]) < 1 << 16):
        return chosen
    kinds = ", ".join(kind for kind in STARTERS if kind != "pool")
    source = "setting cluster =" if value == "default" else "--cluster"
    hint = f"; a command goes before its options: `{chosen} … --cluster`" if re.fullmatch(r"[a-z]+", chosen) else ""
    raise UsageError(f"{source} {chosen!r} is neither a kind ({kinds}) nor an address such as tcp://host:8786{hint}")


@contextlib.contextmanager
def open_executor(kind: str, job: Job) -> Iterator[Executor]:
    """Start or reach the cluster and close it at the end.

    Parameters
    ----------
    kind : str
        Result of :func:`parse_cluster`.
    job : Job

    Raises
    ------
    ClusterError
        The scheduler does not answer, does not fit this version, or has no workers; AWS refuses or does not answer; at the
        end: something of the cluster is left.
    ConfigError
        A tls:// address without usable certificate files; settings, credentials or bucket for EC2 that do not do.
    """
    with contextlib.nullcontext() if kind == "pool" else _quiet_dask():
        starter = STARTERS.get(kind)
        executor = starter(job) if starter else _existing(kind, job)
        try:
            yield executor
        finally:
            executor.close()


def _pool(job: Job) -> Executor:
    return LocalExecutor(job.program, job.cache, job.settings.workers, job.log)


def _local(job: Job) -> Executor:
    settings = job.settings
    with contextlib.ExitStack() as started:
        try:
            allow_files(settings.workers)
            with dask().config.set(OWN_CLUSTER):
                cluster = dask().distributed.LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",  # not 8787, which another run may have
                    silence_logs=False if os.environ.get("LONGTAIL_DEBUG") else logging.CRITICAL,
                )
            started.callback(cluster.close)
            client = dask().distributed.Client(cluster, timeout=settings.connect_timeout_s, set_as_default=False)
            started.callback(client.close)
        except (OSError, RuntimeError, ValueError) as error:
            raise ClusterError(
                f"the local Dask cluster does not start: {error}; run without --cluster, or with fewer workers"
            ) from error
        return DaskExecutor(
            client, job.program, f"local Dask cluster, {settings.workers} workers", started.pop_all().close
        )


def _ec2(job: Job) -> Executor:
    from infra.ec2.executor import start_ec2  # an extra

    return start_ec2(job)


def _existing(address: str, job: Job) -> Executor:
    client = reach_scheduler(address, job.settings)
    return DaskExecutor(client, job.program, address, client.close)


@contextlib.contextmanager
def _quiet_dask() -> Iterator[None]:
    """Keep Dask's log lines off the terminal: what matters becomes a ClusterError or a number of the view."""
    dask()  # sets its loggers up when first imported
    if os.environ.get("LONGTAIL_DEBUG"):
        yield
        return
    loggers = [logging.getLogger(name) for name in DASK_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


STARTERS: dict[str, Callable[[Job], Executor]] = {"pool": _pool, "local": _local, "ec2": _ec2}
