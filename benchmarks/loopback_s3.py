"""A simulated S3 on loopback that counts what it sends and loses answers on demand, for benchmarks and tests.

moto checks a condition and stores the object in two steps; here puts come one after the other, and an object whose sender died
halfway is not stored, as in S3.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
}


class LoopbackS3:
    """The server; `url` is its address.

    Attributes
    ----------
    sent : int
        Bytes it has sent, headers included.
    requests : list of str
        Methods and paths it was asked for.
    losing : list of bool
        Of the next puts, those which are carried out and whose connection is closed without an answer.
    refusing : bool
        Every request is answered with 503.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        self._app = DomainDispatcherApplication(create_backend_app)
        self._puts = threading.Lock()
        self.losing, self.refusing = list[bool](), False
        self.reset()
        server = self

        class Handler(WSGIRequestHandler):
            def setup(self) -> None:
                super().setup()
                written = self.wfile.write

                def write(content: bytes) -> int:
                    server.sent += len(content)
                    return written(content)

                self.wfile.write = write  # type: ignore[method-assign]  # counts what the socket gets

            def log(self, *_: Any) -> None:
                pass

        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Count from zero."""
        self.sent, self.requests = 0, list[str]()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests.append(f"{method} {environ['PATH_INFO']}")
        if self.refusing:
            start("503 Service Unavailable", [("Content-Length", "0")])
            return []
        if method != "PUT":
            return self._app(environ, start)
        wanted = int(environ.get("CONTENT_LENGTH") or 0)
        try:
            content = environ["wsgi.input"].read(wanted)
        except OSError:
            content = b""
        if len(content) < wanted:
            start("400 Bad Request", [("Content-Length", "0")])
            return []
        with self._puts:
            done = list(self._app({**environ, "wsgi.input": io.BytesIO(content)}, start))
            if self.losing and self.losing.pop(0):
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return done


@contextmanager
def loopback_s3() -> Iterator[LoopbackS3]:
    """Start the server and stop it at the end."""
    server = LoopbackS3()
    try:
        yield server
    finally:
        server.close()
