"""Parameter rules that several registered constructors share: (library default, allowed values)."""

from __future__ import annotations

from typing import Final, TypeAlias

from pipelines.caps import upto
from pipelines.domains import Choice, Domain, Either, Items, Part, Real, Whole
from pipelines.spec import Value


class Required:
    """Marks a parameter without a default."""


REQUIRED: Final = Required()
Params: TypeAlias = "dict[str, tuple[Value | Required, Domain]]"

NONE = Choice((None,))
FLAG = Choice((False, True))
POSITIVE = Real(0.0, 1e12, above=True)
SHARE = Real(0.0, 1.0, above=True)
FRACTION = Real(0.0, 0.999999, above=True)
"""A share where scikit-learn excludes the whole."""
UNIT = Real(0.0, 1.0)
EPS = 2.220446049250313e-16
TREES = 500
"""Most members of an ensemble in scikit-learn; boosting libraries may have more rounds."""


def of(*values: Value) -> Domain:
    """Return the domain of the listed values."""
    return Choice(values)


def or_none(domain: Domain) -> Domain:
    """Return `domain` with None."""
    return Either((NONE, domain))


SEED: tuple[Value, Domain] = (None, or_none(Whole(0, 2**32 - 1)))
YES: tuple[Value, Domain] = (True, FLAG)
NO: tuple[Value, Domain] = (False, FLAG)
TOL: tuple[Value, Domain] = (1e-4, POSITIVE)

_SHAPE: Params = {
    "max_depth": (None, or_none(upto("max_depth"))),
    "min_samples_split": (2, Either((Whole(2, 100_000), SHARE))),
    "min_samples_leaf": (1, Either((Whole(1, 100_000), FRACTION))),
    "max_features": (1.0, Either((of(None, "sqrt", "log2"), Whole(1, 10_000), SHARE))),
    "max_leaf_nodes": (None, or_none(upto("max_leaf_nodes", 2))),
    "min_impurity_decrease": (0.0, Real(0.0, 1e6)),
    "min_weight_fraction_leaf": (0.0, Real(0.0, 0.5)),
    "ccp_alpha": (0.0, Real(0.0, 1e6)),
    "random_state": SEED,
}
TREE: Params = {"criterion": ("squared_error", of("squared_error", "absolute_error", "poisson")), **_SHAPE}
WEIGHT: tuple[Value, Domain] = (None, of(None, "balanced"))
CLASS_TREE: Params = {
    "class_weight": WEIGHT,
    "criterion": ("gini", of("gini", "entropy", "log_loss")),
    **_SHAPE,
    "max_features": ("sqrt", _SHAPE["max_features"][1]),
}
_SIZE: Params = {
    "n_estimators": (100, upto("n_estimators", most=TREES)),
    "max_samples": (None, or_none(Either((Whole(1, 10_000_000), SHARE)))),
}
FOREST: Params = {**TREE, **_SIZE}
CLASS_FOREST: Params = {
    **CLASS_TREE,
    **_SIZE,
    "class_weight": (None, of(None, "balanced", "balanced_subsample")),
}
SPLITTER = Part(("sklearn.model_selection.TimeSeriesSplit",))
FOLDS: tuple[Value, Domain] = (None, Either((NONE, upto("cv", 2), SPLITTER)))
UNSHUFFLED: tuple[Value, Domain] = (None, Either((NONE, upto("cv", 2))))
"""Folds that part the rows, as predictions for every row need; a whole number cuts them in row order."""
PATH: Params = {
    "alphas": (100, Either((upto("alphas"), Items(POSITIVE, 1, 200)))),
    "eps": (1e-3, Real(1e-6, 1.0)),
    "cv": FOLDS,
    "fit_intercept": YES,
    "max_iter": (1000, upto("max_iter", most=10_000)),
    "positive": NO,
    "random_state": SEED,
    "selection": ("cyclic", of("cyclic", "random")),
    "tol": TOL,
}
COORDINATE: Params = {
    "alpha": (1.0, Real(0.0, 1e6)),
    **{name: PATH[name] for name in ("fit_intercept", "max_iter", "positive", "random_state", "selection", "tol")},
}
ANGLE: Params = {
    "eps": (EPS, POSITIVE),
    "fit_intercept": YES,
    "max_iter": (500, upto("max_iter", most=5000)),
    "positive": NO,
}
BAYES: Params = {
    **dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), (1e-06, POSITIVE)),
    "fit_intercept": YES,
    "max_iter": (300, upto("max_iter", most=2000)),
    "tol": (1e-3, POSITIVE),
}
STOPPING: Params = {
    "early_stopping": NO,
    "n_iter_no_change": (10, Whole(1, 1000)),
    "validation_fraction": (0.1, Real(0.0, 0.5, above=True)),
}
