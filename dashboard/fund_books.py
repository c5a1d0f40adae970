"""The books of a fund as the page shows them: positions, orders and alerts."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.view import Alert, Order, Position
from fund.journal import Instrument
from fund.tape import Books, Fate
from fund.units import MICRO, PICO, SECOND_US, cents

_TITLES = {
    "missing": "Trading halted",
    "price": "Price refused",
    "jump": "Price jump refused",
    "funding": "Funding rate missing",
}


def positions(books: Books) -> tuple[Position, ...]:
    """Return what is held or being bought, the largest first; the target is what working orders lead to."""
    nav = books.nav()
    found = []
    for tape in books.tapes.values():
        book = tape.book
        waiting: dict[str, int] = {}
        for order in book.working:
            waiting[order.asset] = waiting.get(order.asset, 0) + order.lots
        for asset in sorted({*waiting, *(name for name, held in book.positions.items() if held.lots)}):
            one, value = book.instruments[asset], book.value(asset)
            target = value + waiting.get(asset, 0) * book.lot_value(asset)
            found.append(
                Position(
                    broker=one.broker,
                    sector=one.sector,
                    symbol=one.symbol,
                    quantity=book.lots(asset) * one.step / MICRO,
                    price=book.last[asset].price / PICO,
                    value=cents(value),
                    weight=value / nav if nav > 0 else float("nan"),
                    target=target / nav if nav > 0 else float("nan"),
                    gain=cents(book.earned(asset)),
                )
            )
    return tuple(sorted(found, key=lambda one: (-abs(one.value), one.symbol)))


def orders(books: Books) -> tuple[Order, ...]:
    """Return the orders of all books, the newest first."""
    found = [
        _shown(fate, tape.book.instruments.get(fate.asset))
        for tape in books.tapes.values()
        for fate in (*tape.working.values(), *tape.done)
    ]
    return tuple(sorted(found, key=lambda one: (-one.at, one.symbol)))


def alerts(books: Books) -> Sequence[Alert]:
    """Return the troubles of all books that are not over."""
    return [
        Alert("warning", _TITLES.get(one.code, one.code), one.text + ".", one.time // SECOND_US)
        for tape in books.tapes.values()
        for one in tape.book.alerts
    ]


def _shown(fate: Fate, instrument: Instrument | None) -> Order:
    step = instrument.step / MICRO if instrument else float("nan")  # refused because it is not listed
    broker, _, symbol = fate.asset.partition(":")
    return Order(
        at=fate.time // SECOND_US,
        broker=broker,
        symbol=symbol,
        side="buy" if fate.wanted > 0 else "sell",
        quantity=abs(fate.wanted) * step,
        filled=abs(fate.filled) * step,
        price=fate.paid / fate.filled / PICO if fate.filled else float("nan"),
        fee=cents(fate.fee),
        slippage=cents(fate.slippage),
        state=fate.state,
        reason=fate.reason,
    )
