"""The review: every number from records by hand, words that say no more than they know, a picture of any span."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from fund.comparison import LossHistory, compare
from fund.journal import Charge, Fill, Instrument, Record, Valuation
from fund.market_events import Bought, Shared, Traded, Waited
from fund.performance import Costs, HitRate, Performance, hits
from fund.review import BuybackSum, Review, earned, review
from fund.review_plots import draw_review
from fund.units import MICRO, PICO, WEI
from protocol.errors import DataError
from protocol.head.rewards import Earning
from protocol.scores import DAY_US

START = 1_600_041_600_000_000  # 2020-09-14
ANN, BOB = "0x" + "1" * 40, "0x" + "2" * 40
BTC = Instrument("broker", "BTC/USDT", "crypto", MICRO)


def valued(returns: np.ndarray, *, nav: int = 1000 * WEI) -> list[Valuation]:
    value = np.cumprod(1 + np.append(0.0, returns))
    return [
        Valuation(START + at * DAY_US, nav, nav, 0, 0, 10**24, int(one * WEI), WEI)
        for at, one in enumerate(value.tolist())
    ]


def day_of(days: int) -> np.ndarray:
    return START + DAY_US * np.arange(days)


def test_performance_by_hand() -> None:
    found = Performance.of("fund", [2.0, 3.0, 1.5, 2.4], START + np.array([0, 100, 200, 365.25]) * DAY_US)
    assert found.value.tolist() == pytest.approx([1, 1.5, 0.75, 1.2])
    assert found.total == found.annual == pytest.approx(0.2)
    assert found.drawdown == pytest.approx(0.5)
    returns = np.array([0.5, -0.5, 0.6])
    assert found.volatility == pytest.approx(returns.std(ddof=1) * math.sqrt(3))
    assert found.sharpe == pytest.approx(0.2 / returns.std(ddof=1) * math.sqrt(3))


def test_a_lost_fund_and_a_short_span() -> None:
    lost = Performance.of("fund", [1.0, 0.0, 0.0], day_of(3))
    assert (lost.total, lost.drawdown, lost.returns.tolist()) == (-1, 1, [-1, 0])
    assert math.isnan(lost.annual) and math.isnan(lost.sharpe), "three days say nothing about a year"
    flat = Performance.of("cash", np.ones(400), day_of(400))
    assert (flat.total, flat.annual, flat.volatility, flat.drawdown) == (0, 0, 0, 0)
    assert flat.to_dict()["sharpe"] is None
    for bad in ([], [0.0, 1.0], [1.0, -1.0], [1.0, math.nan]):
        with pytest.raises(DataError, match="fund"):
            Performance.of("fund", bad, day_of(2))


def test_costs_by_hand() -> None:
    records: list[Record] = [
        BTC,
        Fill(1, START, BTC.asset, 3, 101 * PICO, 100 * PICO, 7),  # 3 bought 1 too dear
        Fill(2, START, BTC.asset, -2, 98 * PICO, 100 * PICO, 5),  # 2 sold 2 too cheap
        Fill(0, START, BTC.asset, -1, 70 * PICO, 100 * PICO, 0),
        Charge(START, BTC.asset, "funding", 11),
        Charge(START, BTC.asset, "borrow", -13),
        Charge(START, "", "interest", -17),
        Charge(START, "", "management", -19),
        Charge(START, "", "performance", -23),
    ]
    found = Costs.of(records)
    assert found == Costs(
        fees=12,
        slippage=7 * WEI,
        delisted=30 * WEI,
        borrow=13,
        funding=-11,
        interest=17,
        management=19,
        performance=23,
        traded=(303 + 196) * WEI,
    )
    assert found.trading == 37 * WEI + 12 + 13 - 11 + 17
    with pytest.raises(DataError, match="not listed before"):
        Costs.of(records[1:])


def test_hits_by_hand() -> None:
    truth = np.array([3.0, 1.0, -1.0, -3.0, 0.0, math.nan])
    assert hits([1, 1, 1, -1, 1, 1], truth) == (3, 4), "a truth in the middle and an unknown one are no calls"
    assert hits([0, math.nan, 1, -1, 1, 1], truth) == (1, 2)
    assert hits([1, 1, 1, -1, 1, 1], truth + 50) == (3, 4), "what all have in common does not count"
    assert hits([1, 1], [1, 2]) == (0, 0)
    with pytest.raises(DataError, match="equally long"):
        hits([1], [1, 2])


def test_hit_rates_count_bars_once_and_are_tested() -> None:
    rng = np.random.default_rng(0)
    chance = HitRate.of("t", 1, np.column_stack([rng.binomial(20, 0.5, 300), np.full(300, 20)]))
    skill = HitRate.of("t", 1, np.column_stack([rng.binomial(20, 0.56, 300), np.full(300, 20)]))
    assert chance.test.p > 0.001 > skill.test.p
    assert skill.rate == pytest.approx(skill.hits / skill.calls)
    uneven = HitRate.of("t", 1, [(1, 1), (0, 9), (0, 0)])
    assert (uneven.hits, uneven.calls, uneven.rate) == (1, 10, 0.5)
    assert (uneven.test.bars, uneven.test.left_out) == (2, 1)
    assert math.isnan(HitRate.of("t", 1, []).rate)
    with pytest.raises(DataError, match="more hits than calls"):
        HitRate.of("t", 1, [(2, 1)])


def test_what_the_buyback_bought() -> None:
    events = [
        Shared(1, 60, 40),
        Bought(1, 10, 15, 5),
        Waited(2, 4, "too far"),
        Traded(9, "buy", 1000, 1000),
        Waited(6, 6, "too far"),
        Bought(7, 30, 20, 0),
    ]
    found = BuybackSum.of(events)
    assert found == BuybackSum(100, 60, 40, 40, 35, 5, 2, (("too far", 4),))
    assert (found.bought, found.price) == (40, 1.0)
    assert BuybackSum.of([]).to_dict()["price"] is None


@given(st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.integers(1, 10**30), st.sampled_from("abc")), max_size=30))
def test_who_earned_what_loses_no_wei(lines: list[tuple[str, int, str]]) -> None:
    found = earned(Earning(account, amount, "topic", "inference", source) for account, amount, source in lines)
    assert sum(one.amount for one in found) == sum(amount for _, amount, _ in lines)
    for one in found:
        assert one.amount == sum(part[3] for part in one.parts)
        assert one.amount == sum(amount for account, amount, _ in lines if account == one.account)
        assert len({part[2] for part in one.parts}) == len(one.parts)
    assert [one.amount for one in found] == sorted((one.amount for one in found), reverse=True)


def whole(days: int = 400, gain: float = 0.0) -> Review:
    rng = np.random.default_rng(3)
    moves = rng.normal(0, 0.01, days - 1)
    models = rng.normal(0, 0.1, (3, days))
    history = LossHistory(
        "made", day_of(days), 1, models.mean(axis=0), models[0], ("a" * 64, "b" * 64, "c" * 64), models
    )
    return review(
        valued(rng.normal(gain, 0.005, days - 1)),
        np.append(math.nan, moves),
        [BTC, Fill(1, START, BTC.asset, 3, 101 * PICO, 100 * PICO, WEI)],
        events=[Shared(1, 6 * WEI, 4 * WEI), Bought(1, 2 * WEI, 3 * WEI, WEI)],
        earnings=[Earning(ANN, 5 * WEI, "made", "inference", "a" * 64), Earning(BOB, WEI, "made", "reputer", BOB)],
        hit_rates=[HitRate.of("made", 1, np.column_stack([rng.binomial(20, 0.5, days), np.full(days, 20)]))],
        comparisons=[compare(history)],
    )


def test_a_review_adds_up_and_is_plain_json() -> None:
    found = whole()
    years = 399 / 365.25
    assert found.nav == 1000
    assert found.turnover == pytest.approx(303 / 1000 / years)
    assert found.cost_rate == pytest.approx(4 / 1000 / years)
    assert found.equal_weight.value[0] == 1
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["verdict"] == list(found.verdict)
    text = "\n".join(found.verdict)
    for part in (
        f"from 2020-09-14 to 2021-10-18, 400 valuations: fund {found.fund.total:+.2%} net of all costs",
        "fund's return beside equal weight's: no difference that this sample can show",
        "fund's return beside cash: no difference that this sample can show",
        "costs of trading and holding 4.00 quote, 0.37% of the mean net asset value a year; turnover 0.3 times that a year",
        "of 8000 calls, one half is chance: no difference that this sample can show",
        "made: network beside the plain mean",
        "buyback: 2.00 of 6.00 quote bought 4.00 LTFT at 0.5 each, 3.00 for rewards; slices: 1",
        "rewards: 6.00 LTFT to 2 accounts",
    ):
        assert part in text


@pytest.mark.parametrize(("gain", "word"), [(0.004, "better"), (-0.004, "worse")])
def test_a_clear_result_is_called_one(gain: float, word: str) -> None:
    found = whole(gain=gain)
    assert f"fund's return beside cash: {word} (" in "\n".join(found.verdict)
    assert found.over_cash.p < 1e-4
    assert np.sign(found.over_equal_weight.mean) == np.sign(gain)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-0.9, 3), min_size=1, max_size=20))
def test_a_fund_that_holds_equal_weights_is_equal_weight(moves: list[float]) -> None:
    found = review(valued(np.array(moves)), [math.nan, *moves], [])
    assert found.fund.total == pytest.approx(found.equal_weight.total, abs=1e-6)
    assert found.fund.drawdown == pytest.approx(found.equal_weight.drawdown, abs=1e-6)
    assert 0 <= found.fund.drawdown <= 1
    assert found.over_equal_weight.p == 1


def test_a_single_valuation_is_a_review_that_knows_nothing() -> None:
    found = review(valued(np.zeros(0)), [math.nan], [])
    assert math.isnan(found.turnover)
    text = "\n".join(found.verdict)
    assert "not tested, 0 bars are too few" in text
    assert "an unknown part of the mean net asset value a year; turnover not known" in text
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("valuations", "market", "why"),
    [
        ([], [], "0 valuations"),
        (valued(np.zeros(1))[::-1], [0, 0], "in order of time"),
        ([replace(valued(np.zeros(0))[0], shares=0)], [0], "has shares"),
        (valued(np.zeros(1)), [0], "one per 2 valuations"),
        (valued(np.zeros(1)), [0, -1.5], "from -1 up"),
        (valued(np.zeros(1)), [0, math.inf], "finite"),
    ],
)
def test_a_review_of_nothing_is_refused(valuations: list[Valuation], market: list[float], why: str) -> None:
    with pytest.raises(DataError, match=why):
        review(valuations, market, [])


def pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(imread(BytesIO(png)))[..., :3]


@pytest.mark.parametrize("days", [1, 3, 400])
def test_the_picture_shows_any_span(days: int) -> None:
    found = whole(days)
    picture = draw_review(found)
    assert picture == draw_review(found), "the same review, the same bytes"
    drawn = pixels(picture).reshape(-1, 3) * 255
    for colour in ((0, 114, 178), (213, 94, 0), (140, 140, 140)):
        assert np.abs(drawn - colour).sum(axis=1).min() < 40, "thin lines are blended with the ground"
    assert pixels(draw_review(review(valued(np.zeros(0)), [0], []))).shape[0] < pixels(picture).shape[0]
    earned = day_of(days), {f"{name}.py": np.arange(days, dtype=np.float64) for name in range(9)}
    assert pixels(draw_review(found, earned)).shape[0] > pixels(picture).shape[0]
