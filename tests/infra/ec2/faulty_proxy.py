"""A proxy in front of a simulated AWS that fails as AWS and networks do: throttled, half-filled, lossy, slow."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Headers = dict[str, str]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Headers = field(default_factory=lambda: {"Content-Type": "text/xml"})


@dataclass
class Call:
    """One request on its way: `forward` sends it on, with whatever a fault made of it."""

    action: str
    fields: dict[str, str]
    forward: Callable[[dict[str, str] | None], Answer]


#: What a fault makes of a call; None closes the connection without an answer.
Fault = Callable[[Call], Answer | None]


def refuse(code: str, words: str = "made up", status: int = 400) -> Fault:
    xml = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors>"
        f"<Error><Code>{code}</Code><Message>{words}</Message></Error></Response>"
    )
    json_type = {"Content-Type": "application/x-amz-json-1.1"}

    def fault(call: Call) -> Answer:
        if call.fields:
            return Answer(status, xml.encode())
        return Answer(status, json.dumps({"__type": code, "message": words}).encode(), json_type)

    return fault


def throttle() -> Fault:
    return refuse("RequestLimitExceeded", "Request limit exceeded.", 503)


def break_down() -> Fault:
    return refuse("InternalError", "An internal error has occurred", 500)


def drop() -> Fault:
    """The request never arrives."""
    return lambda call: None


def lose() -> Fault:
    """It is carried out, and the answer does not arrive."""

    def fault(call: Call) -> None:
        call.forward(None)

    return fault


def slow(seconds: float) -> Fault:
    def fault(call: Call) -> Answer:
        time.sleep(seconds)
        return call.forward(None)

    return fault


def fleet_errors(code: str, words: str, market: str = "spot") -> str:
    return (
        f"<errorSet><item><errorCode>{code}</errorCode><errorMessage>{words}</errorMessage><lifecycle>{market}</lifecycle></item>"
        "</errorSet>"
    )


def no_capacity(code: str = "InsufficientInstanceCapacity", words: str = "no capacity there") -> Fault:
    """A fleet that starts nothing."""
    return partial(0, code, words)


def partial(number: int, code: str = "InsufficientInstanceCapacity", words: str = "no more capacity there") -> Fault:
    """A fleet that starts at most so many of what is asked, and says why."""

    def fault(call: Call) -> Answer:
        errors = fleet_errors(code, words)
        if number == 0:
            xml = f"<CreateFleetResponse><fleetId>fleet-0</fleetId>{errors}<fleetInstanceSet/></CreateFleetResponse>"
            return Answer(200, xml.encode())
        fields = dict(call.fields)
        total, prefix = 0, "TargetCapacitySpecification"
        for name in (f"{prefix}.SpotTargetCapacity", f"{prefix}.OnDemandTargetCapacity"):
            fields[name] = str(min(int(fields[name]), number - total))
            total += int(fields[name])
        fields[f"{prefix}.TotalTargetCapacity"] = str(total)
        answer = call.forward(fields)
        body = answer.body.decode().replace("</CreateFleetResponse>", f"{errors}</CreateFleetResponse>")
        return Answer(answer.status, body.encode(), answer.headers)

    return fault


class FaultyProxy:
    """Passes requests on to `backend`; faults that were queued for an action befall its next calls, one each."""

    def __init__(self, backend: str) -> None:
        self.calls: list[Call] = []
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._lock = threading.Lock()
        parts = urlsplit(backend)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, parts.hostname or "", parts.port or 80))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def will(self, action: str, *faults: Fault) -> None:
        """Queue faults for the next calls of an action; ``*`` stands for all actions."""
        with self._lock:
            self._faults[action] += faults

    def fault_for(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls.append(call)
            for queue in (self._faults[call.action], self._faults["*"]):
                if queue:
                    return queue.pop(0)
        return None

    def reset(self) -> None:
        """Forget calls and faults."""
        with self._lock:
            self.calls.clear()
            self._faults.clear()

    def count(self, action: str) -> int:
        return sum(call.action == action for call in self.calls)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(proxy: FaultyProxy, host: str, port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = self.headers.get("Content-Type", "")
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True)) if "urlencoded" in kind else {}
            target = re.sub(r".*\.", "", self.headers.get("X-Amz-Target", ""))

            def forward(changed: dict[str, str] | None) -> Answer:
                sent = urlencode(changed).encode() if changed is not None else body
                headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
                connection = http.client.HTTPConnection(host, port, timeout=60)
                try:
                    connection.request(self.command, self.path, sent, {**headers, "Content-Length": str(len(sent))})
                    answer = connection.getresponse()
                    kept = {"Content-Type": answer.headers.get("Content-Type", "text/xml")}
                    kept |= {name: value for name, value in answer.headers.items() if name.lower().startswith("x-amz-")}
                    return Answer(answer.status, answer.read(), kept)
                finally:
                    connection.close()

            call = Call(fields.get("Action", target), fields, forward)
            fault = proxy.fault_for(call)
            answer = fault(call) if fault else forward(None)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve  # noqa: N815  # the names that http.server looks for

    return Handler
