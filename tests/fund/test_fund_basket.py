"""The seed's basket: known answers, and what must hold for any."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fund.basket import PERIOD_US, Basket, basket_value, rebalance
from fund.units import PICO, WEI
from protocol.errors import DataError, RefusedError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "basket_rebalance.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"])
def test_known_answers(case: dict) -> None:
    units, prices, weights = ([Fraction(x) for x in case[k]] for k in ("units", "prices", "target_weights"))
    fee, expect = Fraction(case["rebalancing_fee"]), case["expect"]

    def same(found: Fraction, text: str) -> None:
        assert abs(found - Fraction(text)) <= Fraction(VECTORS["rtol"]) * abs(Fraction(text))

    same(basket_value(units, prices), expect["value_before"])
    implicit = rebalance(units, prices, weights, fee)
    same(implicit.value, expect["value_after_implicit"])
    same(implicit.fee, expect["fee_implicit"])
    same(implicit.traded, expect["traded_notional"])
    explicit = rebalance(units, prices, weights, fee, explicit=True)
    same(explicit.value, expect["value_after_explicit"])
    for found, texts in ((implicit, "units_after_implicit"), (explicit, "units_after_explicit")):
        for unit, text in zip(found.units, expect[texts], strict=True):
            same(unit, text)


amounts = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 100)), min_size=1, max_size=8
).filter(lambda rows: any(row[0] for row in rows))


@given(rows=amounts, fee=st.fractions(0, "1/5"))
def test_the_fee_is_exactly_what_was_traded_times_its_rate(rows: list[tuple[int, int, int]], fee: Fraction) -> None:
    units, prices, parts = zip(*rows, strict=True)
    weights = [Fraction(part, sum(parts)) for part in parts]
    after = rebalance(units, prices, weights, fee)
    moved = sum(abs(new - old) * price for new, old, price in zip(after.units, units, prices, strict=True))
    assert after.traded == moved
    assert after.fee == fee * moved
    assert after.value + after.fee == basket_value(units, prices)
    assert basket_value(after.units, prices) == after.value
    for unit, price, weight in zip(after.units, prices, weights, strict=True):
        assert unit * price == weight * after.value
    again = rebalance(after.units, prices, weights, fee)
    assert (again.traded, again.fee, again.units) == (0, 0, after.units)
    assert rebalance([u * 7 for u in units], prices, weights, fee).value == 7 * after.value


prices_of_weeks = st.lists(st.lists(st.integers(10**9, 10**15), min_size=3, max_size=3), min_size=1, max_size=30)


@given(weeks=prices_of_weeks, fee=st.integers(0, 20_000))
def test_years_of_rebalancing_lose_nothing_but_fees(weeks: list[list[int]], fee: int) -> None:
    basket = Basket.created(10**6 * WEI, ["a", "b", "c"], weeks[0], 0, fee_ppm=fee)
    assert basket.value(weeks[0]) <= 10**6 * WEI
    for number, prices in enumerate(weeks, 1):
        before = basket.value(prices)
        exact = rebalance(basket.units, prices, basket.weights, Fraction(fee, 10**6))
        basket = basket.rebalanced(prices, number * PERIOD_US)
        lost = before - basket.value(prices)
        assert -1 < lost - exact.fee / PICO < 4  # both values are cut to a wei, and each of three assets' units
        assert basket.cash >= 0


def test_creation_pays_its_fees() -> None:
    basket = Basket.created(1_000_000 * WEI, ["a", "b"], [2 * PICO, 5 * PICO], 0, fee_ppm=1_000, creation_ppm=10_000)
    assert basket.value([2 * PICO, 5 * PICO]) == pytest.approx(990_000 * WEI / 1.001, rel=1e-15)
    assert 0 <= basket.cash <= 10


def test_seven_days_must_pass() -> None:
    basket = Basket.created(WEI, ["a"], [PICO], 100, fee_ppm=0)
    assert not basket.due(100 + PERIOD_US - 1)
    assert basket.due(100 + PERIOD_US)
    with pytest.raises(RefusedError, match="next time is"):
        basket.rebalanced([PICO], 100 + PERIOD_US - 1)
    with pytest.raises(RefusedError):
        basket.rebalanced([PICO], 0)


@pytest.mark.parametrize("prices", [[0], [-1], [1, 1], []])
def test_a_missing_or_senseless_price_is_refused(prices: list[int]) -> None:
    basket = Basket.created(WEI, ["a"], [PICO], 0, fee_ppm=0)
    for act in (basket.value, lambda given_: basket.rebalanced(given_, PERIOD_US)):
        with pytest.raises(DataError):
            act(prices)


@pytest.mark.parametrize(
    ("weights", "fee"), [([1], 0), ([Fraction(1, 2)] * 3, 0), ([2, -1], 0), ([1, 1], 0), ([1, 0], 1), ([1, 0], -1)]
)
def test_senseless_weights_and_fees_are_refused(weights: list, fee: int) -> None:
    with pytest.raises(DataError, match="one weight per asset"):
        rebalance([1, 1], [1, 1], weights, fee)


@pytest.mark.parametrize(
    "changes",
    [
        {"assets": []},
        {"assets": ["a", "a"]},
        {"prices": [1]},
        {"prices": [1, 0]},
        {"amount": 0},
        {"weights": [Fraction(1)]},
        {"weights": [Fraction(1), Fraction(1)]},
        {"fee_ppm": 10**6},
        {"creation_ppm": -1},
    ],
)
def test_senseless_baskets_are_refused(changes: dict) -> None:
    good = {"amount": WEI, "assets": ["a", "b"], "prices": [PICO, PICO], "time": 0, "fee_ppm": 0}
    with pytest.raises(DataError):
        Basket.created(**{**good, **changes})
