"""Reputers of an Allora topic that lie about losses, in one name or in many, or that keep silent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from economy.experiments.attacks.row import Row, middle
from protocol.consensus.allora.losses import LossLayout
from protocol.consensus.allora.regret import stake_weighted
from protocol.consensus.allora.reputers import (
    adjusted_stakes,
    consensus_losses,
    coverage,
    listen,
    proximity_scores,
    reputer_fractions,
)

Floats = NDArray[np.float64]

HONEST = 6
LOSSES = LossLayout(inferers=5, forecasters=4).size  # 44
EPOCHS = 20
ERROR = 0.1  # an honest reputer's, dex
LIE = -2.0  # dex
HEARD = 0.05  # dex; a smaller shift of the consensus is the noise of honest reports
LISTENING = "listening coefficients (Eq. 35)"
ROBUST = "adjusted stakes in Eq. 14 (robust)"


@dataclass(frozen=True, slots=True)
class Lie:
    """What liars do among six honest reputers of equal stake.

    Attributes
    ----------
    stake
        Their share of all stake, split evenly.
    liars
        Their number.
    columns
        How many of the losses they lie about.
    every
        They lie in one of so many epochs.
    error
        Deviation of honest reports, dex.
    """

    stake: float
    liars: int = 2
    columns: int = 8
    every: int = 1
    error: float = ERROR

    def told(self) -> str:
        """Return the setting as text."""
        often = "" if self.every == 1 else f" in 1 of {self.every} epochs"
        noise = "" if self.error == ERROR else f", honest reports {self.error:g} dex off"
        who = f"{self.liars} of {self.liars + HONEST} reputers, {100 * self.stake:g}% of stake"
        return f"{who}, {LIE:g} dex on {self.columns} of {LOSSES} losses{often}{noise}"


@dataclass(frozen=True, slots=True)
class Damage:
    """What the liars achieved after 20 epochs, the last of which they lie in.

    Attributes
    ----------
    coefficient
        Their mean listening coefficient.
    reward
        Their share of the reputers' reward in the last epoch, Eq. 36.
    shift
        By how much the consensus of the losses they lied about is off, dex, Eq. 32.
    raw_shift, robust_shift
        The same for the mean that regrets are made of, Eq. 14, as printed and by adjusted stakes.
    """

    coefficient: float
    reward: float
    shift: float
    raw_shift: float
    robust_shift: float


def lied(seed: int, lie: Lie, *, defended: bool) -> Damage:
    """Return the damage done; undefended, everybody is listened to fully."""
    random = np.random.default_rng(seed)
    number = lie.liars + HONEST
    liar = np.arange(number) < lie.liars
    stakes = np.where(liar, lie.stake / lie.liars, (1 - lie.stake) / HONEST)
    about = random.choice(LOSSES, lie.columns, replace=False)
    coefficients = scores = np.ones(number)
    truth = reports = np.empty(0)
    for epoch in range(EPOCHS):
        truth = random.normal(-3.0, 0.5, LOSSES)
        reports = truth + lie.error * random.normal(size=(number, LOSSES))
        if (EPOCHS - 1 - epoch) % lie.every == 0:
            reports[np.ix_(liar, about)] += LIE
        if defended:
            listened = listen(reports, stakes, coefficients)
            coefficients, scores = listened.coefficients, listened.scores
        else:
            scores = proximity_scores(reports, consensus_losses(reports, adjusted_stakes(stakes, coefficients)))

    def off(losses: Floats) -> float:
        return float((losses - truth)[about].mean())

    return Damage(
        coefficient=float(coefficients[liar].mean()),
        reward=float(reputer_fractions(stakes, scores)[liar].sum()),
        shift=off(consensus_losses(reports, adjusted_stakes(stakes, coefficients))),
        raw_shift=off(stake_weighted(reports, stakes)),
        robust_shift=off(stake_weighted(reports, stakes, coefficients)),
    )


def rows_of(attack: str, lie: Lie, seeds: Sequence[int], *, paid: bool = True) -> Iterator[Row]:
    """Yield the rows of one lie; `paid`: rewards and Eq. 14 as well."""
    row = partial(Row.over, attack=attack, setting=lie.told())
    done = {on: [lied(seed, lie, defended=on) for seed in seeds] for on in (True, False)}

    def told(shifts: Sequence[float], claim: str) -> str:
        if abs(middle(shifts)) < HEARD:
            return "the lie is not heard"
        return f"the lie moves the losses by {middle(shifts):.2f} dex{claim}"

    coefficients = [damage.coefficient for damage in done[True]]
    yield row(
        coefficients,
        defence=LISTENING,
        on=True,
        measure="liars' coefficient after 20 epochs",
        unit="of 1",
        verdict="they are silenced" if middle(coefficients) < 0.1 else "they are still listened to",
    )
    claim = "not susceptible to a majority attack" if lie.stake > 0.5 else "robust against minority attacks"
    for on, damages in done.items():
        shifts = [damage.shift for damage in damages]
        yield row(
            shifts,
            defence=LISTENING,
            on=on,
            measure="shift of the consensus losses (Eq. 32)",
            unit="dex",
            verdict=told(shifts, f"; the paper's '{claim}' fails" if on else ""),
        )
    if not paid:
        return
    for on, damages in done.items():
        rewards = [damage.reward for damage in damages]
        yield row(
            rewards,
            defence=LISTENING,
            on=on,
            measure="liars' share of the reputers' reward",
            unit="share",
            verdict=f"{middle(rewards) / lie.stake:.2f} of what their stake would get",
        )
    for on in (True, False):
        shifts = [damage.robust_shift if on else damage.raw_shift for damage in done[True]]
        yield row(
            shifts,
            defence=ROBUST,
            on=on,
            measure="shift of the losses that regrets use (Eq. 14)",
            unit="dex",
            verdict=told(shifts, "" if on else ", silenced or not"),
        )


def reputer_lies(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a minority and a majority of the stake gain by lying in every epoch."""
    for stake in (0.10, 0.30, 0.45, 0.60):
        yield from rows_of("reputer-lies", Lie(stake), seeds)


def hidden_lies(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a minority gains whose lies are few, rare, or no larger than honest disagreement makes them look."""
    for lie in (Lie(0.30, columns=1), Lie(0.30, every=4), Lie(0.45, error=2 * ERROR)):
        yield from rows_of("hidden-lies", lie, seeds, paid=False)


def stake_split(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what liars gain by splitting one stake: the adjusted stake of Eq. 30 saturates for each name."""
    for liars in (1, 2, 10, 30):
        yield from rows_of("stake-split", Lie(0.30, liars=liars), seeds, paid=False)


def dust_stake(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what a hundred reputers with next to no stake gain, by stake or with one voice each."""
    lie = Lie(1e-7, liars=100, columns=LOSSES)
    votes = Lie(lie.liars / (lie.liars + HONEST), liars=lie.liars, columns=LOSSES)
    for on in (True, False):
        shifts = [lied(seed, lie if on else votes, defended=False).shift for seed in seeds]
        yield Row.over(
            shifts,
            attack="dust-stake",
            setting=lie.told(),
            defence="weights by stake (Eq. 30)",
            on=on,
            measure="shift of the consensus losses (Eq. 32)",
            unit="dex",
            verdict="dust is not heard" if abs(middle(shifts)) < HEARD else "whoever makes more names decides",
        )


def silent_reward(seed: int, *, defended: bool) -> float:
    """Return the reward, over an honest reputer's, of one that reports only the tenth of the losses that all agree on.

    There reports are 0.01 dex off, elsewhere 0.2 dex. Undefended, Eq. 33 is taken over what was reported and nothing else.
    """
    random = np.random.default_rng(seed)
    easy = np.arange(LOSSES) < LOSSES // 10
    stakes = np.ones(HONEST + 1)
    truth = random.normal(-3.0, 0.5, LOSSES)
    reports = truth + np.where(easy, 0.01, 0.2) * random.normal(size=(stakes.size, LOSSES))
    reports[0, ~easy] = np.nan
    scores = proximity_scores(reports, consensus_losses(reports, adjusted_stakes(stakes, stakes)))
    fractions = reputer_fractions(stakes, scores * coverage(reports, stakes) if defended else scores)
    return float(fractions[0] / fractions[1:].mean())


def missing_reports(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield what it pays to report only the losses that are easy to agree on."""
    for on in (True, False):
        values = [silent_reward(seed, defended=on) for seed in seeds]
        yield Row.over(
            values,
            attack="missing-reports",
            setting=f"1 of {HONEST + 1} reputers of equal stake reports the easiest {LOSSES // 10} of {LOSSES} losses",
            defence="score times coverage",
            on=on,
            measure="its reward over an honest reputer's",
            unit="ratio",
            verdict="silence does not pay" if middle(values) < 1 else "silence pays more than reporting",
        )
