"""From a spec to an unfitted scikit-learn estimator: registered classes only, single-threaded, silent."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pipelines.registry import ENTRIES, FUNCTIONS, check
from pipelines.spec import COLUMNS, NAMED, PIPELINE, UNION, Call, Name, Value
from protocol.errors import RefusedError

SEED = 0
"""``random_state`` of the operators that leave it open."""


def _imported(target: str) -> Any:
    module, _, name = target.rpartition(".")
    if target not in ENTRIES and target not in FUNCTIONS:
        raise RefusedError(f"{target} is not registered; docs/spec/module.md lists what a pipeline may use")
    return getattr(import_module(module), name)


def _value(value: Value, seed: int | None) -> Any:
    match value:
        case Call():
            return _operator(value, seed)
        case Name(target):
            return _imported(target)
        case tuple():
            return tuple(_value(inner, seed) for inner in value)
        case _:
            return value


def _named(target: str, members: Any) -> list[tuple[Any, ...]]:
    """Return members with the names that scikit-learn wants; columns of a transformer as a list."""
    if target == COLUMNS:
        return [(f"part{place}", part, list(columns)) for place, (part, columns) in enumerate(members)]
    return [(f"part{place}", part) for place, part in enumerate(members)]


def _operator(spec: Call, seed: int | None) -> Any:
    if spec.target in (PIPELINE, UNION):
        from sklearn.pipeline import make_pipeline, make_union  # scikit-learn only when building

        ((_, members),) = spec.params
        return (make_pipeline if spec.target == PIPELINE else make_union)(*_value(members, seed))
    registered = ENTRIES[spec.target]
    seeds = {"random_state": seed} if seed is not None and "random_state" in registered.params else {}
    given = {name: _value(value, seed) for name, value in spec.params}
    if spec.target in NAMED:
        given[NAMED[spec.target]] = _named(spec.target, given[NAMED[spec.target]])
    return _imported(spec.target)(**{**seeds, **given, **registered.pinned})


def _root(spec: Call, seed: int | None) -> Any:
    """Return the estimator of `spec` with the classifier at its end, if there is one, made a regressor."""
    if spec.target == PIPELINE:
        from sklearn.pipeline import make_pipeline  # scikit-learn only when building

        ((_, members),) = spec.params
        *first, last = members if isinstance(members, tuple) else ()
        ending = _root(last, seed) if isinstance(last, Call) else _value(last, seed)
        return make_pipeline(*(_value(member, seed) for member in first), ending)
    if ENTRIES[spec.target].role != "classifier":
        return _operator(spec, seed)
    from pipelines.direction import Direction  # scikit-learn only when building

    return Direction(_operator(spec, seed))


def build(spec: Call, seed: int | None = SEED) -> Any:
    """Return the unfitted estimator of `spec`.

    A classifier at its end becomes a regressor (:class:`pipelines.direction.Direction`): fitted on the sign of the
    label, it predicts P(up) - P(down) or its decision function.

    Parameters
    ----------
    spec : Call
        Any spec the registry allows, in normal form or not.
    seed : int or None
        ``random_state`` for operators that take one and do not set it, so that every fit can be repeated; None leaves
        it open.

    Returns
    -------
    sklearn.base.BaseEstimator
        Fits in one thread as far as parameters can say so; OpenMP and BLAS threads are the caller's to limit.

    Raises
    ------
    RefusedError
        The spec is not allowed. Nothing outside the registry is imported.
    """
    check(spec)
    return _root(spec, seed)
