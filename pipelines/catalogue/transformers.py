"""Scalers, selectors and transformers: target -> parameter -> (library default, allowed values)."""

from __future__ import annotations

from pipelines.caps import upto
from pipelines.catalogue.functions import ELEMENTWISE, IDENTITY, POOLING, SCORES
from pipelines.domains import Domain, Either, Function, Items, Part, Real, Whole
from pipelines.parameter_rules import (
    FOLDS,
    FRACTION,
    NO,
    POSITIVE,
    REQUIRED,
    SEED,
    SHARE,
    TOL,
    TREES,
    UNIT,
    YES,
    Params,
    of,
    or_none,
)
from pipelines.spec import Name, Value

PRE = "sklearn.preprocessing."
SELECT = "sklearn.feature_selection."
DECOMPOSE = "sklearn.decomposition."
CLUSTER = "sklearn.cluster."
PROJECT = "sklearn.random_projection."
LINEAR = "sklearn.linear_model."
ENSEMBLE = "sklearn.ensemble."

IMPORTANCES = (
    *(ENSEMBLE + name for name in ("ExtraTreesRegressor", "RandomForestRegressor", "GradientBoostingRegressor")),
    *(LINEAR + name for name in ("Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "LassoLarsCV")),
    "sklearn.tree.DecisionTreeRegressor",
    "sklearn.svm.LinearSVR",
    "lightgbm.LGBMRegressor",
    "xgboost.XGBRegressor",
)
COMPONENTS: tuple[Value, Domain] = (None, or_none(upto("n_components")))
CENTRES: Params = {
    "algorithm": ("lloyd", of("lloyd", "elkan")),
    "init": ("k-means++", of("k-means++", "random")),
    "max_iter": (300, upto("max_iter", most=1000)),
    "n_clusters": (8, upto("n_clusters", most=256)),
    "n_init": ("auto", Either((of("auto"), upto("n_init")))),
    "random_state": SEED,
    "tol": (1e-4, Real(0.0, 1e6)),
}
PROJECTION: Params = {
    "eps": (0.1, Real(0.01, 0.999)),
    "n_components": ("auto", Either((of("auto"), upto("n_components")))),
    "random_state": SEED,
}

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

SCORE: tuple[Value, Domain] = (Name(SELECT + "f_classif"), Function(SCORES))
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
    SELECT + "RFECV": {
        "cv": FOLDS,
        "estimator": (REQUIRED, Part(IMPORTANCES)),
        "min_features_to_select": (1, Whole(1, 10_000)),
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
    PRE + "FunctionTransformer": {"func": (None, or_none(Function((*ELEMENTWISE, *IDENTITY))))},
    PRE + "KBinsDiscretizer": {
        "encode": ("onehot", of("onehot-dense", "ordinal", "onehot")),
        "n_bins": (5, upto("n_bins", 2)),
        "random_state": SEED,
        "strategy": ("quantile", of("uniform", "quantile", "kmeans")),
        "subsample": (200_000, or_none(Whole(100, 1_000_000))),
    },
    PRE + "PolynomialFeatures": {
        "degree": (2, upto("degree")),
        "include_bias": YES,
        "interaction_only": NO,
    },
    PRE + "PowerTransformer": {"method": ("yeo-johnson", of("yeo-johnson")), "standardize": YES},
    PRE + "QuantileTransformer": {
        "n_quantiles": (1000, upto("n_quantiles", 2)),
        "output_distribution": ("uniform", of("uniform", "normal")),
        "random_state": SEED,
        "subsample": (10_000, or_none(Whole(10, 1_000_000))),
    },
    PRE + "SplineTransformer": {
        "degree": (3, upto("degree", 0)),
        "extrapolation": ("constant", of("constant", "linear")),
        "include_bias": YES,
        "knots": ("uniform", of("uniform", "quantile")),
        "n_knots": (5, upto("n_knots", 2)),
    },
    CLUSTER + "FeatureAgglomeration": {
        "linkage": ("ward", of("ward", "complete", "average", "single")),
        "metric": ("euclidean", of("euclidean", "l1", "l2", "manhattan", "cosine")),
        "n_clusters": (2, upto("n_clusters")),
        "pooling_func": (Name("numpy.mean"), Function(POOLING)),
    },
    DECOMPOSE + "FastICA": {
        "algorithm": ("parallel", of("parallel", "deflation")),
        "fun": ("logcosh", of("logcosh", "exp", "cube")),
        "max_iter": (200, upto("max_iter", most=1000)),
        "n_components": COMPONENTS,
        "random_state": SEED,
        "tol": TOL,
        "whiten": ("unit-variance", of("unit-variance", "arbitrary-variance")),
    },
    DECOMPOSE + "PCA": {
        "iterated_power": ("auto", Either((of("auto"), upto("iterated_power", 0)))),
        "n_components": (None, or_none(Either((upto("n_components"), FRACTION)))),
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
        "n_components": (100, upto("n_components")),
        "random_state": SEED,
    },
    "sklearn.kernel_approximation.RBFSampler": {
        "gamma": (1.0, Either((of("scale"), Real(0.0, 1e3)))),
        "n_components": (100, upto("n_components")),
        "random_state": SEED,
    },
    "sklearn.kernel_approximation.PolynomialCountSketch": {
        "coef0": (0.0, Real(-1e3, 1e3)),
        "degree": (2, upto("degree")),
        "gamma": (1.0, Real(0.0, 1e3)),
        "n_components": (100, upto("n_components")),
        "random_state": SEED,
    },
    CLUSTER + "BisectingKMeans": {
        **CENTRES,
        "bisecting_strategy": ("biggest_inertia", of("biggest_inertia", "largest_cluster")),
        "init": ("random", CENTRES["init"][1]),
        "n_init": (1, upto("n_init")),
    },
    CLUSTER + "KMeans": CENTRES,
    CLUSTER + "MiniBatchKMeans": {
        **{name: rule for name, rule in CENTRES.items() if name != "algorithm"},
        "batch_size": (1024, Whole(1, 1_000_000)),
        "max_iter": (100, upto("max_iter", most=1000)),
        "max_no_improvement": (10, or_none(Whole(0, 1000))),
        "reassignment_ratio": (0.01, UNIT),
        "tol": (0.0, Real(0.0, 1e6)),
    },
    DECOMPOSE + "FactorAnalysis": {
        "iterated_power": (3, upto("iterated_power", 0)),
        "max_iter": (1000, upto("max_iter", most=2000)),
        "n_components": COMPONENTS,
        "random_state": (0, SEED[1]),
        "rotation": (None, of(None, "varimax", "quartimax")),
        "svd_method": ("randomized", of("randomized", "lapack")),
        "tol": (1e-2, POSITIVE),
    },
    DECOMPOSE + "IncrementalPCA": {
        "batch_size": (None, or_none(Whole(1, 1_000_000))),
        "n_components": COMPONENTS,
        "whiten": NO,
    },
    DECOMPOSE + "MiniBatchDictionaryLearning": {
        "alpha": (1.0, Real(0.0, 1e6)),
        "batch_size": (256, Whole(16, 1_000_000)),
        "fit_algorithm": ("lars", of("lars", "cd")),
        "max_iter": (1000, upto("max_iter", most=1000)),
        "n_components": COMPONENTS,
        "positive_code": NO,
        "positive_dict": NO,
        "random_state": SEED,
        "shuffle": YES,
        "split_sign": NO,
        "transform_algorithm": ("omp", of("omp", "lasso_lars", "lasso_cd", "lars", "threshold")),
        "transform_alpha": (None, or_none(Real(0.0, 1e6))),
        "transform_n_nonzero_coefs": (None, or_none(upto("n_nonzero_coefs"))),
    },
    DECOMPOSE + "TruncatedSVD": {
        "algorithm": ("randomized", of("randomized", "arpack")),
        "n_components": (2, upto("n_components")),
        "n_iter": (5, upto("n_iter", 0)),
        "n_oversamples": (10, upto("n_oversamples")),
        "power_iteration_normalizer": ("auto", of("auto", "QR", "LU", "none")),
        "random_state": SEED,
        "tol": (0.0, Real(0.0, 1.0)),
    },
    ENSEMBLE + "RandomTreesEmbedding": {
        "max_depth": (5, upto("max_depth", most=10)),
        "max_leaf_nodes": (None, or_none(upto("max_leaf_nodes", 2, 1024))),
        "min_impurity_decrease": (0.0, Real(0.0, 1e6)),
        "min_samples_leaf": (1, Either((Whole(1, 100_000), FRACTION))),
        "min_samples_split": (2, Either((Whole(2, 100_000), SHARE))),
        "min_weight_fraction_leaf": (0.0, Real(0.0, 0.5)),
        "n_estimators": (100, upto("n_estimators", most=TREES)),
        "random_state": SEED,
        "sparse_output": YES,
    },
    "sklearn.impute.SimpleImputer": {
        "fill_value": (None, or_none(Real(-1e6, 1e6))),
        "keep_empty_features": NO,
        "strategy": ("mean", of("mean", "median", "most_frequent", "constant")),
    },
    "sklearn.neural_network.BernoulliRBM": {
        "batch_size": (10, Whole(1, 1_000_000)),
        "learning_rate": (0.1, Real(0.0, 10.0, above=True)),
        "n_components": (256, upto("n_components")),
        "n_iter": (10, upto("n_iter", 0)),
        "random_state": SEED,
    },
    PROJECT + "GaussianRandomProjection": PROJECTION,
    PROJECT + "SparseRandomProjection": {
        **PROJECTION,
        "dense_output": NO,
        "density": ("auto", Either((of("auto"), SHARE))),
    },
}
