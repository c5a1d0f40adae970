"""An independent replay: from orders, prices and money put in alone, does the journal's net asset value follow?

It shares the table of terms and the records' shapes with the broker, and no code that decides: exact fractions of the quote
currency instead of whole wei, its own reading of the rules of :mod:`fund.broker` and :mod:`fund.nav`. What it takes from a
journal is what people and models decided (instruments, orders, what was cancelled, money in and out); every fill, charge,
mark and value it works out itself and compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction

from fund.broker import DELISTED_US, JUMP, Tick
from fund.costs import (
    BLIND_PPM,
    DEBIT_PPM,
    FUNDING_DEFAULT_PPB,
    FUNDING_MAX_PPB,
    HAIRCUT_PPM,
    IMPACT_PPM,
    PARTICIPATION_PPM,
    Terms,
    terms_of,
)
from fund.journal import Charge, Drop, Fill, Flow, Instrument, Marks, Order, Record, Valuation
from fund.nav import FundFees
from fund.units import MAX_PRICE, MICRO, PICO, PPB, PPM, WEI, YEAR_US, cents

_DIGITS = Context(prec=60)
_PICO = Fraction(1, PICO)
_WEI = Fraction(1, WEI)
#: Fills and charges that follow from a bar, in comparable form.
_Event = tuple[str, int, str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Audit:
    """What a replay found.

    Attributes
    ----------
    navs : tuple of (time, cents)
        Net asset value of every valuation as replayed, hundredths of the quote currency.
    differences : tuple of str
        Where the journal says something else; empty if it is true.
    """

    navs: tuple[tuple[int, int], ...]
    differences: tuple[str, ...]


def audit(records: Iterable[Record], ticks: Iterable[Tick], fees: FundFees) -> Audit:
    """Replay a journal from its beginning.

    Parameters
    ----------
    records : iterable of Record
        All of them, in order.
    ticks : iterable of Tick
        The bars as the data has them, one for each ``Marks`` of the journal.
    fees : FundFees
        Of the fund.
    """
    replay = _Replay(fees)
    bars = iter(ticks)
    for record in records:
        replay.take(record, bars)
    if replay.claimed:
        replay.differs(replay.now, f"the journal ends within a bar, after {len(replay.claimed)} fills or charges of it")
    return Audit(tuple(replay.navs), tuple(replay.differences))


@dataclass
class _Bar:
    quoted: Fraction
    close: Fraction
    range: Fraction
    volume: Fraction | None  # units of the asset


@dataclass
class _Replay:
    fees: FundFees
    now: int = 0
    valued: int = 0
    cash: Fraction = Fraction(0)
    shares: int = 0
    mark: int = WEI
    listed: dict[str, Instrument] = field(default_factory=dict)
    lots: dict[str, int] = field(default_factory=dict)
    price: dict[str, Fraction] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    claimed: list[_Event] = field(default_factory=list)
    taken: list[_Event] = field(default_factory=list)
    navs: list[tuple[int, int]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def differs(self, time: int, text: str) -> None:
        moment = datetime.fromtimestamp(time / 1e6, UTC)
        self.differences.append(f"{moment:%Y-%m-%d %H:%M:%S}: {text}")

    def take(self, record: Record, bars: Iterator[Tick]) -> None:
        match record:
            case Instrument():
                self.listed[record.asset] = record
            case Order():
                self.orders[record.id], self.left[record.id] = record, record.lots
            case Drop() if record.why == "replaced":
                self.left.pop(record.order, None)
            case Fill():
                self.claimed.append(_event(record))
            case Charge() if record.kind in ("management", "performance"):
                self.taken.append(_event(record))
            case Charge():
                self.claimed.append(_event(record))
            case Flow():
                self.flow(record)
            case Marks():
                self.bar(record, next(bars, None))
            case Valuation():
                self.value(record)

    def worth(self, asset: str) -> Fraction:
        lots = self.lots.get(asset, 0)
        return lots * Fraction(self.listed[asset].step, MICRO) * self.price[asset] if lots else Fraction(0)

    def nav(self) -> Fraction:
        return self.cash + sum((self.worth(asset) for asset in self.lots), Fraction(0))

    def flow(self, flow: Flow) -> None:
        net = max(0, int(self.nav() / _WEI))
        whole = self.shares + MICRO  # a vault's shares that nobody holds
        due = flow.amount * whole // (net + 1) if flow.amount > 0 else -(-flow.amount * whole // -(net + 1))
        fair = due == flow.shares if flow.amount > 0 else -flow.amount == -flow.shares * (net + 1) // whole
        if not fair:
            self.differs(flow.time, f"{flow.amount} wei came for {flow.shares} shares, replay {due}")
        self.cash += flow.amount * _WEI
        self.shares += flow.shares

    def bar(self, marks: Marks, tick: Tick | None) -> None:
        if tick is None or tick.end != marks.time:
            self.differs(marks.time, f"no bar that ends then was given, the next one is {tick}"[:200])
            return
        good = {asset: bar for asset in sorted(self.listed) if (bar := self.judge(asset, tick))}
        due: list[_Event] = []
        for asset in sorted(self.listed):
            due += self.through(asset, tick, good.get(asset))
        free = self.cash + sum((self.worth(asset) for asset in self.lots if self.listed[asset].perpetual), Fraction(0))
        if free < 0 and self.now:
            cost = _up(-free * Fraction(DEBIT_PPM, PPM) * Fraction(tick.end - self.now, YEAR_US), _WEI)
            due.append(("interest", tick.end, "", (-int(cost / _WEI),)))
            self.cash -= cost
        for event in sorted({*self.claimed, *due}):
            if (wrong := self.claimed.count(event) - due.count(event)) != 0:
                self.differs(tick.end, f"{event} is {'only in the journal' if wrong > 0 else 'missing in the journal'}")
        self.claimed = []
        for asset, bar in good.items():
            self.price[asset], self.seen[asset] = bar.close, tick.end
        mine = tuple((asset, int(bar.close / _PICO)) for asset, bar in sorted(good.items()))
        if mine != marks.prices:
            odd = {*mine} ^ {*marks.prices}
            self.differs(tick.end, f"marks differ from the bars' closes: {sorted(odd)!r:.200}")
        self.now = tick.end

    def judge(self, asset: str, tick: Tick) -> _Bar | None:
        quote = tick.quotes.get(asset)
        if quote is None:
            return None
        at_close = self.listed[asset].fills == "close"
        close, quoted = _price(quote.close), _price(quote.close if at_close else quote.open)
        if close is None or quoted is None:
            return None
        before = self.price.get(asset, quoted)
        if not self.lots.get(asset) and tick.time - self.seen.get(asset, tick.time) >= DELISTED_US:
            before = quoted
        if not all(Fraction(1, JUMP) < new / before < JUMP for new in (close, quoted)):
            return None
        if at_close:
            return _Bar(quoted, close, Fraction(0), None)
        ends = [price for price in (quoted, close, _price(quote.high)) if price is not None]
        lows = [price for price in (quoted, close, _price(quote.low)) if price is not None]
        volume = Fraction(quote.volume) if math.isfinite(quote.volume) and quote.volume > 0 else Fraction(0)
        return _Bar(quoted, close, max(ends) - min(lows), volume)

    def through(self, asset: str, tick: Tick, bar: _Bar | None) -> list[_Event]:
        """Work out the fills and charges of one asset in one bar."""
        instrument = self.listed[asset]
        unit = Fraction(instrument.step, MICRO)
        at = tick.end if instrument.fills == "close" else tick.time
        events = self.carried(asset, tick, self.now or tick.time, at)
        volume = bar.volume if bar else None
        limit = None if volume is None else int(volume / unit) * PARTICIPATION_PPM // PPM
        for number, left in sorted(self.left.items()):
            order = self.orders[number]
            if order.asset != asset:
                continue
            if order.until <= tick.time:
                del self.left[number]
            elif bar is not None and order.time <= tick.time:
                lots = abs(left) if limit is None else min(abs(left), limit)
                if lots == 0:
                    continue
                limit = None if limit is None else limit - lots
                side = 1 if left > 0 else -1
                price, fee = _dealt(side, lots, unit, bar, terms_of(instrument.broker))
                self.dealt(asset, side * lots, price, fee)
                self.left[number] = left - side * lots
                if not self.left[number]:
                    del self.left[number]
                numbers = (number, side * lots, int(price / _PICO), int(bar.quoted / _PICO), int(fee / _WEI))
                events.append(("fill", at, asset, numbers))
        events += self.carried(asset, tick, at, tick.end)
        silent = bar is None and asset in self.seen and tick.end - self.seen[asset] >= DELISTED_US
        if asset in tick.gone or silent:
            self.left = {number: left for number, left in self.left.items() if self.orders[number].asset != asset}
            lots = -self.lots.get(asset, 0)
            if lots:
                kept = 1 - Fraction(HAIRCUT_PPM, PPM) if lots < 0 else 1
                price = max(_PICO, _down(self.price[asset] * kept, _PICO))
                self.dealt(asset, lots, price, Fraction(0))
                events.append(
                    ("fill", tick.end, asset, (0, lots, int(price / _PICO), int(self.price[asset] / _PICO), 0))
                )
        return events

    def dealt(self, asset: str, lots: int, price: Fraction, fee: Fraction) -> None:
        self.cash -= lots * Fraction(self.listed[asset].step, MICRO) * price + fee
        self.lots[asset] = self.lots.get(asset, 0) + lots

    def carried(self, asset: str, tick: Tick, start: int, end: int) -> list[_Event]:
        """Work out borrowing and funding over (start, end]."""
        worth, terms = self.worth(asset), terms_of(self.listed[asset].broker)
        costs: list[tuple[str, Fraction]] = []
        if self.listed[asset].perpetual:
            every = range(start - start % terms.funding_us, end + 1, terms.funding_us)
            rates = [tick.funding.get((asset, time)) for time in every if time > start]
            costs = [("funding", _funding(worth, rate)) for rate in rates]
        elif worth < 0 and end > start:
            yearly = Fraction(terms.borrow_ppm or 0, PPM)
            costs.append(("borrow", _up(-worth * yearly * Fraction(end - start, YEAR_US), _WEI)))
        self.cash -= sum((cost for _, cost in costs), Fraction(0))
        return [(kind, end, asset, (-int(cost / _WEI),)) for kind, cost in costs if cost]

    def value(self, valuation: Valuation) -> None:
        """Work out the fund's fees and compare the value."""
        time, due = valuation.time, list[_Event]()
        if self.valued and self.shares and self.nav() > 0:
            rate = Fraction(self.fees.management_ppm, PPM) * Fraction(time - self.valued, YEAR_US)
            due.append(("management", time, "", (-int(self.nav() * rate / _WEI),)))
            self.cash += due[-1][-1][0] * _WEI
        turn = bool(self.valued) and time // self.fees.period > self.valued // self.fees.period
        paid = valuation.high_water > self.mark or any(event[0] == "performance" for event in self.taken)
        if self.shares and (turn or paid):  # it may be paid early, when money comes or goes; never more than is due
            gain = max(0, self.per_share() - self.mark) * self.shares // (MICRO * WEI)
            due.append(("performance", time, "", (-(gain * self.fees.performance_ppm // PPM),)))
            self.cash += due[-1][-1][0] * _WEI
            self.mark = max(self.mark, self.per_share())
        if self.taken != (mine := [event for event in due if event[-1][0]]):
            self.differs(time, f"fees {self.taken}, replay {mine}")
        self.taken = []
        net = self.nav()
        self.navs.append((time, cents(int(net / _WEI))))
        worths = [self.worth(asset) for asset in self.lots]
        long, short = (sum((w for w in worths if w * sign > 0), Fraction(0)) for sign in (1, -1))
        parts = {"nav": net, "cash": self.cash, "long": long, "short": short}
        for name, number in parts.items():
            if number != getattr(valuation, name) * _WEI:
                self.differs(time, f"{name} is {getattr(valuation, name)} wei, replay {int(number / _WEI)}")
        counts = (self.shares, self.per_share(), self.mark)
        if counts != (valuation.shares, valuation.per_share, valuation.high_water):
            self.differs(time, f"shares, value per share and high-water mark differ: {valuation}, replay {counts}")
        self.valued = time

    def per_share(self) -> int:
        return MICRO * WEI * (max(0, int(self.nav() / _WEI)) + 1) // (self.shares + MICRO)


def _event(record: Fill | Charge) -> _Event:
    if isinstance(record, Fill):
        numbers = (record.order, record.lots, record.price, record.quoted, record.fee)
        return ("fill", record.time, record.asset, numbers)
    return (record.kind, record.time, record.asset, (record.amount,))


def _price(price: float) -> Fraction | None:
    if not 0 < price <= MAX_PRICE:  # false for NaN
        return None
    return _down(Fraction(Decimal(str(float(price)))), _PICO) or None


def _dealt(side: int, lots: int, unit: Fraction, bar: _Bar, terms: Terms) -> tuple[Fraction, Fraction]:
    """Return the price and the fee of a fill."""
    if bar.volume is None:
        worse = Fraction(max(BLIND_PPM, terms.half_spread_ppm), PPM) * bar.quoted
    else:
        share = _DIGITS.divide(Decimal(lots), Decimal(int(bar.volume / unit)))
        root = Fraction(_DIGITS.sqrt(share).quantize(Decimal(1) / PPB, ROUND_DOWN))
        worse = Fraction(terms.half_spread_ppm, PPM) * bar.quoted + Fraction(IMPACT_PPM, PPM) * root * bar.range
    price = _up(bar.quoted + worse, _PICO) if side > 0 else max(_PICO, _down(bar.quoted - worse, _PICO))
    return price, _up(lots * unit * price * Fraction(terms.fee_ppm, PPM), _WEI)


def _funding(worth: Fraction, rate: float | None) -> Fraction:
    """Return what a position pays at one settlement."""
    if rate is None or not abs(rate) * PPB <= FUNDING_MAX_PPB:  # true for NaN
        return _up(abs(worth) * Fraction(FUNDING_DEFAULT_PPB, PPB), _WEI)
    return _up(worth * Fraction(round(rate * PPB), PPB), _WEI)


def _up(amount: Fraction, unit: Fraction) -> Fraction:
    return math.ceil(amount / unit) * unit


def _down(amount: Fraction, unit: Fraction) -> Fraction:
    return math.floor(amount / unit) * unit
