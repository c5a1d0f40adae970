"""The simulated broker: orders are taken at one time and fill in later bars. Nothing here trades real money.

Order of events of one bar, as :func:`step` goes through them:

1. borrowing and funding of what was held, up to the point in the bar where the instrument fills;
2. fills: at the bar's open (series with opens and volume) or at its close (series of closes). An order takes at most 5 % of
   the bar's volume; the rest waits for the next bar, until it expires;
3. borrowing and funding of what is held then, to the bar's end;
4. closing of delisted positions; interest on a debit; marks at the closes.

A price that is missing, not positive, not finite or ten times off the last good one is refused: no fill, the position
stays at its last good price, and an alert is on until a price is good again. After :data:`DELISTED_US` without a good price
an asset counts as delisted; if it comes back, its next price is taken as its first.

No look-ahead: what a fill takes from its bar beyond the quote (range, volume) makes it dearer or smaller, and no order
sees a bar that opened before the order's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from fund.book import Book
from fund.costs import (
    PARTICIPATION_PPM,
    Terms,
    borrow,
    delisted_price,
    fee,
    fill_price,
    funding,
    funding_ppb,
    interest,
    shortable,
    terms_of,
)
from fund.journal import Alert, Charge, Drop, Fill, Instrument, Marks, Order, Record, Refusal
from fund.units import MICRO, PPM, SECOND_US, pico
from protocol.errors import DataError, RefusedError

#: A price more than so many times the last good one, or less than one such part of it, is not believed.
JUMP = 10
#: Microseconds without a good price after which a position is closed as delisted.
DELISTED_US = 30 * 86_400 * SECOND_US
#: Gross value of positions that orders may lead to, in millionths of the net asset value: Regulation T's initial margin.
LEVERAGE_PPM = 2_000_000
_NAN = float("nan")


class Quote(NamedTuple):
    """One bar of one asset as the data has it, unchecked; units of quote currency and of the asset, NaN for unknown."""

    open: float = _NAN
    high: float = _NAN
    low: float = _NAN
    close: float = _NAN
    volume: float = _NAN


@dataclass(frozen=True, slots=True)
class Tick:
    """One bar of all assets.

    Attributes
    ----------
    time, end : int
        Open and close of the bar, microseconds since 1970 UTC.
    quotes : mapping of asset to Quote
        Those that have a bar.
    funding : mapping of (asset, time) to float
        Rates settled since the last tick, a fraction; positive: longs pay.
    gone : set of asset
        Known to be delisted: closed at this tick without waiting.
    """

    time: int
    end: int
    quotes: Mapping[str, Quote]
    funding: Mapping[tuple[str, int], float] = field(default_factory=dict)
    gone: AbstractSet[str] = frozenset()


class Good(NamedTuple):
    """A bar that may be traded and marked on; picos, and lots of volume (None: the series has none)."""

    quoted: int
    range: int
    close: int
    volume: int | None


class _Log:
    """A book that grows with the records it is given."""

    def __init__(self, book: Book) -> None:
        self.book, self.records = book, list[Record]()

    def add(self, record: Record) -> None:
        self.book = self.book.after(record)
        self.records.append(record)

    def warn(self, time: int, asset: str, code: str, text: str) -> None:
        """Raise an alert unless it is on already."""
        if not self.book.troubled(asset, code):
            self.add(Alert(time, asset, code, 1, f"{asset} {text}".strip()))


def place(book: Book, orders: Sequence[Order]) -> tuple[Book, list[Record]]:
    """Take in one batch of orders; it replaces all that still works, so an empty batch cancels everything.

    A batch whose ids were all used before changes nothing: sending it again after a crash does no harm.

    Parameters
    ----------
    book : Book
    orders : sequence of Order
        Ids rising; `time` is when they were decided, at least the end of the last bar.

    Returns
    -------
    tuple
        The book, and its new records: ``replaced`` orders, accepted orders and refusals. Refused is an id used before, a time
        in the past, an `until` not after `time`, an asset that is not listed or has had no good price, no lots, less than the
        broker's minimum (unless the order only reduces a position), going short where that cannot be, and what would lead to
        more than twice the net asset value in positions.
    """
    log = _Log(book)
    if not orders or any(order.id >= book.next_id for order in orders):
        for order in book.working:
            log.add(Drop(order.id, book.time, order.asset, order.lots, "replaced"))
    room = LEVERAGE_PPM * book.nav() // PPM - sum(abs(book.value(asset)) for asset in book.positions)
    for order in orders:
        why, more = _objection(log.book, order, room)
        if why:
            log.add(Refusal(order.id, book.time, order.asset, order.lots, why))
        else:
            room -= more
            log.add(order)
    return log.book, log.records


def step(book: Book, tick: Tick) -> tuple[Book, list[Record]]:
    """Go through one bar; returns the book after it and its new records.

    Raises
    ------
    RefusedError
        The bar opened before the last one ended: bars come once, in their order.
    DataError
        The bar ends before it opens.
    """
    if tick.end <= tick.time:
        raise DataError(f"a bar opens at {tick.time} and ends at {tick.end}; give its end in microseconds")
    if tick.time < book.time:
        raise RefusedError(
            f"the bar of {tick.time} opened before {book.time}, up to where the book is; it was taken in or comes late"
        )
    log = _Log(book)
    good: dict[str, Good] = {}
    for asset, instrument in sorted(book.instruments.items()):
        found = judged(instrument, tick.quotes.get(asset), _believed(book, tick, asset))
        if isinstance(found, Good):
            good[asset] = found
            _over(log, tick, asset, "is priced again")
        elif asset in tick.quotes or book.lots(asset) or any(order.asset == asset for order in book.working):
            log.warn(tick.end, asset, found, _TEXTS[found])
    for asset in sorted({*book.positions, *(order.asset for order in book.working)}):
        _trade(log, tick, asset, good.get(asset))
    owed = book.debit()
    if owed and book.time:
        log.add(Charge(tick.end, "", "interest", -interest(owed, tick.end - book.time)))
    log.add(Marks(tick.end, tuple((asset, bar.close) for asset, bar in sorted(good.items()))))
    if log.book.shares and log.book.nav() <= 0:
        log.warn(tick.end, "", "ruined", "the net asset value is not positive: all is lost")
    return log.book, log.records


def judged(instrument: Instrument, quote: Quote | None, last: int | None) -> Good | str:
    """Return a bar's prices in picos, or the code of what is wrong with it.

    Parameters
    ----------
    instrument : Instrument
    quote : Quote or None
    last : int or None
        Last good close in picos; without one the bar's open is believed.

    Returns
    -------
    Good or str
        ``missing``: there is no bar or no price in it; ``price``: one that is not positive and finite, or is beyond
        10**9; ``jump``: one more than ten times off.
    """
    if quote is None or quote.close != quote.close:  # NaN
        return "missing"
    at_open = instrument.fills == "open"
    if at_open and quote.open != quote.open:
        return "missing"
    close = pico(quote.close)
    quoted = pico(quote.open) if at_open else close
    if close is None or quoted is None:
        return "price"
    before = quoted if last is None else last
    if not all(before < JUMP * price and price < JUMP * before for price in (close, quoted)):
        return "jump"
    if not at_open:
        return Good(quoted, 0, close, None)
    high, low = pico(quote.high), pico(quote.low)
    wide = max(high or 0, quoted, close) - min(low or quoted, quoted, close)
    return Good(quoted, wide, close, _lots(quote.volume, instrument.step))


_TEXTS = {
    "missing": "has no price in this bar; it keeps its last one and cannot be traded",
    "price": "has a price that is not positive and finite; it is refused, the last good one stays",
    "jump": "moved more than tenfold in one bar; the price is refused, the last good one stays",
}


def _believed(book: Book, tick: Tick, asset: str) -> int | None:
    """Return the last good price, None where it is so old that a new one must be taken as the first."""
    last = book.last.get(asset)
    return None if last is None or (tick.time - last.time >= DELISTED_US and not book.lots(asset)) else last.price


def _over(log: _Log, tick: Tick, asset: str, text: str) -> None:
    for code in _TEXTS:
        if log.book.troubled(asset, code):
            log.add(Alert(tick.end, asset, code, 0, f"{asset} {text}"))


def _lots(volume: float, step_micros: int) -> int:
    """Return a bar's volume in whole lots, 0 where it is unknown or nonsense: then nothing fills."""
    if not 0 < volume < float("inf"):
        return 0
    return int(Fraction(float(volume)) * MICRO) // step_micros


def _objection(book: Book, order: Order, room: int) -> tuple[str, int]:
    """Return why an order is refused (empty if it is not), and the gross value it adds."""
    instrument = book.instruments.get(order.asset)
    formal = (
        (order.id < book.next_id, f"id {order.id} was used before; the next free one is {book.next_id}"),
        (order.time < book.time, f"decided at {order.time}, before {book.time} up to where the book is"),
        (order.until <= order.time or not order.lots, "no lots, or no time to fill"),
        (order.asset not in book.last, "has had no good price"),
    )
    if instrument is None:
        return "not listed", 0
    why = next((why for wrong, why in formal if wrong), "")
    return (why, 0) if why else _unaffordable(book, order, instrument, room)


def _unaffordable(book: Book, order: Order, instrument: Instrument, room: int) -> tuple[str, int]:
    held = book.lots(order.asset)
    after = held + order.lots
    unit = book.lot_value(order.asset)
    least = terms_of(instrument.broker).min_value
    more = (abs(after) - abs(held)) * unit
    reduces = order.lots * held < 0 and abs(order.lots) <= abs(held)
    if not reduces and abs(order.lots) * unit < least:
        return f"worth {abs(order.lots) * unit} wei, the broker takes {least} or more", 0
    if after < 0 and after < held and not shortable(instrument):
        return "cannot be sold short", 0
    if more > max(0, room):
        return f"adds {more} wei of positions where {max(0, room)} are left of {LEVERAGE_PPM} millionths of value", 0
    return "", more


def _trade(log: _Log, tick: Tick, asset: str, bar: Good | None) -> None:
    """Take one asset through the bar: carry, fills, carry, delisting."""
    book, instrument = log.book, log.book.instruments[asset]
    start = book.time or tick.time
    at = tick.time if instrument.fills == "open" else tick.end
    _carry(log, tick, asset, start, at)
    available = bar.volume * PARTICIPATION_PPM // PPM if bar and bar.volume is not None else None
    for order in [order for order in book.working if order.asset == asset]:
        if order.until <= tick.time:
            log.add(Drop(order.id, tick.time, asset, order.lots, "expired"))
        elif bar and order.time <= tick.time:
            lots = abs(order.lots) if available is None else min(abs(order.lots), available)
            if lots:
                available = available if available is None else available - lots
                log.add(_fill(order, instrument, bar, lots, at))
    _carry(log, tick, asset, at, tick.end)
    last = book.last.get(asset)
    if asset in tick.gone or (not bar and last and tick.end - last.time >= DELISTED_US):
        _close(log, tick, asset)


def _fill(order: Order, instrument: Instrument, bar: Good, lots: int, at: int) -> Fill:
    side = 1 if order.lots > 0 else -1
    terms = terms_of(instrument.broker)
    price = fill_price(side, bar.quoted, bar.range, lots=lots, volume=bar.volume, terms=terms)
    cost = fee(lots * price * instrument.step, terms)
    return Fill(order.id, at, order.asset, side * lots, price, bar.quoted, cost)


def _carry(log: _Log, tick: Tick, asset: str, start: int, end: int) -> None:
    """Charge borrowing over (start, end] and the settlements of funding in it, at the last good price."""
    lots, instrument = log.book.lots(asset), log.book.instruments[asset]
    if not lots or end <= start:
        return
    value, terms = log.book.value(asset), terms_of(instrument.broker)
    if not instrument.perpetual:
        if lots < 0:
            _charge(log, Charge(end, asset, "borrow", -borrow(-value, terms, end - start)))
        return
    for time in settlements(terms, start, end):
        ppb = funding_ppb(tick.funding.get((asset, time)))
        if ppb is None:
            log.warn(end, asset, "funding", "has no usable funding rate; either side pays 0.01 % at each settlement")
        elif log.book.troubled(asset, "funding"):
            log.add(Alert(end, asset, "funding", 0, f"{asset} has funding rates again"))
        _charge(log, Charge(end, asset, "funding", funding(value, ppb)))


def settlements(terms: Terms, start: int, end: int) -> Iterator[int]:
    """Yield the times of funding in (start, end]."""
    period = terms.funding_us
    yield from range((start // period + 1) * period, end + 1, period)


def _charge(log: _Log, charge: Charge) -> None:
    if charge.amount:
        log.add(charge)


def _close(log: _Log, tick: Tick, asset: str) -> None:
    for order in [order for order in log.book.working if order.asset == asset]:
        log.add(Drop(order.id, tick.end, asset, order.lots, "delisted"))
    lots = log.book.lots(asset)
    if lots:
        last = log.book.last[asset].price
        price = delisted_price(lots, last)
        log.add(Fill(0, tick.end, asset, -lots, price, last, 0))
        _over(log, tick, asset, f"counts as delisted; {lots} lots were closed at {price} picos")
