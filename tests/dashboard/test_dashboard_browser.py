"""The page in a real browser: drawn without complaint, readable without script, usable by keyboard, live."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, find

from dashboard.sample import STATES, SampleView, State
from dashboard.server import PageServer

PATH = find()
pytestmark = pytest.mark.skipif(PATH is None, reason="no Chromium on the PATH; install chromium to test the page in it")


class Stepped(SampleView):
    """The example on a clock that only moves when told."""

    def __init__(self, state: State = "ordinary") -> None:
        self.time = 0.0
        super().__init__(state, clock=lambda: self.time)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(PATH or "", tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def serve(browser: Chromium) -> Iterator[Callable[..., str]]:
    servers: list[PageServer] = []

    def start(view: SampleView) -> str:
        servers.append(PageServer(view, port=0))
        return servers[-1].__enter__().url

    yield start
    browser.look()
    browser.open("about:blank")  # a page that still listens would complain, in the next test, of a server that is gone
    for server in servers:
        server.close()


def opened(browser: Chromium, url: str, **look: Any) -> None:
    browser.look(**look)
    browser.open(url)
    if look.get("script", True):
        browser.until("document.getElementById('line').textContent === 'Live'")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_nothing_is_complained_about_or_wider_than_the_window(
    browser: Chromium, serve: Callable[..., str], state: State, width: int, dark: bool
) -> None:
    opened(browser, serve(SampleView(state)), width=width, dark=dark)
    assert browser.complaints() == []
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 150) == dark


def test_text_has_contrast(browser: Chromium, serve: Callable[..., str]) -> None:
    for dark in (False, True):
        opened(browser, serve(SampleView("alert")), dark=dark)
        assert browser.run(CONTRAST) == []


#: Texts with a contrast below 4.5 against the nearest opaque ground (WCAG 2.2, 1.4.3); steps that lead nowhere are exempt.
CONTRAST = """(() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || one.closest(".steps span, .hidden, .skip") || !one.getClientRects().length) continue;
    let ground = one;
    while (ground && rgb(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
    const style = getComputedStyle(one);
    const below = getComputedStyle(ground || document.body).backgroundColor;
    const pair = [rgb(one.closest("svg") ? style.fill : style.color), rgb(below)];
    const [low, high] = pair.map(light).sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) found.push([one.tagName, one.className, one.textContent.slice(0, 30), pair]);
  }
  return found;
})()"""


def test_the_page_reads_without_script(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()), script=False)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    for wanted in (
        ("main", ""),
        ("banner", ""),
        ("navigation", "Sections"),
        ("contentinfo", ""),
        ("search", "Predictions"),
    ):
        assert wanted in roles
    assert [name for role, name in roles if role == "heading"][:3] == [
        "Example network, operator's page",
        "Current HEAD",
        "Fund",
    ]
    captions = {name for role, name in roles if role == "table"}
    assert len(captions) == 7
    assert all(captions)
    pictures = [name for role, name in roles if role == "image" and name]
    assert any(re.search(r"NAV per share went from [01]\.\d{4} to 1\.\d{4}", name) for name in pictures)
    assert browser.call("Page.getLayoutMetrics")["cssContentSize"]["height"] > 3000


def test_two_hundred_rows_and_ten_thousand_points_travel_light(browser: Chromium, serve: Callable[..., str]) -> None:
    url = serve(SampleView("large"))
    browser.look()
    browser.call("Network.setCacheDisabled", cacheDisabled=True)
    opened(browser, url)
    browser.call("Network.setCacheDisabled", cacheDisabled=False)
    sent = {
        event["params"]["requestId"]: event["params"]["request"]["url"]
        for event in browser.events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert all(address.startswith(url) for address in sent.values())
    wire = sum(
        event["params"]["encodedDataLength"] for event in browser.events if event["method"] == "Network.loadingFinished"
    )
    rows = browser.run("document.querySelectorAll('#predictions tbody tr:not(.group)').length")
    assert rows == 200
    assert 40_000 < wire < 150_000


def test_a_new_head_arrives_by_itself_and_the_place_is_kept(browser: Chromium, serve: Callable[..., str]) -> None:
    view = Stepped()
    opened(browser, serve(view))
    browser.run("document.querySelector('.scroll[data-key=predictions]').scrollTop = 120")
    browser.run("document.querySelector('#status details').open = true")
    browser.run("document.querySelector('#models .scroll').focus()")
    models = browser.run("document.querySelector('#models').textContent")
    view.time += 600
    browser.until("document.querySelector('.big').textContent.endsWith('761')")
    browser.until(f"document.querySelector('#models').textContent !== {models!r}")
    assert browser.run("document.querySelector('.scroll[data-key=predictions]').scrollTop") == 120
    assert browser.run("document.querySelector('#status details').open") is True
    assert browser.run("document.activeElement.dataset.key") == "models"

    # Whoever is typing is not interrupted; the news waits until they leave the field.
    predictions = browser.run("document.querySelector('#predictions tbody').textContent")
    browser.run("document.querySelector('[name=text]').focus()")
    browser.press("s")
    view.time += 600
    browser.until("document.querySelector('.big').textContent.endsWith('762')")
    assert browser.run("document.activeElement.value") == "s"
    assert browser.run("document.querySelector('#predictions tbody').textContent") == predictions
    browser.run("document.activeElement.blur()")
    browser.until(f"document.querySelector('#predictions tbody').textContent !== {predictions!r}")
    assert browser.complaints() == []


def test_a_lost_server_is_said(browser: Chromium) -> None:
    with PageServer(SampleView(), port=0) as server:
        opened(browser, server.url)
    browser.until("document.getElementById('line').textContent === 'Connection lost'")


def test_the_age_ticks(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()))
    before = browser.run("document.querySelector('[data-age]').textContent")
    browser.until(f"document.querySelector('[data-age]').textContent !== {before!r}")


def test_charts_answer_to_pointer_and_keyboard(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()))
    resting = browser.run("document.querySelector('#fund [data-when]').textContent")
    browser.run("document.querySelector('#fund').scrollIntoView({behavior: 'instant'})")
    box = browser.run("document.querySelector('#fund .plot').getBoundingClientRect().toJSON()")
    middle = box["y"] + box["height"] / 2
    browser.mouse("mouseMoved", box["x"] + box["width"] * 0.5, middle)
    shown = browser.run("document.querySelector('#fund [data-when]').textContent")
    assert re.match(r"2026-05-\d\d \d\d:\d0 · Drawdown", shown)
    assert browser.run("document.querySelectorAll('#fund .cross').length") == 2

    browser.mouse("mousePressed", box["x"] + box["width"] * 0.25, middle)
    browser.mouse("mouseMoved", box["x"] + box["width"] * 0.5, middle)
    browser.mouse("mouseReleased", box["x"] + box["width"] * 0.5, middle)
    browser.until("location.search.includes('start=')")
    browser.until(f"document.querySelector('#fund [data-when]').textContent !== {resting!r}")

    browser.run("document.querySelector('#fund .chart').focus()")
    browser.press("Escape")
    browser.until("location.search === ''")
    browser.until(f"document.querySelector('#fund [data-when]').textContent === {resting!r}")
    browser.run("document.querySelector('#fund .chart').focus()")
    browser.press("End")
    browser.press("ArrowLeft")
    spoken = browser.run("document.activeElement.getAttribute('aria-valuetext')")
    assert re.match(r"2026-06-0\d \d\d:\d0, Drawdown .*Fund 1\.\d{4}.*Cash 1\.\d{4}", spoken)
    browser.run("history.back()")
    browser.until("location.search.includes('start=')")
    assert browser.complaints() == []


def test_time_travel_leads_back_and_forth(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()))
    browser.run(
        "[...document.querySelectorAll('.steps a')].find((one) => one.textContent.startsWith('−1 HEAD')).click()"
    )
    browser.until("location.search === '?head=2967759' && document.querySelector('.big').textContent.endsWith('759')")
    browser.until("document.getElementById('line').textContent === 'Past'")
    browser.run("document.querySelector('#slider').focus()")
    browser.press("ArrowRight")
    browser.until("location.search === '' && document.querySelector('.big').textContent.endsWith('760')")
    browser.until("document.getElementById('line').textContent === 'Live'")
    assert browser.complaints() == []


def test_rows_are_chosen_without_leaving_the_page(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()))
    browser.run("document.querySelector('[name=sector]').focus()")
    browser.run("document.activeElement.value = 'memes', document.activeElement.form.requestSubmit()")
    browser.until("document.querySelectorAll('#predictions tbody tr:not(.group)').length === 4")
    assert browser.run("location.search") == "?sector=memes"


def test_everything_is_reached_by_keyboard_and_focus_is_seen(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()))
    seen = []
    for _ in range(60):
        browser.press("Tab")
        where = browser.run(
            "(() => { const one = document.activeElement, style = getComputedStyle(one);"
            "return [one.tagName, one.closest('[data-part]')?.id ?? '', "
            "style.outlineStyle !== 'none' || one.matches('.skip')]; })()"
        )
        assert where[2], where
        seen.append(where[1])
    assert seen[:9] == [""] * 9  # skip link, brand, seven sections
    assert [part for index, part in enumerate(seen) if part and part not in seen[:index]][:4] == [
        "status",
        "travel",
        "fund",
        "predictions",
    ]


def test_who_wants_no_motion_gets_none(browser: Chromium, serve: Callable[..., str]) -> None:
    opened(browser, serve(SampleView()))
    motion = "getComputedStyle(document.documentElement).scrollBehavior"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert browser.run(motion) == "auto"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "no-preference"}])
    assert browser.run(motion) == "smooth"


def test_screenshots_are_taken(browser: Chromium, serve: Callable[..., str], tmp_path: Path) -> None:
    opened(browser, serve(SampleView()), width=360)
    browser.screenshot(tmp_path / "phone.png")
    assert (tmp_path / "phone.png").read_bytes().startswith(b"\x89PNG")
