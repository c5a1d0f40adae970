"""Settings of regressors that contradict each other, the number of rows or labels of both signs."""

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
    if sampled is not None and not given.get("bootstrap", True) and name != "BaggingRegressor":
        yield "max_samples without bootstrap"
    neighbours = given.get("n_neighbors")
    if isinstance(neighbours, int) and neighbours > rows:
        yield f"n_neighbors={neighbours} of {rows} rows"


def _settings(name: str, given: Given, most: int) -> Iterator[str]:
    match name:
        case "ElasticNetCV":
            ratios = given["l1_ratio"] if isinstance(given["l1_ratio"], tuple) else (given["l1_ratio"],)
            if 0.0 in ratios and isinstance(given["alphas"], int):
                yield "no grid of alphas for l1_ratio=0"
        case "LinearSVR" if given["dual"] is False and given["loss"] == "epsilon_insensitive":
            yield "the primal problem has no epsilon_insensitive loss"
        case "PLSRegression" if isinstance(given["n_components"], int) and given["n_components"] > most:
            yield f"n_components={given['n_components']} of at most {most}"
        case "SGDRegressor" if given["learning_rate"] == "optimal" and given["alpha"] == 0.0:
            yield "the optimal learning rate divides by alpha=0"
        case "LGBMRegressor" if given["boosting_type"] == "rf":
            if given["colsample_bytree"] == 1.0 and (given["subsample"] == 1.0 or given["subsample_freq"] == 0):
                yield "boosting_type 'rf' needs colsample_bytree below 1, or subsample below 1 and subsample_freq"


def contradictions(spec: Call, rows: int, columns: int) -> Iterator[str]:
    """Yield what is certain to make one regressor fail.

    Parameters
    ----------
    spec : Call
        A regressor, at the end of a pipeline or inside a selector.
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
        *_settings(name, given, min(rows, columns)),
    ):
        yield f"{name}: {problem}"
