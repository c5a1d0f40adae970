"""How the emission is divided between network validators and topics; Eq. 55-58."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.allora.inputs import amounts, shares, vector
from protocol.errors import ConfigError

Floats = NDArray[np.float64]

#: f_v, the part of the emission that goes to network validators.
VALIDATOR_FRACTION = 0.25
#: Weight of the newest target in a topic's weight at weekly cadence, Eq. 57; `emission.converted_alpha` for others.
ALPHA = 0.5
#: Exponents of stake and fees, Eq. 58.
MU = NU = 0.5


def target_weights(stakes: ArrayLike, fees: ArrayLike, mu: float = MU, nu: float = NU) -> Floats:
    """Return what each topic's weight tends to, stake^mu fees^nu; Eq. 58.

    Parameters
    ----------
    stakes : (n,) float
        Staked by each topic's reputers; any unit, not negative.
    fees : (n,) float
        Effective fee revenue of each topic, :mod:`protocol.consensus.allora.fees`; any unit, not negative.
    mu, nu
        Not negative.

    Returns
    -------
    (n,) float64
        0 for a topic without stake or without fees, whatever the exponents.
    """
    if not (0 <= mu < np.inf and 0 <= nu < np.inf):
        raise ConfigError(f"exponents of topic weights are {mu} and {nu}; give finite numbers of at least 0")
    s = amounts("stakes", stakes)
    c = amounts("fees", fees, s.size)
    return np.where((s > 0) & (c > 0), s**mu * c**nu, 0.0)


def topic_weights(targets: ArrayLike, previous: ArrayLike, alpha: float = ALPHA) -> Floats:
    """Return the smoothed weights; Eq. 57.

    Parameters
    ----------
    targets : (n,) float
        Eq. 58.
    previous : (n,) float
        Weights after the last step. NaN: a new topic, whose weight starts at its target.
    alpha
        Weight of the target, for the cadence of the steps.

    Returns
    -------
    (n,) float64
        A topic that nobody pays for any more loses `alpha` of its weight with each step; a new one starts with none.
    """
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha of topic weights is {alpha}; give a number from 0 to 1")
    new = amounts("targets", targets)
    old = vector("previous", previous, new.size)
    return np.where(np.isnan(old), new, alpha * new + (1 - alpha) * old)


def topic_emissions(weights: ArrayLike, emission: float, validator_fraction: float = VALIDATOR_FRACTION) -> Floats:
    """Return what each topic pays out; Eq. 56.

    All 0 if no topic has weight: without fees there is nothing to reward, and the emission stays in the treasury, so
    that topics cannot agree on free inferences and still be paid; the first fee takes everything.

    Parameters
    ----------
    weights : (n,) float
        Smoothed weights of the topics, not negative.
    emission
        Of the network in this step; any unit.
    """
    return (1 - _fraction(validator_fraction)) * emission * shares(amounts("weights", weights))


def validator_emissions(stakes: ArrayLike, emission: float, validator_fraction: float = VALIDATOR_FRACTION) -> Floats:
    """Return what each network validator gets, by stake; Eq. 55. All 0 if nobody has a stake.

    Parameters
    ----------
    stakes : (n,) float
        Any unit, not negative.
    emission
        Of the network in this step; any unit.
    """
    return _fraction(validator_fraction) * emission * shares(amounts("stakes", stakes))


def _fraction(value: float) -> float:
    if not 0 <= value <= 1:
        raise ConfigError(f"the validators' fraction is {value}; give a number from 0 to 1")
    return value
