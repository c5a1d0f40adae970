"""What a daemon answers over HTTP: is it alive, is it ready, what has it counted, what may others read of it. Reads only."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from protocol.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Answer = tuple[int, str, bytes]
#: What stands behind the ``?``, the first of each name.
Query = Mapping[str, str]
Page = Callable[[Query], Answer]
_WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


def _query(environ: WSGIEnvironment) -> Query:
    pairs = parse_qsl(environ.get("QUERY_STRING", "")[:4_096], keep_blank_values=True)
    return dict(reversed(pairs))


def json_answer(code: int, document: Mapping[str, Any]) -> Answer:
    """Return `document` as an answer."""
    return code, _JSON, json.dumps(document).encode() + b"\n"


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds a peer may take to ask

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: probes come every few seconds."""


class HealthServer:
    """Serves GET and HEAD of a few pages from a thread of its own, until closed.

    Parameters
    ----------
    listen : str
        ``HOST:PORT``; port 0 takes a free one.
    pages : mapping of path to page

    Raises
    ------
    ConfigError
        The address is no address, or is taken.
    """

    def __init__(self, listen: str, pages: Mapping[str, Page]) -> None:
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65_535:
            raise ConfigError(f"listen = {listen!r}; write HOST:PORT, such as 127.0.0.1:9464")
        self._pages = dict(pages)
        try:
            self._server = make_server(host, int(port), self._answer, _Server, _Quiet)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {listen}: {error.strerror}; choose another address with --listen"
            ) from error
        self.address = f"{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        method, page = environ["REQUEST_METHOD"], self._pages.get(environ.get("PATH_INFO", ""))
        if method not in ("GET", "HEAD"):
            code, kind, body = 405, _TEXT, b"only GET\n"
        elif page is None:
            code, kind, body = 404, _TEXT, ("known: " + " ".join(sorted(self._pages)) + "\n").encode()
        else:
            code, kind, body = page(_query(environ))
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("X-Content-Type-Options", "nosniff")]
        start(f"{code} {_WORDS[code]}", headers)
        return [] if method == "HEAD" else [body]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
