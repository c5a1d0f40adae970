"""Made inputs of Yuma epochs, and the committed vectors."""

import json
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from protocol.consensus.yuma.variant import LIQUID, SUBTENSOR, YUMA3, Params

VECTORS = json.loads((Path(__file__).parent / "vectors" / "yuma_random.json").read_text())["cases"]
SETTINGS = ("kappa", "bond_penalty", "alpha", "liquid", "alpha_low", "alpha_high", "steepness")
PARAMS = st.sampled_from(
    (
        SUBTENSOR,
        YUMA3,
        LIQUID,
        Params("half penalty", bond_penalty=0.5, alpha=0.3),
        Params(
            "half penalty, liquid", bond_penalty=0.5, relative_bonds=True, liquid=True, alpha_low=0.1, steepness=40.0
        ),
        Params("most agree", kappa=0.8, bond_penalty=0.0, alpha=1.0),
    )
)


def vector_params(given):
    return Params("vector", relative_bonds=given["variant"] == "yuma3", **{name: given[name] for name in SETTINGS})


def check_vector(case, run):
    """Run a vector's epochs with `run(stakes, weights, bonds, params)` and compare those it lists."""
    given, bonds, epochs = case["input"], None, []
    for weights in given["weights"]:
        epochs.append(run(given["stakes"], weights, bonds, vector_params(given)))
        bonds = epochs[-1].bonds
    listed = epochs if case["epochs_given"] == "all" else [epochs[0], epochs[-1]]
    assert len(listed) == len(case["output"])
    for epoch, expected in zip(listed, case["output"], strict=True):
        for name, values in expected.items():
            got = getattr(epoch, name)
            got = got.toarray() if hasattr(got, "toarray") else got
            np.testing.assert_allclose(got, values, rtol=1e-10, atol=1e-12, err_msg=name)


@st.composite
def epochs(draw, count=1, validators=8, miners=6):
    """Stakes and some epochs of weights: ties, copies, rows and columns of zeros, validators without stake."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, validators)), draw(st.integers(1, miners)))
    coarse, zeros = draw(st.booleans()), draw(st.sampled_from((0.0, 0.3, 0.8)))
    stakes = rng.integers(0, 4, shape[0]).astype(float) if coarse else rng.lognormal(0, 2, shape[0])
    weights = []
    for _ in range(count):
        w = rng.integers(0, 4, shape).astype(float) if coarse else rng.random(shape) ** 3
        w *= rng.random(shape) >= zeros
        w[rng.random(shape[0]) < 0.1] = 0.0
        w[rng.integers(shape[0])] = w[rng.integers(shape[0])]
        weights.append(w)
    return stakes, weights
