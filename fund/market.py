"""The simulated market of LTFT: where the fund's gains go, and what they buy.

**What a gain is.** The fund's value per share above its high-water mark, times the shares, in wei of quote, at the valuations
that raise the mark. It is realised in that the fund pays a part of it, the performance fee, out of its cash
(:func:`fund.nav.valued`); that money comes here (:func:`gains_of`). Nothing else does: what is not paid yet, or
merely climbs back to the mark, buys nothing.

**Where it goes.** `share_ppm` of it buys LTFT from the pool, in the slices and with the minimum out of
:mod:`protocol.ltft.buyback`; the rest is the treasury's, for a pro-rata part of which LTFT redeems. What is bought leaves the
market: a part may be burned, the rest is *deposited* into the rewards of the next HEADs.

**Whose tokens these are.** The pool's LTFT is the balance of one account on the ledger; what the account has beyond `pool.ltft`
was bought and is not yet deposited or burned there. `sums.rewarded` and `sums.burned` are what it must have deposited and
burned in all, so whoever is interrupted in between finds out what is left to do. Other traders are outside. There are none
unless given: they pay quote or LTFT in and are paid the other.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from fund.journal import Charge, Record
from fund.market_events import Bought, Declined, Event, Redeemed, Shared, Trade, Traded, Waited
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.head.schedule import MAX_PERIOD, Period
from protocol.head.units import in_order
from protocol.head.wire import fields_of, list_of
from protocol.ltft.buyback import Buyback, Fill, Terms
from protocol.ltft.pool import FEE_PPM, TWAP_WINDOW_S, Pool
from protocol.ltft.treasury import Treasury
from protocol.ltft.twap import MAX_TIME, Point, Twap
from protocol.ltft.wei import MAX_AMOUNT, PPM, part, whole

FORMAT = 1
#: Half of what the fund pays buys LTFT, half backs it.
SHARE_PPM = 500_000
QUOTE = "quote"
#: Nothing to say of a period in which nothing was to be bought, or no more than a few wei.
_QUIET = ("nothing left", "too early", "dust")


@dataclass(frozen=True, slots=True)
class Sums:
    """All that ever crossed the market's borders, or went from one store to another; wei, none ever falls.

    Attributes
    ----------
    gains : int
        Quote from the fund.
    spent : int
        Quote that buybacks paid to the pool.
    rewarded, burned : int
        LTFT they bought, by where it goes.
    quote_in, quote_out, ltft_in, ltft_out : int
        What other traders paid and were paid.
    redeemed, redemptions : int
        LTFT given up, and quote of the treasury paid for it.
    """

    gains: int = 0
    spent: int = 0
    rewarded: int = 0
    burned: int = 0
    quote_in: int = 0
    quote_out: int = 0
    ltft_in: int = 0
    ltft_out: int = 0
    redeemed: int = 0
    redemptions: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            whole(getattr(self, name), f"{name} of a market")

    def plus(self, **more: int) -> Sums:
        """Return the sums with so many wei more."""
        return replace(self, **{name: getattr(self, name) + amount for name, amount in more.items()})


@dataclass(frozen=True, slots=True)
class Market:
    """State of the market, which cannot be made unless every wei is accounted for.

    Attributes
    ----------
    period : int
        Number of the HEAD period it has come to.
    first_ltft, first_quote : int
        Wei that the pool was opened with.
    pool : Pool
        Its price is wei of quote per LTFT; its averages are up to the start of `period`, or the last trade.
    buyback : Buyback
        The budget in wei of quote, and its terms.
    treasury : int
        Wei of quote that LTFT redeems for.
    share_ppm : int
        Millionths of the gains paid over that buy LTFT.
    sums : Sums

    Raises
    ------
    RefusedError
        Reserves, budget and treasury are not what `sums` makes of the first reserves.
    ConfigError
        A number is not whole or out of range.
    """

    period: int
    first_ltft: int
    first_quote: int
    pool: Pool
    buyback: Buyback
    treasury: int = 0
    share_ppm: int = SHARE_PPM
    sums: Sums = Sums()

    def __post_init__(self) -> None:
        whole(self.share_ppm, "share_ppm", 0, PPM, ConfigError)
        whole(self.treasury, "the treasury of a market", error=ConfigError)
        one = self.sums
        due = (
            ("LTFT in the pool", self.pool.ltft, self.first_ltft + one.ltft_in - one.ltft_out - one.rewarded - one.burned),
            ("quote in the pool", self.pool.quote, self.first_quote + one.quote_in - one.quote_out + one.spent),
            ("budget and treasury", self.buyback.budget + self.treasury, one.gains - one.spent - one.redemptions),
        )  # fmt: skip
        for name, there, expected in due:
            if there != expected:
                raise RefusedError(f"{name} of the market: {there} wei are there, {expected} should be; restore a copy")

    @classmethod
    def opened(
        cls,
        period: int,
        ltft: int,
        quote: int,
        *,
        share_ppm: int = SHARE_PPM,
        terms: Terms | None = None,
        window: int = TWAP_WINDOW_S,
        fee_ppm: int = FEE_PPM,
    ) -> Self:
        """Open the pool with `ltft` and `quote` wei at the start of a period; both stay in it."""
        pool = Pool.opened(ltft, quote, Period(period).start, window=window, fee_ppm=fee_ppm)
        return cls(period, ltft, quote, pool, Buyback(terms=terms or Terms()), share_ppm=share_ppm)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; :meth:`from_dict` gives the same market back."""
        pool, twap, buyback = self.pool, self.pool.twap, self.buyback
        return {
            "format": FORMAT,
            "period": self.period,
            "first": [self.first_ltft, self.first_quote],
            "pool": [pool.ltft, pool.quote, pool.fee_ppm],
            "twap": [twap.window, [list(point) for point in twap.points]],
            "buyback": [buyback.budget, buyback.next_time],
            "terms": dataclasses.asdict(buyback.terms),
            "treasury": self.treasury,
            "share_ppm": self.share_ppm,
            "sums": dataclasses.asdict(self.sums),
        }

    @classmethod
    def from_dict(cls, raw: object) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises
        ------
        DataError
            It is of another format or damaged: a field is missing, of another type, or a wei is not accounted for.
        """
        try:
            return cls._read(raw)
        except (RefusedError, ConfigError, TypeError, ValueError) as error:
            raise DataError(f"the state of the market cannot be read: {error}; restore it from a copy") from error

    @classmethod
    def _read(cls, raw: object) -> Self:
        names = ("format", "period", "first", "pool", "twap", "buyback", "terms", "treasury", "share_ppm", "sums")
        values = fields_of(raw, "the market", names)
        if values["format"] != FORMAT:
            raise DataError(
                f"the market has format {values['format']!r:.40}, this version reads {FORMAT}; use the one that wrote it"
            )
        window, raw_points = list_of(values["twap"], "the averages")
        points = tuple(_point(one) for one in list_of(raw_points, "the points of the averages"))
        whole(window, "the window", 1, MAX_TIME)
        if not points or list(points) != sorted(points, key=lambda one: one.time):
            raise RefusedError("the points of the averages are missing or out of order")
        ltft, quote, fee_ppm = list_of(values["pool"], "the pool")
        first_ltft, first_quote = (whole(one, "a first reserve") for one in list_of(values["first"], "first"))
        budget, next_time = list_of(values["buyback"], "the buyback")
        return cls(
            Period(values["period"]).number,
            first_ltft,
            first_quote,
            Pool(ltft, quote, Twap(window, points), fee_ppm),
            Buyback(budget, next_time, Terms(**_record(values["terms"], Terms))),
            values["treasury"],
            values["share_ppm"],
            Sums(**_record(values["sums"], Sums)),
        )


def gains_of(records: Iterable[Record]) -> int:
    """Return what a fund paid over of its gains according to its journal: its performance fees, wei of quote."""
    return -sum(one.amount for one in records if isinstance(one, Charge) and one.kind == "performance")


def advance(
    market: Market, period: int, gains: int = 0, *, carried: range = range(0), trades: Sequence[Trade] = ()
) -> tuple[Market, tuple[Event, ...]]:
    """Bring the market to a later HEAD period.

    At the start of `period` the gains come in, then the slice of the buyback that is due is bought. In carried periods, through
    which a replay jumped, each has its slice at its time from the budget of before; in missed periods nothing is bought.
    Trades happen at their times, before a slice at the same second.

    Parameters
    ----------
    market : Market
    period : int
        Number of the HEAD's period, Unix time // 600.
    gains : int
        Wei of quote that the fund paid over since the last step, see :func:`gains_of`.
    carried : range
        Numbers of :attr:`protocol.head.schedule.Turn.carried`.
    trades : sequence of Trade
        What others did since the last step, ascending times.

    Returns
    -------
    market : Market
    events : tuple
        What happened, in order. A trade that the pool refuses is among them and changes nothing.

    Raises
    ------
    RefusedError
        The period is not later, a carried one not between, or a trade not in order of time since the last step; or an amount
        is not whole, or more than a pool can hold.
    """
    whole(period, "the period of a market", market.period + 1, MAX_PERIOD)
    whole(gains, "the gains")
    if carried and (carried.step != 1 or carried.start <= market.period or carried.stop > period):
        raise RefusedError(f"periods {carried} are not between {market.period} and {period}; carry only those")
    waiting = deque(_checked(market, trades, period))
    events: list[Event] = []
    for number in (*carried, period):
        time = Period(number).start
        while waiting and waiting[0].time <= time:
            market, happened = _traded(market, waiting.popleft())
            events.append(happened)
        if number == period and gains:
            market, shared = _shared(market, period, gains)
            events.append(shared)
        if market.buyback.budget:
            market, fill = _sliced(market, time)
            _note(events, number, fill)
    return replace(market, period=period, pool=market.pool.at(Period(period).start)), tuple(events)


def redeem(market: Market, account: str, tokens: int, supply: int) -> tuple[Market, Redeemed]:
    """Pay an account the share of the treasury that `tokens` wei of LTFT stand for, :class:`protocol.ltft.treasury.Treasury`.

    The tokens are gone already, so a share of nothing pays nothing.

    Parameters
    ----------
    market : Market
    account : str
    tokens : int
        Wei of LTFT, which the ledger has destroyed.
    supply : int
        All there was before that: ``Supply.total`` of the ledger.

    Raises
    ------
    RefusedError
        A number is not whole or out of range.
    """
    paid = Treasury({QUOTE: market.treasury}).share(tokens, supply)[QUOTE]
    sums = market.sums.plus(redeemed=tokens, redemptions=paid)
    after = replace(market, treasury=market.treasury - paid, sums=sums)
    return after, Redeemed(market.period, account, tokens, paid)


def redeem_all(
    market: Market, redeemed: Mapping[str, int], paid: Mapping[str, int], supply: int
) -> tuple[Market, tuple[Redeemed, ...]]:
    """Pay everybody for what was redeemed on the ledger and not paid for, in the order of the addresses' bytes.

    Parameters
    ----------
    market : Market
    redeemed, paid : mapping of account to wei
        LTFT given up on the ledger so far, and of that what was paid for before.
    supply : int
        All there is left: ``Supply.total`` of the ledger.

    Raises
    ------
    RefusedError
        More was paid for than was given up: this is another ledger.
    """
    owed = {name: redeemed.get(name, 0) - paid.get(name, 0) for name in in_order({**redeemed, **paid})}
    before, events = supply + sum(owed.values()), list[Redeemed]()
    for account, tokens in owed.items():
        if tokens:
            market, event = redeem(market, account, tokens, before)
            before -= tokens
            events.append(event)
    return market, tuple(events)


def _shared(market: Market, period: int, gains: int) -> tuple[Market, Shared]:
    buys = part(gains, market.share_ppm)
    after = replace(
        market,
        buyback=market.buyback.funded(buys),
        treasury=market.treasury + gains - buys,
        sums=market.sums.plus(gains=gains),
    )
    return after, Shared(period, buys, gains - buys)


def _sliced(market: Market, time: int) -> tuple[Market, Fill]:
    buyback, pool, fill = market.buyback.step(market.pool, time)
    sums = market.sums.plus(spent=fill.spent, rewarded=fill.rewarded, burned=fill.burned)
    return replace(market, buyback=buyback, pool=pool, sums=sums), fill


def _note(events: list[Event], period: int, fill: Fill) -> None:
    if fill.reason == "bought":
        events.append(Bought(period, fill.spent, fill.rewarded, fill.burned))
    elif fill.reason not in _QUIET:
        before = events[-1] if events else None
        if isinstance(before, Waited) and before.reason == fill.reason and before.last == period - 1:
            events[-1] = replace(before, last=period)
        else:
            events.append(Waited(period, period, fill.reason))


def _checked(market: Market, trades: Sequence[Trade], period: int) -> Sequence[Trade]:
    earliest, latest = market.pool.twap.time, Period(period).start
    for one in trades:
        if one.side not in ("buy", "sell"):
            raise RefusedError(f"trade {one} is neither buy nor sell")
        earliest = whole(one.time, f"the time of {one}", earliest, latest)
        whole(one.amount, f"the amount of {one}", 1)
    return trades


def _traded(market: Market, trade: Trade) -> tuple[Market, Traded | Declined]:
    buys = trade.side == "buy"
    try:
        act = market.pool.buy if buys else market.pool.sell
        pool, received = act(trade.amount, time=trade.time)
    except RefusedError as error:
        return market, Declined(trade.time, trade.side, trade.amount, str(error))
    crossed = ("quote_in", "ltft_out") if buys else ("ltft_in", "quote_out")
    sums = market.sums.plus(**dict(zip(crossed, (trade.amount, received), strict=True)))
    return replace(market, pool=pool, sums=sums), Traded(trade.time, trade.side, trade.amount, received)


def _point(raw: object) -> Point:
    time, *sums = list_of(raw, "a point of the averages")
    whole(time, "the time of a point", 0, MAX_TIME)
    if len(sums) != 2 or not all(type(one) is int and 0 <= one <= MAX_AMOUNT for one in sums):
        raise RefusedError(f"point {raw!r:.200} of the averages is not a time and two sums")
    return Point(time, *sums)


def _record(raw: object, kind: type[Terms | Sums]) -> dict[str, Any]:
    return fields_of(raw, f"the {kind.__name__.lower()} of the market", tuple(one.name for one in fields(kind)))
