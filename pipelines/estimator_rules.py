"""Settings of regressors and classifiers that contradict each other, the number of rows or labels of both signs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pipelines.registry import ENTRIES
from pipelines.spec import Call, Value

Given: TypeAlias = dict[str, Value]


def _all(spec: Call) -> Given:
    return {**{name: default for name, (default, _) in ENTRIES[spec.target].params.items()}, **dict(spec.params)}


def _folds(cv: Value, rows: int) -> Iterator[str]:
    if isinstance(cv, int) and cv > rows:
        yield f"{cv} folds of {rows} rows"
    if isinstance(cv, Call):
        given = {name: value for name, value in _all(cv).items() if isinstance(value, int)}
        size = given.get("test_size", rows // (given["n_splits"] + 1))
        if given["n_splits"] + 1 > rows or rows - given["gap"] - size * given["n_splits"] <= 0:
            yield f"{given['n_splits']} time splits with gap {given['gap']} of {rows} rows"


def _rows(name: str, given: Given, rows: int) -> Iterator[str]:
    if given.get("criterion") == "poisson":
        yield "criterion 'poisson' of negative labels"
    sampled = given.get("max_samples")
    if sampled is not None and not given.get("bootstrap", True) and not name.startswith("Bagging"):
        yield "max_samples without bootstrap"
    neighbours = given.get("n_neighbors")
    if isinstance(neighbours, int) and neighbours > rows:
        yield f"n_neighbors={neighbours} of {rows} rows"


_MIXTURES = {
    "lbfgs": (0.0,),
    "newton-cg": (0.0,),
    "newton-cholesky": (0.0,),
    "sag": (0.0,),
    "liblinear": (0.0, 1.0),
}
"""Mixtures of the penalties that a solver of LogisticRegression can do; the others do all."""


def _no_solver(penalty: Value, loss: Value, dual: Value) -> bool:
    """Tell whether liblinear has no solver for these settings of LinearSVC."""
    if penalty == "l1":
        return loss == "hinge" or dual is True
    return loss == "hinge" and dual is False


def _settings(name: str, given: Given, rows: int, columns: int) -> Iterator[str]:
    match name:
        case "ElasticNetCV":
            ratios = given["l1_ratio"] if isinstance(given["l1_ratio"], tuple) else (given["l1_ratio"],)
            if 0.0 in ratios and isinstance(given["alphas"], int):
                yield "no grid of alphas for l1_ratio=0"
        case "LinearSVR" if given["dual"] is False and given["loss"] == "epsilon_insensitive":
            yield "the primal problem has no epsilon_insensitive loss"
        case "HistGradientBoostingRegressor" if given["loss"] == "quantile" and given["quantile"] is None:
            yield "loss 'quantile' without quantile"
        case "OrthogonalMatchingPursuit" if isinstance(given["n_nonzero_coefs"], int) and given["tol"] is None:
            if given["n_nonzero_coefs"] > columns:
                yield f"n_nonzero_coefs={given['n_nonzero_coefs']} of at most {columns} columns"
        case "PLSRegression" if isinstance(given["n_components"], int) and given["n_components"] > min(rows, columns):
            yield f"n_components={given['n_components']} of at most {min(rows, columns)}"
        case "SGDRegressor" | "SGDClassifier" if given["learning_rate"] == "optimal" and given["alpha"] == 0.0:
            yield "the optimal learning rate divides by alpha=0"
        case "LGBMRegressor" | "LGBMClassifier" if given["boosting_type"] == "rf":
            if given["colsample_bytree"] == 1.0 and (given["subsample"] == 1.0 or given["subsample_freq"] == 0):
                yield "boosting_type 'rf' needs colsample_bytree below 1, or subsample below 1 and subsample_freq"


def _of_classes(name: str, given: Given) -> Iterator[str]:
    match name:
        case "LinearSVC" if _no_solver(given["penalty"], given["loss"], given["dual"]):
            yield f"penalty {given['penalty']!r} with loss {given['loss']!r} and dual={given['dual']}"
        case "LogisticRegression" if given["l1_ratio"] not in _MIXTURES.get(str(given["solver"]), (given["l1_ratio"],)):
            yield f"solver {given['solver']!r} with l1_ratio={given['l1_ratio']}"
        case "LogisticRegression" if given["dual"] and given["solver"] != "liblinear":
            yield f"solver {given['solver']!r} with dual=True"
        case "LinearDiscriminantAnalysis" | "QuadraticDiscriminantAnalysis" if (
            given["shrinkage"] is not None and given["solver"] == "svd"
        ):
            yield "solver 'svd' with shrinkage"


def contradictions(spec: Call, rows: int, columns: int) -> Iterator[str]:
    """Yield what is certain to make one model fail.

    Parameters
    ----------
    spec : Call
        A regressor or classifier, at the end of a pipeline or inside a selector.
    rows : int
        Rows of the smallest training part.
    columns : int
        Most columns it can get.
    """
    given = _all(spec)
    name = spec.target.rpartition(".")[2]
    for problem in (
        *_folds(given.get("cv"), rows),
        *_rows(name, given, rows),
        *_settings(name, given, rows, columns),
        *_of_classes(name, given),
    ):
        yield f"{name}: {problem}"
