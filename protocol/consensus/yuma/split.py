"""A topic's emission between its owner, its miners, its validators and the root stake.

The owner takes its cut first; the rest goes half to the miners and half to the validators (18 / 41 / 41 %). With dynamic
TAO the validators' half is shared with the root stake by its proportion. Also the checks that every amount here passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.errors import ConfigError, DataError
from protocol.rounding import MAX_PREDICTION

#: Bittensor's cut of a subnet's owner.
OWNER_CUT = Fraction(18, 100)
#: The same as subtensor's runtime stores it, in u16 parts: 0.17999542.
RUNTIME_OWNER_CUT = Fraction(11796, 65535)
#: The miners' part of what the owner leaves.
MINER_SHARE = Fraction(1, 2)

Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True, slots=True)
class Split(Generic[Amount]):
    """One emission divided; in its unit, and adding up to it.

    Attributes
    ----------
    owner, miners, validators, root
        Root is the part of the validators' half that belongs to the root stake, 0 unless asked for.
    """

    owner: Amount
    miners: Amount
    validators: Amount
    root: Amount


def split(
    emission: float,
    owner_cut: float | Fraction = OWNER_CUT,
    miner_share: float | Fraction = MINER_SHARE,
    root_proportion: float | Fraction = 0,
) -> Split[float]:
    """Return the parts of `emission`.

    Parameters
    ----------
    emission : float
        Not negative, any unit.
    owner_cut, miner_share, root_proportion
        Shares from 0 to 1: of the emission, of what the owner leaves, and of the validators' part. See
        :func:`protocol.consensus.yuma.root.root_proportion`.

    Raises
    ------
    ConfigError, DataError
        A share is not from 0 to 1; the emission is negative, not finite or above 1e100.
    """
    cut, mined, rooted = (
        float(share(value, name))
        for value, name in (
            (owner_cut, "owner_cut"),
            (miner_share, "miner_share"),
            (root_proportion, "root_proportion"),
        )
    )
    total = float(amounts(emission, "emission", 0))
    owner = total * cut
    miners = (total - owner) * mined
    judges = total - owner - miners
    return Split(owner, miners, judges - judges * rooted, judges * rooted)


def split_wei(
    emission: int,
    owner_cut: Fraction = OWNER_CUT,
    miner_share: Fraction = MINER_SHARE,
    root_proportion: Fraction = Fraction(0),
) -> Split[int]:
    """Return the parts of `emission` in whole wei, which add up to it exactly.

    The owner's, the miners' and the root's part are rounded down, so what rounding leaves goes to the validators.

    Raises
    ------
    ConfigError, DataError
        A share is not an exact fraction from 0 to 1; the emission is no whole number or negative.
    """
    cut, mined, rooted = (
        exact_share(value, name)
        for value, name in (
            (owner_cut, "owner_cut"),
            (miner_share, "miner_share"),
            (root_proportion, "root_proportion"),
        )
    )
    owner = int(whole(emission, "emission") * cut)
    miners = int((emission - owner) * mined)
    judges = emission - owner - miners
    root = int(judges * rooted)
    return Split(owner, miners, judges - root, root)


def amounts(values: ArrayLike, name: str, dimensions: int = 1) -> NDArray[np.float64]:
    """Return `values` as float64 of so many dimensions, if all are from 0 to 1e100, so that no sum leaves the floats.

    Raises
    ------
    DataError
        They are not; the message names the first bad one.
    """
    try:
        checked = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} is {values!r:.80}; give numbers, in {dimensions} dimensions") from error
    if checked.ndim != dimensions:
        raise DataError(f"{name} has shape {checked.shape}; give {dimensions} dimensions")
    bad = ~((checked >= 0) & (checked <= MAX_PREDICTION))
    if bad.any():
        place = tuple(int(index) for index in np.argwhere(bad)[0])
        where = f" at {', '.join(map(str, place))}" if place else ""
        raise DataError(f"{name} is {checked[place]}{where}; give numbers from 0 to {MAX_PREDICTION:g}")
    return checked


def whole(value: int, name: str) -> int:
    """Return `value` if it is a whole number from 0 to below 2^256, as a contract keeps them.

    Raises
    ------
    DataError
        It is not; a float is refused too, because it has lost its wei.
    """
    if type(value) is not int or not 0 <= value < 2**256:
        raise DataError(f"{name} is {value!r:.80}; give a whole number from 0 to below 2**256")
    return value


def wholes(values: Sequence[int], name: str) -> tuple[int, ...]:
    """Return `values`, each checked by :func:`whole`."""
    return tuple(whole(value, f"{name} at {place}") for place, value in enumerate(values))


def share(value: float | Fraction, name: str) -> float | Fraction:
    """Return `value` if it is from 0 to 1.

    Raises
    ------
    ConfigError
        It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction) or not isfinite(value):
        raise ConfigError(f"{name} is {value!r:.80}; give a number from 0 to 1")
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; give a number from 0 to 1")
    return value


def exact_share(value: Fraction, name: str) -> Fraction:
    """Return `value` if it is an exact fraction from 0 to 1.

    Raises
    ------
    ConfigError
        It is not; a float is refused too, because two machines need not print the same one.
    """
    if isinstance(value, float):
        raise ConfigError(f"{name} is the float {value}; money is divided by exact numbers: give a fraction")
    return Fraction(share(value, name))
