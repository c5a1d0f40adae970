"""How much LTFT there is: initial + minted - burned - redeemed."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import RefusedError
from protocol.ltft.wei import MAX_AMOUNT, whole


@dataclass(frozen=True, slots=True)
class Supply:
    """Four running sums in wei, of which only the first may stand still; none ever falls.

    Attributes
    ----------
    initial : int
        At the genesis.
    minted : int
        By emission and by bonding curves since.
    burned : int
        Given up for nothing, or sold back to a bonding curve.
    redeemed : int
        Given up for a share of the treasury.
    """

    initial: int
    minted: int = 0
    burned: int = 0
    redeemed: int = 0

    def __post_init__(self) -> None:
        for name in ("initial", "minted", "burned", "redeemed"):
            whole(getattr(self, name), name)
        if not 0 <= self.total <= MAX_AMOUNT:
            raise RefusedError(f"a supply of {self.total} wei cannot be: it must be from 0 to {MAX_AMOUNT}; {self}")

    @property
    def total(self) -> int:
        """The wei there are."""
        return self.initial + self.minted - self.burned - self.redeemed

    def after(self, *, minted: int = 0, burned: int = 0, redeemed: int = 0) -> Supply:
        """Return the supply after so many more wei were minted, burned and redeemed.

        Raises
        ------
        RefusedError
            An amount is negative, or the total would leave 0 to 2**256 - 1.
        """
        whole(minted, "minted")
        whole(burned, "burned")
        whole(redeemed, "redeemed")
        return Supply(self.initial, self.minted + minted, self.burned + burned, self.redeemed + redeemed)
