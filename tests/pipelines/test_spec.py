"""The canonical text and its inverse."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.registry import ENTRIES
from pipelines.spec import ENSEMBLES, Call, Name, call, canonical_text, complexity, from_canonical, spec_hash
from protocol.errors import RefusedError

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
TARGETS = st.lists(NAMES, min_size=2, max_size=3).map(".".join)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
CALLS = st.deferred(lambda: st.builds(call, TARGETS, st.dictionaries(NAMES, VALUES, max_size=4)))
VALUES = st.one_of(SCALARS, st.builds(Name, TARGETS), CALLS, st.lists(SCALARS, max_size=3).map(tuple))


@given(CALLS)
def test_reading_a_text_gives_the_spec_back(spec: Call) -> None:
    text = canonical_text(spec)
    assert text.isascii()
    again = from_canonical(text)
    assert canonical_text(again) == text
    assert [type(value) for _, value in again.params] == [type(value) for _, value in spec.params]
    assert spec_hash(again) == spec_hash(spec)


@given(st.text(max_size=40) | CALLS.map(lambda spec: json.dumps(json.loads(canonical_text(spec)), indent=1)))
def test_anything_else_is_refused(text: str) -> None:
    with contextlib.suppress(RefusedError):
        assert canonical_text(from_canonical(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "1",
        "[1]",
        "{}",
        '{"a.b":null}',
        '{"a.b":[]}',
        '{"a":{}}',
        '{"a.b":{},"c.d":{}}',
        '{"a.b":{"x":NaN}}',
        '{"a.b":{"x":1e400}}',
        '{"a.b":{"x":1,"x":1}}',
        '{"a.b":{"y":1,"x":1}}',
        '{"a.b":{"__class__":1}}',
        '{"a.b":{"x":{}}}',
        '{"a b":{}}',
        '{"a.b": {}}',
        '{"a.b":{}}\n',
        '{"a.b":{"x":"\u00e9"}}',
        '{"a.b":{"x":' + "[" * 5000 + "]" * 5000 + "}}",
        '{"a.b":{"x":' + "[" * 30 + "]" * 30 + "}}",
        '{"a.b":{"x":"' + "y" * 70_000 + '"}}',
        '{"a.b":{"x":' + "9" * 5000 + "}}",
    ],
)
def test_texts_that_are_not_canonical_are_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        from_canonical(text)


def test_whole_numbers_and_floats_are_different_pipelines() -> None:
    one, another = (call("a.B", {"x": value}) for value in (1, 1.0))
    assert spec_hash(one) != spec_hash(another)


def test_a_value_that_is_not_finite_has_no_text() -> None:
    with pytest.raises(RefusedError, match="not finite"):
        canonical_text(call("a.B", {"x": float("nan")}))


def test_complexity_counts_operators_and_the_logarithm_of_their_size() -> None:
    ridge, scaler = call("sklearn.linear_model.RidgeCV"), call("sklearn.preprocessing.StandardScaler")
    assert complexity(call("sklearn.pipeline.Pipeline", {"steps": (ridge,)})) == 1.0
    union = call("sklearn.pipeline.FeatureUnion", {"transformer_list": (scaler, "passthrough")})
    assert complexity(call("sklearn.pipeline.Pipeline", {"steps": (scaler, union, ridge)})) == 3.0
    forest = call("sklearn.ensemble.RandomForestRegressor", {"n_estimators": 7})
    assert complexity(forest) == 4.0
    assert complexity(call("sklearn.feature_selection.RFE", {"estimator": forest})) == 5.0
    assert complexity(call("sklearn.neural_network.MLPRegressor", {"hidden_layer_sizes": (16, 15)})) == 6.0
    folds = call("sklearn.model_selection.TimeSeriesSplit")
    assert complexity(call("sklearn.linear_model.LassoLarsCV", {"cv": folds})) == 1.0


@pytest.mark.parametrize("target", ENSEMBLES)
def test_default_sizes_are_those_of_the_registry(target: str) -> None:
    name, size = ENSEMBLES[target]
    default = ENTRIES[target].params[name][0]
    if target.startswith("xgboost."):
        assert default is None  # xgboost fills in 100 when it fits
    else:
        assert default in (size, (size,))
