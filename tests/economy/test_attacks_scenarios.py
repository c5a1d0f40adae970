"""What the scenarios behind the attack table do beyond its settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from economy.experiments.attacks.edges import forecast_regrets, literal_weights
from economy.experiments.attacks.entropy import entropy_gain
from economy.experiments.attacks.fees import topic_shares
from economy.experiments.attacks.pools import GENEROUS, RULE, drained
from economy.experiments.attacks.reputers import Lie, lied
from economy.experiments.attacks.reveals import inherited_incentive, replayed_dividend
from economy.experiments.attacks.row import Row
from economy.experiments.attacks.topic import draw_topic, run_topic
from economy.experiments.attacks.validators import cabal_incentive, copied_dividend
from economy.experiments.attacks.workers import literal_epochs_lost
from protocol.consensus.allora.potential import weights
from protocol.consensus.allora.variant import PAPER
from protocol.consensus.yuma.variant import SUBTENSOR

SEED = st.integers(1, 1000)


def test_a_row_is_the_median_and_the_range() -> None:
    words = {"attack": "a", "setting": "s", "defence": "d", "on": True, "measure": "m", "unit": "u", "verdict": "v"}
    row = Row.over([3.0, 1.0, 2.0, 7.0], **words)
    assert (row.value, row.low, row.high) == (2.5, 1.0, 7.0)
    assert row.shown() == "2.5 (1 to 7)"
    assert Row.over([0.12345], **words).shown() == "0.123"


@settings(max_examples=40, deadline=None)
@given(seed=SEED, stake=st.floats(0.0, 0.4999))
def test_a_minority_raises_its_miner_by_no_more_than_it_lowers_the_others(seed: int, stake: float) -> None:
    alone = cabal_incentive(seed, 0.0, SUBTENSOR)
    assert cabal_incentive(seed, stake, SUBTENSOR) == pytest.approx(alone / (alone + (1 - alone) * (1 - stake)))


@settings(max_examples=20, deadline=None)
@given(seed=SEED, stake=st.floats(0.5001, 1.0))
def test_a_majority_takes_everything(seed: int, stake: float) -> None:
    assert cabal_incentive(seed, stake, SUBTENSOR) == pytest.approx(1)


def test_copying_what_never_changes_costs_nothing() -> None:
    assert copied_dividend(1, 20, 0.0, replace(SUBTENSOR, bond_penalty=0.0)) == pytest.approx(1, abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=SEED)
def test_commitments_are_neither_replayed_nor_inherited(seed: int) -> None:
    assert replayed_dividend(seed, bound=True) == 0 < replayed_dividend(seed, bound=False)
    assert inherited_incentive(seed, masked=True) == 0 < inherited_incentive(seed, masked=False)


@settings(max_examples=10, deadline=None)
@given(seed=SEED, stake=st.floats(0.1, 0.4))
def test_two_liars_with_a_minority_of_the_stake_are_silenced(seed: int, stake: float) -> None:
    damage = lied(seed, Lie(stake), defended=True)
    assert damage.coefficient < 0.1
    assert abs(damage.shift) < 0.1
    assert damage.reward < stake / 2
    assert damage.robust_shift == pytest.approx(damage.shift)
    assert damage.raw_shift == pytest.approx(-2 * stake, abs=0.1)


def test_more_names_are_believed_more() -> None:
    for defended in (True, False):
        shifts = [lied(1, Lie(0.4, liars=liars), defended=defended).shift for liars in (2, 6, 12, 24)]
        assert shifts == sorted(shifts, reverse=True)
        assert shifts[-1] < -1


@settings(max_examples=30, deadline=None)
@given(copies=st.integers(1, 200), beta=st.floats(0.0, 1.0))
def test_the_number_ratio_only_lowers_the_entropy(copies: int, beta: float) -> None:
    assert 0 < entropy_gain(copies, beta) <= entropy_gain(copies, 0.0) + 1e-12
    assert entropy_gain(1, beta) == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(seed=SEED, reserve=st.integers(2, 10**30))
def test_no_trader_profits_from_rounding(seed: int, reserve: int) -> None:
    profit, fell = drained(seed, reserve, RULE)
    assert profit <= 0
    assert fell == 0
    assert drained(seed, reserve, GENEROUS)[0] >= profit


def test_shares_of_topics_sum_to_one_while_anyone_pays() -> None:
    fees = np.random.default_rng(1).lognormal(size=(30, 3)) * np.array([1, 1, 0])
    shares = topic_shares(fees, np.ones(3), by_fees=True)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert (shares[:, 2] == 0).all()


def test_weights_as_printed_underflow_where_the_protocol_s_do_not() -> None:
    regrets = forecast_regrets(9)
    lost = literal_weights(regrets).sum(axis=-1) == 0
    assert lost.any()
    assert weights(regrets, PAPER).sum(axis=-1) == pytest.approx(1)


def test_a_topic_without_attack_pays_everyone_and_loses_nothing() -> None:
    network = draw_topic(1, workers=3, epochs=20)
    course = run_topic(network)
    assert np.isfinite(course.losses.values).all()
    assert course.weights.sum(axis=1) == pytest.approx(1)
    assert course.inference_fractions.sum(axis=1) == pytest.approx(1)
    assert course.forecast_fractions.sum(axis=1) == pytest.approx(1)
    assert course.paid == pytest.approx(1)
    assert literal_epochs_lost(network) == 0
