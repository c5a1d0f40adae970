"""Errors of means under autocorrelation, and Sharpe ratios deflated by the number of trials."""

import math

import numpy as np
import pytest

from protocol.errors import DataError
from protocol.statistics import deflated_sharpe, expected_max_sharpe, hac_mean, probabilistic_sharpe


def test_without_lags_the_error_is_the_textbook_one():
    x = np.random.default_rng(0).normal(1, 2, 500)
    mean, se = hac_mean(x, 0)
    assert mean == pytest.approx(x.mean())
    assert se == pytest.approx(x.std() / math.sqrt(500))


def test_bartlett_weights_on_a_series_small_enough_to_do_by_hand():
    # e = (-1.5, -.5, .5, 1.5): covariances 1.25, .3125, -.375; 1.25 + 2 (2/3 .3125 - 1/3 .375) = 17/12
    assert hac_mean([1, 2, 3, 4], 2) == pytest.approx((2.5, math.sqrt(17 / 12 / 4)))


def test_lags_widen_the_error_of_overlapping_targets_to_about_what_repetition_shows():
    rng = np.random.default_rng(1)
    x = np.lib.stride_tricks.sliding_window_view(rng.normal(size=(400, 1010)), 10, axis=1).mean(axis=2)
    true = x.mean(axis=1).std()
    naive, hac = (np.mean([hac_mean(row, lags)[1] for row in x]) for lags in (0, 20))
    assert naive < 0.5 * true < 0.8 * true < hac < 1.2 * true


def test_a_constant_series_has_no_error():
    assert hac_mean([0.1] * 7, 3) == (pytest.approx(0.1), 0.0)


def test_the_numerical_example_of_bailey_and_lopez_de_prado():
    # 2014, "A numerical example": annual ratio 2.5 over 1250 days, 100 trials with annual variance 1/2.
    best = expected_max_sharpe(100, math.sqrt(1 / 2 / 250))
    assert best == pytest.approx(0.1132, abs=5e-5)
    dsr = probabilistic_sharpe(2.5 / math.sqrt(250), best, n=1250, skewness=-3, kurtosis=10)
    assert dsr == pytest.approx(0.9004, abs=5e-5)


def test_one_trial_is_not_deflated_and_more_trials_deflate_more():
    x = np.random.default_rng(3).normal(0.1, 1, 400)
    results = [deflated_sharpe(x, n, []) for n in (1, 10, 1000)]
    assert results[0].dsr == results[0].psr
    assert results[0].dsr > results[1].dsr > results[2].dsr
    assert len({result.psr for result in results}) == 1


def test_the_best_of_a_search_over_noise_rarely_looks_like_skill():
    rng = np.random.default_rng(4)
    dsr = []
    for _ in range(200):
        trials = rng.normal(size=(50, 250))
        sharpes = trials.mean(axis=1) / trials.std(axis=1, ddof=1)
        dsr.append(deflated_sharpe(trials[sharpes.argmax()], 50, sharpes).dsr)
    assert np.mean(np.array(dsr) > 0.95) < 0.1
    assert 0.3 < np.mean(dsr) < 0.7


def test_a_series_of_two_points_does_not_divide_by_zero():
    assert deflated_sharpe([1, 1, 1, 0.5, 0.5, 1], 1, []).psr > 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hac_mean([1.0], 0), "too short"),
        (lambda: hac_mean([1.0, math.nan], 0), "not finite"),
        (lambda: hac_mean([1.0, 2.0], 2), "lags 2 is not within 0 to 1"),
        (lambda: deflated_sharpe([1, 2, 3], 0, []), "n_trials is 0"),
        (lambda: deflated_sharpe([1, 1, 1], 2, []), "constant series has no Sharpe"),
        (lambda: deflated_sharpe([1, 2, 4], 2, [math.inf, 1]), "not finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
