"""The default program: what it answers is what the pipeline predicts, bit by bit the same whatever the walls."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from pipelines.build import build
from pipelines.registry import ENTRIES
from pipelines.spec import PIPELINE, STEPS, Call, canonical_text, from_canonical
from validator.sandbox.host import Job, Sandbox
from validator.sandbox.policy import TIERS, Limits, Tier
from validator.sandbox.tiers import Survey, survey

HERE = str(Path(__file__).parent)
OPEN: frozenset[Any] = frozenset()
RIDGE = Call("sklearn.linear_model.Ridge", ())
SCALED = Call(PIPELINE, ((STEPS[PIPELINE], (Call("sklearn.preprocessing.StandardScaler", ()), RIDGE)),))
FOREST = Call("sklearn.ensemble.RandomForestRegressor", (("n_estimators", 10),))
ALIKE = {"rtol": 1e-9, "atol": 1e-9}


@cache
def surveyed() -> Survey:
    return survey()


def job(spec: Call, *, batches: int = 10, seed: int = 3, limits: Limits | None = None, n_train: int = 200) -> Job:
    rng = np.random.default_rng(5)
    train, test = rng.standard_normal((n_train, 6)), rng.standard_normal((40, 6))
    label = np.tanh(train[:, 0]) + 0.1 * rng.standard_normal(n_train)
    edges = np.linspace(0, 40, batches + 1).astype(int).tolist()
    pairs = list(pairwise(edges))
    return Job(canonical_text(spec), seed, train, label, test, pairs, limits or Limits())


def in_process(asked: Job) -> Any:
    return build(from_canonical(asked.text), asked.seed).fit(asked.train, asked.label).predict(asked.test).reshape(-1)


def bits(sandbox: Sandbox, asked: Job) -> bytes:
    replay = sandbox.run(asked)
    assert replay.predictions is not None, replay
    return replay.predictions.tobytes()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(layers=OPEN) as box:
        yield box


@pytest.mark.parametrize("spec", [RIDGE, SCALED, FOREST], ids=["ridge", "scaled", "forest"])
@pytest.mark.parametrize("batches", [1, 40])
def test_it_predicts_what_the_pipeline_does(sandbox: Sandbox, spec: Call, batches: int) -> None:
    asked = job(spec, batches=batches)
    replay = sandbox.run(asked)
    assert replay.predictions is not None
    np.testing.assert_allclose(replay.predictions, in_process(asked), **ALIKE)


def test_the_seed_reaches_the_pipeline(sandbox: Sandbox) -> None:
    assert (
        bits(sandbox, job(FOREST, seed=1)) == bits(sandbox, job(FOREST, seed=1)) != bits(sandbox, job(FOREST, seed=2))
    )


@pytest.mark.parametrize("tier", TIERS)
def test_the_walls_do_not_change_a_bit(sandbox: Sandbox, tier: Tier) -> None:
    if lacking := surveyed().tiers[tier]:
        pytest.skip(f"not on this machine: {lacking}")
    specs = (SCALED, FOREST, Call("lightgbm.LGBMRegressor", ()), Call("xgboost.XGBRegressor", ()))
    with Sandbox(tier=tier) as walled:
        for spec in specs:
            asked = job(spec)
            assert bits(walled, asked) == bits(sandbox, asked) == bits(walled, asked)
        assert walled.run(job(RIDGE, limits=Limits(memory_mb=64), n_train=1_500_000)).status == "memory"
        assert bits(walled, job(SCALED)) == bits(sandbox, job(SCALED))


def test_blas_inherits_its_work_memory() -> None:
    """Near its memory limit a child would otherwise ask for it again and again, until its time is over."""
    rng, text = np.random.default_rng(1), canonical_text(Call("sklearn.neighbors.KNeighborsRegressor", ()))
    train, test = rng.standard_normal((2000, 50)), rng.standard_normal((200, 50))
    asked = Job(text, 0, train, train[:, 0].copy(), test, [(0, 200)], Limits(memory_mb=16, wall_s=20))
    with Sandbox(layers=frozenset({"rlimits"})) as box:
        assert box.run(asked).status == "ok"


def test_processors_agree(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another processor's kernels give the same to nine decimals; what the operator sets is passed on."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    asked = job(Call(PIPELINE, ((STEPS[PIPELINE], (Call("sklearn.decomposition.PCA", ()), RIDGE)),)))
    with Sandbox(layers=OPEN) as other:
        replay, there = sandbox.run(asked), other.run(asked)
        environment = psutil.Process(other.pid).environ()
    assert environment["OPENBLAS_CORETYPE"] == "Nehalem"
    assert replay.predictions is not None
    assert there.predictions is not None
    np.testing.assert_allclose(replay.predictions, there.predictions, **ALIKE)


def test_an_error_of_the_pipeline_is_told(sandbox: Sandbox) -> None:
    many = Call("sklearn.decomposition.PCA", (("n_components", 30),))
    replay = sandbox.run(job(Call(PIPELINE, ((STEPS[PIPELINE], (many, RIDGE)),))))
    assert replay.status == "failed"
    assert replay.reason.startswith("ValueError: n_components=30 must be between")


@pytest.mark.parametrize("text", ["", "no json", '{"a": 1}', '["os.system", {}]', "\0", "[" * 100_000])
def test_a_text_that_is_no_pipeline_fails_in_the_jail(sandbox: Sandbox, text: str) -> None:
    one = np.zeros((1, 1))
    assert sandbox.run(Job(text, 0, one, one[0], one, [(0, 1)])).status == "failed"


def test_nothing_registered_needs_an_import_in_the_jail() -> None:
    role = {"regressor": lambda call: call, "classifier": lambda call: call}
    with Sandbox(program="telling_program", path=[HERE], layers=OPEN) as box:
        for target, entry in ENTRIES.items():
            if entry.role in ("container", "splitter") or "estimators" in entry.required:
                continue
            call = Call(target, (("estimator", RIDGE),) if "estimator" in entry.required else ())
            spec = role[entry.role](call) if entry.role in role else Call(PIPELINE, ((STEPS[PIPELINE], (call, RIDGE)),))
            replay = box.run(job(spec, batches=2, n_train=100))
            assert "imported late" not in replay.reason, (target, replay.reason)


def test_the_warm_zygote_is_lean(sandbox: Sandbox) -> None:
    """One thread, or forks would lack the others; nothing loaded that doubles what a fork copies."""
    zygote = psutil.Process(sandbox.pid)
    assert zygote.num_threads() == 1
    maps = {os.path.basename(entry.path) for entry in zygote.memory_maps()}  # noqa: PTH119 - [heap] is no path
    assert not [name for name in maps if name.startswith(("libarrow", "pandas"))]
    known = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from validator.sandbox import replay; replay.warm(); print(*sys.modules)",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert {"lightgbm", "xgboost", "sklearn"} <= set(known)
    assert not {"tpot", "pandas", "pyarrow", "distributed", "matplotlib"} & set(known)
