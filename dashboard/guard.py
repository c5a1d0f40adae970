"""Who may ask, what for, and what every answer says about itself."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MAX_TARGET = 2_048  # bytes of path and query


class Guard:
    """Wraps an application: only GET and HEAD, only known hosts, security headers on every answer, errors included.

    A foreign ``Host`` is how a web site reaches a loopback service through its own name (DNS rebinding); it is refused
    whatever the path.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, stamped)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        asked = Headers(scope=scope).getlist("host")
        if len(asked) != 1 or _without_port(asked[0]) not in self.hosts:
            return PlainTextResponse("This page answers only under its own names; see --allow-host.\n", 421)
        if scope["method"] not in {"GET", "HEAD"}:
            return PlainTextResponse("This page is read-only.\n", 405, {"Allow": "GET, HEAD"})
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MAX_TARGET:
            return PlainTextResponse(f"An address has at most {MAX_TARGET} bytes.\n", 414)
        return None


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
