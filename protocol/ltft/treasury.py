"""What stands behind LTFT: assets of which whoever gives up tokens gets a pro-rata share in kind.

Redeeming is the only way out and gives nobody a claim on the way in: assets arrive as gifts (fees, a share of the fund's
gains, surplus of a curve). So there is no share price that a donation could inflate against the next depositor, and emission
dilutes holders of LTFT alone. Those who deposit into the fund hold shares of :mod:`protocol.ltft.vault` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from protocol.errors import RefusedError
from protocol.ltft.wei import whole


@dataclass(frozen=True, slots=True)
class Treasury:
    """Assets by name, each in its own smallest unit, not negative.

    Raises
    ------
    RefusedError
        An amount is not whole or out of range.
    """

    assets: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, amount in self.assets.items():
            whole(amount, f"the treasury's {name}")
        object.__setattr__(self, "assets", MappingProxyType(dict(self.assets)))

    def received(self, asset: str, amount: int) -> Treasury:
        """Return the treasury with `amount` more of an asset."""
        return Treasury({**self.assets, asset: self.assets.get(asset, 0) + whole(amount, f"the {asset} received")})

    def share(self, tokens: int, supply: int) -> dict[str, int]:
        """Return what `tokens` of `supply` wei of LTFT are worth: ``asset * tokens // supply`` of each asset.

        Parameters
        ----------
        tokens : int
            Wei of LTFT, 1 to `supply`.
        supply : int
            All there is, whoever holds it and locked or not, before `tokens` are destroyed: ``Supply.total``.

        Raises
        ------
        RefusedError
            A number is not whole or out of range.
        """
        whole(supply, "the supply", 1)
        whole(tokens, "the amount redeemed", 1, supply)
        return {name: amount * tokens // supply for name, amount in self.assets.items()}

    def redeem(self, tokens: int, supply: int) -> tuple[Treasury, dict[str, int]]:
        """Pay the share of `tokens`, which the caller destroys by :func:`protocol.ltft.accounts.redeem` in the same step.

        Rounded in the treasury's favour, so what a token left behind is worth never falls. The last holder gets all
        that is left.

        Parameters
        ----------
        tokens, supply
            As for :meth:`share`.

        Returns
        -------
        treasury : Treasury
            What is left.
        paid : dict of asset to amount

        Raises
        ------
        RefusedError
            A number is not whole or out of range, or the share is nothing: dust, or an empty treasury.
        """
        paid = self.share(tokens, supply)
        if not any(paid.values()):
            raise RefusedError(
                f"{tokens} of {supply} wei redeem for nothing of {dict(self.assets)}; redeem more or wait"
            )
        return Treasury({name: amount - paid[name] for name, amount in self.assets.items()}), paid
