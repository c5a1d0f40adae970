"""Limits hold to the wei after rounding to lots, whatever is held, wanted or halted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fund.limits import Limits, Wanted, broken, fit
from fund.units import PPM, WEI
from protocol.errors import ConfigError

NAV = 1_000_000 * WEI
WIDE = Limits(10**7, 10**7, 10**7, 10**7)

wants = st.dictionaries(
    st.sampled_from([f"b:S{number}" for number in range(8)]),
    st.builds(
        Wanted,
        held=st.integers(-3_000, 3_000),
        target=st.integers(-5_000, 5_000),
        unit=st.integers(1, 300 * WEI),
        sector=st.sampled_from(["one", "two", "three"]),
        least=st.sampled_from([0, WEI, 1_000 * WEI]),
        fixed=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
)
some_limits = st.builds(
    Limits,
    gross_ppm=st.integers(0, 2 * PPM),
    name_ppm=st.integers(0, PPM),
    sector_ppm=st.integers(0, PPM),
    turnover_ppm=st.integers(0, 2 * PPM),
)


def turnover(wanted: dict[str, Wanted], lots: dict[str, int]) -> int:
    return sum(abs(lots[asset] - want.held) * want.unit for asset, want in wanted.items())


def size(wanted: dict[str, Wanted], lots: dict[str, int], **only: str) -> int:
    return sum(
        abs(lots[asset]) * want.unit for asset, want in wanted.items() if want.sector == only.get("sector", want.sector)
    )


@given(wanted=wants, limits=some_limits)
def test_what_can_be_traded_obeys_every_limit_exactly(wanted: dict[str, Wanted], limits: Limits) -> None:
    lots = fit(wanted, NAV, limits).lots
    halted = {asset: lots[asset] if want.fixed else 0 for asset, want in wanted.items()}
    for asset, want in wanted.items():
        if want.fixed:
            assert lots[asset] == want.held
        else:
            assert abs(lots[asset]) * want.unit * PPM <= NAV * limits.name_ppm
    for sector in ("one", "two", "three"):
        most = max(NAV * limits.sector_ppm, size(wanted, halted, sector=sector) * PPM)
        assert size(wanted, lots, sector=sector) * PPM <= most
    assert size(wanted, lots) * PPM <= max(NAV * limits.gross_ppm, size(wanted, halted) * PPM)


@given(wanted=wants, limits=some_limits)
def test_turnover_holds_exactly_unless_prices_moved_what_is_held_out_of_limits(
    wanted: dict[str, Wanted], limits: Limits
) -> None:
    lots, hits = fit(wanted, NAV, limits)
    if not any("prices moved" in hit for hit in hits):
        assert turnover(wanted, lots) * PPM <= NAV * limits.turnover_ppm
    forced = fit({asset: want._replace(target=want.held) for asset, want in wanted.items()}, NAV, limits).lots
    most = max(NAV * limits.turnover_ppm, turnover(wanted, forced) * PPM)
    # a forced sale smaller than the minimum is made nevertheless, so nothing is above what is forced
    assert turnover(wanted, lots) * PPM <= most


@given(wanted=wants, limits=some_limits)
def test_every_trade_is_worth_the_brokers_minimum_or_only_reduces(wanted: dict[str, Wanted], limits: Limits) -> None:
    for asset, lots in fit(wanted, NAV, limits).lots.items():
        want = wanted[asset]
        if lots != want.held and abs(lots - want.held) * want.unit < want.least:
            assert abs(lots) < abs(want.held)
            assert lots * want.held >= 0


@given(wanted=wants, limits=some_limits, factor=st.integers(2, 10**6))
def test_another_currency_changes_nothing(wanted: dict[str, Wanted], limits: Limits, factor: int) -> None:
    other = {asset: want._replace(unit=want.unit * factor, least=want.least * factor) for asset, want in wanted.items()}
    assert fit(other, NAV * factor, limits) == fit(wanted, NAV, limits)


@given(wanted=wants, limits=some_limits)
def test_what_came_out_is_a_fixed_point_of_size(wanted: dict[str, Wanted], limits: Limits) -> None:
    lots = fit(wanted, NAV, limits).lots
    free = {asset: want._replace(held=lots[asset], target=lots[asset], fixed=False) for asset, want in wanted.items()}
    if not any(want.fixed for want in wanted.values()):
        assert fit(free, NAV, limits) == (lots, ())
        assert not broken(wanted, lots, NAV, limits)


def test_targets_within_limits_are_reached() -> None:
    wanted = {"b:A": Wanted(0, 100, WEI, "one"), "b:B": Wanted(5, -70, WEI, "two")}
    assert fit(wanted, NAV, WIDE) == ({"b:A": 100, "b:B": -70}, ())


def test_each_limit_says_that_it_was_binding() -> None:
    wanted = {"b:A": Wanted(0, 200_000, WEI, "one"), "b:B": Wanted(0, 200_000, WEI, "one")}
    lots, hits = fit(wanted, NAV, Limits(150_000, 100_000, 180_000, 100_000))
    assert hits == ("name b:A", "name b:B", "sector one", "gross", "turnover")
    assert lots == {"b:A": 50_000, "b:B": 50_000}
    assert broken(wanted, {"b:A": 200_000, "b:B": 200_000}, NAV, Limits(150_000, 100_000, 180_000, 100_000)) == (
        "name b:A",
        "name b:B",
        "sector one",
        "gross",
    )


def test_scaling_never_rounds_up() -> None:
    wanted = {f"b:{name}": Wanted(0, 10, WEI, "one") for name in "ABC"}
    assert fit(wanted, 20 * WEI, Limits(PPM, PPM, PPM, 9 * PPM)).lots == dict.fromkeys(wanted, 6)


def test_coming_back_within_limits_does_not_wait_for_turnover() -> None:
    wanted = {"b:A": Wanted(300_000, 300_000, WEI, "one")}
    lots, hits = fit(wanted, NAV, Limits(PPM, 100_000, 300_000, 0))
    assert lots == {"b:A": 100_000}
    assert "name b:A (prices moved)" in hits


def test_a_halted_position_uses_up_its_sector() -> None:
    wanted = {"b:A": Wanted(250_000, 0, WEI, "one", fixed=True), "b:B": Wanted(0, 100_000, WEI, "one")}
    assert fit(wanted, NAV, Limits(PPM, 300_000, 300_000, PPM)).lots == {"b:A": 250_000, "b:B": 50_000}
    assert fit(wanted, NAV, Limits(PPM, 300_000, 200_000, PPM)).lots == {"b:A": 250_000, "b:B": 0}


@pytest.mark.parametrize(
    ("held", "target", "lots"),
    [(0, 5, 0), (0, 50, 50), (100, 105, 100), (100, 95, 95), (3, -4, 0), (30, -40, -40), (3, 0, 0)],
)
def test_small_trades_are_left_out_and_small_turns_become_exits(held: int, target: int, lots: int) -> None:
    assert fit({"b:A": Wanted(held, target, WEI, "one", 10 * WEI)}, NAV, WIDE).lots == {"b:A": lots}


@pytest.mark.parametrize("nav", [0, -NAV])
def test_without_value_everything_is_sold(nav: int) -> None:
    assert fit({"b:A": Wanted(100, 500, WEI, "one"), "b:B": Wanted(-7, 0, WEI, "one")}, nav, WIDE).lots == {
        "b:A": 0,
        "b:B": 0,
    }


def test_negative_limits_are_refused() -> None:
    with pytest.raises(ConfigError):
        Limits(gross_ppm=-1)
