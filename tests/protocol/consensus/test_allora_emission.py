"""Emission, its smoothing, and where the tokens come from."""

import json
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.emission import (
    YIELD_12_PERCENT,
    EmissionRule,
    Treasury,
    annual_yield,
    converted_alpha,
    maximum_rate,
    step,
    target_rate,
)
from protocol.errors import ConfigError, DataError

CASES = json.loads((Path(__file__).parent / "vectors" / "allora_emission.json").read_text())["cases"]
START = Treasury(mintable=359.5e6, circulating=155e6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['dt_month']:.2f} months")
def test_the_steps_of_the_vectors(case):
    months, f_stakers = case["dt_month"], case["f_stakers"]
    assert converted_alpha(case["alpha_e"], months) == pytest.approx(case["alpha_hat"], rel=1e-10)
    for row in case["series"]:
        _, found = step(
            Treasury(row["treasury"], row["circ"], rate=row["e_prev"]), row["staked"], f_stakers, months=months
        )
        names = {"target": "target", "max": "maximum", "e_hat": "capped", "e": "rate", "E": "total"}
        names |= {"validators": "validators", "topics": "topics"}
        for theirs, ours in names.items():
            assert getattr(found, ours) == pytest.approx(row[theirs], rel=1e-10), theirs


def unlock_scenario(*, smooth=True, fee_share=0.0, months=96):
    """Return the yields of months: 30 % are staked until a large unlock in month 12, 52 % from then on."""
    rule = EmissionRule(max_yield=YIELD_12_PERCENT, alpha=0.1 if smooth else 1.0)
    state, yields = START, []
    for month in range(1, months + 1):
        unlocked = 485.5e6 / 3 if month == 12 else 485.5e6 / 36 if 12 < month <= 36 else 0
        share = 0.30 if month < 12 else 0.52
        fees = fee_share * (1 - share) * state.circulating
        staked = share * (state.circulating + unlocked - fees)
        state, found = step(state, staked, 0.5, unlocked=unlocked, fees=fees, rule=rule)
        yields.append(found.annual_yield)
    return yields


def test_smoothing_takes_the_drop_out_of_an_unlock_and_fees_sustain_the_yield():
    plain, smooth, fees = unlock_scenario(smooth=False), unlock_scenario(), unlock_scenario(fee_share=0.02)
    assert plain[10] == smooth[10] == pytest.approx(0.12)
    assert plain[10] - plain[11] > 0.01
    assert smooth[10] - smooth[11] < 0.002
    assert fees[10] - fees[11] < 0.002
    assert plain[-1] < 0.03
    assert smooth[-1] < 0.03
    assert fees[-1] > 2 * smooth[-1]


def test_in_full_circulation_the_treasury_decays_by_its_fraction_a_month():
    rule = EmissionRule(alpha=1.0, max_yield=1.0)
    _, found = step(Treasury(400e6, 1e9), 600e6, 0.5, rule=rule)
    assert found.total == pytest.approx(0.025 * 400e6)


@given(
    mintable=st.floats(0, 1e9),
    fees=st.floats(0, 1e6),
    paid=st.floats(0, 1),
    unlocked=st.floats(0, 1e8),
    staked=st.one_of(st.just(0.0), st.floats(1e-300, 1e9)),
    f_stakers=st.floats(0, 1),
    rate=st.one_of(st.none(), st.floats(0, 1)),
    months=st.floats(1e-4, 12),
)
def test_tokens_only_move_and_fees_are_spent_before_anything_is_minted(  # noqa: PLR0917 - hypothesis names them
    mintable, fees, paid, unlocked, staked, f_stakers, rate, months
):
    before = Treasury(mintable, 155e6, fees, rate)
    paid *= before.circulating
    after, found = step(before, staked, f_stakers, months=months, unlocked=unlocked, fees=paid)
    total = before.total + before.circulating
    assert after.total + after.circulating == pytest.approx(total + unlocked, rel=1e-12)
    assert found.from_fees + found.minted == pytest.approx(found.total, abs=1e-6)
    assert found.minted == 0 or after.fees == 0
    assert 0 <= found.total <= (before.total + paid) * (1 + 1e-15)  # added up in another order
    assert found.validators + found.topics == pytest.approx(found.total)
    assert after.rate == found.rate < inf
    assert staked or not found.total


def test_whole_tokens_are_paid_exactly():
    state = Treasury(10**27, 10**30, fees=7).paid(10)
    assert state == Treasury(10**27 - 3, 10**30 + 10, 0)
    assert state.collected(5).paid(4) == Treasury(10**27 - 3, 10**30 + 9, 1)
    with pytest.raises(DataError, match="cannot be paid; the treasury holds 3"):
        Treasury(2, 0, 1).paid(4)


def test_converted_alpha_composes_to_the_same_decay():
    assert converted_alpha(0.5, 4) == 0.9375
    daily = converted_alpha(0.1, 1 / 30)
    assert (1 - daily) ** 30 == pytest.approx(0.9)


def test_yields_are_compounded_and_limited():
    assert annual_yield(maximum_rate(0.5, EmissionRule(max_yield=YIELD_12_PERCENT)), 0.5) == pytest.approx(0.12)
    assert abs(YIELD_12_PERCENT - 0.0095) < 2e-5


def test_without_stake_or_stakers_the_limits_are_infinite_but_nothing_is_emitted():
    assert target_rate(1e6, 1e6, 0) == maximum_rate(0) == inf
    assert target_rate(0, 1e6, 0) == target_rate(1e6, 0, 0) == 0
    after, found = step(START, 0, 0)
    assert (found.total, found.rate, found.annual_yield) == (0, 0, 0)
    assert step(replace(START, rate=0.01), 0, 0)[0].rate == 0.01
    assert step(after, 50e6, 0.5)[1].total > 0
    assert step(START, 0, 0.5)[1].total == 0


def test_an_empty_treasury_pays_what_it_has():
    _, found = step(Treasury(5.0, 155e6, rate=0.02), 50e6, 0.5)
    assert found.total == found.minted == 5
    assert step(Treasury(0.0, 155e6), 50e6, 0.5, fees=3)[1].from_fees > 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: step(START, -1, 0.5), DataError, "-1 staked tokens"),
        (lambda: step(START, inf, 0.5), DataError, "inf staked tokens"),
        (lambda: step(START, 1, 1.5), DataError, "f_stakers is 1.5"),
        (lambda: step(START, 1, 0.5, unlocked=-2), DataError, "-2 tokens cannot be unlocked"),
        (lambda: step(START, 1, 0.5, fees=1e9), DataError, "fees of 1000000000.0 cannot be paid"),
        (lambda: step(START, 1, 0.5, months=0), ConfigError, "cannot be converted to 0 periods"),
        (lambda: Treasury(-1, 0), DataError, "mintable is -1"),
        (lambda: Treasury(0, 0, float("nan")), DataError, "fees is nan"),
        (lambda: EmissionRule(alpha=2), ConfigError, "alpha of the emission is 2"),
        (lambda: EmissionRule(total_supply=0), ConfigError, "total_supply 0"),
        (lambda: converted_alpha(-0.1, 1), ConfigError, "alpha -0.1"),
    ],
)
def test_amounts_and_parameters_that_make_no_sense_are_refused(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
