"""The search spaces: what they hold, that they are bounded, and that they depend on the generator alone."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pipelines.individuals import mutate, random_individual, spec_of
from pipelines.registry import ENTRIES
from pipelines.spaces import FULL, LIGHT, MAX_TRANSFORMERS, SCALERS, SELECTORS, SPACES, TRANSFORMERS, search_space
from pipelines.spec import STEPS, UNION, Call, canonical_text, parts
from protocol.errors import UsageError


def drawn(space: str, count: int, n_features: int = 20, n_samples: int = 30_000) -> list[Call]:
    rng = np.random.default_rng(0)
    found = search_space(space, n_features=n_features, n_samples=n_samples)
    return [spec_of(random_individual(found, rng)) for _ in range(count)]


@pytest.mark.parametrize("space", SPACES)
def test_every_operator_turns_up_and_none_besides(space: str) -> None:
    seen = {part.target.rpartition(".")[2] for spec in drawn(space, 600) for part in parts(spec)}
    full, light = {*FULL, "RFE", "SelectFromModel"}, {*LIGHT, "TimeSeriesSplit"}
    around = {*SCALERS, *SELECTORS, *TRANSFORMERS, "Pipeline", "FeatureUnion"} - {"Passthrough"}
    match space:
        case "linear":
            assert seen == full | around
        case "linear-light":
            assert seen == light | around
        case _:
            assert seen <= full | light | around | {"Ridge"}


@pytest.mark.parametrize("space", SPACES)
def test_nothing_shuffles_rows_or_costs_without_bound(space: str) -> None:
    for spec in drawn(space, 600):
        for part in parts(spec):
            name = part.target.rpartition(".")[2]
            assert part.get("early_stopping", False) is False or name == "SGDRegressor"
            assert part.get("criterion") is None
            assert name != "HistGradientBoostingRegressor" or part.get("early_stopping") is False
            if name in ("LassoLarsCV", "ElasticNetCV"):
                folds = part.get("cv")
                assert isinstance(folds, Call) and folds.target == "sklearn.model_selection.TimeSeriesSplit"
            size = part.get("n_estimators", 0)
            assert isinstance(size, int) and size <= 100
            for count in ("n_components", "n_bins", "n_clusters"):
                wanted = part.get(count, 0)
                assert isinstance(wanted, int | float) and wanted <= 100
            if "random_state" in ENTRIES[part.target].params and name not in ("ElasticNetCV", "PCA", "Ridge"):
                assert part.get("random_state") == 42, name


def test_unions_stay_small_under_mutation() -> None:
    rng = np.random.default_rng(2)
    space = search_space("linear", n_features=12, n_samples=1000)
    individual = random_individual(space, rng)
    for _ in range(150):
        individual = mutate(individual, rng) or individual
        for part in parts(spec_of(individual)):
            if part.target == UNION:
                members = part.get(STEPS[UNION])
                assert isinstance(members, tuple) and len(members) <= MAX_TRANSFORMERS + 1


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("n_features", "n_samples"), [(1, 1), (1, 500), (2, 20), (300, 50), (20, 10)])
def test_small_and_wide_panels_have_a_space_too(space: str, n_features: int, n_samples: int) -> None:
    assert len(set(map(canonical_text, drawn(space, 30, n_features, n_samples)))) > 10


def test_a_wrong_name_or_size_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'lineal' is unknown; known: linear-light, linear"):
        search_space("lineal", n_features=3, n_samples=3)
    with pytest.raises(UsageError, match="got 0 columns"):
        search_space("linear", n_features=0, n_samples=3)


HISTORY = """
import hashlib, sys
import numpy as np
calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from pipelines.individuals import crossover, known_individual, mutate, random_individual, spec_of
from pipelines.spaces import SPACES, search_space
from pipelines.spec import canonical_text
digest = hashlib.sha256()
for name in SPACES:
    rng = np.random.default_rng(11)
    space = search_space(name, n_features=9, n_samples=400)
    population = [random_individual(space, rng) for _ in range(12)]
    population += [known_individual(spec_of(one), space) for one in population[:4]]
    for step in range(60):
        one, other = (population[int(rng.integers(len(population)))] for _ in range(2))
        child = mutate(one, rng) if step % 2 else crossover(one, other, rng)
        if child is not None:
            population.append(child)
            digest.update(canonical_text(spec_of(child)).encode())
assert "update_checker" not in sys.modules and not calls, calls
print(digest.hexdigest())
"""


def test_a_seed_gives_the_same_search_in_every_process_and_asks_no_network() -> None:
    digests = []
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", HISTORY],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout)
    assert digests[0] == digests[1] and len(digests[0]) == 65
