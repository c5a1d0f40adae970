"""Leave-one-out by nodes against computing every one, in worlds made to break it; separable regrets."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.consensus.allora import nodes, one_out
from protocol.consensus.allora.forecasts import combined
from protocol.consensus.allora.one_out import SeparableRegrets, without_each
from protocol.consensus.allora.potential import scale
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR
from protocol.errors import DataError

VARIANTS = (
    SIMULATOR,
    PAPER,
    CHAIN2026,
    replace(CHAIN2026, name="mad and clip", clip=True),
    replace(SIMULATOR, name="steep", p=1000.0),  # both edges of the clip within the range of scales, poles near
)
variants = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)


def worlds(rng, ni, nf):
    """Inferences (Ni,) and forecasted regrets (Nf, Ni), by what is hard about them."""
    v, r = rng.normal(size=ni), rng.normal(size=(nf, ni))
    top = r.max(axis=1, keepdims=True)

    def changed(x, at, values):
        x = x.copy()
        x[..., at] = values
        return x

    yield "plain", v, r
    yield "mostly above the upper cut", v, r + 3
    yield "all lifted", v, r - 6
    for level in (-1.9, -2.0, -2.1, 0.75):
        yield f"largest near {level}, where weights start to be relative", v, r - top + level
    yield "crowd at the upper cut", v, np.where(rng.random((nf, ni)) < 0.1, 3.1, 0) + 0.03 * r
    yield "crowd at the zero cut", v, np.where(rng.random((nf, ni)) < 0.05, -5, 0) + 0.03 * r
    yield "crowd at the zero cut, lifted", v, np.where(rng.random((nf, ni)) < 0.3, -11.0, -8) + 0.03 * r
    yield "tight and very negative", v, 1e-4 * r - 6
    yield "two clusters", v, np.where(rng.random((nf, ni)) < 0.5, 0, -5) + 0.01 * r
    yield "few distinct values", np.round(v), np.round(r)
    yield "all equal", v, np.full((nf, ni), -5.0)
    yield "all but one equal", v, changed(np.zeros((nf, ni)), 4, -2.0)
    yield "heavy tails", rng.standard_t(1, ni), rng.standard_t(1, (nf, ni))
    yield "exponentially bad", v, -np.exp(3 * r)
    yield "an inference of 1e9", changed(v, 3, 1e9), r
    yield "an inference of 1e9 with nearly all weight", changed(v, 3, 1e9), changed(r, 3, 12.0)
    yield "an inference of 1e9 with no weight", changed(v, 3, 1e9), changed(r, 3, -12.0)
    yield "several absurd inferences", changed(v, slice(3, 6), [1e9, -1e8, 1e7]), r
    yield "a regret of 80", v, changed(r, 5, 80.0)
    yield "regrets beyond sense", v, changed(r, slice(5, 7), [1e50, -1e60])
    yield "twenty outlying regrets", v, changed(r, slice(5, 25), 8 * rng.normal(size=(nf, 20)))
    yield (
        "absent ones",
        np.where(rng.random(ni) < 0.15, np.nan, v),
        np.where(rng.random((nf, ni)) < 0.2, np.nan, r),
    )


def spread_of_others(v):
    """Largest less smallest inference once j is withheld, (Ni, 1)."""
    ordered = np.sort(v[~np.isnan(v)])
    spread = np.full(v.size, ordered[-1] - ordered[0])
    spread[v == ordered[-1]] = ordered[-2] - ordered[0]
    spread[v == ordered[0]] = ordered[-1] - ordered[1]
    return spread[:, None]


def worst_difference(monkeypatch, seed, ni, variant, previous=None):
    """Difference of the two ways in units of the others' spread, by world."""
    found = {}
    for name, v, r in worlds(np.random.default_rng(seed), ni, 2):
        ways = []
        for limit in (0, ni):
            monkeypatch.setattr(one_out, "EXACT_UP_TO", {"std": limit, "mad": limit})
            ways.append(without_each(v, r, combined(v, r, variant, previous), variant, previous))
        assert np.array_equal(*np.isnan(ways)), name
        found[name] = float(np.nanmax(np.abs(ways[0] - ways[1]) / spread_of_others(v)))
    return found


@variants
@pytest.mark.parametrize("ni", [65, 150])
def test_nodes_agree_with_computing_every_one(monkeypatch, variant, ni):
    found = worst_difference(monkeypatch, ni, ni, variant)
    assert max(found.values()) < 1e-12, found
    assert max(found.values()) > 0, "the two ways cannot have been two"


@variants
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_nodes_agree_also_among_few(variant, seed):
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = worst_difference(monkeypatch, seed, 30, variant)
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize("known", [0, 1, 2, 3, 40])
def test_nodes_agree_when_the_scale_looks_at_few_workers(monkeypatch, known):
    previous = np.zeros(80)
    previous[np.random.default_rng(known).permutation(80)[:known]] = 0.1
    found = worst_difference(monkeypatch, 1, 80, CHAIN2026, previous)
    assert max(found.values()) < 1e-12, found


@variants
def test_small_blocks_give_the_same(monkeypatch, variant):
    monkeypatch.setattr(one_out, "EXACT_UP_TO", {"std": 0, "mad": 0})
    _, v, r = list(worlds(np.random.default_rng(9), 40, 7))[-1]
    whole = combined(v, r, variant, None)
    at_once = without_each(v, r, whole, variant)
    monkeypatch.setattr(nodes, "BLOCK", 100)
    monkeypatch.setattr(one_out, "BLOCK", 100)
    np.testing.assert_allclose(without_each(v, r, whole, variant), at_once, rtol=1e-12)
    np.testing.assert_allclose(combined(v, r, variant, None), whole, rtol=1e-14)


@pytest.mark.parametrize("variant", [PAPER, CHAIN2026], ids=lambda v: v.name)
@given(values=st.lists(st.one_of(st.integers(-3, 3), st.floats(-1e3, 1e3)), min_size=3, max_size=20))
def test_scales_without_each_worker_are_the_scales_of_the_others(variant, values):
    r = np.array(values, dtype=np.float64)
    rate, near = nodes._rates(r[None], np.ones((1, r.size), dtype=bool), variant, None)
    direct = np.array([scale(np.delete(r, j), variant) for j in range(r.size)])
    np.testing.assert_allclose((variant.p / rate)[near], direct[near[0]], rtol=1e-11)
    assert np.count_nonzero(~near) <= 1.5 / nodes.WIDE  # shares of the variance sum to n / (n - 1)


def test_separable_regrets_are_the_moving_averages_of_all_pairs():
    rng, ni, nf, alpha = np.random.default_rng(2), 6, 3, 0.1
    separable, dense = SeparableRegrets.start(ni, nf), np.zeros((9, 9))
    for _ in range(30):
        out, inferences, implied, without = (rng.normal(size=shape) for shape in ((9,), (ni,), (nf,), (ni, nf)))
        worker = np.tile(np.concatenate([inferences, implied]), (9, 1))
        worker[:ni, ni:] = without
        dense = alpha * (out[:, None] - worker) + (1 - alpha) * dense
        separable = separable.updated(out, inferences, implied, without, alpha)
    np.testing.assert_allclose(separable.dense(), dense, atol=1e-14)
    for start, stop in ((0, 2), (4, 8), (6, 9), (3, 3)):
        np.testing.assert_array_equal(separable.rows(start, stop), separable.dense()[start:stop])


def test_separable_regrets_refuse_what_they_cannot_express():
    start = SeparableRegrets.start(3, 2)
    losses = [np.zeros(5), np.zeros(3), np.zeros(2), np.zeros((3, 2))]
    assert np.array_equal(start.updated(*losses, 0.1).withheld, start.withheld)
    with pytest.raises(DataError, match=r"inferences: entry \[1\] came or went.*dense"):
        start.updated(losses[0], np.array([0, np.nan, 0]), *losses[2:], 0.1)
    with pytest.raises(DataError, match=r"withheld are \(4,\)"):
        start.updated(np.zeros(4), *losses[1:], 0.1)
    with pytest.raises(DataError, match="forecast_implied_one_out"):
        SeparableRegrets(np.zeros(5), np.zeros(3), np.zeros(2), np.zeros((2, 3)))


def test_a_lone_inferer_is_never_withheld_and_that_is_no_change():
    lone = SeparableRegrets.start(1, 2)
    after = lone.updated([np.nan, 1.0, 2.0], [0.5], [0.25, 0.25], [[np.nan, np.nan]], 0.5)
    assert np.isnan(after.dense()[0]).all()
    np.testing.assert_allclose(after.dense()[1:], [[0.25, 0.375, 0.375], [0.75, 0.875, 0.875]])
