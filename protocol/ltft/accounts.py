"""Who holds the supply, and the entries that move it.

An :class:`Entry` is double-entry bookkeeping: its postings add up to what it mints less what it burns or redeems, or it
cannot be made. Whoever keeps balances posts entries; :class:`Accounts` is the plainest such keeper, and any other table
of balances conserves the supply by posting the same entries in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from protocol.errors import RefusedError
from protocol.ltft.supply import Supply
from protocol.ltft.wei import MAX_AMOUNT, whole


@dataclass(frozen=True, slots=True)
class Entry:
    """One balanced movement of LTFT.

    Attributes
    ----------
    postings : tuple of (holder, change)
        Changes in wei of either sign, applied in this order; no balance may fall below 0 on the way.
    minted, burned, redeemed : int
        Wei; ``sum of changes = minted - burned - redeemed``.

    Raises
    ------
    RefusedError
        The entry does not balance.
    """

    postings: tuple[tuple[str, int], ...]
    minted: int = 0
    burned: int = 0
    redeemed: int = 0

    def __post_init__(self) -> None:
        for holder, change in self.postings:
            whole(change, f"the change of {holder}", -MAX_AMOUNT)
        change, due = sum(change for _, change in self.postings), self.minted - self.burned - self.redeemed
        if change != due:
            raise RefusedError(
                f"the postings add up to {change} wei, minted less burned and redeemed is {due}; balance them"
            )


def transfer(sender: str, receiver: str, amount: int) -> Entry:
    """Move `amount` wei, at least 1."""
    whole(amount, "the amount of a transfer", 1)
    return Entry(((sender, -amount), (receiver, amount)))


def mint(amounts: Mapping[str, int]) -> Entry:
    """Make wei for each holder; amounts not negative."""
    for holder, amount in amounts.items():
        whole(amount, f"the amount minted for {holder}")
    return Entry(tuple(amounts.items()), minted=sum(amounts.values()))


def burn(holder: str, amount: int) -> Entry:
    """Destroy `amount` wei of a holder, at least 1."""
    whole(amount, "the amount burned", 1)
    return Entry(((holder, -amount),), burned=amount)


def redeem(holder: str, amount: int) -> Entry:
    """Give up `amount` wei, at least 1, for what :meth:`protocol.ltft.treasury.Treasury.redeem` pays."""
    whole(amount, "the amount redeemed", 1)
    return Entry(((holder, -amount),), redeemed=amount)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The supply and its holders.

    Attributes
    ----------
    supply : Supply
    balances : mapping of holder to wei
        Not negative; they add up to ``supply.total``. People by address, the system's own stores by name. Whoever is
        not here has 0.

    Raises
    ------
    RefusedError
        A balance is negative or not whole, or they do not add up.
    """

    supply: Supply
    balances: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for holder, balance in self.balances.items():
            whole(balance, f"the balance of {holder}")
        held = sum(self.balances.values())
        if held != self.supply.total:
            raise RefusedError(
                f"balances add up to {held} wei and the supply is {self.supply.total}; they must be equal"
            )
        object.__setattr__(self, "balances", MappingProxyType(dict(self.balances)))

    def balance(self, holder: str) -> int:
        """Return what a holder has, in wei."""
        return self.balances.get(holder, 0)

    def post(self, *entries: Entry) -> Accounts:
        """Return the accounts after all `entries`, or refuse them all.

        Raises
        ------
        RefusedError
            A holder would go below 0, or the supply out of its range.
        """
        balances, supply = dict(self.balances), self.supply
        for entry in entries:
            for holder, change in entry.postings:
                balance = balances.get(holder, 0) + change
                if balance < 0:
                    raise RefusedError(f"{holder} has {balance - change} wei, less than the {-change} it is to give")
                balances[holder] = balance
            supply = supply.after(minted=entry.minted, burned=entry.burned, redeemed=entry.redeemed)
        return Accounts(supply, balances)
