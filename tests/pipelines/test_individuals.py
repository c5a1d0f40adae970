"""Copying, mutation and crossover of TPOT individuals and of known pipelines."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from pipelines.individuals import copy_individual, crossover, known_individual, mutate, random_individual, spec_of
from pipelines.known import KnownIndividual, role, steps
from pipelines.spaces import SPACES, search_space
from pipelines.spec import PIPELINE, Call, call, canonical_text, from_canonical, parts
from protocol.errors import RefusedError

COUNT = 60


def text(individual: Any) -> str:
    return canonical_text(spec_of(individual))


def population(name: str, known: bool, seed: int = 1) -> tuple[list[Any], np.random.Generator]:
    rng = np.random.default_rng(seed)
    space = search_space(name, n_features=10, n_samples=500)
    found = [random_individual(space, rng) for _ in range(COUNT)]
    return ([known_individual(spec_of(one), space) for one in found] if known else found), rng


KINDS = pytest.mark.parametrize("known", [False, True])
NAMES = pytest.mark.parametrize("name", SPACES)


@NAMES
def test_a_copy_is_independent_and_shares_the_spaces(name: str) -> None:
    found, rng = population(name, known=False)
    for one in found[:20]:
        before, twin = text(one), copy_individual(one)
        assert text(twin) == before
        assert twin.search_spaces is one.search_spaces
        for _ in range(10):
            twin.mutate(rng)
            twin.crossover(copy_individual(found[0]), rng)
        assert text(one) == before
        assert text(copy_individual(twin)) == text(copy.deepcopy(twin))


@NAMES
@KINDS
def test_mutation_changes_the_text_and_not_the_parent(name: str, known: bool) -> None:
    found, rng = population(name, known)
    before = [text(one) for one in found]
    children = [mutate(one, rng) for one in found]
    assert sum(child is None for child in children) <= 2
    for child, old in zip(children, before, strict=True):
        assert child is None or text(child) != old
    assert [text(one) for one in found] == before


@NAMES
@pytest.mark.parametrize("kinds", [(False, False), (True, True), (True, False), (False, True)])
def test_a_child_differs_from_both_parents(name: str, kinds: tuple[bool, bool]) -> None:
    mothers, rng = population(name, kinds[0])
    fathers, _ = population(name, kinds[1], seed=2)
    before = [text(one) for one in (*mothers, *fathers)]
    born = 0
    for mother, father in zip(mothers, fathers, strict=True):
        child = crossover(mother, father, rng)
        if child is not None:
            born += 1
            assert text(child) not in (text(mother), text(father))
            assert isinstance(child, KnownIndividual) == any(kinds)
            theirs = {part.target for parent in (mother, father) for part in parts(spec_of(parent))}
            extra = {part.target for part in parts(spec_of(child))} - theirs
            assert extra <= {"sklearn.pipeline.FeatureUnion"}
    assert born >= COUNT * 0.8
    assert [text(one) for one in (*mothers, *fathers)] == before


def test_equal_parents_have_no_child() -> None:
    found, rng = population("linear-light", known=True)
    assert crossover(found[0], found[0], rng) is None


def test_without_tries_there_is_no_child() -> None:
    for known in (False, True):
        found, rng = population("linear-light", known)
        assert mutate(found[0], rng, tries=0) is None
        assert crossover(found[0], found[1], rng, tries=0) is None


@NAMES
def test_known_individuals_stay_within_the_registry_and_reach_the_space(name: str) -> None:
    """Long walks from a pipeline the space does not hold; every text on the way can be read, checked and written."""
    space = search_space(name, n_features=10, n_samples=500)
    foreign = call(
        PIPELINE,
        {
            "steps": (
                call("sklearn.preprocessing.SplineTransformer", {"n_knots": 4}),
                call("sklearn.linear_model.HuberRegressor", {"alpha": 0.5}),
            )
        },
    )
    rng = np.random.default_rng(4)
    one = known_individual(foreign, space)
    regressors = set()
    for _ in range(200):
        one = mutate(one, rng) or one
        assert spec_of(known_individual(from_canonical(text(one)), space)) == spec_of(one)
        assert role(steps(spec_of(one))[-1]) == "regressor"
        regressors.add(steps(spec_of(one))[-1])
    assert len({step.target for step in regressors if isinstance(step, Call)}) >= 3


def test_a_classifier_stands_where_regressors_stand() -> None:
    space = search_space("ridge", n_features=6, n_samples=300)
    rng = np.random.default_rng(3)
    classifier = call("sklearn.linear_model.LogisticRegression", {"C": 0.5})
    one = known_individual(call(PIPELINE, {"steps": (call("sklearn.decomposition.PCA"), classifier)}), space)
    assert role(classifier) == "regressor"
    last = set()
    for _ in range(60):
        child = mutate(one, rng) or crossover(one, random_individual(space, rng), rng)
        assert child is not None
        members = steps(spec_of(child))
        assert [role(step) for step in members].count("regressor") == 1 and role(members[-1]) == "regressor"
        last.add(members[-1].target if isinstance(members[-1], Call) else "")
    assert classifier.target in last and len(last) >= 2


def test_a_foreign_module_that_is_not_allowed_is_refused() -> None:
    space = search_space("ridge", n_features=4, n_samples=100)
    with pytest.raises(RefusedError):
        known_individual(call("sklearn.svm.SVR"), space)
