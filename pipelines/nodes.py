"""The operators of the search spaces: TPOT nodes with bounds that fit panels of noisy returns.

Shape after TPOT 1.1.0 (``tpot.config``), with the differences that docs/decisions/0002-search-spaces.md lists. A node
is a class, a ``ConfigSpace`` of its hyperparameters and a parser that turns a sampled configuration into keyword
arguments. Parsers are module-level functions, so that individuals can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from pipelines.ranges import RANGES, SEED, OneOf, Range, Span, trees_inside
from pipelines.tpot_import import load_tpot

FOLDS = 5
"""Inner folds of LassoLarsCV and ElasticNetCV, in time order."""

Params = Mapping[str, Any]
Parser = Callable[[Params], dict[str, Any]]


def _univariate(params: Params) -> dict[str, Any]:
    from sklearn.feature_selection import f_regression  # scikit-learn only inside the search

    return {**params, "score_func": f_regression}


def _in_time(params: Params) -> dict[str, Any]:
    from sklearn.model_selection import TimeSeriesSplit  # scikit-learn only inside the search

    return {**params, "cv": TimeSeriesSplit(n_splits=FOLDS)}


def _quantile_range(params: Params) -> dict[str, Any]:
    return {"quantile_range": (params["q_min"], params["q_max"])}


def _pooling(params: Params) -> dict[str, Any]:
    import numpy as np  # next to the functions it names

    pooled = {"mean": np.mean, "median": np.median, "max": np.max}[params["pooling_func"]]
    kept = {name: value for name, value in params.items() if not (name == "metric" and params["linkage"] == "ward")}
    return {**kept, "pooling_func": pooled}


def _forest(params: Params) -> dict[str, Any]:
    kept = dict(params)
    if not kept["bootstrap"]:
        kept.pop("max_samples", None)
    return kept


def _nystroem(params: Params) -> dict[str, Any]:
    return {name: value for name, value in params.items() if not (name == "gamma" and params["kernel"] == "cosine")}


def _sgd(params: Params) -> dict[str, Any]:
    """Leave out what has no effect: crossover mixes configurations whatever their conditions."""
    idle = {
        "l1_ratio": params["penalty"] != "elasticnet",
        "epsilon": params["loss"] == "squared_error",
        "eta0": params["learning_rate"] == "optimal",
        "power_t": params["learning_rate"] != "invscaling",
    }
    return {name: value for name, value in params.items() if not idle.get(name, False)}


def _layers(params: Params) -> dict[str, Any]:
    kept = {name: value for name, value in params.items() if name not in ("n_hidden_layers", "n_nodes_per_layer")}
    return {**kept, "hidden_layer_sizes": (params["n_nodes_per_layer"],) * params["n_hidden_layers"]}


PARSERS: Mapping[str, Parser] = {
    "SelectFwe": _univariate,
    "SelectPercentile": _univariate,
    "LassoLarsCV": _in_time,
    "ElasticNetCV": _in_time,
    "RobustScaler": _quantile_range,
    "FeatureAgglomeration": _pooling,
    "ExtraTreesRegressor": _forest,
    "RandomForestRegressor": _forest,
    "MLPRegressor": _layers,
    "Nystroem": _nystroem,
    "SGDRegressor": _sgd,
}


def _hyperparameter(name: str, values: Range) -> Any:
    from ConfigSpace import Categorical, Float, Integer  # comes with TPOT

    if isinstance(values, OneOf):
        return Categorical(name, list(values.values))
    if not isinstance(values, Span):
        return values
    if values.lo >= values.hi:
        return values.lo
    if isinstance(values.lo, int) and isinstance(values.hi, int):
        return Integer(name, (values.lo, values.hi), log=values.log)
    return Float(name, (values.lo, values.hi), log=values.log)


def _space(name: str, n_features: int, n_samples: int) -> Any:
    from ConfigSpace import ConfigurationSpace  # comes with TPOT

    if name not in RANGES:
        sizes = {"n_features": n_features, "n_samples": n_samples}
        return load_tpot().config.get_configspace.get_configspace(name, random_state=SEED, n_jobs=1, **sizes)
    ranges = RANGES[name](n_features, n_samples)
    if not any(isinstance(values, Span | OneOf) for values in ranges.values()):
        return dict(ranges)
    return ConfigurationSpace(space={key: _hyperparameter(key, values) for key, values in ranges.items()})


MODULES: Mapping[str, str] = {
    "sklearn.preprocessing": (
        "Binarizer KBinsDiscretizer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer QuantileTransformer "
        "RobustScaler StandardScaler"
    ),
    "sklearn.feature_selection": "RFE SelectFromModel SelectFwe SelectPercentile VarianceThreshold",
    "sklearn.decomposition": "FastICA PCA",
    "sklearn.cluster": "FeatureAgglomeration",
    "sklearn.kernel_approximation": "Nystroem RBFSampler",
    "sklearn.linear_model": "ARDRegression ElasticNetCV LassoLarsCV Ridge RidgeCV SGDRegressor",
    "sklearn.svm": "LinearSVR",
    "sklearn.neighbors": "KNeighborsRegressor",
    "sklearn.neural_network": "MLPRegressor",
    "sklearn.tree": "DecisionTreeRegressor",
    "sklearn.ensemble": ("AdaBoostRegressor ExtraTreesRegressor HistGradientBoostingRegressor RandomForestRegressor"),
    "lightgbm": "LGBMRegressor",
    "xgboost": "XGBRegressor",
}
WRAPPED = frozenset({"RFE", "SelectFromModel"})
"""Selectors that hold a small forest of extra trees and drop what it finds unimportant."""

_MODULE_OF = {name: module for module, names in MODULES.items() for name in names.split()}


def node(name: str, n_features: int, n_samples: int) -> Any:
    """Return the TPOT search space of one operator, by class name, ``Passthrough`` and ``SkipTransformer`` included."""
    tpot = load_tpot()
    leaf = tpot.search_spaces.nodes.EstimatorNode
    if name not in _MODULE_OF:
        return leaf(getattr(tpot.builtin_modules, name), {})
    method = getattr(import_module(_MODULE_OF[name]), name)
    space = _space(name, n_features, n_samples)
    if name in WRAPPED:
        trees = leaf(import_module("sklearn.ensemble").ExtraTreesRegressor, trees_inside(n_samples))
        return tpot.search_spaces.pipelines.WrapperPipeline(method, space, trees)
    return leaf(method, space, PARSERS.get(name, dict))


def choice(names: Iterable[str], n_features: int, n_samples: int) -> Any:
    """Return the TPOT space that holds one of the named operators."""
    spaces = [node(name, n_features, n_samples) for name in names]
    return load_tpot().search_spaces.pipelines.ChoicePipeline(spaces)
