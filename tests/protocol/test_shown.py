"""A portfolio kept by hand, and Numerai's contribution by its published steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from protocol.errors import DataError
from protocol.scores import DAY_US
from protocol.shown import YEAR_US, mmc, portfolio

SEEDS = st.integers(0, 2**32 - 1)


def panel(rng, times, symbols):
    p, y = np.round(rng.normal(size=(2, times, symbols)), 1)
    return p, y / 50, np.repeat(np.arange(times) * DAY_US, symbols), np.tile(np.arange(symbols), times)


@settings(deadline=None)
@given(SEEDS, st.integers(1, 3), st.integers(5, 9))
def test_the_portfolio_is_that_kept_by_hand(seed, horizon, symbols):
    rng = np.random.default_rng(seed)
    p, y, time, symbol = panel(rng, 12, symbols)
    old, wealth, top, fall, gross, net, traded = np.zeros(symbols), 0.0, 0.0, 0.0, [], [], []
    for t in range(0, 12, horizon):
        rank = rankdata(p[t]) - (symbols + 1) / 2
        w = rank / np.abs(rank).sum() if np.ptp(p[t]) else np.zeros(symbols)
        traded.append(np.abs(w - old).sum())
        gross.append(w @ y[t])
        net.append(gross[-1] - 0.001 * traded[-1])
        old, wealth = w, wealth + net[-1]
        top = max(top, wealth)
        fall = max(fall, top - wealth)
    order = rng.permutation(p.size)
    result = portfolio(p.ravel()[order], y.ravel()[order], time[order], symbol[order], horizon=horizon)
    scale = np.sqrt(YEAR_US / (horizon * DAY_US))
    assert result.periods == len(net)
    assert result.turnover == pytest.approx(np.mean(traded))
    assert result.max_drawdown == pytest.approx(fall)
    assert result.gross_sharpe == pytest.approx(np.mean(gross) / np.std(gross, ddof=1) * scale)
    assert result.net_sharpe == pytest.approx(np.mean(net) / np.std(net, ddof=1) * scale)


def test_saying_nothing_costs_and_earns_nothing():
    _, y, time, symbol = panel(np.random.default_rng(0), 20, 6)
    result = portfolio(np.full(y.size, 3.0), y.ravel(), time, symbol, horizon=1)
    assert (result.gross_sharpe, result.net_sharpe, result.turnover, result.max_drawdown) == (0, 0, 0, 0)


def test_a_symbol_that_leaves_is_sold():
    p = np.tile(np.arange(6.0), 4)
    time, symbol = np.repeat(np.arange(4) * DAY_US, 6), np.tile(np.arange(6), 4)
    held = np.abs(portfolio(p, np.zeros(24), time, symbol, horizon=1).turnover) * 4
    gone = np.flatnonzero(~((time == 2 * DAY_US) & (symbol == 5)))
    assert held == pytest.approx(1)  # bought once
    assert portfolio(p[gone], np.zeros(23), time[gone], symbol[gone], horizon=1).turnover * 4 > 1.5


def test_too_few_symbols_or_periods_have_no_portfolio():
    for times, symbols in ((50, 4), (2, 9)):
        p, y, time, symbol = panel(np.random.default_rng(1), times, symbols)
        assert portfolio(p.ravel(), y.ravel(), time, symbol, horizon=1) is None


@settings(deadline=None)
@given(SEEDS, st.integers(5, 9))
def test_the_contribution_follows_numerais_steps(seed, symbols):
    rng = np.random.default_rng(seed)
    p, m, u = np.round(rng.normal(size=(3, 8, symbols)), 1)
    m[3] = 1.0  # the network says nothing here

    def gauss(values):
        return norm.ppf((rankdata(values) - 0.5) / values.size)

    expected = []
    for a, b, c in zip(p, m, u, strict=True):
        g, h = gauss(a), gauss(b)
        neutral = g - h * (g @ h) / (h @ h) if h.any() else g
        expected.append((c - c.mean()) @ neutral / symbols)
    time = np.repeat(np.arange(8), symbols)
    assert mmc(p.ravel(), m.ravel(), u.ravel(), time) == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_copy_of_the_network_contributes_nothing_and_narrow_panels_have_no_contribution():
    rng = np.random.default_rng(2)
    p, u = rng.normal(size=(2, 60))
    assert mmc(p, 9 * p - 1, u, np.repeat(np.arange(6), 10)) == pytest.approx(0, abs=1e-15)
    assert mmc(p, u, u, np.repeat(np.arange(15), 4)) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mmc([1.0], [1.0, 2.0], [1.0], [0]), "differ"),
        (lambda: mmc([1.0], [1.0], [np.inf], [0]), "not finite"),
        (lambda: portfolio([1.0], [1.0], [0], [0, 1], horizon=1), "differ"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
