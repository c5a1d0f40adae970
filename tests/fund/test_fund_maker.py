"""Making HEADs period after period: what is in the way is told, nothing is lost, nothing happens twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from made_chain import (
    CHARTER,
    FUND,
    VALIDATORS,
    MadeFeeds,
    Now,
    asker,
    closes,
    create_ledger,
    made_maker,
    made_replica,
    made_signing,
    made_table,
)
from made_funds import FIRST, HOUR_S

from fund.clock import LiveClock, ReplayClock
from fund.courier import Courier, refuse_unfit
from fund.maker import Maker, bar_times
from fund.metrics import Metrics
from fund.peers import Gathering
from fund.replica import Replica
from fund.store import Store
from protocol.errors import ClusterError, ConfigError, EquivocationError
from protocol.head.quorum import HeadSignature, sign_head
from protocol.head.schedule import PERIOD_S
from protocol.ledger.params import LTFT
from protocol.ledger.sqlite import SqliteLedger

LIVE = CHARTER.model_copy(update={"simulated": False})


@pytest.fixture(scope="module")
def feeds() -> MadeFeeds:
    return MadeFeeds(made_table())


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def simulated(tmp_path: Path, opened: ExitStack, feeds: MadeFeeds) -> Callable[..., Maker]:
    """Return what opens a fund over a replay of so many bars."""

    def one(bars: int, validators: int = 1, *, signs: bool = True) -> Maker:
        clock = ReplayClock(closes(bars))
        ledger = opened.enter_context(create_ledger(tmp_path / "ledger.sqlite", clock.time, validators))
        maker = made_maker(tmp_path, ledger, clock, feeds, signs=signs)
        opened.callback(maker.store.close)
        return maker

    return one


@pytest.fixture
def live(tmp_path: Path, opened: ExitStack) -> Callable[[], tuple[Maker, Now, MadeFeeds]]:
    """Return what opens a fund on a clock that is set."""

    def one() -> tuple[Maker, Now, MadeFeeds]:
        now, feeds = Now(FIRST), MadeFeeds(made_table())
        ledger = opened.enter_context(create_ledger(tmp_path / "ledger.sqlite", now))
        maker = made_maker(tmp_path, ledger, LiveClock(wall=now), feeds, charter=LIVE)
        opened.callback(maker.store.close)
        return maker, now, feeds

    return one


def sqlite_of(maker: Maker) -> SqliteLedger:
    assert isinstance(maker.ledger, SqliteLedger)
    return maker.ledger


def run(maker: Maker) -> None:
    while not maker.over:
        maker.turn()
    maker.settle()


def test_a_replay_is_made_signed_stamped_and_paid(simulated: Callable[..., Maker]) -> None:
    maker = simulated(40)
    run(maker)
    state, market = maker.ledger.state(), maker.store.market()
    assert state.stamp is not None
    assert market is not None
    assert (len(maker.store.entries()), state.stamp.period) == (40, closes(40)[-1] // PERIOD_S)
    moved = {"deposit": 0, "burn": 0}
    for record in maker.ledger.records():
        if record.event.kind in moved:
            moved[record.event.kind] += record.event.body["amount"]
    assert moved["deposit"] == market.sums.rewarded > 0
    account = state.accounts[FUND.address]
    assert account.balance == 1_000_000 * LTFT - market.sums.rewarded
    assert account.balance == market.pool.ltft
    assert state.stamp.reward_total == maker.store.claims().total > 0
    assert maker.metrics.heads._value.get() == 40
    before = maker.ledger.tip().height
    maker.turn()
    assert maker.ledger.tip().height == before


def test_live_there_is_one_head_a_period_and_what_passed_is_missed(
    live: Callable[..., tuple[Maker, Now, MadeFeeds]],
) -> None:
    maker, now, _ = live()
    for seconds in (0, 10, 599, 600, 700, 3 * PERIOD_S + 5):
        now.time = FIRST + seconds
        while maker.turn() == 0.0:
            pass
    assert [one.period - FIRST // PERIOD_S for one in maker.store.entries()] == [0, 1, 3]
    stamp = maker.ledger.state().stamp
    assert stamp is not None
    assert stamp.period == FIRST // PERIOD_S + 3
    assert maker.reasons() == []
    now.time += 2 * PERIOD_S
    assert "s old" in maker.reasons()[0]
    now.time = FIRST
    assert "before the last HEAD" in maker.reasons()[0]
    assert maker.work() > 0
    assert len(maker.store.entries()) == 3


def test_late_data_are_told_and_made_up_for_by_the_next_head_only(
    live: Callable[..., tuple[Maker, Now, MadeFeeds]],
) -> None:
    maker, now, feeds = live()
    maker.work()
    feeds.missing, now.time = True, FIRST + PERIOD_S
    pauses = [maker.work() for _ in range(9)]
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert max(pauses) == 60.0
    assert maker.reasons() == ["the data are late"]
    feeds.missing, now.time = False, FIRST + 4 * PERIOD_S
    maker.work()
    assert maker.reasons() == []
    assert [one.period - FIRST // PERIOD_S for one in maker.store.entries()] == [0, 4]


def test_without_a_quorum_heads_are_made_and_stamped_once_it_is_there(simulated: Callable[..., Maker]) -> None:
    maker = simulated(6, validators=3, signs=False)
    for _ in range(20):
        maker.work()
    entries = maker.store.entries()
    assert maker.ledger.state().stamp is None
    domain = maker.ledger.domain
    for key in VALIDATORS[:2]:
        maker.store.sign(sign_head(key, domain, maker.store.head(one.period)) for one in entries)
    maker.settle()
    assert maker.ledger.state().stamp is None, "two thirds are not more than two thirds"
    maker.store.sign(
        [sign_head(VALIDATORS[2], domain, maker.store.head(one.period)) for one in (entries[0], entries[2])]
    )
    assert maker.settle() == len(entries) - 1
    stamp = maker.ledger.state().stamp
    assert stamp is not None
    assert stamp.period == entries[0].period, "stamps come in order"


def test_the_clock_of_a_simulation_waits_for_validators_but_not_for_ever(
    simulated: Callable[..., Maker], monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = simulated(30, validators=3, signs=False)
    for _ in range(40):
        maker.work()
    assert len(maker.store.entries()) == 9
    monkeypatch.setattr("fund.maker.PATIENCE_S", 0.0)
    for _ in range(5):
        maker.work()
    assert len(maker.store.entries()) == 14


def test_a_locked_ledger_stops_stamps_and_no_heads(
    live: Callable[..., tuple[Maker, Now, MadeFeeds]], tmp_path: Path
) -> None:
    maker, now, _ = live()
    maker.work()
    sqlite_of(maker)._db.execute("PRAGMA busy_timeout=50")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for periods in (1, 2, 3):
            now.time = FIRST + periods * PERIOD_S
            maker.work()
        assert len(maker.store.entries()) == 4
        assert "locked" in maker.reasons()[0]
        other.execute("ROLLBACK")
    maker.work()
    assert maker.reasons() == []
    stamp = maker.ledger.state().stamp
    assert stamp is not None
    assert stamp.period == FIRST // PERIOD_S + 3


def test_a_ledger_that_another_fund_has_stamped_is_refused(simulated: Callable[..., Maker], tmp_path: Path) -> None:
    maker = simulated(3)
    run(maker)
    other = Store.create(tmp_path / "other.sqlite", maker.ledger.domain.salt, {})
    with closing(other), pytest.raises(ConfigError, match="older copy or another fund"):
        Courier(other, maker.ledger, FUND).carry()
    with pytest.raises(ConfigError, match="no account"):
        refuse_unfit(maker.ledger.state(), "0x" + "1" * 40)
    with pytest.raises(ConfigError, match="the pool opens with"):
        refuse_unfit(maker.ledger.state(), FUND.address, 2_000_000 * LTFT)


def test_bar_times_are_the_closes(feeds: MadeFeeds) -> None:
    assert bar_times(feeds, FIRST, FIRST + 3 * HOUR_S) == closes(3)  # type: ignore[arg-type]  # a stand-in


class TestReplica:
    """A validator that makes HEADs again."""

    @pytest.fixture
    def maker(self, simulated: Callable[..., Maker]) -> Maker:
        maker = simulated(12, validators=3, signs=False)
        for _ in range(9):
            maker.work()
        return maker

    @pytest.fixture
    def replica(self, maker: Maker, tmp_path: Path, opened: ExitStack) -> Replica:
        ledger = opened.enter_context(SqliteLedger.open(tmp_path / "ledger.sqlite", maker.clock.time))
        made = made_replica(tmp_path, ledger, VALIDATORS[1], maker, clock=maker.clock.time)
        opened.callback(made.store.close)
        return made

    def test_it_comes_to_the_same_fund_and_signs_all_of_it(self, maker: Maker, replica: Replica) -> None:
        assert replica.work() == 0.0
        assert replica.work() > 0.0
        assert replica.store.latest() == maker.store.latest()
        periods = [one.period for one in maker.store.entries()]
        signed = [one for period in periods for one in replica.store.signatures(period)]
        assert [one.period for one in signed] == periods
        assert all(one.genuine(maker.ledger.domain) for one in signed)

    def test_gathered_signatures_stamp(self, maker: Maker, replica: Replica, tmp_path: Path, opened: ExitStack) -> None:
        keys = VALIDATORS[0], VALIDATORS[2]
        others = [made_replica(tmp_path, sqlite_of(maker), key, maker, clock=maker.clock.time) for key in keys]
        for one in (replica, *others):
            opened.callback(one.store.close)
            one.work()

        def silent(_path: str, _query: dict[str, str]) -> object:
            raise ClusterError("nobody answers")

        def lying(_path: str, _query: dict[str, str]) -> object:
            first = maker.store.entries()[0]
            forged = HeadSignature(first.period, first.hash, VALIDATORS[0].address, "0x" + "1" * 130)
            return {"signatures": [forged.to_dict()]}

        peers = [("a", silent), ("b", lying), ("c", lambda *_: {"signatures": "none"})]
        peers += [(str(n), asker(one.store)) for n, one in enumerate((replica, *others))]
        gathering = Gathering(maker.store, maker.ledger, peers, maker.log, 1.0, Metrics())
        assert gathering.work() == 1.0
        assert set(gathering.silent) == {"a", "c"}
        assert all(len(maker.store.signatures(one.period)) == 3 for one in maker.store.entries())
        assert maker.settle() == 0
        gathering.work()

    @pytest.mark.parametrize("part", ["data_root", "reward_total", "predictions_root"])
    def test_what_comes_out_different_is_not_signed(self, maker: Maker, replica: Replica, part: str) -> None:
        honest = replica.ask

        def tampered(path: str, query: dict[str, str]) -> object:
            answer = honest(path, query)
            if path == "/v1/heads" and answer["heads"]:
                text = answer["heads"][0]["head"]
                value = str(getattr(maker.store.head(maker.store.entries()[0].period), part))
                changed = str(int(value) + 1) if part == "reward_total" else ("ab" * 32)
                answer["heads"][0]["head"] = text.replace(f'"{part}":{value}', f'"{part}":{changed}').replace(
                    value, changed
                )
            return answer

        replica.ask = tampered
        assert replica.work() > 0
        assert replica.reasons()
        assert replica.store.latest() is None
        replica.ask = honest
        replica.work()
        assert replica.store.latest() == maker.store.latest()
        assert replica.reasons() == []

    def test_what_this_network_does_not_allow_is_not_signed(self, replica: Replica) -> None:
        replica.clock = lambda: FIRST - 10 * HOUR_S
        replica.work()
        assert "of the future" in replica.reasons()[0]
        replica.clock = lambda: FIRST + 100 * HOUR_S
        replica.charter = LIVE
        replica.work()
        assert "carries 5 periods" in replica.reasons()[0]
        garbage = (
            {},
            {"heads": [1]},
            {"heads": [{"head": "{}", "carried": 0}]},
            {"heads": [{"head": 1, "carried": True}]},
        )
        for answer in garbage:
            replica.ask = lambda path, _query, one=answer: one if path == "/v1/heads" else {"signatures": []}
            assert replica.work() > 0
            assert replica.reasons()

    def test_a_signature_that_was_not_given_here_ends_it(self, maker: Maker, replica: Replica) -> None:
        first = maker.store.head(maker.store.entries()[0].period)
        maker.store.sign([sign_head(VALIDATORS[1], maker.ledger.domain, first)])
        with pytest.raises(EquivocationError, match="in use elsewhere"):
            replica.work()

    def test_of_a_period_one_head_is_signed(self, maker: Maker, replica: Replica) -> None:
        first, second = (maker.store.head(one.period) for one in maker.store.entries()[:2])
        signed = replica.signing.sign(first)
        assert replica.signing.sign(first) == signed
        replica.signing.sign(second)
        with pytest.raises(EquivocationError, match="knows of"):
            replica.signing.sign(replace(first, data_root="ab" * 32))

    def test_without_stake_it_says_that_its_signature_does_not_count(
        self, replica: Replica, maker: Maker, tmp_path: Path
    ) -> None:
        replica.signing = made_signing(tmp_path, sqlite_of(maker), FUND)
        assert any("no stake" in one for one in replica.reasons())
