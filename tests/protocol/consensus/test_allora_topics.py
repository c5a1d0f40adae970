"""Topic weights, and the emission between topics and network validators."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.allora.topics import target_weights, topic_emissions, topic_weights, validator_emissions
from protocol.errors import ConfigError, DataError

CASES = json.loads((Path(__file__).parent / "vectors" / "allora_topics.json").read_text())["cases"]
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
AMOUNTS = st.lists(st.floats(0, 1e12), min_size=1, max_size=8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['series'][0]['stake'])} topics")
def test_the_weeks_of_the_vectors(case):
    weights = np.full(len(case["series"][0]["stake"]), np.nan)
    for row in case["series"]:
        targets = target_weights(row["stake"], row["fees"], case["mu"], case["nu"])
        np.testing.assert_allclose(targets, row["target"], **CLOSE)
        weights = topic_weights(targets, weights, case["alpha_t"])
        np.testing.assert_allclose(weights, row["weight"], **CLOSE)
        np.testing.assert_allclose(topic_emissions(weights, case["E"]), row["topic_emission"], **CLOSE)
        np.testing.assert_allclose(validator_emissions(row["stake"], case["E"]), row["validator_emission"], **CLOSE)


@given(AMOUNTS, AMOUNTS, st.floats(0, 1e9), st.floats(0, 1))
def test_validators_and_topics_share_everything_if_there_are_any(weights, stakes, emission, fraction):
    topics, validators = topic_emissions(weights, emission, fraction), validator_emissions(stakes, emission, fraction)
    assert topics.sum() == pytest.approx((1 - fraction) * emission if any(weights) else 0, rel=1e-9)
    assert validators.sum() == pytest.approx(fraction * emission if any(stakes) else 0, rel=1e-9)
    assert topics.min() >= 0
    assert validators.min() >= 0


def test_the_weight_is_the_geometric_mean_of_stake_and_fees():
    assert target_weights([4.0, 9.0], [9.0, 16.0]).tolist() == [6, 12]
    assert target_weights([8.0], [5.0], mu=1, nu=0).tolist() == [8]


@pytest.mark.parametrize(("mu", "nu"), [(0.5, 0.5), (1, 0), (0, 1), (0, 0)])
def test_without_stake_or_fees_a_topic_has_no_weight(mu, nu):
    assert target_weights([5.0, 0.0, 0.0], [0.0, 5.0, 0.0], mu, nu).tolist() == [0, 0, 0]


def test_a_cartel_of_free_topics_earns_nothing_and_the_first_fee_takes_everything():
    stakes = [1e6, 2e6, 3e6]
    free = target_weights(stakes, [0, 0, 0])
    assert topic_emissions(free, 100).tolist() == [0, 0, 0]
    assert topic_emissions(target_weights(stakes, [1e-18, 0, 0]), 100).tolist() == [75, 0, 0]


def test_weights_move_half_way_a_week_and_new_topics_start_at_their_target():
    assert topic_weights([4, 4, 0], [2, np.nan, 8]).tolist() == [3, 4, 4]


def test_dust_is_weighted_without_underflow():
    assert topic_emissions(target_weights([1e-300, 4e-300], [1e-300, 1e-300]), 1) == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: target_weights([1, 2], [1]), DataError, "fees has shape (1,)"),
        (lambda: target_weights([1], [-1]), DataError, "fees[0] is -1"),
        (lambda: target_weights([1], [1], mu=-1), ConfigError, "exponents of topic weights are -1 and 0.5"),
        (lambda: topic_weights([1], [1], alpha=1.5), ConfigError, "alpha of topic weights is 1.5"),
        (lambda: topic_weights([1], [1, 2]), DataError, "previous has shape (2,)"),
        (lambda: topic_emissions([1], 1, 2), ConfigError, "validators' fraction is 2"),
        (lambda: validator_emissions([np.nan], 1), DataError, "stakes[0] is nan"),
    ],
)
def test_nonsense_is_refused(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
