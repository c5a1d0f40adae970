"""The test of Diebold and Mariano: against its formula written out, other people's code, its own size, and bad input."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fund.diebold_mariano import diebold_mariano, differential_test
from protocol.errors import DataError


def overlapping(rng: np.random.Generator, n: int, horizon: int) -> np.ndarray:
    """Values of mean 0 that resemble each other up to `horizon` - 1 lags, as targets that overlap do."""
    return np.convolve(rng.normal(size=n + horizon - 1), np.ones(horizon), "valid")


def covariance(d: list[float], k: int) -> float:
    mean = math.fsum(d) / len(d)
    return math.fsum((d[t] - mean) * (d[t - k] - mean) for t in range(k, len(d))) / len(d)


def literal(d: list[float], horizon: int) -> tuple[float, float]:
    """Statistic and p as the papers write them: S of Diebold and Mariano, S* of Harvey, Leybourne and Newbold."""
    n, h = len(d), horizon
    spectrum = covariance(d, 0) + 2 * sum(covariance(d, k) for k in range(1, h))
    s = (math.fsum(d) / n) / math.sqrt(spectrum / n)
    star = s * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    return star, 2 * float(stats.t.sf(abs(star), n - 1))


@pytest.mark.parametrize(("n", "horizon", "seed"), [(400, 3, 0), (1000, 5, 1), (640, 24, 2)])
def test_it_is_what_the_papers_write(n: int, horizon: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = overlapping(rng, n, horizon) ** 2, overlapping(rng, n, horizon) ** 2
    found = diebold_mariano(a, b, horizon)
    assert found.lags == horizon - 1, "the uniform window is the wider one here, else this compares nothing"
    statistic, p = literal((a - b).tolist(), horizon)
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p == pytest.approx(p, rel=1e-9)
    half = stats.t.isf(0.025, n - 1) * abs(found.mean / statistic)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), rel=1e-9)


def test_a_known_answer_by_hand() -> None:
    """40 times +1, 0, and 20 more of +1: mean 0.6, c_0 = 0.24; blocks of one sign resemble each other for longer."""
    d = np.tile([1.0, 0.0, 1.0, 0.0, 1.0], 20)
    found = differential_test(d, 1)
    n, mean, c0 = 100, 0.6, 0.24
    assert found.mean == pytest.approx(mean)
    assert found.lags == 0, "it alternates, so Bartlett's variance is the smaller"
    assert found.statistic == pytest.approx(mean / math.sqrt(c0 / n) * math.sqrt((n - 1) / n), rel=1e-12)


@pytest.mark.parametrize(("lags", "kernel", "h"), [(1, "uniform", 2.0), (5, "bartlett", 3.0)])
def test_both_windows_agree_with_statsmodels(lags: int, kernel: str, h: float) -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels comes with arch")
    n, rng = 300, np.random.default_rng(3)
    d = 0.1 + overlapping(rng, n, 2 if kernel == "uniform" else 5)
    found = differential_test(d, 2)
    assert found.lags == lags
    fitted = api.OLS(d, np.ones(n)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "kernel": kernel, "use_correction": False}
    )
    expected = float(fitted.tvalues[0]) * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    assert found.statistic == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "horizon"), [(60, 1), (150, 3), (600, 5)])
def test_without_a_difference_it_finds_one_about_as_often_as_it_says(n: int, horizon: int) -> None:
    rng = np.random.default_rng(4)
    p = np.array([differential_test(overlapping(rng, n, horizon), horizon).p for _ in range(2000)])
    assert 0.03 < (p < 0.05).mean() < 0.075
    assert (p < 0.01).mean() < 0.025
    assert 0.44 < (p < 0.5).mean() < 0.56


def test_it_finds_a_difference_that_is_there() -> None:
    rng = np.random.default_rng(5)
    p = [differential_test(rng.normal(0.2, 1, 500), 1) for _ in range(200)]
    assert np.mean([one.p < 0.05 and one.low > 0 for one in p]) > 0.95  # 4.5 standard errors away


def test_lasting_resemblance_beyond_the_horizon_is_counted() -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(500, 400))
    for t in range(1, 400):
        noise[:, t] += 0.5 * noise[:, t - 1]
    found = np.mean([differential_test(d, 1).p < 0.05 for d in noise])
    alone = np.mean([literal_of_independence(d) < 0.05 for d in noise])
    assert found < 0.13 < alone


def literal_of_independence(d: np.ndarray) -> float:
    return float(stats.ttest_1samp(d, 0).pvalue)


def test_bars_without_a_loss_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, 200))
    a_, b_ = a.copy(), b.copy()
    a_[::10], b_[5::20] = np.nan, np.nan
    keep = ~np.isnan(a_) & ~np.isnan(b_)
    found, whole = diebold_mariano(a_, b_, 1), diebold_mariano(a[keep], b[keep], 1)
    assert (found.bars, found.left_out) == (170, 30)
    assert (found.statistic, found.p) == (whole.statistic, whole.p)


@pytest.mark.parametrize(
    ("a", "b", "horizon", "why"),
    [
        (np.zeros(0), np.zeros(0), 1, "0 bars are too few, a horizon of 1 needs 30"),
        (np.full(99, np.nan), np.arange(99.0), 1, "0 bars are too few"),
        (np.arange(29.0), np.zeros(29), 1, "29 bars are too few"),
        (np.arange(99.0), np.zeros(99), 5, "a horizon of 5 needs 100"),
        (np.arange(50.0), np.arange(50.0), 1, "both are the same at every bar"),
        (np.arange(50.0) / 7 + 0.1, np.arange(50.0) / 7, 1, r"the difference is \+0.1 at every bar"),
        (np.tile([1e-170, 0], 30), np.zeros(60), 1, "too small for a float"),
    ],
)
def test_what_cannot_be_tested_says_why(a: np.ndarray, b: np.ndarray, horizon: int, why: str) -> None:
    found = diebold_mariano(a, b, horizon)
    assert found.p == 1
    assert math.isnan(found.statistic) and math.isnan(found.low) and math.isnan(found.high)
    assert re.search(why, found.reason)
    assert found.to_dict()["statistic"] is None


@pytest.mark.parametrize(
    ("a", "b", "horizon", "why"),
    [
        (np.zeros(3), np.zeros(4), 1, "3 bars, the rival's of 4"),
        (np.zeros((3, 3)), np.zeros(3), 1, r"shape \(3, 3\)"),
        (np.array([np.inf]), np.zeros(1), 1, "infinite"),
        (np.array([1e101]), np.zeros(1), 1, "above"),
        (np.zeros(50), np.zeros(50), 0, "horizon 0"),
    ],
)
def test_bad_input_is_refused(a: np.ndarray, b: np.ndarray, horizon: int, why: str) -> None:
    with pytest.raises(DataError, match=why):
        diebold_mariano(a, b, horizon)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6), st.integers(1, 4))
def test_sides_and_units_do_not_matter(seed: int, unit: float, horizon: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 120))
    one, turned, scaled = (
        diebold_mariano(a, b, horizon),
        diebold_mariano(b, a, horizon),
        diebold_mariano(a * unit, b * unit, horizon),
    )
    assert one.statistic == pytest.approx(-turned.statistic, rel=1e-9)
    assert one.p == pytest.approx(turned.p, rel=1e-9)
    assert one.p == pytest.approx(scaled.p, rel=1e-6)
    assert scaled.mean == pytest.approx(one.mean * unit, rel=1e-6)
    assert one.low <= one.mean <= one.high
    assert (one.p < 0.05) == (one.low > 0 or one.high < 0)
