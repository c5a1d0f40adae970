"""The points on which the paper, its authors' simulator and the chain differ, as one parameter object."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal

#: Eq. 16-19: the 1 sigma and 2 sigma limits of a Gaussian, as quantiles.
GAUSSIAN_QUANTILES = (0.0228, 0.1587, 0.8413, 0.9772)


@dataclass(frozen=True, slots=True)
class Variant:
    """Parameters of the synthesis and of the rewards.

    Attributes
    ----------
    name
        What results call it.
    p, c
        Steepness and centre of the potential, Eq. 6.
    epsilon
        Added to the scale of regrets and scores, Eq. 8, 11, 29; in log10 of the loss.
    alpha
        Weight of the newest value in the moving averages of Eq. 15, 40 and 44.
    clip
        Cut normalised regrets as the simulator does: the largest to at most c + 6.75/p and at least c - 8.25/p,
        weight 0 below c - 17.25/p.
    scale
        What divides regrets in Eq. 8 and 11: the sample standard deviation (ddof 1), or 1.4826 times the median
        absolute deviation over workers whose previous weight exceeds `negligible_weight`.
    negligible_weight
        See `scale`; a share of the total weight.
    solo_offset
        f+ of Eq. 26 is 2 ** -(forecasters - solo_offset): 0 as printed, 1 so that a lone forecaster's is 1.
    shrink_interval
        Divide deviations by sqrt(N) in Eq. 16.
    quantiles
        Of the confidence interval, Eq. 16-19.
    single_entropy
        Entropy (nats) of a class with one participant, Eq. 38: 0 by definition, ln(2)/4 on the chain.
    beta
        Exponent of the number ratio, Eq. 38.
    score_window
        Steps over which the deviation of scores is taken in Eq. 29, this one included.
    equal_below_epsilon
        When that deviation is below `epsilon`, everybody's reward fraction is the same, as on the chain; else Eq. 29 as
        printed.
    positive_best
        The largest inference score of Eq. 44 is at least 0, as on the chain; else it may be negative, as printed.
    reputer_p
        Exponent of stake times score, Eq. 36.
    robust
        Weigh the losses of Eq. 14 by adjusted stakes (Eq. 30) instead of raw ones, so that a reputer who is not listened
        to moves no regret either. Nobody's default: the paper, simulator and chain all keep the raw stake.
    """

    name: str
    p: float = 3.0
    c: float = 0.75
    epsilon: float = 0.01
    alpha: float = 0.1
    clip: bool = False
    scale: Literal["std", "mad"] = "std"
    negligible_weight: float = 1e-6
    solo_offset: int = 1
    shrink_interval: bool = False
    quantiles: tuple[float, ...] = (*GAUSSIAN_QUANTILES, 0.5)
    single_entropy: float = log(2) / 4
    beta: float = 0.25
    score_window: int = 10
    equal_below_epsilon: bool = True
    positive_best: bool = True
    reputer_p: float = 1.0
    robust: bool = False


SIMULATOR = Variant("simulator", clip=True)
PAPER = Variant(
    "paper",
    solo_offset=0,
    shrink_interval=True,
    quantiles=GAUSSIAN_QUANTILES,
    single_entropy=0.0,
    equal_below_epsilon=False,
    positive_best=False,
)
CHAIN2026 = Variant("chain2026", scale="mad")

VARIANTS = {variant.name: variant for variant in (SIMULATOR, PAPER, CHAIN2026)}
