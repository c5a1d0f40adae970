"""Seeded series with a planted signal of known size, for tests and for calibrating a search."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.schema import data_columns, interval_of, table_from
from protocol.errors import DataError

Kind = Literal["linear", "nonlinear", "noise"]

SIGMA = 0.01  # deviation of one-bar log returns
START = datetime(2020, 1, 1, tzinfo=UTC)

# Moves beyond this many deviations continue, smaller ones revert. At sqrt(2 ln 2) both parts carry the same
# E|z|, so the signal has no linear correlation with the move itself, however the move is scaled.
THRESHOLD = math.sqrt(2 * math.log(2))

Floats = NDArray[np.float64]


def synthetic(
    kind: Kind,
    *,
    n_symbols: int = 12,
    n_bars: int = 2000,
    type_: str = "ohlcv-1h",
    horizon: int = 1,
    strength: float = 0.2,
    seed: int = 0,
) -> pa.Table:
    """Return series whose next returns depend on their last one.

    With ``z[t]`` the return of bar t in deviations (feature ``ret_1``), the signal is ``s = -z`` (``linear``),
    ``s = sign(z) if |z| > 1.18 else -sign(z)`` (``nonlinear``: a ridge on features of the closes sees nothing, a
    shallow tree does; high and low let a ridge see a part) or 0 (``noise``). Each of the returns of bars t + 2 to t + 1
    + `horizon`, which make up the target of bar t, is raised by ``strength * SIGMA / sqrt(horizon) * s[t]``, so that u
    rises by about ``strength * s[t]``: there is one bar to act, as in :mod:`data.target`. Symbols are independent.

    Parameters
    ----------
    kind : {'linear', 'nonlinear', 'noise'}
    n_symbols, n_bars : int
        Series ``S000``, ``S001``, … of sector and broker ``synthetic``; bars without gaps from 2020-01-01 UTC.
    type_ : str
        With the columns ``open high low close volume`` or ``close`` only.
    horizon : int
        Bars from entry to exit for which the signal pays.
    strength : float
        0 to 1; the correlation of s and u is about ``strength / sqrt(1 + strength^2)``.
    seed : int
        The same seed gives the same table.

    Returns
    -------
    pyarrow.Table
        ``ltds-1``; n_symbols * n_bars rows.

    Raises
    ------
    DataError
        An argument is out of range, or `type_` has columns other than prices and volume.
    """
    interval = interval_of(type_)
    columns = data_columns(type_)
    if interval is None or not set(columns) <= {"open", "high", "low", "close", "volume"} or "close" not in columns:
        raise DataError(f"type {type_!r} cannot be generated; name one of ohlcv-…, mark-…, index-… or close-…")
    if kind not in _SIGNALS or min(n_symbols, n_bars, horizon) < 1 or not 0 <= strength <= 1:
        raise DataError(
            f"kind {kind!r}, n_symbols {n_symbols}, n_bars {n_bars}, horizon {horizon}, strength {strength}: "
            f"kind is one of {', '.join(_SIGNALS)}, the counts are at least 1 and strength lies in [0, 1]"
        )
    rng = np.random.default_rng(seed)
    z = _paid(rng.standard_normal((n_bars, n_symbols)), _SIGNALS[kind], horizon, strength)
    close = 100 * np.exp(SIGMA * np.cumsum(z, axis=0))
    open_ = close / np.exp(SIGMA * z)
    wicks = np.exp(SIGMA / 2 * np.abs(rng.standard_normal((2, n_bars, n_symbols))))
    values = {
        "open": open_,
        "high": np.maximum(open_, close) * wicks[0],
        "low": np.minimum(open_, close) / wicks[1],
        "close": close,
        "volume": np.exp(rng.standard_normal((n_bars, n_symbols)) / 2 + 5),
    }
    first = int(START.timestamp()) * 1_000_000
    rows = {
        "datetime": np.tile(first + interval * np.arange(n_bars), n_symbols),
        "sector": "synthetic",
        "broker": "synthetic",
        "symbol": np.repeat([f"S{number:03d}" for number in range(n_symbols)], n_bars),
    }
    return table_from({**rows, **{name: values[name].T.ravel() for name in columns}}, type_)


def _paid(noise: Floats, signal: Callable[[Floats], Floats], horizon: int, strength: float) -> Floats:
    """Return returns in deviations, (bars, symbols), where each bar's signal pays from two bars later on."""
    z = noise.copy()
    drift = np.zeros((noise.shape[0] + horizon + 1, noise.shape[1]))
    for bar in range(noise.shape[0]):
        z[bar] += drift[bar]
        drift[bar + 2 : bar + 2 + horizon] += strength / math.sqrt(horizon) * signal(z[bar])
    return z


def _continue_or_revert(z: Floats) -> Floats:
    return np.where(np.abs(z) > THRESHOLD, np.sign(z), -np.sign(z))


_SIGNALS: dict[str, Callable[[Floats], Floats]] = {
    "linear": np.negative,
    "nonlinear": _continue_or_revert,
    "noise": np.zeros_like,
}
