"""Asking another program for a JSON document over HTTP, bounded in time and size, whatever it answers.

No proxy is asked and no redirect followed: a document comes from the address that was named, or not at all.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from protocol.errors import ClusterError, ConfigError, DataError

#: Most characters of somebody's words in a message.
MAX_WORDS = 300


class NotFoundError(ClusterError):
    """The service answers, and has nothing under that address: status 404."""


def get_json(
    base: str, path: str, query: Mapping[str, str | int], *, limit_bytes: int, timeout_s: float
) -> dict[str, Any]:
    """Return the JSON object that ``GET {base}{path}?{query}`` answers.

    Parameters
    ----------
    base : str
        ``http://HOST[:PORT]`` or ``https://…``, with a path if the service is under one.
    path : str
        Begins with a slash.
    query : mapping of name to value
    limit_bytes : int
        Longest body taken.
    timeout_s : float
        Seconds for connection, head and body together, however slowly they come.

    Raises
    ------
    ConfigError
        `base` is no such address.
    ClusterError
        Nobody answers there in time, the answer is cut off, or its status is not 200 (NotFoundError: it is 404); what the
        service says of it, under ``error``, is in the message.
    DataError
        The body is longer than `limit_bytes`, or no JSON object in UTF-8; NaN, infinities and repeated names are none.
    """
    deadline = time.monotonic() + timeout_s
    connection, prefix = _connection(base, timeout_s)
    url = f"{base.rstrip('/')}{path}"
    target = f"{prefix}{path}" + (f"?{urlencode(query)}" if query else "")
    try:
        connection.connect()
        connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        connection.response_class = _by(deadline, connection.sock)
        connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
        with connection.getresponse() as response:
            body = response.read(limit_bytes + 1)
            cut, status = bool(response.length) and len(body) <= limit_bytes, response.status
            where = response.headers.get("Location", "")
    except (OSError, http.client.HTTPException) as error:
        late = f"it did not answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else _words(_why(error))
        raise ClusterError(f"no answer from {url}: {late}; see that it runs there, and check the address") from error
    finally:
        connection.close()
    if 300 <= status < 400:
        raise ClusterError(f"{url} sends elsewhere, to {_words(where) or 'nowhere'}; name the address that answers")
    if cut:
        raise ClusterError(f"the answer of {url} was cut off after {len(body)} bytes; try again")
    if status != http.client.OK:
        family = NotFoundError if status == http.client.NOT_FOUND else ClusterError
        raise family(f"{url} answers {status}: {_error(body)}")
    if len(body) > limit_bytes:
        raise DataError(f"{url} answers with more than {limit_bytes} bytes; check that this is the right address")
    try:
        return _object(body)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{url} answers with no JSON object: {_words(error)}; check that this is the right address"
        ) from error


def _connection(base: str, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection that is still to be made, and the path in front of all others."""
    problem: object = "it is not of that form"
    try:
        parts = urlsplit(base)
        bare = base.isascii() and base.isprintable() and " " not in base
        if bare and parts.scheme in ("http", "https") and not (parts.username or parts.query or parts.fragment):
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            if parts.hostname:
                return kind(parts.hostname, parts.port, timeout=timeout_s), parts.path.rstrip("/")
    except (ValueError, http.client.InvalidURL) as error:
        problem = error
    raise ConfigError(f"address {base!r:.200}: {problem}; write http://HOST:PORT or https://HOST")


class _Timed(io.RawIOBase):
    """What a socket receives, until a deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read as a socket does, but no longer than there is time left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("too slow")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


def _by(deadline: float, sock: socket.socket) -> type[http.client.HTTPResponse]:
    """Return the class of an answer that is read by a deadline: the timeout of a socket alone begins anew with every byte."""

    class Response(http.client.HTTPResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, deadline))

    return Response


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body.decode(), parse_constant=_refuse, object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}")  # noqa: TRY004  # bad text, told with all other bad text
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _error(body: bytes) -> str:
    """Return what a service says of its refusal."""
    try:
        return _words(_object(body)["error"])
    except (ValueError, RecursionError, KeyError):
        return "it does not say why"


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def _words(said: object) -> str:
    """Return somebody's words so that they can be printed."""
    return "".join(sign if sign.isprintable() else " " for sign in str(said)[:MAX_WORDS]).strip()
