"""The registered constructors, as data: role -> target -> parameter -> (library default, allowed values).

Versioned by :data:`pipelines.registry.VERSION`. A test compares every default with the installed library, another one
asks that every estimator of scikit-learn is here or, with its reason, in :mod:`pipelines.left_out`.
"""

from __future__ import annotations

from pipelines.caps import upto
from pipelines.catalogue.combinations import COMBINED_CLASSIFIERS, COMBINED_REGRESSORS, COMBINED_TRANSFORMERS
from pipelines.catalogue.functions import ALIASES, FUNCTIONS
from pipelines.catalogue.linear import LINEAR_CLASSIFIERS, LINEAR_REGRESSORS
from pipelines.catalogue.models import TREE_CLASSIFIERS, TREE_REGRESSORS
from pipelines.catalogue.transformers import SCALERS, SELECTORS, TRANSFORMERS
from pipelines.domains import Whole
from pipelines.parameter_rules import Params, or_none
from pipelines.spec import PIPELINE, UNION, Value

__all__ = ["ALIASES", "FUNCTIONS", "PINNED", "TARGETS"]

SPLITTERS: dict[str, Params] = {
    "sklearn.model_selection.TimeSeriesSplit": {
        "gap": (0, Whole(0, 1_000_000)),
        "max_train_size": (None, or_none(Whole(1, 10_000_000))),
        "n_splits": (5, upto("n_splits", 2)),
        "test_size": (None, or_none(Whole(1, 10_000_000))),
    },
}

TARGETS: dict[str, dict[str, Params]] = {
    "scaler": SCALERS,
    "selector": SELECTORS,
    "transformer": {**TRANSFORMERS, **COMBINED_TRANSFORMERS},
    "regressor": {**LINEAR_REGRESSORS, **TREE_REGRESSORS, **COMBINED_REGRESSORS},
    "classifier": {**LINEAR_CLASSIFIERS, **TREE_CLASSIFIERS, **COMBINED_CLASSIFIERS},
    "splitter": SPLITTERS,
    "container": {PIPELINE: {}, UNION: {}},
}

_QUIET_LIGHTGBM: dict[str, Value] = {"n_jobs": 1, "verbose": -1}
_QUIET_XGBOOST: dict[str, Value] = {"n_jobs": 1, "verbosity": 0}
PINNED: dict[str, dict[str, Value]] = {
    "lightgbm.LGBMClassifier": _QUIET_LIGHTGBM,
    "lightgbm.LGBMRegressor": _QUIET_LIGHTGBM,
    "xgboost.XGBClassifier": _QUIET_XGBOOST,
    "xgboost.XGBRFClassifier": _QUIET_XGBOOST,
    "xgboost.XGBRFRegressor": _QUIET_XGBOOST,
    "xgboost.XGBRegressor": _QUIET_XGBOOST,
}
"""Execution parameters whose library default is several threads or chatter."""
