"""The registered constructors, as data: target -> parameter -> (library default, allowed values).

Versioned by :data:`pipelines.registry.VERSION`. A test compares every default with the installed library. Left out on
purpose: what shuffles rows between training and the future (inner estimators on shuffled folds, randomised searches),
what computes a row from other rows at prediction time, what reads files or runs callables, what is not reproducible
(``mutual_info_regression``), and what costs the square of the rows (SVR, Gaussian processes, kernel ridge).
"""

from __future__ import annotations

from pipelines.domains import Domain, Either, Function, Items, Part, Real, Whole
from pipelines.parameter_rules import (
    ANGLE,
    BAYES,
    COORDINATE,
    FOLDS,
    FOREST,
    FRACTION,
    NO,
    PATH,
    POSITIVE,
    REQUIRED,
    SEED,
    SHARE,
    STOPPING,
    TOL,
    TREE,
    UNIT,
    YES,
    Params,
    of,
    or_none,
)
from pipelines.spec import PIPELINE, UNION, Name, Value

LINEAR = "sklearn.linear_model."
ENSEMBLE = "sklearn.ensemble."
PRE = "sklearn.preprocessing."
SELECT = "sklearn.feature_selection."

FUNCTIONS = (
    "numpy.mean",
    "numpy.median",
    "numpy.max",
    "numpy.min",
    SELECT + "f_regression",
    SELECT + "f_classif",
)

IMPORTANCES = (
    *(ENSEMBLE + name for name in ("ExtraTreesRegressor", "RandomForestRegressor", "GradientBoostingRegressor")),
    *(LINEAR + name for name in ("Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "LassoLarsCV")),
    "sklearn.tree.DecisionTreeRegressor",
    "sklearn.svm.LinearSVR",
    "lightgbm.LGBMRegressor",
    "xgboost.XGBRegressor",
)
WEAK = Part(("sklearn.tree.DecisionTreeRegressor", LINEAR + "Ridge", LINEAR + "LinearRegression", LINEAR + "Lasso"))

SCALERS: dict[str, Params] = {
    PRE + "StandardScaler": {"with_mean": YES, "with_std": YES},
    PRE + "MinMaxScaler": {"clip": NO, "feature_range": ((0, 1), Items(Whole(-1, 1), 2, 2))},
    PRE + "MaxAbsScaler": {"clip": NO},
    PRE + "RobustScaler": {
        "quantile_range": ((25.0, 75.0), Items(Real(0.0, 100.0), 2, 2)),
        "unit_variance": NO,
        "with_centering": YES,
        "with_scaling": YES,
    },
    PRE + "Normalizer": {"norm": ("l2", of("l1", "l2", "max"))},
}

SCORE: tuple[Value, Domain] = (Name(SELECT + "f_classif"), Function(FUNCTIONS[4:]))
SELECTORS: dict[str, Params] = {
    SELECT + "SelectFwe": {"alpha": (0.05, UNIT), "score_func": SCORE},
    SELECT + "SelectFpr": {"alpha": (0.05, UNIT), "score_func": SCORE},
    SELECT + "SelectFdr": {"alpha": (0.05, UNIT), "score_func": SCORE},
    SELECT + "SelectPercentile": {"percentile": (10.0, Real(0.0, 100.0)), "score_func": SCORE},
    SELECT + "SelectKBest": {"k": (10, Either((of("all"), Whole(1, 10_000)))), "score_func": SCORE},
    SELECT + "VarianceThreshold": {"threshold": (0.0, Real(0.0, 1e12))},
    SELECT + "RFE": {
        "estimator": (REQUIRED, Part(IMPORTANCES)),
        "n_features_to_select": (None, or_none(Either((Whole(1, 10_000), FRACTION)))),
        "step": (1, Either((Whole(1, 10_000), FRACTION))),
    },
    SELECT + "SelectFromModel": {
        "estimator": (REQUIRED, Part(IMPORTANCES)),
        "max_features": (None, or_none(Whole(1, 10_000))),
        "threshold": (None, Either((of(None, "mean", "median", "0.5*mean", "1.25*mean", "1.5*mean", "2*mean"), UNIT))),
    },
}

TRANSFORMERS: dict[str, Params] = {
    PRE + "Binarizer": {"threshold": (0.0, Real(-1e6, 1e6))},
    PRE + "FunctionTransformer": {},
    PRE + "KBinsDiscretizer": {
        "encode": ("onehot", of("onehot-dense", "ordinal", "onehot")),
        "n_bins": (5, Whole(2, 256)),
        "random_state": SEED,
        "strategy": ("quantile", of("uniform", "quantile", "kmeans")),
        "subsample": (200_000, or_none(Whole(100, 1_000_000))),
    },
    PRE + "PolynomialFeatures": {
        "degree": (2, Whole(1, 3)),
        "include_bias": YES,
        "interaction_only": NO,
    },
    PRE + "PowerTransformer": {"method": ("yeo-johnson", of("yeo-johnson")), "standardize": YES},
    PRE + "QuantileTransformer": {
        "n_quantiles": (1000, Whole(2, 1_000_000)),
        "output_distribution": ("uniform", of("uniform", "normal")),
        "random_state": SEED,
        "subsample": (10_000, or_none(Whole(10, 1_000_000))),
    },
    PRE + "SplineTransformer": {
        "degree": (3, Whole(0, 3)),
        "extrapolation": ("constant", of("constant", "linear")),
        "include_bias": YES,
        "knots": ("uniform", of("uniform", "quantile")),
        "n_knots": (5, Whole(2, 32)),
    },
    "sklearn.cluster.FeatureAgglomeration": {
        "linkage": ("ward", of("ward", "complete", "average", "single")),
        "metric": ("euclidean", of("euclidean", "l1", "l2", "manhattan", "cosine")),
        "n_clusters": (2, Whole(1, 1000)),
        "pooling_func": (Name("numpy.mean"), Function(FUNCTIONS[:4])),
    },
    "sklearn.decomposition.FastICA": {
        "algorithm": ("parallel", of("parallel", "deflation")),
        "fun": ("logcosh", of("logcosh", "exp", "cube")),
        "max_iter": (200, Whole(1, 1000)),
        "n_components": (None, or_none(Whole(1, 1000))),
        "random_state": SEED,
        "tol": TOL,
        "whiten": ("unit-variance", of("unit-variance", "arbitrary-variance")),
    },
    "sklearn.decomposition.PCA": {
        "n_components": (None, or_none(Either((Whole(1, 1000), FRACTION)))),
        "random_state": SEED,
        "svd_solver": ("auto", of("auto", "full", "covariance_eigh", "randomized")),
        "whiten": NO,
    },
    "sklearn.kernel_approximation.Nystroem": {
        "coef0": (None, or_none(Real(-1e3, 1e3))),
        "degree": (None, or_none(Real(1.0, 5.0))),
        "gamma": (None, or_none(Real(0.0, 1e3))),
        "kernel": (
            "rbf",
            of("rbf", "cosine", "laplacian", "linear", "poly", "polynomial", "sigmoid", "chi2", "additive_chi2"),
        ),
        "n_components": (100, Whole(1, 1000)),
        "random_state": SEED,
    },
    "sklearn.kernel_approximation.RBFSampler": {
        "gamma": (1.0, Either((of("scale"), Real(0.0, 1e3)))),
        "n_components": (100, Whole(1, 1000)),
        "random_state": SEED,
    },
}

REGRESSORS: dict[str, Params] = {
    LINEAR + "ARDRegression": {**BAYES, "threshold_lambda": (1e4, POSITIVE)},
    LINEAR + "BayesianRidge": BAYES,
    LINEAR + "ElasticNet": {**COORDINATE, "l1_ratio": (0.5, UNIT)},
    LINEAR + "ElasticNetCV": {**PATH, "l1_ratio": (0.5, Either((UNIT, Items(UNIT, 1, 30))))},
    LINEAR + "HuberRegressor": {
        "alpha": (1e-4, Real(0.0, 1e6)),
        "epsilon": (1.35, Real(1.0, 100.0)),
        "fit_intercept": YES,
        "max_iter": (100, Whole(1, 1000)),
        "tol": (1e-5, POSITIVE),
    },
    LINEAR + "Lasso": COORDINATE,
    LINEAR + "LassoCV": PATH,
    LINEAR + "LassoLars": {**ANGLE, "alpha": (1.0, Real(0.0, 1e6))},
    LINEAR + "LassoLarsCV": {**ANGLE, "cv": FOLDS, "max_n_alphas": (1000, Whole(1, 1000))},
    LINEAR + "LassoLarsIC": {**ANGLE, "criterion": ("aic", of("aic", "bic"))},
    LINEAR + "LinearRegression": {"fit_intercept": YES, "positive": NO},
    LINEAR + "Ridge": {
        "alpha": (1.0, Real(0.0, 1e12)),
        "fit_intercept": YES,
        "max_iter": (None, or_none(Whole(1, 15_000))),
        "random_state": SEED,
        "solver": ("auto", of("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga")),
        "tol": TOL,
    },
    LINEAR + "RidgeCV": {
        "alphas": ((0.1, 1.0, 10.0), Items(POSITIVE, 1, 50)),
        "cv": FOLDS,
        "fit_intercept": YES,
        "gcv_mode": (None, of(None, "auto", "svd", "eigen")),
    },
    LINEAR + "SGDRegressor": {
        **STOPPING,
        "alpha": (1e-4, Real(0.0, 1e3)),
        "average": NO,
        "epsilon": (0.1, Real(0.0, 1e3)),
        "eta0": (0.01, POSITIVE),
        "fit_intercept": YES,
        "l1_ratio": (0.15, UNIT),
        "learning_rate": ("invscaling", of("constant", "optimal", "invscaling", "adaptive")),
        "loss": ("squared_error", of("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")),
        "max_iter": (1000, Whole(1, 2000)),
        "n_iter_no_change": (5, Whole(1, 1000)),
        "penalty": ("l2", of("l2", "l1", "elasticnet", None)),
        "power_t": (0.25, Real(0.0, 10.0)),
        "random_state": SEED,
        "tol": (1e-3, or_none(POSITIVE)),
    },
    "sklearn.svm.LinearSVR": {
        "C": (1.0, Real(0.0, 1e6, above=True)),
        "dual": ("auto", of("auto", True, False)),
        "epsilon": (0.0, Real(0.0, 1e3)),
        "fit_intercept": YES,
        "intercept_scaling": (1.0, Real(0.0, 1e3, above=True)),
        "loss": ("epsilon_insensitive", of("epsilon_insensitive", "squared_epsilon_insensitive")),
        "max_iter": (1000, Whole(1, 5000)),
        "random_state": SEED,
        "tol": TOL,
    },
    "sklearn.cross_decomposition.PLSRegression": {
        "max_iter": (500, Whole(1, 2000)),
        "n_components": (2, Whole(1, 100)),
        "scale": YES,
        "tol": (1e-6, POSITIVE),
    },
    "sklearn.neighbors.KNeighborsRegressor": {
        "algorithm": ("auto", of("auto", "ball_tree", "brute", "kd_tree")),
        "n_neighbors": (5, Whole(1, 10_000)),
        "p": (2, Either((Whole(1, 3), Real(1.0, 3.0)))),
        "weights": ("uniform", of("uniform", "distance")),
    },
    "sklearn.tree.DecisionTreeRegressor": {
        **TREE,
        "max_features": (None, TREE["max_features"][1]),
        "splitter": ("best", of("best", "random")),
    },
    ENSEMBLE + "ExtraTreesRegressor": {**FOREST, "bootstrap": NO},
    ENSEMBLE + "RandomForestRegressor": {**FOREST, "bootstrap": YES},
    ENSEMBLE + "AdaBoostRegressor": {
        "estimator": (None, or_none(WEAK)),
        "learning_rate": (1.0, Real(0.0, 10.0, above=True)),
        "loss": ("linear", of("linear", "square", "exponential")),
        "n_estimators": (50, Whole(1, 500)),
        "random_state": SEED,
    },
    ENSEMBLE + "BaggingRegressor": {
        "bootstrap": YES,
        "bootstrap_features": NO,
        "estimator": (None, or_none(WEAK)),
        "max_features": (1.0, Either((Whole(1, 10_000), SHARE))),
        "max_samples": (None, or_none(Either((Whole(1, 10_000_000), SHARE)))),
        "n_estimators": (10, Whole(1, 500)),
        "random_state": SEED,
    },
    ENSEMBLE + "GradientBoostingRegressor": {
        **{name: rule for name, rule in TREE.items() if name != "criterion"},
        "learning_rate": (0.1, Real(0.0, 10.0, above=True)),
        "loss": ("squared_error", of("squared_error", "absolute_error", "huber", "quantile")),
        "max_depth": (3, or_none(Whole(1, 64))),
        "max_features": (None, TREE["max_features"][1]),
        "n_estimators": (100, Whole(1, 500)),
        "subsample": (1.0, SHARE),
    },
    ENSEMBLE + "HistGradientBoostingRegressor": {
        "early_stopping": ("auto", of("auto", False, True)),
        "l2_regularization": (0.0, Real(0.0, 1e6)),
        "learning_rate": (0.1, Real(0.0, 10.0, above=True)),
        "loss": ("squared_error", of("squared_error", "absolute_error")),
        "max_bins": (255, Whole(2, 255)),
        "max_depth": (None, or_none(Whole(1, 64))),
        "max_features": (1.0, SHARE),
        "max_iter": (100, Whole(1, 1000)),
        "max_leaf_nodes": (31, or_none(Whole(2, 4096))),
        "min_samples_leaf": (20, Whole(1, 100_000)),
        "n_iter_no_change": (10, Whole(1, 1000)),
        "random_state": SEED,
        "tol": (1e-7, Real(0.0, 1.0)),
        "validation_fraction": (0.1, or_none(Either((Real(0.0, 0.5, above=True), Whole(1, 1_000_000))))),
    },
    "sklearn.neural_network.MLPRegressor": {
        **STOPPING,
        "activation": ("relu", of("relu", "tanh", "logistic", "identity")),
        "alpha": (1e-4, Real(0.0, 1e6)),
        "batch_size": ("auto", Either((of("auto"), Whole(1, 100_000)))),
        "hidden_layer_sizes": ((100,), Either((Items(Whole(1, 512), 1, 3), Whole(1, 512)))),
        "learning_rate": ("constant", of("constant", "invscaling", "adaptive")),
        "learning_rate_init": (1e-3, Real(0.0, 1.0, above=True)),
        "max_iter": (200, Whole(1, 500)),
        "random_state": SEED,
        "solver": ("adam", of("adam", "sgd", "lbfgs")),
        "tol": TOL,
    },
    "lightgbm.LGBMRegressor": {
        "boosting_type": ("gbdt", of("gbdt", "dart", "goss", "rf")),
        "colsample_bytree": (1.0, SHARE),
        "learning_rate": (0.1, Real(0.0, 10.0, above=True)),
        "max_depth": (-1, Either((of(-1), Whole(1, 64)))),
        "min_child_samples": (20, Whole(1, 100_000)),
        "min_child_weight": (1e-3, Real(0.0, 1e6)),
        "min_split_gain": (0.0, Real(0.0, 1e6)),
        "n_estimators": (100, Whole(1, 1000)),
        "num_leaves": (31, Whole(2, 4096)),
        "objective": (None, of(None, "regression", "regression_l1", "huber", "fair")),
        "random_state": SEED,
        "reg_alpha": (0.0, Real(0.0, 1e6)),
        "reg_lambda": (0.0, Real(0.0, 1e6)),
        "subsample": (1.0, SHARE),
        "subsample_freq": (0, Whole(0, 1000)),
    },
    "xgboost.XGBRegressor": {
        "colsample_bytree": (None, or_none(SHARE)),
        "gamma": (None, or_none(Real(0.0, 1e6))),
        "learning_rate": (None, or_none(Real(0.0, 10.0, above=True))),
        "max_depth": (None, or_none(Whole(1, 18))),
        "max_leaves": (None, or_none(Whole(0, 4096))),
        "min_child_weight": (None, or_none(Real(0.0, 1e6))),
        "n_estimators": (None, or_none(Whole(1, 1000))),
        "objective": ("reg:squarederror", of("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")),
        "random_state": SEED,
        "reg_alpha": (None, or_none(Real(0.0, 1e6))),
        "reg_lambda": (None, or_none(Real(0.0, 1e6))),
        "subsample": (None, or_none(SHARE)),
    },
}

SPLITTERS: dict[str, Params] = {
    "sklearn.model_selection.TimeSeriesSplit": {
        "gap": (0, Whole(0, 1_000_000)),
        "max_train_size": (None, or_none(Whole(1, 10_000_000))),
        "n_splits": (5, Whole(2, 10)),
        "test_size": (None, or_none(Whole(1, 10_000_000))),
    },
}

TARGETS: dict[str, dict[str, Params]] = {
    "scaler": SCALERS,
    "selector": SELECTORS,
    "transformer": TRANSFORMERS,
    "regressor": REGRESSORS,
    "splitter": SPLITTERS,
    "container": {PIPELINE: {}, UNION: {}},
}

PINNED: dict[str, dict[str, Value]] = {
    "lightgbm.LGBMRegressor": {"n_jobs": 1, "verbose": -1},
    "xgboost.XGBRegressor": {"n_jobs": 1, "verbosity": 0},
}
"""Execution parameters whose library default is several threads or chatter."""
