"""A known pipeline as an individual of the search: it changes step by step at the level of its spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.export import from_estimator
from pipelines.normal import normal
from pipelines.registry import ENTRIES, MODELS
from pipelines.spec import PIPELINE, STEPS, Call, Value, call, canonical_text
from protocol.errors import RefusedError

ORDER = ("scaler", "selector", "transformer", "regressor")
"""Where a step of each role stands in the templates."""


def role(step: Value) -> str:
    """Return the role of a pipeline step; unions and nested pipelines transform, classifiers stand for regressors."""
    if not isinstance(step, Call) or step.target in STEPS:
        return "transformer"
    found = ENTRIES[step.target].role
    return "regressor" if found in MODELS else found


def steps(spec: Call) -> tuple[Value, ...]:
    """Return the steps of a pipeline in normal form."""
    members = spec.get("steps")
    return members if isinstance(members, tuple) else ()


def _with_role(own: tuple[Value, ...], wanted: str, new: tuple[Value, ...]) -> tuple[Value, ...]:
    """Replace the steps of one role, at the place of the first, or where the templates would have them."""
    place = next((at for at, step in enumerate(own) if role(step) == wanted), None)
    kept = [step for step in own if role(step) != wanted]
    if place is None:
        rank = ORDER.index(wanted)
        place = next((at for at, step in enumerate(kept) if ORDER.index(role(step)) > rank), len(kept))
    return (*kept[:place], *new, *kept[place:])


def _moved(value: Value, chosen: int, rng: np.random.Generator, seen: list[int]) -> Value:
    """Move the parameters of the `chosen`-th operator, counted in order of appearance, to neighbours."""
    if isinstance(value, tuple):
        return tuple(_moved(inner, chosen, rng, seen) for inner in value)
    if not isinstance(value, Call):
        return value
    seen[0] += value.target not in STEPS
    here = seen[0] - 1 == chosen and value.target not in STEPS
    params = {}
    for name, inner in value.params:
        changed = _moved(inner, chosen, rng, seen)
        if here and name != "random_state" and rng.random() < 0.7:
            changed = ENTRIES[value.target].params[name][1].neighbour(changed, rng)
        params[name] = changed
    return call(value.target, params)


def _operators(value: Value) -> int:
    if isinstance(value, tuple):
        return sum(map(_operators, value))
    if not isinstance(value, Call):
        return 0
    return (value.target not in STEPS) + sum(_operators(inner) for _, inner in value.params)


@dataclass(frozen=True, slots=True)
class KnownIndividual:
    """A pipeline in normal form and the search space whose steps it may take. Immutable.

    Attributes
    ----------
    spec : Call
        The pipeline.
    space : tpot.search_spaces.base.SearchSpace
        Donor of new steps.
    """

    spec: Call
    space: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "spec", normal(self.spec))

    def _child(self, own: tuple[Value, ...], *unlike: str) -> KnownIndividual | None:
        try:
            child = KnownIndividual(call(PIPELINE, {"steps": own}), self.space)
        except RefusedError:
            return None
        return None if canonical_text(child.spec) in unlike else child

    def mutated(self, rng: np.random.Generator, tries: int) -> KnownIndividual | None:
        """Return a changed pipeline: numbers moved, a step taken from a fresh individual, or a step left out."""
        before = canonical_text(self.spec)
        for _ in range(tries):
            own = steps(self.spec)
            kind = rng.random()
            if kind < 0.4:
                chosen = int(rng.integers(_operators(own)))
                moved = _moved(own, chosen, rng, [0])
                own = moved if isinstance(moved, tuple) else own
            elif kind < 0.85:
                donor = steps(from_estimator(self.space.generate(rng).export_pipeline()))
                wanted = role(donor[int(rng.integers(len(donor)))])
                own = _with_role(own, wanted, tuple(step for step in donor if role(step) == wanted))
            elif len(own) > 1:
                gone = int(rng.integers(len(own) - 1))
                own = (*own[:gone], *own[gone + 1 :])
            child = self._child(own, before)
            if child is not None:
                return child
        return None

    def crossed(self, other: Call, rng: np.random.Generator, tries: int) -> KnownIndividual | None:
        """Return this pipeline with the steps of one or more roles taken from `other`, unlike both, or None."""
        texts = canonical_text(self.spec), canonical_text(other)
        theirs = steps(other)
        for _ in range(tries):
            own = steps(self.spec)
            for wanted in ORDER:
                if rng.random() < 0.4:
                    own = _with_role(own, wanted, tuple(step for step in theirs if role(step) == wanted))
            child = self._child(own, *texts)
            if child is not None:
                return child
        return None
