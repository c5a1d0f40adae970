from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RefusedError
from protocol.head.units import MAX_NANO, NANO, in_order, nano, nano_shares, nano_weights

weights = st.dictionaries(st.text("abcdef", min_size=1), st.floats(0, 1e300), max_size=8)


@pytest.mark.parametrize(
    ("value", "billionths"),
    [
        (0.0, 0),
        (-0.0, 0),
        (1, NANO),
        (0.1, 100_000_000),
        (-0.123456789, -123_456_789),
        (1e-10, 0),
        (9.2e9, 9_200_000_000 * NANO),
        (2**-10, 976_562),  # 976,562.5 exactly: halves go to the even neighbour
        (3 * 2**-10, 2_929_688),
        (-(2**-10), -976_562),
    ],
)
def test_nano_rounds_the_exact_value_half_to_even(value: float, billionths: int) -> None:
    assert nano(value) == billionths


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e11, -1e300])
def test_nano_refuses_what_64_bits_cannot_hold(value: float) -> None:
    with pytest.raises(RefusedError, match="billionths"):
        nano(value)


@given(st.floats(-9e9, 9e9))
def test_nano_is_the_nearest(value: float) -> None:
    assert abs(Fraction(nano(value)) - Fraction(value) * NANO) <= Fraction(1, 2)
    assert nano(-value) == -nano(value)
    assert abs(nano(value)) <= MAX_NANO


def test_weights_that_differ_in_their_last_bits_come_out_alike() -> None:
    one = {"a": 0.1 + 0.2, "b": 0.7, "c": 1e-12}
    other = {"c": 1.1e-12, "b": np.nextafter(0.7, 1), "a": 0.3}
    assert nano_weights(one) == nano_weights(other) == {"a": 428_571_429, "b": NANO, "c": 0}
    assert list(nano_weights(other)) == ["a", "b", "c"]


def test_weights_of_nobody() -> None:
    assert nano_weights({}) == {}
    assert nano_weights({"a": 0.0, "b": math.nan}) == {"a": 0, "b": 0}
    assert nano_shares({"a": 0.0}) == nano_shares({}) == ()


@pytest.mark.parametrize("bad", [-1e-9, math.inf])
def test_weights_are_finite_and_not_negative(bad: float) -> None:
    with pytest.raises(RefusedError, match="weight of b"):
        nano_weights({"a": 1.0, "b": bad})


@given(weights)
def test_shares_add_up_to_one_and_follow_the_weights(given_weights: dict[str, float]) -> None:
    shares = dict(nano_shares(given_weights))
    total = sum(Fraction(weight) for weight in given_weights.values())
    assert sum(shares.values()) == (NANO if total else 0)
    assert all(share > 0 for share in shares.values())
    for name, weight in given_weights.items():
        if total:
            assert abs(shares.get(name, 0) - Fraction(weight) / total * NANO) <= len(given_weights) + 1


@given(weights)
def test_shares_do_not_depend_on_the_order(given_weights: dict[str, float]) -> None:
    assert nano_shares(dict(reversed(given_weights.items()))) == nano_shares(given_weights)
    assert nano_weights({name: 4 * weight for name, weight in given_weights.items()}) == nano_weights(given_weights)


def test_addresses_come_in_the_order_of_their_bytes() -> None:
    assert in_order(["0xaB", "0xAa", "0x9f"]) == ["0x9f", "0xAa", "0xaB"]
