"""What a value per share did: return, risk, drawdown; what trading cost; and how often a sign was right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fund.diebold_mariano import DieboldMariano, differential_test
from fund.journal import Charge, Fill, Instrument, Record
from fund.units import plain
from protocol.consensus.allora.potential import present
from protocol.errors import DataError
from protocol.scores import DAY_US, PANEL_MIN
from protocol.shown import YEAR_US

#: A shorter span is not annualised: its return says nothing about a year.
MIN_SPAN_US = 30 * DAY_US

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """A value per share over time, which starts at 1.

    Attributes
    ----------
    name : str
    value : (T,) float64
        Never negative.
    returns : (T - 1,) float64
        Simple; 0 once all is lost.
    total : float
        Return over the whole span.
    annual, volatility, sharpe : float
        Compounded return, deviation (ddof 1) and mean over deviation of the returns, per year of 365.25 days; NaN for a span
        below 30 days, sharpe also where nothing varies.
    drawdown : float
        Largest fall from the running maximum, 0 to 1.
    """

    name: str
    value: Floats
    returns: Floats
    total: float
    annual: float
    volatility: float
    sharpe: float
    drawdown: float

    @classmethod
    def of(cls, name: str, value: ArrayLike, time: Ints) -> Performance:
        """Return the performance of `value`, brought to 1 at the start.

        Parameters
        ----------
        name : str
        value : (T,) float
            Finite, not negative, the first positive; any unit.
        time : (T,) int64
            Of each value, microseconds since 1970 UTC, ascending.

        Raises
        ------
        DataError
            A value is negative or not finite, the first is 0, or lengths differ.
        """
        v = np.asarray(value, dtype=np.float64)
        if v.shape != (time.size,) or not v.size or not np.isfinite(v).all() or v.min() < 0 or v[0] == 0:
            raise DataError(
                f"{name}: {v.shape} values at {time.size} times; give one finite value from 0 each, the first above 0"
            )
        v = v / v[0]
        returns = np.diff(v) / np.where(v[:-1] > 0, v[:-1], 1.0)
        span = int(time[-1] - time[0])
        annual = volatility = sharpe = math.nan
        if span >= MIN_SPAN_US and returns.size > 1:
            years = span / YEAR_US
            per_year = returns.size / years
            deviation = float(returns.std(ddof=1)) if np.ptp(returns) else 0.0
            annual, volatility = float(v[-1] ** (1 / years)) - 1, deviation * math.sqrt(per_year)
            sharpe = float(returns.mean()) / deviation * math.sqrt(per_year) if deviation > 0 else math.nan
        drawdown = float((1 - v / np.maximum.accumulate(v)).max())
        return cls(name, v, returns, float(v[-1]) - 1, annual, volatility, sharpe, drawdown)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, null for NaN; without the curve."""
        numbers = ("name", "total", "annual", "volatility", "sharpe", "drawdown")
        return {name: plain(getattr(self, name)) for name in numbers}


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading and holding cost, in wei; negative where it paid.

    Attributes
    ----------
    fees, slippage : int
        Of fills; slippage is the difference to the quoted price, spread and impact together.
    delisted : int
        Haircuts on positions whose asset vanished.
    borrow, funding, interest : int
    management, performance : int
        What the fund took; not trading.
    traded : int
        Sum of the values of all fills, bought and sold, at the prices paid; without closings of vanished assets.
    """

    fees: int = 0
    slippage: int = 0
    delisted: int = 0
    borrow: int = 0
    funding: int = 0
    interest: int = 0
    management: int = 0
    performance: int = 0
    traded: int = 0

    @property
    def trading(self) -> int:
        """All but what the fund took."""
        return self.fees + self.slippage + self.delisted + self.borrow + self.funding + self.interest

    @classmethod
    def of(cls, records: Iterable[Record]) -> Costs:
        """Return the costs in a journal.

        Raises
        ------
        DataError
            A fill is of an asset that the records do not list before it.
        """
        steps: dict[str, int] = {}
        sums = dict.fromkeys(cls.__slots__, 0)
        for record in records:
            match record:
                case Instrument():
                    steps[record.asset] = record.step
                case Charge():
                    sums[record.kind] -= record.amount
                case Fill():
                    if record.asset not in steps:
                        raise DataError(
                            f"a fill is of {record.asset}, which is not listed before; give the whole journal"
                        )
                    size = record.lots * steps[record.asset]
                    sums["slippage" if record.order else "delisted"] += size * (record.price - record.quoted)
                    sums["fees"] += record.fee
                    sums["traded"] += abs(size) * record.price if record.order else 0
        return cls(**sums)

    def to_dict(self) -> dict[str, int]:
        """Return plain JSON values."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "trading": self.trading}


@dataclass(frozen=True, slots=True)
class HitRate:
    """How often a symbol ended on the side of its cross-section that the network said.

    Attributes
    ----------
    topic : str
    hits, calls : int
    rate : float
        Mean over bars of the share of hits, each bar once; NaN without one. One half is chance.
    test : DieboldMariano
        Of the bars' rates less one half.
    """

    topic: str
    hits: int
    calls: int
    rate: float
    test: DieboldMariano

    @classmethod
    def of(cls, topic: str, horizon: int, counts: ArrayLike) -> HitRate:
        """Return the hit rate of a topic.

        Parameters
        ----------
        topic : str
        horizon : int
        counts : (T, 2) int
            :func:`hits` of each settled bar, in order.

        Raises
        ------
        DataError
            Another shape, or more hits than calls.
        """
        table = (
            np.asarray(counts, dtype=np.int64).reshape(-1, 2) if np.size(counts) else np.zeros((0, 2), dtype=np.int64)
        )
        if (table < 0).any() or (table[:, 0] > table[:, 1]).any():
            raise DataError(
                f"{topic}: a bar has more hits than calls, or negative ones; give (hits, calls) of each bar"
            )
        rate = np.divide(table[:, 0], table[:, 1], out=np.full(len(table), np.nan), where=table[:, 1] > 0)
        test = differential_test(rate - 0.5, horizon)
        return cls(topic, int(table[:, 0].sum()), int(table[:, 1].sum()), test.mean + 0.5, test)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, null for NaN."""
        return {
            "topic": self.topic,
            "hits": self.hits,
            "calls": self.calls,
            "rate": plain(self.rate),
            "half_taken_off": self.test.to_dict(),
        }


def hits(value: ArrayLike, truth: ArrayLike) -> tuple[int, int]:
    """Return how often the sign of a prediction was right in one cross-section, and how often there was one to be right.

    Parameters
    ----------
    value : (S,) float
        Network inference, centred; 0 or NaN is no call.
    truth : (S,) float
        u of :mod:`data.target`, NaN where it will never be known; its sign is that of the difference to the mean of the known.

    Returns
    -------
    hits, calls : int
        Both 0 with fewer than five known symbols.

    Raises
    ------
    DataError
        Lengths differ.
    """
    v, u = np.asarray(value, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if v.ndim != 1 or v.shape != u.shape:
        raise DataError(f"values {v.shape} and truth {u.shape} must be equally long rows")
    known = present(u)
    if np.count_nonzero(known) < PANEL_MIN:
        return 0, 0
    agree = np.sign(np.nan_to_num(v[known])) * np.sign(u[known] - u[known].mean())
    return int(np.count_nonzero(agree > 0)), int(np.count_nonzero(agree))
