"""Individual -> estimator -> spec -> module -> spec -> estimator: same parameters, same fitted predictions."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipelines.build import build
from pipelines.export import from_estimator, to_module
from pipelines.individuals import random_individual
from pipelines.parser import parse_module
from pipelines.spaces import SPACES, search_space
from pipelines.spec import canonical_text, from_canonical

COLUMNS, TRAIN = 12, 90
COUNT = 500
FITTED = {"linear-light": 500, "ridge": 500, "linear": 100, "trees": 100}
"""Individuals that are fitted twice in an ordinary run; all 500 of each space in a slow one."""


def panel() -> tuple[np.ndarray, np.ndarray]:
    """120 rows of unit-scale columns, the last one discrete, with a label of both signs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, COLUMNS))
    x[:, -1] = rng.integers(0, 7, 120)
    return x, 0.7 * x[:, 0] + 0.5 * x[:, 1] * x[:, 2] + 0.5 * rng.standard_normal(120)


def predictions(estimator: Any) -> np.ndarray | str:
    """Fit on the first 90 rows, predict the others; the kind of the exception where it fails."""
    x, y = panel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence and empty selections are the search's everyday
        try:
            return np.asarray(estimator.fit(x[:TRAIN], y[:TRAIN]).predict(x[TRAIN:]))
        except Exception as error:  # whatever kind it is, both sides must raise the same
            return type(error).__name__


def strip(params: dict[str, Any]) -> dict[str, str]:
    """Parameters without those that say how to run; 1 and 1.0 are one number (the spec keeps them apart)."""
    skipped = ("n_jobs", "nthread", "verbose", "verbosity")
    return {
        key: repr(float(value) if type(value) is int else value) for key, value in params.items() if key not in skipped
    }


def operators(estimator: Any) -> list[tuple[str, dict[str, str]]]:
    """All operators inside an estimator in order, with their parameters."""
    name = type(estimator).__name__
    if name in ("Passthrough", "SkipTransformer") or isinstance(estimator, str):
        return []
    if name in ("Pipeline", "FeatureUnion"):
        members = estimator.steps if name == "Pipeline" else estimator.transformer_list
        return [found for _, member in members for found in operators(member)]
    params = estimator.get_params(deep=False)
    inner = [found for value in params.values() if hasattr(value, "get_params") for found in operators(value)]
    plain = {}
    for key, value in params.items():
        if hasattr(value, "get_params"):
            continue
        if hasattr(value, "tolist"):
            value = value.tolist()  # noqa: PLW2901  # numpy scalars print their type
        plain[key] = tuple(value) if isinstance(value, list) else value
    return [(name, strip(plain)), *inner]


def keeps_layout(estimator: Any) -> bool:
    """Tell whether the rewriting leaves the memory layout alone.

    A selector leaves its columns in Fortran order. TPOT's union of nothing and the columns themselves copies them to
    C order; without that union BLAS sums in another order and the last bit may differ.
    """
    selector, union = estimator.steps[1][1], estimator.steps[2][1]
    skipped = type(union.transformer_list[0][1]).__name__ == "SkipTransformer"
    return not skipped or type(selector).__name__ == "Passthrough"


def individuals(space: str, count: int) -> list[Any]:
    """The first `count` individuals of a space for one seed."""
    rng = np.random.default_rng(3)
    found = search_space(space, n_features=COLUMNS, n_samples=TRAIN)
    return [random_individual(found, rng) for _ in range(count)]


@pytest.mark.parametrize("space", SPACES)
def test_the_text_gives_the_same_pipeline(space: str) -> None:
    facts = {"topic": "sample", "score": "0.031", "odd": 'a "quote", a \\ and\nmore'}
    for individual in individuals(space, COUNT):
        exported = individual.export_pipeline()
        spec = from_estimator(exported)
        module = to_module(spec, title="Sample", facts=facts)
        parsed = parse_module(module.encode())
        assert canonical_text(parsed) == canonical_text(spec)
        assert from_canonical(canonical_text(spec)) == spec
        assert to_module(parsed, title="Sample", facts=facts) == module
        assert max(map(len, module.splitlines())) <= 120
        assert operators(build(parsed, seed=None)) == operators(exported)
        assert from_estimator(build(parsed, seed=None)) == spec


def check_predictions(space: str, count: int) -> None:
    """Fit TPOT's own export, the built spec and the executed module, and compare their predictions."""
    failures = 0
    for number, individual in enumerate(individuals(space, count)):
        exported = individual.export_pipeline()
        module = to_module(from_estimator(exported), title="Sample", facts={})
        exact = keeps_layout(exported)
        with threadpool_limits(1):
            theirs, ours = predictions(exported), predictions(build(parse_module(module)))
            if number % 10 == 0:
                namespace: dict[str, Any] = {}
                exec(compile(module, "pipeline.py", "exec"), namespace)  # noqa: S102  # our own text, to compare with
                plain = predictions(namespace["exported_pipeline"])
                assert np.array_equal(plain, ours), module
        failures += isinstance(theirs, str)
        if isinstance(theirs, str) or isinstance(ours, str) or exact:
            assert np.array_equal(theirs, ours), module
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=module)
    assert failures < count / 3


@pytest.mark.parametrize("space", SPACES)
def test_the_module_predicts_what_tpot_predicts(space: str) -> None:
    check_predictions(space, FITTED[space])


@pytest.mark.slow
@pytest.mark.parametrize("space", [space for space, count in FITTED.items() if count < COUNT])
def test_the_module_predicts_what_tpot_predicts_for_all(space: str) -> None:
    check_predictions(space, COUNT)


PLAIN_RUN = """
import importlib.util, json, runpy, sys
sys.path[:0] = {libraries!r}
assert importlib.util.find_spec("pipelines") is None and importlib.util.find_spec("miner") is None
import numpy as np
rows = np.array(json.load(sys.stdin))
model = runpy.run_path("pipeline.py")["exported_pipeline"]
print(json.dumps(model.fit(rows[:90, :-1], rows[:90, -1]).predict(rows[90:, :-1]).tolist()))
assert not any(name == "tpot" or name.startswith("tpot.") for name in sys.modules)
"""


def test_the_file_runs_in_plain_python(tmp_path: Path) -> None:
    """Neither this project nor TPOT is importable there: ``-S`` keeps editable installs out."""
    usable = (individual.export_pipeline() for individual in individuals("linear", 40))
    exported = next(
        found for found in usable if len(operators(found)) >= 4 and isinstance(predictions(found), np.ndarray)
    )
    module = to_module(from_estimator(exported), title="Sample", facts={"topic": "sample"})
    (tmp_path / "pipeline.py").write_text(module, encoding="utf-8")
    x, y = panel()
    libraries = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", PLAIN_RUN.format(libraries=libraries)],
        cwd=tmp_path,
        input=json.dumps(np.column_stack([x, y]).tolist()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), predictions(build(parse_module(module))), rtol=1e-9, atol=1e-9)
