"""Success multiplier, momentum and the price-change limiter."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.momentum import BETA, Band, band, damped, momentum
from protocol.ltft.success import BOUNDS, bounded, success_multiplier
from protocol.ltft.wei import PPM, WAD

PRICES = st.lists(amounts(100, 0), min_size=1, max_size=12)
SHARE = st.integers(0, WAD)


@given(PRICES, SHARE, st.integers(1, 15), st.integers(1, 600))
def test_momentum_is_the_seeds_mean_of_changes(prices, beta, window, step):
    steps = min(window, len(prices) - 1)
    changes = [prices[-k] - prices[-k - 1] for k in range(1, steps + 1)]
    mu = Fraction(beta, WAD) * sum(Fraction(c, step) for c in changes) / max(steps, 1)
    found = momentum(prices, beta=beta, window=window, step=step)
    assert abs(mu) - 1 < abs(found) <= abs(mu)
    assert found * mu >= 0
    exact = prices[-1] - mu * step
    assert exact - 1 < damped(prices, beta=beta, window=window) <= exact
    assert exact >= 0


def test_after_a_rise_there_is_less_room_above():
    flat, risen, fallen = ([WAD], [WAD * 96 // 100, WAD], [WAD * 104 // 100, WAD])
    assert band(flat, limit_ppm=50_000) == Band(WAD * 95 // 100, WAD * 105 // 100)
    middle = WAD - 4 * WAD // 100 * 7 // 10
    assert band(risen, limit_ppm=50_000) == Band(-(-middle * 95 // 100), middle * 105 // 100)
    assert band(risen, limit_ppm=50_000).high < band(flat, limit_ppm=50_000).high < band(fallen, limit_ppm=50_000).high
    assert band(flat, limit_ppm=0) == Band(WAD, WAD)
    assert BETA == WAD * 7 // 10


@given(PRICES, st.integers(0, PPM))
def test_the_band_is_around_the_damped_price(prices, limit):
    low, high = band(prices, limit_ppm=limit)
    middle = damped(prices)
    assert (PPM - limit) * middle <= low * PPM < (PPM - limit) * middle + PPM
    assert (PPM + limit) * middle - PPM < high * PPM <= (PPM + limit) * middle


@given(st.lists(st.tuples(st.integers(0, WAD // 4), SHARE), max_size=4))
def test_the_multiplier_is_exact_rounded_up_and_from_one_to_two(pairs):
    weights, metrics = [w for w, _ in pairs], [m for _, m in pairs]
    exact = WAD + Fraction(sum(w * m for w, m in pairs), WAD)
    assert exact <= success_multiplier(weights, metrics) < exact + 1
    assert WAD <= success_multiplier(weights, metrics) <= 2 * WAD


def test_the_seeds_bounds_with_equal_weights():
    weights = [WAD // 4] * 4
    assert success_multiplier(weights, bounded([0, 0, 0, 0])) == 1375 * WAD // 1000
    assert success_multiplier(weights, bounded([2 * WAD] * 4)) == 2 * WAD
    assert bounded([WAD // 2] * 4) == (BOUNDS[0][0], WAD // 2, BOUNDS[2][0], WAD // 2)


@pytest.mark.parametrize("bad", NOT_WHOLE)
def test_nonsense_is_refused(bad):
    with pytest.raises(RefusedError, match="a price is"):
        momentum([bad, WAD])
    with pytest.raises(ConfigError, match="beta is"):
        momentum([WAD], beta=bad)
    with pytest.raises(ConfigError, match="the window is"):
        damped([WAD], window=bad)
    with pytest.raises(ConfigError, match="the step is"):
        momentum([WAD], step=bad)
    with pytest.raises(ConfigError, match="limit_ppm is"):
        band([WAD], limit_ppm=bad)
    with pytest.raises(ConfigError, match="weight 0 is"):
        success_multiplier([bad], [WAD])
    with pytest.raises(RefusedError, match="metric 0 is"):
        success_multiplier([WAD], [bad])


def test_the_rest_of_nonsense():
    with pytest.raises(RefusedError, match="at least one price"):
        momentum([])
    with pytest.raises(ConfigError, match="sum of the weights"):
        success_multiplier([WAD, 1], [0, 0])
    with pytest.raises(RefusedError, match="1 metrics for 2 weights"):
        success_multiplier([1, 1], [0])
    with pytest.raises(RefusedError, match="1 metrics for 4 bounds"):
        bounded([0])
