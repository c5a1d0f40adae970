"""What a pipeline is: equal however it is written, different as soon as it behaves differently."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from drawn_specs import allowed, specs, steps, values, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from pipelines import identity
from pipelines.build import build
from pipelines.export import from_estimator
from pipelines.identity import (
    DISTRIBUTIONS,
    library_versions,
    near_id,
    near_text,
    pipeline_id,
    reseeded,
    seed_of,
    unseeded,
)
from pipelines.individuals import random_individual, spec_of
from pipelines.module import to_module
from pipelines.normal import normal
from pipelines.parser import parse_module
from pipelines.registry import ENTRIES, fingerprint
from pipelines.spaces import SPACES, search_space
from pipelines.spec import PIPELINE, STEPS, Call, Value, call, canonical_text, parts
from protocol.errors import ConfigError, RefusedError

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
RIDGE = call("sklearn.linear_model.Ridge", {"alpha": 1234.5})
ROOT = normal(RIDGE)


@pytest.fixture(scope="module")
def drawn() -> list[Call]:
    """Individuals of every search space."""
    found = []
    for name in SPACES:
        rng = np.random.default_rng(4)
        space = search_space(name, n_features=15, n_samples=2000)
        found += [spec_of(random_individual(space, rng)) for _ in range(60)]
    return found


# -------------------------------------------------------------------------------------------------------------- equal


@settings(RELAXED, max_examples=150)
@given(st.data())
def test_another_hand_writes_the_same_pipeline(data: st.DataObject) -> None:
    spec = data.draw(specs())
    theirs = parse_module(data.draw(written(spec)))
    assert pipeline_id(theirs) == pipeline_id(spec)
    assert near_id(theirs) == near_id(spec)


@settings(RELAXED, max_examples=40)
@given(st.data())
def test_individuals_of_the_spaces_keep_their_identity(drawn: list[Call], data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from(drawn))
    assert pipeline_id(parse_module(data.draw(written(spec)))) == pipeline_id(spec)
    assert pipeline_id(parse_module(to_module(spec, title="x", facts={}))) == pipeline_id(spec)
    assert pipeline_id(from_estimator(clone(build(spec, seed=None)))) == pipeline_id(spec)


SCALED = "from sklearn.preprocessing import StandardScaler\nfrom sklearn.linear_model import Ridge\n"
SAME = [
    SCALED
    + "from sklearn.pipeline import make_pipeline\nexported_pipeline = make_pipeline(StandardScaler(), Ridge(alpha=2))\n",
    SCALED
    + "from sklearn.pipeline import Pipeline\n"
    + "exported_pipeline = Pipeline([('a', StandardScaler()), ('b', Ridge(alpha=2.0))])\n",
    "import sklearn.pipeline as p, sklearn.preprocessing as q, sklearn.linear_model\n# a comment\n"
    + "x=q.StandardScaler(with_std=True)\ny = sklearn.linear_model.Ridge( solver = 'auto', alpha = 2., random_state=3 )\n"
    + "exported_pipeline = p.Pipeline(steps=(('u', p.make_pipeline(x)), ('v', y)), memory=None, verbose=True)\n",
    '"""Words."""\n' + SCALED + "from sklearn.pipeline import make_pipeline, make_union\nscale = StandardScaler()\n"
    "exported_pipeline = make_pipeline(make_union(scale), 'passthrough', Ridge(alpha=+2.0e0))\n",
]


def test_reformatting_renaming_commenting_and_seeding_change_nothing() -> None:
    assert len({pipeline_id(parse_module(source)) for source in SAME}) == 1
    assert len({hashlib.sha256(source.encode()).hexdigest() for source in SAME}) == len(SAME)


# ---------------------------------------------------------------------------------------------------------- different


def leaves(value: Value, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of the parameters inside a spec that the registry has a domain for."""
    if isinstance(value, Call):
        for name, inner in value.params:
            if value.target not in STEPS and name != "random_state":
                yield (*path, name)
            yield from leaves(inner, (*path, name))
    elif isinstance(value, tuple):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))


def replaced(value: Value, path: tuple[Any, ...], new: Value) -> Value:
    if not path:
        return new
    if isinstance(value, Call):
        return value.replace(**{path[0]: replaced(value.get(path[0]), path[1:], new)})
    assert isinstance(value, tuple)
    return tuple(replaced(inner, path[1:], new) if place == path[0] else inner for place, inner in enumerate(value))


def reached(value: Value, path: tuple[Any, ...]) -> Value:
    for key in path:
        value = value.get(key) if isinstance(value, Call) else value[key]  # type: ignore[index]  # a path of `leaves`
    return value


def changed(data: st.DataObject, spec: Call) -> Call | None:
    """Change one parameter, one step or the order of two; None where the draw gave nothing else."""
    members = spec.get("steps")
    assert isinstance(members, tuple)
    paths = list(leaves(spec))
    match data.draw(st.sampled_from(["set", "join", "leave", "swap"])):
        case "set" if paths:
            path = data.draw(st.sampled_from(paths))
            target = reached(spec, path[:-1])
            assert isinstance(target, Call)
            other = replaced(spec, path, data.draw(values(ENTRIES[target.target].params[path[-1]][1], 2)))
        case "join":
            other = spec.replace(steps=(data.draw(steps(2)), *members))
        case "leave" if len(members) > 1:
            other = spec.replace(steps=members[1:])
        case "swap" if len(members) > 2:
            other = spec.replace(steps=(members[1], members[0], *members[2:]))
        case _:
            return None
    assert isinstance(other, Call)
    return normal(other) if allowed(other) else None


def parameters(estimator: Any) -> str:
    """Everything an estimator is told, as text without addresses and generated names."""
    text = repr({name: value for name, value in estimator.get_params(deep=True).items() if "__" not in name})
    return re.sub(r" at 0x[0-9a-f]+", "", text)


@settings(RELAXED, max_examples=300)
@given(st.data())
def test_one_change_of_what_is_built_changes_the_identity(data: st.DataObject) -> None:
    spec = data.draw(specs())
    other = changed(data, spec)
    if other is not None:
        one, another = (build(reseeded(each, 5)) for each in (spec, other))
        assert (pipeline_id(spec) == pipeline_id(other)) == (from_estimator(one) == from_estimator(another))
        if parameters(one) != parameters(another):
            assert pipeline_id(spec) != pipeline_id(other), (canonical_text(spec), canonical_text(other))


def predictions(spec: Call) -> np.ndarray | str:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((50, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small panels warn
        try:
            return np.asarray(build(reseeded(spec, 3)).fit(x, x[:, 0] + rng.standard_normal(50)).predict(x))
        except Exception as error:  # what fails has no behaviour but that
            return type(error).__name__


def test_different_predictions_have_different_identities(drawn: list[Call]) -> None:
    light = [spec for spec in drawn if not any("n_estimators" in dict(part.params) for part in parts(spec))][:80]
    light += [reseeded(spec, 11) for spec in light[:20]]
    told: dict[str, np.ndarray | str] = {}
    for spec in light:
        answer = predictions(spec)
        known = told.setdefault(pipeline_id(spec), answer)
        assert np.array_equal(known, answer), canonical_text(spec)
    assert 40 < len(told) <= 80


def test_registry_and_library_versions_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pipeline_id(ROOT)
    text = json.dumps(
        {"registry": fingerprint(), "spec": canonical_text(ROOT), "versions": library_versions()},
        sort_keys=True,
        separators=(",", ":"),
    )
    assert before == hashlib.sha256(text.encode()).hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.registry.VERSION", "3")
        assert pipeline_id(ROOT) != before
    newer = {**library_versions(), "numpy": "9.9"}
    monkeypatch.setattr("pipelines.identity._versions", lambda: newer)
    assert pipeline_id(ROOT) != before


# --------------------------------------------------------------------------------------------------------------- seed


def test_the_seed_follows_from_the_block_hash() -> None:
    block = hashlib.sha256(b"a module").hexdigest()
    digest = hashlib.sha256(b"longtail seed" + bytes.fromhex(block)).hexdigest()
    assert seed_of(block) == int(digest[:8], 16) % 2**31
    assert seed_of(block) != seed_of(hashlib.sha256(b"a module ").hexdigest())


@pytest.mark.parametrize("block", ["", "0x" + "a" * 62, "A" * 64, "a" * 63, "a" * 64 + "\n", "g" * 64])
def test_what_is_no_block_hash_has_no_seed(block: str) -> None:
    with pytest.raises(RefusedError, match="64 lower-case hex digits"):
        seed_of(block)


@settings(RELAXED, max_examples=150)
@given(st.data())
def test_the_rule_sets_every_seed_and_the_module_none(data: st.DataObject) -> None:
    spec, seed = data.draw(specs()), data.draw(st.integers(1, 2**31 - 1))
    same = reseeded(spec, seed)
    for part in parts(same):
        if part.target not in STEPS and "random_state" in ENTRIES[part.target].params:
            assert part.get("random_state") == seed
    assert all(part.get("random_state") is None for part in parts(unseeded(spec)))
    assert reseeded(same, seed) == same == reseeded(unseeded(spec), seed)
    assert unseeded(same) == unseeded(spec) == unseeded(unseeded(spec))
    assert pipeline_id(same) == pipeline_id(spec) and near_id(same) == near_id(spec)
    found = build(same, seed=seed).get_params(deep=True)
    assert all(value == seed for name, value in found.items() if name.rpartition("__")[2] == "random_state")


def test_a_seed_out_of_bounds_is_refused() -> None:
    with pytest.raises(RefusedError, match="random_state is -1"):
        reseeded(ROOT, -1)
    assert reseeded(ROOT, 2**31 - 1)


# --------------------------------------------------------------------------------------------------------------- near


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        (1234.5, 1249.0, True),
        (1234.5, 1251.0, False),
        (0.0012, 0.00123, True),
        (0.0, 0.0049, False),
        (9.96, 10.0, True),
        (9.94, 10.0, False),
    ],
)
def test_near_copies_share_two_digits(one: float, other: float, near: bool) -> None:
    first, second = (normal(RIDGE.replace(alpha=alpha)) for alpha in (one, other))
    assert (near_id(first) == near_id(second)) == near
    assert pipeline_id(first) != pipeline_id(second)


def test_near_text_keeps_kinds_words_and_flags() -> None:
    forest = call(
        "sklearn.ensemble.ExtraTreesRegressor",
        {"n_estimators": 149, "bootstrap": True, "max_features": 0.333, "min_samples_leaf": 12, "random_state": 9},
    )
    scaler = call("sklearn.preprocessing.RobustScaler", {"quantile_range": (10.26, 89.0)})
    assert near_text(call(PIPELINE, {"steps": (scaler, forest)})) == (
        '{"sklearn.pipeline.Pipeline":{"steps":[{"sklearn.preprocessing.RobustScaler":{"quantile_range":[10.0,89.0]}},'
        '{"sklearn.ensemble.ExtraTreesRegressor":{"bootstrap":true,"max_features":0.33,"min_samples_leaf":12,'
        '"n_estimators":150}}]}}'
    )


# ------------------------------------------------------------------------------------------------------------ versions


def test_versions_are_those_of_the_installed_modules_and_cost_no_import() -> None:
    import lightgbm
    import scipy
    import sklearn
    import xgboost

    assert library_versions() == {
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "lightgbm": lightgbm.__version__,
        "xgboost": xgboost.__version__,
    }
    library_versions()["numpy"] = "changed"
    assert library_versions()["numpy"] == np.__version__
    code = (
        "import sys; from pipelines.identity import library_versions; from pipelines.parser import parse_module; "
        "library_versions(); print(sorted({'numpy', 'scipy', 'sklearn', 'xgboost', 'lightgbm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.identity._versions", identity._versions.__wrapped__)
    monkeypatch.setattr("pipelines.identity.DISTRIBUTIONS", {**DISTRIBUTIONS, "catboost": ("no-such-distribution",)})
    with pytest.raises(ConfigError, match="no-such-distribution is not installed"):
        library_versions()
