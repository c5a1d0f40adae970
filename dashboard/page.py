"""The page as HTML: one part per section, so that a live page can replace what changed and leave the rest alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from dashboard import words
from dashboard.alerts import all_alerts, due
from dashboard.chart import Chart, Line, draw, drawdown, rebased
from dashboard.query import ORDERS, SPANS, Query
from dashboard.view import Clock, Fund, Prediction, Snapshot, Token, View
from protocol.head.schedule import PERIOD_S

PARTS = {
    "status": "Current HEAD",
    "alerts": "Alerts",
    "travel": "Time travel",
    "fund": "Fund",
    "predictions": "Predictions",
    "models": "Models",
    "trading": "Positions and orders",
    "token": "Token",
    "rewards": "Rewards",
    "history": "Past HEADs",
}
MAX_ROWS = 200
NAV_HEIGHT, DRAWDOWN_HEIGHT, PRICE_HEIGHT = 260, 90, 190


@dataclass(frozen=True, slots=True)
class Group:
    """Predictions of one sector; `sector` is empty when the order is not by sector."""

    sector: str
    rows: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The predictions a query asks for: what is drawn, how many fit the query, and the reach of the interval scale."""

    groups: tuple[Group, ...]
    shown: int
    found: int
    reach: float


def select(predictions: Sequence[Prediction], query: Query, limit: int = MAX_ROWS) -> Selection:
    """Return the first `limit` predictions that fit the query, in its order."""
    text = query.text.casefold()
    found = [
        one
        for one in predictions
        if query.sector in ("", one.sector) and query.broker in ("", one.broker) and text in one.symbol.casefold()
    ]
    sector = (lambda one: one.sector) if query.order == "sector" else (lambda _: "")
    if query.order == "symbol":
        found.sort(key=lambda one: (one.symbol, one.broker, one.topic))
    else:
        found.sort(key=lambda one: (sector(one), -abs(one.value), one.symbol, one.broker, one.topic))
    rows = found[:limit]
    reach = max([1.0, *(abs(edge) for one in rows for edge in (one.low, one.high) if math.isfinite(edge))])
    groups = tuple(Group(name, tuple(some)) for name, some in groupby(rows, sector))
    return Selection(groups, len(rows), len(found), reach)


def window(query: Query, last: int) -> tuple[int | None, int | None]:
    """Return the stretch of time the charts show, given the time of their last point."""
    if query.start is not None or query.end is not None:
        return query.start, query.end
    return (last - SPANS[query.span] if query.span else None), None


def fund_chart(fund: Fund, query: Query) -> Chart | None:
    """Return NAV per share over drawdown, the drawdown measured from the beginning and not from the window.

    Equal weight and cash begin where the fund stood at the beginning of the window.
    """
    if not fund.times.size:
        return None
    start, end = window(query, int(fund.times[-1]))
    lines = [
        Line("cash", "Cash", rebased(fund.cash, fund.nav, fund.times, start)),
        Line("equal", "Equal weight", rebased(fund.equal_weight, fund.nav, fund.times, start)),
        Line("main", "Fund", fund.nav),
    ]
    falls = [
        Line("equal", "Equal weight", drawdown(fund.equal_weight)),
        Line("main", "Fund", drawdown(fund.nav), filled=True),
    ]
    title = "NAV per share" if start is None else "NAV per share; the others begin where the fund stood"
    panels = [(title, NAV_HEIGHT, lines), ("Drawdown", DRAWDOWN_HEIGHT, falls)]
    return draw(fund.times, panels, start=start, end=end)


def token_chart(token: Token, query: Query) -> Chart | None:
    """Return the price of the token and its time-weighted average."""
    if not token.times.size:
        return None
    start, end = window(query, int(token.times[-1]))
    lines = [Line("equal", "TWAP", token.twap), Line("main", "Pool price", token.price)]
    return draw(token.times, [("Price of one LTFT", PRICE_HEIGHT, lines)], start=start, end=end)


def digest(html: str) -> str:
    """Return a short name of a part's content."""
    return hashlib.blake2b(html.encode(), digest_size=8).hexdigest()


class Page:
    """Renders snapshots of a view. Holds no state of its own; safe to call from several threads."""

    def __init__(self, view: View, assets: dict[str, str]) -> None:
        self.view = view
        self._environment = Environment(
            loader=PackageLoader("dashboard"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(assets=assets, titles=PARTS, orders=ORDERS, spans_of=SPANS, period_s=PERIOD_S)
        for word in (
            "number",
            "price",
            "percent",
            "money",
            "tokens",
            "quantity",
            "short",
            "span",
            "days",
            "iso",
            "moment",
        ):
            self._environment.filters[word] = getattr(words, word)

    def snapshot(self, query: Query) -> Snapshot:
        """Return the snapshot a query asks for."""
        return self.view.snapshot(query.head)

    def parts(self, query: Query, snapshot: Snapshot, clock: Clock) -> dict[str, Markup]:
        """Return the inner HTML of every part."""
        live = query.head is None
        context: dict[str, Any] = {
            "snapshot": snapshot,
            "head": snapshot.head,
            "query": query,
            "live": live,
            "clock": clock,
            "due": due(snapshot),
            "alerts": all_alerts(snapshot, clock.now, live=live),
            "selection": select(snapshot.predictions, query),
            "sectors": sorted({one.sector for one in snapshot.predictions} | ({query.sector} - {""})),
            "brokers": sorted({one.broker for one in snapshot.predictions} | ({query.broker} - {""})),
            "max_rows": MAX_ROWS,
            "fund": snapshot.fund,
            "token": snapshot.token,
            "fund_chart": snapshot.fund and fund_chart(snapshot.fund, query),
            "token_chart": snapshot.token and token_chart(snapshot.token, query),
            "fall": float(drawdown(snapshot.fund.nav)[-1]) if snapshot.fund and snapshot.fund.nav.size else None,
        }
        return {part: self._render(f"parts/{part}.html", **context) for part in PARTS}

    def whole(self, query: Query) -> str:
        """Return the whole page."""
        version, clock, snapshot = self.view.version(), self.view.clock(), self.snapshot(query)
        parts = self.parts(query, snapshot, clock)
        return self._render(
            "page.html",
            snapshot=snapshot,
            query=query,
            live=query.head is None,
            clock=clock,
            version=version,
            parts=parts,
        )

    def message(self, title: str, text: str) -> str:
        """Return a page that says one thing: an address that leads nowhere, a store that cannot be read."""
        return self._render("message.html", title=title, text=text)

    def _render(self, template: str, **context: Any) -> Markup:
        return Markup(self._environment.get_template(template).render(**context))  # noqa: S704 - autoescaped templates
