"""The planted signal pays where the target looks, and only there."""

import numpy as np
import pytest

from data.panel import panel_from
from data.schema import schema_of
from data.synthetic import THRESHOLD, synthetic
from protocol.errors import DataError
from protocol.scores import day_scores
from protocol.topics import Topic


def panel_of(kind, type_="close-1h", horizon=1, **options):
    table = synthetic(kind, type_=type_, horizon=horizon, **{"n_bars": 3000, **options})
    return panel_from(table, Topic("s", type_, "synthetic", horizon))


def skill(panel, forecast):
    return day_scores(forecast, panel.target, panel.time, panel.symbol).mean


def s_of(z):
    return np.where(np.abs(z) > THRESHOLD, np.sign(z), -np.sign(z))


def z_of(panel):
    return panel.features[:, panel.feature_names.index("ret_1")]


@pytest.mark.parametrize("horizon", [1, 6])
@pytest.mark.parametrize("type_", ["ohlcv-1h", "close-1d"])
def test_the_signal_is_worth_its_strength_to_who_knows_it(type_, horizon):
    linear = panel_of("linear", type_, horizon, strength=0.3)
    assert 0.2 < skill(linear, -z_of(linear)) < 0.4
    other = panel_of("nonlinear", type_, horizon, strength=0.3)
    assert 0.2 < skill(other, s_of(z_of(other))) < 0.4


def test_the_nonlinear_signal_shows_no_line_and_noise_shows_nothing():
    other, noise = panel_of("nonlinear", strength=0.3), panel_of("noise")
    standard_error = 1 / np.sqrt(other.target.size)
    for panel in (other, noise):
        correlations = [np.corrcoef(column, panel.target)[0, 1] for column in panel.features.T]
        assert np.abs(correlations).max() < 4 * standard_error
    assert abs(skill(noise, s_of(z_of(noise)))) < 0.02


def test_nothing_pays_in_the_bar_that_is_needed_to_act():
    table = synthetic("linear", n_symbols=20, n_bars=4000, strength=0.5, type_="close-1h")
    r = np.diff(np.log(table["close"].to_numpy().reshape(20, 4000)), axis=1)
    lagged = [np.corrcoef(r[:, :-lag].ravel(), r[:, lag:].ravel())[0, 1] for lag in (1, 2, 3)]
    assert abs(lagged[0]) < 0.02
    assert lagged[1] < -0.4
    assert abs(lagged[2]) < 0.02


def test_tables_conform_and_repeat():
    table = synthetic("nonlinear", n_symbols=3, n_bars=50, seed=5)
    assert table.schema == schema_of("ohlcv-1h")
    assert table.equals(synthetic("nonlinear", n_symbols=3, n_bars=50, seed=5))
    assert not table.equals(synthetic("nonlinear", n_symbols=3, n_bars=50, seed=6))
    low, high = table["low"].to_numpy(), table["high"].to_numpy()
    for name in ("open", "close"):
        assert ((low <= table[name].to_numpy()) & (table[name].to_numpy() <= high)).all()


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "other"}, {"n_bars": 0}, {"n_symbols": 0}, {"horizon": 0}, {"strength": 1.5}, {"type_": "funding-8h"}],
)
def test_arguments_out_of_range_are_named(wrong):
    with pytest.raises(DataError, match=str(next(iter(wrong.values())))):
        synthetic(**{"kind": "noise", **wrong})
