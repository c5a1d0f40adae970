"""An existing Dask scheduler: whether one listens at an address, whether it fits this version, and a client of it."""

from __future__ import annotations

import contextlib
import importlib
import re
import socket
import ssl
import time
import warnings
from pathlib import Path
from typing import Any

from infra.settings import Settings
from protocol.errors import ClusterError, ConfigError, UsageError

ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})\Z")
#: How long a listener may take for the first bytes of its greeting, seconds: a Dask scheduler greets at once.
GREETING_S = 5.0
#: How long a client that failed to connect may take to close, seconds.
CLOSE_S = 2.0


def dask() -> Any:
    """Return the package ``dask`` with ``dask.distributed``, imported when first needed; both are only half typed."""
    importlib.import_module("distributed")
    importlib.import_module("dask.distributed")
    return importlib.import_module("dask")


def reach_scheduler(address: str, settings: Settings) -> Any:
    """Return a ``distributed.Client`` of the scheduler at `address`, which has the same versions and at least one worker.

    Every step is bounded by ``settings.connect_timeout_s``; no client is left behind when one fails.

    Raises
    ------
    ClusterError
        Nothing or something else listens there, the versions differ, or there are no workers.
    ConfigError
        A tls:// address without usable certificate files.
    """
    security = _security(address, settings) if address.startswith("tls://") else None
    _probe(address, security, settings.connect_timeout_s)
    with contextlib.ExitStack() as started:
        client = _connect(address, security, settings.connect_timeout_s)
        started.callback(client.close)
        _check_versions(client, address, settings.connect_timeout_s)
        _wait_for_worker(client, address, settings.connect_timeout_s)
        started.pop_all()
    return client


def _security(address: str, settings: Settings) -> Any:
    files = {"tls_ca": settings.tls_ca, "tls_cert": settings.tls_cert, "tls_key": settings.tls_key}
    missing = [f"{name} = {file!r}" for name, file in files.items() if not Path(file).is_file()]
    if missing:
        raise ConfigError(
            f"{address} needs the settings tls_ca, tls_cert and tls_key, files in PEM format; not a file: {', '.join(missing)}"
        )
    security = dask().distributed.Security(
        require_encryption=True,
        tls_ca_file=settings.tls_ca,
        tls_client_cert=settings.tls_cert,
        tls_client_key=settings.tls_key,
    )
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        named = ", ".join(f"{name} = {file!r}" for name, file in files.items())
        raise ConfigError(
            f"the certificates for {address} cannot be used: {error}; check that they are PEM and fit: {named}"
        ) from error
    return security


def _probe(address: str, security: Any, timeout: float) -> None:
    """Find out what listens there before Dask trusts it: a stray server's first bytes would make Dask ask for exabytes."""
    match = ADDRESS.match(address)
    if match is None:
        raise UsageError(f"{address!r} is no address such as tcp://host:8786")
    host, port = match[2].strip("[]"), int(match[3])
    with contextlib.ExitStack() as opened:
        try:
            connection = opened.enter_context(socket.create_connection((host, port), timeout=timeout))
        except OSError as error:
            raise ClusterError(
                f"no scheduler answers at {address}: {error}; is `dask scheduler` running there?"
            ) from error
        deadline = time.monotonic() + min(timeout, GREETING_S)
        try:
            if security is not None:
                context = security.get_connection_args("client")["ssl_context"]
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                connection = opened.enter_context(context.wrap_socket(connection, server_hostname=host))
            greeting = b""
            while len(greeting) < 8:
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                chunk = connection.recv(8 - len(greeting))
                if not chunk:
                    break
                greeting += chunk
        except TimeoutError:
            other = f"; if it speaks TLS write tls://{match[2]}:{port}" if security is None else ""
            raise ClusterError(f"{address} accepts connections but does not greet as a Dask scheduler{other}") from None
        except ssl.SSLError as error:
            raise ClusterError(
                f"no TLS with {address}: {error}; if it does not speak TLS write tcp://{match[2]}:{port}, "
                "else check that tls_ca, tls_cert and tls_key are of its authority"
            ) from error
        except OSError as error:
            raise ClusterError(
                f"the connection to {address} broke: {error}; is `dask scheduler` running there?"
            ) from error
    # A Dask comm opens with an 8-byte little-endian length of its handshake frames, far below 2^40.
    if len(greeting) < 8 or greeting[5:8] != b"\0\0\0":
        raise ClusterError(
            f"what listens at {address} is no Dask scheduler (it greets with {greeting!r}); check the address"
        )


def _connect(address: str, security: Any, timeout: float) -> Any:
    kind = dask().distributed.Client
    client = kind.__new__(kind)  # in two steps, so that a client that fails half-way can be closed

    def start(**options: Any) -> None:
        client._loop_runner.start()
        client.sync(client._start, callback_timeout=timeout, **options)

    client.start = start  # the client's own waits for ever for a peer that falls silent in the middle of a message
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions: _check_versions decides
            client.__init__(address, timeout=timeout, security=security, set_as_default=False)
    except Exception as error:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            client.close(timeout=CLOSE_S)
        with contextlib.suppress(Exception):
            client._loop_runner.stop()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ClusterError(f"the scheduler at {address} did not accept us within {timeout:g} s: {reason}") from error
    return client


def _check_versions(client: Any, address: str, timeout: float) -> None:
    """Refuse a scheduler or workers of another Dask or Python: they would fail in the middle of the run."""
    try:
        versions = client.sync(client._get_versions, callback_timeout=timeout)
    except Exception as error:
        raise ClusterError(
            f"the scheduler at {address} or one of its workers did not tell its versions within {timeout:g} s "
            f"({type(error).__name__}: {error}); is a worker frozen?"
        ) from error
    ours = _pair(versions["client"])
    others = {
        "the scheduler": versions["scheduler"],
        **{f"worker {name}": info for name, info in versions["workers"].items()},
    }
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
    return ".".join(str(part) for part in str(info["host"]["python"]).split(".")[:2]), str(
        info["packages"]["distributed"]
    )


def _wait_for_worker(client: Any, address: str, timeout: float) -> None:
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError as error:
        raise ClusterError(
            f"the scheduler at {address} has no workers after {timeout:g} s; start some: `dask worker {address} --nthreads 1`"
        ) from error
