"""Whole epochs of a small network, and what must hold whoever is there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.consensus.allora.epoch import State, infer, settle
from protocol.consensus.allora.loss import SQUARED, MarketLoss
from protocol.consensus.allora.losses import Losses, LossLayout
from protocol.consensus.allora.one_out import SeparableRegrets
from protocol.consensus.allora.reputers import Listening
from protocol.consensus.allora.variant import CHAIN2026, PAPER, SIMULATOR, VARIANTS
from protocol.errors import DataError
from protocol.scores import gaussian_rank

EMISSION = 1000.0
ROBUST = replace(SIMULATOR, name="robust", robust=True)
variants = pytest.mark.parametrize("variant", [*VARIANTS.values(), ROBUST], ids=lambda v: v.name)


class Network:
    """Workers that are better at times and forecasters that know it, as in section 3.3 but smaller."""

    def __init__(self, ni=5, nf=3, nr=4, seed=0, *, separable=False, gaps=0.0):
        self.rng = np.random.default_rng(seed)
        self.error = 10 ** self.rng.normal(-0.7, 0.2, ni)
        self.noise = self.rng.uniform(0.1, 0.5, nf)
        self.bias = self.rng.normal(0, 0.05, nr)
        self.gaps = gaps
        self.state = State.start(ni, nf, self.rng.uniform(1, 5, nr) * 1e5, separable=separable)

    def reported(self):
        """Return inferences, forecasts, truth and a function from synthesis to reports."""
        ni, nf = self.error.size, self.noise.size
        rng, truth = self.rng, self.rng.normal(0, 0.1)
        inferences = truth + self.error * np.where(
            rng.integers(max(ni, 1)) == np.arange(ni), 0.3, 1.0
        ) * rng.standard_normal(ni)
        forecasts = SQUARED.log10(inferences, truth) + self.noise[:, None] * rng.standard_normal((nf, ni))
        inferences[rng.random(ni) < self.gaps] = np.nan
        forecasts[rng.random((nf, ni)) < self.gaps] = np.nan
        return inferences, forecasts, truth

    def reports(self, inferences, synthesis, truth):
        layout = self.state.layout
        true = SQUARED.log10(layout.inferences(inferences, synthesis), truth)
        reports = true + self.bias[:, None] + self.rng.normal(0, 0.1, (self.bias.size, layout.size))
        reports[self.rng.random(reports.shape) < self.gaps] = np.nan
        return Losses(layout, reports)

    def step(self, variant):
        inferences, forecasts, truth = self.reported()
        synthesis = infer(self.state, inferences, forecasts, variant)
        losses = self.reports(inferences, synthesis, truth)
        self.state, outcome = settle(self.state, synthesis, losses, EMISSION, variant)
        check(outcome)
        return synthesis, outcome


def rewards(outcome):
    return np.concatenate([outcome.inference_rewards, outcome.forecast_rewards, outcome.reputer_rewards])


def check(outcome):
    """Assert what holds of every outcome."""
    for shares in (outcome.inference_fractions, outcome.forecast_fractions, outcome.reputer_fractions):
        assert (shares >= 0).all()
        assert not shares.any() or shares.sum() == pytest.approx(1, rel=1e-12)
    assert (rewards(outcome) >= 0).all()
    assert rewards(outcome).sum() + outcome.kept == pytest.approx(EMISSION, rel=1e-12)
    assert outcome.class_rewards.sum() <= EMISSION * (1 + 1e-12)
    assert 0.1 <= outcome.chi <= 0.5
    assert np.isfinite([outcome.tau, outcome.gamma, outcome.kept]).all()
    for regret in (outcome.listened.coefficients, outcome.listened.scores, outcome.listened.adjusted_stakes):
        assert np.isfinite(regret).all()


def numbers(state):
    """Return every array of a state, by name."""
    dense = state.regrets.one_out
    dense = dense.dense() if isinstance(dense, SeparableRegrets) else dense
    regrets = {
        "network": state.regrets.network,
        "naive": state.regrets.naive,
        "one_in": state.regrets.one_in,
        "one_out": dense,
    }
    names = set(State.__dataclass_fields__) - {"regrets"}
    return {**regrets, **{name: np.asarray(getattr(state, name), dtype=np.float64) for name in names}}


@variants
def test_thirty_epochs(variant):
    network = Network()
    network.error = np.array([0.3, 3.0, 0.1, 0.02, 0.5])
    for _ in range(30):
        synthesis, outcome = network.step(variant)
        assert synthesis.weights.sum() == pytest.approx(1, rel=1e-12)
        assert np.isfinite(outcome.losses.values).all()
        assert np.isfinite(outcome.consensus.values).all()
        assert outcome.kept == 0
        assert outcome.task_score == pytest.approx(outcome.losses.naive - outcome.losses.network)
    assert all(np.isfinite(values).all() for values in numbers(network.state).values())
    assert (network.state.experience == 30).all()
    assert network.state.inference_history.shape == (9, 5)
    assert network.state.log_loss == outcome.losses.network
    assert np.argmax(network.state.regrets.naive) == np.argmin(network.error)
    assert np.argmin(network.state.regrets.naive) == np.argmax(network.error)


@variants
def test_gaps_everywhere(variant):
    network = Network(gaps=0.35, seed=1)
    before = network.state
    for _ in range(30):
        _, outcome = network.step(variant)
        gone = np.isnan(outcome.losses.inferences)
        np.testing.assert_array_equal(network.state.regrets.network[:5][gone], before.regrets.network[:5][gone])
        np.testing.assert_array_equal(network.state.regrets.naive[gone], before.regrets.naive[gone])
        assert (outcome.inference_rewards[gone & np.isnan(outcome.losses.one_out[:5])] == 0).all()
        before = network.state
    regrets = numbers(network.state)
    assert all(
        np.isfinite(regrets[name]).all() for name in ("network", "naive", "one_in", "one_out", "log_loss", "stakes")
    )


@variants
def test_separable_equals_dense(variant):
    dense, separable = Network(seed=2), Network(seed=2, separable=True)
    for _ in range(15):
        for one, other in zip(rewards(dense.step(variant)[1]), rewards(separable.step(variant)[1]), strict=True):
            assert one == pytest.approx(other, rel=1e-9)
    assert isinstance(separable.state.regrets.one_out, SeparableRegrets)
    other = numbers(separable.state)
    for name, values in numbers(dense.state).items():
        np.testing.assert_allclose(other[name], values, rtol=1e-9, atol=1e-11, err_msg=name)
    separable.gaps = dense.gaps = 0.3
    dense.step(variant)
    separable.step(variant)
    assert not isinstance(separable.state.regrets.one_out, SeparableRegrets)
    np.testing.assert_allclose(separable.state.regrets.one_out, dense.state.regrets.one_out, atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([SIMULATOR, PAPER, CHAIN2026, ROBUST]), st.booleans())
def test_permuting_participants_permutes_everything(seed, variant, gaps):
    network = Network(4, 3, 3, seed, gaps=0.2 * gaps)
    for _ in range(3):
        network.step(variant)
    rng, layout = np.random.default_rng(seed), network.state.layout
    i, k, m = rng.permutation(4), rng.permutation(3), rng.permutation(3)
    both = np.concatenate([i, 4 + k])
    state = network.state.with_workers(i, k, variant).with_reputers(m, network.state.stakes[m])
    inferences, forecasts, truth = network.reported()
    first = infer(network.state, inferences, forecasts, variant)
    second = infer(state, inferences[i], forecasts[np.ix_(k, i)], variant)
    assert second.network == pytest.approx(first.network, rel=1e-9, abs=1e-12, nan_ok=True)
    np.testing.assert_allclose(second.one_out, first.one_out[both], rtol=1e-9, atol=1e-12)
    losses = network.reports(inferences, first, truth)
    shuffled = layout.pack(
        network=losses.network[m],
        inferences=losses.inferences[np.ix_(m, i)],
        forecast_implied=losses.forecast_implied[np.ix_(m, k)],
        naive=losses.naive[m],
        one_out=losses.one_out[np.ix_(m, both)],
        one_in=losses.one_in[np.ix_(m, k)],
        one_out_forecast_implied=losses.one_out_forecast_implied[np.ix_(m, i, k)],
    )
    one, paid = settle(network.state, first, losses, EMISSION, variant)
    other, paid_other = settle(state, second, shuffled, EMISSION, variant)
    order = np.concatenate([both, 7 + m])
    np.testing.assert_allclose(rewards(paid_other), rewards(paid)[order], rtol=1e-8, atol=1e-8)
    expected, found = numbers(one.with_workers(i, k, variant).with_reputers(m, one.stakes[m])), numbers(other)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-8, atol=1e-10, err_msg=name)


@variants
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 0, 1), (2, 1, 1), (1, 3, 2), (3, 0, 2)])
def test_few_participants(variant, sizes):
    network = Network(*sizes)
    for _ in range(12):
        _, outcome = network.step(variant)
    if sizes[0] == 1:
        assert outcome.inference_fractions.tolist() == [1]
        assert np.isnan(outcome.inference_scores).all()
    assert outcome.reputer_fractions.sum() == pytest.approx(1)
    nobody_counts = variant.single_entropy == 0 and max(sizes) == 1
    assert outcome.kept == (EMISSION if nobody_counts else 0)


@variants
def test_nobody_there(variant):
    network = Network()
    network.step(variant)
    before, layout = network.state, network.state.layout
    synthesis = infer(before, np.full(5, np.nan), np.full((3, 5), np.nan), variant)
    assert np.isnan(synthesis.network)
    silence = Losses(layout, np.full((4, layout.size), np.nan))
    chatter = Losses(layout, np.full((4, layout.size), -1.0))  # reports on inferences that were not made do not count
    for losses in (silence, chatter):
        after, outcome = settle(before, synthesis, losses, EMISSION, variant)
        check(outcome)
        assert outcome.kept == EMISSION
        same = numbers(before)
        for name, values in numbers(after).items():
            if name not in {"weights", "inference_history", "forecast_history"}:
                np.testing.assert_array_equal(values, same[name], err_msg=name)
    nothing = State.start(0, 0, [])
    empty = infer(nothing, [], np.empty((0, 0)), variant)
    _, outcome = settle(nothing, empty, Losses(LossLayout(0, 0), np.empty((0, 2))), EMISSION, variant)
    assert outcome.kept == EMISSION


@variants
def test_a_worker_pauses_and_comes_back_with_its_regret(variant):
    network = Network()
    for _ in range(12):
        network.step(variant)
    before = network.state
    inferences, forecasts, truth = network.reported()
    inferences[2] = np.nan
    synthesis = infer(before, inferences, forecasts, variant)
    after, outcome = settle(before, synthesis, network.reports(inferences, synthesis, truth), EMISSION, variant)
    check(outcome)
    assert outcome.inference_rewards[2] == 0
    assert after.experience.tolist() == [13, 13, 12, 13, 13, 13, 13, 13]
    for name in ("network", "naive"):
        assert getattr(after.regrets, name)[2] == getattr(before.regrets, name)[2]
    np.testing.assert_array_equal(after.regrets.one_out[2], before.regrets.one_out[2])
    assert after.inference_fractions[2] == before.inference_fractions[2]
    back = infer(after, inferences[[0, 1, 0, 3, 4]], forecasts, variant)
    assert not np.isnan(back.one_out[2])


@variants
def test_newcomers_and_leavers(variant):
    network = Network()
    for _ in range(15):
        network.step(variant)
    network.error = np.append(network.error[[4, 0, 1, 2]], 0.001)
    network.noise = network.noise[[1, 2, 0, 0]]
    network.state = network.state.with_workers([4, 0, 1, 2, -1], [1, 2, 0, -1], variant)
    synthesis, outcome = network.step(variant)
    newcomer, veterans = synthesis.naive_weights[4], synthesis.naive_weights[:4]
    assert newcomer < veterans.max()
    assert outcome.inference_rewards.size == 5
    for _ in range(40):
        synthesis, _ = network.step(variant)
    assert np.argmax(synthesis.naive_weights) == 4  # by far the best, and known for it by now
    network.state = network.state.with_reputers([3, -1, 0, 1], [1e5, 2e5, 3e5, 4e5])
    assert network.state.coefficients[1] == 1
    _, outcome = network.step(variant)
    assert outcome.reputer_rewards.size == 4


@variants
def test_equal_losses_pay_equals_alike(variant):
    state = State.start(4, 2, [1.0, 1.0, 1.0])
    for _ in range(5):
        synthesis = infer(state, np.full(4, 0.5), np.full((2, 4), -1.0), variant)
        assert synthesis.network == 0.5
        losses = Losses(state.layout, np.full((3, state.layout.size), -2.0))
        state, outcome = settle(state, synthesis, losses, EMISSION, variant)
        check(outcome)
        for paid in (outcome.inference_rewards, outcome.forecast_rewards, outcome.reputer_rewards):
            np.testing.assert_allclose(paid, paid[0], rtol=1e-12)
    assert not state.regrets.network.any()


@variants
def test_absurd_inferences_and_reports(variant):
    network = Network()
    for epoch in range(6):
        inferences, forecasts, truth = network.reported()
        inferences[0] = [1e9, np.inf, -1e300, 1e100, np.nan, 1e9][epoch]
        forecasts[1, 1] = [-1e9, np.inf, 1e300, -400, np.nan, 1e9][epoch]
        synthesis = infer(network.state, inferences, forecasts, variant)
        losses = network.reports(inferences, synthesis, truth)
        losses.values[0, epoch] = [np.inf, -1e300, 1e9, np.nan, -np.inf, -1e9][epoch]
        network.state, outcome = settle(network.state, synthesis, losses, EMISSION, variant)
        check(outcome)
    assert np.isfinite(network.state.regrets.network).all()


def test_robust_losses_silence_a_liar():
    shift = {}
    for variant in (SIMULATOR, ROBUST):
        network = Network(5, 3, 8, seed=3)
        network.bias[:] = 0
        network.state = replace(network.state, stakes=np.array([40.0, *[60 / 7] * 7]))
        for _ in range(25):
            inferences, forecasts, truth = network.reported()
            synthesis = infer(network.state, inferences, forecasts, variant)
            losses = network.reports(inferences, synthesis, truth)
            honest = losses.inferences[1:, 0].mean()
            losses.inferences[0, :2] -= 2  # favours two workers
            network.state, outcome = settle(network.state, synthesis, losses, 0.0, variant)
        assert outcome.listened.coefficients[0] < 0.1
        shift[variant.name] = outcome.losses.inferences[0] - honest
    assert shift["simulator"] < -0.6
    assert abs(shift["robust"]) < 0.15


def test_listening_can_be_chosen():
    network = Network()
    inferences, forecasts, truth = network.reported()
    synthesis = infer(network.state, inferences, forecasts)
    losses = network.reports(inferences, synthesis, truth)
    _, outcome = settle(network.state, synthesis, losses, EMISSION, listening=Listening(iterations=1))
    assert outcome.listened.iterations == 1


def test_stakes_grow_by_what_reputers_earn():
    network = Network()
    before = network.state.stakes
    _, outcome = network.step(SIMULATOR)
    np.testing.assert_array_equal(network.state.stakes, before + outcome.reputer_rewards)


def test_a_market_topic_infers_per_symbol_and_is_judged_on_the_cross_section():
    rng, symbols = np.random.default_rng(0), 30
    state = State.start(4, 2, [1.0, 2.0])
    loss = MarketLoss(np.zeros(symbols, dtype=np.int64), np.arange(symbols))
    skill = np.array([0.5, 0.2, 0.0, -0.2])
    for _ in range(20):
        target = rng.standard_normal(symbols)
        raw = skill[:, None] * target + rng.standard_normal((4, symbols))
        ranked = np.array([gaussian_rank(x, np.zeros(symbols, dtype=np.int64)) for x in raw])
        forecasts = -skill + rng.normal(0, 0.1, (2, 4))
        syntheses = [infer(state, inferences, forecasts) for inferences in ranked.T]
        vectors = np.array([state.layout.inferences(x, s) for x, s in zip(ranked.T, syntheses, strict=True)])
        reports = np.tile(loss.log10(vectors.T, target), (2, 1))
        state, outcome = settle(state, syntheses[0], Losses(state.layout, reports), EMISSION)
        check(outcome)
        np.testing.assert_allclose(syntheses[-1].weights, syntheses[0].weights)
    assert (np.diff(state.regrets.naive) < 0).all()  # in the order of skill


def test_refuses_what_does_not_fit():
    network = Network()
    synthesis = infer(network.state, *network.reported()[:2])
    other = Losses(LossLayout(5, 2), np.zeros((4, LossLayout(5, 2).size)))
    with pytest.raises(DataError, match="give one row per reputer for 5 and 3"):
        settle(network.state, synthesis, other, EMISSION)
    layout = network.state.layout
    with pytest.raises(DataError, match="stakes"):
        settle(network.state, synthesis, Losses(layout, np.zeros((3, layout.size))), EMISSION)
    with pytest.raises(DataError, match="emission"):
        settle(network.state, synthesis, Losses(layout, np.zeros((4, layout.size))), -1.0)
    with pytest.raises(DataError, match="inferers are"):
        network.state.with_workers([5], [])
    with pytest.raises(DataError, match="once"):
        network.state.with_workers([0, 0], [])
    with pytest.raises(DataError, match="forecasters are"):
        network.state.with_workers([0], [0.5])
    with pytest.raises(DataError, match="stakes"):
        network.state.with_reputers([0, 1], [1.0])
