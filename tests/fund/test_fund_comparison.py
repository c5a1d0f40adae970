"""The network beside its rivals: what each lost, who led when, nothing ahead of its time, and words that say no more than p."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_answers import HOUR, START, names, world

from fund.comparison import LEAD_BARS, Comparison, LossHistory, compare, leaders, mean_loss
from fund.diebold_mariano import diebold_mariano
from protocol.errors import DataError
from protocol.scores import cross_section_corr

NAN = math.nan


def history(network: np.ndarray, mean: np.ndarray, models: np.ndarray, horizon: int = 1) -> LossHistory:
    time = START + HOUR * np.arange(network.size)
    return LossHistory("made-1h", time, horizon, network, mean, tuple(names(len(models))), models)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, shape)


def test_the_plain_mean_loses_minus_the_corr_of_the_mean() -> None:
    x, u = noise(1, 3, 9), noise(2, 9)
    expected = -cross_section_corr(x.mean(axis=0), u, np.zeros(9, np.int64))[0]
    assert mean_loss(x, u) == pytest.approx(expected, abs=1e-12)
    silent = np.vstack([x, np.full((1, 9), NAN)])
    assert mean_loss(silent, u) == mean_loss(x, u), "who does not speak has no part in the mean"
    gap = np.append(u[:-1], NAN)
    assert mean_loss(x, gap) == mean_loss(x[:, :-1], u[:-1])


@pytest.mark.parametrize("x", [np.zeros((0, 9)), np.full((2, 9), NAN)])
def test_without_models_or_truth_there_is_no_loss(x: np.ndarray) -> None:
    assert math.isnan(mean_loss(x, noise(2, 9)))
    assert math.isnan(mean_loss(noise(1, 2, 9), np.append(noise(2, 4), [NAN] * 5)))
    with pytest.raises(DataError, match="one row per model"):
        mean_loss(np.zeros((2, 9)), np.zeros(8))


def led_by(models: np.ndarray, horizon: int) -> list[int]:
    """Write out what :func:`leaders` does, row by row."""
    found = []
    for t in range(models.shape[1]):
        best, who = math.inf, -1
        for i in range(len(models)):
            past = [x for x in models[i, : max(0, t - horizon)] if not math.isnan(x)]
            if len(past) >= LEAD_BARS and not math.isnan(models[i, t]) and math.fsum(past) / len(past) < best - 1e-12:
                best, who = math.fsum(past) / len(past), i
        found.append(who)
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 4), st.floats(0, 0.7))
def test_the_leader_is_the_best_of_what_was_known(seed: int, horizon: int, n: int, gone: float) -> None:
    rng = np.random.default_rng(seed)
    models = rng.normal(size=(n, 70))
    models[rng.random(models.shape) < gone] = NAN
    found = leaders(models, horizon)
    assert found.tolist() == led_by(models, horizon)
    t = int(rng.integers(70))
    later = models.copy()
    later[:, max(0, t - horizon) :] += rng.normal(size=later[:, max(0, t - horizon) :].shape) * 100
    assert leaders(later, horizon)[: t + 1].tolist() == found[: t + 1].tolist(), "unknown losses change nothing"


def test_no_bars_have_no_leader() -> None:
    assert leaders(np.zeros((3, 0)), 1).size == 0
    assert leaders(np.zeros((0, 3)), 1).tolist() == [-1, -1, -1]


def test_a_network_that_is_better_is_called_better_and_one_that_is_worse_worse() -> None:
    models = noise(1, 3, 400)
    network = models.mean(axis=0) - 0.02 + noise(2, 400) / 20
    better, worse = (
        compare(history(network, models.mean(axis=0), models)).rivals[0],
        compare(history(network + 0.04, models.mean(axis=0), models)).rivals[0],
    )
    assert better.verdict.startswith("network better than the plain mean of its models (loss less its -0.0")
    assert worse.verdict.startswith("network worse than the plain mean of its models (loss less its +0.0")
    assert "p < 0.0001; 400 bars" in better.verdict


def test_no_difference_is_said_to_be_none() -> None:
    models = noise(1, 4, 400)
    found = compare(history(models.mean(axis=0) + noise(5, 400), models.mean(axis=0), models))
    for rival in found.rivals:
        assert rival.p >= 0.05
        assert "no difference that this sample can show" in rival.verdict
        assert f"p = {rival.p:.2g}" in rival.verdict
    assert found.verdict[0].startswith("made-1h: 400 settled bars from 2020-09-13 to 2020-09-30, horizon 1")
    assert [rival.name for rival in found.rivals] == ["mean", "leader", "hindsight"]
    assert found.rivals[1].test.bars == 400 - LEAD_BARS - 1, "20 known losses, the last of them two bars ago"


def test_the_best_in_hindsight_is_the_best_and_pays_for_being_picked() -> None:
    models = noise(1, 5, 300)
    models[3] -= 0.012
    short = np.full((1, 300), NAN)
    short[0, :100] = -5.0  # brilliant, and seldom there
    found = compare(history(noise(2, 300), noise(3, 300), np.vstack([models, short])))
    rival = found.rivals[2]
    assert rival.label.startswith(names(6)[3][:12])
    assert rival.tried == 5
    assert rival.test == diebold_mariano(noise(2, 300), models[3], 1)
    assert rival.test.mean > 0
    assert rival.p == min(1.0, 5 * rival.test.p)
    assert "for each of the 5 it was picked from" in rival.verdict
    beaten = compare(history(models.min(axis=0), noise(3, 300), models)).rivals[2]
    assert beaten.p == beaten.test.p
    assert beaten.verdict.startswith("network better than") and "in hindsight favours it" in beaten.verdict


def test_among_useless_models_the_best_in_hindsight_seldom_beats_the_network() -> None:
    wins = []
    for seed in range(300):
        drawn = noise(seed, 11, 120)
        rival = compare(history(drawn[0], drawn[1], drawn[1:])).rivals[2]
        wins.append(rival.test.mean > 0 and rival.p < 0.05)
    assert np.mean(wins) <= 0.06


def check(found: Comparison, *reasons: str) -> None:
    assert [rival.p for rival in found.rivals] == [1.0] * 3
    for rival, reason in zip(found.rivals, reasons, strict=True):
        assert f"not tested, {reason}" in rival.verdict
    json.dumps(found.to_dict(), allow_nan=False)


def test_few_or_no_models_are_said_to_be_so() -> None:
    nothing = np.full(60, NAN)
    none = "0 bars are too few"
    check(compare(history(np.zeros(0), np.zeros(0), np.zeros((0, 0)))), none, none, none)
    check(compare(history(nothing, nothing, np.zeros((0, 60)))), none, none, none)
    check(compare(history(nothing, nothing, np.full((3, 60), NAN))), none, none, none)
    one = noise(1, 60)
    same = "both are the same at every bar"
    check(compare(history(one, one, one[None])), same, same, same)
    fleeting = np.full((3, 60), NAN)
    fleeting[0, :20], fleeting[1, 20:40], fleeting[2, 40:] = one[:20], one[20:40], one[40:]
    found = compare(history(noise(2, 60), noise(3, 60), fleeting))
    assert found.rivals[2].test.reason.startswith(none)
    assert "none spoke at half of the bars" in found.rivals[2].verdict


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"time": np.array([1, 1])}, "not ascending"),
        ({"network": np.zeros(3)}, "do not fit 2 bars"),
        ({"models": np.zeros((2, 2))}, "and 1 models"),
        ({"models": np.zeros(2)}, "one row per model"),
        ({"mean": np.array([np.inf, 0])}, "infinite"),
        ({"horizon": 0}, "horizon 0"),
        ({"names": ("a", "a"), "models": np.zeros((2, 2))}, "named twice"),
    ],
)
def test_a_history_that_does_not_fit_is_refused(change: dict[str, object], why: str) -> None:
    good = {"topic": "t", "time": np.array([1, 2]), "horizon": 1, "network": np.zeros(2), "mean": np.zeros(2)}
    good |= {"names": ("a",), "models": np.zeros((1, 2))}
    LossHistory(**good)  # type: ignore[arg-type]  # fields by name
    with pytest.raises(DataError, match=why):
        LossHistory(**good | change)  # type: ignore[arg-type]  # fields by name


def test_a_run_of_the_network_becomes_a_comparison() -> None:
    made = world(160, np.array([0.35, 0.0, -0.1, 0.05]), symbols=24)
    rows, means = [], []
    for _, _, settlement in made.run(range(160)):
        if settlement is not None:
            bar = (settlement.time - START) // HOUR
            rows.append(settlement)
            means.append(mean_loss(made.values[bar], made.truth[bar]))
    found = compare(
        LossHistory.of(
            "made-1h",
            1,
            time=[one.time for one in rows],
            losses=[one.losses for one in rows],
            mean=means,
            models=names(4),
        )
    )
    mean, leader, hindsight = found.rivals
    assert found.bars == len(rows) == 158
    assert mean.verdict.startswith("network better than the plain mean"), "one model of four knows something"
    assert leader.label == "the best model so far"
    assert hindsight.label.startswith(names(4)[0][:12])
    assert leader.test.mean == pytest.approx(np.nanmean(hindsight.differential[LEAD_BARS + 2 :]), abs=0.02)
