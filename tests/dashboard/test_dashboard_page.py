from __future__ import annotations

import gzip
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dashboard.app import load_assets
from dashboard.page import MAX_ROWS, PARTS, Page, select, window
from dashboard.query import Query
from dashboard.sample import ORIGIN, STATES, SampleView, State
from dashboard.view import Clock, Prediction, Snapshot

VOID = {"meta", "link", "img", "input", "br", "path", "rect", "circle", "line"}


class Document(HTMLParser):
    """Collects every element, and checks that what is opened is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class Fixed(SampleView):
    """The example with one snapshot put in its place."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._given = snapshot

    def snapshot(self, number: int | None = None) -> Snapshot:
        return self._given


def html(view: SampleView, query: Query | None = None) -> str:
    return Page(view, dict.fromkeys(load_assets(), "/static/x")).whole(query or Query())


VIEWS = [(state, Query()) for state in STATES]
VIEWS += [("ordinary", Query(head=ORIGIN)), ("ordinary", Query(head=ORIGIN + 97)), ("ordinary", Query(text="nothing"))]
VIEWS += [("ordinary", Query(span="day", order="strength")), ("ordinary", Query(start=5, end=6, order="symbol"))]


@pytest.mark.parametrize(("state", "query"), VIEWS)
def test_every_view_is_sound_html_that_keeps_the_policy(state: State, query: Query) -> None:
    document = Document(html(SampleView(state), query))
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in document.elements:
        # The policy of the page forbids inline styles and scripts; a browser would drop them silently.
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag != "style"
        assert tag != "script" or attributes["src"]
        for reference in ("aria-labelledby", "for"):
            assert reference not in attributes or attributes[reference] in ids
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids
    assert len(document.all("h1")) == 1
    assert len(document.all("main")) == 1
    assert document.all("html")[0]["lang"] == "en"
    assert len(document.all("caption")) == len(document.all("table"))
    assert all("scope" in one for one in document.all("th"))
    assert set(PARTS) <= set(ids)
    assert "nan" not in " ".join(document.text).lower().split()
    assert "None" not in " ".join(document.text).split()


def test_names_from_outside_are_text() -> None:
    attack = '<img src=x onerror="alert(1)">'
    snapshot = SampleView().snapshot()
    assert snapshot.fund
    hostile = replace(
        snapshot,
        network=attack,
        predictions=tuple(replace(one, symbol=attack, sector=attack, broker=attack) for one in snapshot.predictions),
        models=tuple(replace(one, note=attack, topic=attack) for one in snapshot.models),
        alerts=tuple(replace(one, text=attack) for one in snapshot.alerts),
        fund=replace(snapshot.fund, orders=tuple(replace(one, reason=attack) for one in snapshot.fund.orders)),
    )
    document = Document(html(Fixed(hostile), Query(text=attack[:3])))
    assert {one["src"] for one in document.all("img")} == {"/static/x"}
    assert attack in " ".join(document.text)


def test_two_hundred_rows_and_ten_thousand_points_are_a_small_page() -> None:
    snapshot = SampleView("large").snapshot()
    assert snapshot.fund
    assert snapshot.fund.nav.size == 10_000
    assert len(snapshot.predictions) == len(snapshot.models) == len(snapshot.fund.orders) == MAX_ROWS
    files = sum(len(gzip.compress(content)) for content, _ in load_assets().values())
    assert len(gzip.compress(html(SampleView("large")).encode(), 6)) + files < 150_000


def test_the_page_of_a_moment_is_the_same_whenever_it_is_drawn() -> None:
    page, view = Page(SampleView(), dict.fromkeys(load_assets(), "x")), SampleView()
    clock, query = Clock(view.clock().now), Query()
    assert page.parts(query, view.snapshot(), clock) == page.parts(query, SampleView().snapshot(), clock)


def one(symbol: str, sector: str, value: float, broker: str = "b") -> Prediction:
    return Prediction("t", sector, broker, symbol, "ohlcv-1h", 0, 1, value, value - 1, value + 1, (("a" * 64, 1.0),))


ROWS = (one("BTC", "x", 0.1), one("ETH", "y", -3.0), one("SOL", "x", -0.5), one("BTC", "y", 0.2, "c"))


def test_rows_are_chosen_and_ordered_as_asked() -> None:
    def order(query: Query) -> list[tuple[str, str]]:
        return [(row.symbol, group.sector) for group in select(ROWS, query).groups for row in group.rows]

    assert order(Query()) == [("SOL", "x"), ("BTC", "x"), ("ETH", "y"), ("BTC", "y")]
    assert order(Query(order="strength")) == [("ETH", ""), ("SOL", ""), ("BTC", ""), ("BTC", "")]
    assert order(Query(order="symbol")) == [("BTC", ""), ("BTC", ""), ("ETH", ""), ("SOL", "")]
    assert order(Query(sector="y", broker="c")) == [("BTC", "y")]
    assert order(Query(text="s")) == [("SOL", "x")]
    assert select(ROWS, Query()).reach == 4.0
    assert (select(ROWS, Query(), limit=3).shown, select(ROWS, Query(), limit=3).found) == (3, 4)
    assert select((), Query()).groups == ()


def test_windows_follow_the_newest_point_or_stand_still() -> None:
    assert window(Query(), 10**6) == (None, None)
    assert window(Query(span="day"), 10**6) == (10**6 - 86_400, None)
    assert window(Query(span="day", start=5, end=9), 10**6) == (5, 9)


def test_a_missed_period_says_so_and_shows_no_predictions() -> None:
    missed = next(one.number for one in SampleView().snapshot().past if one.state == "missed")
    text = " ".join(Document(html(SampleView(), Query(head=missed))).text)
    assert "no HEAD was made in these ten minutes" in text
    assert "There are no predictions without a HEAD." in text


def test_a_snapshot_of_the_past_holds_nothing_later() -> None:
    number = ORIGIN + 500
    past = SampleView().snapshot(number)
    assert past.fund
    assert past.token
    assert past.fund.times[-1] == past.token.times[-1] == number * 600
    assert max(one.number for one in past.past) == number
