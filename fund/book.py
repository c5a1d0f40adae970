"""A book: cash, positions and working orders, as they follow from its records.

A book is never changed; :meth:`Book.after` returns the book after one more record, and a book is nothing but the fold of its
journal: whoever keeps the records has the book. All bars of a book have one interval; a fund that trades several keeps a
book for each and adds their values.

A perpetual is booked at its full notional as if it had been bought: the net asset value is the same as with margin,
because the variation margin is what the value changes by. Only :meth:`Book.debit` has to tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fund.journal import Alert, Charge, Drop, Fill, Flow, Instrument, Marks, Order, Record, Valuation, plain, record_of
from protocol.errors import DataError, RefusedError
from protocol.ltft.vault import OFFSET, Vault

#: Shares of one unit of quote currency at the start, as :class:`protocol.ltft.vault.Vault` issues them; the unit of
#: the high-water mark, which starts at one.
UNIT_SHARES = 10**24
_NUMBERS = ("time", "valued", "cash", "shares", "high_water", "next_id")


class Position(NamedTuple):
    """Lots held, and the cash that went into the asset since it was first traded (fees, funding, borrowing and all).

    ``value - paid`` is what the asset has earned, closed or open.
    """

    lots: int
    paid: int


class Last(NamedTuple):
    """Last good close, in picos, and the end of its bar."""

    price: int
    time: int


@dataclass(frozen=True, slots=True)
class Book:
    """State of the simulated account.

    Attributes
    ----------
    time : int
        End of the last bar taken in, microseconds since 1970 UTC; 0 at the start.
    valued : int
        Time of the last valuation, up to which fees are paid.
    cash : int
        Wei; may be negative, and then costs interest.
    shares : int
        Of the fund's owners.
    high_water : int
        Wei per 10**24 shares.
    instruments, positions, last : mapping by asset
    working : tuple of Order
        In order of their ids; `lots` is what is left.
    alerts : tuple of Alert
        Troubles that are not over.
    next_id : int
        Smallest id that an order may have.
    """

    time: int = 0
    valued: int = 0
    cash: int = 0
    shares: int = 0
    high_water: int = 10**18
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    last: Mapping[str, Last] = field(default_factory=dict)
    working: tuple[Order, ...] = ()
    alerts: tuple[Alert, ...] = ()
    next_id: int = 1

    def lots(self, asset: str) -> int:
        """Return the lots held, 0 for an asset that was never traded."""
        held = self.positions.get(asset)
        return held.lots if held else 0

    def lot_value(self, asset: str) -> int:
        """Return the wei of one lot at the last good price.

        Raises
        ------
        DataError
            The asset is unknown or has had no good price yet.
        """
        if asset not in self.last or asset not in self.instruments:
            raise DataError(f"{asset} has had no good price; list it and take in a bar before it is valued")
        return self.last[asset].price * self.instruments[asset].step

    def value(self, asset: str) -> int:
        """Return the wei of the position at the last good price, negative for a short one."""
        lots = self.lots(asset)
        return lots * self.lot_value(asset) if lots else 0

    def nav(self) -> int:
        """Return cash plus the value of all positions, in wei; negative when all is lost and more."""
        return self.cash + sum(self.value(asset) for asset in self.positions)

    def earned(self, asset: str) -> int:
        """Return what an asset has earned so far, all its costs off, in wei."""
        return self.value(asset) - self.positions[asset].paid if asset in self.positions else 0

    def debit(self) -> int:
        """Return the wei that the book owes its broker: negative cash after giving back the notional of perpetuals."""
        free = self.cash + sum(self.value(asset) for asset in self.positions if self.instruments[asset].perpetual)
        return max(0, -free)

    def vault(self) -> Vault:
        """Return net asset value and shares; owners lose no more than all."""
        return Vault(max(0, self.nav()), self.shares)

    def per_share(self) -> int:
        """Return the wei that :data:`UNIT_SHARES` are worth, rounded down; 10**18 while there are no shares."""
        return UNIT_SHARES * (max(0, self.nav()) + 1) // (self.shares + OFFSET)

    def troubled(self, asset: str, code: str) -> bool:
        """Return whether an alert is on."""
        return any((alert.asset, alert.code) == (asset, code) for alert in self.alerts)

    def after(self, record: Record) -> Book:
        """Return the book after `record`.

        Raises
        ------
        RefusedError
            The record does not follow: time runs backwards, an instrument changes, an order's id was used, a fill is of no
            working order or of more than is left of it.
        """
        match record:
            case Instrument():
                return self._listed(record)
            case Order() if record.id < self.next_id:
                raise RefusedError(f"order {record.id} was used before; the next free id is {self.next_id}")
            case Marks() if record.time <= self.time:
                raise RefusedError(f"a bar ends at {record.time}, but {self.time} is past; bars come in their order")
            case Fill():
                return self._filled(record)
            case _:
                return replace(self, **self._changed(record))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: a snapshot, so that a restart needs no fold of years."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "instruments": [plain(self.instruments[asset]) for asset in sorted(self.instruments)],
            "positions": {asset: list(held) for asset, held in sorted(self.positions.items())},
            "last": {asset: list(last) for asset, last in sorted(self.last.items())},
            "working": [plain(order) for order in self.working],
            "alerts": [plain(alert) for alert in self.alerts],
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Book:
        """Return the book of a snapshot.

        Raises
        ------
        DataError
            It is none.
        """
        try:
            listed = [record_of(entry) for entry in given["instruments"]]
            working = [record_of(entry) for entry in given["working"]]
            alerts = [record_of(entry) for entry in given["alerts"]]
            numbers = {name: given[name] for name in _NUMBERS}
            pairs = {
                name: {asset: tuple(entry) for asset, entry in given[name].items()} for name in ("positions", "last")
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"snapshot of a book {given!r:.100}: {error!r}; replay its records instead") from error
        every = [
            *numbers.values(),
            *(number for table in pairs.values() for entry in table.values() for number in entry),
        ]
        if (
            any(type(number) is not int for number in every)
            or any(len(entry) != 2 for table in pairs.values() for entry in table.values())
            or not all(isinstance(entry, Instrument) for entry in listed)
            or not all(isinstance(entry, Order) for entry in working)
            or not all(isinstance(entry, Alert) for entry in alerts)
        ):
            raise DataError(
                f"snapshot of a book {given!r:.100}: a value is of the wrong type; replay its records instead"
            )
        return cls(
            **numbers,
            instruments={entry.asset: entry for entry in listed if isinstance(entry, Instrument)},
            positions={asset: Position(*entry) for asset, entry in pairs["positions"].items()},
            last={asset: Last(*entry) for asset, entry in pairs["last"].items()},
            working=tuple(entry for entry in working if isinstance(entry, Order)),
            alerts=tuple(entry for entry in alerts if isinstance(entry, Alert)),
        )

    def _changed(self, record: Record) -> dict[str, Any]:
        changes: dict[str, Any] = {}  # none for a refusal
        match record:
            case Order():
                changes = {"working": (*self.working, record), "next_id": record.id + 1}
            case Drop():
                changes = {"working": tuple(order for order in self.working if order.id != record.order)}
            case Charge():
                paid = self._paid(record.asset, 0, -record.amount) if record.asset else self.positions
                changes = {"cash": self.cash + record.amount, "positions": paid}
            case Flow():
                changes = {"cash": self.cash + record.amount, "shares": self.shares + record.shares}
            case Marks():
                last = {**self.last, **{asset: Last(price, record.time) for asset, price in record.prices}}
                changes = {"time": record.time, "last": last}
            case Valuation():
                changes = {"high_water": record.high_water, "valued": record.time}
            case Alert():
                name = record.asset, record.code
                others = tuple(alert for alert in self.alerts if (alert.asset, alert.code) != name)
                changes = {"alerts": (*others, record) if record.on else others}
        return changes

    def _listed(self, instrument: Instrument) -> Book:
        known = self.instruments.get(instrument.asset, instrument)
        if instrument.step < 1 or known != instrument:
            raise RefusedError(f"{instrument.asset} is {known}, not {instrument}; a change needs another symbol")
        return replace(self, instruments={**self.instruments, instrument.asset: instrument})

    def _filled(self, fill: Fill) -> Book:
        working = self.working
        if fill.order:
            order = next((order for order in working if order.id == fill.order), None)
            if (
                order is None
                or order.asset != fill.asset
                or not 0 < fill.lots * (1 if order.lots > 0 else -1) <= abs(order.lots)
            ):
                raise RefusedError(f"fill {fill} is of no working order, or of more than is left of {order}")
            left = order.lots - fill.lots
            kept = (replace(entry, lots=left) if entry is order else entry for entry in working)
            working = tuple(entry for entry in kept if entry.lots)
        if fill.asset not in self.instruments:
            raise RefusedError(f"fill {fill} is of an asset that was never listed")
        cost = fill.lots * fill.price * self.instruments[fill.asset].step + fill.fee
        return replace(self, cash=self.cash - cost, working=working, positions=self._paid(fill.asset, fill.lots, cost))

    def _paid(self, asset: str, lots: int, cost: int) -> Mapping[str, Position]:
        held = self.positions.get(asset, Position(0, 0))
        return {**self.positions, asset: Position(held.lots + lots, held.paid + cost)}


def book_of(records: Iterable[Record], start: Book | None = None) -> Book:
    """Return the book after all `records`, from an empty one or from `start`.

    Raises
    ------
    RefusedError
        A record does not follow from those before it.
    """
    book = start or Book()
    for record in records:
        book = book.after(record)
    return book
