"""What the registry leaves out, with the reason and what to write instead; refusals quote it.

A test asks that every estimator of the installed scikit-learn is registered or listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_SQUARE = "its cost grows with the square of the rows; use Nystroem or RBFSampler with a linear model"
_GRAPH = "it cannot place a new row without all training rows; use PCA, Nystroem or FeatureAgglomeration"
_CLUSTERS = "it gives rows a cluster number and does not transform them; use KMeans, whose distances are columns"
_COUNTS = "it needs values that are never negative, in new rows too"
_ONE_LABEL = "with one label it has one component, a straight line; use PLSRegression or LinearRegression"
_LABELS = "there is one label per row"
_DENSITY = "it neither predicts the label nor transforms columns"
_TEXT = "the features are numbers; it reads words, dictionaries or pictures"
_CATEGORIES = "every distinct number would be a category; use KBinsDiscretizer"
_CODES = "it rewrites labels, and labels are given"
_ONE_ROW = "scikit-learn cannot transform a single row with it; use PCA or MiniBatchDictionaryLearning"
_POSITIVE = "it needs labels above 0"
_SEARCH = "a search inside a pipeline multiplies its cost, and the evolution is the search; write the parameters found"
_TWO = "there are two classes, up and down; use the classifier itself"
_THRESHOLD = "it moves a threshold or bends probabilities and keeps the order of the answers; use the classifier itself"
_SPELLING = "it is another spelling of a registered operator"

ESTIMATORS: Mapping[str, str] = MappingProxyType(
    {
        "AdditiveChi2Sampler": _COUNTS,
        "AffinityPropagation": _CLUSTERS,
        "AgglomerativeClustering": _CLUSTERS,
        "BayesianGaussianMixture": _DENSITY,
        "Birch": "it makes as many columns as the data ask for; use KMeans",
        "CCA": _ONE_LABEL,
        "CalibratedClassifierCV": _THRESHOLD,
        "CategoricalNB": _CATEGORIES,
        "ClassicalMDS": _GRAPH,
        "ClassifierChain": _LABELS,
        "ComplementNB": _COUNTS,
        "CountVectorizer": _TEXT,
        "DBSCAN": _CLUSTERS,
        "DictVectorizer": _TEXT,
        "DictionaryLearning": "it codes all rows in every round; use MiniBatchDictionaryLearning",
        "DummyClassifier": "it does not look at the features",
        "DummyRegressor": "it does not look at the features",
        "EllipticEnvelope": _DENSITY,
        "EmpiricalCovariance": _DENSITY,
        "FeatureHasher": _TEXT,
        "FixedThresholdClassifier": _THRESHOLD,
        "FrozenEstimator": "nothing is fitted before the pipeline is",
        "GammaRegressor": _POSITIVE,
        "GaussianMixture": _DENSITY,
        "GaussianProcessClassifier": _SQUARE,
        "GaussianProcessRegressor": _SQUARE,
        "GenericUnivariateSelect": _SPELLING + "; use SelectKBest, SelectPercentile, SelectFpr, SelectFdr or SelectFwe",
        "GraphicalLasso": _DENSITY,
        "GraphicalLassoCV": _DENSITY,
        "GridSearchCV": _SEARCH,
        "HDBSCAN": _CLUSTERS,
        "HalvingGridSearchCV": _SEARCH,
        "HalvingRandomSearchCV": _SEARCH,
        "HashingVectorizer": _TEXT,
        "IsolationForest": _DENSITY,
        "Isomap": _SQUARE,
        "IsotonicRegression": "it takes one column and has no answer outside its range; use SplineTransformer",
        "IterativeImputer": "it fits a model for every column, and features have no gaps; use SimpleImputer",
        "KNNImputer": "it reads all training rows for every gap, and features have none; use SimpleImputer",
        "KNeighborsTransformer": "it makes a column of every training row; use KNeighborsRegressor",
        "KernelCenterer": _SQUARE,
        "KernelDensity": _DENSITY,
        "KernelPCA": _SQUARE,
        "KernelRidge": _SQUARE,
        "LabelBinarizer": _CODES,
        "LabelEncoder": _CODES,
        "LabelPropagation": _SQUARE,
        "LabelSpreading": _SQUARE,
        "LatentDirichletAllocation": _COUNTS,
        "LedoitWolf": _DENSITY,
        "LocalOutlierFactor": _DENSITY,
        "LocallyLinearEmbedding": _SQUARE,
        "LogisticRegressionCV": "three of its defaults change between versions of scikit-learn; use LogisticRegression",
        "MDS": _GRAPH,
        "MeanShift": _CLUSTERS,
        "MinCovDet": _DENSITY,
        "MiniBatchNMF": _COUNTS,
        "MiniBatchSparsePCA": _ONE_ROW,
        "MissingIndicator": "features have no gaps",
        "MultiLabelBinarizer": _CODES,
        "MultiOutputClassifier": _LABELS,
        "MultiOutputRegressor": _LABELS,
        "MultiTaskElasticNet": _LABELS,
        "MultiTaskElasticNetCV": _LABELS,
        "MultiTaskLasso": _LABELS,
        "MultiTaskLassoCV": _LABELS,
        "MultinomialNB": _COUNTS,
        "NMF": _COUNTS,
        "NearestNeighbors": _DENSITY,
        "NeighborhoodComponentsAnalysis": _SQUARE,
        "NuSVC": _SQUARE,
        "NuSVR": _SQUARE,
        "OAS": _DENSITY,
        "OPTICS": _CLUSTERS,
        "OneClassSVM": _DENSITY,
        "OneHotEncoder": _CATEGORIES,
        "OneVsOneClassifier": _TWO,
        "OneVsRestClassifier": _TWO,
        "OrdinalEncoder": _CATEGORIES,
        "OutputCodeClassifier": _TWO,
        "PLSCanonical": _ONE_LABEL,
        "PLSSVD": _ONE_LABEL,
        "PassiveAggressiveClassifier": "scikit-learn 1.10 removes it; use SGDClassifier with learning_rate='pa1'",
        "PassiveAggressiveRegressor": "scikit-learn 1.10 removes it; use SGDRegressor with learning_rate='pa1'",
        "PatchExtractor": _TEXT,
        "PoissonRegressor": _POSITIVE,
        "RadiusNeighborsClassifier": "a row without neighbours has no answer; use KNeighborsClassifier",
        "RadiusNeighborsRegressor": "a row without neighbours has no answer; use KNeighborsRegressor",
        "RadiusNeighborsTransformer": "it makes a column of every training row; use KNeighborsRegressor",
        "RandomizedSearchCV": _SEARCH,
        "RegressorChain": _LABELS,
        "SGDOneClassSVM": _DENSITY,
        "SVC": _SQUARE,
        "SVR": _SQUARE,
        "SelfTrainingClassifier": "every training row has a label",
        "SequentialFeatureSelector": "it fits a model for every pair of columns; use RFE or SelectFromModel",
        "ShrunkCovariance": _DENSITY,
        "SkewedChi2Sampler": _COUNTS,
        "SparseCoder": "it needs a dictionary of numbers; use MiniBatchDictionaryLearning",
        "SparsePCA": _ONE_ROW,
        "SpectralBiclustering": _CLUSTERS,
        "SpectralClustering": _CLUSTERS,
        "SpectralCoclustering": _CLUSTERS,
        "SpectralEmbedding": _GRAPH,
        "TSNE": _GRAPH,
        "TargetEncoder": _CATEGORIES,
        "TfidfTransformer": _TEXT,
        "TfidfVectorizer": _TEXT,
        "TunedThresholdClassifierCV": _THRESHOLD,
        "TweedieRegressor": "without a positive label it is a ridge; use Ridge",
    }
)
"""Estimators of scikit-learn by class name."""

OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "CombineDFs": "it is TPOT's; a union joins columns by itself",
        "Passthrough": "it is TPOT's; write 'passthrough'",
        "SkipTransformer": "it is TPOT's; write 'drop'",
        "StackingEstimator": "it is TPOT's, and the file must run without TPOT; use StackingRegressor(passthrough=True)",
        "ZeroCount": "it is TPOT's, and features have no zeros to count",
        "chi2": _COUNTS,
        "float64": "numbers are written plainly: 0.5",
        "int64": "numbers are written plainly: 5",
        "make_column_transformer": _SPELLING + "; write ColumnTransformer(transformers=[(name, transformer, columns)])",
        "mutual_info_classif": "it cannot be repeated; use f_classif",
        "mutual_info_regression": "it cannot be repeated; use f_regression",
        "scale": "it computes a row from the other rows; use StandardScaler",
        "set_param_recursive": "random_state follows from the block hash",
        "str_": "words are written plainly: 'l2'",
        "train_test_split": "a pipeline holds no data; the validator cuts them",
    }
)
"""What is no estimator of scikit-learn but often met, by its last name."""

_DISK = "it writes to disk"
_CALLABLE = "it may run a function"
_KEPT = "a pipeline is fitted once"
_CHOSEN = "it is for arrays or tables that nobody passes here"

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "callback": _CALLABLE,
        "callbacks": _CALLABLE,
        "copy": "it changes nothing here",
        "copy_X": "it changes nothing here",
        "device": "every validator computes on one CPU thread",
        "early_stopping_rounds": "it needs rows to stop on, which nobody passes",
        "func": _CALLABLE,
        "importance_getter": _CALLABLE,
        "inverse_func": _CALLABLE,
        "kw_args": _CALLABLE,
        "memory": _DISK,
        "metric_params": _CHOSEN,
        "normalize": "scikit-learn 1.2 removed it; put a StandardScaler in front",
        "oob_score": "it changes no prediction",
        "penalty": "l1_ratio says it since scikit-learn 1.8",
        "scoring": _CALLABLE,
        "warm_start": _KEPT,
    }
)
"""Why a parameter that people write is not allowed."""


def why(name: str) -> str | None:
    """Return why the class or function with this last name is left out, if that is known."""
    return ESTIMATORS.get(name) or OTHERS.get(name)
