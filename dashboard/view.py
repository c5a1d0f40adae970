"""What the page shows: plain records of one moment of the network, and the protocol of whoever supplies them.

The page computes nothing about money or consensus; it only draws. Money of the fund is integer cents, tokens are integer
wei, times are unix seconds UTC; floats appear only where something is a ratio, a price or a prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HeadState = Literal["signed", "pending", "carried", "missed"]
Level = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something the operator should read, in words.

    Attributes
    ----------
    level : {"critical", "warning", "info"}
        Critical: the loop is broken. Warning: it runs with less than it should have. Info: worth knowing.
    title, text : str
        A few words, and a sentence that says what it means and what to do.
    since : int or None
        When it began, unix seconds.
    """

    level: Level
    title: str
    text: str
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """A HEAD block as recorded.

    Attributes
    ----------
    number : int
        Its period, unix time // 600.
    made_at : int
        When it was made, unix seconds.
    state : {"signed", "pending"}
        Whether a quorum of validators has signed it.
    stake_signed, stake_total : int
        Voting stake that signed, and all of it, wei.
    unsigned : tuple of str
        Addresses of the validators whose signature is missing.
    block, parent, data_root, predictions_root, models_root, rewards_root : str
        Hashes as hex.
    """

    number: int
    made_at: int
    state: Literal["signed", "pending"]
    stake_signed: int
    stake_total: int
    unsigned: tuple[str, ...]
    block: str
    parent: str
    data_root: str
    predictions_root: str
    models_root: str
    rewards_root: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network expects of one symbol.

    Attributes
    ----------
    bar : int
        Open of the bar at whose close it was made, unix seconds.
    horizon : int
        Bars ahead.
    value, low, high : float
        Network inference and its interval (quantiles 0.159 and 0.841), in gaussianised cross-sectional rank.
    models : tuple of (str, float)
        Block hash and share of weight of every model that took part, the heaviest first; shares sum to 1.
    """

    topic: str
    sector: str
    broker: str
    symbol: str
    type: str
    bar: int
    horizon: int
    value: float
    low: float
    high: float
    models: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A model block of the fleet.

    Attributes
    ----------
    role : str
        ``crowned``, ``provisional``, or ``absent`` when it did not answer.
    log_e : float
        Evidence: natural logarithm of the e-value of its live differentials.
    drop_log_e, crown_log_e : float
        Where it would be dropped and where it is crowned.
    weight : float
        Share of the network inference of its topic, 0 … 1.
    recorded_at : int
        When the block was recorded, unix seconds.
    earned : int
        LTFT paid to its owner for it so far, wei.
    note : str
        Why it is absent, or nothing.
    """

    block: str
    topic: str
    role: Literal["crowned", "provisional", "absent"]
    owner: str
    log_e: float
    drop_log_e: float
    crown_log_e: float
    weight: float
    recorded_at: int
    earned: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """What the fund holds of one symbol; a negative quantity is a short.

    ``weight`` and ``target`` are signed parts of NAV; ``value`` and ``gain`` are cents, the gain
    realised or not, costs off.
    """

    broker: str
    sector: str
    symbol: str
    quantity: float
    price: float
    value: int
    weight: float
    target: float
    gain: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the fund and what became of it; `fee` and `slippage` are cents, `price` is the average fill or NaN."""

    at: int
    broker: str
    symbol: str
    side: Literal["buy", "sell"]
    quantity: float
    filled: float
    price: float
    fee: int
    slippage: int
    state: Literal["waiting", "filled", "partial", "refused", "dropped"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fund:
    """The simulated fund.

    Attributes
    ----------
    times : (n,) int64
        Unix seconds, ascending.
    nav, equal_weight, cash : (n,) float64
        NAV per share, and what one share would be worth in equal weights and in cash; NaN where unknown.
    nav_cents, cash_cents : int
        Value of the fund and the part of it that is cash.
    high_water : float
        Highest NAV per share after fees.
    gross, net, turnover : float
        Parts of NAV; turnover is that of the last rebalance.
    hit_rate : float
        Part of settled predictions with the right sign; NaN before the first.
    fees_cents : int
        Fees, slippage, borrow and funding paid so far.
    """

    currency: str
    times: Ints
    nav: Floats
    equal_weight: Floats
    cash: Floats
    nav_cents: int
    cash_cents: int
    high_water: float
    gross: float
    net: float
    turnover: float
    hit_rate: float
    fees_cents: int
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Buyback:
    """Tokens the fund bought from the pool: `spent` cents, `bought` and `burned` wei, `price` per LTFT."""

    at: int
    spent: int
    bought: int
    burned: int
    price: float


@dataclass(frozen=True, slots=True)
class Earning:
    """What one account was paid for this HEAD, wei, and why in words."""

    account: str
    topic: str
    amount: int
    why: str


@dataclass(frozen=True, slots=True)
class Rewards:
    """How the rewards of this HEAD were split, wei: ``emission + buyback = paid + kept``; None where that is not on record."""

    emission: int | None
    buyback: int | None
    paid: int
    kept: int | None
    earnings: tuple[Earning, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """The token and its pool.

    Attributes
    ----------
    times, price, twap : (n,) int64, float64, float64
        Spot price of one LTFT in the pool and its time-weighted average.
    pool_tokens, pool_cents : int
        Reserves of the pool, wei and cents.
    supply, cap, burned, redeemed : int
        Wei.
    treasury_cents, rewards_pool : int
        What backs redemption, cents; what waits to be paid, wei.
    """

    currency: str
    times: Ints
    price: Floats
    twap: Floats
    pool_tokens: int
    pool_cents: int
    supply: int
    cap: int
    burned: int
    redeemed: int
    treasury_cents: int
    rewards_pool: int
    buybacks: tuple[Buyback, ...]


@dataclass(frozen=True, slots=True)
class PastHead:
    """One period of the past, made or missed; ``carried`` is one in which, in a replay, the HEAD before stood on purpose."""

    number: int
    state: HeadState
    predictions: int = 0
    models: int = 0
    paid: int = 0
    block: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The network as it stood at the end of one period.

    Attributes
    ----------
    network : str
        Name of the network, for the title.
    number : int or None
        The period shown; None before the first HEAD.
    head : Head or None
        None when the period was missed or there is no HEAD yet.
    first, newest : int or None
        Ends of the timeline: first recorded period and that of the newest HEAD.
    past : tuple of PastHead
        Up to a day of periods before and including `number`, newest first, missed ones included.
    alerts : tuple of Alert
        What the fund itself reports (limits, halted symbols, late data); the page adds staleness, quorum and fleet size.
    fund, token, rewards : None
        Before there is anything to show.
    """

    network: str
    number: int | None = None
    head: Head | None = None
    first: int | None = None
    newest: int | None = None
    predictions: tuple[Prediction, ...] = ()
    models: tuple[Model, ...] = ()
    fund: Fund | None = None
    token: Token | None = None
    rewards: Rewards | None = None
    past: tuple[PastHead, ...] = ()
    alerts: tuple[Alert, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Clock:
    """The network's clock: unix seconds now, and how many of its seconds pass in one of ours (1 outside simulations)."""

    now: float
    rate: float = 1.0


class View(Protocol):
    """Supplies the page. Read-only; every method may be called from several threads at once and returns finished records.

    A :class:`~protocol.errors.LongtailError` from any method is shown on the page in its own words; the page goes on asking.
    """

    def clock(self) -> Clock:
        """Return the clock by which ages are told."""

    def version(self) -> str:
        """Return a short text that changes whenever the newest snapshot does. It is asked every second: keep it cheap."""

    def snapshot(self, number: int | None = None) -> Snapshot:
        """Return the snapshot of a period, by default the newest.

        For a past period everything in it is as it was then: nothing recorded later.

        Raises
        ------
        DataError
            `number` is outside ``first … newest``.
        """
