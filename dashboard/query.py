"""What a reader asks the page for, all of it in the address: which HEAD, which rows, which stretch of time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from protocol.errors import UsageError

SPANS = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "year": 365 * 86_400}
ORDERS = {"sector": "sector, strongest first", "strength": "strongest first", "symbol": "symbol"}
MAX_TEXT = 64
_WHOLE = re.compile(r"[0-9]{1,12}\Z")


@dataclass(frozen=True, slots=True)
class Query:
    """One way of looking at the page.

    Attributes
    ----------
    head : int or None
        Period to look at; None follows the newest HEAD.
    sector, broker, text : str
        Rows to show; empty means all. `text` is looked for in symbols.
    order : str
        Order of the predictions, a key of ``ORDERS``.
    span : str
        Latest stretch of the charts, a key of ``SPANS``, or empty for everything.
    start, end : int or None
        Fixed stretch of the charts, unix seconds; stands above `span`.
    """

    head: int | None = None
    sector: str = ""
    broker: str = ""
    text: str = ""
    order: str = "sector"
    span: str = ""
    start: int | None = None
    end: int | None = None

    def link(self, **changes: Any) -> str:
        """Return the relative address of this view with some values changed; defaults are left out."""
        other = replace(self, **changes)
        given = {one.name: getattr(other, one.name) for one in fields(other) if getattr(other, one.name) != one.default}
        return "?" + urlencode(given) if given else "./"


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    if not _WHOLE.match(text):
        raise UsageError(f"{name} is {text[:MAX_TEXT]!r}; write a whole number of at most 12 digits")
    return int(text)


def parse(pairs: Iterable[tuple[str, str]]) -> Query:
    """Return the query of an address; an empty value means the default.

    Raises
    ------
    UsageError
        A name is unknown or given twice, or a value is not of its kind.
    """
    known = [one.name for one in fields(Query)]
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise UsageError(f"the page knows no {name[:MAX_TEXT]!r}; it knows: {', '.join(known)}")
        if name in given:
            raise UsageError(f"{name} is given twice; give it once")
        if len(value) > MAX_TEXT or not value.isprintable():
            raise UsageError(f"{name} is longer than {MAX_TEXT} characters or not printable; shorten it")
        given[name] = value
    order, span = given.get("order") or "sector", given.get("span", "")
    if order not in ORDERS:
        raise UsageError(f"order is {order!r}; choose one of: {', '.join(ORDERS)}")
    if span and span not in SPANS:
        raise UsageError(f"span is {span!r}; choose one of: {', '.join(SPANS)}")
    start, end = _whole("start", given.get("start", "")), _whole("end", given.get("end", ""))
    if start is not None and end is not None and start >= end:
        raise UsageError(f"start is {start} and end is {end}; the start has to come first")
    rows = {name: given.get(name, "").strip() for name in ("sector", "broker", "text")}
    return Query(_whole("head", given.get("head", "")), **rows, order=order, span=span, start=start, end=end)
