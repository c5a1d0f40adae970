"""One normal form for all ways to write a pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, SelectPercentile, f_regression
from sklearn.linear_model import LassoLarsCV, Ridge
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVR

from pipelines.build import build
from pipelines.export import from_estimator
from pipelines.normal import normal
from pipelines.spec import PIPELINE, UNION, call
from protocol.errors import RefusedError

SCALER = call("sklearn.preprocessing.StandardScaler")
PCA_2 = call("sklearn.decomposition.PCA", {"n_components": 2})
RIDGE = call("sklearn.linear_model.Ridge")


def pipe(*steps: object) -> object:
    return call(PIPELINE, {"steps": steps})


def union(*members: object) -> object:
    return call(UNION, {"transformer_list": members})


SAME = [
    (Ridge(), pipe(RIDGE)),
    (make_pipeline(Ridge()), pipe(RIDGE)),
    (make_pipeline(make_pipeline(StandardScaler()), make_pipeline("passthrough", Ridge())), pipe(SCALER, RIDGE)),
    (make_pipeline(FunctionTransformer(), StandardScaler(), Ridge()), pipe(SCALER, RIDGE)),
    (Pipeline([("a", StandardScaler()), ("b", Ridge(alpha=1, solver="auto"))]), pipe(SCALER, RIDGE)),
    (make_pipeline(make_union("drop", "passthrough"), Ridge()), pipe(RIDGE)),
    (make_pipeline(make_union(make_union(StandardScaler()), "drop"), Ridge()), pipe(SCALER, RIDGE)),
    (
        make_pipeline(make_union(make_union(StandardScaler(), PCA(2)), "passthrough"), Ridge()),
        pipe(union(SCALER, PCA_2, "passthrough"), RIDGE),
    ),
    (
        FeatureUnion([("x", make_pipeline(StandardScaler(), PCA(2))), ("y", "passthrough")]),
        union(pipe(SCALER, PCA_2), "passthrough"),
    ),
    (Ridge(alpha=np.float64(2.0)), pipe(RIDGE.replace(alpha=2.0))),
    (
        LassoLarsCV(cv=TimeSeriesSplit(n_splits=3), verbose=True, n_jobs=-1),
        pipe(
            call(
                "sklearn.linear_model.LassoLarsCV",
                {"cv": call("sklearn.model_selection.TimeSeriesSplit", {"n_splits": 3})},
            )
        ),
    ),
]


@pytest.mark.parametrize(("estimator", "expected"), SAME)
def test_equal_pipelines_have_one_normal_form(estimator: object, expected: object) -> None:
    if isinstance(estimator, FeatureUnion):
        estimator, expected = make_pipeline(estimator, Ridge()), pipe(expected, RIDGE)
    found = from_estimator(estimator)
    assert found == expected
    assert normal(found) == found


def test_simplifying_changes_no_prediction() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 5)), rng.standard_normal(60)
    for estimator, _ in SAME:
        whole = make_pipeline(estimator, Ridge()) if isinstance(estimator, FeatureUnion) else estimator
        expected = whole.fit(x, y).predict(x)
        spec = from_estimator(whole)
        assert spec == from_estimator(clone(whole))
        np.testing.assert_allclose(build(spec).fit(x, y).predict(x), expected, rtol=1e-12, atol=1e-12)


def test_a_count_and_a_share_stay_different() -> None:
    few, all_of_them = (from_estimator(make_pipeline(PCA(kind), Ridge())) for kind in (1, 0.9))
    assert few != all_of_them
    tens = from_estimator(make_pipeline(SelectPercentile(f_regression, percentile=20), Ridge()))
    assert tens == from_estimator(make_pipeline(SelectPercentile(f_regression, percentile=20.0), Ridge()))
    assert from_estimator(make_pipeline(SelectKBest(k=10), Ridge())).get("steps") == (
        call("sklearn.feature_selection.SelectKBest"),
        RIDGE,
    )


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (StandardScaler(), "must be a regressor"),
        (make_pipeline(StandardScaler()), "must be a regressor"),
        (make_pipeline(make_union("drop"), Ridge()), "drops every feature"),
        (make_pipeline(StandardScaler(), Ridge(), memory="cache"), "memory=None"),
        (make_pipeline(FeatureUnion([("a", StandardScaler())], transformer_weights={"a": 2.0}), Ridge()), "weights"),
        (make_pipeline(FunctionTransformer(np.cumsum), Ridge()), "cannot say"),
        (make_pipeline(FunctionTransformer(validate=True), Ridge()), "does not allow"),
        (make_pipeline(StandardScaler(copy=False), Ridge()), "copy=False"),
        (make_pipeline(MinMaxScaler(feature_range=(0, 7)), Ridge()), "feature_range is"),
        (SVR(), "not a registered operator"),
        (object(), "not a registered operator"),
        (Ridge(alpha=[1.0, 2.0]), "alpha is"),
        (Ridge(random_state=np.random.RandomState(0)), "cannot say"),
    ],
)
def test_what_a_module_cannot_say_is_refused(estimator: object, said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        from_estimator(estimator)
    assert said in str(caught.value)
