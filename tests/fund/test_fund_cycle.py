"""A HEAD period from end to end: the same for everybody who makes it, as often as it is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from made_funds import (
    BEGAN,
    FIRST,
    HOUR,
    HOUR_S,
    MINER,
    NAMES,
    ORACLE,
    POLICY,
    SLOW,
    SOURCES,
    TOPIC,
    US,
    VALIDATOR,
    Asked,
    Floats,
    Fund,
    reversal,
)

from data.synthetic import synthetic
from fund.audit import audit
from fund.cycle import Policy
from fund.desk import Trading
from fund.forecasters import FORECASTERS
from fund.journal import Fill, Order
from fund.market_events import Redeemed, Shared
from fund.models import Model, Questions
from fund.nav import FundFees
from fund.payday import deposited
from fund.quotes import Quotes
from fund.replay import Setting, replay
from fund.rows import rows_from
from fund.step import Texts
from fund.store import Store
from protocol.errors import DataError, RefusedError
from protocol.head.schedule import PERIOD_S, Period, Turn
from protocol.ledger.blocks import AGE_RANK
from protocol.ledger.digest import state_digest
from protocol.ledger.params import LTFT
from protocol.ledger.rules import initial_state
from protocol.ledger.state import Deadline
from protocol.ltft.emission import SCHEDULE
from validator.evaluation import Replays
from validator.sandbox.policy import Limits

sys.path.insert(0, str(Path(__file__).parents[1] / "validator"))

from in_process import InProcess  # the validator's stand-in for the jail


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return synthetic("linear", n_symbols=8, n_bars=400, strength=0.8, seed=1)


@pytest.fixture
def found(tmp_path: Path, table: pa.Table) -> Iterator[Callable[..., Fund]]:
    opened: list[Fund] = []

    def one(*models: str, **options: object) -> Fund:
        fund = Fund(tmp_path / f"fund{len(opened)}.sqlite", table, **options)  # type: ignore[arg-type]  # the options are a Fund's
        opened.append(fund)
        for name in models:
            fund.block(name)
        return fund

    yield one
    for fund in opened:
        fund.store.close()


def test_two_makers_make_the_same_heads_and_steps(found: Callable[..., Fund]) -> None:
    one, other = found(*NAMES), found(*NAMES)
    for mine, theirs in zip(one.run(6, PERIOD_S), other.run(6, PERIOD_S), strict=True):
        assert mine.head.hash == theirs.head.hash
    assert one.store.latest() == other.store.latest()
    assert one.store.verify() == 36


def test_a_step_made_again_is_the_same_until_it_is_committed(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    fund.run(5)
    time = FIRST + 5 * HOUR_S
    abandoned = [Texts.of(fund.make(time)) for _ in range(2)]
    fund.store.close()
    fund.store = Store.open(fund.path)
    made = fund.step(time)
    assert [Texts.of(made)] * 2 == abandoned
    assert not fund.store.commit(made)
    with pytest.raises(RefusedError, match="no HEAD is due"):
        fund.make(time)


def test_it_trades_as_the_replay_does(found: Callable[..., Fund], table: pa.Table) -> None:
    fund = found(*NAMES)
    steps = fund.run(20)
    quotes, asked = Quotes.of(table), Asked(rows_from(table, TOPIC), reversal)
    setting = Setting((FIRST - HOUR_S) * US, (FIRST + 19 * HOUR_S) * US, fees=POLICY.trading.fees)
    *_, course = replay(quotes, asked, lambda _: [Model(name, "", 0) for name in NAMES], setting)  # type: ignore[arg-type]  # asked as Questions are
    assert fund.book().nav() == course.book.nav()
    assert fund.records(Order) == [record for record in course.records if isinstance(record, Order)]
    assert fund.asked[TOPIC.name].times == asked.times
    settled = [one["bar"] for _, settled in fund.store.documents("losses") for one in settled]
    assert settled == [one.time for one in course.settlements]
    assert {one.value for one in steps[-1].predictions} == {
        round(value * 1e9) for value in course.inferences[-1].value.tolist()
    }


def test_the_audit_agrees_with_the_journal(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES, policy=Policy())
    fund.run(20)
    records = [record for _, record in fund.store.journal(TOPIC.name)]
    first = int(np.searchsorted(fund.quotes.grid, (FIRST - HOUR_S) * US))
    assert not audit(records, [fund.quotes.tick(first + n) for n in range(20)], FundFees()).differences


def test_between_bars_the_inference_is_repeated_and_nobody_is_asked(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    steps = fund.run(2, PERIOD_S)
    assert len(fund.asked[TOPIC.name].times) == 2
    for group in (steps[:6], steps[6:]):
        assert len({one.head.predictions_root for one in group}) == 1
        assert {one.bar for made in group for one in made.predictions} == {(group[0].period * PERIOD_S - HOUR_S) * US}
        assert not any(one.journal for one in group[1:])
    assert steps[0].head.predictions_root != steps[6].head.predictions_root


def test_a_late_head_trades_at_no_price_of_the_past(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    fund.step(FIRST + 1_800)
    fund.step(FIRST + HOUR_S)
    assert not fund.records(Fill)
    fund.step(FIRST + 2 * HOUR_S)
    fund.step(FIRST + 3 * HOUR_S)
    fills = fund.records(Fill)
    assert fills
    assert min(one.time for one in fills) >= (FIRST + 1_800) * US


def test_without_models_the_head_is_empty_and_the_fund_in_cash(found: Callable[..., Fund]) -> None:
    fund = found()
    steps = fund.run(3)
    assert all(one.head.prediction_count == 0 and one.head.reward_total == 0 for one in steps)
    assert [topic.models for topic in steps[-1].head.topics] == [()]
    assert fund.book().nav() == POLICY.trading.money
    assert steps[0].documents["kept"]["kept"] == [{"amount": 50 * LTFT, "topic": "", "why": "no topic has weight"}]


def test_a_fund_without_topics_still_makes_heads(found: Callable[..., Fund]) -> None:
    fund = found(topics=())
    fund.block(NAMES[0])
    steps = fund.run(2)
    assert [one.head.topics for one in steps] == [(), ()]
    assert steps[0].documents["alerts"][0]["code"] == "no-feed"


def test_one_model_alone_says_and_earns_everything_for_inference(found: Callable[..., Fund]) -> None:
    fund = found(NAMES[0])
    steps = fund.run(6)
    assert {one.models for one in steps[-1].predictions} == {((NAMES[0], 10**9),)}
    roles = {(one.role, one.account) for one in steps[-1].earnings}
    assert ("inference", MINER.address) in roles
    assert ("reputer", VALIDATOR.address) in roles


def test_between_settlements_it_is_paid_by_the_last_one(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    steps = fund.run(4, PERIOD_S)
    settled = [n for n, one in enumerate(steps) if "losses" in one.documents]
    assert settled == [12, 18]
    assert not any(one.earnings for one in steps[:12])
    for first in settled:
        assert steps[first].earnings
        assert {one.earnings for one in steps[first : first + 6]} == {steps[first].earnings}


def test_a_silent_topic_with_nothing_settled_is_paid_nothing(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    assert fund.run(4)[-1].earnings
    for name in NAMES:
        fund.drop(name)
    silent = fund.step(FIRST + 3 * HOUR_S + PERIOD_S)
    assert not silent.predictions
    assert not silent.earnings


def test_blocks_retire_by_the_periods_start_and_the_ledger_stays_as_it_was_read(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    fund.ledger.pipelines[NAMES[0]] = NAMES[0]
    fund.ledger.schedule(Deadline(FIRST + HOUR_S, AGE_RANK, NAMES[0]))
    before = state_digest(fund.ledger)
    assert [len(one.head.topics[0].models) for one in fund.run(2)] == [3, 2]
    assert state_digest(fund.ledger) == before


def test_without_validators_nobody_is_paid_for_judging(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    del fund.ledger.validators[VALIDATOR.address]
    made = fund.run(4)[-1]
    assert {one.role for one in made.earnings} <= {"inference", "forecast"}
    assert "nobody to pay for reputer" in {one["why"] for one in made.documents["kept"]["kept"]}


def test_an_accounted_forecaster_earns_and_what_the_other_would_get_is_kept(found: Callable[..., Fund]) -> None:
    made = found(*NAMES).run(12)[-1]
    assert ORACLE.address in {one.account for one in made.earnings if one.role == "forecast"}
    other = sorted(set(FORECASTERS) - set(POLICY.forecasters))[0]
    assert any(one["why"].startswith(f"forecast of {other}") for one in made.documents["kept"]["kept"])


def test_models_that_fail_or_cannot_be_read_are_absent_and_named(found: Callable[..., Fund]) -> None:
    def says(name: str, features: Floats) -> Floats:
        return np.full(len(features), np.nan) if name == NAMES[0] else reversal(name, features)

    fund = found(*NAMES, says=says)
    strange = "ee" * 32
    fund.block(strange)
    SOURCES[strange] = "import os\n"
    try:
        made = fund.step(FIRST)
    finally:
        del SOURCES[strange]
    assert {name for name, _ in made.predictions[0].models} == set(NAMES[1:])
    alerts = [f"{one['model']} in {one['topic']}: {one['why']}" for one in made.documents["absent"]]
    assert any(NAMES[0] in text and "not finite" in text for text in alerts)
    assert any(strange in text for text in alerts)
    assert len(made.head.topics[0].models) == 4


def test_a_dropped_model_silences_its_topic_until_the_next_bar(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    assert fund.step(FIRST).predictions
    fund.drop(NAMES[1])
    silent = fund.step(FIRST + PERIOD_S)
    assert not silent.predictions
    assert silent.documents["alerts"][0]["code"] == "withdrawn"
    again = fund.step(FIRST + HOUR_S)
    assert {name for name, _ in again.predictions[0].models} == {NAMES[0], NAMES[2]}


def test_late_data_repeats_and_is_told_of(found: Callable[..., Fund], table: pa.Table) -> None:
    fund = found(*NAMES)
    end = BEGAN + 400 * HOUR_S
    last = fund.step(end)
    late = [fund.step(end + n * HOUR_S) for n in (1, 7)]
    assert {one.head.predictions_root for one in late} == {last.head.predictions_root}
    assert "alerts" not in late[0].documents
    assert late[1].documents["alerts"] == [
        {"topic": TOPIC.name, "code": "late", "text": f"the newest bar of {TOPIC.name} closed 7 bars ago"}
    ]
    assert len(fund.asked[TOPIC.name].times) == 1


def test_data_that_ends_before_what_was_seen_is_refused(found: Callable[..., Fund], table: pa.Table) -> None:
    fund = found(*NAMES)
    fund.run(3)
    times = pc.cast(table["datetime"], pa.int64())
    for kept in (pc.less(times, FIRST * US), pc.greater(times, (FIRST + 9 * HOUR_S) * US)):
        fund.quotes = Quotes.of(table.filter(kept))
        with pytest.raises(RefusedError, match="newest version of the dataset"):
            fund.make(FIRST + 3 * HOUR_S)
    fund.quotes = Quotes.of(table)
    assert fund.step(FIRST + 3 * HOUR_S).predictions


def test_before_the_first_bar_there_is_nothing_to_say(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    early = fund.step(BEGAN + PERIOD_S)
    assert early.documents["alerts"][0]["code"] == "late"
    unasked = fund.step(BEGAN + HOUR_S)
    assert unasked.documents["alerts"][0]["code"] == "unasked"
    assert not unasked.predictions
    assert fund.book().shares


def test_modules_are_fitted_and_asked_as_they_are_on_the_ledger(
    found: Callable[..., Fund], table: pa.Table, tmp_path: Path
) -> None:
    fund = found(*NAMES[:2])
    rows, replays = rows_from(table, TOPIC), Replays(InProcess(), Limits(), tmp_path / "answers")
    fund.asked[TOPIC.name] = Questions(rows, "k" * 64, replays)  # type: ignore[assignment]  # the real one instead of its stand-in
    first, second = (fund.step(BEGAN + hours * HOUR_S) for hours in (390, 391))
    assert {name for name, _ in first.predictions[0].models} == set(NAMES[:2])
    assert first.head.predictions_root != second.head.predictions_root


def test_a_clock_that_goes_back_and_turns_that_do_not_fit_are_refused(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    last = fund.run(2)[-1].period
    with pytest.raises(RefusedError, match="clock"):
        fund.make(FIRST)
    nothing = range(0)
    for due in (
        Turn(Period(last), nothing, nothing),
        Turn(Period(last - 1), nothing, nothing),
        Turn(Period(last + 4), nothing, range(last, last + 4)),
        Turn(Period(last + 4), nothing, range(last + 1, last + 3)),
    ):
        with pytest.raises(RefusedError, match="period"):
            fund.make(0, due)
    with pytest.raises(RefusedError, match="genesis"):
        found().make(BEGAN - PERIOD_S)


def test_another_ledger_an_older_one_and_a_topic_twice_are_refused(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    young = fund.ledger.copy()
    fund.send("tick", FIRST)
    fund.step(FIRST)
    fund.ledger = young
    with pytest.raises(RefusedError, match="read it again"):
        fund.make(FIRST + PERIOD_S)
    genesis = fund.ledger.genesis.model_copy(update={"name": "other"})
    fund.ledger = initial_state(genesis)
    with pytest.raises(RefusedError, match="belongs to ledger"):
        fund.make(FIRST + PERIOD_S)
    with pytest.raises(RefusedError, match="each once"):
        found(topics=(TOPIC, TOPIC)).make(FIRST)


def test_two_topics_have_a_book_each_and_the_slow_one_decides_less_often(found: Callable[..., Fund]) -> None:
    fund = found(NAMES[0], topics=(TOPIC, SLOW))
    fund.block(NAMES[1], SLOW)
    steps = fund.run(10)
    assert [one.topic for one in steps[-1].head.topics] == [TOPIC.name, SLOW.name]
    times = [{one.time for one in fund.records(Order, topic)} for topic in (TOPIC, SLOW)]
    gaps = np.diff(sorted(times[1])) // HOUR
    assert set(gaps.tolist()) == {3}
    assert len(times[0]) > len(times[1])
    assert {one.topic for one in steps[-1].earnings} == {TOPIC.name, SLOW.name}
    other = replace(SLOW, horizon=2)
    fund.topics, fund.asked[SLOW.name] = (TOPIC, other), Asked(rows_from(fund.table, other), reversal)
    with pytest.raises(RefusedError, match="another name"):
        fund.make(FIRST + 10 * HOUR_S)


def test_a_carried_span_is_paid_in_one_sum_and_a_missed_one_never(found: Callable[..., Fund]) -> None:
    live, replayed = found(*NAMES), found(*NAMES, replay=True)
    for fund, periods in ((live, 1), (replayed, 6)):
        made = fund.run(6)[-1]
        assert made.carried == periods - 1
        assert made.documents["kept"]["emission"] == periods * SCHEDULE.first
        kept = sum(one["amount"] for one in made.documents["kept"]["kept"])
        assert made.documents["kept"]["paid"] + kept == periods * SCHEDULE.first
        assert made.documents["kept"]["paid"] == sum(one.amount for one in made.earnings)


def test_heads_stamped_late_are_paid_by_deposits_once_and_by_emission(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    gift, waiting = 7 * LTFT, []
    for n in range(12):
        time = FIRST + n * HOUR_S
        if n in (5, 8):
            fund.send("deposit", time, amount=gift)
        waiting.append(fund.step(time))
        if n in (2, 9, 11):
            for made in waiting:
                fund.stamp(made, time)
            waiting.clear()
    deposits = [one["buyback"] for _, one in fund.store.documents("kept")]
    assert deposits == [gift if n in (5, 8) else 0 for n in range(12)]
    assert deposited(fund.ledger) == 2 * gift
    assert fund.ledger.rewards.owed == fund.store.claims().total == fund.ledger.supply.minted + 2 * gift


def test_deposits_nobody_can_be_paid_wait(found: Callable[..., Fund]) -> None:
    fund = found()
    fund.send("deposit", FIRST, amount=LTFT)
    assert [one.documents["kept"]["buyback"] for one in fund.run(2)] == [LTFT, LTFT]


def test_performance_fees_reach_the_market(found: Callable[..., Fund]) -> None:
    fees = FundFees(performance_ppm=200_000, period=4 * HOUR)
    fund = found(*NAMES, policy=replace(POLICY, trading=Trading(fees=fees)))
    steps = fund.run(40)
    shared = [one for made in steps for one in made.events if isinstance(one, Shared)]
    market = steps[-1].market
    assert market is not None
    assert market.sums.gains == sum(one.buyback + one.treasury for one in shared) > 0
    assert market.sums.rewarded > 0


def test_what_is_redeemed_on_the_ledger_is_paid_by_the_next_head_and_once(found: Callable[..., Fund]) -> None:
    fees = FundFees(performance_ppm=200_000, period=4 * HOUR)
    fund = found(*NAMES, policy=replace(POLICY, trading=Trading(fees=fees)))
    before = fund.run(40)[-1].market
    assert before is not None
    assert before.treasury > 0
    time, supply = FIRST + 40 * HOUR_S, fund.ledger.supply.total
    fund.send("redeem", time, amount=7 * LTFT)
    made = fund.step(time + PERIOD_S)
    (paid,) = [one for one in made.events if isinstance(one, Redeemed)]
    assert (paid.account, paid.tokens) == (VALIDATOR.address, 7 * LTFT)
    shared = sum(one.treasury for one in made.events if isinstance(one, Shared))
    assert paid.paid == (before.treasury + shared) * 7 * LTFT // supply
    assert made.market is not None
    again = fund.step(time + 2 * PERIOD_S)
    assert not [one for one in again.events if isinstance(one, Redeemed)]
    assert again.market is not None
    assert again.market.treasury == made.market.treasury


def test_after_a_pause_the_broker_catches_up_and_the_models_speak_once(found: Callable[..., Fund]) -> None:
    fund = found(*NAMES)
    fund.run(4)
    made = fund.step(FIRST + 9 * HOUR_S + PERIOD_S)
    assert len(fund.asked[TOPIC.name].times) == 5
    assert made.documents["kept"]["emission"] == SCHEDULE.first
    assert [one["bar"] for one in made.documents["losses"] if one["topic"] == TOPIC.name] == fund.asked[
        TOPIC.name
    ].times[2:4]
    records = [record for _, record in fund.store.journal(TOPIC.name)]
    first = int(np.searchsorted(fund.quotes.grid, (FIRST - HOUR_S) * US))
    ticks = [fund.quotes.tick(first + n) for n in range(10)]
    assert not audit(records, ticks, POLICY.trading.fees).differences


@pytest.mark.parametrize("part", ["inference:made-1h", "book:made-1h", "pace:made-1h", "division:made-1h", "deposits"])
def test_a_damaged_memory_is_named(found: Callable[..., Fund], monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    fund = found(*NAMES)
    fund.run(4)
    whole = fund.store.memory()
    for content in (b"{}", b"\xff", b"[1]", b"null"):
        monkeypatch.setattr(fund.store, "memory", lambda content=content: {**whole, part: content})
        with pytest.raises(DataError, match=r"restore|replay"):
            fund.make(FIRST + 3 * HOUR_S + PERIOD_S)
