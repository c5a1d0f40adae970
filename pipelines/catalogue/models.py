"""Trees, boosting, neighbours, networks and Bayes: target -> parameter -> (library default, allowed values)."""

from __future__ import annotations

from pipelines.caps import upto
from pipelines.catalogue.linear import PRIORS
from pipelines.domains import Domain, Either, Items, Number, Real, Whole
from pipelines.parameter_rules import (
    CLASS_FOREST,
    CLASS_TREE,
    FOREST,
    NO,
    SEED,
    SHARE,
    STOPPING,
    TOL,
    TREE,
    TREES,
    UNIT,
    WEIGHT,
    YES,
    Params,
    of,
    or_none,
)
from pipelines.spec import Value

ENSEMBLE = "sklearn.ensemble."
NEIGHBOURS = "sklearn.neighbors."
NETWORK = "sklearn.neural_network."
TREE_MODULE = "sklearn.tree."
BAYES = "sklearn.naive_bayes."

RATE: tuple[Value, Domain] = (0.1, Real(0.0, 10.0, above=True))
MAYBE: tuple[Value, Domain] = (None, or_none(Real(0.0, 1e6)))
MAYBE_SHARE: tuple[Value, Domain] = (None, or_none(SHARE))
PENALTY: tuple[Value, Domain] = (0.0, Real(0.0, 1e6))

NEAREST: Params = {
    "algorithm": ("auto", of("auto", "ball_tree", "brute", "kd_tree")),
    "n_neighbors": (5, upto("n_neighbors")),
    "p": (2, Number(1.0, 3.0)),
    "weights": ("uniform", of("uniform", "distance")),
}
SPLITTER: tuple[Value, Domain] = ("best", of("best", "random"))
GRADIENT: Params = {
    **{name: rule for name, rule in TREE.items() if name != "criterion"},
    "learning_rate": RATE,
    "max_depth": (3, or_none(upto("max_depth"))),
    "max_features": (None, TREE["max_features"][1]),
    "n_estimators": (100, upto("n_estimators", most=TREES)),
    "subsample": (1.0, SHARE),
}
HISTOGRAM: Params = {
    "early_stopping": ("auto", of("auto", False, True)),
    "interaction_cst": (None, of(None, "pairwise", "no_interactions")),
    "l2_regularization": PENALTY,
    "learning_rate": RATE,
    "max_bins": (255, upto("max_bins", 2)),
    "max_depth": (None, or_none(upto("max_depth"))),
    "max_features": (1.0, SHARE),
    "max_iter": (100, upto("max_iter", most=1000)),
    "max_leaf_nodes": (31, or_none(upto("max_leaf_nodes", 2, 4096))),
    "min_samples_leaf": (20, Whole(1, 100_000)),
    "n_iter_no_change": (10, Whole(1, 1000)),
    "random_state": SEED,
    "tol": (1e-7, UNIT),
    "validation_fraction": (0.1, or_none(Either((Real(0.0, 0.5, above=True), Whole(1, 1_000_000))))),
}
PERCEPTRON: Params = {
    **STOPPING,
    "activation": ("relu", of("relu", "tanh", "logistic", "identity")),
    "alpha": (1e-4, Real(0.0, 1e6)),
    "batch_size": ("auto", Either((of("auto"), Whole(1, 100_000)))),
    "hidden_layer_sizes": ((100,), Items(upto("hidden_layer_sizes"), 1, 3, single=True)),
    "learning_rate": ("constant", of("constant", "invscaling", "adaptive")),
    "learning_rate_init": (1e-3, Real(0.0, 1.0, above=True)),
    "max_iter": (200, upto("max_iter", most=500)),
    "momentum": (0.9, UNIT),
    "nesterovs_momentum": YES,
    "power_t": (0.5, Real(0.0, 10.0)),
    "random_state": SEED,
    "solver": ("adam", of("adam", "sgd", "lbfgs")),
    "tol": TOL,
}
LIGHT: Params = {
    "boosting_type": ("gbdt", of("gbdt", "dart", "goss", "rf")),
    "colsample_bytree": (1.0, SHARE),
    "learning_rate": RATE,
    "max_depth": (-1, Either((of(-1), upto("max_depth")))),
    "min_child_samples": (20, Whole(1, 100_000)),
    "min_child_weight": (1e-3, Real(0.0, 1e6)),
    "min_split_gain": PENALTY,
    "n_estimators": (100, upto("n_estimators")),
    "num_leaves": (31, upto("num_leaves", 2)),
    "random_state": SEED,
    "reg_alpha": PENALTY,
    "reg_lambda": PENALTY,
    "subsample": (1.0, SHARE),
    "subsample_for_bin": (200_000, Whole(100, 1_000_000)),
    "subsample_freq": (0, Whole(0, 1000)),
}
EXTREME: Params = {
    "base_score": (None, or_none(Real(-1e6, 1e6))),
    "booster": (None, of(None, "gbtree", "dart")),
    "colsample_bylevel": MAYBE_SHARE,
    "colsample_bynode": MAYBE_SHARE,
    "colsample_bytree": MAYBE_SHARE,
    "gamma": MAYBE,
    "grow_policy": (None, of(None, "depthwise", "lossguide")),
    "learning_rate": (None, or_none(Real(0.0, 10.0, above=True))),
    "max_bin": (None, or_none(upto("max_bin", 2))),
    "max_delta_step": MAYBE,
    "max_depth": (None, or_none(upto("max_depth", most=18))),
    "max_leaves": (None, or_none(upto("max_leaves", 0))),
    "min_child_weight": MAYBE,
    "n_estimators": (None, or_none(upto("n_estimators"))),
    "num_parallel_tree": (None, or_none(upto("num_parallel_tree"))),
    "random_state": SEED,
    "reg_alpha": MAYBE,
    "reg_lambda": MAYBE,
    "subsample": MAYBE_SHARE,
    "tree_method": (None, of(None, "auto", "exact", "approx", "hist")),
}
FOREST_OF_XGBOOST: Params = {
    **{name: rule for name, rule in EXTREME.items() if name not in ("booster", "num_parallel_tree")},
    "colsample_bynode": (0.8, SHARE),
    "learning_rate": (1.0, Real(0.0, 10.0, above=True)),
    "n_estimators": (None, or_none(upto("n_estimators", most=TREES))),
    "reg_lambda": (1e-5, Real(0.0, 1e6)),
    "subsample": (0.8, SHARE),
}
XGB_LOSS: tuple[Value, Domain] = (
    "reg:squarederror",
    of("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"),
)
XGB_CLASSES: Params = {
    "base_score": (None, or_none(Real(0.001, 0.999))),
    "objective": ("binary:logistic", of("binary:logistic", "binary:hinge")),
    "scale_pos_weight": MAYBE,
}

TREE_REGRESSORS: dict[str, Params] = {
    NEIGHBOURS + "KNeighborsRegressor": NEAREST,
    TREE_MODULE + "DecisionTreeRegressor": {
        **TREE,
        "max_features": (None, TREE["max_features"][1]),
        "splitter": SPLITTER,
    },
    TREE_MODULE + "ExtraTreeRegressor": {**TREE, "splitter": ("random", SPLITTER[1])},
    ENSEMBLE + "ExtraTreesRegressor": {**FOREST, "bootstrap": NO},
    ENSEMBLE + "RandomForestRegressor": {**FOREST, "bootstrap": YES},
    ENSEMBLE + "GradientBoostingRegressor": {
        **GRADIENT,
        "alpha": (0.9, Real(0.001, 0.999)),
        "loss": ("squared_error", of("squared_error", "absolute_error", "huber", "quantile")),
    },
    ENSEMBLE + "HistGradientBoostingRegressor": {
        **HISTOGRAM,
        "loss": ("squared_error", of("squared_error", "absolute_error", "quantile")),
        "quantile": (None, or_none(UNIT)),
    },
    NETWORK + "MLPRegressor": PERCEPTRON,
    "lightgbm.LGBMRegressor": {
        **LIGHT,
        "objective": (None, of(None, "regression", "regression_l1", "huber", "fair")),
    },
    "xgboost.XGBRegressor": {**EXTREME, "objective": XGB_LOSS},
    "xgboost.XGBRFRegressor": {**FOREST_OF_XGBOOST, "objective": XGB_LOSS},
}

TREE_CLASSIFIERS: dict[str, Params] = {
    NEIGHBOURS + "KNeighborsClassifier": NEAREST,
    NEIGHBOURS + "NearestCentroid": {
        "metric": ("euclidean", of("euclidean", "manhattan")),
        "priors": ("uniform", Either((of("uniform", "empirical"), Items(UNIT, 2, 2)))),
        "shrink_threshold": (None, or_none(Real(0.0, 1e6, above=True))),
    },
    BAYES + "BernoulliNB": {
        "alpha": (1.0, Real(0.0, 1e6)),
        "binarize": (0.0, Real(0.0, 1e6)),
        "class_prior": PRIORS,
        "fit_prior": YES,
        "force_alpha": YES,
    },
    BAYES + "GaussianNB": {"priors": PRIORS, "var_smoothing": (1e-9, Real(0.0, 1e6))},
    TREE_MODULE + "DecisionTreeClassifier": {
        **CLASS_TREE,
        "max_features": (None, TREE["max_features"][1]),
        "splitter": SPLITTER,
    },
    TREE_MODULE + "ExtraTreeClassifier": {**CLASS_TREE, "splitter": ("random", SPLITTER[1])},
    ENSEMBLE + "ExtraTreesClassifier": {**CLASS_FOREST, "bootstrap": NO},
    ENSEMBLE + "RandomForestClassifier": {**CLASS_FOREST, "bootstrap": YES},
    ENSEMBLE + "GradientBoostingClassifier": {**GRADIENT, "loss": ("log_loss", of("log_loss", "exponential"))},
    ENSEMBLE + "HistGradientBoostingClassifier": {**HISTOGRAM, "class_weight": WEIGHT},
    NETWORK + "MLPClassifier": PERCEPTRON,
    "lightgbm.LGBMClassifier": {**LIGHT, "class_weight": WEIGHT, "objective": (None, of(None, "binary"))},
    "xgboost.XGBClassifier": {**EXTREME, **XGB_CLASSES},
    "xgboost.XGBRFClassifier": {**FOREST_OF_XGBOOST, **XGB_CLASSES},
}
