"""Shares of the fund for those who put money into it: ERC-4626's conversions with a decimals offset.

They are not LTFT, whose emission would dilute depositors. The offset stands against the inflation attack: whoever is first
in, gives the vault a large sum and so makes the next deposit round down to few shares, gives most of that sum away to
shares that nobody holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.errors import RefusedError
from protocol.ltft.wei import MAX_RESERVE, whole

#: Shares nobody holds, worth one wei at first: six more decimals than the asset has.
OFFSET = 10**6


@dataclass(frozen=True, slots=True)
class Vault:
    """What the fund owns for its depositors, and their shares.

    Attributes
    ----------
    assets : int
        Net asset value in wei of quote.
    shares : int
        Of all depositors; 10**24 are one unit of quote at first.

    Raises
    ------
    RefusedError
        A number is not whole or out of range.
    """

    assets: int = 0
    shares: int = 0

    def __post_init__(self) -> None:
        whole(self.assets, "the assets of the vault", 0, MAX_RESERVE)
        whole(self.shares, "the shares of the vault", 0, OFFSET * MAX_RESERVE)

    def shares_for(self, assets: int) -> int:
        """Return the shares for `assets` wei: ``assets (shares + 10**6) / (all assets + 1)``, rounded down."""
        return whole(assets, "the assets", 0, MAX_RESERVE) * (self.shares + OFFSET) // (self.assets + 1)

    def assets_for(self, shares: int) -> int:
        """Return the wei for `shares`: ``shares (all assets + 1) / (all shares + 10**6)``, rounded down."""
        return whole(shares, "the shares", 0, self.shares) * (self.assets + 1) // (self.shares + OFFSET)

    def deposit(self, assets: int) -> tuple[Vault, int]:
        """Take in `assets` wei of quote; returns the vault after it and the new shares.

        Raises
        ------
        RefusedError
            They are worth no share, or a number is out of range.
        """
        shares = self.shares_for(assets)
        if not shares:
            raise RefusedError(f"{assets} wei are worth no share at {self.assets} wei for {self.shares}; deposit more")
        return Vault(self.assets + assets, self.shares + shares), shares

    def withdraw(self, shares: int) -> tuple[Vault, int]:
        """Take back `shares`; returns the vault after it and the wei of quote to pay.

        Raises
        ------
        RefusedError
            They are worth nothing, or more than there are.
        """
        assets = self.assets_for(shares)
        if not assets:
            raise RefusedError(
                f"{shares} of {self.shares} shares are worth nothing of {self.assets} wei; withdraw more"
            )
        return Vault(self.assets - assets, self.shares - shares), assets

    def marked(self, assets: int) -> Vault:
        """Return the vault with its assets at a new net asset value, in wei: the fund's gain or loss."""
        return replace(self, assets=assets)
