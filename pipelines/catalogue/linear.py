"""Linear regressors and classifiers: target -> parameter -> (library default, allowed values)."""

from __future__ import annotations

from pipelines.caps import upto
from pipelines.domains import Domain, Either, Items, Real, Whole
from pipelines.parameter_rules import (
    ANGLE,
    BAYES,
    COORDINATE,
    EPS,
    FOLDS,
    NO,
    PATH,
    POSITIVE,
    SEED,
    STOPPING,
    TOL,
    UNIT,
    WEIGHT,
    YES,
    Params,
    of,
    or_none,
)
from pipelines.spec import Value

LINEAR = "sklearn.linear_model."

RATES = of("constant", "optimal", "invscaling", "adaptive", "pa1", "pa2")
DESCENT: Params = {
    **STOPPING,
    "alpha": (1e-4, Real(0.0, 1e3)),
    "average": NO,
    "epsilon": (0.1, Real(0.0, 1e3)),
    "eta0": (0.01, POSITIVE),
    "fit_intercept": YES,
    "l1_ratio": (0.15, UNIT),
    "max_iter": (1000, upto("max_iter", most=2000)),
    "n_iter_no_change": (5, Whole(1, 1000)),
    "penalty": ("l2", of("l2", "l1", "elasticnet", None)),
    "random_state": SEED,
    "tol": (1e-3, or_none(POSITIVE)),
}
MARGIN: Params = {
    "C": (1.0, Real(0.0, 1e6, above=True)),
    "dual": ("auto", of("auto", True, False)),
    "fit_intercept": YES,
    "intercept_scaling": (1.0, Real(0.0, 1e3, above=True)),
    "max_iter": (1000, upto("max_iter", most=5000)),
    "random_state": SEED,
    "tol": TOL,
}
SHRINKAGE: tuple[Value, Domain] = (None, Either((of(None, "auto"), UNIT)))
PRIORS: tuple[Value, Domain] = (None, or_none(Items(UNIT, 2, 2)))

LINEAR_REGRESSORS: dict[str, Params] = {
    LINEAR + "ARDRegression": {**BAYES, "threshold_lambda": (1e4, POSITIVE)},
    LINEAR + "BayesianRidge": BAYES,
    LINEAR + "ElasticNet": {**COORDINATE, "l1_ratio": (0.5, UNIT)},
    LINEAR + "ElasticNetCV": {**PATH, "l1_ratio": (0.5, Either((UNIT, Items(UNIT, 1, 30))))},
    LINEAR + "HuberRegressor": {
        "alpha": (1e-4, Real(0.0, 1e6)),
        "epsilon": (1.35, Real(1.0, 100.0)),
        "fit_intercept": YES,
        "max_iter": (100, upto("max_iter", most=1000)),
        "tol": (1e-5, POSITIVE),
    },
    LINEAR + "Lars": {
        "eps": (EPS, POSITIVE),
        "fit_intercept": YES,
        "jitter": (None, or_none(Real(0.0, 1.0))),
        "n_nonzero_coefs": (500, upto("n_nonzero_coefs")),
        "random_state": SEED,
    },
    LINEAR + "LarsCV": {
        "cv": FOLDS,
        "eps": (EPS, POSITIVE),
        "fit_intercept": YES,
        "max_iter": (500, upto("max_iter", most=5000)),
        "max_n_alphas": (1000, upto("max_n_alphas")),
    },
    LINEAR + "Lasso": COORDINATE,
    LINEAR + "LassoCV": PATH,
    LINEAR + "LassoLars": {
        **ANGLE,
        "alpha": (1.0, Real(0.0, 1e6)),
        "jitter": (None, or_none(Real(0.0, 1.0))),
        "random_state": SEED,
    },
    LINEAR + "LassoLarsCV": {**ANGLE, "cv": FOLDS, "max_n_alphas": (1000, upto("max_n_alphas"))},
    LINEAR + "LassoLarsIC": {**ANGLE, "criterion": ("aic", of("aic", "bic"))},
    LINEAR + "LinearRegression": {"fit_intercept": YES, "positive": NO},
    LINEAR + "OrthogonalMatchingPursuit": {
        "fit_intercept": YES,
        "n_nonzero_coefs": (None, or_none(upto("n_nonzero_coefs"))),
        "tol": (None, or_none(Real(0.0, 1e12))),
    },
    LINEAR + "OrthogonalMatchingPursuitCV": {
        "cv": FOLDS,
        "fit_intercept": YES,
        "max_iter": (None, or_none(upto("max_iter", most=1000))),
    },
    LINEAR + "QuantileRegressor": {
        "alpha": (1.0, Real(0.0, 1e6)),
        "fit_intercept": YES,
        "quantile": (0.5, Real(0.001, 0.999)),
        "solver": ("highs", of("highs", "highs-ds", "highs-ipm")),
    },
    LINEAR + "Ridge": {
        "alpha": (1.0, Real(0.0, 1e12)),
        "fit_intercept": YES,
        "max_iter": (None, or_none(upto("max_iter"))),
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
        **DESCENT,
        "learning_rate": ("invscaling", RATES),
        "loss": ("squared_error", of("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")),
        "power_t": (0.25, Real(0.0, 10.0)),
    },
    LINEAR + "TheilSenRegressor": {
        "fit_intercept": YES,
        "max_iter": (300, upto("max_iter", most=1000)),
        "max_subpopulation": (1e4, Real(1.0, 1e4)),
        "random_state": SEED,
        "tol": (1e-3, POSITIVE),
    },
    "sklearn.svm.LinearSVR": {
        **MARGIN,
        "epsilon": (0.0, Real(0.0, 1e3)),
        "loss": ("epsilon_insensitive", of("epsilon_insensitive", "squared_epsilon_insensitive")),
    },
    "sklearn.cross_decomposition.PLSRegression": {
        "max_iter": (500, upto("max_iter", most=2000)),
        "n_components": (2, upto("n_components", most=100)),
        "scale": YES,
        "tol": (1e-6, POSITIVE),
    },
}

LINEAR_CLASSIFIERS: dict[str, Params] = {
    LINEAR + "LogisticRegression": {
        "C": (1.0, Real(0.0, 1e12, above=True)),
        "class_weight": WEIGHT,
        "dual": NO,
        "fit_intercept": YES,
        "intercept_scaling": (1.0, Real(0.0, 1e3, above=True)),
        "l1_ratio": (0.0, UNIT),
        "max_iter": (100, upto("max_iter", most=5000)),
        "random_state": SEED,
        "solver": ("lbfgs", of("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")),
        "tol": TOL,
    },
    LINEAR + "Perceptron": {
        **{name: rule for name, rule in DESCENT.items() if name not in ("average", "epsilon")},
        "class_weight": WEIGHT,
        "eta0": (1.0, POSITIVE),
        "penalty": (None, of(None, "l2", "l1", "elasticnet")),
        "random_state": (0, SEED[1]),
    },
    LINEAR + "RidgeClassifier": {
        "alpha": (1.0, Real(0.0, 1e12)),
        "class_weight": WEIGHT,
        "fit_intercept": YES,
        "max_iter": (None, or_none(upto("max_iter"))),
        "random_state": SEED,
        "solver": ("auto", of("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga")),
        "tol": TOL,
    },
    LINEAR + "RidgeClassifierCV": {
        "alphas": ((0.1, 1.0, 10.0), Items(POSITIVE, 1, 50)),
        "class_weight": WEIGHT,
        "cv": FOLDS,
        "fit_intercept": YES,
    },
    LINEAR + "SGDClassifier": {
        **DESCENT,
        "class_weight": WEIGHT,
        "learning_rate": ("optimal", RATES),
        "loss": (
            "hinge",
            of(
                *("hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", "squared_error", "huber"),
                *("epsilon_insensitive", "squared_epsilon_insensitive"),
            ),
        ),
        "power_t": (0.5, Real(0.0, 10.0)),
    },
    "sklearn.svm.LinearSVC": {
        **MARGIN,
        "class_weight": WEIGHT,
        "loss": ("squared_hinge", of("squared_hinge", "hinge")),
        "penalty": ("l2", of("l2", "l1")),
    },
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": {
        "priors": PRIORS,
        "shrinkage": SHRINKAGE,
        "solver": ("svd", of("svd", "lsqr", "eigen")),
        "tol": TOL,
    },
    "sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis": {
        "priors": PRIORS,
        "reg_param": (0.0, UNIT),
        "shrinkage": SHRINKAGE,
        "solver": ("svd", of("svd", "eigen")),
        "tol": TOL,
    },
}
