"""From what the network infers to orders.

Plain risk scaling, no optimiser, because what comes in are ranks: an optimiser needs expected returns and a covariance
matrix in units nobody has measured here, and is known to turn their errors into positions (Michaud 1989; DeMiguel, Garlappi
and Uppal 2009 find no optimiser that beats 1/N out of sample on their samples). What scaling costs is small, and it is
replayed exactly on any machine, whereas solvers differ in the last digits and so in lots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fund.book import Book
from fund.costs import shortable, terms_of
from fund.journal import Order
from fund.limits import Limits, Wanted, fit
from fund.units import PPB, toward_zero
from protocol.errors import DataError
from protocol.rounding import PREDICTION_DECIMALS

#: Half the width of an interval that is given as 0 (a single model has no spread): one deviation of the cross-section.
UNKNOWN_HALF_WIDTH = 1.0
#: A deviation below this share of the median one is taken as this share: a price that hardly moves is no safe haven.
SIGMA_FLOOR = 0.25
#: Values and intervals beyond this, and deviations outside these, are errors and count as missing.
MAX_VALUE = 1e6
SIGMA_RANGE = 1e-9, 10.0
#: Deviation of the portfolio's returns per year.
TARGET_VOLATILITY = 0.15

Floats = NDArray[np.float64]


class Proposal(NamedTuple):
    """Orders, those that reduce positions first, and the limits that were binding."""

    orders: tuple[Order, ...]
    hits: tuple[str, ...]


def target_weights(
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    sigma: ArrayLike,
    *,
    evidence: float,
    bars_per_year: float,
    gross: float = 1.0,
    target_volatility: float = TARGET_VOLATILITY,
) -> Floats:
    """Return weights, fractions of the net asset value, of one cross-section.

    With ``v`` the value less the mean of the cross-section and ``h`` half the width of its interval, the tilt is
    ``v · v²/(v² + h²)``: a forecast that its own interval swallows counts little. Tilts are centred and divided by sigma, so
    that every unit of tilt carries the same risk and the sum of risks is 0; then scaled to `evidence` times `gross`, and
    down to the target volatility. That is estimated without correlation: as the risks add up to 0, one that all assets have
    in common would only lower it. Uses nothing but its arguments; weights are rounded to nine decimals.

    Parameters
    ----------
    value, low, high : (n,) float
        Network inference and its interval, unit: deviations of a cross-section. NaN where there is none.
    sigma : (n,) float
        Deviation of one-bar log returns, known at the same time.
    evidence : float
        0 to 1: how far the models behind the values have shown themselves; at 0 all is cash.
    bars_per_year : float
    gross : float
        Sum of the sizes of the weights at full evidence.
    target_volatility : float
        Per year.

    Returns
    -------
    (n,) float64
        0 for an asset with anything missing or absurd, or an interval that ends before it starts; all 0 with fewer than
        two assets, no evidence, or values that are all equal.

    Raises
    ------
    DataError
        Lengths differ; evidence is outside 0 to 1; another number is not positive and finite.
    """
    v, lo, hi, s = (np.asarray(column, dtype=np.float64) for column in (value, low, high, sigma))
    if v.ndim != 1 or not v.shape == lo.shape == hi.shape == s.shape:
        raise DataError(
            f"value {v.shape}, low {lo.shape}, high {hi.shape} and sigma {s.shape} must be equally long rows"
        )
    if not 0 <= evidence <= 1 or not all(math.isfinite(x) and x > 0 for x in (bars_per_year, gross, target_volatility)):
        raise DataError(
            f"evidence {evidence} must be 0 to 1; bars per year {bars_per_year}, gross {gross} and volatility "
            f"{target_volatility} must be positive"
        )
    out = np.zeros(v.size)
    there = (np.abs(v) <= MAX_VALUE) & (lo >= -MAX_VALUE) & (hi <= MAX_VALUE) & (lo <= hi)  # all false for NaN
    there &= (s >= SIGMA_RANGE[0]) & (s <= SIGMA_RANGE[1])
    if np.count_nonzero(there) < 2 or evidence == 0:
        return out
    away = np.round(v[there] - v[there].mean(), PREDICTION_DECIMALS)
    half = (hi[there] - lo[there]) / 2
    half[half < 10.0**-PREDICTION_DECIMALS] = UNKNOWN_HALF_WIDTH
    tilt = away**3 / (away**2 + half**2)
    tilt -= tilt.mean()
    if np.abs(tilt).sum() < 10.0**-PREDICTION_DECIMALS:
        return out
    risk = np.maximum(s[there], SIGMA_FLOOR * np.median(s[there]))
    weights = tilt / risk
    weights /= np.abs(weights).sum()
    volatility = math.sqrt(bars_per_year * float(np.sum((weights * risk) ** 2)))
    scale = evidence * gross
    weights *= scale if scale * volatility <= target_volatility else target_volatility / volatility
    out[there] = np.round(weights, PREDICTION_DECIMALS) + 0.0
    return out


def propose(book: Book, weights: Mapping[str, float], limits: Limits, until: int) -> Proposal:
    """Return the orders that lead from the book's positions towards `weights` within the limits.

    Decided at the book's time, at its last good prices. An asset without a weight is to be sold; one that had no good price
    in the last bar is not traded and uses up limits as it is; one that cannot be sold short is not. The orders are meant for
    :func:`fund.broker.place`, where they replace what still works.

    Parameters
    ----------
    book : Book
    weights : mapping of asset to float
        Fractions of the net asset value, negative to be short.
    limits : Limits
    until : int
        End of the orders' life, microseconds since 1970 UTC.

    Raises
    ------
    DataError
        A weight is not finite, or its asset is not listed.
    """
    nav = max(0, book.nav())
    wanted: dict[str, Wanted] = {}
    for asset in sorted({*weights, *(name for name, held in book.positions.items() if held.lots)}):
        weight = float(weights.get(asset, 0.0))
        instrument = book.instruments.get(asset)
        if not math.isfinite(weight) or instrument is None:
            raise DataError(f"weight {weight} of {asset}: weights are finite, of assets that are listed in the book")
        if asset not in book.last:
            continue
        unit = book.lot_value(asset)
        target = toward_zero(round(weight * PPB) * nav, PPB * unit)
        wanted[asset] = Wanted(
            held=book.lots(asset),
            target=target if shortable(instrument) else max(0, target),
            unit=unit,
            sector=instrument.sector,
            least=terms_of(instrument.broker).min_value,
            fixed=book.last[asset].time != book.time,
        )
    allowed = fit(wanted, nav, limits)
    trades = {asset: allowed.lots[asset] - want.held for asset, want in wanted.items()}
    growing = {asset: abs(allowed.lots[asset]) > abs(want.held) for asset, want in wanted.items()}
    order = sorted((asset for asset, lots in trades.items() if lots), key=lambda asset: (growing[asset], asset))
    orders = (Order(number, book.time, asset, trades[asset], until) for number, asset in enumerate(order, book.next_id))
    return Proposal(tuple(orders), allowed.hits)
