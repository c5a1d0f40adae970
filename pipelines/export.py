"""From a fitted or unfitted estimator back to a spec, and from a spec to a Python module."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from pipelines.module import to_module
from pipelines.normal import normal
from pipelines.registry import DROP, ENTRIES, EXECUTION, FUNCTIONS, PASSTHROUGH
from pipelines.spec import COLUMNS, NAMED, PIPELINE, UNION, Call, Name, Value, call
from protocol.errors import RefusedError

__all__ = ["from_estimator", "to_module"]

TPOT_STRINGS: Mapping[str, str] = {"Passthrough": PASSTHROUGH, "SkipTransformer": DROP}
"""TPOT's operators that scikit-learn spells as words."""


@cache
def _by_class_name() -> Mapping[str, str]:
    return {target.rpartition(".")[2]: target for target in ENTRIES}


@cache
def _functions() -> Mapping[int, str]:
    found = {}
    for target in FUNCTIONS:
        module, _, name = target.rpartition(".")
        found[id(getattr(import_module(module), name))] = target
    return found


@cache
def _defaults(kind: type) -> Mapping[str, Any]:
    defaults: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            for name, parameter in inspect.signature(base.__init__).parameters.items():  # type: ignore[misc]  # only looked at, never called
                if parameter.default is not parameter.empty:
                    defaults[name] = parameter.default
    return defaults


@cache
def _plain_names(kind: Any) -> list[str] | None:
    """Return the parameters of a class with scikit-learn's own ``get_params``, which reads the signature at every call."""
    from sklearn.base import BaseEstimator

    plain = issubclass(kind, BaseEstimator) and kind.get_params is BaseEstimator.get_params
    return list(kind._get_param_names()) if plain else None


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return True
    return type(left) is type(right) and isinstance(left, bool | int | float | str | tuple) and bool(left == right)


def _value(value: Any, where: str) -> Value:
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        value = value.tolist()
    if value is None or type(value) in (bool, int, float, str):
        return value  # type: ignore[no-any-return]  # narrowed by the line above, which mypy cannot follow
    if isinstance(value, list | tuple):
        return tuple(_value(inner, where) for inner in value)
    if id(value) in _functions():
        return Name(_functions()[id(value)])
    if type(value).__name__ in _by_class_name():
        return _spec(value)
    raise RefusedError(f"{where} is {value!r:.80}, which a pipeline module cannot say")


def _members(target: str, named: Any) -> tuple[Value, ...]:
    """Return the members of ``(name, member)`` or ``(name, member, columns)`` without their names."""
    if target == COLUMNS:
        return tuple((_member(part), _value(columns, f"{target} columns")) for _, part, columns in named)
    return tuple(_member(part) for _, part in named)


def _operator(estimator: Any) -> Call:
    kind: type = type(estimator)
    target = _by_class_name().get(kind.__name__, "")
    if not kind.__module__.startswith(target.rpartition(".")[0] or "?"):
        raise RefusedError(f"{kind.__module__}.{kind.__name__} is not a registered operator")
    if (names := _plain_names(kind)) is not None:
        given = {name: getattr(estimator, name) for name in names}
    elif hasattr(estimator, "get_params"):
        given = estimator.get_params(deep=False)
    else:  # splitters keep their arguments as attributes
        given = {
            name: getattr(estimator, name) for name in inspect.signature(kind).parameters if hasattr(estimator, name)
        }
    kept: dict[str, Value] = {}
    for name, value in given.items():
        known = name in ENTRIES[target].params
        if name in EXECUTION or (not known and _same(value, _defaults(kind).get(name, given))):
            continue
        if not known:
            raise RefusedError(f"{target} sets {name}={value!r:.60}, which the registry does not allow")
        kept[name] = _members(target, value) if NAMED.get(target) == name else _value(value, f"{target} {name}")
    return call(target, kept)


def _member(estimator: Any) -> Value:
    if estimator is None or isinstance(estimator, str):
        return estimator or PASSTHROUGH
    kind = type(estimator)
    if kind.__module__.startswith("tpot.builtin_modules.") and kind.__name__ in TPOT_STRINGS:
        return TPOT_STRINGS[kind.__name__]
    if kind.__name__ == "FunctionTransformer" and estimator.func is None and not estimator.validate:
        return PASSTHROUGH  # a fitted union holds this in place of the word
    return _spec(estimator)


def _spec(estimator: Any) -> Call:
    match type(estimator).__name__:
        case "Pipeline":
            if estimator.memory is not None:
                raise RefusedError("the pipeline caches on disk; build it with memory=None")
            return call(PIPELINE, {"steps": _members(PIPELINE, estimator.steps)})
        case "FeatureUnion":
            if estimator.transformer_weights is not None:
                raise RefusedError("the union weights its members; scale them in the estimator instead")
            return call(UNION, {"transformer_list": _members(UNION, estimator.transformer_list)})
        case "Direction" if type(estimator).__module__ == "pipelines.direction":
            return _spec(estimator.classifier)
        case _:
            return _operator(estimator)


def from_estimator(estimator: Any) -> Call:
    """Return the normal-form spec of an estimator, such as a TPOT individual's ``export_pipeline()`` gives.

    Defaults are dropped, numpy scalars and arrays become Python values, TPOT's ``Passthrough`` and ``SkipTransformer``
    become scikit-learn's ``'passthrough'`` and ``'drop'`` and are simplified away where they change nothing.

    Raises
    ------
    RefusedError
        The estimator uses something that the registry does not allow.
    """
    return normal(_spec(estimator))
