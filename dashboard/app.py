"""The application: one page, its stream of changes, three files, and a sentence for every address that leads nowhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection
from importlib import resources
from time import monotonic

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from dashboard.alerts import all_alerts
from dashboard.guard import LOOPBACK, Guard
from dashboard.page import Page, digest
from dashboard.query import Query, parse
from dashboard.view import Snapshot, View
from protocol.errors import DataError, LongtailError, UsageError

POLL_S = 1.0
CLOCK_S = 15.0  # a message at least this often keeps proxies from closing the stream
MAX_STREAMS = 32
_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def load_assets() -> dict[str, tuple[bytes, str]]:
    """Return the static files of the package: name to content and media type."""
    folder = resources.files("dashboard") / "static"
    return {
        one.name: (one.read_bytes(), _KINDS[one.name.rpartition(".")[2]])
        for one in folder.iterdir()
        if one.name.rpartition(".")[2] in _KINDS
    }


def event(name: str, data: object) -> str:
    """Return one server-sent event with JSON data."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


class Changes:
    """What one reader has been sent, and what to send next. Not shared between readers."""

    def __init__(self, page: Page, query: Query, seen: str) -> None:
        self.page, self.query, self.seen = page, query, seen
        self._version: str | None = None
        self._snapshot: Snapshot | None = None
        self._alerts: object = None
        self._sent: dict[str, str] = {}
        self._trouble = ""

    def next(self) -> str:
        """Return the events due now, possibly none: parts that changed since, or words about a view that fails."""
        view = self.page.view
        try:
            version, clock = view.version(), view.clock()
            if version != self._version or self._snapshot is None:
                self._snapshot, self._version = self.page.snapshot(self.query), version
                self._alerts = None
            alerts = all_alerts(self._snapshot, clock.now, live=True)
            if alerts == self._alerts and not self._trouble:
                return ""
            parts = self.page.parts(self.query, self._snapshot, clock)
        except LongtailError as error:
            known, self._trouble, self._version = self._trouble == str(error), str(error), None
            return "" if known else event("trouble", {"text": str(error)})
        drawn = not self._sent and self.seen == version
        digests = {part: digest(html) for part, html in parts.items()}
        changed = {} if drawn else {part: parts[part] for part in parts if digests[part] != self._sent.get(part)}
        self._sent, self._alerts, self._trouble = digests, alerts, ""
        patch = {"version": version, "now": clock.now, "rate": clock.rate, "parts": changed}
        return event("patch", patch)


def make_app(view: View, hosts: Collection[str] = LOOPBACK, stopping: Callable[[], bool] = lambda: False) -> ASGIApp:
    """Return the ASGI application of the page.

    Parameters
    ----------
    view : View
        Where everything shown comes from. It is asked from worker threads.
    hosts : collection of str
        Names the page may be reached by, without port; others are refused with 421.
    stopping : callable
        Asked every second by open streams, which end when it returns True; without it they keep a server from stopping.
    """
    files = load_assets()
    names = {
        name: f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}" for name, (content, _) in files.items()
    }
    page = Page(view, names)
    open_streams = 0

    def index(request: Request) -> Response:
        return HTMLResponse(page.whole(parse(request.query_params.multi_items())))

    async def events(request: Request) -> Response:
        nonlocal open_streams
        pairs = request.query_params.multi_items()
        query = parse((name, value) for name, value in pairs if name != "seen")
        if query.head is not None:
            raise UsageError("the past does not change: there is no stream for one HEAD; leave out head")
        if open_streams >= MAX_STREAMS:
            return PlainTextResponse(f"{MAX_STREAMS} readers are connected already.\n", 503, {"Retry-After": "30"})
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        changes = Changes(page, query, request.query_params.get("seen", ""))

        async def stream() -> AsyncIterator[str]:
            nonlocal open_streams
            open_streams += 1
            try:
                spoken = monotonic()
                yield "retry: 3000\n\n"
                while not stopping():
                    said = await run_in_threadpool(changes.next)
                    if not said and monotonic() - spoken >= CLOCK_S:
                        clock = await run_in_threadpool(view.clock)
                        said = event("clock", {"now": clock.now, "rate": clock.rate})
                    if said:
                        spoken = monotonic()
                        yield said
                    await anyio.sleep(POLL_S)
            finally:
                open_streams -= 1

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def asset(request: Request) -> Response:
        name = request.path_params.get("name", "icon.svg")
        if name not in files:
            raise HTTPException(404)
        content, kind = files[name]
        return Response(content, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})

    def said(status: int, title: str, text: str) -> Response:
        return HTMLResponse(page.message(title, text), status)

    def no_such_address(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return said(status, "Nothing here", "There is one page, and it begins at the link below.")

    def refused(_: Request, error: Exception) -> Response:
        if isinstance(error, UsageError):
            return said(400, "The address makes no sense", str(error))
        if isinstance(error, DataError):
            return said(404, "Not on record", str(error))
        return said(503, "The records cannot be read", str(error))

    def defect(_: Request, __: Exception) -> Response:
        return said(500, "Defect", "The page met an error it does not know. The log of the server has the details.")

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/events", events),
            Route("/favicon.ico", asset),
            Route("/static/{name}", asset),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=500, compresslevel=6)],
        exception_handlers={HTTPException: no_such_address, LongtailError: refused, Exception: defect},
    )
    return Guard(app, hosts)  # around everything: the answer to a defect carries the headers too
