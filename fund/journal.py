"""What happened to a book, as plain records: all of its state follows from them, in their order.

Records hold whole numbers, text and tuples of them only. :func:`plain` and :func:`record_of` turn them into dictionaries for
canonical JSON and back. Times are microseconds since 1970 UTC; money is wei, prices picos, quantities lots of the
instrument's step (:mod:`fund.units`). An asset is named ``BROKER:SYMBOL``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from protocol.errors import DataError

_DATED = re.compile(r":[^-]+-")  # BTC/USDT:USDT-250627 is a dated future, BTC/USDT:USDT a perpetual


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that can be traded from now on.

    Attributes
    ----------
    broker, symbol, sector : str
        As in ``ltds-1``.
    step : int
        Micros of a unit in one lot; all quantities are multiples.
    fills : {'open', 'close'}
        Where in a bar orders fill: at its open, or, in series of closes without volume, at its close.
    """

    broker: str
    symbol: str
    sector: str
    step: int
    fills: Literal["open", "close"] = "open"

    @property
    def asset(self) -> str:
        """Name, unique in a book."""
        return f"{self.broker}:{self.symbol}"

    @property
    def perpetual(self) -> bool:
        """Whether longs and shorts pay each other funding: ccxt's ``BASE/QUOTE:SETTLE`` without a date."""
        return ":" in self.symbol and not _DATED.search(self.symbol)


@dataclass(frozen=True, slots=True)
class Order:
    """A market order that was accepted: fills in bars that open from `time` on and before `until`.

    Attributes
    ----------
    id : int
        From 1, larger than any before.
    lots : int
        Positive to buy, negative to sell; never 0. In a book's list of working orders: what is left.
    """

    id: int
    time: int
    asset: str
    lots: int
    until: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """An order that was never accepted, and why."""

    order: int
    time: int
    asset: str
    lots: int
    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """What is left of an accepted order is given up: ``replaced``, ``expired`` or ``delisted``."""

    order: int
    time: int
    asset: str
    lots: int
    why: str


@dataclass(frozen=True, slots=True)
class Fill:
    """Lots that changed hands.

    Attributes
    ----------
    order : int
        Id; 0 for a position that was closed because its asset was delisted.
    time : int
        Open of the bar, or its close where that is the instrument's place to fill.
    price : int
        Paid, slippage included.
    quoted : int
        Without slippage: the difference is what it cost.
    fee : int
        Wei, not negative.
    """

    order: int
    time: int
    asset: str
    lots: int
    price: int
    quoted: int
    fee: int


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that comes or goes without a trade.

    Attributes
    ----------
    asset : str
        Empty for what concerns the whole book.
    kind : {'borrow', 'funding', 'interest', 'management', 'performance'}
    amount : int
        Change of cash, wei; negative is paid.
    """

    time: int
    asset: str
    kind: Literal["borrow", "funding", "interest", "management", "performance"]
    amount: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Money put in (positive) or taken out by shareholders, with the change of shares."""

    time: int
    amount: int
    shares: int


@dataclass(frozen=True, slots=True)
class Marks:
    """A bar is over: its good closes, sorted by asset. What is absent keeps its last good price."""

    time: int
    prices: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person should know begins, or is over.

    Attributes
    ----------
    asset : str
        Empty for what concerns the whole book.
    code : str
        For programs; one trouble per asset and code at a time.
    on : int
        1 when it begins, 0 when it is over.
    text : str
        For people.
    """

    time: int
    asset: str
    code: str
    on: int
    text: str


@dataclass(frozen=True, slots=True)
class Valuation:
    """The net asset value after everything else at `time`.

    Attributes
    ----------
    nav, cash, long, short : int
        Wei; ``nav = cash + long + short`` exactly, `short` not positive.
    shares : int
        Outstanding.
    per_share, high_water : int
        Wei per unit that was put in at the start (10**24 shares), fees off.
    """

    time: int
    nav: int
    cash: int
    long: int
    short: int
    shares: int
    per_share: int
    high_water: int


Record = Instrument | Order | Refusal | Drop | Fill | Charge | Flow | Marks | Alert | Valuation

KINDS: Mapping[str, type[Record]] = {
    kind.__name__.lower(): kind
    for kind in (Instrument, Order, Refusal, Drop, Fill, Charge, Flow, Marks, Alert, Valuation)
}
_HINTS = {kind: get_type_hints(kind) for kind in KINDS.values()}


def plain(record: Record) -> dict[str, Any]:
    """Return a record as numbers, text and lists, ``record`` naming its class; equal records give equal canonical JSON."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    if isinstance(record, Marks):
        fields["prices"] = [list(entry) for entry in record.prices]
    return {"record": type(record).__name__.lower(), **fields}


def record_of(given: Mapping[str, Any]) -> Record:
    """Return the record that :func:`plain` made `given` from.

    Raises
    ------
    DataError
        Unknown class, missing or unknown field, or a value of another type.
    """
    fields = dict(given)
    kind = KINDS.get(str(fields.pop("record", None)))
    if kind is None:
        raise DataError(f"record {dict(given)!r:.200} names no known class; there are {', '.join(KINDS)}")
    hints = _HINTS[kind]
    if fields.keys() != hints.keys():
        raise DataError(f"record {dict(given)!r:.200} must have exactly the fields {', '.join(hints)}")
    if kind is Marks:
        fields["prices"] = _prices(fields["prices"])
    for name, hint in hints.items():
        if not _fits(fields[name], hint):
            raise DataError(f"{kind.__name__.lower()}: {name} is {fields[name]!r:.100}; that is no {hint}")
    record: Record = kind(**fields)
    return record


def _prices(given: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(given, list | tuple) or not all(
        isinstance(entry, list | tuple) and len(entry) == 2 and type(entry[0]) is str and type(entry[1]) is int
        for entry in given
    ):
        raise DataError(f"marks: prices is {given!r:.100}; give a list of [asset, price]")
    return tuple((name, price) for name, price in given)


def _fits(value: Any, hint: Any) -> bool:
    if hint in (int, str):
        return type(value) is hint
    return get_origin(hint) is tuple or (type(value) is str and value in get_args(hint))
