"""Pay what you want, and what a topic earns by it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.fees import PriceRule, Revenue
from protocol.errors import ConfigError, DataError, RefusedError


def test_any_fee_is_accepted_unless_the_topic_sets_a_minimum():
    assert Revenue().consumed(0.0).consumed(3.5).effective == 3.5
    asking = Revenue(rule=PriceRule(minimum=2.0))
    assert asking.consumed(2.0).effective == 2
    with pytest.raises(RefusedError, match=r"a fee of 1\.9 is refused; this topic asks for at least 2\.0"):
        asking.consumed(1.9)


def test_consumers_are_told_what_others_paid_zeros_included():
    revenue = Revenue(rule=PriceRule(cost=0.5, memory=3))
    assert revenue.suggestion == 0.5
    for fee, suggestion in ((4.0, 4.0), (0.0, 2.0), (1.0, 1.0), (9.0, 1.0), (8.0, 8.0)):
        revenue = revenue.consumed(fee)
        assert revenue.suggestion == suggestion
    assert revenue.recent == (1, 9, 8)
    assert replace(revenue, rule=PriceRule(minimum=10)).suggestion == 10


def test_access_fees_count_for_the_topic_but_tell_consumers_nothing():
    revenue = Revenue().consumed(1.0).accessed(50.0)
    assert (revenue.effective, revenue.recent) == (51, (1,))


def test_revenue_fades_over_about_a_week():
    revenue = Revenue(effective=100.0)
    for _ in range(168):
        revenue = revenue.decayed(168)
    assert revenue.effective == pytest.approx(100 * (167 / 168) ** 168)
    assert Revenue(effective=1.0).decayed(1).effective == Revenue(effective=1.0).decayed(0.25).effective == 0


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20), st.floats(1, 1e5))
def test_revenue_is_never_negative_nor_more_than_was_paid(fees, epochs_per_week):
    revenue = Revenue()
    for fee in fees:
        revenue = revenue.consumed(fee).decayed(epochs_per_week)
    assert 0 <= revenue.effective <= sum(fees) * (1 + 1e-12)


def test_steady_fees_converge_to_those_of_a_week():
    revenue = Revenue()
    for _ in range(5000):
        revenue = revenue.consumed(2.0).decayed(168)
    assert revenue.effective == pytest.approx(2 * 167)


@pytest.mark.parametrize("fee", [-1.0, float("nan"), float("inf")])
def test_a_fee_that_is_no_amount_is_refused(fee):
    with pytest.raises(DataError, match="cannot be paid"):
        Revenue().consumed(fee)
    with pytest.raises(DataError, match="cannot be paid"):
        Revenue().accessed(fee)


def test_rules_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="minimum price is -1"):
        PriceRule(minimum=-1)
    with pytest.raises(ConfigError, match="price memory is 0"):
        PriceRule(memory=0)
    with pytest.raises(ConfigError, match="epochs per week is 0"):
        Revenue().decayed(0)
