"""Serving the page from a thread of the process whose state it shows."""

from __future__ import annotations

import socket
from collections.abc import Collection
from threading import Thread
from types import TracebackType
from typing import Self

import uvicorn

from dashboard.app import make_app
from dashboard.guard import LOOPBACK
from dashboard.view import View
from protocol.errors import ConfigError

STOP_S = 3  # an open event stream would keep the server for ever
_START_S = 10.0


class PageServer:
    """The page on one TCP port, as a context manager: it answers inside the block and is gone after it.

    Signals stay with the owner of the main thread, who decides when the block ends.

    Parameters
    ----------
    view : View
        What to show.
    host : str
        Address to listen on. Loopback by default; there is no log-in, so for another address put a proxy in front.
    port : int
        0 takes a free one.
    names : collection of str
        Further host names the page may be reached by, as a proxy passes them on.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """

    def __init__(self, view: View, host: str = "127.0.0.1", port: int = 8610, names: Collection[str] = ()) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=64)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"the page cannot listen on {host} port {port}: {error}; choose another --port"
            ) from error
        port = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{port}/"
        app = make_app(view, {*LOOPBACK, shown, *names}, lambda: self._server.should_exit)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",  # the same code path whatever else is installed
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=STOP_S,
                timeout_keep_alive=15,
                limit_concurrency=128,
                ws="none",
            )
        )
        self._thread = Thread(target=self._server.run, args=([self._socket],), name="page", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the page still answers."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop answering, end open streams, and free the port. Closing twice is fine."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_S + _START_S)
        self._socket.close()
