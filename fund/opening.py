"""Opening what a fund's daemon works with: charter, store, ledger, keys, data, jail, clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from data.panel_store import panels_folder
from data.sample import dataset_uri
from fund.charter import Charter, PoolTerms
from fund.clock import Clock, LiveClock, ReplayClock
from fund.courier import Courier, refuse_unfit
from fund.feeds import Feeds
from fund.forecasters import FORECASTERS
from fund.maker import Maker, bar_times
from fund.peers import Ask
from fund.replica import Replica
from fund.signing import FOLDER, Signing
from fund.store import Store
from infra.clock import Time, clock_file, network_time, write_time
from infra.fetching import get_json
from infra.home import find_home, make_folder
from infra.keystore import keystore_path, load_key, password_for, stored_key
from infra.network import FUND, VALIDATOR, OpenLedger, find_key, open_network, values_place
from infra.settings import Settings
from infra.topics import find_topic
from protocol.errors import ClusterError, ConfigError
from protocol.head.schedule import PERIOD_S, Period
from protocol.keys import Key
from protocol.ledger.params import LTFT
from protocol.ledger.state import State
from validator.evaluation import Replays, limits_of, replays_folder
from validator.guard import Guard
from validator.sandbox.proven import proven_sandbox

#: Of a peer's answer: a page of 64 HEADs.
MAX_ANSWER_BYTES = 16 << 20
ASK_S = 5.0
#: Between looks whether the fund answers yet, seconds.
MAX_WAIT_S = 8.0
END = 2**53


@dataclass(frozen=True, slots=True)
class Replaying:
    """How a simulation is run.

    Attributes
    ----------
    start, end : datetime or None
        First moment at which a bar may close and first at which none may, UTC; None: as far as the data go.
    pace_s : float
        Seconds on the wall between two bars at least.
    """

    start: datetime | None = None
    end: datetime | None = None
    pace_s: float = 0.0


@contextmanager
def open_maker(
    settings: Settings,
    log: logging.Logger,
    *,
    store: Path,
    charter: Path | None = None,
    replaying: Replaying | None = None,
    ask: bool = True,
) -> Iterator[Maker]:
    """Open everything that :class:`fund.maker.Maker` needs; a fund that is not there begins.

    Parameters
    ----------
    settings : Settings
    log : logging.Logger
    store : Path
    charter : Path, optional
        Terms of a fund that begins; a fund that is there must have the same.
    replaying : Replaying, optional
        For a simulated network.
    ask : bool
        Whether a terminal may be asked for a password.

    Raises
    ------
    ConfigError, DataError
        Something is missing or does not fit; nothing was begun.
    """
    with ExitStack() as opened:
        clocks: list[Clock] = [LiveClock(wall=_beginning(settings, store, replaying))]
        # The replay's clock needs the data, so the ledger is opened on another one first.
        ledger = opened.enter_context(closing(open_network(settings, lambda: clocks[-1].time())))  # noqa: PLW0108 - the last one then
        key = find_key(settings, FUND, ask=ask)
        own = Charter.load(charter, find_topic) if charter else None
        if not store.exists():
            terms = own or _usual(settings, ledger.state(), key.address)
            terms = terms.model_copy(update={"simulated": replaying is not None})
            refuse_unfit(ledger.state(), key.address, terms.pool.ltft * LTFT if terms.pool else 0)
            Store.create(store, ledger.domain.salt, terms.to_dict()).close()
            log.info("a fund begins", extra={"store": str(store), "topics": [one["name"] for one in terms.topics]})
        fund = opened.enter_context(Store.open(store, ledger.domain.salt))
        agreed = Charter.from_dict(fund.config, f"fund {store}")
        if own is not None and own.model_copy(update={"simulated": agreed.simulated}) != agreed:
            raise ConfigError(f"fund {store} was begun with another charter than {charter}; begin another fund with it")
        if agreed.simulated != (replaying is not None):
            kind = "a simulated" if agreed.simulated else "the real"
            raise ConfigError(f"fund {store} was begun on {kind} clock; go on with that one, or begin another fund")
        refuse_unfit(ledger.state(), key.address)
        courier = Courier(fund, ledger, key, values_place(settings, ledger))
        courier.waiting(ledger.state())
        sandbox = opened.enter_context(proven_sandbox(log))
        feeds = _feeds(settings, agreed, Replays(sandbox, limits_of(settings), replays_folder()))
        if replaying:
            clocks.append(_replay_clock(settings, feeds, fund, replaying))
        signing = _own_signing(opened, ledger, settings, ask=ask)
        yield Maker(fund, ledger, clocks[-1], feeds, agreed, courier, log, signing)


@contextmanager
def open_replica(settings: Settings, log: logging.Logger, *, store: Path, ask: bool = True) -> Iterator[Replica]:
    """Open everything that :class:`fund.replica.Replica` needs, once the fund answers; a copy that is not there begins.

    Raises
    ------
    ConfigError, DataError
        Something is missing or does not fit, or the fund's charter names topics that are others here.
    """
    if not settings.fund:
        raise ConfigError("no fund to follow; name where it answers: --fund http://HOST:PORT")
    peer = asking(settings.fund)
    with ExitStack() as opened:
        ledger = opened.enter_context(closing(open_network(settings)))
        key = find_key(settings, VALIDATOR, ask=ask)
        about = _about(peer, log)
        if about.get("ledger") != ledger.domain.salt:
            raise ConfigError(
                f"the fund at {settings.fund} is of ledger {about.get('ledger')}, this is {ledger.domain.salt}"
            )
        charter = Charter.from_dict(about.get("config") or {}, f"the fund at {settings.fund}")
        for topic in charter.topic_list():
            if find_topic(topic.name) != topic:
                raise ConfigError(
                    f"topic {topic.name} of the fund at {settings.fund} is another one here; agree on one file"
                )
        if not store.exists():
            Store.create(store, ledger.domain.salt, charter.to_dict()).close()
        fund = opened.enter_context(Store.open(store, ledger.domain.salt))
        if Charter.from_dict(fund.config, f"fund {store}") != charter:
            raise ConfigError(
                f"the fund at {settings.fund} has another charter than its copy {store}; name a new --store"
            )
        sandbox = opened.enter_context(proven_sandbox(log))
        feeds = _feeds(settings, charter, Replays(sandbox, limits_of(settings), replays_folder()))
        signing = _signing(opened, key, ledger, settings)
        yield Replica(fund, ledger, feeds, charter, signing, peer, network_time(settings), log)


def asking(address: str) -> Ask:
    """Return what asks a peer at an address."""
    return lambda path, query: get_json(address, path, query, limit_bytes=MAX_ANSWER_BYTES, timeout_s=ASK_S)


def _about(peer: Ask, log: logging.Logger) -> dict[str, Any]:
    """Return what the fund says of itself; it may start later than those who follow it."""
    pause = 1.0
    while True:
        try:
            found: dict[str, Any] = peer("/v1/fund", {})
        except ClusterError as error:
            log.warning("waiting for the fund", extra={"error": str(error), "retry_s": pause})
            time.sleep(pause)
            pause = min(2 * pause, MAX_WAIT_S)
        else:
            return found


def _beginning(settings: Settings, store: Path, replaying: Replaying | None) -> Time:
    """Return what tells the time until the clock of the fund does: in a simulation that begins, its first moment."""
    file = clock_file(settings)
    if replaying is None or (file is not None and file.exists()):
        return network_time(settings)
    if replaying.start is None:
        return time.time
    start = int(replaying.start.timestamp())
    if file is not None and not store.exists():
        write_time(file, start)
    return lambda: start


def _usual(settings: Settings, state: State, address: str) -> Charter:
    """Return the charter of a fund that is begun without one: the topic of the settings, and a pool if it can be paid."""
    account = state.accounts.get(address)
    pool = PoolTerms() if account and account.balance >= PoolTerms().ltft * LTFT else None
    forecasters = dict.fromkeys(FORECASTERS, address) if account else {}
    return Charter(topics=(find_topic(settings.topic).to_dict(),), pool=pool, forecasters=forecasters)


def _feeds(settings: Settings, charter: Charter, replays: Replays) -> Feeds:
    return Feeds(dataset_uri(settings.data), charter.topic_list(), replays, charter.refit_us, panels_folder())


def _replay_clock(settings: Settings, feeds: Feeds, fund: Store, replaying: Replaying) -> ReplayClock:
    latest, file = fund.latest(), clock_file(settings)
    start, end = (None if one is None else int(one.timestamp()) for one in (replaying.start, replaying.end))
    first = fund.first()
    begun = first * PERIOD_S if first is not None else start or 0
    times = bar_times(feeds, begun, end or END)
    if not times:
        raise ConfigError("no bar of the fund's topics closes in that time; `ltdata show` tells how far the data reach")

    def tell(moment: int) -> None:
        if file:
            write_time(file, moment)

    clock = ReplayClock(times, Period(latest.period) if latest else None, pace_s=replaying.pace_s, tell=tell)
    tell(int(clock.time()))
    return clock


def _own_signing(opened: ExitStack, ledger: OpenLedger, settings: Settings, *, ask: bool) -> Signing | None:
    """Return the signing of this home's own validator, if it has one."""
    path = keystore_path(VALIDATOR)
    if stored_key(path).address not in ledger.state().validators:
        return None
    return _signing(opened, load_key(path, password_for(path, settings.password_file, ask=ask)), ledger, settings)


def _signing(opened: ExitStack, key: Key, ledger: OpenLedger, settings: Settings) -> Signing:
    guard = opened.enter_context(Guard(make_folder(find_home().guards / FOLDER), key.address, ledger.domain.salt))
    return Signing(key, ledger.domain, guard, values=values_place(settings, ledger) != "none")
