"""A loopback exchange that speaks Binance's and Kraken's public REST, and misbehaves on request.

Every bar is a function of symbol and time, so what must come out is known without the server. Its clock stands still
unless a test moves it. ``script`` holds one misbehaviour per candle request, taken from the left; ``other`` one
per other request; None, or an empty script, means an honest answer.
"""

from __future__ import annotations

import json
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOUR = 3_600_000
NOW = 1_718_000_000_000 // HOUR * HOUR + 25 * 60_000  # twenty-five minutes into a running hour
MINUTES = {"1m": 1, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}
PAIRS = {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT"), "OBSCUREUSDT": ("OBSCURE", "USDT")}
KRAKEN = {"XXBTZUSD": ("XXBT", "ZUSD", "BTC/USD"), "XETHZUSD": ("XETH", "ZUSD", "ETH/USD")}
KRAKEN_WINDOW = 720

WAITING = ("429", "429-date", "418", "503")  # rate limits and outages
BROKEN = ("html", "cut", "torn")  # bodies that are no JSON
WRONG = ("conflict", "null", "nan", "high-low", "negative", "stale", "off-grid", "no-time", "object")  # must not enter
HARMLESS = ("duplicate", "shuffle", "short")  # can be put right without another request about the same bars
LOSSY = ("gap", "empty")  # indistinguishable from the truth in one answer
FAULTS = WAITING + BROKEN + WRONG + HARMLESS + LOSSY


@cache
def bar(symbol: str, time: int, *, closed: bool = True) -> tuple[Any, ...]:
    """The bar of one hour as numbers; a running bar has other values than the closed one will have."""
    draw = random.Random(f"{symbol} {time} {closed}")
    open_, close = (round(draw.uniform(90, 110), 2) for _ in range(2))
    high, low = round(max(open_, close) + draw.random(), 2), round(min(open_, close) - draw.random(), 2)
    return time, open_, high, low, close, round(draw.uniform(0, 50), 3)


PAGE_FAULTS: dict[str, Callable[[list[Any], int], Any]] = {
    "gap": lambda rows, victim: rows[:victim] + rows[victim + 2 :],
    "empty": lambda rows, victim: [],
    "short": lambda rows, victim: rows[: max(1, len(rows) // 2)],
    "duplicate": lambda rows, victim: rows[: victim + 1] + rows[max(0, victim - 2) :],
    "conflict": lambda rows, victim: rows + [[row[0], *(2 * v for v in row[1:])] for row in rows[victim : victim + 1]],
    "shuffle": lambda rows, victim: random.Random(victim).sample(rows, len(rows)),
    "object": lambda rows, victim: {"code": 0, "rows": None},
}
ROW_FAULTS: dict[str, Callable[[list[Any], int], list[Any]]] = {
    "null": lambda row, step: [*row[:4], None, row[5]],
    "nan": lambda row, step: [*row[:2], "NaN", *row[3:]],
    "high-low": lambda row, step: [row[0], row[1], row[3], row[2], *row[4:]],
    "negative": lambda row, step: [*row[:5], -1.0],
    "off-grid": lambda row, step: [row[0] + step // 3, *row[1:]],
    "no-time": lambda row, step: [None, *row[1:]],
}


class ExchangeServer:
    """Context manager; `url` is its address while it runs."""

    def __init__(self, script: Iterable[str | None] = (), other: Iterable[str | None] = ()) -> None:
        self.script: deque[str | None] = deque(script)
        self.other: deque[str | None] = deque(other)
        self.now = NOW
        self.listed = 0  # no bars before
        self.holes: set[int] = set()  # bars that do not exist
        self.always: str | None = None  # a misbehaviour of every candle request
        self.page_limit = 1000  # what klines gives at most, whatever is documented
        self.candle_requests: list[int] = []  # start (ms) of each
        self.requests = 0
        self.lock = threading.Lock()
        self._last_rows: dict[str, list[Any]] = {}

    def __enter__(self) -> ExchangeServer:
        handler = type("Handler", (_Handler,), {"exchange": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def rows(self, symbol: str, step: int, start: int, limit: int) -> list[list[Any]]:
        """Honest rows from the first bar at or after `start`; the running bar is the last that exists."""
        time = -(-max(start, self.listed) // step) * step
        found = []
        while time <= self.now and len(found) < limit:
            if time not in self.holes:
                found.append(list(bar(symbol, time, closed=time + step <= self.now)))
            time += step
        return found

    def spoilt(self, rows: list[list[Any]], fault: str | None, step: int, series: str) -> Any:
        """Rows with one misbehaviour; which row suffers changes from request to request."""
        before, self._last_rows[series] = self._last_rows.get(series, []), rows
        victim = len(self.candle_requests) * 7 % max(len(rows) - 1, 1)
        if fault == "stale":
            return before or rows
        if fault in PAGE_FAULTS:
            return PAGE_FAULTS[fault](rows, victim)
        if fault in ROW_FAULTS and rows:
            return [*rows[:victim], ROW_FAULTS[fault](rows[victim], step), *rows[victim + 1 :]]
        return rows


class _Handler(BaseHTTPRequestHandler):
    exchange: ExchangeServer

    def log_message(self, *_: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.exchange.now / 1000 if timestamp is None else timestamp, usegmt=True)

    def do_GET(self) -> None:
        exchange, address = self.exchange, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        candles = address.path.endswith(("/klines", "/OHLC"))
        with exchange.lock:
            exchange.requests += 1
            script = exchange.script if candles else exchange.other
            fault = script.popleft() if script else exchange.always if candles else None
            if fault in WAITING:
                if candles:
                    exchange.candle_requests.append(-1)
                return self._refuse(str(fault))
            answer = self._candles(address.path, query, fault) if candles else self._other(address.path)
        if answer is None:
            return self._send(404, b'{"code": -1, "msg": "no such address"}')
        body = json.dumps(answer).encode()
        match fault:
            case "html":
                return self._send(200, b"<html><body>Checking your browser</body></html>", kind="text/html")
            case "cut":
                return self._send(200, body[: len(body) // 2], length=len(body))
            case "torn":
                return self._send(200, body[: len(body) // 2])
        self._send(200, body)
        return None

    def _refuse(self, fault: str) -> None:
        headers = {"429": {"Retry-After": "7"}, "418": {"Retry-After": "120"}}.get(fault, {})
        if fault == "429-date":
            headers = {"Retry-After": formatdate(self.exchange.now / 1000 + 30, usegmt=True)}
        self._send(int(fault[:3]), b'{"code": -1003, "msg": "Too many requests."}', headers=headers)

    def _candles(self, path: str, query: dict[str, str], fault: str | None) -> Any:
        exchange = self.exchange
        if path == "/api/v3/klines":
            step, start = MINUTES[query["interval"]] * 60_000, int(query.get("startTime", 0))
            limit = min(int(query.get("limit", 500)), exchange.page_limit)
            exchange.candle_requests.append(start)
            honest = exchange.rows(query["symbol"], step, start, limit)
            rows = exchange.spoilt(honest, fault, step, query["symbol"])
            if not isinstance(rows, list):
                return rows
            texts = [[time, *(v if v is None else str(v) for v in values)] for time, *values in rows]
            return [[*row, (row[0] or 0) + step - 1, "0", 0, "0", "0", "0"] for row in texts]
        step, start = int(query.get("interval", "1")) * 60_000, int(query.get("since", "0")) * 1000
        exchange.candle_requests.append(start)
        oldest = (exchange.now // step - KRAKEN_WINDOW + 1) * step
        honest = exchange.rows(query["pair"], step, max(start + 1, oldest), KRAKEN_WINDOW)
        rows = exchange.spoilt(honest, fault, step, query["pair"])
        if not isinstance(rows, list):
            return {"error": [], "result": rows}
        seconds = [
            [None if r[0] is None else r[0] // 1000, *map(_text, r[1:5]), _text(r[4]), _text(r[5]), 3] for r in rows
        ]
        return {"error": [], "result": {query["pair"]: seconds, "last": seconds[-1][0] if seconds else 0}}

    def _other(self, path: str) -> Any:
        now = self.exchange.now
        spot = [
            {"symbol": name, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": []}
            for name, (base, quote) in PAIRS.items()
        ]
        pairs = {
            name: {
                **{"altname": name, "wsname": wsname, "base": base, "quote": quote, "status": "online"},
                **{"pair_decimals": 1, "lot_decimals": 8, "leverage_buy": [], "fees": [], "fees_maker": []},
            }
            for name, (base, quote, wsname) in KRAKEN.items()
        }
        assets = {part for base, quote, _ in KRAKEN.values() for part in (base, quote)}
        return {
            "/api/v3/exchangeInfo": {"symbols": spot},
            "/fapi/v1/exchangeInfo": {"symbols": []},
            "/dapi/v1/exchangeInfo": {"symbols": []},
            "/api/v3/time": {"serverTime": now},
            "/0/public/AssetPairs": {"error": [], "result": pairs},
            "/0/public/Assets": {
                "error": [],
                "result": {name: {"altname": name, "decimals": 8, "status": "enabled"} for name in assets},
            },
            "/0/public/Time": {"error": [], "result": {"unixtime": now // 1000}},
        }.get(path)

    def _send(
        self,
        status: int,
        body: bytes,
        *,
        kind: str = "application/json",
        length: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


def _text(value: Any) -> Any:
    return value if value is None else str(value)
