"""How the fund did over a span: beside equal weights and cash, what it cost, what the buyback bought, who earned what.

Every number looks back; none is a feature. Money is integer wei.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fund.comparison import Comparison
from fund.diebold_mariano import LEVEL, DieboldMariano, day, differential_test, shown_p
from fund.journal import Record, Valuation
from fund.market_events import Bought, Event, Shared, Waited
from fund.performance import MIN_SPAN_US, Costs, HitRate, Performance
from fund.units import WEI, plain
from protocol.errors import DataError
from protocol.head.rewards import Earning
from protocol.shown import YEAR_US

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BuybackSum:
    """What the fund's gains bought.

    Attributes
    ----------
    gains : int
        Wei of quote that the fund paid over.
    buyback, treasury : int
        Where they went.
    spent : int
        Wei of quote paid for LTFT so far.
    rewarded, burned : int
        Wei of LTFT it bought.
    slices : int
    waited : tuple of (reason, int)
        Periods in which a slice was due and not bought.
    """

    gains: int
    buyback: int
    treasury: int
    spent: int
    rewarded: int
    burned: int
    slices: int
    waited: tuple[tuple[str, int], ...]

    @property
    def bought(self) -> int:
        """Wei of LTFT."""
        return self.rewarded + self.burned

    @property
    def price(self) -> float:
        """Quote per LTFT, the mean of what was paid; NaN where nothing was bought."""
        return self.spent / self.bought if self.bought else math.nan

    @classmethod
    def of(cls, events: Iterable[Event]) -> BuybackSum:
        """Return what the events of the market add up to; trades of others and redemptions do not count."""
        sums: dict[str, int] = defaultdict(int)
        waited: dict[str, int] = defaultdict(int)
        for event in events:
            match event:
                case Shared():
                    sums["buyback"] += event.buyback
                    sums["treasury"] += event.treasury
                case Bought():
                    sums["spent"] += event.spent
                    sums["rewarded"] += event.rewarded
                    sums["burned"] += event.burned
                    sums["slices"] += 1
                case Waited():
                    waited[event.reason] += event.last - event.period + 1
        names = ("buyback", "treasury", "spent", "rewarded", "burned", "slices")
        return cls(
            gains=sums["buyback"] + sums["treasury"],
            waited=tuple(sorted(waited.items())),
            **{name: sums[name] for name in names},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        numbers = {name: getattr(self, name) for name in self.__slots__ if name != "waited"}
        return {**numbers, "bought": self.bought, "price": plain(self.price), "waited": dict(self.waited)}


@dataclass(frozen=True, slots=True)
class Earned:
    """What one account earned.

    Attributes
    ----------
    account : str
    amount : int
        Wei of LTFT.
    parts : tuple of (topic, role, source, int)
        For what, the largest first; they add up to `amount`.
    """

    account: str
    amount: int
    parts: tuple[tuple[str, str, str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        names = ("topic", "role", "source", "amount")
        return {
            "account": self.account,
            "amount": self.amount,
            "parts": [dict(zip(names, part, strict=True)) for part in self.parts],
        }


def earned(earnings: Iterable[Earning]) -> tuple[Earned, ...]:
    """Return who earned what, the largest first; nothing is lost on the way."""
    sums: dict[str, dict[tuple[str, str, str], int]] = defaultdict(lambda: defaultdict(int))
    for one in earnings:
        sums[one.account][one.topic, one.role, one.source] += one.amount
    found = [
        Earned(
            account,
            sum(parts.values()),
            tuple((*what, amount) for what, amount in sorted(parts.items(), key=lambda pair: (-pair[1], pair[0]))),
        )
        for account, parts in sums.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.amount, one.account)))


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """Everything the end of a replay, or any span of a fund's life, has to say.

    Attributes
    ----------
    time : (T,) int64
        Of valuations, microseconds since 1970 UTC.
    fund, equal_weight, cash : Performance
        The fund's is per share and net of everything; equal weights pay no costs and cash earns nothing.
    over_equal_weight, over_cash : DieboldMariano
        Of the fund's returns less theirs: a positive mean speaks for the fund.
    nav : float
        Mean net asset value, quote.
    turnover : float
        Value traded, bought and sold, over the mean net asset value, per year; NaN for a span below 30 days.
    costs : Costs
    cost_rate : float
        Costs of trading and holding over the mean net asset value, per year; NaN as above.
    hit_rates : tuple of HitRate
    comparisons : tuple of Comparison
    buyback : BuybackSum
    earned : tuple of Earned
    """

    time: Ints
    fund: Performance
    equal_weight: Performance
    cash: Performance
    over_equal_weight: DieboldMariano
    over_cash: DieboldMariano
    nav: float
    turnover: float
    costs: Costs
    cost_rate: float
    hit_rates: tuple[HitRate, ...]
    comparisons: tuple[Comparison, ...]
    buyback: BuybackSum
    earned: tuple[Earned, ...]

    @property
    def verdict(self) -> tuple[str, ...]:
        """Sentences, each with the numbers behind it."""
        span = f"from {day(int(self.time[0]))} to {day(int(self.time[-1]))}, {self.time.size} valuations"
        lines = [
            f"{span}: fund {self.fund.total:+.2%} net of all costs (drawdown {self.fund.drawdown:.2%}), equal weight without "
            f"costs {self.equal_weight.total:+.2%} (drawdown {self.equal_weight.drawdown:.2%}), cash {self.cash.total:+.2%}",
            f"fund's return beside equal weight's: {_said(self.over_equal_weight)}",
            f"fund's return beside cash: {_said(self.over_cash)}",
            f"costs of trading and holding {_coins(self.costs.trading)} quote, {_rate(self.cost_rate)} of the mean net asset "
            f"value a year; turnover {_times(self.turnover)}",
        ]
        lines += [
            f"{rate.topic}: hit rate {_rate(rate.rate)} of {rate.calls} calls, one half is chance: {_said(rate.test)}"
            for rate in self.hit_rates
        ]
        lines += [line for comparison in self.comparisons for line in comparison.verdict]
        bought, paid = self.buyback, sum(one.amount for one in self.earned)
        price = f" at {bought.price:.6g} each" if bought.bought else ""
        lines += [
            f"buyback: {_coins(bought.spent)} of {_coins(bought.buyback)} quote bought {_coins(bought.bought)} LTFT{price}, "
            f"{_coins(bought.rewarded)} for rewards; slices: {bought.slices}",
            f"rewards: {_coins(paid)} LTFT to {len(self.earned)} accounts",
        ]
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, null for what is not known; without curves."""
        return {
            "start": int(self.time[0]),
            "end": int(self.time[-1]),
            "valuations": self.time.size,
            "performance": [one.to_dict() for one in (self.fund, self.equal_weight, self.cash)],
            "over_equal_weight": self.over_equal_weight.to_dict(),
            "over_cash": self.over_cash.to_dict(),
            "mean_nav": plain(self.nav),
            "turnover": plain(self.turnover),
            "costs": self.costs.to_dict(),
            "cost_rate": plain(self.cost_rate),
            "hit_rates": [rate.to_dict() for rate in self.hit_rates],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "buyback": self.buyback.to_dict(),
            "earned": [one.to_dict() for one in self.earned],
            "verdict": list(self.verdict),
        }


def review(
    valuations: Sequence[Valuation],
    market: ArrayLike,
    records: Iterable[Record],
    *,
    events: Iterable[Event] = (),
    earnings: Iterable[Earning] = (),
    hit_rates: Iterable[HitRate] = (),
    comparisons: Iterable[Comparison] = (),
) -> Review:
    """Return the review of a span.

    Parameters
    ----------
    valuations : sequence of Valuation
        At least one, in order of time, each with shares outstanding: one per bar.
    market : (T,) float
        Mean simple return over all series of the bar that ends at each valuation; the first is not used, NaN counts as 0.
    records : iterable of Record
        The book's journal of the same span, from its first instrument on.
    events : iterable of Event
        Of the LTFT market.
    earnings : iterable of Earning
    hit_rates, comparisons : iterable
        Per topic.

    Raises
    ------
    DataError
        There is no valuation, they are not in order, or one is of a fund without shares; market has another length or a return
        below -1; a fill is of an unlisted asset.
    """
    time = np.array([one.time for one in valuations], dtype=np.int64)
    moves = np.asarray(market, dtype=np.float64)
    if not time.size or not (np.diff(time) > 0).all() or any(not one.shares for one in valuations):
        raise DataError(f"{time.size} valuations: give one or more, in order of time, of a fund that has shares")
    if moves.shape != time.shape or np.isinf(moves).any() or (moves < -1).any():
        raise DataError(
            f"returns of the market {moves.shape} must be finite, from -1 up, one per {time.size} valuations"
        )
    grown = np.cumprod(1 + np.append(0.0, np.nan_to_num(moves[1:])))
    fund = Performance.of("fund", [one.per_share / WEI for one in valuations], time)
    equal = Performance.of("equal weight", grown, time)
    cash = Performance.of("cash", np.ones(time.size), time)
    costs = Costs.of(records)
    nav = float(np.mean([one.nav / WEI for one in valuations]))
    span = int(time[-1] - time[0])
    base = nav * span / YEAR_US if span >= MIN_SPAN_US else 0.0
    return Review(
        time=time,
        fund=fund,
        equal_weight=equal,
        cash=cash,
        over_equal_weight=differential_test(fund.returns - equal.returns, 1),
        over_cash=differential_test(fund.returns, 1),
        nav=nav,
        turnover=costs.traded / WEI / base if base > 0 else math.nan,
        costs=costs,
        cost_rate=costs.trading / WEI / base if base > 0 else math.nan,
        hit_rates=tuple(hit_rates),
        comparisons=tuple(comparisons),
        buyback=BuybackSum.of(events),
        earned=earned(earnings),
    )


def _said(test: DieboldMariano) -> str:
    """Return what a test of a mean, better when positive, says."""
    if test.reason:
        return f"not tested, {test.reason}"
    interval = f"95 % interval {test.low:+.3g} to {test.high:+.3g}"
    evidence = f"mean {test.mean:+.3g} a bar, {interval}, {shown_p(test.p)}, {test.bars} bars"
    if test.p >= LEVEL:
        return f"no difference that this sample can show ({evidence})"
    return f"{'better' if test.mean > 0 else 'worse'} ({evidence})"


def _coins(amount: int) -> str:
    return f"{amount / WEI:,.2f}"


def _rate(rate: float) -> str:
    return f"{rate:.2%}" if math.isfinite(rate) else "an unknown part"


def _times(turnover: float) -> str:
    return f"{turnover:.1f} times that a year" if math.isfinite(turnover) else "not known"
