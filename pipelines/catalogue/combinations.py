"""Operators made of others: target -> parameter -> (library default, allowed values).

Their members are models of the other tables, or pipelines that end in one; combinations do not hold combinations.
"""

from __future__ import annotations

from pipelines.caps import MEMBERS, upto
from pipelines.catalogue.linear import LINEAR, LINEAR_CLASSIFIERS, LINEAR_REGRESSORS
from pipelines.catalogue.models import ENSEMBLE, TREE_CLASSIFIERS, TREE_REGRESSORS
from pipelines.catalogue.transformers import SCALERS, SELECTORS, TRANSFORMERS
from pipelines.domains import Domain, Either, Items, Model, Part, Real, Record, Whole
from pipelines.parameter_rules import (
    NO,
    REQUIRED,
    SEED,
    SHARE,
    TREES,
    UNIT,
    UNSHUFFLED,
    YES,
    Params,
    Required,
    of,
    or_none,
)
from pipelines.spec import COLUMNS, UNION, Value

REGRESSOR = Model("regressor", (*LINEAR_REGRESSORS, *TREE_REGRESSORS))
CLASSIFIER = Model("classifier", (*LINEAR_CLASSIFIERS, *TREE_CLASSIFIERS))
TRANSFORMER = Model("transformer", (*SCALERS, *SELECTORS, *TRANSFORMERS, UNION))
STRAIGHT = Part((LINEAR + "LinearRegression", LINEAR + "Ridge", LINEAR + "Lasso", LINEAR + "BayesianRidge"))
WEAK = Part(
    (
        *(f"sklearn.tree.{name}" for name in ("DecisionTreeRegressor", "ExtraTreeRegressor")),
        *(LINEAR + name for name in ("Ridge", "LinearRegression", "Lasso")),
    )
)
WEAK_CLASSIFIER = Part(
    (
        *(f"sklearn.tree.{name}" for name in ("DecisionTreeClassifier", "ExtraTreeClassifier")),
        *(LINEAR + "LogisticRegression", "sklearn.naive_bayes.GaussianNB"),
    )
)
UNDONE = Part(
    tuple(
        f"sklearn.preprocessing.{name}"
        for name in (
            *("MaxAbsScaler", "MinMaxScaler", "PowerTransformer"),
            *("QuantileTransformer", "RobustScaler", "StandardScaler"),
        )
    )
)
"""Transformers of the label that can be undone."""

BAG: Params = {
    "bootstrap": YES,
    "bootstrap_features": NO,
    "max_features": (1.0, Either((Whole(1, 10_000), SHARE))),
    "max_samples": (None, or_none(Either((Whole(1, 10_000_000), SHARE)))),
    "n_estimators": (10, upto("n_estimators", most=TREES)),
    "random_state": SEED,
}
ADAPTIVE: Params = {
    "learning_rate": (1.0, Real(0.0, 10.0, above=True)),
    "n_estimators": (50, upto("n_estimators", most=TREES)),
    "random_state": SEED,
}
WEIGHTS: tuple[Value, Domain] = (None, or_none(Items(Real(0.0, 1e6), 1, MEMBERS)))


def _members(member: Domain) -> tuple[Required, Domain]:
    return REQUIRED, Items(member, 1, MEMBERS)


COMBINED_REGRESSORS: dict[str, Params] = {
    ENSEMBLE + "AdaBoostRegressor": {
        **ADAPTIVE,
        "estimator": (None, or_none(WEAK)),
        "loss": ("linear", of("linear", "square", "exponential")),
    },
    ENSEMBLE + "BaggingRegressor": {**BAG, "estimator": (None, or_none(REGRESSOR))},
    ENSEMBLE + "StackingRegressor": {
        "cv": UNSHUFFLED,
        "estimators": _members(REGRESSOR),
        "final_estimator": (None, or_none(REGRESSOR)),
        "passthrough": NO,
    },
    ENSEMBLE + "VotingRegressor": {"estimators": _members(REGRESSOR), "weights": WEIGHTS},
    LINEAR + "RANSACRegressor": {
        "estimator": (None, or_none(STRAIGHT)),
        "loss": ("absolute_error", of("absolute_error", "squared_error")),
        "max_trials": (100, upto("max_trials")),
        "min_samples": (None, or_none(Either((Whole(1, 100_000), UNIT)))),
        "random_state": SEED,
        "residual_threshold": (None, or_none(Real(0.0, 1e12))),
        "stop_probability": (0.99, UNIT),
    },
    "sklearn.compose.TransformedTargetRegressor": {
        "check_inverse": YES,
        "regressor": (None, or_none(REGRESSOR)),
        "transformer": (None, or_none(UNDONE)),
    },
}

COMBINED_CLASSIFIERS: dict[str, Params] = {
    ENSEMBLE + "AdaBoostClassifier": {**ADAPTIVE, "estimator": (None, or_none(WEAK_CLASSIFIER))},
    ENSEMBLE + "BaggingClassifier": {**BAG, "estimator": (None, or_none(CLASSIFIER))},
    ENSEMBLE + "StackingClassifier": {
        "cv": UNSHUFFLED,
        "estimators": _members(CLASSIFIER),
        "final_estimator": (None, or_none(CLASSIFIER)),
        "passthrough": NO,
        "stack_method": ("auto", of("auto", "predict_proba", "decision_function", "predict")),
    },
    ENSEMBLE + "VotingClassifier": {
        "estimators": _members(CLASSIFIER),
        "voting": ("hard", of("hard", "soft")),
        "weights": WEIGHTS,
    },
}

COMBINED_TRANSFORMERS: dict[str, Params] = {
    COLUMNS: {
        "remainder": ("drop", Either((of("drop", "passthrough"), TRANSFORMER))),
        "sparse_threshold": (0.3, UNIT),
        "transformers": _members(
            Record((Either((of("drop", "passthrough"), TRANSFORMER)), Items(Whole(0, 9_999), 1, 1000)))
        ),
    },
}
