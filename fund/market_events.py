"""What happens in the market of LTFT, as plain records, and trades of others as they are given to it.

Times are Unix seconds, periods numbers of HEAD periods; amounts are wei, of quote or of LTFT as said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from protocol.errors import DataError

Side = Literal["buy", "sell"]


@dataclass(frozen=True, slots=True)
class Trade:
    """Somebody else's trade, as it is given: `amount` wei of quote paid to buy, or of LTFT to sell, at Unix second `time`."""

    time: int
    side: Side
    amount: int


@dataclass(frozen=True, slots=True)
class Shared:
    """The fund paid over gains: wei of quote for the buyback and for the treasury."""

    period: int
    buyback: int
    treasury: int


@dataclass(frozen=True, slots=True)
class Bought:
    """A slice: wei of quote spent, wei of LTFT to be deposited for the rewards and to be burned."""

    period: int
    spent: int
    rewarded: int
    burned: int


@dataclass(frozen=True, slots=True)
class Waited:
    """From `period` to `last` a slice was due and not bought."""

    period: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Traded:
    """Somebody else traded: paid `amount` and got `received` wei."""

    time: int
    side: Side
    amount: int
    received: int


@dataclass(frozen=True, slots=True)
class Declined:
    """The pool refused somebody else's trade; nothing changed."""

    time: int
    side: Side
    amount: int
    why: str


@dataclass(frozen=True, slots=True)
class Redeemed:
    """An account gave up `tokens` wei of LTFT for `paid` wei of the treasury's quote."""

    period: int
    account: str
    tokens: int
    paid: int


Event = Shared | Bought | Waited | Traded | Declined | Redeemed
_EVENTS: Mapping[str, type[Event]] = {
    kind.__name__.lower(): kind for kind in (Shared, Bought, Waited, Traded, Declined, Redeemed)
}


def plain(event: Event) -> dict[str, Any]:
    """Return an event as plain JSON values, ``event`` naming its class."""
    return {"event": type(event).__name__.lower(), **dataclasses.asdict(event)}


def event_of(raw: object) -> Event:
    """Return the event that :func:`plain` made `raw` from.

    Raises
    ------
    DataError
        The class is unknown, or a field missing, unknown or of another type.
    """
    kind = _EVENTS.get(str(raw.get("event"))) if isinstance(raw, dict) else None
    if kind is None or not isinstance(raw, dict):
        raise DataError(f"event {raw!r:.200} of a market names no known class; there are {', '.join(_EVENTS)}")
    values = {name: value for name, value in raw.items() if name != "event"}
    types = {one.name: int if one.type == "int" else str for one in dataclasses.fields(kind)}
    if (
        values.keys() != types.keys()
        or any(type(values[name]) is not types[name] for name in types)
        or values.get("side", "buy") not in get_args(Side)
    ):
        raise DataError(f"event {raw!r:.200} of a market must have the fields {', '.join(types)}")
    event: Event = kind(**values)
    return event
