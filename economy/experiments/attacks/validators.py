"""Validators of a Yuma topic: one that copies weights, one that is early, one that comes late, and cabals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from economy.experiments.attacks.row import Row, middle
from protocol.consensus.yuma.epoch import run_epoch
from protocol.consensus.yuma.variant import SUBTENSOR, YUMA3, Params

Floats = NDArray[np.float64]

EPOCHS, SETTLED = 120, 40  # of the copier; dividends count once bonds have settled
HONEST, MINERS = 8, 16
COPIER_STAKE = 0.05
JUDGEMENT = 0.03  # honest validators' deviation from the true quality, natural logarithm
UNPENALISED = replace(SUBTENSOR, name="subtensor without bond penalty", bond_penalty=0.0)
SLOW_LIQUID = replace(YUMA3, name="liquid", liquid=True, alpha_low=0.1, alpha_high=0.3)
BONDS = (
    ("Yuma 1, bond penalty 1", SUBTENSOR),
    ("Yuma 1, bond penalty 0", UNPENALISED),
    ("Yuma 3, bond penalty 0", YUMA3),
)
SMALL_GAIN = 0.01  # differences below count as nothing


def copied_dividend(seed: int, lag: int, drift: float, params: Params) -> float:
    """Return a weight copier's dividend per stake over the honest validators'.

    Parameters
    ----------
    seed
        Of qualities and judgement.
    lag
        Age of the weights it copies, epochs: the median of the honest ones.
    drift
        Standard deviation of the step of each miner's log quality per epoch.
    params
        The variant of Yuma.
    """
    random = np.random.default_rng(seed)
    quality = 0.5 * random.normal(size=MINERS)
    stakes = np.append(np.full(HONEST, (1 - COPIER_STAKE) / HONEST), COPIER_STAKE)
    seen: list[Floats] = []
    bonds, dividends = None, np.zeros(stakes.size)
    for epoch in range(EPOCHS):
        quality += drift * random.normal(size=MINERS)
        judged = np.exp(quality + JUDGEMENT * random.normal(size=(HONEST, MINERS)))
        seen.append(np.median(judged / judged.sum(axis=1, keepdims=True), axis=0))
        decided = run_epoch(stakes, np.vstack([judged, seen[max(0, epoch - lag)]]), bonds, params)
        bonds = decided.bonds
        if epoch >= SETTLED:
            dividends += decided.dividends
    per_stake = dividends / stakes
    return float(per_stake[-1] / per_stake[:-1].mean())


def weight_copier(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what copying pays: weights are public after an epoch, or hidden longer by commit and reveal."""
    row = partial(Row.over, attack="weight-copier", defence="commit-reveal", unit="ratio")
    for drift, lags, variants in ((0.15, (1, 5, 10, 20), BONDS), (0.01, (1, 10), BONDS[:1])):
        for bonds, params in variants:
            for lag in lags:
                values = [copied_dividend(seed, lag, drift, params) for seed in seeds]
                lost = 1 - middle(values)
                yield row(
                    values,
                    setting=f"{COPIER_STAKE:.0%} of stake, miners drift {drift:.0%} per epoch; {bonds}",
                    on=lag > 1,
                    measure=f"dividend per stake over an honest validator's, lag {lag}",
                    verdict=f"copying costs {lost:.1%} of the dividend" if lost > SMALL_GAIN else "copying is free",
                )


def discovery_dividends(params: Params) -> tuple[float, float]:
    """Return the dividends per stake of a validator that finds a new miner early, and of its twin that follows late.

    Each has 10 % of the stake. All weight moves to the new miner: the early validator's at once, the majority's two epochs
    later, the late one's four. Mean over 40 epochs, after 60 epochs on the old miners; nothing here is random.
    """
    stakes = np.full(10, 0.1)
    moves = np.array([2] * 8 + [0, 4])
    old, new = np.repeat([1.0, 0.0], [9, 1]), np.repeat([0.0, 1.0], [9, 1])
    bonds, dividends = None, np.zeros(10)
    for epoch in range(-60, 40):
        decided = run_epoch(stakes, np.where((epoch >= moves)[:, None], new, old), bonds, params)
        bonds = decided.bonds
        if epoch >= 0:
            dividends += decided.dividends
    early, late = (dividends / stakes / 40)[8:]
    return float(early), float(late)


def late_validator(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what it pays to wait until others have found a good miner; `seeds` change nothing."""
    row = partial(Row.over, attack="late-validator", defence="moving average of bonds (off: alpha 1)", unit="ratio")
    for on, (bonds, params) in (
        (False, (BONDS[0][0], replace(SUBTENSOR, alpha=1.0))),
        *((True, each) for each in (*BONDS, ("Yuma 3, liquid alpha 0.1 to 0.3", SLOW_LIQUID))),
    ):
        early, late = discovery_dividends(params)
        verdict = f"finding pays {early / late:.1f} times what following does"
        for who, value in (("early validator", early), ("late twin", late)):
            yield row(
                [value],
                setting=f"10% of stake each; {bonds}",
                on=on,
                measure=f"{who}'s dividend per stake over 40 epochs",
                verdict=verdict,
            )


def cabal_incentive(seed: int, stake: float, params: Params, miners: int = 80) -> float:
    """Return the incentive of the cabal's own miner, the only one it sets a weight on.

    Honest validators judge all miners alike but for 30 % noise.
    """
    random = np.random.default_rng(seed)
    stakes = np.append(np.full(HONEST, (1 - stake) / HONEST), stake)
    honest = np.exp(0.3 * random.normal(size=miners))
    return float(
        run_epoch(stakes, np.vstack([np.tile(honest, (HONEST, 1)), np.eye(miners)[0]]), params=params).incentive[0]
    )


def cabal(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what validators earn their own miner by giving it all of their weight."""
    clip = "clip at the weight that half of the stake supports"
    unclipped = replace(SUBTENSOR, kappa=1e-9)
    strict = replace(SUBTENSOR, kappa=0.5 + 1e-6)
    for stake, defence, off in (
        (0.05, clip, unclipped),
        (0.49, clip, unclipped),
        (0.50, "a tie is enough support", strict),
        (0.51, clip, unclipped),
    ):
        for on, params in ((True, SUBTENSOR), (False, off)):
            values = [cabal_incentive(seed, stake, params) for seed in seeds]
            got = middle(values)
            told = "it takes everything" if got > 0.99 else f"it takes {got:.0%}"
            yield Row.over(
                values,
                attack="cabal",
                setting=f"{stake:.0%} of stake on one of 80 equal miners",
                defence=defence,
                on=on,
                measure="incentive of its miner",
                unit="share",
                verdict="it gains next to nothing" if got < 0.05 else told,
            )
