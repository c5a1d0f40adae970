"""From inferences to weights to orders."""

from __future__ import annotations

import numpy as np
import pytest
from fund_bars import ABC, ALL, BTC, ETH, FEES, OLD, XYZ, Desk, flat, random_ticks, wander
from hypothesis import given, settings
from hypothesis import strategies as st

from fund.book import book_of
from fund.broker import place
from fund.costs import shortable
from fund.journal import Refusal
from fund.limits import Limits, Wanted, broken
from fund.portfolio import propose, target_weights
from fund.units import PPM
from protocol.errors import DataError

LIMITS = Limits(800_000, 250_000, 400_000, 300_000)
NAN = float("nan")


def weights_of(value, half=0.5, sigma=0.01, **changes):
    v = np.asarray(value, dtype=float)
    options = {"evidence": 1.0, "bars_per_year": 252.0, "target_volatility": 10.0, **changes}
    return target_weights(v, v - half, v + half, np.broadcast_to(sigma, v.shape), **options)


arrays = st.lists(st.floats(-3, 3), min_size=2, max_size=30)


@given(value=arrays, seed=st.integers(0, 10**6), evidence=st.floats(0, 1))
def test_risks_add_up_to_nothing_and_sizes_to_the_evidence(value: list[float], seed: int, evidence: float) -> None:
    rng = np.random.default_rng(seed)
    half, sigma = rng.uniform(0, 2, len(value)), rng.uniform(0.005, 0.015, len(value))
    w = weights_of(value, half, sigma, evidence=evidence)
    assert abs(np.sum(w * sigma)) < 1e-8
    total = np.abs(w).sum()
    assert total == pytest.approx(evidence, abs=1e-7) or total == 0


@given(value=arrays, seed=st.integers(0, 10**6))
def test_the_order_of_the_assets_does_not_matter(value: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(value))
    np.testing.assert_allclose(weights_of(np.array(value)[order]), weights_of(value)[order], atol=2e-9)


@given(value=arrays, shift=st.floats(-5, 5), scale=st.floats(0.25, 4))
def test_only_differences_count_and_only_ratios_of_risk(value: list[float], shift: float, scale: float) -> None:
    v = np.round(value, 3)
    np.testing.assert_allclose(weights_of(v + shift), weights_of(v), atol=1e-5)
    np.testing.assert_allclose(weights_of(v, sigma=0.01 * scale), weights_of(v), atol=2e-9)
    np.testing.assert_allclose(weights_of(-v), -weights_of(v), atol=2e-9)


def test_higher_values_and_lower_risks_get_larger_weights() -> None:
    w = weights_of([2.0, 1.0, -1.0, -2.0])
    assert w[0] > w[1] > 0 > w[2] > w[3]
    w = weights_of([1.0, 1.0, -1.0, -1.0], sigma=[0.01, 0.02, 0.01, 0.02])
    assert w[0] == pytest.approx(2 * w[1])


def test_a_forecast_that_its_interval_swallows_counts_little() -> None:
    w = weights_of([1.0, 1.0, -1.0, -1.0], half=[0.1, 5.0, 1.0, 1.0])
    assert w[0] > 10 * abs(w[1])


def test_no_spread_is_not_certainty() -> None:
    w = weights_of([1.0, 1.0, -2.0], half=[0.0, 1.0, 1.0])
    assert w[0] == pytest.approx(w[1])


def test_a_price_that_does_not_move_takes_no_more_than_four_times_the_weight() -> None:
    w = weights_of([1.0, 1.0, -1.0, -1.0], sigma=[1e-9, 0.01, 0.01, 0.01])
    assert w[0] == pytest.approx(4 * w[1])


@pytest.mark.parametrize("bad", [NAN, float("inf")])
@pytest.mark.parametrize("column", range(4))
def test_an_asset_with_anything_missing_is_left_out(bad: float, column: int) -> None:
    columns = [np.array([1.0, 0.5, -1.0]), np.array([0.5, 0.0, -2.0]), np.array([2.0, 1.0, 0.0]), np.full(3, 0.01)]
    columns[column][1] = bad
    w = target_weights(*columns, evidence=1.0, bars_per_year=252.0)
    others = target_weights(*(c[[0, 2]] for c in columns), evidence=1.0, bars_per_year=252.0)
    assert w[1] == 0
    np.testing.assert_array_equal(w[[0, 2]], others)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        ([], {}),
        ([1.0], {}),
        ([1.0, 1.0, 1.0], {}),
        ([1.0, NAN, NAN], {}),
        ([NAN, NAN], {}),
        ([1.0, -1.0], {"evidence": 0.0}),
        ([1.0, -1.0], {"sigma": 0.0}),
        ([1.0, -1.0], {"sigma": -0.01}),
        ([1.0, -1.0], {"half": -0.5}),
        ([1.0, -1.0], {"sigma": 1e-300}),
        ([1.0, -1.0], {"sigma": 1e300}),
        ([1e300, -1.0], {}),
        ([1.0, -1.0], {"half": 1e300}),
    ],
)
def test_without_evidence_all_is_cash(value: list[float], changes: dict) -> None:
    assert not weights_of(value, **changes).any()


def test_risk_is_brought_down_to_the_target() -> None:
    w = weights_of([2.0, 1.0, -0.5, -2.0], sigma=0.02, target_volatility=0.05)
    assert np.sqrt(252 * np.sum((w * 0.02) ** 2)) == pytest.approx(0.05)
    for correlation in (0.1, 0.5, 0.9):
        covariance = 0.02**2 * (correlation + (1 - correlation) * np.eye(4))
        assert 252 * w @ covariance @ w <= 0.05**2


@pytest.mark.parametrize(
    "changes",
    [{"evidence": 1.1}, {"evidence": NAN}, {"bars_per_year": 0.0}, {"gross": -1.0}, {"target_volatility": NAN}],
)
def test_senseless_options_are_refused(changes: dict) -> None:
    with pytest.raises(DataError):
        weights_of([1.0, -1.0], **changes)
    with pytest.raises(DataError, match="equally long"):
        target_weights([1.0], [1.0, 2.0], [1.0], [1.0], evidence=1.0, bars_per_year=1.0)


# ------------------------------------------------------------------------------------------------------------ orders


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_orders_lead_within_the_limits_and_are_all_accepted(seed: int) -> None:
    desk = wander(Desk(), random_ticks(seed, 25, trouble=0.1), seed)
    book, _ = place(desk.book, [])
    rng = np.random.default_rng(seed)
    names = [instrument.asset for instrument in ALL]
    weights = dict(zip(names, map(float, rng.normal(0, 0.4, len(names))), strict=True))
    proposal = propose(book, weights, LIMITS, book.time + 1)
    after, records = place(book, proposal.orders)
    assert not [record for record in records if isinstance(record, Refusal)]
    lots = {asset: book.lots(asset) for asset in book.last}
    for order in proposal.orders:
        lots[order.asset] += order.lots
        assert book.last[order.asset].time == book.time
        assert (
            lots[order.asset] >= 0
            or shortable(book.instruments[order.asset])
            or lots[order.asset] >= book.lots(order.asset)
        )
    halted = any(book.last[asset].time < book.time for asset in lots)
    wanted = {a: Wanted(book.lots(a), 0, book.lot_value(a), book.instruments[a].sector) for a in lots}
    if not halted:
        assert not broken(wanted, lots, book.nav(), LIMITS)
    if not halted and not any("moved" in hit for hit in proposal.hits):
        traded = sum(abs(order.lots) * book.lot_value(order.asset) for order in proposal.orders)
        assert traded * PPM <= max(0, book.nav()) * LIMITS.turnover_ppm
    assert propose(book, weights, LIMITS, book.time + 1) == proposal
    assert len(after.working) == len(proposal.orders)


def led(**prices: float) -> Desk:
    desk = Desk(fees=FEES)
    desk.bar(**prices)
    return desk


def test_assets_without_a_weight_are_sold_and_halted_ones_wait() -> None:
    desk = led(ABC=50.0, XYZ=20.0, OLD=8.0)
    desk.order((ABC, 100), (XYZ, 100))
    desk.bar(ABC=50.0, XYZ=20.0, OLD=8.0)
    desk.bar(ABC=50.0, OLD=8.0)
    orders = propose(desk.book, {OLD: 0.1}, Limits(), desk.book.time + 1).orders
    assert [(order.asset, order.lots > 0) for order in orders] == [(ABC, False), (OLD, True)]
    assert [order.id for order in orders] == [3, 4]


def test_what_cannot_be_sold_short_is_sold_at_most() -> None:
    desk = led(ETH=2_000.0, BTC=40_000.0)
    assert [o.asset for o in propose(desk.book, {ETH: -0.1, BTC: -0.1}, Limits(), desk.book.time + 1).orders] == [BTC]


def test_an_asset_that_never_had_a_price_is_left_out() -> None:
    desk = led(ABC=50.0)
    assert [o.asset for o in propose(desk.book, {ABC: 0.1, XYZ: 0.1}, Limits(), desk.book.time + 1).orders] == [ABC]


def test_no_weights_and_nothing_held_is_nothing_to_do() -> None:
    assert propose(book_of(ALL), {}, Limits(), 1) == ((), ())


@pytest.mark.parametrize("weights", [{ABC: NAN}, {ABC: float("inf")}, {"nowhere:NONE": 0.1}])
def test_senseless_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(DataError, match="weights are finite"):
        propose(led(ABC=50.0).book, weights, Limits(), 10**18)


def test_weights_are_reached_to_a_lot() -> None:
    desk = led(ABC=50.0)
    desk.keep(place(desk.book, propose(desk.book, {ABC: 0.05}, Limits(), desk.book.time * 2).orders))
    desk.bar(ABC=flat(50.0, 1e9))
    assert desk.book.lots(ABC) == 1_000 - 1  # the management fee of the first day
