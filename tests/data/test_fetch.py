from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from exchange_server import BROKEN, FAULTS, HARMLESS, HOUR, LOSSY, WAITING, WRONG, ExchangeServer, bar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.dataset import Dataset
from data.exchange import Exchange, backoff, near, seconds_to_wait
from data.fetch import BadPageError, Grid, Pager, check_page, holes, iso, merged, parse_timeframe, parse_when
from data.fetch_cli import fetch
from data.intake import Intake, Wish
from protocol.errors import ClusterError, DataError, UsageError

GRID = Grid("ohlcv-1h", HOUR, 0)
MARKETS = {"binance": ("BTC/USDT", "BTCUSDT", 1000), "kraken": ("BTC/USD", "XXBTZUSD", 720)}
BARS = {"binance": 2_300, "kraken": 700}


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is never asked through a proxy of the environment."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[ExchangeServer]:
    with ExchangeServer() as running:
        yield running


class Bench:
    """Runs fetches against a server without waiting; `slept` are the waits asked for."""

    def __init__(self, server: ExchangeServer, name: str, uri: Path) -> None:
        self.server, self.name, self.uri = server, name, str(uri)
        self.symbol, self.market, _ = MARKETS[name]
        self.slept: list[float] = []
        self.said: list[str] = []

    def ago(self, bars: int) -> str:
        return iso(self.server.now // HOUR * HOUR - bars * HOUR)

    def exchange(self, **options: Any) -> Exchange:
        options = {"sleep": self.slept.append, "chance": lambda: 0.5, "throttle": False, **options}
        return Exchange(self.name, base_url=self.server.url, say=self.said.append, **options)

    def intake(self, since: int | None = None, **wish: Any) -> Intake:
        since = BARS[self.name] if since is None else since
        wish = {"symbols": self.symbol, "since": self.ago(since), "to": self.uri, "flush_every": 1, **wish}
        return Intake(Wish(**wish), self.exchange())

    def run(self, since: int | None = None, **wish: Any) -> dict[str, Any]:
        intake = self.intake(since, **wish)
        failure = intake.run(self.said.append, lambda series: None)
        if failure:
            raise failure
        return {**intake.result(), "notes": intake.notes()}

    def stored(self, symbol: str | None = None) -> list[tuple[Any, ...]]:
        table = Dataset.create(self.uri).read(symbols=[symbol or self.symbol])
        columns = [table.column(name).to_pylist() for name in ("open", "high", "low", "close", "volume")]
        times = [micros // 1000 for micros in table.column("datetime").cast("int64").to_pylist()]
        return list(zip(times, *columns, strict=True))

    def truth(self, since: int, until: int = 0) -> list[tuple[Any, ...]]:
        now = self.server.now // HOUR * HOUR
        times = range(now - since * HOUR, now - until * HOUR, HOUR)
        return [bar(self.market, moment) for moment in times if moment not in self.server.holes]


@pytest.fixture
def bench(server: ExchangeServer, tmp_path: Path) -> Bench:
    return Bench(server, "binance", tmp_path / "set")


@pytest.fixture
def kraken(server: ExchangeServer, tmp_path: Path) -> Bench:
    return Bench(server, "kraken", tmp_path / "set")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Roots of fault-free fetches, by exchange."""
    roots = {}
    for name in MARKETS:
        with ExchangeServer() as server:
            roots[name] = Bench(server, name, tmp_path_factory.mktemp(name)).run()["root"]
    return roots


# Rules


def row(hour: int, **changes: Any) -> list[Any]:
    values = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 1.0, **changes}
    return [hour * HOUR, *values.values()]


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(0, 30), st.integers(30, 60))
def test_a_page_keeps_each_bar_of_the_span_once_and_in_order(hours: list[int], start: int, stop: int) -> None:
    answer = [row(hour, volume=float(hour)) for hour in hours]
    if answer and max(hours) < start:
        with pytest.raises(BadPageError, match="stale page"):
            check_page(answer, start * HOUR, stop * HOUR, GRID)
        return
    page = check_page(answer, start * HOUR, stop * HOUR, GRID)
    assert [entry[0] // HOUR for entry in page.bars] == sorted({hour for hour in hours if start <= hour < stop})
    assert all(entry[5] == entry[0] / HOUR for entry in page.bars)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(1, close=None), "no finite number"),
        (row(1, volume=float("nan")), "no finite number"),
        (row(1, high=float("inf")), "no finite number"),
        (row(1, open="10"), "no finite number"),
        (row(1, low=0.0), "breaks 0 < low"),
        (row(1, high=10.5), "breaks 0 < low"),
        (row(1, low=10.5), "breaks 0 < low"),
        (row(1, volume=-1e-9), "has volume -1e-09"),
        ([HOUR + 1, *row(1)[1:]], "off the ohlcv-1h grid"),
        ([None, *row(1)[1:]], "no bar with a time"),
        ([float(HOUR), *row(1)[1:]], "no bar with a time"),
        (row(1)[:5], "no bar with a time"),
        ("<html>", "no bar with a time"),
        (row(1, close=11.5), "two bars at 1970-01-01T01:00:00Z differ"),
    ],
)
def test_a_bad_row_spoils_its_page(bad: Any, message: str) -> None:
    good = [row(hour) for hour in range(3)]
    assert len(check_page(good, 0, 3 * HOUR, GRID).bars) == 3
    with pytest.raises(BadPageError, match=message):
        check_page([*good, bad], 0, 3 * HOUR, GRID)


def test_values_of_the_running_bar_do_not_matter_and_it_stays_out() -> None:
    page = check_page([row(0), row(1), row(2, close=None)], 0, 2 * HOUR, GRID)
    assert [entry[0] for entry in page.bars] == [0, HOUR]
    assert page.last == 2 * HOUR


@pytest.mark.parametrize("answer", [None, "<html></html>", {"rows": []}, 7])
def test_a_page_that_is_no_list_is_refused(answer: object) -> None:
    with pytest.raises(BadPageError, match="not a list of rows"):
        check_page(answer, 0, HOUR, GRID)


def make_pager(ask: Callable[[int], object], limit: int = 10) -> Pager:
    return Pager(ask, lambda trouble, tries: None, GRID, limit, clock=10**15)


@given(st.data())
def test_any_walk_ends_with_what_exists(data: st.DataObject) -> None:
    """Windowed or not, short pages or not, stored part or not, rows left out of one answer now and then."""
    exists = sorted(data.draw(st.sets(st.integers(0, 80), min_size=1)))
    stop = data.draw(st.integers(1, 90))
    windowed = data.draw(st.booleans())
    answers = 0

    def ask(since: int) -> list[list[Any]]:
        nonlocal answers
        answers += 1
        found = [hour for hour in exists if hour * HOUR >= since and (not windowed or hour * HOUR < since + 10 * HOUR)]
        found = found[: 10 if windowed else data.draw(st.integers(2, 10))]
        if answers % 3 == 1 and len(found) > 1:  # never twice in a row about the same bars
            del found[answers % len(found)]
        return [row(hour) for hour in found]

    pager = make_pager(ask)
    have: list[int] = []
    steps = data.draw(st.sampled_from([[(0, stop)], [(40, 60), (0, stop)], [(20, 30), (10, 50), (0, stop)]]))
    for begin, end in steps:
        stored = (have[0] * HOUR, have[-1] * HOUR) if have else None
        try:
            for page in pager.extend(stored, begin * HOUR, end * HOUR):
                new = [entry[0] // HOUR for entry in page.bars]
                assert not new or not have or new[0] > have[-1] or new[-1] < have[0]
                have = sorted(have + new)
        except DataError as error:  # pages of ever another length and ever another hole: nothing can be believed
            assert "all differ in what they leave out" in str(error)
            assert set(have) <= set(exists)
            return
    if (
        windowed
    ):  # an empty stretch before the first stored bar counts as the beginning: a subset is all that is promised
        assert set(have) <= set(exists)
    else:
        assert set(have) >= {hour for hour in exists if hour < stop}
    assert len(have) == len(set(have))


def test_a_pager_refuses_what_stays_wrong_and_says_why() -> None:
    troubles: list[str] = []
    pager = Pager(lambda since: [row(0), row(0, close=9.5)], lambda t, n: troubles.append(t), GRID, 10, 10**15)
    with pytest.raises(DataError, match=r"two bars at .* differ.*\(5 tries\)"):
        pager.page(0, 10 * HOUR)
    assert len(troubles) == 4


def test_answers_that_never_agree_are_refused() -> None:
    draw = random.Random(1)
    pager = make_pager(lambda since: [row(hour) for hour in sorted(draw.sample(range(0, 3000, 2), 5))], limit=3000)
    with pytest.raises(DataError, match="all differ in what they leave out"):
        pager.page(0, 3000 * HOUR)


def test_an_answer_that_offers_less_confirms_no_hole() -> None:
    full = [row(hour) for hour in range(6)]
    answers = iter([full[:2] + full[4:], [], full[:1], full])
    assert len(make_pager(lambda since: next(answers)).page(0, 6 * HOUR).bars) == 6


def test_only_old_rows_about_the_newest_bars_mean_that_there_are_none() -> None:
    assert make_pager(lambda since: [row(4)]).page(5 * HOUR, 9 * HOUR).bars == ()
    with pytest.raises(DataError, match="stale page"):
        make_pager(lambda since: [row(4)]).page(5 * HOUR, 99 * HOUR)


def test_merging_is_a_union() -> None:
    bars = [tuple(row(hour)) for hour in (3, 1, 3, 2)]
    assert [entry[0] // HOUR for entry in merged(bars)] == [1, 2, 3]


def test_holes_are_counted() -> None:
    assert holes([0, 1, 4, 5, 9], 1) == [(2, 3, 2), (6, 8, 3)]
    assert holes([], 1) == holes([5], 1) == []


@pytest.mark.parametrize(("text", "step"), [("1m", 60_000), ("15m", 900_000), ("4h", 4 * HOUR), ("1d", 24 * HOUR)])
def test_timeframes(text: str, step: int) -> None:
    grid = parse_timeframe(text)
    assert (grid.type, grid.step) == (f"ohlcv-{text}", step)


def test_weeks_begin_on_mondays() -> None:
    monday = parse_when("2024-01-01", "--since")
    grid = parse_timeframe("1w")
    assert grid.on(monday) and grid.floor(monday + 1) == grid.ceil(monday - 1) == monday


@pytest.mark.parametrize("text", ["1M", "1y", "", "h", "0h", "60m", "1x"])
def test_timeframes_without_a_fixed_grid_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="timeframe"):
        parse_timeframe(text)


def test_dates_are_utc_unless_they_say_otherwise() -> None:
    assert parse_when("2024-01-01", "-") == parse_when("2024-01-01T01:00+01:00", "-") == 1_704_067_200_000
    assert iso(1_704_067_200_000) == "2024-01-01T00:00:00Z"
    for text in ("yesterday", "2024-13-01", "1969-12-31"):
        with pytest.raises(UsageError, match=text):
            parse_when(text, "--since")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "Mon, 01 Jan 2024 00:01:00 GMT"}, 60),
        ({"retry-after": "Mon, 01 Jan 2024 00:01:00 GMT", "date": "Mon, 01 Jan 2024 00:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 31 Dec 2023 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0),
        ({}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    assert seconds_to_wait(headers, now=1_704_067_200) == seconds


def test_backoff_doubles_up_to_a_minute_and_is_spread() -> None:
    assert [backoff(tries, 0.0) for tries in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert backoff(500, 0.999) < 60.0
    assert backoff(3, 0.0) < backoff(3, 0.9)


# Against the loopback exchange


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", MARKETS)
def test_one_misbehaviour_changes_nothing(
    name: str, fault: str, server: ExchangeServer, tmp_path: Path, reference: dict[str, str]
) -> None:
    server.script.extend([None, fault] if name == "binance" else [fault])
    bench = Bench(server, name, tmp_path / "set")
    result = bench.run()
    assert not server.script
    assert result["root"] == reference[name]
    assert result["series"][0]["gaps"] == [] and result["notes"] == []
    asked_again = {*WAITING, *BROKEN, *WRONG}
    quiet = fault in {*HARMLESS, *LOSSY} or (name, fault) in {("kraken", "stale"), ("kraken", "object")}
    assert (result["series"][0]["retries"] == 0) == quiet
    assert quiet or fault in asked_again


def test_the_reference_is_the_truth(bench: Bench, kraken: Bench, reference: dict[str, str]) -> None:
    assert bench.run()["root"] == reference["binance"]
    assert bench.stored() == bench.truth(2300)
    bench.uri = kraken.uri = bench.uri + "-kraken"
    assert kraken.run()["root"] == reference["kraken"]
    assert kraken.stored() == kraken.truth(700)


schedules = st.lists(
    st.one_of(st.none(), st.sampled_from([fault for fault in FAULTS if fault != "empty"])), max_size=14
).flatmap(
    # Two empty answers in a row about the same bars cannot be told from the truth: at most one.
    lambda faults: st.integers(0, len(faults)).map(lambda place: [*faults[:place], "empty", *faults[place:]])
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=schedules, other=st.lists(st.sampled_from([None, *WAITING, *BROKEN]), max_size=3), seed=st.integers(0, 9))
def test_any_schedule_of_passing_faults_ends_in_the_same_root(
    script: list[str | None],
    other: list[str | None],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
    small_reference: str,
) -> None:
    with ExchangeServer(script, other) as server:
        server.page_limit = 60
        bench = Bench(server, "binance", tmp_path_factory.mktemp("any"))
        for _ in range(8):
            try:
                result = bench.run(300, flush_every=1 + seed)
            except (DataError, ClusterError):
                continue  # five bad pages in a row, say: what was good is kept, and another run continues
            if not result["series"][0]["lacking"]:
                break
        assert bench.stored() == bench.truth(300)
        assert result["root"] == small_reference


@pytest.fixture(scope="module")
def small_reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    with ExchangeServer() as server:
        return str(Bench(server, "binance", tmp_path_factory.mktemp("small")).run(300)["root"])


@pytest.mark.parametrize("fault", [fault for fault in WRONG if fault not in {"stale", "object"}])
def test_what_stays_wrong_is_refused_the_good_is_kept_and_a_rerun_continues(
    bench: Bench, fault: str, reference: dict[str, str]
) -> None:
    bench.server.script.extend([None, None, *[fault] * 5])
    with pytest.raises(DataError, match=r"BTC/USDT: .*5 tries"):
        bench.run()
    assert bench.stored() == bench.truth(2300, until=300)
    assert bench.run()["root"] == reference["binance"]


def test_a_series_that_is_refused_does_not_stop_the_others(bench: Bench) -> None:
    bench.server.script.extend(["null"] * 5)
    with pytest.raises(DataError, match="BTC/USDT"):
        bench.run(100, symbols="BTC/USDT,ETH/USDT")
    assert bench.stored() == [] and len(bench.stored("ETH/USDT")) == 100


@pytest.mark.parametrize(("fault", "seconds"), [("429", 7), ("429-date", 30), ("418", 120)])
def test_the_exchange_is_left_alone_for_as_long_as_it_asks(bench: Bench, fault: str, seconds: float) -> None:
    bench.server.script.append(fault)
    bench.run(100)
    assert len(bench.slept) == 1
    assert seconds <= bench.slept[0] <= seconds + 1


def test_a_wait_beyond_the_patience_is_not_begun(bench: Bench, reference: dict[str, str]) -> None:
    bench.server.script.extend([None, "418"])
    exchange = bench.exchange(max_wait=60.0)
    intake = Intake(Wish(bench.symbol, since=bench.ago(2300), to=bench.uri), exchange)
    failure = intake.run(lambda line: None, lambda series: None)
    assert isinstance(failure, ClusterError) and "--max-wait is 60 s" in str(failure)
    assert not bench.slept
    assert bench.stored() == bench.truth(2300, until=1300)
    assert bench.run()["root"] == reference["binance"]


def test_an_outage_that_lasts_ends_the_run_within_the_patience(bench: Bench) -> None:
    bench.server.always = "503"
    with pytest.raises(ClusterError, match=r"did not give BTC/USDT bars: HTTP 503"):
        bench.run(100)
    assert sum(bench.slept) <= 300


def test_the_running_bar_stays_out_until_it_is_closed(bench: Bench) -> None:
    bench.run(50)
    now = bench.server.now // HOUR * HOUR
    assert bench.stored()[-1] == bar("BTCUSDT", now - HOUR)
    assert bar("BTCUSDT", now) != bar("BTCUSDT", now, closed=False)
    bench.server.now += HOUR
    assert bench.run(51)["series"][0]["new"] == 1
    assert bench.stored()[-1] == bar("BTCUSDT", now)


@pytest.mark.parametrize(("late", "closed"), [(0, 49), (4, 49), (6, 50)])
def test_a_bar_settles_before_it_counts_as_closed(bench: Bench, late: int, closed: int) -> None:
    since = bench.ago(49)
    bench.server.now = bench.server.now // HOUR * HOUR + HOUR + late * 1000
    intake = Intake(Wish("BTC/USDT", since=since, to=bench.uri), bench.exchange())
    assert intake.run(lambda line: None, lambda series: None) is None
    assert len(bench.stored()) == closed


def test_the_earlier_of_both_clocks_counts(bench: Bench) -> None:
    behind = bench.server.now / 1000 - 3 * 3600
    assert bench.exchange(clock=lambda: behind).clock_ms() == int(behind * 1000) - 5000
    assert bench.exchange(clock=lambda: behind + 10**6).clock_ms() == bench.server.now - 5000
    assert sum("clock" in line for line in bench.said) == 2


def test_real_holes_are_asked_for_twice_kept_and_told(bench: Bench) -> None:
    now = bench.server.now // HOUR * HOUR
    bench.server.holes = {now - hours * HOUR for hours in (30, 31, 50)}
    series = bench.run(100)["series"][0]
    assert [(gap["last"], gap["bars"]) for gap in series["gaps"]] == [(bench.ago(50), 1), (bench.ago(30), 2)]
    assert bench.stored() == bench.truth(100)
    assert len(bench.server.candle_requests) == 2


def test_a_finished_fetch_asks_only_for_the_newest_bars(bench: Bench) -> None:
    now = bench.server.now // HOUR * HOUR
    bench.server.holes = {now - 500 * HOUR}
    root = bench.run(1500)["root"]
    bench.server.candle_requests.clear()
    again = bench.run(1500)
    assert (again["root"], again["series"][0]["new"]) == (root, 0)
    assert bench.server.candle_requests == []
    bench.server.now += 2 * HOUR
    assert bench.run(1502)["series"][0]["new"] == 2
    assert bench.server.candle_requests == [now]


def test_a_stored_series_needs_no_since_and_grows_to_both_sides(bench: Bench, reference: dict[str, str]) -> None:
    bench.run(1200, until=bench.ago(900))
    assert bench.stored() == bench.truth(1200, until=900)
    intake = Intake(Wish(bench.symbol, to=bench.uri), bench.exchange())
    assert intake.run(lambda line: None, lambda series: None) is None
    assert bench.stored() == bench.truth(1200)
    result = bench.run(2300)
    assert result["root"] == reference["binance"]
    assert (result["series"][0]["first"], result["series"][0]["gaps"]) == (bench.ago(2300), [])


def test_older_bars_come_chunk_by_chunk_from_the_stored_ones_backward(bench: Bench, reference: dict[str, str]) -> None:
    bench.run(100)
    bench.server.script.extend([None, None, *["null"] * 5])  # probe, nearest chunk, then trouble
    with pytest.raises(DataError):
        bench.run(2300)
    assert bench.stored() == bench.truth(1100)
    assert bench.run(2300)["root"] == reference["binance"]


def test_an_exchange_that_gives_less_than_it_says_loses_nothing(bench: Bench, reference: dict[str, str]) -> None:
    bench.server.page_limit = 300
    assert bench.run()["root"] == reference["binance"]


def test_a_symbol_listed_later_begins_there(bench: Bench) -> None:
    bench.server.listed = bench.server.now // HOUR * HOUR - 200 * HOUR
    result = bench.run(2300)
    assert bench.stored() == bench.truth(200)
    assert result["notes"] == [
        f"BTC/USDT begins {bench.ago(200)}: 2100 bars from {bench.ago(2300)} on were not offered"
    ]
    bench.server.candle_requests.clear()
    bench.run(2300)
    assert len(bench.server.candle_requests) <= 2


def test_a_recent_window_is_recognised_and_said(kraken: Bench) -> None:
    result = kraken.run(2000)
    assert kraken.stored() == kraken.truth(719)
    assert "kraken keeps only its newest 720 BTC/USD bars" in result["notes"][0]
    assert "1281 bars" in result["notes"][1]
    kraken.server.now += 800 * HOUR
    result = kraken.run(2800)
    assert [gap["bars"] for gap in result["series"][0]["gaps"]] == [81]
    assert "kraken keeps only" in result["notes"][0]


def test_nothing_offered_is_said(bench: Bench) -> None:
    bench.server.listed = bench.server.now + HOUR
    assert bench.run(100)["notes"] == [f"binance offers no BTC/USDT bars in {bench.ago(100)} .. {bench.ago(0)}"]
    assert not Path(bench.uri).exists()


def test_an_interrupt_keeps_what_was_fetched(bench: Bench, reference: dict[str, str]) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    bench.server.script.extend([None, None, "503"])
    intake = Intake(Wish(bench.symbol, since=bench.ago(2300), to=bench.uri), bench.exchange(sleep=interrupt))
    with pytest.raises(KeyboardInterrupt):
        intake.run(lambda line: None, lambda series: None)
    assert bench.stored() == bench.truth(2300, until=300)
    assert bench.run()["root"] == reference["binance"]


@pytest.mark.parametrize("pages", [2, 7])
def test_killed_in_the_middle_and_run_again(bench: Bench, pages: int) -> None:
    bench.server.page_limit = 200
    code = "from data.fetch_cli import fetch; fetch()"
    options = ["--exchange", "binance", "--symbols", bench.symbol, "--since", bench.ago(2300), "--to", bench.uri]
    command = [sys.executable, "-c", code, *options, "--base-url", bench.server.url, "--flush-every", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(bench.server.candle_requests) < pages and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = bench.stored()
    assert kept == bench.truth(2300)[: len(kept)]
    assert len(kept) >= (pages - 2) * 200
    before = len(bench.server.candle_requests)
    bench.run()
    assert bench.stored() == bench.truth(2300)
    assert len(bench.server.candle_requests) - before <= 12 - len(kept) // 200


# Bad input


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"symbols": "BTCUSDT"}, r"'BTCUSDT' is not listed on binance; did you mean BTC/USDT"),
        ({"symbols": " , "}, "--symbols names none"),
        ({"symbols": "OBSCURE/USDT"}, "--sector OBSCURE/USDT=SLUG"),
        ({"timeframe": "7h"}, "'7h' is not offered by binance; it has"),
        ({"timeframe": "1M"}, "no fixed length"),
        ({"since": "2099-01-01"}, "lies in the future"),
        ({"since": "2024-02-01", "until": "2024-01-01"}, "is not after"),
        ({"since": None}, "BTC/USDT is not in .* say from when on with --since"),
    ],
)
def test_wishes_that_make_no_sense(bench: Bench, wish: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Intake(Wish(**{"symbols": "BTC/USDT", "since": bench.ago(100), "to": bench.uri, **wish}), bench.exchange())
    assert not Path(bench.uri).exists()


def test_unknown_exchanges_and_addresses_are_refused() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*binance"):
        Exchange("binanse")
    for url in ("127.0.0.1:80", "ftp://host", "http://", "http://host:port", "http://host/?x=1"):
        with pytest.raises(UsageError, match="is no web address"):
            Exchange("binance", base_url=url)


def test_near_matches() -> None:
    assert near("btc-usdt", ["BTC/USDT", "ETH/USDT"]).startswith("did you mean BTC/USDT")
    assert near("zzz", ["BTC/USDT"]) == "no known name is close to it"


def test_an_exchange_that_is_not_there(bench: Bench) -> None:
    with ExchangeServer() as gone:
        url = gone.url
    exchange = Exchange("binance", base_url=url, sleep=bench.slept.append)
    with pytest.raises(ClusterError, match=r"binance cannot be reached: .*check the network, proxy and --base-url"):
        exchange.bases(["BTC/USDT"])
    assert len(bench.slept) == 2


def test_an_address_that_serves_something_else(bench: Bench) -> None:
    exchange = Exchange("binance", base_url=bench.server.url + "/elsewhere", sleep=bench.slept.append, throttle=False)
    with pytest.raises(ClusterError, match="refuses its list of markets"):
        exchange.bases(["BTC/USDT"])
    assert not bench.slept


# The command


def command(bench: Bench, *more: str) -> Any:
    options = ["--exchange", "binance", "--symbols", "BTC/USDT", "--since", bench.ago(120), "--to", bench.uri]
    return CliRunner().invoke(fetch, [*options, "--base-url", bench.server.url, *more])


def test_the_command_prints_one_json_document(bench: Bench) -> None:
    result = command(bench, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["root"] == Dataset.open(bench.uri).root
    (series,) = document["series"]
    assert (series["symbol"], series["sector"], series["rows"], series["new"]) == (
        "BTC/USDT",
        "crypto-majors",
        120,
        120,
    )
    assert (series["first"], series["last"], series["gaps"]) == (bench.ago(120), bench.ago(1), [])
    assert "120 bars appended" in result.stderr


def test_the_command_speaks_to_people(bench: Bench) -> None:
    result = command(bench)
    assert f"120 bars {bench.ago(120)} .. {bench.ago(1)}, 120 new" in result.stdout
    assert str(Dataset.open(bench.uri).root) in result.stdout


def test_a_dry_run_writes_nothing(bench: Bench) -> None:
    document = json.loads(command(bench, "--dry-run", "--json").stdout)
    assert (document["dry_run"], document["series"][0]["lacking"]) == (True, 120)
    assert not Path(bench.uri).exists()
    assert bench.server.candle_requests == []


def test_the_mirror_can_be_set_in_the_environment(bench: Bench) -> None:
    options = ["--exchange", "binance", "--symbols", "BTC/USDT", "--since", bench.ago(9), "--to", bench.uri]
    result = CliRunner(env={"LONGTAIL_EXCHANGE_URL": bench.server.url}).invoke(fetch, options)
    assert result.exit_code == 0 and len(bench.stored()) == 9


def test_ctrl_c_leaves_with_130(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Exchange, "page", interrupt)
    result = command(bench, "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["interrupted"] is True


def test_a_failure_prints_what_is_there_and_carries_the_exit_code(bench: Bench) -> None:
    bench.server.script.append("418")
    result = command(bench, "--json", "--max-wait", "60")
    assert isinstance(result.exception, ClusterError) and result.exception.exit_code == 4
    assert json.loads(result.stdout)["series"][0]["rows"] == 0
