"""Evaluation equals fitting the plain scikit-learn pipeline, bit for bit, with and without the cache of prefixes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import TOPIC, pipeline, text_of
from threadpoolctl import threadpool_limits

from data.panel import Panel, load_panel, score_rows
from data.splits import Split, thin, walk_forward
from miner import evaluation, prefix
from miner.evaluation import FoldScore, NotFiniteError, predict_fold, split_steps, walk
from miner.prefix import PrefixCache
from pipelines.build import build
from pipelines.individuals import random_individual, spec_of
from pipelines.spaces import search_space
from pipelines.spec import UNION, Call, call, canonical_text
from pipelines.validity import problems
from protocol.scores import day_scores

MAX_ROWS = 800
PCA = call("sklearn.decomposition.PCA", {"n_components": 4})
SCALER = call("sklearn.preprocessing.StandardScaler")
QUANTILES = call("sklearn.preprocessing.QuantileTransformer", {"n_quantiles": 50})
RIDGE = call("sklearn.linear_model.Ridge")
TREES = call("sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 8})


@pytest.fixture(scope="module")
def panel(series: str) -> Panel:
    return load_panel(series, None, TOPIC)


@pytest.fixture(scope="module")
def split(panel: Panel) -> Split:
    return walk_forward(panel.time, horizon=TOPIC.horizon)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrefixCache:
    monkeypatch.setattr(prefix, "WORTH_KEEPING_S", 0.0)
    return PrefixCache(tmp_path / "prefixes", 64 << 20)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Work as an evaluation does."""
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def _unarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the test process without a timer that would end it."""
    monkeypatch.setattr(evaluation, "arm_cpu_cap", lambda seconds: None)


def plainly(spec: Call, panel: Panel, split: Split) -> list[FoldScore]:
    """Fit and score with scikit-learn's own pipeline."""
    found = []
    for fold in split.folds:
        rows, test = thin(panel.time, fold.train, MAX_ROWS), slice(*fold.test)
        fitted = build(spec).fit(np.array(panel.features[rows]), np.array(panel.label[rows]))
        predicted = np.asarray(fitted.predict(np.array(panel.features[test])), dtype=float).ravel()
        scores = day_scores(predicted, panel.target[test], panel.time[test], panel.symbol[test]).score
        deviation = float(scores.std(ddof=1)) if scores.size > 1 else 0.0
        found.append(FoldScore(round(float(scores.mean()), 9), round(deviation, 9), scores.size))
    return found


def walked(spec: Call, panel: Panel, split: Split, **options: Any) -> list[FoldScore]:
    text = canonical_text(spec)
    return list(walk(text, panel, split.folds, cap_s=60.0, max_train_rows=MAX_ROWS, **options))


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::UserWarning", "ignore::RuntimeWarning"
)
@pytest.mark.parametrize("name", ["linear-light", "ridge"])
def test_random_pipelines_score_as_scikit_learns_own(name: str, panel: Panel, split: Split, cache: PrefixCache) -> None:
    size = {"n_features": panel.features.shape[1], "n_samples": 500}
    space, rng = search_space(name, **size), np.random.default_rng(5)
    compared = 0
    few = Split(split.folds[:2], split.holdout)
    while compared < 8:
        spec = spec_of(random_individual(space, rng))
        if problems(spec, **size):
            continue
        try:
            expected: Any = plainly(spec, panel, few)
        except ValueError as error:
            with pytest.raises(ValueError, match=r".") as caught:
                walked(spec, panel, few)
            assert type(caught.value) is type(error)
            continue
        compared += 1
        assert walked(spec, panel, few) == expected
        assert walked(spec, panel, few, cache=cache, scope="s") == expected, "cold"
        assert walked(spec, panel, few, cache=cache, scope="s") == expected, "warm"


def test_a_warm_cache_is_used_and_a_damaged_one_is_not_believed(
    panel: Panel, split: Split, cache: PrefixCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def counting(spec: Call) -> Any:
        built.append(spec.target.rpartition(".")[2])
        return build(spec)

    monkeypatch.setattr(evaluation, "build", counting)
    first, second = pipeline(SCALER, PCA, RIDGE), pipeline(SCALER, PCA, TREES)
    expected = plainly(second, panel, split)
    walked(first, panel, split, cache=cache, scope="s")
    built.clear()
    assert walked(second, panel, split, cache=cache, scope="s") == expected
    assert built == ["ExtraTreesRegressor"] * 5, "the scaler and the PCA came from the other pipeline"
    for entry in cache.folder.iterdir():
        entry.write_bytes(entry.read_bytes()[:-40])
    built.clear()
    assert walked(second, panel, split, cache=cache, scope="s") == expected
    assert len(built) == 15
    built.clear()
    assert walked(second, panel, split, cache=cache, scope="another panel") == expected
    assert len(built) == 15


def test_a_cache_that_is_swept_under_the_evaluation_changes_nothing(
    panel: Panel, split: Split, cache: PrefixCache
) -> None:
    spec = pipeline(SCALER, QUANTILES, PCA, RIDGE)
    expected = plainly(spec, panel, split)
    for limit in (1, 100_000, 400_000):
        small = PrefixCache(cache.folder, limit)
        assert walked(spec, panel, split, cache=small, scope="s") == expected
        small.sweep()
        assert sum(entry.stat().st_size for entry in cache.folder.glob("*")) <= limit


def test_the_shared_panel_stays_as_it_is(panel: Panel, split: Split) -> None:
    before = panel.features.tobytes(), panel.label.tobytes(), panel.target.tobytes()
    panel.features.setflags(write=False)  # as a memory-mapped one
    union = call(UNION, {"transformer_list": (PCA, "passthrough")})
    walked(pipeline(SCALER, union, RIDGE), panel, split)
    assert (panel.features.tobytes(), panel.label.tobytes(), panel.target.tobytes()) == before


def test_training_uses_no_row_whose_target_reaches_the_test(panel: Panel, split: Split) -> None:
    """Scrambling everything after the purge changes no prediction."""
    from dataclasses import replace

    spec = pipeline(SCALER, RIDGE)
    fold = split.folds[1]
    scrambled = np.array(panel.label)
    scrambled[fold.train[1] :] = 99.0
    kept = predict_fold(spec, panel, fold, max_train_rows=MAX_ROWS)
    assert (predict_fold(spec, replace(panel, label=scrambled), fold, max_train_rows=MAX_ROWS) == kept).all()
    first = panel.time[fold.test[0]]
    assert panel.time[fold.train[1] - 1] + (TOPIC.horizon + 1) * panel.interval < first


def test_steps_are_split_before_the_final_estimator() -> None:
    assert split_steps(pipeline(SCALER, PCA, RIDGE)) == ([SCALER, PCA], RIDGE)
    assert split_steps(pipeline(RIDGE)) == ([], RIDGE)
    assert split_steps(RIDGE) == ([], RIDGE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_refused(
    panel: Panel, split: Split, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    class Broken:
        def fit(self, X: Any, y: Any) -> Broken:
            return self

        def predict(self, X: Any) -> Any:
            out = np.zeros(len(X))
            out[3] = bad
            return out

    monkeypatch.setattr(evaluation, "build", lambda spec: Broken())
    with pytest.raises(NotFiniteError, match=r"1 of \d+ predictions are not finite"):
        predict_fold(pipeline(RIDGE), panel, split.folds[0], max_train_rows=MAX_ROWS)


def test_a_constant_forecast_scores_exactly_zero(panel: Panel, split: Split) -> None:
    fold = split.folds[0]
    for value in (0.0, 3.5):
        scores = score_rows(panel, fold.test, np.full(fold.test[1] - fold.test[0], value)).score
        assert (scores == 0.0).all()


def test_the_cap_is_shared_out_over_the_folds_that_are_left(
    panel: Panel, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed: list[float] = []
    used = iter([0.0, 0.0, 1.0, 2.0, 8.0, 8.5])
    monkeypatch.setattr(evaluation, "arm_cpu_cap", armed.append)
    monkeypatch.setattr(evaluation, "cpu_seconds", lambda: next(used))
    monkeypatch.setattr(evaluation, "predict_fold", lambda spec, panel, fold, **_: panel.target[slice(*fold.test)])
    list(walk(text_of(RIDGE), panel, split.folds, cap_s=10.0, max_train_rows=MAX_ROWS))
    assert armed[:5] == pytest.approx([10 / 5, 9 / 4, 8 / 3, 2 / 2, 1.5])
