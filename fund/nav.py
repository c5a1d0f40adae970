"""Net asset value per share, the high-water mark and fees.

Shares are those of :class:`protocol.ltft.vault.Vault`; the owners' money comes in and goes out at the value of the moment,
rounded in favour of those who stay. The performance fee is a share of what the value per share is above the highest at
which it was ever paid, so a gain is shared once; it is the fund's share of gains that buys LTFT. Before money comes in or
goes out it is paid too, whatever the date, so that nobody pays for gains from before their time. (A newcomer while the
value is below the mark still rides free up to the mark: one mark serves all.)
"""

from __future__ import annotations

from dataclasses import dataclass

from fund.book import UNIT_SHARES, Book, book_of
from fund.journal import Charge, Flow, Record, Valuation
from fund.units import PPM, SECOND_US, YEAR_US
from protocol.errors import ConfigError, RefusedError


@dataclass(frozen=True, slots=True)
class FundFees:
    """What the fund takes.

    Attributes
    ----------
    management_ppm : int
        Millionths of the net asset value per year, act/365.
    performance_ppm : int
        Millionths of gains above the high-water mark.
    period : int
        Microseconds; the performance fee is paid at the first valuation of each period counted from 1970.
    """

    management_ppm: int = 0
    performance_ppm: int = 200_000
    period: int = 7 * 86_400 * SECOND_US

    def __post_init__(self) -> None:
        if not (0 <= self.management_ppm < PPM and 0 <= self.performance_ppm < PPM and self.period > 0):
            raise ConfigError(f"{self}: fees are 0 to 999,999 millionths, the period is positive")


def deposit(book: Book, amount: int, time: int, fees: FundFees) -> tuple[Book, list[Record]]:
    """Take in `amount` wei for new shares.

    Raises
    ------
    RefusedError
        `time` is past, the amount is worth no share, or the fund is ruined: shares of nothing cannot be priced.
    """
    book, records = _flows(book, time, fees)
    if book.shares and book.nav() <= 0:
        raise RefusedError(f"the net asset value is {book.nav()} wei, so shares have no price; wind the fund up")
    _, shares = book.vault().deposit(amount)
    return _and(book, records, Flow(time, amount, shares))


def withdraw(book: Book, shares: int, time: int, fees: FundFees) -> tuple[Book, list[Record]]:
    """Pay out `shares` in cash.

    Raises
    ------
    RefusedError
        `time` is past, there are fewer shares, they are worth nothing, or there is not enough cash: sell first.
    """
    book, records = _flows(book, time, fees)
    _, amount = book.vault().withdraw(shares)
    flow = Flow(time, -amount, -shares)
    if book.after(flow).debit():
        raise RefusedError(f"{shares} shares are worth {amount} wei, the cash is {book.cash} wei; sell positions first")
    return _and(book, records, flow)


def valued(book: Book, time: int, fees: FundFees, crystallise: bool = False) -> tuple[Book, list[Record]]:
    """Take the fees due and value the book; returns it and its new records, the :class:`Valuation` last.

    Parameters
    ----------
    book : Book
    time : int
        Microseconds since 1970 UTC, at least that of the last bar and of the last valuation.
    fees : FundFees
    crystallise : bool
        Take the performance fee now rather than at the end of its period.

    Raises
    ------
    RefusedError
        The time is past.
    """
    if time < max(book.time, book.valued):
        raise RefusedError(
            f"the book is at {max(book.time, book.valued)}; it cannot be valued at {time}, which is past"
        )
    records: list[Record] = []
    nav = book.nav()
    if book.valued and nav > 0 and book.shares:
        due = nav * fees.management_ppm * (time - book.valued) // (PPM * YEAR_US)
        if due:
            book, records = _and(book, records, Charge(time, "", "management", -due))
    mark = book.high_water
    if book.shares and (crystallise or (book.valued and time // fees.period > book.valued // fees.period)):
        gain = max(0, book.per_share() - mark) * book.shares // UNIT_SHARES
        due = gain * fees.performance_ppm // PPM
        if due:
            book, records = _and(book, records, Charge(time, "", "performance", -due))
        mark = max(mark, book.per_share())
    values = [book.value(asset) for asset in book.positions]
    valuation = Valuation(
        time=time,
        nav=book.nav(),
        cash=book.cash,
        long=sum(value for value in values if value > 0),
        short=sum(value for value in values if value < 0),
        shares=book.shares,
        per_share=book.per_share(),
        high_water=mark,
    )
    return _and(book, records, valuation)


def _flows(book: Book, time: int, fees: FundFees) -> tuple[Book, list[Record]]:
    return valued(book, time, fees, crystallise=True)


def _and(book: Book, records: list[Record], *more: Record) -> tuple[Book, list[Record]]:
    return book_of(more, book), [*records, *more]
