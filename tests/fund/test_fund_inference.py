"""The network inference of a market topic: what the protocol says symbol by symbol, in order, once, and never ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_answers import HOUR, World, names, ranked, world
from numpy.typing import NDArray

from fund.inference import ask, losses_of, settle
from fund.memory import digest
from fund.topic_state import Answers, Inference, TopicState
from protocol.consensus.allora import epoch
from protocol.consensus.allora.confidence import network_interval
from protocol.errors import DataError
from protocol.scores import cross_section_corr

Floats = NDArray[np.float64]
QUANTILES = (0.1587, 0.8413)


def corr(prediction: Floats, truth: Floats) -> float:
    return float(cross_section_corr(prediction, truth, np.zeros(truth.size, np.int64))[0])


def after(made: World, bars: int, **options: object) -> TopicState:
    return list(made.run(range(bars), made.start(**options)))[-1][0]


def said(inferences: list[Inference]) -> list[tuple[object, ...]]:
    return [
        (one.time, *(getattr(one, name).tobytes() for name in ("network", "value", "low", "high")))
        for one in inferences
    ]


@pytest.mark.parametrize("absent", [(), (1,), (0, 2)])
def test_every_inference_is_the_protocols_symbol_by_symbol(absent: tuple[int, ...]) -> None:
    made = world(80, np.array([0.2, 0.1, 0.0, -0.1]), symbols=7)
    state = after(made, 79)
    answers = made.answers(79)
    values = {name: answers.values[name] for i, name in enumerate(names(4)) if i not in absent}
    later, inference = ask(state, replace(answers, values=values))
    pending = later.pending[-1]
    seen = state.track.seen(answers.regime)
    log_forecasts = np.array([one.forecast(seen) for one in state.forecasters])
    for s in range(7):
        mine = np.array([values[name][s] if name in values else np.nan for name in state.models])
        synthesis = epoch.infer(state.epoch, mine, log_forecasts, state.variant)
        expected = state.epoch.layout.inferences(mine, synthesis)
        np.testing.assert_allclose(pending.made[:, s], expected, atol=2e-9)
        np.testing.assert_allclose(pending.weights, synthesis.weights, atol=1e-12)
        np.testing.assert_allclose(pending.naive_weights, synthesis.naive_weights, atol=1e-12)
        band = network_interval(mine, synthesis, state.variant, QUANTILES)
        levels = np.unique(inference.network)
        place = np.interp(band, levels, np.unique(inference.value))
        np.testing.assert_allclose([inference.low[s], inference.high[s]], place, atol=1e-7)
    share = dict(inference.shares)
    assert sum(share.values()) == pytest.approx(1)
    mean = sum(share[name] * values[name] for name in share)
    np.testing.assert_allclose(inference.network, mean, atol=1e-9)


def test_the_value_is_the_rank_of_the_network_and_the_interval_surrounds_the_middle() -> None:
    made = world(60, np.array([0.3, 0.2, 0.1, 0.2, 0.0]))
    for _, inference, _ in made.run(range(60)):
        np.testing.assert_allclose(inference.value, ranked(inference.network), atol=1e-9)
        assert (inference.low <= inference.high).all()
        assert (inference.low >= inference.value.min()).all()
        assert (inference.high <= inference.value.max()).all()
        assert ((inference.low <= inference.value) & (inference.value <= inference.high)).mean() > 0.8


def test_one_model_is_the_network_without_any_doubt() -> None:
    made = world(30, np.array([0.2]))
    state = made.start()
    for bar, (after_it, inference, settlement) in enumerate(made.run(range(30), state)):
        state = after_it
        np.testing.assert_allclose(inference.value, made.values[bar, 0], atol=1e-9)
        np.testing.assert_allclose(inference.low, inference.value, atol=1e-9)
        np.testing.assert_allclose(inference.high, inference.value, atol=1e-9)
        assert inference.shares == ((names(1)[0], 1.0),)
        if settlement:
            assert settlement.losses["network"] == settlement.losses[names(1)[0]]
    assert state.settled == made.time(27)


def test_losses_are_minus_corr_of_the_bar() -> None:
    made = world(40, np.array([0.3, 0.0, -0.2]))
    inferences: list[Inference] = []
    for bar, (_, inference, settlement) in enumerate(made.run(range(40))):
        inferences.append(inference)
        if settlement:
            old = made.due(bar)
            assert settlement.losses["network"] == pytest.approx(
                -corr(inferences[old].network, made.truth[old]), abs=1e-8
            )
            for i, name in enumerate(names(3)):
                assert settlement.losses[name] == pytest.approx(-corr(made.values[old, i], made.truth[old]), abs=1e-8)
            assert settlement.outcome
            shares = settlement.outcome.class_rewards.sum() + settlement.outcome.kept
            assert shares == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_network_learns_whom_to_follow(seed: int) -> None:
    made = world(300, np.array([0.15, 0.05, 0.0, 0.0, -0.05]), seed=seed)
    scores = [
        (corr(inference.network, made.truth[bar]), corr(made.values[bar].mean(axis=0), made.truth[bar]))
        for bar, (_, inference, _) in enumerate(made.run(range(300)))
    ]
    network, mean = np.array(scores)[100:].T
    gain = network - mean
    assert gain.mean() / (gain.std(ddof=1) / np.sqrt(gain.size)) > 3
    assert inference_share(made, 300)[names(1)[0]] > 0.4


def inference_share(made: World, bars: int) -> dict[str, float]:
    return dict(list(made.run(range(bars)))[-1][1].shares)


def opposed(regime: Floats) -> Floats:
    """Two models of which one is right where the other is wrong: the same on average."""
    return np.stack([0.02 + 0.12 * regime[:, 0], 0.02 - 0.12 * regime[:, 0]], axis=1)


@pytest.mark.parametrize(("seed", "memory"), [(0, 0.97), (1, 0.97), (2, 0.0)])
def test_forecasters_help_where_skill_depends_on_the_regime(seed: int, memory: float) -> None:
    """Where regimes last, and where each bar has its own: then only what was seen at the bar itself can help."""
    made = world(500, opposed, seed=seed, memory=memory)

    def scores(forecasters: tuple[str, ...]) -> Floats:
        run = made.run(range(500), made.start(forecasters=forecasters))
        return np.array([corr(one.network, made.truth[bar]) for bar, (_, one, _) in enumerate(run)])[150:]

    gain = scores(("reverting", "regime-ridge")) - scores(())
    assert gain.mean() / (gain.std(ddof=1) / np.sqrt(gain.size)) > 2


@settings(max_examples=15)
@given(st.integers(1, 25), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_later_truth_answer_or_regime_enters(cut: int, horizon: int, seed: int) -> None:
    made = world(30, np.array([0.3, 0.1, 0.0]), symbols=6, horizon=horizon, seed=seed % 1000)
    rng = np.random.default_rng(seed)
    truth, values, regime = made.truth.copy(), made.values.copy(), made.regime.copy()
    known = max(cut - horizon, 0)  # truths of bars from here on arrive after the close of bar `cut`
    truth[known:] = rng.standard_normal(truth[known:].shape)
    values[cut + 1 :], regime[cut + 1 :] = rng.standard_normal(values[cut + 1 :].shape), rng.uniform(-3, 3)
    other = replace(made, truth=truth, values=values, regime=regime)
    ours, theirs = ([one for _, one, _ in each.run(range(30))] for each in (made, other))
    assert said(ours[: cut + 1]) == said(theirs[: cut + 1])
    if cut + 1 < 30:
        assert said(ours[cut + 1 :]) != said(theirs[cut + 1 :])


def test_truth_is_refused_before_it_can_be_known_and_out_of_order() -> None:
    made = world(10, np.array([0.3, 0.1]), horizon=3)
    state = made.start()
    for bar in range(4):
        state, _ = ask(state, made.answers(bar))
    with pytest.raises(DataError, match="wait"):
        settle(state, made.time(0), made.truth[0], asof=made.time(5) - 1)
    with pytest.raises(DataError, match="not the next"):
        settle(state, made.time(1), made.truth[1], asof=made.time(9))
    state, settlement = settle(state, made.time(0), made.truth[0], asof=made.time(5))
    assert settlement
    with pytest.raises(DataError, match="clock"):
        ask(state, made.answers(2).__class__(**{**fields_of(made.answers(2)), "time": made.time(2) + 1}))


def fields_of(answers: Answers) -> dict[str, object]:
    return {name: getattr(answers, name) for name in Answers.__slots__}


def test_settling_or_asking_again_changes_nothing() -> None:
    made = world(10, np.array([0.3, 0.1]))
    state = after(made, 6)
    again, inference = ask(state, replace(made.answers(5), values={}))
    assert again is state
    assert inference is state.pending[-1].inference
    once, first = settle(state, made.time(4), made.truth[4], asof=made.time(9))
    twice, second = settle(once, made.time(4), -made.truth[4], asof=made.time(9))
    assert first
    assert second is None
    assert twice is once
    with pytest.raises(DataError, match="clock"):
        ask(once, made.answers(4))


def test_nobody_is_a_network_that_says_nothing_and_waits_for_no_truth() -> None:
    made = world(10, np.array([0.3, 0.1]))
    nobody = replace(made.answers(0), values={}, standing={})
    state, inference = ask(made.start(), nobody)
    assert inference.is_empty
    assert inference.value.size == 0
    assert not state.pending
    state, inference = ask(state, made.answers(0))
    assert not inference.is_empty, "nothing had been said at this bar"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_a_model_without_a_number_is_absent_and_named(bad: float) -> None:
    made = world(20, np.array([0.3, 0.1, 0.2]))

    def answers(bar: int) -> Answers:
        whole = made.answers(bar)
        broken = whole.values[names(2)[1]].copy()
        broken[3] = bad
        return replace(whole, values={**whole.values, names(2)[1]: broken} if bar > 5 else whole.values)

    state = made.start()
    for bar, (after_it, inference, settlement) in enumerate(made.run(range(20), state, answers)):
        state = after_it
        assert (names(2)[1] in dict(inference.shares)) == (bar <= 5)
        assert dict(inference.absent) == ({names(2)[1]: "its answer is not finite"} if bar > 5 else {})
        assert np.isfinite(inference.value).all()
        if settlement and made.due(bar) > 5:
            assert names(2)[1] not in settlement.losses
    assert names(2)[1] in state.models, "its regrets are kept"


def test_all_models_without_a_number_say_nothing() -> None:
    made = world(3, np.array([0.3, 0.1]))
    values = {name: np.full(40, np.nan) for name in names(2)}
    _, inference = ask(made.start(), replace(made.answers(0), values=values))
    assert inference.is_empty
    assert [name for name, _ in inference.absent] == names(2)


def test_reasons_for_silence_are_told() -> None:
    made = world(3, np.array([0.3, 0.1, 0.2]))
    answers = made.answers(0)
    values = {names(3)[2]: answers.values[names(3)[2]]}
    standing = {names(3)[0]: 1.0, names(3)[1]: 0.0, names(3)[2]: 1.0}
    _, inference = ask(
        made.start(), replace(answers, values=values, standing=standing, failed={names(3)[0]: "cpu: 60 s"})
    )
    assert dict(inference.absent) == {names(3)[0]: "cpu: 60 s", names(3)[1]: "it has no standing"}


def test_standing_is_a_prior_weight() -> None:
    made = world(120, np.array([0.1, 0.1, 0.1]))
    state, answers = after(made, 119), made.answers(119)
    shares = []
    for weight in (1.0, 0.5, 0.1, 1e-6):
        _, inference = ask(state, replace(answers, standing={**answers.standing, names(1)[0]: weight}))
        shares.append(dict(inference.shares))
    first = [share[names(1)[0]] for share in shares]
    assert sorted(first, reverse=True) == first
    for weight, share in zip((1.0, 0.5, 0.1, 1e-6), shares, strict=True):
        assert sum(share.values()) == pytest.approx(1)
        odds = share[names(1)[0]] / share[names(2)[1]] / (shares[0][names(1)[0]] / shares[0][names(2)[1]])
        assert odds == pytest.approx(weight)
    halves = replace(answers, standing=dict.fromkeys(names(3), 0.5))
    _, equal = ask(state, halves)
    _, full = ask(state, answers)
    np.testing.assert_allclose(equal.network, full.network, atol=2e-9)


def test_models_come_and_go_while_bars_are_pending() -> None:
    made = world(60, np.array([0.3, 0.1, 0.0, 0.2]), horizon=3)
    first, second, third, fourth = names(4)

    def rosters(bar: int) -> set[str]:
        return {first, second} if bar < 20 else {first, third} if bar < 40 else {third, fourth}

    def answers(bar: int) -> Answers:
        whole, here = made.answers(bar), rosters(bar)
        values = {name: value for name, value in whole.values.items() if name in here}
        return replace(whole, values=values, standing=dict.fromkeys(here, 1.0))

    for bar, (state, inference, settlement) in enumerate(made.run(range(60), answers=answers)):
        assert set(dict(inference.shares)) == rosters(bar)
        if settlement:
            there = rosters(made.due(bar))
            assert set(settlement.losses) - {"network", "naive", "reverting", "regime-ridge"} == there
        pending = {name for one in state.pending for name in one.present}
        assert set(state.models) == rosters(bar) | pending
    assert set(state.models) == {third, fourth}


@pytest.mark.parametrize(("skill", "earned"), [(0.3, True), (0.0, False)])
def test_a_newcomer_among_the_experienced_has_to_earn_its_weight(skill: float, earned: bool) -> None:
    made = world(300, np.array([0.15, 0.15, skill]))
    newcomer = names(3)[2]

    def answers(bar: int) -> Answers:
        whole = made.answers(bar)
        if bar >= 150:
            return whole
        values = {name: value for name, value in whole.values.items() if name != newcomer}
        return replace(whole, values=values, standing=dict.fromkeys(names(2), 1.0))

    share = [dict(inference.shares).get(newcomer, 0.0) for _, inference, _ in made.run(range(300), answers=answers)]
    assert share[149] == 0
    assert share[150] < 0.1
    assert (np.mean(share[-50:]) > 0.5) == earned


def test_missing_truths_are_left_out_and_too_few_are_no_judgement() -> None:
    made = world(10, np.array([0.3, 0.1]), symbols=8)
    state = after(made, 5)
    time, truth = state.pending[0].time, made.truth[3].copy()
    truth[:3] = np.nan
    _, judged = settle(state, time, truth, asof=made.time(9))
    assert judged
    assert judged.rows == 5
    assert judged.losses[names(1)[0]] == pytest.approx(-corr(made.values[3, 0, 3:], made.truth[3, 3:]), abs=1e-8)
    truth[:4] = np.nan
    void, closed = settle(state, time, truth, asof=made.time(9))
    assert closed
    assert closed.outcome is None
    assert closed.losses == {}
    assert void.settled == time
    np.testing.assert_array_equal(void.epoch.regrets.network, state.epoch.regrets.network)


def test_validators_report_and_are_listened_to_by_stake() -> None:
    made = world(60, np.array([0.3, 0.0, 0.1]))
    state, stakes = made.start(), {"a": 3.0, "b": 2.0, "c": 1.0}
    rng = np.random.default_rng(0)
    for bar in range(60):
        if state.pending and bar >= 2:
            own = losses_of(state, made.time(bar - 2), made.truth[bar - 2]).values
            reports = {"a": own, "b": own, "c": own + rng.normal(0, 1, own.size)}
            if bar == 40:
                del reports["b"]
            state, settlement = settle(
                state, made.time(bar - 2), made.truth[bar - 2], asof=made.time(bar + 1), stakes=stakes, reports=reports
            )
            assert settlement
            assert settlement.reputers == ("a", "b", "c")
            assert settlement.outcome
            paid = settlement.outcome.reputer_rewards
            assert (paid[1] == 0) == (bar == 40)
        state, _ = ask(state, made.answers(bar))
    assert settlement.outcome.reputer_fractions[2] < 1 / 6, "it reports noise"
    np.testing.assert_array_less(state.epoch.coefficients[2], state.epoch.coefficients[0])
    with pytest.raises(DataError, match="stake"):
        settle(state, state.pending[0].time, made.truth[58], asof=made.time(70), reports={"z": own})


def test_what_cannot_be_asked_is_refused() -> None:
    made = world(3, np.array([0.3]))
    answers = made.answers(0)
    for change, words in (
        ({"symbols": answers.symbols[:4]}, "at least 5"),
        ({"symbols": answers.symbols[:-1] + answers.symbols[:1]}, "each once"),
        ({"values": {names(1)[0]: np.zeros(3)}}, "one for each"),
        ({"standing": {}}, "no standing"),
        ({"standing": {names(1)[0]: 1.5}}, "from 0 to 1"),
        ({"standing": {names(1)[0]: np.nan}}, "from 0 to 1"),
        ({"regime": np.full(8, np.nan)}, "finite"),
    ):
        with pytest.raises(DataError, match=words):
            replace(answers, **change)  # type: ignore[arg-type]  # wrong on purpose
    state, _ = ask(made.start(), answers)
    with pytest.raises(DataError, match="shape"):
        losses_of(state, made.time(0), np.zeros(3))
    with pytest.raises(DataError, match="not pending"):
        losses_of(state, made.time(1), made.truth[1])
    with pytest.raises(DataError, match="no bar is pending"):
        settle(made.start(), made.time(1), made.truth[1], asof=made.time(9))
    for options, words in (({"forecasters": ("oracle",)}, "oracle"), ({"forecasters": ("reverting",) * 2}, "once")):
        with pytest.raises(DataError, match=words):
            made.start(**options)
    with pytest.raises(DataError, match="positive"):
        TopicState.start(interval=HOUR, horizon=0)


def test_steps_are_values() -> None:
    made = world(20, np.array([0.3, 0.1]))
    state = after(made, 10)
    before = digest(state)
    later, _ = settle(state, state.pending[0].time, made.truth[8], asof=made.time(12))
    ask(later, made.answers(10))
    assert digest(state) == before
    assert digest(later) != before
