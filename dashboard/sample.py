"""An example network that exists nowhere: the same figures for the same period, for trying and testing the page."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from dashboard.view import (
    Alert,
    Buyback,
    Clock,
    Earning,
    Fund,
    Head,
    Model,
    Order,
    PastHead,
    Position,
    Prediction,
    Rewards,
    Snapshot,
    Token,
)
from protocol.errors import DataError
from protocol.head.schedule import PERIOD_S

State = Literal["ordinary", "empty", "one", "alert", "large"]
STATES: tuple[State, ...] = get_args(State)
ORIGIN = 2_957_760  # first period of the example, 2026-03-27
HISTORY = 10_000  # periods on record when the clock starts
START_S = (ORIGIN + HISTORY) * PERIOD_S + 134.0
STEPS = 60_000  # periods the example can tell of
DAY = 144
WEI = 10**18
SECTORS = {
    "layer1": "BTC ETH SOL AVAX NEAR ADA DOT ATOM",
    "defi": "UNI AAVE LINK MKR CRV LDO",
    "infrastructure": "FIL RNDR GRT AR",
    "memes": "DOGE PEPE WIF BONK",
}
BROKERS = ("binanceusdm", "hyperliquid")
TOPIC = "perpetuals-24h"


def _hash(*words: object) -> str:
    return hashlib.sha256("/".join(map(str, ("example", *words))).encode()).hexdigest()


def _address(*words: object) -> str:
    return "0x" + _hash(*words)[:40]


class SampleView:
    """A view of the example, by default on a clock that starts in the middle of a period.

    Parameters
    ----------
    state : str
        One of ``STATES``; ``large`` has 200 predictions, 200 models and 200 orders.
    clock : callable
        Returns seconds; only differences count.
    rate : float
        Seconds of the network in one of `clock`.
    """

    def __init__(
        self, state: State = "ordinary", clock: Callable[[], float] = time.monotonic, rate: float = 1.0
    ) -> None:
        self.state, self._clock, self._rate, self._begin = state, clock, rate, clock()

    def clock(self) -> Clock:
        """Return the example's own time."""
        late = 47 * 60 if self.state == "alert" else 0
        return Clock(START_S + late + (self._clock() - self._begin) * self._rate, self._rate)

    def _newest(self) -> int:
        if self.state == "alert":
            return ORIGIN + HISTORY
        return min(ORIGIN + STEPS - 1, int(self.clock().now) // PERIOD_S)

    def version(self) -> str:
        """Return the newest period as text."""
        return f"{self.state}-{self._newest()}"

    def snapshot(self, number: int | None = None) -> Snapshot:
        """Return the example at a period."""
        if self.state == "empty":
            if number is not None:
                raise DataError(f"HEAD {number} is not on record: there is no HEAD yet")
            return Snapshot("Example network", alerts=(_EXAMPLE,))
        newest = self._newest()
        number = newest if number is None else number
        if not ORIGIN <= number <= newest:
            raise DataError(f"HEAD {number} is not on record; the record goes from {ORIGIN} to {newest}")
        return _snapshot(self.state, number, newest)


_EXAMPLE = Alert("info", "Example data", "Nothing on this page happened; it shows how the page looks.")
_LIMITS = (
    Alert(
        "warning", "Sector limit hit", "layer1 wanted 43.1 % of NAV and was held at 35 %. The rest stays in cash.", None
    ),
    Alert(
        "warning",
        "Trading halted",
        "WIF on hyperliquid has had no bar for 3 h; its position is marked at the last good price.",
    ),
)


def _missed(number: int) -> bool:
    return number % 97 == 41 or number % 1009 in range(500, 506)


@lru_cache(maxsize=1)
def _walks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    market = rng.standard_t(5, STEPS) * 0.0016 + 0.000004
    fund = 0.35 * market + rng.standard_t(6, STEPS) * 0.0009 + 0.000022
    token = rng.standard_t(5, STEPS) * 0.0021 + 0.00005
    return tuple(np.exp(np.cumsum(steps)) for steps in (fund, market, token))  # type: ignore[return-value]  # three


def _universe(state: State) -> list[tuple[str, str, str]]:
    if state == "large":
        names = [f"{chr(65 + i % 26)}{chr(65 + i * 7 % 26)}{chr(65 + i * 11 % 26)}{i % 10}" for i in range(100)]
        return [(list(SECTORS)[i % 4], broker, f"{n}/USDT:USDT") for i, n in enumerate(names) for broker in BROKERS]
    rows = [(sector, name) for sector, names in SECTORS.items() for name in names.split()]
    return [(sector, BROKERS[i % 5 == 4], f"{name}/USDT:USDT") for i, (sector, name) in enumerate(rows)]


def _models(state: State, number: int) -> list[Model]:
    count = {"one": 1, "large": 200}.get(state, 9)
    rng = np.random.default_rng([11, number])
    evidence = np.linspace(7.1, -1.6, count) + rng.normal(0, 0.12, count)
    raw = np.where(evidence > 6, 1.0, np.clip((evidence + 3) / 9, 0, 1)) * np.exp(
        -np.arange(count) / (3 if count < 20 else 60)
    )
    absent = {6} if state == "alert" else set()
    raw[list(absent)] = 0
    raw /= raw.sum()
    return [
        Model(
            _hash("block", i),
            TOPIC,
            "absent" if i in absent else "crowned" if evidence[i] > 6 or count == 1 else "provisional",
            _address("miner", i % 5),
            float(evidence[i]),
            -3.0,
            6.0,
            float(raw[i]),
            (ORIGIN - 800 + 217 * (i % 40)) * PERIOD_S,
            int((number - ORIGIN) * raw[i] * 40) * WEI // 100 + int(rng.integers(WEI)),
            "killed after 20 s of CPU" if i in absent else "",
        )
        for i in range(count)
    ]


def _predictions(state: State, number: int, models: list[Model]) -> tuple[Prediction, ...]:
    rng = np.random.default_rng([13, number])
    speakers = [model for model in models if model.role != "absent"][:6]
    rows = []
    for sector, broker, symbol in _universe(state):
        value, width = float(rng.normal(0, 0.7)), float(rng.uniform(0.25, 0.8))
        shares = rng.dirichlet(np.array([8 * model.weight + 0.4 for model in speakers]))
        named = sorted(zip((m.block for m in speakers), shares.tolist(), strict=True), key=lambda one: -one[1])
        bar = (number * PERIOD_S // 3600 - 1) * 3600
        interval = value - width, value + width * float(rng.uniform(0.8, 1.2))
        rows.append(Prediction(TOPIC, sector, broker, symbol, "ohlcv-1h", bar, 24, value, *interval, tuple(named)))
    return tuple(rows)


def _fund(state: State, number: int, predictions: tuple[Prediction, ...]) -> Fund:
    size = number - ORIGIN + 1
    first = max(0, size - HISTORY)
    nav, market, _ = (walk[first:size] for walk in _walks())
    times = np.arange(ORIGIN + first, number + 1, dtype=np.int64) * PERIOD_S
    rng = np.random.default_rng([17, number])
    cents = int(nav[-1] * 100_000_000)
    gross = sum(abs(one.value) for one in predictions) or 1
    positions: list[Position] = []
    orders: list[Order] = []
    for one in predictions if state == "large" else predictions[::2]:
        price = float(np.exp(rng.normal(2, 3)))
        target = one.value / gross * 1.2
        weight = target * float(rng.uniform(0.8, 1.05))
        value = int(weight * cents)
        positions.append(
            Position(
                one.broker,
                one.sector,
                one.symbol,
                value / 100 / price,
                price,
                value,
                weight,
                target,
                int(value * rng.normal(0.004, 0.03)),
            )
        )
        trade = (target - weight) * cents / 100 / price
        done, reason = ("partial", "5 % of the bar's volume") if rng.random() < 0.12 else ("filled", "")
        filled = trade * (0.62 if done == "partial" else 1)
        orders.append(
            Order(
                number * PERIOD_S - 3_600 * (len(orders) % 7),
                one.broker,
                one.symbol,
                "buy" if trade > 0 else "sell",
                abs(trade),
                abs(filled),
                price,
                int(abs(filled) * price * 0.05),
                int(abs(filled) * price * 0.02),
                done,  # type: ignore[arg-type]  # one of two literals
                reason,
            )
        )
    positions.sort(key=lambda one: -abs(one.value))
    orders.sort(key=lambda one: -one.at)
    held = sum(one.value for one in positions)
    return Fund(
        "USD",
        times,
        nav,
        market,
        np.exp(np.arange(first, size) * 7e-7),
        cents,
        cents - held,
        float(_walks()[0][:size].max()),
        sum(abs(one.weight) for one in positions),
        held / cents,
        0.113,
        0.537,
        int(cents * 0.006),
        tuple(positions),
        tuple(orders),
    )


def _token(number: int, fund: Fund) -> Token:
    size = number - ORIGIN + 1
    price = _walks()[2][:size] * 0.24
    sums = np.concatenate([np.zeros(1), np.cumsum(price)])
    begin = np.maximum(0, np.arange(size) - DAY + 1)
    twap = (sums[1:] - sums[begin]) / (np.arange(size) + 1 - begin)
    last, first = float(price[-1]), max(0, size - HISTORY)
    tokens = int(4_200_000 / last**0.5) * WEI
    buybacks = [
        Buyback(
            i * PERIOD_S,
            int(90_000 + i % 7 * 4_321),
            int(900 / last) * WEI,
            int(90 / last) * WEI,
            float(price[i - ORIGIN]),
        )
        for i in range(number, max(ORIGIN, number - 12 * 36), -36)
    ]
    supply = (21_000_000 + size * 50) * WEI
    return Token(
        "USD",
        fund.times,
        price[first:],
        twap[first:],
        tokens,
        int(tokens / WEI * last * 100),
        supply,
        100_000_000 * WEI,
        size * 3 * WEI,
        size * 2 * WEI,
        int(fund.nav_cents * 0.41),
        731 * WEI,
        tuple(buybacks),
    )


def _rewards(models: list[Model], token: Token) -> Rewards:
    emission, buyback = 50 * WEI, token.buybacks[0].bought // 36 if token.buybacks else 0
    pot, heard = emission + buyback, [model for model in models if model.role != "absent"]
    rows = [(m.owner, int(pot * 0.6 * m.weight), f"inference of {m.block[:8]}") for m in heard]
    rows += [
        (_address("forecaster", i), pot // 20, f"forecast of losses, {kind}")
        for i, kind in enumerate(("decay", "ridge"))
    ]
    rows += [(_address("validator", i), pot // 12, "losses reported") for i in range(3)]
    earnings = [Earning(account, TOPIC, amount, why) for account, amount, why in rows if amount]
    earnings.sort(key=lambda one: -one.amount)
    paid = sum(one.amount for one in earnings)
    return Rewards(emission, buyback, paid, pot - paid, tuple(earnings))


@lru_cache(maxsize=8)
def _snapshot(state: State, number: int, newest: int) -> Snapshot:
    pending = state == "alert" and number == newest
    past = tuple(
        PastHead(i, "missed")
        if _missed(i)
        else PastHead(
            i, "pending" if pending and i == number else "signed", len(_universe(state)), 8, 63 * WEI, _hash("head", i)
        )
        for i in range(number, max(ORIGIN, number - DAY) - 1, -1)
    )
    alerts = (_EXAMPLE, *(_LIMITS if pending else ()))
    models = _models(state, number)
    predictions = _predictions(state, number, models)
    fund = _fund(state, number, predictions)
    token = _token(number, fund)
    if _missed(number):
        return Snapshot("Example network", number, None, ORIGIN, newest, (), (), fund, token, None, past, alerts)
    stake = 900_000 * WEI
    roots = (_hash(word, number) for word in ("data", "predictions", "models", "rewards"))
    head = Head(
        number,
        number * PERIOD_S + 21,
        "pending" if pending else "signed",
        stake * 41 // 100 if pending else stake,
        stake,
        (_address("validator", 1), _address("validator", 2)) if pending else (),
        _hash("head", number),
        _hash("head", number - 1),
        *roots,
    )
    rewards = None if pending else _rewards(models, token)
    return Snapshot(
        "Example network", number, head, ORIGIN, newest, predictions, tuple(models), fund, token, rewards, past, alerts
    )
