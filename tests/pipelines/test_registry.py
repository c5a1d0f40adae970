"""The allow-list against the installed libraries."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from pipelines.build import build
from pipelines.caps import MAX_FITS, fits
from pipelines.domains import Choice, Domain, Either, Function, Items, Model, Number, Part, Real, Record, Whole
from pipelines.parameter_rules import EPS
from pipelines.registry import ENTRIES, FUNCTIONS, MAX_CALLS, MAX_STEPS, check, entry, fingerprint
from pipelines.spec import PIPELINE, STEPS, Call, Name, Value, call
from protocol.errors import RefusedError

OPERATORS = sorted(set(ENTRIES) - set(STEPS))


def library_defaults(kind: type) -> dict[str, Any]:
    """Defaults of a class and of the classes it hands its keyword arguments to."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            for name, parameter in inspect.signature(base.__init__).parameters.items():
                found[name] = parameter.default
    return found


def as_value(default: Any) -> Any:
    if callable(default):
        return next(Name(target) for target in FUNCTIONS if default is located(target))
    return float(default) if isinstance(default, np.floating) else default


def located(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("target", OPERATORS)
def test_defaults_are_the_library_s_own(target: str) -> None:
    found = library_defaults(located(target))
    for name, (default, domain) in ENTRIES[target].params.items():
        if name in ENTRIES[target].required:
            assert found[name] is inspect.Parameter.empty
            continue
        theirs = domain.coerce(as_value(found[name]))
        assert (type(default), default) == (type(theirs), theirs), (target, name)
        assert domain.contains(default) or default is None, (target, name)
    assert set(ENTRIES[target].pinned) <= {*found, "verbose"}, target  # lightgbm takes verbose as a keyword


def samples(domain: Domain) -> list[Value]:
    """Return the edges of a domain, or all of a short list."""
    match domain:
        case Whole(lo, hi) | Real(lo, hi, False):
            found: list[Value] = [lo, hi]
        case Number(lo, hi):
            found = [domain.coerce(lo), domain.coerce(hi), (lo + hi) / 2 + 0.1]
        case Real(_, hi):
            found = [hi]
        case Function(targets):
            found = [Name(target) for target in targets]
        case Items(item, least, most):
            found = [tuple(samples(item)[-1:] * count) for count in {least, most}]
        case Record(places):
            found = [tuple(samples(place)[0] for place in places)]
        case Either(options):
            found = [value for option in options for value in samples(option)]
        case Part(targets) | Model(_, targets):
            found = [call(target, required(target)) for target in targets]
        case Choice(values):
            found = list(values)
    return found


def required(target: str) -> dict[str, Value]:
    if target in STEPS:
        return {STEPS[target]: (call("sklearn.preprocessing.StandardScaler"),)}
    return {name: min(samples(ENTRIES[target].params[name][1]), key=fits) for name in ENTRIES[target].required}


@pytest.mark.parametrize(
    "target", [target for target in OPERATORS if target.startswith("sklearn.") and "Split" not in target]
)
def test_the_bounds_lie_within_what_scikit_learn_accepts(target: str) -> None:
    """scikit-learn validates types and ranges at fit; here without data."""
    for name, (_, domain) in ENTRIES[target].params.items():
        for value in samples(domain):
            spec = call(target, {**required(target), name: value})
            if fits(spec) > MAX_FITS:
                continue
            estimator = build(spec)
            getattr(estimator, "classifier", estimator)._validate_params()


def test_class_names_are_unique() -> None:
    names = [target.rpartition(".")[2] for target in {*ENTRIES, *FUNCTIONS}]
    assert len(set(names)) == len(names)


def test_the_smallest_positive_step_is_that_of_the_machine() -> None:
    assert np.finfo(np.float64).eps == EPS


def test_the_fingerprint_depends_on_nothing_but_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    assert before == fingerprint()
    target = "sklearn.linear_model.Ridge"
    default, _ = ENTRIES[target].params["alpha"]
    changed = {**ENTRIES[target].params, "alpha": (default, Real(0.0, 2.0))}
    narrower = type(ENTRIES[target])(target, "regressor", changed, {}, frozenset())
    monkeypatch.setattr("pipelines.registry.ENTRIES", {**ENTRIES, target: narrower})
    assert fingerprint() != before


RIDGE = call("sklearn.linear_model.Ridge")
SCALER = call("sklearn.preprocessing.StandardScaler")


def steps(*members: Value) -> Call:
    return call(PIPELINE, {"steps": members})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (call("os.system"), "not a registered operator"),
        (call("sklearn.linear_model._ridge.Ridge"), "write sklearn.linear_model.Ridge"),
        (call("sklearn.linear_model.Ridge", {"copy_X": False}), "may not set copy_X; remove it"),
        (call("sklearn.linear_model.Ridge", {"alpha": "big"}), "alpha is 'big'; give a float from 0"),
        (call("sklearn.linear_model.Ridge", {"alpha": True}), "alpha is True"),
        (call("sklearn.linear_model.Ridge", {"alpha": -1.0}), "alpha is -1.0"),
        (call("sklearn.linear_model.Ridge", {"solver": Name("numpy.mean")}), "solver is"),
        (call("sklearn.linear_model.Ridge", {"max_iter": 10**9}), "max_iter is 1000000000"),
        (call("sklearn.feature_selection.RFE"), "needs estimator"),
        (call("sklearn.feature_selection.RFE", {"estimator": SCALER}), "estimator is"),
        (call("sklearn.feature_selection.RFE", {"estimator": RIDGE.replace(alpha=-1.0)}), "alpha is -1.0"),
        (call("sklearn.feature_selection.SelectFwe", {"score_func": Name("os.system")}), "score_func is"),
        (call("sklearn.linear_model.LassoLarsCV", {"cv": call("os.system")}), "cv is"),
        (steps(RIDGE, SCALER), "is a regressor; here only"),
        (steps(*[SCALER] * (MAX_STEPS + 1)), f"1 to {MAX_STEPS} members"),
        (steps("drop", RIDGE), "has the member 'drop'"),
        (steps(1, RIDGE), "has the member 1"),
        (steps(), "1 to"),
        (call(PIPELINE, {"steps": (RIDGE,), "memory": "/tmp/x"}), "nothing else"),  # noqa: S108  # never opened
        (steps(*[steps(*[SCALER] * 10)] * 8, RIDGE), f"more than {MAX_CALLS} operators"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_remedy(spec: Call, said: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check(spec)
    assert said in str(caught.value)


def test_an_unknown_operator_is_never_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.build.import_module", pytest.fail)
    with pytest.raises(RefusedError):
        build(steps(call("antigravity.Fly"), RIDGE))
    with pytest.raises(RefusedError, match="not a registered operator"):
        entry("antigravity.Fly")


def test_open_seeds_are_set_when_building() -> None:
    tree = call("sklearn.tree.DecisionTreeRegressor")
    assert build(tree).random_state == 0
    assert build(tree, seed=5).random_state == 5
    assert build(tree.replace(random_state=7), seed=5).random_state == 7
    assert build(call("xgboost.XGBRegressor")).get_params()["n_jobs"] == 1
