from __future__ import annotations

import gzip
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboard.app import MAX_STREAMS, Changes, load_assets
from dashboard.guard import HEADERS
from dashboard.page import PARTS, Page
from dashboard.query import Query
from dashboard.sample import ORIGIN, SampleView
from dashboard.server import PageServer
from dashboard.view import Snapshot
from protocol.errors import ConfigError, DataError


class Stepped(SampleView):
    """The example on a clock that only moves when told, and that can fail."""

    def __init__(self) -> None:
        self.time = 0.0
        self.error: Exception | None = None
        super().__init__(clock=lambda: self.time)

    def snapshot(self, number: int | None = None) -> Snapshot:
        if self.error:
            raise self.error
        return super().snapshot(number)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        packed = self.headers["Content-Encoding"] == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()


VIEW = Stepped()


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    with PageServer(VIEW, port=0) as server:
        yield server


@pytest.fixture(autouse=True)
def healthy() -> None:
    VIEW.error = None


def connect(server: PageServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=30)


def ask(server: PageServer, target: str, method: str = "GET", **headers: str) -> Answer:
    connection = connect(server)
    connection.request(method, target, headers=headers)
    answer = connection.getresponse()
    done = Answer(answer.status, answer.headers, answer.read())
    connection.close()
    return done


def test_the_page_is_served_packed_and_guarded(server: PageServer) -> None:
    answer = ask(server, "/", **{"Accept-Encoding": "gzip"})
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "HEAD 2967760" in answer.text
    assert ask(server, "/").text == answer.text


@pytest.mark.parametrize("target", ["/", "/events?head=1", "/nowhere", "/?head=x", "/static/page.css", "/static/x"])
def test_every_answer_carries_the_policy(server: PageServer, target: str) -> None:
    for answer in (ask(server, target), ask(server, target, "POST"), ask(server, target, Host="evil.example")):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert answer.headers["Server"] is None


def test_a_defect_carries_the_policy_and_tells_nothing(server: PageServer) -> None:
    VIEW.error = RuntimeError("secret detail")
    answer = ask(server, "/")
    assert answer.status == 500
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:x", "", "127.0.0.2", "[::1"])
def test_foreign_hosts_are_refused(server: PageServer, host: str) -> None:
    assert ask(server, "/", Host=host).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8610", "LOCALHOST", "[::1]:80"])
def test_own_hosts_are_answered(server: PageServer, host: str) -> None:
    assert ask(server, "/", Host=host).status == 200


def test_the_page_is_read_only(server: PageServer) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        assert ask(server, "/", method).status == 405
    assert ask(server, "/", "HEAD").body == b""
    assert ask(server, "/events", "HEAD").status == 200


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/nowhere", 404, "one page"),
        ("/static/../app.py", 404, "one page"),
        ("/static/%2e%2e/app.py", 404, "one page"),
        ("/static/app.py", 404, "one page"),
        ("/?head=x", 400, "whole number"),
        ("/?head=1", 404, f"from {ORIGIN}"),
        ("/?head=999999999999", 404, "not on record"),
        ("/?x=%00", 400, "knows no"),
        ("/?text=%3Cscript%3E", 200, "No prediction fits"),
        ("/?span=eternity", 400, "choose one of"),
        ("/events?head=5", 400, "does not change"),
        ("/events?order=x", 400, "choose one of"),
        ("/?text=" + "a" * 3000, 414, "2048"),
    ],
)
def test_garbage_is_answered_in_words(server: PageServer, target: str, status: int, words: str) -> None:
    answer = ask(server, target)
    assert (answer.status, words in answer.text) == (status, True), answer.text[:400]
    assert "Traceback" not in answer.text
    assert "<script>" not in answer.text


def test_bytes_that_are_no_text_are_answered(server: PageServer) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=30) as line:
        line.sendall(b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert line.recv(64).startswith(b"HTTP/1.1 4")
    assert ask(server, "/?text=%ff%fe").status == 200


def test_a_store_that_cannot_be_read_is_said_and_recovered_from(server: PageServer) -> None:
    VIEW.error = ConfigError("the ledger is locked by process 12; wait or stop it")
    answer = ask(server, "/")
    assert (answer.status, "locked by process 12" in answer.text) == (503, True)
    VIEW.error = None
    assert ask(server, "/").status == 200


def test_static_files_are_named_by_content_and_kept(server: PageServer) -> None:
    page = ask(server, "/").text
    for name, (content, kind) in load_assets().items():
        (address,) = {part.split('"')[0] for part in page.split('"/static/')[1:] if part.startswith(name)}
        answer = ask(server, f"/static/{address}")
        assert answer.body == content
        assert answer.headers["Content-Type"].startswith(kind)
        assert "immutable" in answer.headers["Cache-Control"]
    assert ask(server, "/favicon.ico").headers["Content-Type"] == "image/svg+xml"


def told(text: str) -> tuple[str, dict[str, Any]]:
    name, data = text.strip().split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_changes_are_sent_once_and_only_what_changed() -> None:
    view = Stepped()
    page = Page(view, dict.fromkeys(load_assets(), "x"))
    fresh = Changes(page, Query(), seen="")
    assert set(told(fresh.next())[1]["parts"]) == set(PARTS)
    assert fresh.next() == ""

    changes = Changes(page, Query(), seen=view.version())
    assert told(changes.next())[1]["parts"] == {}
    view.time += 700
    name, data = told(changes.next())
    assert (name, data["version"]) == ("patch", view.version())
    assert {"status", "fund", "predictions", "models", "history"} <= set(data["parts"])
    assert "alerts" not in data["parts"]
    assert changes.next() == ""


def test_time_alone_raises_an_alert() -> None:
    view = Stepped()
    view._newest = lambda: ORIGIN + 9_000  # type: ignore[method-assign]  # the network makes no HEAD any more
    view.time = -1_000 * 600.0
    changes = Changes(Page(view, dict.fromkeys(load_assets(), "x")), Query(), seen=view.version())
    changes.next()
    view.time += 300
    assert changes.next() == ""
    view.time += 600
    parts = told(changes.next())[1]["parts"]
    assert "The HEAD is stale" in parts["alerts"]
    assert "predictions" not in parts


def test_trouble_is_said_once_and_ends_with_a_patch() -> None:
    view = Stepped()
    changes = Changes(Page(view, dict.fromkeys(load_assets(), "x")), Query(), seen=view.version())
    changes.next()
    view.error = DataError("the record of HEAD 5 is cut short")
    view.time += 600
    assert told(changes.next()) == ("trouble", {"text": "the record of HEAD 5 is cut short"})
    assert changes.next() == ""
    view.error = None
    assert told(changes.next())[0] == "patch"


def test_the_stream_speaks_and_has_an_end() -> None:
    with PageServer(SampleView(), port=0) as server:
        connection = connect(server)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Content-Encoding"] is None
        assert answer.readline() == b"retry: 3000\n"
        assert answer.readline() == b"\n"
        assert answer.readline() == b"event: patch\n"
        assert set(json.loads(answer.readline().removeprefix(b"data: "))["parts"]) == set(PARTS)
        server.close()
        assert answer.read() == b"\n"  # ended in order, not cut
        assert not server.alive
        connection.close()


def test_streams_are_counted_and_given_back() -> None:
    with PageServer(SampleView("empty"), port=0) as server:
        open_ones = []
        for _ in range(MAX_STREAMS):
            connection = connect(server)
            connection.request("GET", "/events")
            answer = connection.getresponse()
            answer.readline()
            open_ones.append((connection, answer))
        assert ask(server, "/events").status == 503
        assert ask(server, "/").status == 200
        for connection, answer in open_ones:
            answer.close()
            connection.close()
        status = 503
        while status == 503:  # a stream notices within a second that nobody listens
            connection = connect(server)
            connection.request("GET", "/events")
            answer = connection.getresponse()
            status = answer.status
            answer.close()
            connection.close()
        assert status == 200


def test_a_taken_port_is_said(server: PageServer) -> None:
    with pytest.raises(ConfigError, match="choose another --port"):
        PageServer(VIEW, port=urlsplit(server.url).port or 0)


def test_the_example_prints_its_address_and_stops_when_told() -> None:
    command = [sys.executable, "-m", "dashboard.example", "--port", "0", "--state", "empty"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = urlsplit(process.stdout.readline().strip())
        connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=30)
        connection.request("GET", "/events")
        assert connection.getresponse().readline()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        connection.close()
