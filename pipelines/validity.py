"""What is certain to fail, told from the text alone, so that no worker time goes into it.

The number of columns is followed through the steps as an interval, since selectors depend on the data. Two premises
come from the feature sets and the targets: some feature column is negative somewhere, and so are the labels.
Whatever depends on the data beyond that is left to run time: a pipeline without problems may still fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from pipelines.estimator_rules import contradictions
from pipelines.registry import DROP, ENTRIES, MODELS
from pipelines.spec import COLUMNS, NAMED, PIPELINE, STEPS, Call, Value

MAX_CELLS = 2**29
"""Largest intermediate matrix, rows x columns: 4 GiB of float64."""

UNKNOWN, SOME_NEGATIVE, ALL_NEGATIVE = range(3)
"""Signs of a matrix: nothing known; some column has negative values; every varying column has."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of the matrix between two steps: rows, fewest and most columns, signs."""

    rows: int
    least: int
    most: int
    sign: int = SOME_NEGATIVE


Step: TypeAlias = Callable[[Call, Shape, list[str]], Shape]


def _setting(spec: Call, name: str) -> Value:
    return spec.get(name, ENTRIES[spec.target].params[name][0])


def _number(spec: Call, name: str) -> float:
    value = _setting(spec, name)
    return value if isinstance(value, int | float) else math.nan


def _columns(shape: Shape, least: int, most: int | None = None, sign: int = UNKNOWN) -> Shape:
    return replace(shape, least=least, most=least if most is None else most, sign=sign)


def _selected(shape: Shape, least: int, most: int | None = None) -> Shape:
    """Return the shape after a selector, which may keep exactly the columns that are never negative."""
    sign = shape.sign if shape.sign == ALL_NEGATIVE else UNKNOWN
    return replace(shape, least=min(least, shape.most), most=shape.most if most is None else most, sign=sign)


def _percentile(spec: Call, shape: Shape, _: list[str]) -> Shape:
    """Bound the columns above a percentile of their scores, whatever ties there are."""
    share = _number(spec, "percentile") / 100.0
    if share >= 1.0:
        return shape
    below = math.floor(max(0.0, (1.0 - share) * (shape.most - 1) - 1e-9))  # numpy.percentile, rounding in our disfavour
    most = max(shape.most - 1 - below, int(share * shape.most + 1e-9)) if share > 0.0 else 0
    return _selected(shape, 0, most)


def _best(spec: Call, shape: Shape, _: list[str]) -> Shape:
    k = _setting(spec, "k")
    return _selected(shape, min(k, shape.least), min(k, shape.most)) if isinstance(k, int) else shape


def _any_selector(_: Call, shape: Shape, __: list[str]) -> Shape:
    return _selected(shape, 0)


def _variance(_: Call, shape: Shape, __: list[str]) -> Shape:
    return _selected(shape, 1)  # it raises by itself where nothing is left


def _rfe(spec: Call, shape: Shape, found: list[str]) -> Shape:
    wanted = _setting(spec, "n_features_to_select")
    if wanted is None and shape.most == 1:
        found.append("RFE halves a single column to none")
    if isinstance(wanted, int):
        return _selected(shape, min(wanted, shape.least), min(wanted, shape.most))
    return _selected(shape, 0)


def _agglomeration(spec: Call, shape: Shape, found: list[str]) -> Shape:
    clusters = int(_number(spec, "n_clusters"))
    if shape.most < 2:
        found.append("FeatureAgglomeration needs 2 columns and gets 1")
    elif clusters > shape.most:
        found.append(f"FeatureAgglomeration: n_clusters={clusters} of at most {shape.most} columns")
    if _setting(spec, "linkage") == "ward" and _setting(spec, "metric") not in ("euclidean", "l2"):
        found.append(f"FeatureAgglomeration: ward linkage with metric {_setting(spec, 'metric')!r}")
    return _columns(shape, clusters)


def _pca(spec: Call, shape: Shape, found: list[str]) -> Shape:
    wanted = _setting(spec, "n_components")
    most = min(shape.most, shape.rows)
    if isinstance(wanted, float):
        if _setting(spec, "svd_solver") == "randomized":
            found.append(f"PCA: n_components={wanted} with svd_solver={_setting(spec, 'svd_solver')!r}")
        return _columns(shape, 1, most, ALL_NEGATIVE)
    if isinstance(wanted, int) and wanted > most:
        found.append(f"PCA: n_components={wanted} of at most {most}")
    return _columns(shape, wanted, sign=ALL_NEGATIVE) if isinstance(wanted, int) else replace(shape, sign=ALL_NEGATIVE)


def _ica(spec: Call, shape: Shape, _: list[str]) -> Shape:
    wanted = _setting(spec, "n_components")  # clipped to what there is
    most = min(wanted, shape.most, shape.rows) if isinstance(wanted, int) else min(shape.most, shape.rows)
    return _columns(shape, min(most, max(shape.least, 1)), most, ALL_NEGATIVE)


def _kernel(spec: Call, shape: Shape, found: list[str]) -> Shape:
    if spec.target.endswith(".Nystroem"):
        kernel = _setting(spec, "kernel")
        if kernel in ("chi2", "additive_chi2") and shape.sign != UNKNOWN:
            found.append(f"Nystroem: kernel {kernel!r} of negative values")
        return _columns(shape, min(int(_number(spec, "n_components")), shape.rows))
    return _columns(shape, int(_number(spec, "n_components")))


def _bins(spec: Call, shape: Shape, _: list[str]) -> Shape:
    if _setting(spec, "encode") == "ordinal":
        return replace(shape, sign=UNKNOWN)
    return _columns(shape, shape.least, shape.most * int(_number(spec, "n_bins")))


def _polynomial(spec: Call, shape: Shape, _: list[str]) -> Shape:
    degree, bias = int(_number(spec, "degree")), int(_setting(spec, "include_bias") is True)

    def terms(columns: int) -> int:
        count = math.comb if _setting(spec, "interaction_only") else (lambda n, k: math.comb(n + k - 1, k) if n else 0)
        return bias + sum(count(columns, k) for k in range(1, degree + 1))

    return _columns(shape, terms(shape.least), terms(shape.most))


def _spline(spec: Call, shape: Shape, _: list[str]) -> Shape:
    each = int(_number(spec, "n_knots") + _number(spec, "degree")) - 1 - (_setting(spec, "include_bias") is False)
    return _columns(shape, shape.least * each, shape.most * each)


def _quantiles(spec: Call, shape: Shape, found: list[str]) -> Shape:
    most = _setting(spec, "subsample")
    if isinstance(most, int) and _number(spec, "n_quantiles") > most:
        found.append(f"QuantileTransformer: n_quantiles={_setting(spec, 'n_quantiles')} of subsample={most}")
    return replace(shape, sign=UNKNOWN)


def _bounds(name: str, strict: bool) -> Step:
    def step(spec: Call, shape: Shape, found: list[str]) -> Shape:
        match _setting(spec, name):
            case (int() | float() as low, int() | float() as high) if low > high or (strict and low == high):
                found.append(f"{spec.target.rpartition('.')[2]}: {name} from {low} to {high}")
        return replace(shape, sign=UNKNOWN)

    return step


def _standard(spec: Call, shape: Shape, _: list[str]) -> Shape:
    return replace(shape, sign=ALL_NEGATIVE) if _setting(spec, "with_mean") else shape


def _power(spec: Call, shape: Shape, _: list[str]) -> Shape:
    return replace(shape, sign=ALL_NEGATIVE) if _setting(spec, "standardize") else shape


def _hidden_sign(_: Call, shape: Shape, __: list[str]) -> Shape:
    return replace(shape, sign=UNKNOWN)


def _function(spec: Call, shape: Shape, _: list[str]) -> Shape:
    return shape if spec.get("func") is None else replace(shape, sign=UNKNOWN)


def _centres(spec: Call, shape: Shape, found: list[str]) -> Shape:
    clusters = int(_number(spec, "n_clusters"))
    if clusters > shape.rows:
        found.append(f"{spec.target.rpartition('.')[2]}: n_clusters={clusters} of {shape.rows} rows")
    return _columns(shape, clusters)


def _components(spec: Call, shape: Shape, _: list[str]) -> Shape:
    """Follow what makes as many columns as it is told, or about as many as there are."""
    wanted = _setting(spec, "n_components")
    return _columns(shape, wanted) if isinstance(wanted, int) else _columns(shape, 1, shape.most)


def _at_most(spec: Call, shape: Shape, found: list[str]) -> Shape:
    """Follow what cannot make more columns than it gets."""
    wanted = _setting(spec, "n_components")
    if isinstance(wanted, int) and wanted > shape.most:
        found.append(f"{spec.target.rpartition('.')[2]}: n_components={wanted} of at most {shape.most} columns")
    return _components(spec, shape, found)


def _factors(spec: Call, shape: Shape, _: list[str]) -> Shape:
    wanted = _setting(spec, "n_components")
    return _columns(shape, 1, min(wanted, shape.most) if isinstance(wanted, int) else shape.most)


def _codes(spec: Call, shape: Shape, found: list[str]) -> Shape:
    after = _components(spec, shape, found)
    return replace(after, most=2 * after.most) if _setting(spec, "split_sign") else after


def _projection(spec: Call, shape: Shape, found: list[str]) -> Shape:
    if _setting(spec, "n_components") != "auto":
        return _components(spec, shape, found)
    eps = _number(spec, "eps")  # Johnson and Lindenstrauss, as scikit-learn has it
    needed = int(4 * math.log(shape.rows) / (eps**2 / 2 - eps**3 / 3))
    if needed > shape.most:
        found.append(
            f"{spec.target.rpartition('.')[2]}: {shape.rows} rows need {needed} of at most {shape.most} columns"
        )
    return _columns(shape, min(max(needed, 1), shape.most))


def _leaves(spec: Call, shape: Shape, _: list[str]) -> Shape:
    trees, depth = int(_number(spec, "n_estimators")), _setting(spec, "max_depth")
    return _columns(shape, trees, trees * 2**depth if isinstance(depth, int) else trees * shape.rows)


def _by_columns(spec: Call, shape: Shape, found: list[str]) -> Shape:
    least = most = 0
    used: set[Value] = set()
    members = spec.get("transformers")
    for member in members if isinstance(members, tuple) else ():
        part, columns = member if isinstance(member, tuple) else (DROP, ())
        chosen = columns if isinstance(columns, tuple) else ()
        beyond = [column for column in chosen if isinstance(column, int) and column >= shape.most]
        if beyond:
            found.append(f"ColumnTransformer: column {beyond[0]} of at most {shape.most}, counted from 0")
        used |= set(chosen)
        after = _walk(part, Shape(shape.rows, len(chosen), len(chosen), UNKNOWN), found)
        least, most = (least, most) if part == DROP else (least + after.least, most + after.most)
    remainder = _setting(spec, "remainder")
    left = Shape(shape.rows, max(0, shape.least - len(used)), max(0, shape.most - len(used)), UNKNOWN)
    if remainder != DROP and left.most:
        after = _walk(remainder, replace(left, least=max(left.least, 1)), found)
        least, most = least + (after.least if left.least else 0), most + after.most
    return _columns(shape, least, most)


STEP: Mapping[str, Step] = {
    "SelectPercentile": _percentile,
    "SelectKBest": _best,
    "SelectFwe": _any_selector,
    "SelectFpr": _any_selector,
    "SelectFdr": _any_selector,
    "VarianceThreshold": _variance,
    "RFE": _rfe,
    "SelectFromModel": _any_selector,
    "RFECV": _any_selector,
    "FeatureAgglomeration": _agglomeration,
    "KMeans": _centres,
    "MiniBatchKMeans": _centres,
    "BisectingKMeans": _centres,
    "PCA": _pca,
    "IncrementalPCA": _at_most,
    "TruncatedSVD": _at_most,
    "FactorAnalysis": _factors,
    "MiniBatchDictionaryLearning": _codes,
    "BernoulliRBM": _components,
    "GaussianRandomProjection": _projection,
    "SparseRandomProjection": _projection,
    "PolynomialCountSketch": _kernel,
    "RandomTreesEmbedding": _leaves,
    "ColumnTransformer": _by_columns,
    "FunctionTransformer": _function,
    "FastICA": _ica,
    "Nystroem": _kernel,
    "RBFSampler": _kernel,
    "KBinsDiscretizer": _bins,
    "PolynomialFeatures": _polynomial,
    "SplineTransformer": _spline,
    "QuantileTransformer": _quantiles,
    "RobustScaler": _bounds("quantile_range", strict=False),
    "MinMaxScaler": _bounds("feature_range", strict=True),
    "StandardScaler": _standard,
    "PowerTransformer": _power,
    "Binarizer": _hidden_sign,
}
"""By class name; the others keep columns and signs."""


def _inside(spec: Call, shape: Shape, found: list[str]) -> None:
    """Follow the models that an operator wraps, as far as they see its rows and columns."""
    if spec.target == COLUMNS or spec.target.endswith(".TransformedTargetRegressor"):
        return  # the one has been followed, the labels of the other may have any sign
    members = spec.get(NAMED[spec.target]) if spec.target in NAMED else ()
    for member in members if isinstance(members, tuple) else ():
        _walk(member, shape, found)
    for name, value in spec.params:
        if isinstance(value, Call) and name == "estimator":
            _walk(value, shape, found)


def _walk(spec: Value, shape: Shape, found: list[str]) -> Shape:
    """Return the shape behind `spec`; what is certain to fail is appended to `found`."""
    if not isinstance(spec, Call):
        return shape
    if shape.most == 0:
        found.append(f"{spec.target} gets no columns")
        return shape
    name = spec.target.rpartition(".")[2]
    members = spec.get(STEPS[spec.target]) if spec.target in STEPS else None
    if isinstance(members, tuple) and spec.target == PIPELINE:
        for member in members:
            shape = _walk(member, shape, found)
        return shape
    if isinstance(members, tuple):
        shapes = [_walk(member, shape, found) for member in members if member != DROP]
        after = Shape(
            shape.rows,
            sum(branch.least for branch in shapes),
            sum(branch.most for branch in shapes),
            max(min(branch.sign, SOME_NEGATIVE) for branch in shapes),
        )
    else:
        after = STEP[name](spec, shape, found) if name in STEP else shape
        _inside(spec, shape, found)
        if ENTRIES[spec.target].role in MODELS:
            found.extend(contradictions(spec, shape.rows, shape.most))
    if after.least * shape.rows > MAX_CELLS:
        found.append(f"{name} makes {after.least} columns of {shape.rows} rows, more than {MAX_CELLS} numbers")
    return after


def problems(spec: Call, *, n_features: int, n_samples: int) -> list[str]:
    """Return what is certain to make a pipeline fail, in words; an empty list means that it may be evaluated.

    Parameters
    ----------
    spec : Call
        A pipeline in normal form.
    n_features : int
        Columns of the feature matrix; some are negative somewhere, as returns are.
    n_samples : int
        Rows of the smallest training part; its labels are negative somewhere, as ranks around zero are.
    """
    found: list[str] = []
    _walk(spec, Shape(n_samples, n_features, n_features), found)
    return list(dict.fromkeys(found))
