"""Topics that nobody pays for: one that offers inferences for nothing, and a cartel of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from economy.experiments.attacks.row import Row, middle
from protocol.consensus.allora.emission import converted_alpha
from protocol.consensus.allora.fees import Revenue
from protocol.consensus.allora.topics import ALPHA, VALIDATOR_FRACTION, target_weights, topic_emissions, topic_weights

Floats = NDArray[np.float64]

TOPICS, DAYS, DAYS_PER_WEEK = 4, 28, 7
DAILY = converted_alpha(ALPHA, 1 / DAYS_PER_WEEK)
TOPIC_SHARE = 1 - VALIDATOR_FRACTION
BY_FEES = "topic weight from fees (Eq. 58)"


def topic_shares(paid: Floats, stakes: Floats, *, by_fees: bool) -> Floats:
    """Return the share of all topics' emission that each gets every day, once its fees are in; (days, n).

    Parameters
    ----------
    paid : (days, n) float
        Fees of each day, any unit.
    stakes : (n,) float
    by_fees
        False: the weight follows the stake alone.
    """
    revenues = [Revenue() for _ in stakes]
    weights = np.full(stakes.size, np.nan)
    shares = np.empty_like(paid)
    for day, fees in enumerate(paid):
        revenues = [one.decayed(DAYS_PER_WEEK).consumed(float(fee)) for one, fee in zip(revenues, fees, strict=True)]
        effective = np.array([one.effective for one in revenues]) if by_fees else np.ones_like(stakes)
        weights = topic_weights(target_weights(stakes, effective), weights, DAILY)
        shares[day] = topic_emissions(weights, 1.0) / TOPIC_SHARE
    return shares


def zero_fee_topic(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a topic earns whose consumers stop paying, its stake being what it was."""
    for on in (True, False):
        values = []
        for seed in seeds:
            random = np.random.default_rng(seed)
            fees = random.lognormal(0.0, 0.5, (2 * DAYS, TOPICS))
            fees[DAYS:, 0] = 0
            values.append(float(topic_shares(fees, random.lognormal(0.0, 0.3, TOPICS), by_fees=on)[-1, 0]))
        yield Row.over(
            values,
            attack="zero-fee-topic",
            setting=f"1 of {TOPICS} topics of like stake takes no fees for {DAYS} days",
            defence=BY_FEES,
            on=on,
            measure="its share of the topics' emission",
            unit="share",
            verdict=(
                "free inferences are hardly rewarded"
                if middle(values) < 0.5 / TOPICS
                else "free inferences are rewarded in full"
            ),
        )


def fee_cartel(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what topics earn that agree on taking no fees, and what one of them gains by a single small fee."""
    row = partial(
        Row.over, attack="fee-cartel", setting=f"{TOPICS} topics take no fees; one takes a single fee of 1e-6"
    )
    for on in (True, False):
        agreed, broken = [], []
        for seed in seeds:
            stakes = np.random.default_rng(seed).lognormal(0.0, 0.3, TOPICS)
            fees = np.zeros((DAYS + 1, TOPICS))
            fees[-1, 0] = 1e-6
            shares = topic_shares(fees, stakes, by_fees=on)
            agreed.append(float(shares[-2].sum()))
            broken.append(float(shares[-1, 0]))
        yield row(
            agreed,
            defence=BY_FEES,
            on=on,
            measure="share of the topics' emission that the cartel gets",
            unit="share",
            verdict="without fees nothing is paid out"
            if middle(agreed) == 0
            else "the cartel is paid without selling anything",
        )
        yield row(
            broken,
            defence=BY_FEES,
            on=on,
            measure="share of who breaks it, the day after",
            unit="share",
            verdict="the first fee takes everything" if middle(broken) > 0.99 else "breaking it gains nothing",
        )
