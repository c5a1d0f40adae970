"""Asking a service that is slow, endless, talkative, rude or not there: it ends in time, in one message."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.fetching import get_json
from protocol.errors import ClusterError, ConfigError, DataError, LongtailError

Answer = Callable[[BaseHTTPRequestHandler], None]


class Service(ThreadingHTTPServer):
    """Answers whatever a test wants it to; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.answer: Answer = said(b"{}")
        self.asked: list[str] = []
        self.leave = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients who left."""


class Asked(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.answer(self)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def said(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def drip(first: bytes, piece: bytes) -> Answer:
    """Answer a piece every few milliseconds for as long as somebody listens."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(first)
        server: Any = request.server
        while not server.leave.wait(0.01):
            request.wfile.write(piece)

    return answer


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.leave.set()
        server.shutdown()
        thread.join()


def get(base: str, path: str = "/v1/x", *, limit: int = 1_000, timeout: float = 20, **query: str | int) -> Any:
    return get_json(base, path, query, limit_bytes=limit, timeout_s=timeout)


def test_an_object_comes_back_and_the_question_arrives_whole(service: Service) -> None:
    service.answer = said('{"a": [1, 2.5, "é", null]}'.encode())
    assert get(service.url, address="0xé &=", period=7) == {"a": [1, 2.5, "é", None]}
    assert get(f"{service.url}/fund/") == get(f"{service.url}/fund")
    assert service.asked == ["/v1/x?address=0x%C3%A9+%26%3D&period=7", "/fund/v1/x", "/fund/v1/x"]


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(service: Service) -> None:
    body = b'{"a":"' + b"x" * 100 + b'"}'
    for headers in ({}, {"Content_Length": ""}):
        service.answer = said(body, **headers)
        assert get(service.url, limit=len(body))
        with pytest.raises(DataError, match=f"more than {len(body) - 1} bytes"):
            get(service.url, limit=len(body) - 1)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    ],
    ids=["silence", "headers", "a header", "a body", "chunks", "until it closes"],
)
def test_whatever_drips_ends_at_the_deadline(service: Service, first: bytes, piece: bytes) -> None:
    """Each byte comes in time; all together never would."""
    service.answer = drip(first, piece)
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:\d+/v1/x: .*; see that it runs there"):
        get(service.url, timeout=0.3)
    assert time.monotonic() - began < 15  # without the deadline it would never end


def test_an_endless_body_is_left_at_the_limit(service: Service) -> None:
    service.answer = drip(b"HTTP/1.1 200 OK\r\n\r\n{", b" " * 100_000)
    with pytest.raises(DataError, match="more than 100000 bytes"):
        get(service.url, limit=100_000, timeout=600)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1} {}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b"[" * 100_000,
        '{"a": 1}'.encode("utf-16"),
    ],
    ids=lambda body: body[:12],
)
def test_what_is_no_json_object_is_refused(service: Service, body: bytes) -> None:
    service.answer = said(body)
    with pytest.raises(DataError, match=r"answers with no JSON object: .*check that this is the right address"):
        get(service.url, limit=1_000_000)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no HEAD of period 7"}', "answers 404: no HEAD of period 7"),
        (b'{"error": "red \\u001b[31m\\ud800 end"}', r"answers 404: red  \[31m  end"),
        (b'{"error": "' + b"x" * 900 + b'"}', "x" * 300 + "$"),
        (b"<html>", "answers 404: it does not say why"),
        (b"[]", "it does not say why"),
        (b"{}", "it does not say why"),
        (b"", "it does not say why"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_service(service: Service, body: bytes, words: str) -> None:
    service.answer = said(body, 404)
    with pytest.raises(ClusterError, match=words) as caught:
        get(service.url)
    assert str(caught.value).isprintable()


def test_a_redirect_is_told_and_not_followed(service: Service) -> None:
    for place in (f"{service.url}/elsewhere", "file:///etc/passwd", ""):
        service.answer = said(b"{}", 302, Location=place)
        with pytest.raises(ClusterError, match=f"sends elsewhere, to {place or 'nowhere'}; name the address"):
            get(service.url)
    assert set(service.asked) == {"/v1/x"}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n{}",
    ],
    ids=["nothing", "no HTTP", "cut off", "cut chunk", "bad chunk", "many headers", "long header"],
)
def test_an_answer_that_is_broken_is_trouble_of_the_network(service: Service, answer: bytes) -> None:
    service.answer = lambda request: (request.wfile.write(answer), None)[1]
    with pytest.raises(ClusterError, match=r"http://127\.0\.0\.1:\d+/v1/x"):
        get(service.url)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"http://127\.0\.0\.1:{port}/v1/x: Connection refused; see"):
        get(f"http://127.0.0.1:{port}")
    with pytest.raises(ClusterError, match=r"no answer from http://nobody\.invalid/v1/x"):
        get("http://nobody.invalid")


def test_a_service_that_does_not_speak_tls(service: Service) -> None:
    with pytest.raises(ClusterError, match="no answer from https://"):
        get(service.url.replace("http:", "https:"), timeout=5)


@pytest.mark.parametrize(
    "base",
    [
        "",
        "127.0.0.1:8611",
        "file:///etc/passwd",
        "ftp://127.0.0.1",
        "http://",
        "http://user:word@127.0.0.1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://127.0.0.1?x=1",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://[::1",
        "http://ex\u00e4mple",
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(base: str) -> None:
    with pytest.raises(ConfigError, match="write http://HOST:PORT or https://HOST"):
        get(base)


def test_no_proxy_is_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get(service.url) == {}
    assert urlsplit(service.url).hostname == "127.0.0.1"


def test_every_failure_has_a_family(service: Service) -> None:
    service.answer = said(b"", 503)
    with pytest.raises(LongtailError) as caught:
        get(service.url)
    assert caught.value.exit_code == 4
