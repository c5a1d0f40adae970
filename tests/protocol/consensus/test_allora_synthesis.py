"""Every inference of an epoch: committed numbers, the equations in loops, and what must not change it."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from allora_literal import literal_synthesis
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.forecasts import forecast_implied, forecast_implied_one_out
from protocol.consensus.allora.one_out import SeparableRegrets
from protocol.consensus.allora.synthesis import Regrets, Synthesis, synthesise
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, VARIANTS
from protocol.errors import DataError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "allora_synthesis.json").read_text())["cases"]
NAMES = tuple(field.name for field in fields(Synthesis))
VECTOR_NAMES = {"naive_weights": "weights_naive"}
SEEDS = st.integers(0, 2**32 - 1)
variants = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def floats(values, *shape):
    return np.array(values, dtype=np.float64).reshape(shape)


def drawn(rng, ni, nf, absent=0.0, shift=0.0):
    """Inferences, forecasts, previous loss and regrets, of which a share is absent."""
    n = ni + nf

    def some(*shape):
        x = rng.normal(size=shape)
        x[rng.random(shape) < absent] = np.nan
        return x

    spread = 10 ** rng.uniform(-2, 1)
    regrets = Regrets(*(spread * (some(*shape) + shift) for shape in ((n,), (ni,), (n, n), (nf, ni + 1))))
    return some(ni), spread * (some(nf, ni) - shift), float(rng.normal()), regrets


def same(a, b, **tolerance):
    for name in NAMES:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), err_msg=name, **tolerance)


@pytest.mark.parametrize("case", VECTORS, ids=[f"{case['variant']}-{case['name']}" for case in VECTORS])
def test_committed_vectors(case):
    given, expected = case["input"], case["output"]
    ni, nf = len(given["I"]), len(given["L"])
    regrets = Regrets(
        floats(given["regret"], ni + nf),
        floats(given["regret_naive"], ni),
        floats(given["regret_out"], ni + nf, ni + nf),
        floats(given["regret_in"], nf, ni + 1),
    )
    found = synthesise(
        floats(given["I"], ni), floats(given["L"], nf, ni), given["L_prev"], regrets, VARIANTS[case["variant"]]
    )
    for name in NAMES:
        values = getattr(found, name)
        wanted = floats(expected[VECTOR_NAMES.get(name, name)], *np.shape(values))
        if "weights" in name:
            wanted = np.nan_to_num(wanted)  # an absent worker's weight is 0
        np.testing.assert_allclose(values, wanted, rtol=1e-10, atol=1e-12, err_msg=name)


@variants
@given(
    seed=SEEDS, ni=st.integers(0, 7), nf=st.integers(0, 4), absent=st.sampled_from([0.0, 0.3]), weighted=st.booleans()
)
def test_it_is_what_loops_over_the_equations_give(variant, *, seed, ni, nf, absent, weighted):
    rng = np.random.default_rng(seed)
    inferences, forecasts, loss, regrets = drawn(rng, ni, nf, absent, shift=rng.choice([0, -3, 3]))
    previous = rng.choice([0.0, 1e-7, 0.2], ni + nf) if weighted else None
    found = synthesise(inferences, forecasts, loss, regrets, variant, previous)
    expected = literal_synthesis(
        inferences.tolist(),
        forecasts.tolist(),
        loss,
        [x.tolist() for x in (regrets.network, regrets.naive, regrets.one_out, regrets.one_in)],
        variant,
        previous=None if previous is None else previous.tolist(),
    )
    for name in NAMES:
        values = getattr(found, name)
        np.testing.assert_allclose(
            values, floats(expected[name], *np.shape(values)), rtol=1e-9, atol=1e-12, err_msg=name
        )


@variants
@given(seed=SEEDS, ni=st.integers(1, 8), nf=st.integers(0, 4))
def test_it_follows_a_permutation_of_the_workers(variant, seed, ni, nf):
    rng = np.random.default_rng(seed)
    inferences, forecasts, loss, regrets = drawn(rng, ni, nf, 0.15)
    a, b = rng.permutation(ni), rng.permutation(nf)
    both = np.concatenate([a, ni + b])
    turned = Regrets(
        regrets.network[both],
        regrets.naive[a],
        regrets.one_out[np.ix_(both, both)],
        regrets.one_in[np.ix_(b, np.append(a, ni))],
    )
    x = synthesise(inferences, forecasts, loss, regrets, variant)
    y = synthesise(inferences[a], forecasts[np.ix_(b, a)], loss, turned, variant)
    expected = Synthesis(
        forecast_implied=x.forecast_implied[b],
        network=x.network,
        weights=x.weights[both],
        naive=x.naive,
        naive_weights=x.naive_weights[a],
        one_out=x.one_out[both],
        one_out_forecast_implied=x.one_out_forecast_implied[np.ix_(a, b)],
        one_in=x.one_in[b],
    )
    same(y, expected, rtol=1e-9, atol=1e-12)


@variants
@given(seed=SEEDS, factor=st.floats(1e-6, 1e6), shift=st.floats(-1e6, 1e6))
def test_the_unit_and_the_zero_of_the_target_do_not_matter(variant, seed, factor, shift):
    inferences, forecasts, loss, regrets = drawn(np.random.default_rng(seed), 6, 3, 0.15)
    x = synthesise(inferences, forecasts, loss, regrets, variant)
    y = synthesise(factor * inferences + shift, forecasts, loss, regrets, variant)
    for name in NAMES:
        wanted = getattr(x, name) if "weights" in name else factor * np.asarray(getattr(x, name)) + shift
        np.testing.assert_allclose(getattr(y, name), wanted, rtol=1e-12, atol=1e-12 * (factor + abs(shift)))


@variants
def test_combinations_stay_between_the_inferences_and_agree_when_those_do(variant):
    inferences, forecasts, loss, regrets = drawn(np.random.default_rng(3), 9, 4)
    found = synthesise(inferences, forecasts, loss, regrets, variant)
    values = np.concatenate([np.ravel(getattr(found, name)) for name in NAMES if "weights" not in name])
    assert inferences.min() <= values.min() < values.max() <= inferences.max()
    assert found.weights.sum() == pytest.approx(1, rel=1e-14)
    assert found.naive_weights.sum() == pytest.approx(1, rel=1e-14)
    alike = synthesise(np.full(9, 61234.567), forecasts, loss, regrets, variant)
    for name in NAMES:
        if "weights" not in name:
            assert np.unique(getattr(alike, name)).tolist() == [61234.567]


@variants
@pytest.mark.parametrize("absurd", [np.nan, np.inf, -np.inf, 2e100])
def test_an_absurd_inference_or_forecast_is_an_absent_one(variant, absurd):
    inferences, forecasts, loss, regrets = drawn(np.random.default_rng(4), 7, 3)
    with_nan = inferences.copy(), forecasts.copy()
    with_nan[0][2] = with_nan[1][1, 3] = np.nan
    inferences[2] = forecasts[1, 3] = absurd
    found = synthesise(inferences, forecasts, loss, regrets, variant)
    same(found, synthesise(*with_nan, loss, regrets, variant), rtol=0)
    assert found.weights[2] == 0
    assert np.isnan(found.one_out[2])
    assert np.isnan(found.one_out_forecast_implied[2]).all()
    fewer = np.delete(np.arange(10), 2)
    rest = Regrets(
        regrets.network[fewer],
        np.delete(regrets.naive, 2),
        regrets.one_out[np.ix_(fewer, fewer)],
        np.delete(regrets.one_in, 2, axis=1),
    )
    gone = synthesise(np.delete(inferences, 2), np.delete(forecasts, 2, axis=1), loss, rest, variant)
    assert found.network == pytest.approx(gone.network, rel=1e-12)
    np.testing.assert_allclose(found.one_out[fewer], gone.one_out, rtol=1e-12)
    np.testing.assert_allclose(found.one_in, gone.one_in, rtol=1e-12)


@variants
def test_an_outlier_costs_no_digits_where_it_is_withheld(variant):
    inferences, forecasts, loss, regrets = drawn(np.random.default_rng(5), 80, 4)
    honest = synthesise(inferences, forecasts, loss, regrets, variant)
    inferences[7] = 1e9
    found = synthesise(inferences, forecasts, loss, regrets, variant)
    assert found.network > 1
    np.testing.assert_allclose(found.one_out[7], honest.one_out[7], rtol=1e-12)
    np.testing.assert_allclose(
        found.one_out_forecast_implied[7], honest.one_out_forecast_implied[7], rtol=1e-12, atol=1e-13
    )


def test_the_largest_inferences_that_count_do_not_overflow():
    found = synthesise([1e100, -1e100, 0.0], [[-1.0, -2.0, 0.5]], 0.0, Regrets.start(3, 1), SIMULATOR)
    assert (np.abs([*found.one_out, *found.one_in, found.network]) < 1e100).all()
    for cancels in (found.naive, found.one_out[3]):  # three of equal weight; fused multiply-add keeps some bits
        assert abs(cancels) < 1e86


def test_lone_workers_and_nobody():
    one = synthesise([0.3], np.empty((0, 1)), 0.0, Regrets.start(1, 0), SIMULATOR)
    assert (one.network, one.naive, one.weights.tolist()) == (0.3, 0.3, [1.0])
    assert np.isnan(one.one_out).all()
    pair = synthesise([0.3], [[-1.0]], 0.0, Regrets.start(1, 1), SIMULATOR)
    assert pair.weights.tolist() == [0.5, 0.5]
    assert np.isnan(pair.one_out).tolist() == [True, False]
    assert np.isnan(pair.one_out_forecast_implied).all()
    nobody = synthesise([np.nan, np.inf], [[-1.0, -2.0]], 0.0, Regrets.start(2, 1), SIMULATOR)
    assert np.isnan([nobody.network, nobody.naive, *nobody.one_out, *nobody.forecast_implied]).all()
    assert not nobody.weights.any()
    assert np.isnan(synthesise([], np.empty((0, 0)), 0.0, Regrets.start(0, 0), SIMULATOR).network)


def test_before_the_first_epoch_everybody_counts_the_same_and_the_last_loss_is_zero():
    inferences, forecasts, _, _ = drawn(np.random.default_rng(6), 5, 2)
    first = synthesise(inferences, forecasts, np.nan, Regrets.start(5, 2), SIMULATOR)
    same(first, synthesise(inferences, forecasts, 0.0, Regrets.start(5, 2), SIMULATOR), rtol=0)
    np.testing.assert_allclose(first.weights, 1 / 7, rtol=1e-15)
    assert first.naive == pytest.approx(inferences.mean(), rel=1e-14)


def test_the_forecasts_alone_give_the_same_as_the_whole():
    inferences, forecasts, loss, regrets = drawn(np.random.default_rng(7), 6, 3, 0.2)
    previous = np.array([0.5, 0.0, 0.1, 0.1, 0.0, 0.1, 0.1, 0.1, 0.0])
    for variant in (PAPER, CHAIN2026):
        found = synthesise(inferences, forecasts, loss, regrets, variant, previous)
        alone = forecast_implied(inferences, forecasts, loss, variant, previous[:6])
        without = forecast_implied_one_out(inferences, forecasts, loss, variant, previous[:6])
        np.testing.assert_allclose(alone, found.forecast_implied, rtol=1e-13)
        np.testing.assert_allclose(without, found.one_out_forecast_implied, rtol=1e-13)


@variants
@given(seed=SEEDS, ni=st.integers(2, 9), nf=st.integers(0, 4))
def test_separable_regrets_mean_the_same_as_their_array(variant, seed, ni, nf):
    rng = np.random.default_rng(seed)
    inferences, forecasts, loss, regrets = drawn(rng, ni, nf)
    separable = SeparableRegrets(*(rng.normal(size=shape) for shape in ((ni + nf,), (ni,), (nf,), (ni, nf))))
    x = synthesise(inferences, forecasts, loss, replace(regrets, one_out=separable), variant)
    y = synthesise(inferences, forecasts, loss, replace(regrets, one_out=separable.dense()), variant)
    same(x, y, rtol=1e-12, atol=1e-14)


def test_wrong_shapes_are_refused_by_name():
    inferences, forecasts, loss, regrets = drawn(np.random.default_rng(8), 4, 2)
    for arguments, name in (
        ((inferences[:3], forecasts), "inferences"),
        ((inferences, forecasts.T), "log_forecasts"),
        ((inferences, forecasts[0]), "log_forecasts"),
    ):
        with pytest.raises(DataError, match=name):
            synthesise(*arguments, loss, regrets, SIMULATOR)
    with pytest.raises(DataError, match="previous_weights"):
        synthesise(inferences, forecasts, loss, regrets, SIMULATOR, np.ones(4))
    with pytest.raises(DataError, match="forecasts"):
        forecast_implied(inferences, forecasts[:, :3], loss, SIMULATOR)
    for change in ({"naive": np.zeros(5)}, {"one_out": np.zeros((6, 5))}, {"one_out": SeparableRegrets.start(3, 3)}):
        with pytest.raises(DataError, match=r"one_in|one_out"):
            replace(regrets, **change)
