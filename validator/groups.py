"""Which groups of series a dataset offers beside those a topic declared: where a pipeline must work unprepared.

Pure over series summaries. Everybody who has the same summaries, topic and salt gets the same groups in the same order,
and nobody can choose them: ties are broken by hashes over the salt. A screen's is the content root, live evidence's the
block hash.

1. Pools of at least five names: a sector of one (type, broker), or its small sectors together. They are taken in turn
   from other sectors, other asset classes, other brokers and other types; no asset is in two of them, and none of
   those that the topic declares.
2. With fewer than six pools these are cut into sets of names, then into eras.
3. If that is not enough: pools of fewer than five names, for a topic that is as small itself.
4. If nothing undeclared is left: the declared series, cut into sets of names and eras that end before the declared
   test slice.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from data.dataset import SeriesSummary
from data.features import SIGMA_BARS
from data.manifest import to_iso, to_micros
from data.schema import DAY_US, data_columns, interval_of
from data.splits import MIN_EMBARGO
from protocol.errors import DataError
from protocol.generality import MIN_GROUPS
from protocol.scores import PANEL_MIN
from protocol.topics import Topic

MAX_GROUPS = 8  # each costs two fits per contender
MAX_SYMBOLS = 50  # of one group
MIN_DAYS = 40  # of one group, of which about 25 are scored
SMALL_DAYS = 7 * MIN_DAYS  # the same for groups that are scored by the week
DECLARED_SHARE = 0.8  # what lies before the declared test slice
WEEK_US = 7 * DAY_US

Kind = Literal["sector", "asset", "broker", "type", "declared"]
KINDS: tuple[Kind, ...] = ("sector", "asset", "broker", "type")


@dataclass(frozen=True, slots=True)
class Group:
    """Series to refit on.

    Attributes
    ----------
    name : str
        Unique among the groups of a topic.
    kind : str
        What sets it apart from what the topic declared: ``sector``, ``asset`` (class), ``broker``, ``type``; or
        ``declared``, when the dataset has nothing else.
    type, broker : str
    sectors, symbols : tuple of str
        Sorted.
    start, end : int
        Bars that open in [start, end) belong to it, microseconds since 1970 UTC.
    """

    name: str
    kind: Kind
    type: str
    broker: str
    sectors: tuple[str, ...]
    symbols: tuple[str, ...]
    start: int
    end: int

    def topic(self, like: Topic) -> Topic:
        """Return the topic of its panel: target and features of `like`, its own series, all eras."""
        return Topic(
            name="group",
            type=self.type,
            broker=self.broker,
            horizon=like.horizon,
            symbols=self.symbols,
            features=like.features,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "type": self.type,
            "broker": self.broker,
            "sectors": list(self.sectors),
            "symbols": list(self.symbols),
            "start": to_iso(self.start),
            "end": to_iso(self.end),
        }


def choose_groups(series: Sequence[SeriesSummary], topic: Topic, salt: str) -> tuple[Group, ...]:
    """Return 6 to 8 groups that `topic` did not declare, in a fixed order.

    Parameters
    ----------
    series : sequence of SeriesSummary
        All series of the dataset.
    topic : Topic
    salt : str
        Decides the order; the content root at a screen.

    Raises
    ------
    DataError
        The dataset is too small for six groups.
    """
    fitting = _fitting(series, topic)
    bars = {(one.type, one.broker, one.symbol): _bars(one, topic) for one in fitting}
    chosen, small = _undeclared(series, topic, salt)
    if chosen and len(chosen) < MIN_GROUPS:
        wanted = math.ceil(MIN_GROUPS / len(chosen))
        chosen = [part for pool in chosen for part in _cut(pool, wanted, bars, topic, salt)]
    if len(chosen) < MIN_GROUPS:
        chosen += small
    own = [one for one in fitting if is_declared(one, topic)]
    if own and len(chosen) < MIN_GROUPS:
        pool = _pool(own, "declared")
        pool = replace(pool, end=pool.start + int(_days(pool) * DECLARED_SHARE) * DAY_US)
        chosen += _cut(pool, MIN_GROUPS - len(chosen), bars, topic, salt)
    if len(chosen) < MIN_GROUPS:
        raise DataError(
            f"topic {topic.name!r}: the dataset offers {len(chosen)} groups of series beside the declared ones, "
            f"{MIN_GROUPS} are needed, each with {min_bars(topic.horizon)} usable bars over {MIN_DAYS} days; "
            "use a dataset with more sectors or brokers or a longer history"
        )
    return tuple(chosen[:MAX_GROUPS])


def live_groups(series: Sequence[SeriesSummary], topic: Topic, salt: str) -> tuple[Group, ...]:
    """Return the up to eight whole groups that `topic` did not declare, in a fixed order; there may be none.

    As :func:`choose_groups`, but nothing is cut: eras that are over have no days to come, parts of a group say less
    than the whole and cost more fits, and the declared series are judged as they are.
    """
    chosen, small = _undeclared(series, topic, salt)
    return tuple([*chosen, *(small if len(chosen) < MIN_GROUPS else [])][:MAX_GROUPS])


def is_declared(one: SeriesSummary, topic: Topic) -> bool:
    """Return whether a series belongs to the topic's own panel."""
    return (
        (one.type, one.broker) == (topic.type, topic.broker)
        and (not topic.sectors or one.sector in topic.sectors)
        and (not topic.symbols or one.symbol in topic.symbols)
    )


def asset_of(symbol: str) -> str:
    """Return what a symbol stands for: ``BTC`` of ``BTC/USDT:USDT``, so that one asset at two brokers counts as one."""
    return symbol.partition("/")[0]


def min_bars(horizon: int) -> int:
    """Return the usable bars that a group needs for two folds with training parts worth the name."""
    return 4 * (horizon + 1 + max(horizon, MIN_EMBARGO)) + 160


def _fits(one: SeriesSummary, topic: Topic) -> bool:
    """Return whether the panel of a series can have all columns of the topic's panel."""
    interval, own = interval_of(one.type), interval_of(topic.type)
    if interval is None or own is None or not set(data_columns(topic.type)) <= set(data_columns(one.type)):
        return False
    # The hour needs bars within a day, the weekday bars within a week.
    return all(interval < length or own >= length for length in (DAY_US, WEEK_US))


def _bars(one: SeriesSummary, topic: Topic) -> int:
    """Return how many bars will have features and a target: every gap costs a warm-up."""
    return one.rows - (1 + one.gaps) * (SIGMA_BARS + topic.horizon + 1)


def _fitting(series: Iterable[SeriesSummary], topic: Topic) -> list[SeriesSummary]:
    """Return the series that could carry the topic's panel: all its columns, and enough bars."""
    return [one for one in series if _fits(one, topic) and _bars(one, topic) >= min_bars(topic.horizon)]


def _undeclared(series: Sequence[SeriesSummary], topic: Topic, salt: str) -> tuple[list[Group], list[Group]]:
    """Return undeclared groups of at least five names and, for a topic that is as small, smaller ones; eras whole."""
    declared = [one for one in series if is_declared(one, topic)]
    assets = {asset_of(one.symbol) for one in declared}
    others = [one for one in _fitting(series, topic) if asset_of(one.symbol) not in assets]
    pools = _pools(others, topic, {_class_of(one) for one in declared})
    large = _in_turn([pool for pool in pools if len(pool.symbols) >= PANEL_MIN], topic, salt)
    small = [pool for pool in pools if len(pool.symbols) < PANEL_MIN and len(declared) < PANEL_MIN]
    return _disjoint(large), _in_turn(small, topic, salt)


def _class_of(one: SeriesSummary) -> str:
    return one.sector.partition("-")[0]  # crypto-defi, equity-energy, fx


def _pools(series: Iterable[SeriesSummary], topic: Topic, classes: set[str]) -> list[Group]:
    """Return one group per sector, small sectors of a (type, broker) pooled; eras whole."""
    panels: dict[tuple[str, str], dict[str, list[SeriesSummary]]] = defaultdict(lambda: defaultdict(list))
    for one in series:
        panels[one.type, one.broker][one.sector].append(one)
    pools = []
    for sectors in panels.values():
        heaps = [members for members in sectors.values() if len(members) >= PANEL_MIN]
        small: list[SeriesSummary] = []
        for _, members in sorted((name, members) for name, members in sectors.items() if len(members) < PANEL_MIN):
            small += members
            if len(small) >= PANEL_MIN:
                heaps.append(small)
                small = []
        if small:
            heaps.append(small)
        pools += [_pool(heap, _kind(heap, topic, classes)) for heap in heaps]
    return [pool for pool in pools if _days(pool) >= (MIN_DAYS if len(pool.symbols) >= PANEL_MIN else SMALL_DAYS)]


def _kind(heap: Sequence[SeriesSummary], topic: Topic, classes: set[str]) -> Kind:
    if not classes & {_class_of(one) for one in heap}:
        return "asset"
    if heap[0].type != topic.type:
        return "type"
    return "broker" if heap[0].broker != topic.broker else "sector"


def _pool(heap: Sequence[SeriesSummary], kind: Kind) -> Group:
    """Return the group of some series of one (type, broker), over the time in which enough of them exist."""
    type_, broker = heap[0].type, heap[0].broker
    sectors = tuple(sorted({one.sector for one in heap}))
    enough = min(len(heap), PANEL_MIN) - 1
    first = sorted(to_micros(one.first) for one in heap)[enough]
    last = sorted((to_micros(one.last) for one in heap), reverse=True)[enough]
    return Group(
        name=f"{broker} {type_} {sectors[0]}" + f"+{len(sectors) - 1}" * (len(sectors) > 1),
        kind=kind,
        type=type_,
        broker=broker,
        sectors=sectors,
        symbols=tuple(sorted(one.symbol for one in heap)),
        start=first // DAY_US * DAY_US,
        end=(last // DAY_US + 1) * DAY_US,
    )


def _days(pool: Group) -> int:
    return (pool.end - pool.start) // DAY_US


def _order(topic: Topic, salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}\n{topic.name}\n{name}".encode()).hexdigest()


def _in_turn(pools: Sequence[Group], topic: Topic, salt: str) -> list[Group]:
    """Return all pools, one of each kind in turn."""
    by_kind: dict[Kind, list[Group]] = {
        kind: sorted((pool for pool in pools if pool.kind == kind), key=lambda pool: _order(topic, salt, pool.name))
        for kind in KINDS
    }
    longest = max(map(len, by_kind.values()))
    return [by_kind[kind][turn] for turn in range(longest) for kind in KINDS if turn < len(by_kind[kind])]


def _disjoint(pools: Iterable[Group]) -> list[Group]:
    """Return up to eight pools without an asset in common."""
    chosen: list[Group] = []
    used: set[str] = set()
    for pool in pools:
        symbols = [symbol for symbol in pool.symbols if asset_of(symbol) not in used]
        if len(symbols) < PANEL_MIN:
            continue
        symbols = sorted(sorted(symbols, key=lambda symbol: hashlib.sha256(symbol.encode()).digest())[:MAX_SYMBOLS])
        used |= {asset_of(symbol) for symbol in symbols}
        chosen.append(replace(pool, symbols=tuple(symbols)))
        if len(chosen) == MAX_GROUPS:
            break
    return chosen


def _cut(pool: Group, wanted: int, bars: Mapping[tuple[str, str, str], int], topic: Topic, salt: str) -> list[Group]:
    """Return a pool in `wanted` parts or a few more, fewer where it is too small: sets of names first, then eras."""
    enough = min(len(pool.symbols), PANEL_MIN)
    names = max(1, min(len(pool.symbols) // PANEL_MIN, wanted))
    known = sorted((bars[pool.type, pool.broker, symbol] for symbol in pool.symbols), reverse=True)[enough - 1]
    least = MIN_DAYS if enough == PANEL_MIN else SMALL_DAYS
    eras = max(1, min(math.ceil(wanted / names), known // min_bars(topic.horizon), _days(pool) // least))
    dealt = sorted(pool.symbols, key=lambda symbol: _order(topic, salt, symbol))
    days, parts = _days(pool), []
    for era in range(eras):
        for part in range(names):
            label = f" names {part + 1}/{names}" * (names > 1) + f" era {era + 1}/{eras}" * (eras > 1)
            cut = replace(
                pool,
                name=pool.name + label,
                symbols=tuple(sorted(dealt[part::names][:MAX_SYMBOLS])),
                start=pool.start + days * era // eras * DAY_US,
                end=pool.start + days * (era + 1) // eras * DAY_US,
            )
            parts.append(cut)
    return parts
