"""A pipeline as plain values: what is searched, hashed, sent to workers, written to modules and parsed back.

A :class:`Call` stands for a constructor call, a :class:`Name` for a reference to an allow-listed function. Both are
immutable and know nothing of scikit-learn; ``pipelines.registry`` says which of them are allowed and
``pipelines.build`` turns them into estimators.

The canonical text is compact JSON with sorted keys. A call is an object with one key, its target, whose value is the
object of its parameters; a name is an object with one key and the value null; a tuple is an array::

    {"sklearn.preprocessing.RobustScaler":{"quantile_range":[0.25,0.75]}}

Integers and floats stay different (``1`` and ``1.0``): scikit-learn reads a share and a count from them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from protocol.errors import RefusedError

MAX_TEXT = 65_536
"""Largest canonical text in characters; a module is no larger."""

MAX_DEPTH = 24
"""Deepest nesting of calls and tuples; TPOT's templates reach 6."""

PIPELINE = "sklearn.pipeline.Pipeline"
UNION = "sklearn.pipeline.FeatureUnion"
STEPS: Mapping[str, str] = MappingProxyType({PIPELINE: "steps", UNION: "transformer_list"})
"""Targets that hold other operators in order, and the parameter that holds them (names of steps are erased)."""

COLUMNS = "sklearn.compose.ColumnTransformer"
NAMED: Mapping[str, str] = MappingProxyType(
    {
        COLUMNS: "transformers",
        "sklearn.ensemble.StackingClassifier": "estimators",
        "sklearn.ensemble.StackingRegressor": "estimators",
        "sklearn.ensemble.VotingClassifier": "estimators",
        "sklearn.ensemble.VotingRegressor": "estimators",
    }
)
"""Operators with a parameter of named members: ``(name, member)``, or ``(name, member, columns)``; the spec holds
the members without their names."""

_TARGET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+\Z", re.ASCII)
_PARAM = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """A constructor call.

    Attributes
    ----------
    target : str
        Public dotted name of the class.
    params : tuple of (str, Value)
        Keyword arguments, sorted by name.
    """

    target: str
    params: tuple[tuple[str, Value], ...] = ()

    def get(self, name: str, default: Value = None) -> Value:
        """Return the parameter `name`, or `default` where it is not given."""
        return next((value for key, value in self.params if key == name), default)

    def replace(self, **changes: Value) -> Call:
        """Return the same call with some parameters set."""
        return call(self.target, {**dict(self.params), **changes})


@dataclass(frozen=True, slots=True)
class Name:
    """A reference to an allow-listed function, such as ``numpy.mean``."""

    target: str


Value: TypeAlias = "bool | int | float | str | Call | Name | tuple[Value, ...] | None"


def call(target: str, params: Mapping[str, Value] | None = None) -> Call:
    """Return the call of `target` with `params` sorted by name."""
    return Call(target, tuple(sorted((params or {}).items())))


def parts(spec: Value) -> Iterator[Call]:
    """Yield every call inside `spec`, outermost first, in order of appearance."""
    if isinstance(spec, Call):
        yield spec
        for _, value in spec.params:
            yield from parts(value)
    elif isinstance(spec, tuple):
        for value in spec:
            yield from parts(value)


def _plain(value: Value) -> Any:
    match value:
        case Call(target, params):
            return {target: {name: _plain(inner) for name, inner in params}}
        case Name(target):
            return {target: None}
        case tuple():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            raise RefusedError(f"parameter value {value!r} is not finite; give a number")
        case _:
            return value


def canonical_text(spec: Call) -> str:
    """Return the canonical text of `spec`: compact ASCII JSON with sorted keys, usually below 1 kB.

    Raises
    ------
    RefusedError
        A float is not finite.
    """
    return json.dumps(_plain(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _value(raw: Any, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise RefusedError(f"pipeline text nests deeper than {MAX_DEPTH} levels; flatten the pipeline")
    if isinstance(raw, list):
        return tuple(_value(inner, depth + 1) for inner in raw)
    if not isinstance(raw, dict):
        return raw  # type: ignore[no-any-return]  # json yields only None, bool, int, float and str here
    if len(raw) != 1:
        raise RefusedError(f"pipeline text has an object with {len(raw)} keys; a call has one, its target")
    ((target, params),) = raw.items()
    if not _TARGET.match(target):
        raise RefusedError(f"pipeline text names {target[:80]!r}, which is not a dotted name")
    if params is None:
        return Name(target)
    if not isinstance(params, dict) or not all(_PARAM.match(name) for name in params):
        raise RefusedError(f"pipeline text gives {target} parameters that are not an object of names")
    return Call(target, tuple((name, _value(inner, depth + 1)) for name, inner in sorted(params.items())))


def from_canonical(text: str) -> Call:
    """Read a canonical text: the inverse of :func:`canonical_text`.

    Raises
    ------
    RefusedError
        `text` is anything but the exact canonical text of a call. Whether the registry allows the call is asked
        by :func:`pipelines.registry.check`.
    """
    if len(text) > MAX_TEXT:
        raise RefusedError(f"pipeline text has {len(text)} characters; at most {MAX_TEXT} are allowed")
    try:
        spec = _value(json.loads(text), 0)
        if isinstance(spec, Call) and canonical_text(spec) == text:
            return spec
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"pipeline text is not JSON: {str(error)[:120]}") from error
    raise RefusedError("pipeline text is not in canonical form; write it with pipelines.spec.canonical_text")


def spec_hash(spec: Call) -> str:
    """Return the sha256 of the canonical text as 64 hex digits: equal for equal pipelines, so it finds duplicates."""
    return hashlib.sha256(canonical_text(spec).encode("ascii")).hexdigest()


def describe(spec: Call) -> str:
    """Return a pipeline in a few words: its class names in order."""
    names = spec.get(STEPS[PIPELINE]) if spec.target == PIPELINE else (spec,)
    assert isinstance(names, tuple)  # noqa: S101 - the registry's form of a pipeline
    words = [step.target.rpartition(".")[2] for step in names if isinstance(step, Call)]
    return " > ".join(word for word in words if word != "FunctionTransformer")


_TREES = ("n_estimators", 100)
ENSEMBLES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "sklearn.ensemble.AdaBoostClassifier": ("n_estimators", 50),
        "sklearn.ensemble.AdaBoostRegressor": ("n_estimators", 50),
        "sklearn.ensemble.BaggingClassifier": ("n_estimators", 10),
        "sklearn.ensemble.BaggingRegressor": ("n_estimators", 10),
        "sklearn.ensemble.ExtraTreesClassifier": _TREES,
        "sklearn.ensemble.ExtraTreesRegressor": _TREES,
        "sklearn.ensemble.GradientBoostingClassifier": _TREES,
        "sklearn.ensemble.GradientBoostingRegressor": _TREES,
        "sklearn.ensemble.HistGradientBoostingClassifier": ("max_iter", 100),
        "sklearn.ensemble.HistGradientBoostingRegressor": ("max_iter", 100),
        "sklearn.ensemble.RandomForestClassifier": _TREES,
        "sklearn.ensemble.RandomForestRegressor": _TREES,
        "sklearn.ensemble.RandomTreesEmbedding": _TREES,
        "lightgbm.LGBMClassifier": _TREES,
        "lightgbm.LGBMRegressor": _TREES,
        "xgboost.XGBClassifier": _TREES,
        "xgboost.XGBRFClassifier": _TREES,
        "xgboost.XGBRFRegressor": _TREES,
        "xgboost.XGBRegressor": _TREES,
        "sklearn.neural_network.MLPClassifier": ("hidden_layer_sizes", 100),
        "sklearn.neural_network.MLPRegressor": ("hidden_layer_sizes", 100),
    }
)
"""Operators made of many equal parts: the parameter that counts them and its default."""


def complexity(spec: Call) -> float:
    """Return how much machinery a pipeline has: the second objective of the search, smaller is simpler.

    Every operator counts 1, also a wrapped one (the trees inside a selector); pipelines, unions and splitters count
    0. An operator of `ENSEMBLES` adds log2(1 + size), with size the number of trees, boosting rounds or hidden units.
    A straight line is 1, a scaler with a ridge 2, a forest of 100 trees 7.66. It depends on the text alone: no fit,
    no data, no clock.
    """
    total = 0.0
    for part in parts(spec):
        if part.target in STEPS or part.target.startswith("sklearn.model_selection."):
            continue
        total += 1.0
        if part.target in ENSEMBLES:
            name, default = ENSEMBLES[part.target]
            size = part.get(name, default)
            sizes = size if isinstance(size, tuple) else (size,)
            total += math.log2(1 + sum(count for count in sizes if isinstance(count, int | float)))
    return round(total, 6)
