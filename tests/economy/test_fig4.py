"""Figure 4: the yield around the unlock and in the long run."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest

from economy.experiments.fig4 import SETUPS, Scenario, Setup, course, run
from protocol.errors import UsageError

UNSMOOTHED, SMOOTHED, FEES = SETUPS


def test_the_figure_has_the_papers_numbers() -> None:
    setups = run().numbers["setups"]
    unsmoothed, smoothed, fees = setups
    assert [one["before_unlock"] for one in setups] == pytest.approx([12.0] * 3, abs=0.02)
    assert unsmoothed["at_unlock"] == pytest.approx(10.45, abs=0.01)
    assert smoothed["change"] == pytest.approx(-0.16, abs=0.005)
    assert fees["change"] == pytest.approx(-0.11, abs=0.005)
    assert [one["last"] for one in setups] == pytest.approx([1.62, 1.26, 5.97], abs=0.015)
    assert unsmoothed["staked_before_unlock"] == pytest.approx(0.30, abs=0.005)
    assert unsmoothed["staked_at_unlock"] == pytest.approx(0.52, abs=0.005)


def test_without_a_jump_of_the_staked_part_the_yield_does_not_drop() -> None:
    even = replace(Scenario(), first_staked=0.6, unlocked_staked=0.6, rewards_staked=0.6)
    plain = course(UNSMOOTHED, scenario=even)
    assert plain.staked[0] == pytest.approx(0.6)
    assert plain.staked[-1] == pytest.approx(0.6)
    declines = [before - after for before, after in zip(plain.annual, plain.annual[1:], strict=False)]
    assert declines[10] == pytest.approx(declines[9], abs=0.01)


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.key)
def test_tokens_are_conserved(setup: Setup) -> None:
    place, known = Scenario(), course(setup)
    assert place.circulating + place.treasury + place.locked == 1e9
    unlocked = list(accumulate(place.unlocks(month) for month in range(1, 97)))
    assert unlocked[-1] == pytest.approx(place.locked)
    for month, held in enumerate(known.treasury):
        assert known.circulating[month] + held + place.locked - unlocked[month] == pytest.approx(1e9)
        assert 0 < known.staked[month] < 1


def test_fees_keep_the_treasury_alive() -> None:
    plain, paid = course(SMOOTHED), course(FEES)
    assert paid.treasury[-1] > 4 * plain.treasury[-1]
    assert all(with_fees >= without - 0.02 for with_fees, without in zip(paid.annual, plain.annual, strict=True))


def test_months_must_reach_the_unlock() -> None:
    with pytest.raises(UsageError, match="11 months end before the unlock; give at least 12"):
        course(SMOOTHED, 11)
