"""A proxy in front of a node that drops, delays and duplicates what is asked and answered, by a seeded die."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What happens to a question: three of four pass unharmed.
HARM = ("lost", "unanswered", "late", "twice", "answered twice", "nonsense")


class Unreliable:
    """The proxy, on a port of its own."""

    def __init__(self, port: int, seed: int, rate: float = 0.25) -> None:
        self.port, self.rate, self.die, self.seen = port, rate, random.Random(seed), Counter[str]()
        self._lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Asked)
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def fate(self) -> str:
        with self._lock:
            found = self.die.choice(HARM) if self.die.random() < self.rate else "fine"
            self.seen[found] += 1
            return found

    def ask(self, body: bytes) -> bytes:
        line = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            line.request("POST", "/", body, {"Content-Type": "application/json"})
            return line.getresponse().read()
        finally:
            line.close()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Unreliable


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body, proxy = self.rfile.read(int(self.headers["Content-Length"])), self.server.proxy
        fate = proxy.fate()
        if fate == "lost":
            self.close_connection = True
            return
        if fate == "late":
            time.sleep(0.3)
        try:
            if fate == "twice":
                proxy.ask(body)
            answer = proxy.ask(body)
        except OSError:
            self.close_connection = True
            return
        if fate == "unanswered":
            self.close_connection = True
            return
        if fate == "nonsense":
            answer = b"<html>busy</html>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
        self.wfile.write((head + answer) * (2 if fate == "answered twice" else 1))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
