"""LTFT over a replay: what the buyback bought and who earned what, by the functions that the live cycle pays and buys with.

At the close of every bar a HEAD is made, one per period of ten minutes at most, and the periods between are carried. It pays
their emission and what was bought before, by the work settled since the HEAD before; the fund's performance fees go to the
market. Bought LTFT is paid by the HEAD after, as the live ledger takes a deposit after the HEAD that made it.

What a replay has not got: validators, so what judging would earn is not minted; other traders, so the price of LTFT
only moves by the buyback; redemptions; missed periods. Every wei is accounted for: what was emitted is minted or not, what
was bought is paid or waits, and what was paid is minted or bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fund.forecasters import FORECASTERS
from fund.market import Market, advance, gains_of
from fund.market_events import Event
from fund.payday import Due, Payout, Pot, due, emitted, pay
from fund.replay import Course
from fund.units import SECOND_US, WEI, plain
from protocol.addresses import checksum_address
from protocol.consensus.shares import apportion
from protocol.errors import DataError
from protocol.head.rewards import Earning, Payees
from protocol.head.schedule import Period, turn
from protocol.ltft.emission import SCHEDULE, Schedule

#: Who is paid for forecasts, as in a fund that is begun without a charter.
FUND = "the fund's forecasters"
FUND_ACCOUNT = checksum_address(f"0x{1:040x}")
#: Wei that the pool opens with, LTFT and quote, unless told otherwise.
POOL = (1_000_000 * WEI, 1_000_000 * WEI)


class Paid(NamedTuple):
    """What one HEAD paid: start of its period, microseconds since 1970 UTC, and to whom."""

    time: int
    earnings: tuple[Earning, ...]


@dataclass(slots=True)
class Tokens:
    """LTFT of a replay so far; it grows with :meth:`follow`. One topic, whose every model has an account.

    Attributes
    ----------
    topic : str
    accounts : mapping of account to str
        What to call it, in the order of the modules; the fund last.
    payees : Payees
    pool : (ltft, quote)
        Wei that the market opens with at the first HEAD.
    schedule : Schedule
        Of the emission, which begins with the first HEAD.
    last, genesis : Period or None
        Of the newest and of the first HEAD.
    market : Market or None
    division : Due or None
        By whose work the newest HEAD paid.
    events, heads : list
        In order of time.
    emission, minted, taken : int
        Wei: emitted so far, minted of that, and paid of what was bought.
    unminted : dict of str to int
        Wei of emission that were not minted, by why; they add up to ``emission - minted``.
    """

    topic: str
    accounts: Mapping[str, str]
    payees: Payees
    pool: tuple[int, int] = POOL
    schedule: Schedule = SCHEDULE
    last: Period | None = None
    genesis: Period | None = None
    market: Market | None = None
    division: Due | None = None
    events: list[Event] = field(default_factory=list)
    heads: list[Paid] = field(default_factory=list)
    emission: int = 0
    minted: int = 0
    taken: int = 0
    unminted: dict[str, int] = field(default_factory=dict)
    _records: int = 0  # of the course's, those the market has heard of
    _settlements: int = 0

    @classmethod
    def of(cls, topic: str, names: Mapping[str, str], pool: tuple[int, int] = POOL) -> Self:
        """Return the state before the first bar; `names` says what to call each block.

        Raises
        ------
        DataError
            A block is no hash of 64 hex digits.
        """
        if bad := [block for block in names if len(block) != 64]:
            raise DataError(f"block {bad[0]!r:.80} is no hash of 64 hex digits; name each model by its block")
        blocks = {block: checksum_address(f"0x{block[:40]}") for block in names}
        accounts = {blocks[block]: name for block, name in names.items()} | {FUND_ACCOUNT: FUND}
        return cls(topic, accounts, Payees({**dict.fromkeys(FORECASTERS, FUND_ACCOUNT), **blocks}), pool)

    def follow(self, course: Course) -> None:
        """Make the HEAD that is due after the newest bar of a course, if one is; pay it and let the market move on."""
        time = course.valuations[-1].time // SECOND_US
        head = turn(self.last, time, replay=True)
        if head.period is None:
            return
        genesis = self.genesis = self.genesis or head.period
        settled = course.settlements[self._settlements :]
        gains = gains_of(course.records[self._records :])
        self._settlements, self._records = len(course.settlements), len(course.records)
        pot = Pot(emitted(self.schedule, genesis.number, head.period, head.carried), self.deposits)
        before = self.division.division if self.division else None
        self.division = due(self.topic, 1.0, settled, before)
        self._keep(head.period, self._paid(pot, _says(course)))
        if self.market is None:
            self.market = Market.opened(head.period.number, *self.pool)
        else:
            self.market, events = advance(self.market, head.period.number, gains, carried=head.carried)
            self.events += events
        self.last = head.period

    @property
    def deposits(self) -> int:
        """Wei of LTFT that were bought and are not paid yet."""
        return (self.market.sums.rewarded if self.market else 0) - self.taken

    @property
    def earnings(self) -> list[Earning]:
        """Of all HEADs."""
        return [one for head in self.heads for one in head.earnings]

    def curves(self) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
        """Return the times of all HEADs, microseconds since 1970 UTC, and what each account had earned then, LTFT, by name."""
        place = {account: row for row, account in enumerate(self.accounts)}
        sums = np.zeros((len(place), len(self.heads)))
        for column, head in enumerate(self.heads):
            for one in head.earnings:
                sums[place[one.account], column] += one.amount / WEI
        time = np.array([head.time for head in self.heads], dtype=np.int64)
        return time, dict(zip(self.accounts.values(), np.cumsum(sums, axis=1), strict=True))

    def earned(self) -> list[dict[str, Any]]:
        """Return what each account earned, in their order: name, account, amount, share of all, and amount by role; wei."""
        roles: dict[str, dict[str, int]] = {account: {} for account in self.accounts}
        for one in self.earnings:
            roles[one.account][one.role] = roles[one.account].get(one.role, 0) + one.amount
        total = sum(sum(parts.values()) for parts in roles.values())
        return [
            {
                "name": name,
                "account": account,
                "amount": (amount := sum(roles[account].values())),
                "share": plain(amount / total) if total else None,
                "roles": roles[account],
            }
            for account, name in self.accounts.items()
        ]

    @property
    def verdict(self) -> tuple[str, ...]:
        """Sentences on the price and on what came of the emission."""
        if self.market is None:
            return ()
        before, after = self.pool[1] / self.pool[0], self.market.pool.quote / self.market.pool.ltft
        left, unpaid = self.market.buyback.budget, self.deposits
        kept = "; ".join(
            f"{amount / WEI:,.2f} {why}" for why, amount in sorted(self.unminted.items(), key=lambda pair: -pair[1])
        )
        return (
            f"LTFT: {before:.6g} quote before the buyback, {after:.6g} after it; nobody else trades; "
            f"left to spend {left / WEI:,.2f} quote, to pay {unpaid / WEI:,.2f} LTFT",
            f"emission of {len(self.heads):,} HEADs and the periods between: {self.emission / WEI:,.2f} LTFT, "
            f"{self.minted / WEI:,.2f} minted" + (f"; not minted: {kept}" if kept else ""),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; amounts are wei, prices quote per LTFT at the margin."""
        market = self.market
        return {
            "heads": len(self.heads),
            "pool": list(self.pool),
            "pool_at_end": [market.pool.ltft, market.pool.quote] if market else None,
            "price_at_start": plain(self.pool[1] / self.pool[0]),
            "price_at_end": plain(market.pool.quote / market.pool.ltft) if market else None,
            "budget_left": market.buyback.budget if market else 0,
            "treasury": market.treasury if market else 0,
            "emission": self.emission,
            "minted": self.minted,
            "not_minted": self.unminted,
            "bought_and_paid": self.taken,
            "bought_and_waiting": self.deposits,
            "earned": self.earned(),
        }

    def _paid(self, pot: Pot, says: bool) -> Payout:
        topics = {self.topic: self.division} if self.division else {}
        return pay(pot, topics, {self.topic} if says else set(), self.payees)

    def _keep(self, period: Period, payout: Payout) -> None:
        self.emission += payout.pot.emission
        self.minted += payout.minted
        self.taken += payout.taken
        for why, amount in _unminted(payout):
            self.unminted[why] = self.unminted.get(why, 0) + amount
        self.heads.append(Paid(period.start * SECOND_US, payout.rewards.earnings))


def _says(course: Course) -> bool:
    return bool(course.inferences) and not course.inferences[-1].is_empty


def _unminted(payout: Payout) -> Sequence[tuple[str, int]]:
    """Return why how much of the emission was not minted: what was kept, less the deposits among it, pro rata."""
    kept = payout.rewards.kept
    if not payout.unminted:
        return []
    return list(zip([one.why for one in kept], apportion(payout.unminted, [one.amount for one in kept]), strict=True))
