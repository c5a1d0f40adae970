"""An exchange through ccxt: public REST only, no keys, and the patience that ccxt does not have.

ccxt ignores ``Retry-After``, takes an HTML page with status 200 for an answer (rows of None, or no rows at all), and
sorts and filters rows in silence. Here every body must be JSON, waiting follows what the exchange asks for, and rows
are handed on as they came: :mod:`data.fetch` judges them.
"""

from __future__ import annotations

import difflib
import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from data.fetch import BAD_PAGE_TRIES, SETTLE_MS
from protocol.errors import ClusterError, UsageError

BACKOFF_S = 1.0
BACKOFF_MAX_S = 60.0
FIRST_CONTACT_TRIES = 3  # an address that never answered is more likely wrong than busy
PAGE_LIMIT = 100  # where ccxt does not know an exchange's own; hardly any gives less
TIMEOUT_MS = 20_000
CLOCK_WARNING_MS = 60_000
_PASSING_STATUS = frozenset({408, 418, 425, 429})  # the client errors that go away by waiting


@dataclass(slots=True)
class Traffic:
    """What talking to the exchange has cost so far."""

    answers: int = 0
    retries: int = 0
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and headers (lower case) of the last HTTP answer."""

    status: int
    headers: Mapping[str, str]


def seconds_to_wait(headers: Mapping[str, str], now: float) -> float:
    """Return what ``Retry-After`` asks for, in seconds; 0 when it is absent or unreadable.

    A date counts from the exchange's own ``Date`` where there is one, else from `now` (seconds since 1970).
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    until = _http_date(asked)
    if until is None:
        return 0.0
    return max(0.0, until - (_http_date(headers.get("date", "")) or now))


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def backoff(tries: int, chance: float) -> float:
    """Return seconds to wait after `tries` failures: doubling, at most a minute, spread by `chance` in [0, 1)."""
    return float(min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(tries - 1, 16)) * (0.5 + chance / 2))


def near(name: str, known: Iterable[str]) -> str:
    """Return a remedy that names up to three known spellings close to `name`."""
    plain = {"".join(filter(str.isalnum, word)).lower(): word for word in sorted(known, key=len, reverse=True)}
    matches = difflib.get_close_matches("".join(filter(str.isalnum, name)).lower(), plain, n=3, cutoff=0.6)
    return (
        f"did you mean {', '.join(plain[match] for match in matches)}?" if matches else "no known name is close to it"
    )


class Exchange:
    """One exchange. Not to be shared between threads; every call blocks until it has an answer or gives up.

    A call is tried again while the trouble can pass (rate limits, server errors, cut connections, bodies that are
    not JSON); one call waits at most `max_wait` seconds in total. Clock, sleep and randomness are arguments.

    Parameters
    ----------
    name : str
        ccxt exchange id.
    base_url : str or None
        Scheme, host and perhaps a path prefix in place of those of every REST address of the exchange (mirrors, tests).
    max_wait : float
        Seconds one call may spend waiting.
    say : callable
        Takes one line for people.
    throttle : bool
        Keep ccxt's own pace between requests.

    Raises
    ------
    UsageError
        Unknown exchange, or one without candles.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        max_wait: float = 300.0,
        say: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        throttle: bool = True,
    ) -> None:
        import ccxt  # takes seconds; only a fetch needs it

        if name not in ccxt.exchanges:
            raise UsageError(f"exchange {name!r} is not known to ccxt {ccxt.__version__}; {near(name, ccxt.exchanges)}")
        if not max_wait >= 0:
            raise UsageError(f"--max-wait {max_wait} is no number of seconds; write 0 or more")
        self._ccxt = ccxt
        self._client = getattr(ccxt, name)(
            {
                "enableRateLimit": throttle,
                "timeout": TIMEOUT_MS,
                "requests_trust_env": True,  # proxies and certificate authorities of the environment
                "on_rest_response": self._received,
            }
        )
        if self._client.has.get("fetchOHLCV") is not True:
            raise UsageError(f"exchange {name!r} offers no candles over public REST; choose another --exchange")
        if base_url is not None:
            self._client.urls["api"] = _moved(self._client.urls["api"], _checked_base(base_url))
        # Most classes share one parser, which sorts, drops and cuts rows; those with their own need it for the layout.
        if type(self._client).parse_ohlcvs is ccxt.Exchange.parse_ohlcvs:
            self._client.parse_ohlcvs = self._rows
        self.name = name
        self.traffic = Traffic()
        self._reply: Reply | None = None
        self._max_wait, self.say, self._sleep, self._clock, self._chance = max_wait, say, sleep, clock, chance

    def _rows(self, rows: Any, market: Any = None, *_: Any, **__: Any) -> list[Any]:
        return [self._client.parse_ohlcv(row, market) for row in rows]

    def _received(self, status: int, *args: Any) -> str:
        headers, body = args[3], str(args[4])  # after reason, address and method
        self.traffic.answers += 1
        self._reply = Reply(status, {key.lower(): value for key, value in headers.items()})
        if status < 400:
            try:
                json.loads(body)
            except ValueError as error:
                text = " ".join(body.split())[:60]
                raise self._ccxt.ExchangeNotAvailable(f"HTTP {status} whose body is no JSON: {text!r}") from error
        return body.strip()

    def check_timeframe(self, timeframe: str) -> None:
        """Refuse a timeframe the exchange does not have.

        Raises
        ------
        UsageError
            The message lists those it has.
        """
        known = self._client.timeframes or {}
        if timeframe not in known:
            raise UsageError(f"timeframe {timeframe!r} is not offered by {self.name}; it has {', '.join(known)}")

    def bases(self, symbols: Iterable[str]) -> dict[str, str]:
        """Load the markets and return the base asset of each symbol.

        Raises
        ------
        UsageError
            A symbol is not listed; near matches are named.
        ClusterError
            The exchange cannot be reached.
        """
        markets = self._call("its list of markets", self._client.load_markets)
        for symbol in symbols:
            if symbol not in markets:
                raise UsageError(f"symbol {symbol!r} is not listed on {self.name}; {near(symbol, markets)}")
        return {symbol: str(markets[symbol]["base"]) for symbol in symbols}

    def page_limit(self, symbol: str) -> int:
        """Return how many bars the exchange gives at most in one answer."""
        limit = self._client.feature_value(symbol, "fetchOHLCV", "limit", None)
        return int(limit) if limit else PAGE_LIMIT

    def clock_ms(self) -> int:
        """Return now in ms: the earlier of our clock and the exchange's, less the time a bar takes to settle.

        A bar that has not ended by then is not closed, so a clock that runs ahead cannot let an unfinished bar in.
        """
        theirs: list[float] = []
        if self._client.has.get("fetchTime") is True:
            told = self._call("its clock", self._client.fetch_time)
            theirs += [told] if isinstance(told, (int, float)) else []
        dated = _http_date(self._reply.headers.get("date", "")) if self._reply else None
        theirs += [dated * 1000] if dated is not None else []
        ours = self._clock() * 1000
        if theirs and abs(ours - min(theirs)) > CLOCK_WARNING_MS:
            ahead = (ours - min(theirs)) / 1000
            self.say(f"this machine's clock and that of {self.name} differ by {ahead:+.0f} s; the earlier one counts")
        return int(min([ours, *theirs])) - SETTLE_MS

    def page(self, symbol: str, timeframe: str, since: int, limit: int) -> object:
        """Return rows ``[time ms, open, high, low, close, volume]`` as they came, from about `since` (ms) on.

        Raises
        ------
        ClusterError
            No answer within the waiting time, or the exchange refuses.
        """
        return self._call(f"{symbol} bars", self._client.fetch_ohlcv, symbol, timeframe, since, limit)

    def pause(self, trouble: str, tries: int) -> None:
        """Wait before asking for a page again that was bad."""
        self.traffic.retries += 1
        self._wait(backoff(tries, self._chance()), trouble)

    def _wait(self, seconds: float, trouble: str) -> None:
        self.say(f"{self.name}: {trouble}; next try in {seconds:.0f} s")
        self.traffic.waited_s += seconds
        self._sleep(seconds)

    def _call(self, what: str, action: Callable[..., Any], *args: Any) -> Any:
        tries, waited = 0, 0.0
        while True:
            self._reply = None
            try:
                return action(*args)
            except self._ccxt.OperationFailed as error:
                trouble, cause = self._trouble(error), error
            except self._ccxt.BaseError as error:
                raise ClusterError(f"{self.name} refuses {what}: {self._trouble(error)}") from error
            except (TypeError, KeyError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
                trouble, cause = f"answer of an unknown layout ({type(error).__name__}: {error})"[:200], error
                if tries + 1 >= BAD_PAGE_TRIES:
                    raise ClusterError(
                        f"{self.name} did not give {what}: {trouble}; a newer ccxt may read it"
                    ) from error
            tries += 1
            status = self._reply.status if self._reply else None
            refused = status is not None and 400 <= status < 500 and status not in _PASSING_STATUS
            if refused and isinstance(cause, self._ccxt.ExchangeNotAvailable):
                raise ClusterError(
                    f"{self.name} refuses {what}: {trouble}; it may not serve this address or region: "
                    "try another --exchange or a mirror by --base-url"
                ) from cause
            if not self.traffic.answers and tries >= FIRST_CONTACT_TRIES:
                raise ClusterError(
                    f"{self.name} cannot be reached: {trouble}; check the network, proxy and --base-url"
                ) from cause
            asked = seconds_to_wait(self._reply.headers, self._clock()) if self._reply else 0.0
            delay = max(asked + self._chance(), backoff(tries, self._chance()))
            if waited + delay > self._max_wait:
                raise ClusterError(
                    f"{self.name} did not give {what}: {trouble}; it would take {waited + delay:.0f} s of waiting, "
                    f"--max-wait is {self._max_wait:.0f} s. Run the command again later: it continues where it stopped"
                ) from cause
            waited += delay
            self.traffic.retries += 1
            self._wait(delay, trouble)

    def _trouble(self, error: Exception) -> str:
        """Return one line about a failed call; ccxt's own text is often no more than the address."""
        text = " ".join(str(error).removeprefix(self.name).split())
        deeper = " ".join(str(error.__cause__).split()) if error.__cause__ else ""
        status = f"HTTP {self._reply.status}, " if self._reply and f"{self._reply.status}" not in text else ""
        return f"{status}{type(error).__name__} {text[:160]}{f' ({deeper[:160]})' if deeper else ''}"


def _checked_base(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"--base-url {url!r} is no web address; write for example http://127.0.0.1:8080")
    return url.rstrip("/")


def _moved(urls: Any, base: str) -> Any:
    """Return ccxt's addresses with scheme and host replaced by `base`, paths kept."""
    if isinstance(urls, dict):
        return {key: _moved(value, base) for key, value in urls.items()}
    if isinstance(urls, list):
        return [_moved(value, base) for value in urls]
    return base + urlsplit(urls).path if isinstance(urls, str) else urls
