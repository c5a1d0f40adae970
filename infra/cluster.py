"""Which cluster a run uses: the local pool, a local Dask cluster, or an existing scheduler.

``--cluster`` takes KIND or ADDRESS. A further kind needs an entry in :data:`STARTERS` and nothing else.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.dask_executor import DaskExecutor
from infra.executor import Executor, LocalExecutor
from infra.settings import Settings
from protocol.errors import ClusterError, ConfigError, UsageError

ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(\d{1,5})\Z")
#: Evaluations are safe to run again, so a worker's death is never a task's fault on our own clusters.
OWN_CLUSTER = {"distributed.scheduler.allowed-failures": 1000, "distributed.scheduler.worker-ttl": "60s"}


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
    if chosen in STARTERS or ADDRESS.match(chosen):
        return chosen
    hint = f"; did you mean `ltminer {chosen}`?" if re.fullmatch(r"[a-z]+", chosen) else ""
    kinds = ", ".join(kind for kind in STARTERS if kind != "pool")
    raise UsageError(f"--cluster {chosen!r} is neither a kind ({kinds}) nor an address such as tcp://host:8786{hint}")


@contextlib.contextmanager
def open_executor(kind: str, program: str, cache: Path, settings: Settings, log: Path | None = None) -> Iterator[Executor]:
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
        The scheduler does not answer, or does not fit this version.
    """
    starter = STARTERS.get(kind)
    if starter is not None:
        executor = starter(program, cache, settings, log)
    else:
        executor = _existing(kind, program, settings)
    try:
        yield executor
    finally:
        executor.close()


def _pool(program: str, cache: Path, settings: Settings, log: Path | None) -> Executor:
    return LocalExecutor(program, cache, settings.workers, log)


def _local(program: str, _cache: Path, settings: Settings, _log: Path | None) -> Executor:
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(OWN_CLUSTER):
        cluster = LocalCluster(
            n_workers=settings.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=50,
        )
    client = Client(cluster, set_as_default=False)

    def close() -> None:
        client.close()
        cluster.close()

    return DaskExecutor(client, program, f"local Dask cluster, {settings.workers} workers", close)


def _existing(address: str, program: str, settings: Settings) -> Executor:
    _probe(address, settings.connect_timeout_s)
    client = _connect(address, settings)
    try:
        _check_versions(client, address)
    except BaseException:
        client.close()
        raise
    return DaskExecutor(client, program, address, client.close)


def _probe(address: str, timeout: float) -> None:
    """Find out what listens there before Dask trusts it: a scheduler greets at once, and a stray server makes Dask ask for exabytes."""
    match = ADDRESS.match(address)
    assert match is not None  # noqa: S101 - parse_cluster saw to it
    protocol, host, port = match[1], match[2].strip("[]"), int(match[3])
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            if protocol == "tls":
                return
            connection.settimeout(min(timeout, 5.0))
            greeting = connection.recv(8)
    except TimeoutError:
        raise ClusterError(
            f"{address} accepts connections but does not greet as a Dask scheduler; if it speaks TLS write tls://{host}:{port}"
        ) from None
    except (OSError, OverflowError) as error:
        raise ClusterError(f"no scheduler answers at {address}: {error}; is `dask scheduler` running there?") from error
    # A Dask comm opens with an 8-byte little-endian length of its handshake frames, far below 2^40.
    if len(greeting) < 8 or greeting[5:8] != b"\0\0\0":
        raise ClusterError(f"what listens at {address} is no Dask scheduler (it greets with {greeting!r}); check the address")


def _connect(address: str, settings: Settings) -> Any:
    from distributed import Client
    from distributed.security import Security

    security = None
    if address.startswith("tls://"):
        files = {"tls_ca_file": settings.tls_ca, "tls_client_cert": settings.tls_cert, "tls_client_key": settings.tls_key}
        missing = [name for name, file in files.items() if not file or not Path(file).is_file()]
        if missing:
            raise ConfigError(f"{address} needs the settings tls_ca, tls_cert and tls_key (files); missing: {', '.join(missing)}")
        security = Security(require_encryption=True, **files)
    try:
        return Client(address, timeout=settings.connect_timeout_s, security=security, set_as_default=False)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ClusterError(f"the scheduler at {address} did not accept us within {settings.connect_timeout_s:g} s: {reason}") from error


def _check_versions(client: Any, address: str) -> None:
    """Refuse a scheduler or workers of another Dask or Python: they would fail in the middle of the run."""
    versions = client.get_versions(check=False)
    ours = _pair(versions["client"])
    others = {"the scheduler": versions["scheduler"], **{f"worker {name}": info for name, info in versions["workers"].items()}}
    for who, info in others.items():
        theirs = _pair(info)
        if theirs != ours:
            raise ClusterError(
                f"{who} at {address} runs Python {theirs[0]} with distributed {theirs[1]}, this is Python {ours[0]} with "
                f"distributed {ours[1]}; install the same versions (requirements.lock) on both sides"
            )


def _pair(info: dict[str, Any] | None) -> tuple[str, str]:
    if not info:
        return "unknown", "unknown"
    return ".".join(str(part) for part in str(info["host"]["python"]).split(".")[:2]), str(info["packages"]["distributed"])


STARTERS: dict[str, Callable[[str, Path, Settings, Path | None], Executor]] = {"pool": _pool, "local": _local}
