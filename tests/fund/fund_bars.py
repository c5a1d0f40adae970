"""Made bars and a small account for the tests of the simulated fund."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fund.book import Book, book_of
from fund.broker import Quote, Tick, place, step
from fund.journal import Fill, Instrument, Order, Record
from fund.nav import FundFees, deposit, valued
from fund.units import MICRO, WEI

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = 20_000 * DAY
STOCK = Instrument("stooq", "ABC", "energy", MICRO)
OTHER = Instrument("stooq", "XYZ", "tech", MICRO)
CLOSES = Instrument("skfolio", "OLD", "tech", MICRO, "close")
PERP = Instrument("binanceusdm", "BTC/USDT:USDT", "crypto-majors", 10)
SPOT = Instrument("kraken", "ETH/USD", "crypto-majors", 1_000)
ALL = (STOCK, OTHER, CLOSES, PERP, SPOT)
FEES = FundFees(20_000, 200_000, 7 * DAY)
ABC, XYZ, OLD, BTC, ETH = (instrument.asset for instrument in ALL)


def flat(price: float, volume: float = 1e6) -> Quote:
    return Quote(price, price, price, price, volume)


@dataclass
class Desk:
    """A book that is led through bars of one day, and everything that was recorded."""

    instruments: Sequence[Instrument] = ALL
    money: int = 1_000_000 * WEI
    fees: FundFees = FEES
    interval: int = DAY
    book: Book = field(default_factory=Book)
    records: list[Record] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.book = book_of(self.instruments)
        self.records += self.instruments
        if self.money:
            self.keep(deposit(self.book, self.money, START, self.fees))

    def keep(self, result: tuple[Book, list[Record]]) -> list[Record]:
        self.book = result[0]
        self.records += result[1]
        return result[1]

    def bar(self, **quotes: Quote | float) -> list[Record]:
        """Take one bar; names are symbols' first letters, a number is a flat bar."""
        names = {instrument.symbol.split("/", maxsplit=1)[0]: instrument.asset for instrument in self.instruments}
        bars = {names[key]: flat(quote) if isinstance(quote, int | float) else quote for key, quote in quotes.items()}
        time = self.book.time or START
        return self.tick(Tick(time, time + self.interval, bars))

    def tick(self, tick: Tick) -> list[Record]:
        self.ticks.append(tick)
        new = self.keep(step(self.book, tick))
        return new + self.keep(valued(self.book, tick.end, self.fees))

    def order(self, *wants: tuple[str, int], life: int = 30 * DAY) -> list[Record]:
        numbers = itertools.count(self.book.next_id)
        time = self.book.time
        return self.keep(place(self.book, [Order(next(numbers), time, a, lots, time + life) for a, lots in wants]))

    def of(self, kind: type) -> list:
        return [record for record in self.records if isinstance(record, kind)]


def fills(records: Iterable[Record]) -> list[Fill]:
    return [record for record in records if isinstance(record, Fill)]


def random_ticks(seed: int, bars: int, interval: int = DAY, trouble: float = 0.05) -> list[Tick]:
    """Return bars of all instruments with every kind of trouble in them."""
    rng = np.random.default_rng(seed)
    price = dict(zip((i.asset for i in ALL), (50.0, 20.0, 8.0, 40_000.0, 2_000.0), strict=True))
    ticks = []
    for number in range(bars):
        time = START + number * interval
        quotes: dict[str, Quote] = {}
        for asset, before in price.items():
            price[asset] = before * float(np.exp(0.03 * rng.standard_normal()))
            opened = round(before * float(np.exp(0.01 * rng.standard_normal())), 6)
            close = round(price[asset], 6)
            volume = float(round(rng.lognormal(6, 1)))
            bad = rng.random()
            if bad < trouble:
                kind = rng.integers(7)
                if kind == 0:
                    continue
                close = (close, 0.0, float("nan"), close * 100, -close, close, float("inf"))[kind]
                volume = (volume, volume, volume, volume, volume, 0.0, volume)[kind]
            high, low = max(opened, close) * 1.01, min(opened, close) * 0.99
            quotes[asset] = Quote(opened, high, low, close, volume)
        settled = range(time, time + interval + 1, 8 * HOUR)
        rates = {(BTC, at): float(rng.normal(0, 1e-4)) for at in settled if rng.random() > trouble}
        ticks.append(Tick(time, time + interval, quotes, rates))
    return ticks


def wander(desk: Desk, ticks: Iterable[Tick], seed: int, check: Callable[[Desk], None] = lambda _: None) -> Desk:
    """Lead a desk through bars with random orders, some of them senseless, and deposits and withdrawals."""
    rng = np.random.default_rng(seed)
    for tick in ticks:
        desk.tick(tick)
        check(desk)
        if rng.random() < 0.5:
            assets = [*desk.book.last, "nowhere:NONE"]
            chosen = rng.choice(assets, size=rng.integers(0, 4))
            wants = [(str(asset), int(rng.normal(0, 2_000))) for asset in chosen]
            desk.order(*wants, life=int(rng.integers(1, 5)) * desk.interval)
            check(desk)
        if rng.random() < 0.05:
            desk.keep(deposit(desk.book, int(rng.integers(1, 10**6)) * WEI // 7, desk.book.time, desk.fees))
            check(desk)
    return desk
