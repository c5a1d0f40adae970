"""The market of LTFT: a constant-product pool against the quote currency, as Uniswap v2 computes it.

Outputs are rounded down and inputs up, and the fee stays in the pool, so the product of the reserves never falls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.twap import Twap
from protocol.ltft.wei import MAX_RESERVE, PPM, WAD, whole

#: 0.3 % of what goes in.
FEE_PPM = 3_000
#: Seconds over which the pool's average price is taken: three HEAD periods.
TWAP_WINDOW_S = 1_800


def amount_out(amount_in: int, reserve_in: int, reserve_out: int, fee_ppm: int = FEE_PPM) -> int:
    """Return what a pool gives for `amount_in`, rounded down.

    ``reserve_out n / (reserve_in + n)`` with ``n = amount_in (1 - fee)``. Uniswap v2, ``getAmountOut``. With the fee 0 and
    reserves that are partly virtual it is a virtual-reserve launch curve.

    Parameters
    ----------
    amount_in, reserve_in, reserve_out : int
        Wei, 1 to 2**112 - 1.
    fee_ppm : int
        Millionths of `amount_in`, below 10**6.

    Raises
    ------
    RefusedError
        A number is not whole or out of range.
    """
    keep = PPM - _checked(amount_in, "the amount in", reserve_in, reserve_out, fee_ppm)
    return amount_in * keep * reserve_out // (reserve_in * PPM + amount_in * keep)


def amount_in(amount_out: int, reserve_in: int, reserve_out: int, fee_ppm: int = FEE_PPM) -> int:
    """Return what a pool asks for `amount_out`: Uniswap v2's ``getAmountIn``, rounded down and one wei added.

    Parameters
    ----------
    amount_out, reserve_in, reserve_out : int
        Wei, 1 to 2**112 - 1; `amount_out` less than `reserve_out`.
    fee_ppm : int
        Millionths of the input, below 10**6.

    Raises
    ------
    RefusedError
        A number is not whole or out of range; the pool does not have `amount_out`.
    """
    keep = PPM - _checked(amount_out, "the amount out", reserve_in, reserve_out, fee_ppm)
    if amount_out >= reserve_out:
        raise RefusedError(f"the pool has {reserve_out} wei, not more than the {amount_out} asked for; ask for less")
    return reserve_in * amount_out * PPM // ((reserve_out - amount_out) * keep) + 1


def _checked(amount: int, name: str, reserve_in: int, reserve_out: int, fee_ppm: int) -> int:
    whole(amount, name, 1, MAX_RESERVE)
    whole(reserve_in, "the reserve in", 1, MAX_RESERVE)
    whole(reserve_out, "the reserve out", 1, MAX_RESERVE)
    return whole(fee_ppm, "fee_ppm", 0, PPM - 1)


@dataclass(frozen=True, slots=True)
class Pool:
    """The reserves and the averages of their price. Liquidity is put in when the pool is made and stays.

    Attributes
    ----------
    ltft, quote : int
        Reserves, wei, 1 to 2**112 - 1.
    twap : Twap
        Up to the last trade; see :meth:`at`.
    fee_ppm : int
        Millionths of what goes in.

    Raises
    ------
    ConfigError
        A number is not whole or out of range.
    """

    ltft: int
    quote: int
    twap: Twap
    fee_ppm: int = FEE_PPM

    def __post_init__(self) -> None:
        whole(self.ltft, "the LTFT of a pool", 1, MAX_RESERVE, ConfigError)
        whole(self.quote, "the quote currency of a pool", 1, MAX_RESERVE, ConfigError)
        whole(self.fee_ppm, "fee_ppm", 0, PPM - 1, ConfigError)

    @classmethod
    def opened(cls, ltft: int, quote: int, time: int, *, window: int = TWAP_WINDOW_S, fee_ppm: int = FEE_PPM) -> Pool:
        """Make a pool at `time`, Unix seconds."""
        return cls(ltft, quote, Twap.begun(window, time), fee_ppm)

    @property
    def product(self) -> int:
        """K, which no trade makes smaller."""
        return self.ltft * self.quote

    @property
    def price(self) -> int:
        """Wei of quote per LTFT at the margin, before the fee, rounded down."""
        return self.quote * WAD // self.ltft

    def at(self, time: int) -> Pool:
        """Return the pool at `time`, with the averages up to then.

        Raises
        ------
        RefusedError
            `time` is before the last trade.
        """
        return replace(self, twap=self.twap.advanced(time, self.ltft, self.quote))

    def buy(self, quote: int, *, time: int, minimum_out: int = 1) -> tuple[Pool, int]:
        """Pay `quote` wei for LTFT.

        Returns
        -------
        pool : Pool
            After the trade.
        ltft : int
            Wei bought, rounded down.

        Raises
        ------
        RefusedError
            Less than `minimum_out` or nothing would be bought; a number is out of range; `time` is before the last trade.
        """
        bought = amount_out(quote, self.quote, self.ltft, self.fee_ppm)
        return self._traded(-bought, quote, time, minimum_out), bought

    def sell(self, ltft: int, *, time: int, minimum_out: int = 1) -> tuple[Pool, int]:
        """Pay `ltft` wei for the quote currency; the mirror of :meth:`buy`."""
        paid = amount_out(ltft, self.ltft, self.quote, self.fee_ppm)
        return self._traded(ltft, -paid, time, minimum_out), paid

    def _traded(self, ltft: int, quote: int, time: int, minimum_out: int) -> Pool:
        out, unit = (-ltft, "LTFT") if quote > 0 else (-quote, "quote")
        if out < max(1, whole(minimum_out, "minimum_out")):
            raise RefusedError(f"the trade fetches {out} wei of {unit}, less than {minimum_out}; ask for less or wait")
        for name, reserve in (("LTFT", self.ltft + ltft), ("quote", self.quote + quote)):
            whole(reserve, f"the {name} reserve after the trade", 1, MAX_RESERVE)
        return replace(self.at(time), ltft=self.ltft + ltft, quote=self.quote + quote)
