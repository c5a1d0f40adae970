"""Individuals of the search: TPOT's own, and known pipelines that came as text; the same five functions serve both.

Nothing here changes its arguments. All randomness comes from the numpy generator that is passed in, in a fixed order
that depends neither on hash seeds nor on memory addresses.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

from pipelines.export import from_estimator
from pipelines.known import KnownIndividual
from pipelines.spec import Call, canonical_text
from pipelines.tpot_import import load_tpot
from protocol.errors import RefusedError

Individual: TypeAlias = Any
"""A ``tpot.BaseIndividual`` or a :class:`~pipelines.known.KnownIndividual`."""

TRIES = 8
"""Attempts at a real change: 42 % of TPOT's mutations change nothing, so eight fail once in a thousand."""


def random_individual(space: Any, rng: np.random.Generator) -> Individual:
    """Draw an individual of a space from :func:`pipelines.spaces.search_space`."""
    return _finished(space.generate(rng))


def known_individual(spec: Call, space: Any) -> KnownIndividual:
    """Return the individual of a known pipeline, for warm starts.

    TPOT cannot invert a pipeline into its hyperparameter spaces, so a known individual changes at the level of its
    spec: steps of freshly drawn individuals of `space` replace or join its own, numbers move within the registry.
    """
    return KnownIndividual(spec, space)


def spec_of(individual: Individual) -> Call:
    """Return the normal-form spec of an individual.

    Raises
    ------
    RefusedError
        The individual is outside the registry (impossible for the spaces of this package).
    """
    if isinstance(individual, KnownIndividual):
        return individual.spec
    known: tuple[Call, str] | None = vars(individual).get(_SPEC)
    return from_estimator(individual.export_pipeline()) if known is None else known[0]


def text_of(individual: Individual) -> str:
    """Return the canonical text of an individual.

    Raises
    ------
    RefusedError
        The individual is outside the registry (impossible for the spaces of this package).
    """
    known = None if isinstance(individual, KnownIndividual) else vars(individual).get(_SPEC)
    return canonical_text(spec_of(individual)) if known is None else known[1]


def _copied(value: Any, kind: type) -> Any:
    if isinstance(value, kind):
        twin = object.__new__(type(value))
        for name, inner in vars(value).items():
            if name != _SPEC:
                setattr(twin, name, inner if name in _SHARED else _copied(inner, kind))
        return twin
    if isinstance(value, list):
        return [_copied(inner, kind) for inner in value]
    if isinstance(value, dict):
        return {key: inner if type(inner) in _LEAVES else _copied(inner, kind) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        twin = np.empty_like(value)
        twin[:] = [_copied(inner, kind) for inner in value]
        return twin
    return value


_SPEC = "_longtail_spec"
"""Where individuals from here keep their spec and text, which are dear to make; a copy, which may yet change, has none."""

_LEAVES = (float, int, str, bool, type(None))

_SHARED = frozenset({"search_space", "search_spaces", "space", "estimator_search_space", "method"})


def copy_individual(individual: Individual) -> Individual:
    """Return an independent copy that shares the search spaces, which ``copy.deepcopy`` would copy at 9-100 ms."""
    return individual if isinstance(individual, KnownIndividual) else _copied(individual, load_tpot().BaseIndividual)


def _finished(individual: Individual) -> Individual:
    """Have an individual that changes no more keep its spec and text, if it has any."""
    if not isinstance(individual, KnownIndividual):
        with suppress(RefusedError):
            spec = spec_of(individual)
            setattr(individual, _SPEC, (spec, canonical_text(spec)))
    return individual


def _text(individual: Individual) -> str | None:
    try:
        return text_of(individual)
    except RefusedError:
        return None


def mutate(individual: Individual, rng: np.random.Generator, tries: int = TRIES) -> Individual | None:
    """Return a mutated copy whose canonical text differs, or None after `tries` mutations without a change."""
    if isinstance(individual, KnownIndividual):
        return individual.mutated(rng, tries)
    before = _text(individual)
    child = copy_individual(individual)
    for _ in range(tries):
        if not child.mutate(rng):
            continue  # TPOT says that it changed nothing
        if _text(_finished(child)) not in (before, None):
            return child
        child = copy_individual(individual)
    return None


def crossover(first: Individual, second: Individual, rng: np.random.Generator, tries: int = TRIES) -> Individual | None:
    """Return a child of both that differs from each, or None; two TPOT parents have a TPOT child."""
    if isinstance(first, KnownIndividual) or isinstance(second, KnownIndividual):
        known = first if isinstance(first, KnownIndividual) else KnownIndividual(spec_of(first), second.space)
        return known.crossed(spec_of(second), rng, tries)
    parents = (_text(first), _text(second), None)
    for _ in range(tries):
        child = copy_individual(first)
        child.crossover(copy_individual(second), rng)
        if _text(_finished(child)) not in parents:
            return child
    return None
