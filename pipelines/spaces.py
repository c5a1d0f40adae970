"""The search spaces by name: TPOT's linear templates for regression, and two restricted ones.

Each is TPOT's template without inner estimators::

    scaler > selector > union(one to three transformers or none, the columns themselves) > regressor

An individual generated from a space depends on nothing but the numpy generator passed to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.nodes import choice, node
from pipelines.tpot_import import load_tpot
from protocol.errors import UsageError

SPACES: Mapping[str, str] = {
    "linear-light": "TPOT's linear-light: scaler, selector, transformers, then a linear model, one tree or neighbours",
    "linear": "TPOT's linear: the same shape with boosting, forests, a small network and model-based selectors too",
    "ridge": "linear models only, over kernel, quantile, bin and component features; the cheapest",
    "trees": "bounded boosting and forests over lightly transformed columns",
}

MAX_TRANSFORMERS = 3
"""TPOT lets unions grow without bound by mutation."""

SCALERS = ("MinMaxScaler", "RobustScaler", "StandardScaler", "MaxAbsScaler", "Normalizer", "Passthrough")
SELECTORS = ("SelectFwe", "SelectPercentile", "VarianceThreshold", "Passthrough")
TRANSFORMERS = (
    *("KBinsDiscretizer", "Binarizer", "PCA", "FastICA", "FeatureAgglomeration"),
    *("Nystroem", "RBFSampler", "QuantileTransformer", "PowerTransformer"),
)
LIGHT = ("RidgeCV", "LinearSVR", "LassoLarsCV", "KNeighborsRegressor", "DecisionTreeRegressor", "ElasticNetCV")
FULL = (
    *("LGBMRegressor", "AdaBoostRegressor", "ARDRegression", "DecisionTreeRegressor", "ExtraTreesRegressor"),
    *("HistGradientBoostingRegressor", "KNeighborsRegressor", "LinearSVR", "MLPRegressor", "RandomForestRegressor"),
    *("SGDRegressor", "XGBRegressor"),
)

_PARTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "linear-light": (SCALERS, SELECTORS, TRANSFORMERS, LIGHT),
    "linear": (SCALERS, (*SELECTORS, "RFE", "SelectFromModel"), TRANSFORMERS, FULL),
    "ridge": (
        SCALERS,
        SELECTORS,
        ("KBinsDiscretizer", "PCA", "Nystroem", "RBFSampler", "QuantileTransformer", "PowerTransformer"),
        ("RidgeCV", "Ridge", "ElasticNetCV", "LassoLarsCV"),
    ),
    "trees": (
        ("StandardScaler", "Passthrough"),
        SELECTORS,
        ("PCA", "FeatureAgglomeration", "Nystroem"),
        (
            "LGBMRegressor",
            "HistGradientBoostingRegressor",
            "XGBRegressor",
            "ExtraTreesRegressor",
            "RandomForestRegressor",
        ),
    ),
}


def search_space(name: str, *, n_features: int, n_samples: int) -> Any:
    """Return a fresh TPOT search space.

    Parameters
    ----------
    name : str
        One of `SPACES`.
    n_features : int
        Columns of the feature matrix.
    n_samples : int
        Rows of the smallest training part it will be fitted on; bounds neighbours, quantiles and leaf sizes.

    Returns
    -------
    tpot.search_spaces.base.SearchSpace
        ``generate(rng)`` gives an individual; see :mod:`pipelines.individuals`.

    Raises
    ------
    UsageError
        The name is unknown or a count is below 1.
    """
    if name not in SPACES:
        raise UsageError(f"search space {name!r} is unknown; known: {', '.join(SPACES)}")
    if n_features < 1 or n_samples < 1:
        raise UsageError(f"a search space needs columns and rows; got {n_features} columns and {n_samples} rows")
    kinds = load_tpot().search_spaces.pipelines
    scalers, selectors, transformers, regressors = (tuple(part) for part in _PARTS[name])
    usable = [part for part in transformers if n_features >= 2 or part != "FeatureAgglomeration"]
    size = {"n_features": n_features, "n_samples": n_samples}
    union = kinds.UnionPipeline(
        [
            kinds.ChoicePipeline(
                [
                    kinds.DynamicUnionPipeline(choice(usable, **size), max_estimators=MAX_TRANSFORMERS),
                    node("SkipTransformer", **size),
                ]
            ),
            node("Passthrough", **size),
        ]
    )
    return kinds.SequentialPipeline(
        [choice(scalers, **size), choice(selectors, **size), union, choice(regressors, **size)]
    )
