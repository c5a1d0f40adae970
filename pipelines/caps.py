"""What bears cost, and its caps: one table for counts, one rule for counts that multiply by nesting.

The caps keep any single number from making an evaluation explode; CPU, memory and wall limits do the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from pipelines.domains import Whole
from pipelines.spec import ENSEMBLES, STEPS, Call, Value
from protocol.errors import RefusedError

CAPS: Mapping[str, int] = MappingProxyType(
    {
        "alphas": 200,
        "cv": 10,
        "degree": 3,
        "hidden_layer_sizes": 512,
        "iterated_power": 100,
        "max_bin": 1024,
        "max_bins": 255,
        "max_depth": 64,
        "max_iter": 15_000,
        "max_leaf_nodes": 65_536,
        "max_leaves": 4096,
        "max_n_alphas": 1000,
        "max_trials": 1000,
        "n_bins": 256,
        "n_clusters": 1000,
        "n_components": 1000,
        "n_estimators": 1000,
        "n_init": 20,
        "n_iter": 200,
        "n_knots": 32,
        "n_neighbors": 10_000,
        "n_nonzero_coefs": 1000,
        "n_oversamples": 100,
        "n_quantiles": 1_000_000,
        "n_splits": 10,
        "num_leaves": 4096,
        "num_parallel_tree": 10,
    }
)
"""Largest value of every parameter that bears cost; single operators may have less."""

MEMBERS = 16
"""Most members of one container."""

MAX_FITS = 20_000
"""Most trees, rounds and single fits of one pipeline, counted through its nesting."""

RECKONED_COLUMNS = 64
"""How many columns a recursive elimination is reckoned to start from."""

FOLDS = 5
"""Folds that scikit-learn makes where ``cv`` is not given."""


def upto(name: str, lo: int = 1, most: int | None = None) -> Whole:
    """Return the whole numbers from `lo` to the cap of the parameter `name`, or to `most` if that is less."""
    return Whole(lo, CAPS[name] if most is None else min(most, CAPS[name]))


def _folds(spec: Call) -> int:
    folds = spec.get("cv")
    if isinstance(folds, Call):
        folds = folds.get("n_splits", FOLDS)
    return folds if isinstance(folds, int) else FOLDS


def _eliminations(spec: Call) -> int:
    step = spec.get("step", 1)
    if isinstance(step, float):
        return math.ceil(1 / max(step, 0.01)) + 1
    return math.ceil(RECKONED_COLUMNS / step) if isinstance(step, int) and step > 0 else RECKONED_COLUMNS


def _repeats(spec: Call) -> int:
    """Return how often an operator fits what it wraps."""
    match spec.target.rpartition(".")[2]:
        case "RFE":
            return _eliminations(spec)
        case "RFECV":
            return _eliminations(spec) * (_folds(spec) + 1)
        case "StackingClassifier" | "StackingRegressor":
            return _folds(spec) + 1
        case "RANSACRegressor":
            trials = spec.get("max_trials", 100)
            return trials if isinstance(trials, int) else 1
        case "AdaBoostClassifier" | "AdaBoostRegressor" | "BaggingClassifier" | "BaggingRegressor":
            return _size(spec)
        case _:
            return 1


def _size(spec: Call) -> int:
    name, default = ENSEMBLES[spec.target]
    size = spec.get(name, default)
    return size if isinstance(size, int) else default


def _own(spec: Call) -> int:
    if spec.target in STEPS:
        return 0
    return _size(spec) if spec.target in ENSEMBLES and not spec.target.startswith("sklearn.neural_network.") else 1


def fits(value: Value) -> int:
    """Return how many trees, boosting rounds and single fits a part of a pipeline takes, reckoned from its text.

    A wrapped estimator counts as often as it is fitted: rounds of bagging and boosting, folds of stacking and one more,
    steps of an elimination from 64 columns.
    """
    if isinstance(value, tuple):
        return sum(map(fits, value))
    if not isinstance(value, Call) or value.target.startswith("sklearn.model_selection."):
        return 0
    inner = sum(fits(given) for _, given in value.params)
    return _own(value) + _repeats(value) * inner


def check_fits(spec: Call) -> None:
    """Make sure that a pipeline takes at most `MAX_FITS` fits.

    Raises
    ------
    RefusedError
        It takes more.
    """
    found = fits(spec)
    if found > MAX_FITS:
        raise RefusedError(
            f"the pipeline fits {found} trees, rounds and models inside each other; make it at most {MAX_FITS}"
        )
