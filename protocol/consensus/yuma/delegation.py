"""Delegation: stake that votes through a validator, and the dividends it earns there.

A validator keeps a take of what its delegators' stake earns (18 % in Bittensor; the runtime of 2026 allows any take from 0
to that) and passes on the rest in proportion. What its own stake earns is its own. Delegations may move at any block.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.shares import apportion
from protocol.consensus.yuma.consensus import shares
from protocol.consensus.yuma.split import amounts, exact_share, share, whole, wholes
from protocol.errors import RefusedError

#: Bittensor's take, "currently hard-coded"; since then the default and the most a validator may ask for.
TAKE = Fraction(18, 100)


def divide(
    dividend: float, own: float, delegated: ArrayLike, take: float | Fraction = TAKE
) -> tuple[float, NDArray[np.float64]]:
    """Return what the validator keeps of a dividend, and what each delegator gets.

    Parameters
    ----------
    dividend : float
        Of the validator's whole stake, any unit, not negative.
    own : float
        The validator's own stake.
    delegated : (n,) float
        Stake of each delegator, in the unit of `own`.
    take : float
        Share of the delegators' part that the validator keeps, from 0 to 1.

    Returns
    -------
    validator : float
        ``dividend (own + take sum(delegated)) / (own + sum(delegated))``; everything where there is no stake at all.
    delegators : (n,) float64
        ``dividend (1 - take) delegated / (own + sum(delegated))``.

    Raises
    ------
    ConfigError, DataError
        The take is not from 0 to 1; an amount is negative or not finite.
    """
    part = float(share(take, "take"))
    paid, kept, voices = amounts(dividend, "dividend", 0), amounts(own, "own", 0), amounts(delegated, "delegated")
    earned = paid * shares(np.append(kept, voices))
    if not earned.any():
        return float(paid), earned[1:]
    return float(earned[0] + part * earned[1:].sum()), (1 - part) * earned[1:]


def divide_wei(dividend: int, own: int, delegated: Sequence[int], take: Fraction = TAKE) -> tuple[int, tuple[int, ...]]:
    """Return the same in whole wei, which add up to `dividend` exactly.

    Everyone is within one wei of the exact share; see :func:`protocol.consensus.shares.apportion` for who gets the rest.

    Raises
    ------
    ConfigError, DataError
        The take is not an exact fraction from 0 to 1; an amount is no whole number or negative.
    """
    part = exact_share(take, "take")
    whole(dividend, "dividend")
    voices = wholes(delegated, "delegated")
    kept, passed = part.numerator, part.denominator - part.numerator
    claims = (whole(own, "own") * part.denominator + kept * sum(voices), *(passed * voice for voice in voices))
    validator, *delegators = apportion(dividend, claims, remainder=0)
    return validator, tuple(delegators)


@dataclass(frozen=True, slots=True)
class Delegations:
    """Who has delegated how much to whom, at every block so far; a value: each move returns a new one.

    A validator's stake with itself is its own stake. Moves come in block order; several may share a block, and the last
    one counts. Stake at a block includes the moves of that block.

    Attributes
    ----------
    block : int
        Of the last move.
    positions : mapping of (delegator, validator) to tuple of (block, wei)
        The stake from each block on, oldest first.
    """

    block: int = 0
    positions: Mapping[tuple[str, str], tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def stake(self, delegator: str, validator: str, block: int | None = None) -> int:
        """Return what `delegator` has with `validator` at `block` (default: now), in wei."""
        steps = self.positions.get((delegator, validator), ())
        place = len(steps) if block is None else bisect_right(steps, block, key=lambda step: step[0])
        return steps[place - 1][1] if place else 0

    def delegators(self, validator: str, block: int | None = None) -> dict[str, int]:
        """Return who has stake with `validator` at `block`, itself included, in alphabetical order, in wei."""
        held = {who: self.stake(who, whom, block) for who, whom in sorted(self.positions) if whom == validator}
        return {who: stake for who, stake in held.items() if stake}

    def stakes(self, block: int | None = None) -> dict[str, int]:
        """Return the stake every validator votes with at `block`, in alphabetical order, in wei; none has 0."""
        total: dict[str, int] = {}
        for who, whom in sorted(self.positions, key=lambda pair: pair[1]):
            total[whom] = total.get(whom, 0) + self.stake(who, whom, block)
        return {validator: stake for validator, stake in total.items() if stake}

    def delegate(self, block: int, delegator: str, validator: str, amount: int) -> Delegations:
        """Return the delegations after `delegator` has added `amount` wei to `validator`.

        Raises
        ------
        DataError
            The amount or the block is no whole number or negative.
        RefusedError
            The block is before the last move.
        """
        return self._moved(block, (delegator, validator), whole(amount, "amount"))

    def undelegate(self, block: int, delegator: str, validator: str, amount: int) -> Delegations:
        """Return the delegations after `delegator` has taken `amount` wei from `validator`.

        Raises
        ------
        DataError, RefusedError
            As :meth:`delegate`; there is less than that.
        """
        return self._moved(block, (delegator, validator), -whole(amount, "amount"))

    def redelegate(self, block: int, delegator: str, source: str, target: str, amount: int) -> Delegations:
        """Return the delegations after `delegator` has moved `amount` wei between two validators, within one block.

        Raises
        ------
        DataError, RefusedError
            As :meth:`undelegate`.
        """
        taken = self.undelegate(block, delegator, source, amount)
        return taken.delegate(block, delegator, target, amount)

    def pay(self, block: int, validator: str, dividend: int, take: Fraction = TAKE) -> dict[str, int]:
        """Return what a dividend at `block` pays to `validator` and to its delegators, in wei, adding up to it.

        Raises
        ------
        ConfigError, DataError
            As :func:`divide_wei`.
        """
        voices = self.delegators(validator, block)
        own = voices.pop(validator, 0)
        kept, passed = divide_wei(dividend, own, tuple(voices.values()), take)
        return {validator: kept, **dict(zip(voices, passed, strict=True))}

    def _moved(self, block: int, pair: tuple[str, str], change: int) -> Delegations:
        if whole(block, "block") < self.block:
            raise RefusedError(f"block {block} is before the last move, at {self.block}; moves come in block order")
        stake = self.stake(*pair)
        if stake + change < 0:
            raise RefusedError(f"{pair[0]} has {stake} wei with {pair[1]}, less than {-change}; take at most that")
        steps = (*(step for step in self.positions.get(pair, ()) if step[0] < block), (block, stake + change))
        return Delegations(block, MappingProxyType({**self.positions, pair: steps}))
