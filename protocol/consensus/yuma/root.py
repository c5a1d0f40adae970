"""The root: stake weighs the topics, and TAO staked there has a say in every topic.

Validators set weights on topics as they do on miners; the result is each topic's share of the emission. Three rules for it:
Yuma over the topics, the plain stake-weighted mean, and the sigmoid of trust that Bittensor's root used until February 2025.
With dynamic TAO pools set the shares (:mod:`protocol.consensus.yuma.pools`), and root stake counts in every topic by its
`tao_weight`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.yuma.consensus import consensus_weights, shares, weight_shares
from protocol.consensus.yuma.split import amounts, share
from protocol.errors import ConfigError, DataError

Rule = Literal["yuma", "stake", "trust"]

#: subtensor's runtime stores 971_718_665_099_567_868 of 2^64 - 1: 5.27 %.
TAO_WEIGHT = 971_718_665_099_567_868 / (2**64 - 1)
KAPPA = 0.5
#: Steepness of the sigmoid of trust.
RHO = 10.0


def root_shares(
    stakes: ArrayLike, weights: ArrayLike, rule: Rule = "yuma", kappa: float = KAPPA, rho: float = RHO
) -> NDArray[np.float64]:
    """Return each topic's share of the emission.

    Parameters
    ----------
    stakes : (V,) float
        Finite, not negative, any one unit.
    weights : (V, T) float
        What each validator gives each topic, any scale per row; what is not a number in [0, 1e100] counts as no weight.
    rule : {"yuma", "stake", "trust"}
        ``yuma``: stake-weighted sum of the weights clipped at what `kappa` of the stake supports;
        ``stake``: the same unclipped; ``trust``: unclipped, times ``1 / (1 + exp(-rho (trust - kappa)))`` with `trust` the
        share of the stake that gives the topic any weight.
    kappa : float
        In (0, 1].
    rho : float
        Not negative.

    Returns
    -------
    (T,) float64
        Adds up to one; all zero where nobody has stake and weights, or (``yuma``) the stake agrees on no topic.

    Raises
    ------
    ConfigError, DataError
        An unknown rule or a parameter out of range; stakes that are negative or not finite, shapes that do not fit.
    """
    if rule not in ("yuma", "stake", "trust"):
        raise ConfigError(f"root rule is {rule!r}; give one of yuma, stake, trust")
    if not (0 < kappa <= 1 and 0 <= rho < np.inf):
        raise ConfigError(f"kappa is {kappa} and rho is {rho}; give kappa in (0, 1] and a finite rho of at least 0")
    voice = shares(amounts(stakes, "stakes"))
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"weights are {weights!r:.80}; give numbers, rows of equal length") from error
    if given.ndim != 2 or given.shape[0] != voice.size:
        raise DataError(f"weights have shape {given.shape} for {voice.size} validators; give one row per validator")
    rows = weight_shares(given)
    if rule == "yuma":
        rows = np.minimum(rows, consensus_weights(voice, rows, kappa))
    ranks = voice @ rows
    if rule == "trust":
        with np.errstate(over="ignore"):  # a steep sigmoid's tail is 0
            ranks = ranks / (1 + np.exp(-rho * (voice @ (rows > 0) - kappa)))
    return shares(ranks)


def weighted_stake(alpha: ArrayLike, tao: ArrayLike, tao_weight: float = TAO_WEIGHT) -> NDArray[np.float64]:
    """Return what each validator votes with in a topic: ``alpha + tao_weight tao``.

    Parameters
    ----------
    alpha, tao : (V,) float
        Its stake in the topic and at the root, one unit.
    tao_weight : float
        0 to 1.

    Raises
    ------
    ConfigError, DataError
        The weight is out of range; a stake is negative or not finite; the lengths differ.
    """
    own, root = _pair(alpha, tao)
    return own + float(share(tao_weight, "tao_weight")) * root


def root_proportion(root_tao: float, alpha_issuance: float, tao_weight: float = TAO_WEIGHT) -> float:
    """Return the root's part of a topic: ``tao_weight root_tao / (tao_weight root_tao + alpha_issuance)``.

    It falls as the topic's alpha is issued. subtensor `root_proportion`.

    Parameters
    ----------
    root_tao : float
        TAO staked at the root.
    alpha_issuance : float
        The topic's alpha in its pool and outstanding.
    tao_weight : float
        0 to 1.

    Returns
    -------
    float
        0 to 1; 0 where there is neither.

    Raises
    ------
    ConfigError, DataError
        The weight is out of range; an amount is negative or not finite.
    """
    weighed = float(share(tao_weight, "tao_weight")) * float(amounts(root_tao, "root_tao", 0))
    return float(shares(np.array([weighed, float(amounts(alpha_issuance, "alpha_issuance", 0))]))[0])


def divide_dividends(
    dividends: ArrayLike, alpha: ArrayLike, tao: ArrayLike, tao_weight: float = TAO_WEIGHT
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how the alpha part and the root part of the validators' emission are shared.

    A validator's dividend counts for the root by the part of root stake in what it votes with, and for the topic by the rest;
    each part is then normalised. subtensor `calculate_dividend_distribution`.

    Parameters
    ----------
    dividends : (V,) float
        Of the epoch, any scale.
    alpha, tao : (V,) float
        As for :func:`weighted_stake`.
    tao_weight : float

    Returns
    -------
    alpha_shares, root_shares : (V,) float64
        Each adds up to one, or is all zero where nobody has such stake and a dividend.

    Raises
    ------
    ConfigError, DataError
        As :func:`weighted_stake`.
    """
    paid = amounts(dividends, "dividends")
    total = weighted_stake(alpha, tao, tao_weight)
    if paid.shape != total.shape:
        raise DataError(f"dividends {paid.shape} and stakes {total.shape} must have one entry per validator")
    own = np.divide(amounts(alpha, "alpha"), total, out=np.zeros_like(total), where=total > 0)
    rooted = np.where(total > 0, 1 - own, 0.0)
    return shares(paid * own), shares(paid * rooted)


def _pair(alpha: ArrayLike, tao: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    own, root = amounts(alpha, "alpha"), amounts(tao, "tao")
    if own.shape != root.shape:
        raise DataError(f"alpha {own.shape} and tao {root.shape} must have one entry per validator")
    return own, root
