"""Vectors and invariants of the interval, Eq. 16-19."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.confidence import interval
from protocol.consensus.allora.potential import weights
from protocol.consensus.allora.variant import PAPER, SIMULATOR, VARIANTS
from protocol.errors import DataError

VECTORS = Path(__file__).parent / "vectors"


def cases(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))["cases"]


def floats(values):
    return np.array(values, dtype=np.float64)  # null becomes NaN


@pytest.mark.parametrize("case", cases("allora_confidence"))
def test_vectors(case):
    given_ = case["input"]
    found = interval(
        floats(given_["inferences"]),
        floats(given_["weights"]),
        given_["network"],
        VARIANTS[case["variant"]],
        given_["quantiles"],
    )
    np.testing.assert_allclose(found, case["output"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", cases("allora_synthesis"), ids=lambda case: case["name"])
def test_of_a_synthesis(case):
    variant = VARIANTS[case["variant"]]
    inferences = floats(case["input"]["I"] + case["output"]["forecast_implied"])
    w = weights(np.where(np.isnan(inferences), np.nan, floats(case["input"]["regret"])), variant)
    found = interval(inferences, w, case["output"]["network"], variant, PAPER.quantiles)
    np.testing.assert_allclose(found, floats(case["output"]["confidence"]), rtol=1e-10, atol=1e-12)


workers = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.one_of(st.just(0.0), st.floats(1e-6, 1e6))), min_size=1, max_size=12
).filter(lambda pairs: any(weight for _, weight in pairs))


@given(workers, st.randoms(use_true_random=False), st.sampled_from([SIMULATOR, PAPER]))
def test_order_of_workers_does_not_matter_and_quantiles_rise(pairs, random, variant):
    x, w = np.array(pairs).T
    network = float(x @ w / w.sum())
    q = np.linspace(0, 1, 9)
    found = interval(x, w, network, variant, q)
    slack = 1e-9 * (1 + np.abs(x).max())
    assert (np.diff(found) >= -slack).all()
    counted = x[w > 0]
    assert found[0] >= counted.min() - slack
    assert found[-1] <= counted.max() + slack
    random.shuffle(pairs)
    x, w = np.array(pairs).T
    np.testing.assert_allclose(interval(x, w, network, variant, q), found, rtol=1e-9, atol=slack)


def test_no_weight_is_the_same_as_absent():
    q = (0.1, 0.5, 0.9)
    few = interval([1.0, 2.0, 4.0], [0.2, 0.5, 0.3], 2.4, PAPER, q)
    more = interval([1.0, 99.0, 2.0, np.nan, 4.0, 1e300], [0.2, 0.0, 0.5, 0.7, 0.3, 0.4], 2.4, PAPER, q)
    np.testing.assert_array_equal(few, more)


def test_weights_so_small_that_they_vanish_in_the_sum():
    assert interval([1.0, 2.0, 3.0], [1e-300, 1.0, 1e-300], 2.0, SIMULATOR, (0.0, 0.5, 1.0)).tolist() == [1, 2, 3]


def test_shrinks_with_the_root_of_the_number():
    x, w = np.arange(16.0), np.ones(16)
    plain = interval(x, w, 7.5, SIMULATOR, PAPER.quantiles)
    np.testing.assert_allclose(interval(x, w, 7.5, PAPER) - 7.5, (plain - 7.5) / 4, rtol=1e-12)


def test_nobody():
    assert np.isnan(interval([np.nan, 1.0], [0.5, 0.0], np.nan)).all()
    assert interval([], [], np.nan).shape == (5,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 2.0], 1.0), "weights has shape"),
        (([1.0], [-1.0], 1.0), "weights hold -1"),
        (([1.0], [1.0], 1.0, SIMULATOR, [1.5]), "quantiles are"),
        (([1.0], [1.0], 1.0, SIMULATOR, [np.nan]), "quantiles are"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(DataError, match=message):
        interval(*arguments)
