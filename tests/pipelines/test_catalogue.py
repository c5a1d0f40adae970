"""The catalogue against the libraries: complete, bounded, working, repeatable, and blind to other rows."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_specs import specs, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.utils.discovery import all_estimators

from pipelines.build import build
from pipelines.caps import CAPS, MAX_FITS, fits
from pipelines.domains import Domain, Either, Items, Record, Whole
from pipelines.export import from_estimator
from pipelines.left_out import ESTIMATORS, OTHERS
from pipelines.module import to_module
from pipelines.normal import normal
from pipelines.parser import parse_module
from pipelines.registry import BEFORE, ENTRIES, MODELS
from pipelines.spec import COLUMNS, PIPELINE, Call, Name, Value, call
from protocol.errors import RefusedError

RIDGE = call("sklearn.linear_model.Ridge")
FOREST = call("sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 3})
SCORE = {"score_func": Name("sklearn.feature_selection.f_regression")}
PAGE = Path(__file__).parents[2] / "docs" / "spec" / "module.md"


def class_name(target: str) -> str:
    return target.rpartition(".")[2]


# ---------------------------------------------------------------------------------------------------------- complete


def test_every_estimator_of_scikit_learn_is_registered_or_left_out_with_a_reason() -> None:
    from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401  # importing enables

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # discovery imports modules that are going to move
        known = {name for name, _ in all_estimators()}
    registered = {class_name(target) for target in ENTRIES if target.startswith("sklearn.")} - {"TimeSeriesSplit"}
    assert registered | set(ESTIMATORS) == known
    assert not registered & set(ESTIMATORS)
    assert not {class_name(target) for target in ENTRIES} & set(OTHERS)
    assert all(len(reason) > 15 and not reason.endswith(".") for reason in (*ESTIMATORS.values(), *OTHERS.values()))


def test_boosting_libraries_are_complete_but_for_ranking_and_clusters() -> None:
    import lightgbm
    import xgboost

    for library in (lightgbm, xgboost):
        models = {name for name in library.__all__ if re.match(r"(LGBM|XGB)\w+$", name) and name != "XGBModel"}
        theirs = {name for name in models if name not in ("LGBMModel", "LGBMRanker", "XGBRanker")}
        assert theirs == {class_name(target) for target in ENTRIES if target.startswith(library.__name__ + ".")}


def test_the_page_lists_every_operator_and_every_cap() -> None:
    page = PAGE.read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page))
    assert {class_name(target) for target in ENTRIES} <= words
    assert set(ESTIMATORS) <= words
    caps = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", page, flags=re.MULTILINE))
    assert {name: int(cap.replace(",", "")) for name, cap in caps.items()} == dict(CAPS)


# ----------------------------------------------------------------------------------------------------------- bounded

FREE = {
    # how much data a step takes or leaves, how patient it is, what is drawn: none of it makes a fit longer
    *("batch_size", "early_stopping", "feature_range", "gap", "max_features", "max_no_improvement", "max_samples"),
    *("max_train_size", "min_child_samples", "min_features_to_select", "min_samples", "min_samples_leaf"),
    *("min_samples_split", "n_features_to_select", "n_iter_no_change", "random_state", "step", "subsample"),
    *("subsample_for_bin", "subsample_freq", "test_size", "transformers", "validation_fraction", "k", "p"),
}
SAME = {"transform_n_nonzero_coefs": "n_nonzero_coefs"}


def most(domain: Domain) -> int:
    """Return the largest whole number that a domain holds anywhere, 0 if none."""
    match domain:
        case Whole(_, hi):
            return hi
        case Either(options) | Record(options):
            return max(map(most, options))
        case Items(item, _, _):
            return most(item)
        case _:
            return 0


def test_every_count_is_capped_by_the_table_or_known_to_be_free() -> None:
    assert not FREE & set(CAPS)
    used = set()
    for target, known in ENTRIES.items():
        for name, (_, domain) in known.params.items():
            if most(domain) and name not in FREE:
                assert most(domain) <= CAPS[SAME.get(name, name)], (target, name)
                used.add(SAME.get(name, name))
    assert used == set(CAPS)


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (RIDGE, 1),
        (FOREST, 3),
        (call("sklearn.ensemble.BaggingRegressor", {"estimator": FOREST}), 40),
        (call("sklearn.ensemble.StackingRegressor", {"estimators": (RIDGE, FOREST), "cv": 3}), 17),
        (call("sklearn.feature_selection.RFE", {"estimator": FOREST, "step": 0.5}), 10),
        (call("sklearn.feature_selection.RFE", {"estimator": RIDGE}), 65),
        (call("sklearn.feature_selection.RFECV", {"estimator": RIDGE, "step": 32}), 13),
        (call("sklearn.neural_network.MLPRegressor"), 1),
        (call("sklearn.linear_model.LassoCV", {"cv": call("sklearn.model_selection.TimeSeriesSplit")}), 1),
        (call("xgboost.XGBRegressor"), 100),
    ],
)
def test_fits_are_counted_through_the_nesting(spec: Call, count: int) -> None:
    assert fits(spec) == count


def test_what_multiplies_beyond_the_cap_is_refused() -> None:
    rounds = call("lightgbm.LGBMRegressor", {"n_estimators": 1000})
    bags = call("sklearn.ensemble.BaggingRegressor", {"estimator": rounds, "n_estimators": 20})
    assert fits(bags) == MAX_FITS + 20
    with pytest.raises(RefusedError, match="fits 20020 trees, rounds and models inside each other; make it at most"):
        normal(bags)
    assert normal(bags.replace(n_estimators=19))


# ----------------------------------------------------------------------------------------------------------- working

ROWS, WIDTH = 80, 6
NEEDED: dict[str, dict[str, Value]] = {
    COLUMNS: {"transformers": ((call("sklearn.preprocessing.StandardScaler"), (0, 2)), ("passthrough", (1,)))},
    "sklearn.decomposition.MiniBatchDictionaryLearning": {"max_iter": 5},
    "sklearn.ensemble.StackingClassifier": {
        "estimators": (call("sklearn.naive_bayes.GaussianNB"), call("sklearn.linear_model.RidgeClassifier"))
    },
    "sklearn.ensemble.StackingRegressor": {"estimators": (RIDGE, call(PIPELINE, {"steps": (RIDGE,)}))},
    "sklearn.ensemble.VotingClassifier": {
        "estimators": (call("sklearn.naive_bayes.GaussianNB"), call("sklearn.linear_model.Perceptron"))
    },
    "sklearn.ensemble.VotingRegressor": {"estimators": (RIDGE, FOREST), "weights": (1.0, 2.0)},
    "sklearn.feature_selection.SelectKBest": {"k": 3, **SCORE},
    "sklearn.linear_model.QuantileRegressor": {"alpha": 0.0},
    "sklearn.linear_model.TheilSenRegressor": {"max_subpopulation": 50.0},
    **{f"sklearn.feature_selection.{name}": {"estimator": FOREST} for name in ("RFE", "RFECV", "SelectFromModel")},
    **{f"sklearn.feature_selection.Select{name}": {"alpha": 0.5, **SCORE} for name in ("Fwe", "Fpr", "Fdr")},
    "sklearn.feature_selection.SelectPercentile": {"percentile": 50.0, **SCORE},
    **{f"sklearn.random_projection.{name}RandomProjection": {"n_components": 4} for name in ("Gaussian", "Sparse")},
}
"""Settings without which an operator cannot work on the small panel, or works too long."""


def panel() -> tuple[np.ndarray, np.ndarray]:
    """80 rows of 6 columns and a label of both signs with three zeros."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, WIDTH))
    y = x[:, 0] - 0.5 * x[:, 1] + 0.3 * rng.standard_normal(ROWS)
    y[[4, 40, 41]] = 0.0
    return x, y


def whole(target: str) -> Call:
    """A pipeline around one operator."""
    spec = call(target, NEEDED.get(target, {}))
    steps = (spec,) if ENTRIES[target].role in MODELS else (spec, RIDGE)
    return normal(call(PIPELINE, {"steps": steps}))


def fitted(spec: Call, noise: int) -> Any:
    x, y = panel()
    np.random.seed(noise)  # the global state that an operator must not draw from
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence and the like
        return build(spec, seed=7).fit(x[:60], y[:60])


@pytest.mark.parametrize(
    "target", sorted(target for target, known in ENTRIES.items() if known.role in (*BEFORE, *MODELS))
)
def test_every_operator_fits_repeats_and_answers_row_by_row(target: str) -> None:
    x, _ = panel()
    spec = whole(target)
    model = fitted(spec, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = np.asarray(model.predict(x[60:]))
        assert answer.shape == (20,) and np.isfinite(answer).all()
        assert np.array_equal(answer, fitted(spec, 2).predict(x[60:]))
        one_by_one = [model.predict(x[60 + row : 61 + row])[0] for row in range(20)]
    np.testing.assert_allclose(one_by_one, answer, rtol=1e-6, atol=1e-9)
    if target != "sklearn.linear_model.QuantileRegressor":
        assert np.ptp(answer) > 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_pipeline_survives_module_parser_and_estimator(data: st.DataObject) -> None:
    spec = data.draw(specs())
    assert normal(spec) == spec
    assert parse_module(to_module(spec, title="x", facts={})) == spec
    assert parse_module(data.draw(written(spec))) == spec
    assert from_estimator(build(spec, seed=None)) == spec
