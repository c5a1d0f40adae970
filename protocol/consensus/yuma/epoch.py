"""One whole epoch of Yuma: from stakes, weights and the bonds so far to incentives, dividends and the new bonds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.consensus.yuma.bonds import bonds_and_dividends
from protocol.consensus.yuma.consensus import agreement, shares, weight_shares
from protocol.consensus.yuma.variant import SUBTENSOR, Params
from protocol.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class YumaEpoch:
    """What an epoch decided; V validators, M miners, names of `docs/consensus.md`.

    Attributes
    ----------
    stakes : (V,)
        S, shares of the stake that has a say; all 0 if none has.
    consensus : (M,)
        The largest weight that kappa of the stake supports, Eq. 3.
    ranks : (M,)
        R, the stake-weighted sum of the weights clipped at consensus.
    trust : (M,)
        T = R / P, what the clip left of the stake-weighted sum P of the weights as set; 0 without any.
    validator_trust : (V,)
        T_v, what the clip left of a validator's weights, which sum to 1.
    incentive : (M,)
        I = R / sum R. Sums to 1, or is all 0 if the stake agrees on nobody.
    dividends : (V,)
        D, the validators' shares of what their bonds pay. Sums to 1, or is all 0.
    bonds : (V, M)
        B after this epoch, to be given to the next; a CSR array if the weights were sparse.
    miner_emission, validator_emission : (M,), (V,)
        Shares of the emission, Eq. 7 with xi = 0.5; together they sum to 1. Without incentive and dividends the
        validators have it all by `stakes`, or if nobody has a say by stake. All 0 only if there is no stake.
    """

    stakes: Floats
    consensus: Floats
    ranks: Floats
    trust: Floats
    validator_trust: Floats
    incentive: Floats
    dividends: Floats
    bonds: Any
    miner_emission: Floats
    validator_emission: Floats


def run_epoch(
    stakes: ArrayLike,
    weights: Any,
    bonds: Any = None,
    params: Params = SUBTENSOR,
    *,
    mask: ArrayLike | None = None,
    active: ArrayLike | None = None,
    permits: ArrayLike | None = None,
    recent: ArrayLike | None = None,
) -> YumaEpoch:
    """Return what one epoch decides.

    Results follow a permutation of validators or miners and do not depend on the unit of the stakes (with
    `params.minimum_stake` 0) or on the scale of a row of weights.

    Parameters
    ----------
    stakes : (V,) number
        Finite and at least 0. However small, a stake counts for what it is.
    weights : (V, M) number, or a scipy.sparse matrix or array
        What each validator gives each miner; what is not a number in [0, 1e100] is no weight. Sparse weights take
        the sparse path, which agrees to rounding.
    bonds : (V, M), optional
        Those after the last epoch, dense or sparse; nobody holds any by default.
    params : Params
        The variant.
    mask : (V, M) bool, optional
        False: the weight does not count, e.g. it was committed before the miner's id changed hands.
    active : (V,) bool, optional
        False: silent for too long. The stake has no say; the weights still move relative bonds.
    permits : (V,) bool, optional
        False: no validator's seat, see :func:`seats`. Neither stake nor weights count.
    recent : (M,) bool, optional
        True: the miner's id changed hands since the last epoch. Bonds with it are void.

    Raises
    ------
    DataError
        Shapes do not fit, stakes or bonds are negative or not finite, flags are not bool.
    """
    amounts = _stakes(stakes)
    w = _numbers("weights", weights)
    if len(w.shape) != 2 or w.shape[0] != amounts.size:
        raise DataError(f"weights have shape {w.shape}; give one row for each of the {amounts.size} validators")
    shape = (int(w.shape[0]), int(w.shape[1]))
    counted = None if mask is None else _flags("mask", mask, shape)
    eligible = amounts >= params.minimum_stake
    voting = eligible if active is None else eligible & _flags("active", active, shape[:1])
    if permits is not None:
        seated = _flags("permits", permits, shape[:1])
        voting = voting & seated
        counted = seated[:, None] if counted is None else counted & seated[:, None]
    stake = shares(np.where(voting, amounts, 0.0))
    old: Any = None if bonds is None else _held(bonds, shape)
    kept = None if recent is None else ~_flags("recent", recent, shape[1:])
    if old is not None and kept is not None:
        old = old.multiply(kept) if _is_sparse(old) else old * kept

    if _is_sparse(w):
        from protocol.consensus.yuma import sparse  # scipy, which dense weights do not need

        w = sparse.weight_shares(w, counted)
        agreed = sparse.agreement(stake, w, params.kappa)
        incentive = shares(agreed.ranks)
        new, paid = sparse.bonds_and_dividends(
            stake, w, old, consensus=agreed.consensus, incentive=incentive, params=params
        )
    else:
        w = weight_shares(w, counted)
        agreed = agreement(stake, w, params.kappa)
        incentive = shares(agreed.ranks)
        full = old.toarray() if _is_sparse(old) else old
        new, paid = bonds_and_dividends(stake, w, full, consensus=agreed.consensus, incentive=incentive, params=params)
    dividends = shares(paid)
    total = incentive.sum() + dividends.sum()
    fallback = stake if stake.any() else shares(np.where(eligible, amounts, 0.0))
    return YumaEpoch(
        stakes=stake,
        consensus=agreed.consensus,
        ranks=agreed.ranks,
        trust=np.divide(agreed.ranks, agreed.preranks, out=np.zeros_like(incentive), where=agreed.preranks > 0),
        validator_trust=agreed.validator_trust,
        incentive=incentive,
        dividends=dividends,
        bonds=new,
        miner_emission=incentive / total if total else incentive,
        validator_emission=dividends / total if total else fallback,
    )


def seats(stakes: ArrayLike, count: int) -> Flags:
    """Return (V,) bool, True for the `count` largest stakes above 0: those with a validator's permit.

    Of equal stakes the later index comes first, as in the runtime (`is_topk_nonzero`).

    Raises
    ------
    ConfigError
        `count` is negative.
    DataError
        A stake is negative or not finite.
    """
    if count < 0:
        raise ConfigError(f"number of seats is {count}; it must be at least 0")
    amounts = _stakes(stakes)
    seated = amounts > 0
    seated[np.argsort(amounts, kind="stable")[: max(amounts.size - count, 0)]] = False
    return seated


def _is_sparse(values: Any) -> bool:
    """Return whether these are scipy's; asking scipy would import it for dense weights too."""
    return hasattr(values, "tocsr")


def _numbers(name: str, values: Any) -> Any:
    """Return an array of float64, or any sparse one in CSR format."""
    try:
        given = values.tocsr() if _is_sparse(values) else np.asarray(values)
        if given.dtype.kind in "cSUMm":  # numpy would read text, and drop imaginary parts
            raise DataError(f"{name} are {given.dtype}; they must be real numbers")
        return given if _is_sparse(given) else given.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} must be real numbers in rows of equal length: {error}") from error


def _stakes(stakes: ArrayLike) -> Floats:
    """Return stakes as (V,) float64, checked: they come from the ledger, so a bad one is a fault."""
    amounts: Floats = _numbers("stakes", stakes)
    if amounts.ndim != 1:
        raise DataError(f"stakes have shape {amounts.shape}; give one number per validator")
    bad = np.flatnonzero(~((amounts >= 0) & (amounts < np.inf)))
    if bad.size:
        raise DataError(f"the stake of validator {bad[0]} is {amounts[bad[0]]}; it must be finite and at least 0")
    return amounts


def _held(bonds: Any, shape: tuple[int, int]) -> Any:
    """Return the bonds before this epoch, checked: they come from the last one, so a bad one is a fault."""
    held = _numbers("bonds", bonds)
    if held.shape != shape:
        raise DataError(f"bonds have shape {held.shape}, weights {shape}; give one bond for each weight")
    values = held.data if _is_sparse(held) else held
    if values.size and not (values.min() >= 0 and values.max() < np.inf):
        raise DataError("a bond is negative or not finite; give those the last epoch returned")
    return held


def _flags(name: str, flags: ArrayLike, shape: tuple[int, ...]) -> Flags:
    """Return flags as bool of the shape; 0 and 1 are refused, as a list of indices looks the same."""
    given = np.asarray(flags)
    if given.shape != shape or given.dtype != np.bool_:
        raise DataError(f"{name} is {given.dtype} of shape {given.shape}; give bool of shape {shape}")
    return given
