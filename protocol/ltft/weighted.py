"""Markets whose reserves have weights: Bancor's, the Commons Stack's augmented curve, and Balancer's launch pools.

Powers of ratios by :mod:`protocol.ltft.fixed`, with its error taken against the trader: no result is ever better for the
trader than the exact number.
"""

from __future__ import annotations

from protocol.errors import RefusedError
from protocol.ltft.fixed import ERROR, ONE, PLACES, exp, ln
from protocol.ltft.pool import FEE_PPM
from protocol.ltft.wei import MAX_RESERVE, PPM, div_up, whole

#: Smallest weight of a reserve, 1 %: below it the error of a power would grow past a wei.
MIN_WEIGHT_PPM = 10_000
#: e**-128 is less than the error of what it is taken from.
_FAR = 128 * ONE


def purchase_return(supply: int, reserve: int, weight_ppm: int, deposit: int) -> int:
    """Return the tokens that `deposit` buys: ``supply ((1 + deposit / reserve)**weight - 1)``, rounded down.

    With ``weight = 1 / kappa`` this is the Commons Stack's curve, which keeps ``supply**kappa / reserve``.

    Parameters
    ----------
    supply, reserve, deposit : int
        Wei, 1 to 2**112 - 1.
    weight_ppm : int
        Reserve over market value, millionths, from 10**4 to 10**6; ``price = reserve / (supply weight)``.

    Raises
    ------
    RefusedError
        A number is not whole or out of range.
    """
    _check(weight_ppm, supply=supply, reserve=reserve, deposit=deposit)
    if weight_ppm == PPM:
        return supply * deposit // reserve
    growth = _grown(ln(reserve + deposit, reserve) * weight_ppm // PPM, -ERROR)
    return max(0, supply * (growth - ONE) >> PLACES)


def sale_return(supply: int, reserve: int, weight_ppm: int, tokens: int) -> int:
    """Return the reserve that `tokens` fetch: ``reserve (1 - (1 - tokens / supply)**(1 / weight))``, rounded down.

    Parameters
    ----------
    supply, reserve, weight_ppm
        As for :func:`purchase_return`.
    tokens : int
        Wei, 1 to `supply`; all of it fetches all of the reserve.

    Raises
    ------
    RefusedError
        A number is not whole or out of range.
    """
    _check(weight_ppm, supply=supply, reserve=reserve, tokens=tokens)
    whole(tokens, "tokens", 1, supply)
    if tokens == supply or weight_ppm == PPM:
        return reserve * tokens // supply
    return reserve * _lost(ln(supply, supply - tokens) * PPM // weight_ppm) >> PLACES


def fund_cost(supply: int, reserve: int, weight_ppm: int, tokens: int) -> int:
    """Return what `tokens` cost: ``reserve ((1 + tokens / supply)**(1 / weight) - 1)``, rounded up.

    Parameters
    ----------
    supply, reserve, weight_ppm, tokens
        As for :func:`purchase_return`; `tokens` of any size.

    Raises
    ------
    RefusedError
        A number is not whole or out of range, the cost among them.
    """
    _check(weight_ppm, supply=supply, reserve=reserve, tokens=tokens)
    if weight_ppm == PPM:
        cost = div_up(reserve * tokens, supply)
    else:
        exponent = div_up((ln(supply + tokens, supply) + ERROR) * PPM, weight_ppm)
        if exponent > _FAR:
            raise RefusedError(f"{tokens} wei are too many for a supply of {supply} at {weight_ppm} ppm; buy fewer")
        cost = div_up(reserve * (_grown(exponent, ERROR) - ONE), ONE)
    return whole(cost, "the cost", 1, MAX_RESERVE)


def weighted_out(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_in: int, *, fee_ppm: int = FEE_PPM
) -> int:
    """Return what a weighted pool gives: ``out (1 - (in / (in + n))**(weight_in / weight_out))``, rounded down.

    With ``n = amount_in (1 - fee)``, rounded down. Balancer's ``outGivenIn``; a launch pool moves its weights over time.

    Parameters
    ----------
    balance_in, balance_out, amount_in : int
        Wei, 1 to 2**112 - 1.
    weight_in, weight_out : int
        Shares of the pool's value, millionths, each at least 10**4; they add up to 10**6.
    fee_ppm : int
        Millionths of `amount_in`, below 10**6.

    Raises
    ------
    RefusedError
        A number is not whole or out of range.
    """
    _check(weight_in, balance_in=balance_in, balance_out=balance_out, amount_in=amount_in)
    whole(weight_out, "weight_out", MIN_WEIGHT_PPM, PPM)
    if weight_in + weight_out != PPM:
        raise RefusedError(f"weights {weight_in} and {weight_out} must add up to {PPM}")
    net = amount_in * (PPM - whole(fee_ppm, "fee_ppm", 0, PPM - 1)) // PPM
    return balance_out * _lost(ln(balance_in + net, balance_in) * weight_in // weight_out) >> PLACES


def _check(weight_ppm: int, **amounts: int) -> None:
    whole(weight_ppm, "the weight", MIN_WEIGHT_PPM, PPM)
    for name, amount in amounts.items():
        whole(amount, name, 1, MAX_RESERVE)


def _grown(exponent: int, error: int) -> int:
    """Return ``e**exponent``, fixed-point, for an exponent of at least 0; off by at least `error` units of its mantissa."""
    mantissa, k = exp(exponent)
    return mantissa + error << k


def _lost(exponent: int) -> int:
    """Return at most ``1 - e**-exponent``, fixed-point, for an exponent of at least 0 that is not too large."""
    mantissa, k = exp(-min(exponent, _FAR))
    return max(0, ONE - 1 - (mantissa + ERROR >> -k))
