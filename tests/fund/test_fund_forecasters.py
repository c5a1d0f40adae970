"""Forecasters expect losses better than a constant where there is something to expect, and see nothing that comes later."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fund.forecasters import FORECASTERS, Forecaster, RegimeRidge, Reverting, Seen, Track
from fund.regime import NAMES

Floats = NDArray[np.float64]
DELAY = 2  # bars between question and truth
WARM = 200
NOISE = 0.16  # standard error of CORR with 40 symbols


def persistent(rng: np.random.Generator, bars: int, n: int, memory: float) -> Floats:
    out = np.zeros((bars, n))
    for bar in range(1, bars):
        out[bar] = memory * out[bar - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(n)
    return out


def by_regime(rng: np.random.Generator, bars: int, regime: Floats) -> Floats:
    """One model likes volatility, one calm, one trends, one nothing in particular."""
    del rng, bars
    return np.stack(
        [0.03 + 0.06 * regime[:, 0], 0.03 - 0.06 * regime[:, 0], 0.03 + 0.05 * regime[:, 2], 0.03 + 0 * regime[:, 0]], 1
    )


def by_runs(rng: np.random.Generator, bars: int, regime: Floats) -> Floats:
    """Skill comes and goes by itself."""
    del regime
    return 0.03 + 0.07 * persistent(rng, bars, 4, 0.98)


def not_at_all(rng: np.random.Generator, bars: int, regime: Floats) -> Floats:
    del rng, regime
    return np.full((bars, 4), 0.03)


def forecasts(losses: Floats, regime: Floats) -> tuple[dict[str, Floats], Floats]:
    """Return what each forecaster said at every bar, and the best constant known then: each model's mean so far."""
    bars, n = losses.shape
    track, kinds = Track.start(n), {name: kind.start(n) for name, kind in FORECASTERS.items()}
    seen: list[Seen] = []
    said = {name: np.full((bars, n), np.nan) for name in kinds}
    constant = np.full((bars, n), np.nan)
    for bar in range(bars):
        if bar >= DELAY:
            old = bar - DELAY
            kinds = {name: one.learnt(seen[old], losses[old]) for name, one in kinds.items()}
            track = track.learnt(losses[old])
            constant[bar] = losses[: old + 1].mean(axis=0)
        seen.append(track.seen(regime[bar]))
        for name, one in kinds.items():
            said[name][bar] = one.forecast(seen[bar])
    return said, constant


def gains(skill: Callable[..., Floats], *, seed: int, bars: int = 1200) -> dict[str, Floats]:
    """Return, bar by bar, how much less each forecaster's squared error is than the constant's."""
    rng = np.random.default_rng(seed)
    regime = np.clip(persistent(rng, bars, len(NAMES), 0.97), -3, 3)
    losses = np.clip(-skill(rng, bars, regime) - NOISE * rng.standard_normal((bars, 4)), -1, 1)
    said, constant = forecasts(losses, regime)
    error = ((constant - losses) ** 2).mean(axis=1)
    return {name: (error - ((one - losses) ** 2).mean(axis=1))[WARM:] for name, one in said.items()}


def t_value(gain: Floats) -> float:
    """Return the mean over its standard error, by means of blocks of 50 bars, which regimes make dependent."""
    blocks = gain[: gain.size // 50 * 50].reshape(-1, 50).mean(axis=1)
    return float(blocks.mean() / (blocks.std(ddof=1) / np.sqrt(blocks.size)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_beat_a_constant_where_skill_depends_on_the_regime(seed: int) -> None:
    gain = gains(by_regime, seed=seed)
    assert t_value(gain["regime-ridge"]) > 3
    assert t_value(gain["reverting"]) > 1.5
    assert gain["regime-ridge"].mean() > gain["reverting"].mean() > 0, "the one that knows the regime knows more"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_beat_a_constant_where_skill_runs(seed: int) -> None:
    gain = gains(by_runs, seed=seed)
    assert t_value(gain["reverting"]) > 3
    assert t_value(gain["regime-ridge"]) > 1.5
    assert gain["reverting"].mean() > gain["regime-ridge"].mean(), "the one that knows runs only is not distracted"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_there_is_nothing_to_expect_they_cost_little(seed: int) -> None:
    gain = gains(not_at_all, seed=seed)
    assert gain["reverting"].mean() > -0.003 * NOISE**2
    assert gain["regime-ridge"].mean() > -0.03 * NOISE**2


def test_the_gain_of_runs_is_what_lasts() -> None:
    rng = np.random.default_rng(0)
    noise, runs = Reverting.start(1), Reverting.start(1)
    for _ in range(2000):
        seen = Seen(np.zeros(len(NAMES)), np.zeros(4), 0.1 * rng.standard_normal(4))
        noise = noise.learnt(seen, 0.1 * rng.standard_normal(4))
        runs = runs.learnt(seen, 0.6 * seen.run + 0.1 * rng.standard_normal(4))
    assert abs(noise.gain) < 0.1
    assert 0.5 < runs.gain < 0.7


@given(st.integers(3, 40), st.integers(0, 2**32 - 1))
def test_nothing_later_is_seen(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = cut + 6
    losses, regime = rng.uniform(-1, 1, (bars, 3)), rng.uniform(-3, 3, (bars, len(NAMES)))
    losses[rng.random(losses.shape) < 0.2] = np.nan
    before, _ = forecasts(losses, regime)
    losses[cut - DELAY :], regime[cut:] = rng.uniform(-1, 1, (6 + DELAY, 3)), 3.0
    after, _ = forecasts(losses, regime)
    for name, said in before.items():
        np.testing.assert_array_equal(said[:cut], after[name][:cut])


def test_who_has_shown_nothing_is_expected_to_have_no_skill() -> None:
    track = Track.start(2)
    forecasters: list[Forecaster] = [kind.start(2) for kind in FORECASTERS.values()]
    for one in forecasters:
        assert one.forecast(track.seen(np.ones(len(NAMES)))).tolist() == [0, 0]
    for _ in range(300):
        track = track.learnt(np.array([-0.2, -0.1]))
    seen = track.seated(np.array([0, 1, -1])).seen(np.zeros(len(NAMES)))
    assert -0.2 < seen.base[0] < seen.base[1] < seen.base[2] == 0
    assert seen.run[2] == 0
    for one in forecasters:
        assert one.seated(np.array([0, 1, -1])).forecast(seen)[2] == 0


def test_an_absent_model_keeps_what_is_known_of_it() -> None:
    track, ridge = Track.start(2), RegimeRidge.start(2)
    rng = np.random.default_rng(1)
    for _ in range(50):
        seen = track.seen(rng.standard_normal(len(NAMES)))
        losses = rng.uniform(-1, 1, 2)
        track, ridge = track.learnt(losses), ridge.learnt(seen, losses)
    away = np.array([np.nan, 0.5])
    later, wiser = track.learnt(away), ridge.learnt(track.seen(np.ones(len(NAMES))), away)
    assert later.long[0] == track.long[0]
    assert later.long[1] != track.long[1]
    np.testing.assert_array_equal(wiser.squares[0], ridge.squares[0])
    assert (wiser.squares[1] != ridge.squares[1]).any()


@given(st.permutations([0, 1, 2, -1]))
def test_seats_are_what_they_were(place: list[int]) -> None:
    rng = np.random.default_rng(0)
    track, ridge = Track.start(3), RegimeRidge.start(3)
    for _ in range(30):
        seen = track.seen(rng.standard_normal(len(NAMES)))
        losses = rng.uniform(-1, 1, 3)
        track, ridge = track.learnt(losses), ridge.learnt(seen, losses)
    regime, where = rng.standard_normal(len(NAMES)), np.array(place)
    before = ridge.forecast(track.seen(regime))
    after = ridge.seated(where).forecast(track.seated(where).seen(regime))
    np.testing.assert_array_equal(after[where >= 0], before[where[where >= 0]])


def test_what_they_expect_can_happen() -> None:
    seen = Seen(np.full(len(NAMES), 3.0), np.array([-0.9, 0.9]), np.array([-0.9, 0.9]))
    ridge = RegimeRidge(np.zeros((2, 10, 10)), np.full((2, 10), 1e4))
    assert (np.abs(ridge.forecast(seen)) <= 1).all()
    assert (np.abs(Reverting(np.array(9.0), np.array(9.0)).forecast(seen)) <= 1).all()
