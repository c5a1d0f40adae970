from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import MODELS, prediction, predictions

from protocol.errors import RefusedError
from protocol.head.prediction import MAX_PREDICTION_BYTES, Prediction, in_tree_order
from protocol.head.units import NANO

LEAF = (
    '{"bar":1700006400000000,"broker":"nyse","high":700000000,"horizon":5,"low":-500000000,'
    '"models":[["%s",250000000],["%s",750000000]],'
    '"sector":"energy","symbol":"XOM","topic":"us-daily","type":"ohlcv-1d","value":123456789}'
)


def test_known_leaf() -> None:
    assert prediction().leaf.decode() == LEAF % MODELS[:2]


def test_letters_outside_ascii_are_escaped() -> None:
    assert b'"symbol":"\\u00d6L"' in prediction(symbol="ÖL").leaf
    assert Prediction.from_json(prediction(symbol="ÖL\N{GRINNING FACE}").leaf).symbol == "ÖL\N{GRINNING FACE}"


@given(
    value=st.floats(-5, 5),
    ends=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    weights=st.lists(st.floats(0, 1e6), min_size=6, max_size=6).filter(any),
)
def test_floats_become_billionths_and_read_back_alike(value: float, ends: Any, weights: list[float]) -> None:
    low, high = sorted(ends)
    made = Prediction.of(
        topic="us-daily",
        sector="energy",
        broker="nyse",
        symbol="XOM",
        type="ohlcv-1d",
        bar=0,
        horizon=1,
        value=value,
        interval=(low, high),
        weights=dict(zip(MODELS, weights, strict=True)),
    )
    assert abs(made.value - value * NANO) <= 1
    assert made.low <= made.high
    assert sum(share for _, share in made.models) == NANO
    assert Prediction.from_json(made.leaf) == made
    assert Prediction.from_json(made.leaf).leaf == made.leaf


def test_nobody_predicts_nothing() -> None:
    with pytest.raises(RefusedError, match="add up to 0"):
        prediction(models=())


@pytest.mark.parametrize(
    "change",
    [
        {"topic": "US daily"},
        {"topic": 3},
        {"sector": ""},
        {"symbol": "A B"},
        {"symbol": "A\n"},
        {"symbol": "A" * 65},
        {"symbol": "\ud800"},
        {"broker": None},
        {"type": "a,b"},
        {"bar": -1},
        {"bar": 2**63},
        {"bar": 1.0},
        {"horizon": 0},
        {"horizon": 10_001},
        {"value": 0.5},
        {"value": True},
        {"value": 2**63},
        {"low": 700_000_001},
        {"low": -(2**63)},
        {"high": 2**63},
        {"high": 1e9},
        {"models": ((MODELS[1], NANO // 2), (MODELS[0], NANO // 2))},
        {"models": ((MODELS[0], NANO // 2), (MODELS[0], NANO // 2))},
        {"models": ((MODELS[0], NANO - 1),)},
        {"models": ((MODELS[0], NANO), (MODELS[1], 0))},
        {"models": ((MODELS[0], NANO + 1), (MODELS[1], -1))},
        {"models": (("ab", NANO),)},
        {"models": (([], NANO),)},
    ],
)
def test_bad_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        prediction(**change)


def plain(**changes: Any) -> dict[str, Any]:
    return {**prediction().to_dict(), **changes}


CANONICAL = prediction().leaf.decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        CANONICAL[:-1],
        CANONICAL + " ",
        CANONICAL.replace(":5,", ":5.0,"),
        CANONICAL.replace(":5,", ":05,"),
        CANONICAL.replace(":5,", ": 5,"),
        CANONICAL.replace(":5,", ":NaN,"),
        CANONICAL.replace(":5,", ':"5",'),
        CANONICAL.replace('"horizon":5', '"horizon":5,"horizon":5'),
        CANONICAL.replace('"XOM"', '"\\u0058OM"'),
        CANONICAL.replace('"value"', '"valve"'),
        json.dumps(plain(), sort_keys=True),
        json.dumps(plain(), separators=(",", ":")),
        "[" * 100_000,
        "1" * 5_000,
        "x" * (MAX_PREDICTION_BYTES + 1),
        b"\xff",
        CANONICAL.encode("utf-16"),
        *(CANONICAL.replace(f'["{MODELS[0]}",250000000]', bad) for bad in ("[]", "{}", "1", f'["{MODELS[0]}"]')),
    ],
)
def test_what_is_not_the_canonical_text_of_a_prediction_is_refused(text: str | bytes) -> None:
    assert Prediction.from_json(CANONICAL).leaf.decode() == CANONICAL
    with pytest.raises(RefusedError):
        Prediction.from_json(text)


@given(st.permutations(predictions(5)))
def test_the_order_of_the_tree_is_that_of_the_series(shuffled: list[Prediction]) -> None:
    assert in_tree_order(shuffled) == predictions(5)


def test_a_head_says_one_thing_of_a_series() -> None:
    with pytest.raises(RefusedError, match="us-daily, ohlcv-1d, nyse, XOM"):
        in_tree_order([prediction(), prediction(symbol="A"), prediction(bar=0)])
