"""Which cluster a run uses: the local pool, a local Dask cluster, or an existing scheduler.

``--cluster`` takes KIND or ADDRESS. A further kind needs an entry in :data:`STARTERS` and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from infra.dask_executor import DaskExecutor
from infra.dask_settings import OWN_CLUSTER, allow_files
from infra.executor import Executor, LocalExecutor
from infra.scheduler import ADDRESS, dask, reach_scheduler
from infra.settings import Settings
from protocol.errors import ClusterError, UsageError

#: Loggers that Dask lets write to stderr.
DASK_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")


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
    if chosen == "ec2":
        raise UsageError(f"--cluster ec2 is not available yet; use one of: {kinds}, tcp://HOST:PORT, tls://HOST:PORT")
    source = "setting cluster =" if value == "default" else "--cluster"
    hint = f"; a command goes before its options: `{chosen} … --cluster`" if re.fullmatch(r"[a-z]+", chosen) else ""
    raise UsageError(f"{source} {chosen!r} is neither a kind ({kinds}) nor an address such as tcp://host:8786{hint}")


@contextlib.contextmanager
def open_executor(
    kind: str, program: str, cache: Path, settings: Settings, log: Path | None = None
) -> Iterator[Executor]:
    """Start or reach the cluster and close it at the end.

    Parameters
    ----------
    kind : str
        Result of :func:`parse_cluster`.
    program : str
        Module for the fork servers.
    cache : Path
        Cache folder of the local pool; Dask workers use the one of their own home.
    settings : Settings
    log : Path, optional
        stderr of the local pool's server.

    Raises
    ------
    ClusterError
        The scheduler does not answer, does not fit this version, or has no workers.
    ConfigError
        A tls:// address without usable certificate files.
    """
    with contextlib.nullcontext() if kind == "pool" else _quiet_dask():
        starter = STARTERS.get(kind)
        executor = starter(program, cache, settings, log) if starter else _existing(kind, program, settings)
        try:
            yield executor
        finally:
            executor.close()


def _pool(program: str, cache: Path, settings: Settings, log: Path | None) -> Executor:
    return LocalExecutor(program, cache, settings.workers, log)


def _local(program: str, _cache: Path, settings: Settings, _log: Path | None) -> Executor:
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
        return DaskExecutor(client, program, f"local Dask cluster, {settings.workers} workers", started.pop_all().close)


def _existing(address: str, program: str, settings: Settings) -> Executor:
    client = reach_scheduler(address, settings)
    return DaskExecutor(client, program, address, client.close)


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


STARTERS: dict[str, Callable[[str, Path, Settings, Path | None], Executor]] = {"pool": _pool, "local": _local}
