"""Which undeclared groups a dataset offers: always the same, never the declared names while there are others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import SeriesSummary
from data.manifest import to_micros
from protocol.errors import DataError
from protocol.topics import Topic
from validator.groups import MAX_GROUPS, MIN_DAYS, Group, asset_of, choose_groups, is_declared, live_groups, min_bars

ROOT = "0" * 64
START = datetime(2010, 1, 1, tzinfo=UTC)
TOPIC = Topic(name="t", type="ohlcv-1d", broker="north", horizon=5, sectors=("equity-a",))


def summary(
    symbol: str, sector: str, *, broker: str = "north", type_: str = "ohlcv-1d", days: int = 2000, gaps: int = 0
) -> SeriesSummary:
    bars = days * (24 if type_.endswith("-1h") else 1)
    last = START + timedelta(days=days)
    return SeriesSummary(type_, broker, symbol, sector, bars, START, last, gaps, gaps)


def sector(name: str, count: int, **options: Any) -> list[SeriesSummary]:
    label = f"{options.get('broker', 'north')}-{options.get('type_', 'ohlcv-1d')}-{name}".upper()
    return [summary(f"{label}-{number}", name, **options) for number in range(count)]


WIDE = [
    *sector("equity-a", 6),
    *(one for name in "bcde" for one in sector(f"equity-{name}", 6)),
    *sector("crypto-a", 7),
    *sector("equity-f", 5, broker="south"),
    *sector("fx", 5, broker="south"),
    *sector("equity-g", 5, type_="ohlcv-1h"),
]


def names(groups: Sequence[Group]) -> list[str]:
    return [group.name for group in groups]


def test_kinds_of_difference_take_turns() -> None:
    groups = choose_groups(WIDE, TOPIC, ROOT)
    assert [group.kind for group in groups] == [
        "sector",
        "asset",
        "broker",
        "type",
        "sector",
        "asset",
        "sector",
        "sector",
    ]
    assert all(len(group.symbols) >= 5 for group in groups)
    assert len(set(names(groups))) == len(groups) == MAX_GROUPS


def test_the_choice_depends_on_the_content_and_on_nothing_else() -> None:
    shuffled = random.Random(1).sample(WIDE, len(WIDE))
    assert choose_groups(shuffled, TOPIC, ROOT) == choose_groups(WIDE, TOPIC, ROOT)
    orders = {tuple(names(choose_groups(WIDE, TOPIC, f"{number:064x}"))) for number in range(8)}
    assert len(orders) > 1


def test_an_asset_is_in_one_group_only_and_declared_assets_in_none() -> None:
    perps = [summary(f"{base}/USDT:USDT", "crypto-l1", broker="perp", type_="ohlcv-1h") for base in "ABCDEF"]
    spot = [summary(f"{base}/USDT", "crypto-l1", broker="spot", type_="ohlcv-1h") for base in "ABCDEFGHIJK"]
    other = [summary(f"{base}/USD", "crypto-l1", broker="third", type_="ohlcv-1h") for base in "GHIJKLMNOP"]
    topic = Topic(name="t", type="ohlcv-1h", broker="perp", horizon=24)
    groups = choose_groups([*perps, *spot, *other], topic, ROOT)
    bases = [asset_of(symbol) for group in groups for symbol in group.symbols if group.end == groups[0].end]
    assert not set(bases) & set("ABCDEF")
    assert len(bases) == len(set(bases))


def test_small_sectors_of_a_broker_are_pooled() -> None:
    series = [*WIDE[:37], *sector("equity-x", 2), *sector("equity-y", 2), *sector("equity-z", 3)]
    pooled = [group for group in choose_groups(series, TOPIC, ROOT) if len(group.sectors) > 1]
    assert [group.sectors for group in pooled] == [("equity-x", "equity-y", "equity-z")]
    assert pooled[0].name == "north ohlcv-1d equity-x+2"


def test_series_without_the_declared_columns_serve_no_group() -> None:
    poor = [*WIDE[:6], *(one for name in "bcdefgh" for one in sector(f"equity-{name}", 6, type_="close-1d"))]
    assert {group.kind for group in choose_groups(poor, TOPIC, ROOT)} == {"declared"}
    hourly = replace(TOPIC, type="ohlcv-1h", sectors=("equity-g",))
    assert {group.type for group in choose_groups(WIDE, hourly, ROOT)} == {"ohlcv-1h"}, "days know no hour of the day"


def test_few_pools_are_cut_into_names_and_eras() -> None:
    groups = choose_groups([*WIDE[:6], *sector("equity-b", 11)], TOPIC, ROOT)
    assert len(groups) == 6
    assert {group.kind for group in groups} == {"sector"}
    eras = sorted({(group.start, group.end) for group in groups})
    assert len(eras) == 3
    assert all(one[1] == other[0] for one, other in pairwise(eras))
    first = [set(group.symbols) for group in groups if group.start == eras[0][0]]
    assert len(first) == 2
    assert not first[0] & first[1]


def test_the_declared_names_serve_only_when_nothing_else_is_there_and_before_their_test_slice() -> None:
    groups = choose_groups(WIDE[:6], TOPIC, ROOT)
    assert {group.kind for group in groups} == {"declared"}
    span = to_micros(WIDE[0].last) - to_micros(START)
    assert max(group.end for group in groups) <= to_micros(START) + 0.8 * span
    everything = replace(TOPIC, sectors=())
    assert {group.kind for group in choose_groups(WIDE[:12], everything, ROOT)} == {"declared"}


def test_pools_below_five_names_serve_small_topics_only() -> None:
    small = [*sector("fx", 2), *(one for number in range(8) for one in sector("fx", 2, broker=f"b{number}"))]
    topic = replace(TOPIC, sectors=("fx",))
    groups = choose_groups(small, topic, ROOT)
    assert {len(group.symbols) for group in groups} == {2}
    assert {group.kind for group in groups} == {"broker"}
    with pytest.raises(DataError, match="offers 0 groups"):
        choose_groups([*sector("fx", 5, days=300), *small[2:]], topic, ROOT)


@pytest.mark.parametrize("days", [100, min_bars(5)])
def test_a_dataset_that_is_too_small_is_no_verdict(days: int) -> None:
    with pytest.raises(DataError, match=r"offers 0 groups .* 6 are needed, each with 280 usable bars over 40 days"):
        choose_groups(sector("equity-a", 6, days=days), TOPIC, ROOT)


def test_gaps_cost_a_warm_up_each() -> None:
    holes = [one for name in "bcdefgh" for one in sector(f"equity-{name}", 5, gaps=10)]
    assert {group.kind for group in choose_groups([*WIDE[:6], *holes], TOPIC, ROOT)} == {"declared"}


def test_live_groups_are_whole_and_undeclared() -> None:
    assert live_groups(WIDE, TOPIC, ROOT) == choose_groups(WIDE, TOPIC, ROOT)
    few = [*WIDE[:6], *sector("equity-b", 11), *sector("fx", 2)]
    assert [(group.name, len(group.symbols)) for group in live_groups(few, TOPIC, ROOT)] == [
        ("north ohlcv-1d equity-b", 11)
    ]
    assert live_groups(WIDE[:6], TOPIC, ROOT) == ()
    small = replace(TOPIC, sectors=("fx",))
    others = [*sector("fx", 2), *sector("fx", 3, broker="south")]
    assert [group.broker for group in live_groups(others, small, ROOT)] == ["south"]


DATASETS = st.lists(
    st.builds(
        sector,
        st.sampled_from(["equity-a", "equity-b", "equity-c", "crypto-a", "crypto-b", "fx", "metals"]),
        st.integers(1, 12),
        broker=st.sampled_from(["north", "south", "east"]),
        type_=st.sampled_from(["ohlcv-1d", "ohlcv-1h", "close-1d"]),
        days=st.integers(50, 4000),
        gaps=st.integers(0, 3),
    ),
    max_size=15,
).map(lambda parts: list({(one.type, one.broker, one.symbol): one for part in parts for one in part}.values()))


@settings(max_examples=200, deadline=None)
@given(DATASETS, st.integers(1, 60))
def test_whatever_the_dataset_the_groups_are_sound(series: list[SeriesSummary], horizon: int) -> None:
    topic = replace(TOPIC, horizon=horizon)
    try:
        groups = choose_groups(series, topic, ROOT)
    except DataError:
        return
    assert 6 <= len(groups) <= MAX_GROUPS
    assert len(set(names(groups))) == len(groups)
    there = {(one.type, one.broker, one.symbol): one for one in series}
    small = sum(is_declared(one, topic) for one in series) < 5
    for group in groups:
        members = [there[group.type, group.broker, symbol] for symbol in group.symbols]
        assert {one.sector for one in members} <= set(group.sectors)
        assert len(members) >= 5 or small
        assert all(is_declared(one, topic) == (group.kind == "declared") for one in members)
        assert group.end - group.start >= MIN_DAYS * 86_400_000_000
    for one in groups:
        for other in groups:
            if one is not other and one.start < other.end and other.start < one.end and len(one.symbols) >= 5:
                assert not {asset_of(name) for name in one.symbols} & {asset_of(name) for name in other.symbols}
