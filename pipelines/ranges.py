"""Hyperparameter ranges of the operators whose TPOT ranges do not fit panels of noisy returns.

docs/decisions/0002-search-spaces.md gives the reason for every line. Each entry is a function of the number of columns
`p` and of rows `n`, so that counts stay possible and cost stays bounded on 30,000 rows x 20 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

SEED = 42
"""``random_state`` of every operator that has one: the search compares pipelines, not seeds."""

RIDGE_ALPHAS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0)
"""TPOT leaves scikit-learn's (0.1, 1, 10), which on 30,000 rows is no shrinkage at all."""

MAX_COLUMNS = 256
"""About how many columns one discretiser may make: TPOT's 100 bins make 2,000 columns out of 20."""


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers from `lo` to `hi`, whole ones if both bounds are, uniform or uniform in the logarithm."""

    lo: float
    hi: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of the listed values, each as likely."""

    values: tuple[bool | int | str, ...]


Range: TypeAlias = "Span | OneOf | bool | int | float | str | tuple[float, ...]"
Ranges: TypeAlias = Mapping[str, Range]


def _leaf(n: int) -> Span:
    return Span(max(1, n // 3000), max(1, n // 20), log=True)


def _trees(_: int, n: int) -> Ranges:
    return {
        "bootstrap": OneOf((True, False)),
        "max_features": Span(0.05, 0.7),
        "max_samples": Span(0.1, 0.7),
        "min_samples_leaf": _leaf(n),
        "min_samples_split": Span(2, 21),
        "n_estimators": Span(10, 40),
        "random_state": SEED,
    }


def _kernel(p: int, _: int) -> dict[str, Range]:
    return {"gamma": Span(1e-3, 1.0, log=True), "n_components": Span(1, min(100, 4 * p)), "random_state": SEED}


RANGES: Mapping[str, Callable[[int, int], Ranges]] = {
    "RobustScaler": lambda p, n: {"q_min": Span(0.1, 30.0), "q_max": Span(70.0, 99.9)},
    "SelectPercentile": lambda p, n: {"percentile": Span(min(100.0 / p, 99.0), 100.0)},
    "RFE": lambda p, n: {"step": Span(0.2, 0.99)},
    "SelectFromModel": lambda p, n: {"threshold": Span(0.1 / p, 1.0 / p, log=True)},
    "KBinsDiscretizer": lambda p, n: {
        "encode": "onehot-dense",
        "n_bins": Span(3, max(3, min(32, MAX_COLUMNS // p))),
        "random_state": SEED,
        "strategy": OneOf(("uniform", "quantile", "kmeans")),
    },
    "FastICA": lambda p, n: {
        "algorithm": OneOf(("parallel", "deflation")),
        "n_components": Span(1, p),
        "random_state": SEED,
    },
    "FeatureAgglomeration": lambda p, n: {
        "linkage": OneOf(("ward", "complete", "average")),
        "metric": OneOf(("euclidean", "l1", "l2", "manhattan", "cosine")),
        "n_clusters": Span(2, max(2, p // 2)),
        "pooling_func": OneOf(("mean", "median", "max")),
    },
    "Nystroem": lambda p, n: {
        **_kernel(p, n),
        "kernel": OneOf(("rbf", "cosine", "laplacian", "polynomial", "sigmoid")),
    },
    "RBFSampler": _kernel,
    "QuantileTransformer": lambda p, n: {
        "n_quantiles": Span(max(2, min(10, n)), max(2, min(1000, n))),
        "output_distribution": OneOf(("uniform", "normal")),
        "random_state": SEED,
    },
    "RidgeCV": lambda p, n: {"alphas": RIDGE_ALPHAS},
    "Ridge": lambda p, n: {"alpha": Span(1e-2, 1e6, log=True)},
    "ElasticNetCV": lambda p, n: {"l1_ratio": Span(0.05, 1.0)},
    "LinearSVR": lambda p, n: {
        "C": Span(1e-4, 10.0, log=True),
        "dual": "auto",
        "epsilon": Span(1e-4, 1.0, log=True),
        "loss": OneOf(("epsilon_insensitive", "squared_epsilon_insensitive")),
        "random_state": SEED,
    },
    "KNeighborsRegressor": lambda p, n: {
        "algorithm": "brute",  # trees are seven times slower from a dozen columns on
        "n_neighbors": Span(1, max(1, min(200, n // 5)), log=True),
        "weights": OneOf(("uniform", "distance")),
    },
    "DecisionTreeRegressor": lambda p, n: {
        "min_samples_leaf": _leaf(n),
        "min_samples_split": Span(2, 21),
        "random_state": SEED,
    },
    "ExtraTreesRegressor": _trees,
    "RandomForestRegressor": _trees,
    "AdaBoostRegressor": lambda p, n: {
        "learning_rate": Span(1e-3, 2.0, log=True),
        "loss": OneOf(("linear", "square", "exponential")),
        "n_estimators": Span(10, 60),
        "random_state": SEED,
    },
    "HistGradientBoostingRegressor": lambda p, n: {
        "early_stopping": False,
        "l2_regularization": Span(1e-10, 1.0, log=True),
        "learning_rate": Span(1e-3, 1.0, log=True),
        "max_features": Span(0.1, 1.0),
        "max_leaf_nodes": Span(3, 255, log=True),
        "min_samples_leaf": Span(1, max(1, min(2000, n // 20)), log=True),
        "random_state": SEED,
    },
    "XGBRegressor": lambda p, n: {
        "gamma": Span(1e-4, 20.0, log=True),
        "learning_rate": Span(1e-3, 1.0, log=True),
        "max_depth": Span(2, 10),
        "min_child_weight": Span(1.0, max(21.0, n / 50), log=True),
        "n_estimators": 100,
        "n_jobs": 1,
        "random_state": SEED,
        "reg_alpha": Span(1e-4, 100.0, log=True),
        "reg_lambda": Span(1e-4, 100.0, log=True),
        "subsample": Span(0.5, 1.0),
        "verbosity": 0,
    },
    "MLPRegressor": lambda p, n: {
        "activation": OneOf(("tanh", "relu")),
        "alpha": Span(1e-7, 1e-1, log=True),
        "early_stopping": False,
        "learning_rate_init": Span(1e-4, 1e-2, log=True),
        "max_iter": 20,
        "n_hidden_layers": Span(1, 3),
        "n_nodes_per_layer": Span(4, 64, log=True),
        "random_state": SEED,
    },
}
"""By class name; an operator that is missing here keeps TPOT's own ranges."""


def trees_inside(n: int) -> dict[str, bool | int | float]:
    """Return the extra trees inside RFE and SelectFromModel: fixed and small, since RFE fits them again and again."""
    return {
        "bootstrap": True,
        "max_features": 0.5,
        "max_samples": 0.3,
        "min_samples_leaf": max(1, n // 200),
        "n_estimators": 10,
        "random_state": SEED,
    }
