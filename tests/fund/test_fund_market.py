"""The market of LTFT: no step makes or loses a unit, whoever trades, and a replay does what was done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fund.book import Book
from fund.journal import Charge, Flow
from fund.market import Market, Sums, advance, gains_of, redeem, redeem_all
from fund.market_events import Bought, Declined, Event, Redeemed, Shared, Trade, Traded, Waited, event_of, plain
from fund.nav import FundFees, valued
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.head.schedule import PERIOD_S
from protocol.ledger.commitments import canonical
from protocol.ltft.buyback import Terms
from protocol.ltft.pool import Pool
from protocol.ltft.wei import PPM, WAD

FIRST = 2_833_344
DEEP = 10**6 * WAD


def opened(**terms: Any) -> Market:
    return Market.opened(FIRST, DEEP, DEEP, **terms)


def warm(budget: int = 0, **terms: Any) -> Market:
    """A market whose averages are known, with money to spend."""
    market, _ = advance(opened(share_ppm=PPM, **terms), FIRST + 3)
    return replace(market, buyback=market.buyback.funded(budget), sums=market.sums.plus(gains=budget))


def test_the_fund_pays_a_share_of_its_gains_above_the_mark_and_only_once() -> None:
    fees, week = FundFees(performance_ppm=200_000), 7 * 86_400 * 1_000_000
    book = Book().after(Flow(0, 1_000 * WAD, 1_000 * 10**24))
    paid = []
    for n, cash in enumerate((1_000, 1_100, 900, 1_050, 1_200), 1):
        book, records = valued(replace(book, cash=cash * WAD), n * week, fees)
        paid.append(gains_of(records))
    assert [round(one / WAD, 9) for one in paid] == [0, 20, 0, 0, 24]  # the mark is 1080, not 1100, after the fee
    assert gains_of([Charge(0, "", "management", -5), Charge(0, "", "performance", -7)]) == 7


def test_gains_are_shared_between_buyback_and_treasury_to_the_wei() -> None:
    market, events = advance(opened(share_ppm=333_333), FIRST + 1, 1_000_001)
    assert events[0] == Shared(FIRST + 1, 333_333, 666_668)
    assert (market.buyback.budget, market.treasury) == (333_333, 666_668)
    assert advance(opened(), FIRST + 1)[1] == ()


def test_a_slice_is_bought_each_period_from_the_pool_as_the_programme_says() -> None:
    market = warm(10**4 * WAD, terms=Terms(burn_ppm=250_000))
    fund, pool = market.buyback, market.pool
    for n in range(6):
        fund, pool, fill = fund.step(pool, (FIRST + 4 + n) * PERIOD_S)
        market, events = advance(market, FIRST + 4 + n)
        assert (market.buyback, market.pool) == (fund, pool)
        if fill.spent:
            assert events == (Bought(FIRST + 4 + n, fill.spent, fill.rewarded, fill.burned),)
    assert fill.reason == "nothing left"
    assert events == ()
    assert market.sums.spent == 10**4 * WAD
    assert market.sums.burned == pytest.approx(market.sums.rewarded / 3)
    assert market.first_ltft - market.pool.ltft == market.sums.rewarded + market.sums.burned


def test_nothing_is_bought_before_there_is_an_average_price() -> None:
    market, events = advance(opened(), FIRST + 1, 10 * WAD)
    assert events == (Shared(FIRST + 1, 5 * WAD, 5 * WAD), Waited(FIRST + 1, FIRST + 1, "no average price yet"))
    market, events = advance(market, FIRST + 6, carried=range(FIRST + 2, FIRST + 6))
    assert events[0] == Waited(FIRST + 2, FIRST + 2, "no average price yet")
    assert isinstance(events[1], Bought)
    assert market.buyback.budget == 0


def test_a_replay_buys_in_carried_periods_and_a_fund_that_was_down_does_not() -> None:
    market, end = warm(10**4 * WAD), FIRST + 9
    slices = [one for one in advance(market, end, carried=range(FIRST + 4, end))[1] if isinstance(one, Bought)]
    assert [one.period for one in slices] == [FIRST + 4 + n for n in range(5)]
    down = advance(market, end)[1]
    assert [one.period for one in down if isinstance(one, Bought)] == [end]


@given(st.integers(0, 10**22), st.integers(0, 10**22), st.integers(1, 40))
def test_one_carried_step_equals_the_same_periods_one_by_one(budget: int, gains: int, periods: int) -> None:
    market, end = warm(budget), FIRST + 3 + periods
    at_once, events = advance(market, end, gains, carried=range(FIRST + 4, end))
    one_by_one = market
    seen: list[Event] = []
    for period in range(FIRST + 4, end + 1):
        one_by_one, happened = advance(one_by_one, period, gains if period == end else 0)
        seen += happened
    assert at_once.pool.twap.mean() == one_by_one.pool.twap.mean()
    same = replace(at_once, pool=replace(at_once.pool, twap=one_by_one.pool.twap))  # points on one line may be left out
    assert same == one_by_one
    assert [one for one in events if not isinstance(one, Waited)] == [
        one for one in seen if not isinstance(one, Waited)
    ]
    assert waited(events) == waited(seen)


def waited(events: Iterable[Event]) -> list[tuple[int, str]]:
    return [(n, one.reason) for one in events if isinstance(one, Waited) for n in range(one.period, one.last + 1)]


def test_a_price_that_was_pushed_up_stops_the_slice_until_somebody_sells() -> None:
    market, time = warm(10**4 * WAD), (FIRST + 4) * PERIOD_S
    pushed, events = advance(market, FIRST + 4, trades=[Trade(time - 1, "buy", 10**5 * WAD)])
    assert [type(one) for one in events] == [Traded, Waited]
    assert events[1] == Waited(FIRST + 4, FIRST + 4, "price above the average")
    assert isinstance(events[0], Traded)
    back = Trade(time + 1, "sell", events[0].received)
    after, events = advance(pushed, FIRST + 5, trades=[back])
    assert [type(one) for one in events] == [Traded, Bought]
    assert after.sums.quote_out < after.sums.quote_in, "who pushed it paid for it"
    assert after.sums.ltft_in == after.sums.ltft_out


def test_periods_of_waiting_for_one_reason_are_one_event() -> None:
    market = warm(10**4 * WAD, terms=Terms(tolerance_ppm=0))
    _, events = advance(market, FIRST + 20, carried=range(FIRST + 4, FIRST + 20))
    assert events == (Waited(FIRST + 4, FIRST + 20, "price above the average"),)


def test_trades_that_the_pool_refuses_change_nothing() -> None:
    market, time = warm(), (FIRST + 4) * PERIOD_S
    after, (said,) = advance(market, FIRST + 4, trades=[Trade(time, "sell", 1)])
    assert isinstance(said, Declined)
    assert "fetches 0 wei" in said.why
    assert after == advance(market, FIRST + 4)[0]


def test_redemption_pays_pro_rata_from_the_treasury_and_nothing_else() -> None:
    market, _ = advance(opened(share_ppm=0), FIRST + 1, 1_000)
    after, paid = redeem(market, "ann", 1, 3)
    assert paid == Redeemed(FIRST + 1, "ann", 1, 333)
    assert (after.treasury, after.sums.redemptions, after.sums.redeemed) == (667, 333, 1)
    assert after.pool == market.pool
    last, paid = redeem(after, "ben", 2, 2)
    assert (paid.paid, last.treasury) == (667, 0)
    for tokens, supply in ((0, 5), (6, 5)):
        with pytest.raises(RefusedError, match=r"redeem"):
            redeem(market, "ann", tokens, supply)
    for poor, supply in ((last, 1), (market, 10**6)):
        unpaid, paid = redeem(poor, "ann", 1, supply)
        assert (paid.paid, unpaid.treasury, unpaid.sums.redeemed) == (0, poor.treasury, poor.sums.redeemed + 1)


def test_everybody_is_paid_once_for_what_the_ledger_has_destroyed() -> None:
    market, _ = advance(opened(share_ppm=0), FIRST + 1, 1_000)
    ann, ben = (f"0x{name * 20}" for name in ("Aa", "bB"))
    after, events = redeem_all(market, {ben: 30, ann: 20}, {ann: 10}, 60)
    assert [(one.account, one.tokens, one.paid) for one in events] == [(ann, 10, 100), (ben, 30, 300)]
    assert after.treasury == 600
    assert redeem_all(after, {ben: 30, ann: 20}, {ann: 20, ben: 30}, 60) == (after, ())
    with pytest.raises(RefusedError):
        redeem_all(market, {ann: 1}, {ann: 2}, 60)


@pytest.mark.parametrize(
    "given_wrong",
    [
        {"period": FIRST + 3},
        {"period": FIRST + 2},
        {"period": FIRST + 4.0},
        {"gains": -1},
        {"gains": 1.5},
        {"carried": range(FIRST + 3, FIRST + 5)},
        {"carried": range(FIRST + 4, FIRST + 7)},
        {"carried": range(FIRST + 4, FIRST + 6, 2)},
        {"trades": [Trade((FIRST + 3) * PERIOD_S - 1, "buy", WAD)]},
        {"trades": [Trade((FIRST + 6) * PERIOD_S + 1, "buy", WAD)]},
        {"trades": [Trade((FIRST + 5) * PERIOD_S, "buy", WAD), Trade((FIRST + 4) * PERIOD_S, "buy", WAD)]},
        {"trades": [Trade((FIRST + 5) * PERIOD_S, "hold", WAD)]},  # type: ignore[arg-type]  # what is refused
        {"trades": [Trade((FIRST + 5) * PERIOD_S, "buy", 0)]},
    ],
)
def test_what_does_not_follow_is_refused(given_wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        advance(warm(WAD), **({"period": FIRST + 6} | given_wrong))


def test_a_market_that_does_not_add_up_cannot_be_made() -> None:
    market = warm(WAD)
    for wrong in (
        {"treasury": 1},
        {"pool": replace(market.pool, ltft=DEEP + 1)},
        {"pool": replace(market.pool, quote=DEEP - 1)},
        {"buyback": market.buyback.funded(1)},
        {"sums": market.sums.plus(burned=1)},
        {"first_ltft": DEEP - 1},
    ):
        with pytest.raises(RefusedError, match="should be"):
            replace(market, **wrong)
    with pytest.raises(ConfigError, match="share_ppm"):
        opened(share_ppm=PPM + 1)
    with pytest.raises(RefusedError, match="spent"):
        Sums(spent=-1)


@dataclass
class Outside:
    """Everybody but the market, kept by other means than its own sums: what it pays out must arrive here."""

    quote: int
    ltft: int
    gone: int = 0

    def took_part(self, events: tuple[Event, ...]) -> None:
        for one in events:
            match one:
                case Shared():
                    self.quote -= one.buyback + one.treasury
                case Bought():
                    self.ltft += one.rewarded
                    self.gone += one.burned
                case Traded(side="buy"):
                    self.quote -= one.amount
                    self.ltft += one.received
                case Traded():
                    self.ltft -= one.amount
                    self.quote += one.received
                case Redeemed():
                    self.ltft -= one.tokens
                    self.gone += one.tokens
                    self.quote += one.paid


AMOUNTS = st.integers(0, 90).flatmap(lambda bits: st.integers(0, 2**bits))
ACTS = st.lists(
    st.fixed_dictionaries(
        {
            "skip": st.integers(1, 8),
            "carry": st.booleans(),
            "gains": AMOUNTS,
            "trades": st.lists(
                st.tuples(st.integers(0, 4_800), st.sampled_from(["buy", "sell"]), AMOUNTS.map(lambda n: n + 1)),
                max_size=4,
            ),
            "redeem": st.integers(0, 2**80),
        }
    ),
    max_size=12,
)


def run(acts: list[dict[str, Any]], share: int, burn: int, *, through_json: bool = False) -> tuple[Market, list[Event]]:
    """Do all acts, checking what must hold at every step."""
    market = Market.opened(FIRST, DEEP, 2 * DEEP, share_ppm=share, terms=Terms(burn_ppm=burn))
    outside = Outside(quote=0, ltft=10**9 * WAD)
    ltft, quote = market.pool.ltft + outside.ltft, market.pool.quote
    happened: list[Event] = []
    for act in acts:
        begin, period = market.period, market.period + act["skip"]
        trades = [
            Trade(begin * PERIOD_S + min(after, act["skip"] * PERIOD_S), side, amount)
            for after, side, amount in sorted(act["trades"])
        ]
        carried = range(begin + 1, period) if act["carry"] else range(0)
        before = market
        market, events = advance(market, period, act["gains"], carried=carried, trades=trades)
        supply = market.pool.ltft + outside.ltft
        if act["redeem"] and market.treasury * act["redeem"] >= supply:
            market, redeemed = redeem(market, "ann", act["redeem"], supply)
            events = (*events, redeemed)
        outside.took_part(events)
        happened += events
        assert market.pool.ltft + outside.ltft + outside.gone == ltft
        assert market.pool.quote + market.buyback.budget + market.treasury + outside.quote == quote
        assert market.pool.product >= before.pool.product
        assert min(market.pool.ltft, market.pool.quote, outside.ltft + 1) > 0
        assert all(getattr(market.sums, name) >= getattr(before.sums, name) for name in Sums.__slots__)
        assert (
            market.sums.spent - before.sums.spent
            <= (len(carried) + 1) * 3 * max(before.pool.quote, market.pool.quote) // 1_000
        )
        assert market.pool.twap.time == period * PERIOD_S
        if through_json:
            market = Market.from_dict(json.loads(canonical(market.to_dict())))
    return market, happened


@settings(max_examples=200)
@given(ACTS, st.integers(0, PPM), st.integers(0, PPM))
def test_no_step_makes_or_loses_a_unit_and_a_replay_is_the_same(
    acts: list[dict[str, Any]], share: int, burn: int
) -> None:
    assert run(acts, share, burn) == run(acts, share, burn, through_json=True)


def test_a_state_and_its_events_go_through_json() -> None:
    market, events = advance(
        warm(10**4 * WAD),
        FIRST + 4,
        7,
        trades=[Trade((FIRST + 4) * PERIOD_S - 9, side, WAD) for side in ("buy", "sell")],
    )
    text = canonical(market.to_dict())
    again = Market.from_dict(json.loads(text))
    assert again == market
    assert canonical(again.to_dict()) == text
    assert again.pool == Pool(market.pool.ltft, market.pool.quote, market.pool.twap)
    everything = (*events, Waited(1, 2, "dust"), Declined(1, "buy", 2, "no"), Redeemed(1, "ann", 2, 3))
    assert {type(one) for one in everything} == {Shared, Bought, Waited, Traded, Declined, Redeemed}
    assert tuple(event_of(plain(one)) for one in everything) == everything


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"period": -1},
        {"period": True},
        {"pool": [1, 2]},
        {"pool": "none"},
        {"first": [DEEP, DEEP + 1]},
        {"twap": [1_800, []]},
        {"twap": [1_800, [[1, 2]]]},
        {"twap": [1_800, [[2, 0, 0], [1, 0, 0]]]},
        {"twap": [0, [[1, 0, 0]]]},
        {"twap": [1_800, [[1, 0, -1]]]},
        {"twap": [1_800]},
        {"buyback": [1, 0]},
        {"buyback": None},
        {"terms": {}},
        {"terms": {"slice_ppm": 9_999, "tolerance_ppm": 0, "interval": 600, "burn_ppm": 0}},
        {"treasury": 1.0},
        {"treasury": None},
        {"share_ppm": -1},
        {"sums": {}},
        {"more": 1},
    ],
)
def test_a_damaged_state_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="market"):
        Market.from_dict({**warm().to_dict(), **change})


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"event": "gift"},
        {"event": "bought", "period": 1},
        {"event": "shared", "period": 1, "buyback": 1.0, "treasury": 1},
        {"event": "traded", "time": 1, "side": "hold", "amount": 1, "received": 1},
        {"event": "redeemed", "period": 1, "account": "a", "tokens": 1, "paid": 1, "more": 1},
    ],
)
def test_a_damaged_event_is_refused(raw: object) -> None:
    with pytest.raises(DataError, match="of a market"):
        event_of(raw)
