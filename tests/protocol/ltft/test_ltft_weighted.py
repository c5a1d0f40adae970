"""Weighted markets: never better for the trader than the exact number, and at most two wei worse."""

import random
from decimal import Context, Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import RefusedError
from protocol.ltft.wei import MAX_RESERVE, PPM, WAD
from protocol.ltft.weighted import fund_cost, purchase_return, sale_return, weighted_out

D = Context(prec=150, Emin=-999999, Emax=999999)
SIZE = amounts(112)
WEIGHT = st.one_of(st.sampled_from([10_000, 333_333, 500_000, PPM]), st.integers(10_000, PPM))


def grown(above, below, exponent, over):
    """(above / below) ** (exponent / over), less one."""
    ratio = D.divide(Decimal(above), Decimal(below))
    power = D.exp(D.multiply(D.ln(ratio), D.divide(Decimal(exponent), Decimal(over))))
    return D.subtract(power, Decimal(1))


@given(SIZE, SIZE, WEIGHT, SIZE)
def test_purchase(supply, reserve, weight, deposit):
    exact = D.multiply(Decimal(supply), grown(reserve + deposit, reserve, weight, PPM))
    assume(exact <= MAX_RESERVE)
    assert -2 < D.subtract(Decimal(purchase_return(supply, reserve, weight, deposit)), exact) <= Decimal(10) ** -30


@given(SIZE, SIZE, WEIGHT, SIZE)
def test_sale(supply, reserve, weight, tokens):
    assume(tokens < supply)
    share = D.minus(grown(supply - tokens, supply, PPM, weight))
    exact = D.multiply(Decimal(reserve), share)
    assert -2 < D.subtract(Decimal(sale_return(supply, reserve, weight, tokens)), exact) <= Decimal(10) ** -30
    assert sale_return(supply, reserve, weight, supply) == reserve


@given(SIZE, SIZE, WEIGHT, SIZE)
def test_cost(supply, reserve, weight, tokens):
    exact = D.multiply(Decimal(reserve), grown(supply + tokens, supply, PPM, weight))
    if exact > MAX_RESERVE:
        with pytest.raises(RefusedError):
            fund_cost(supply, reserve, weight, tokens)
    else:
        assume(exact < MAX_RESERVE - 2)
        assert -(Decimal(10) ** -30) <= D.subtract(Decimal(fund_cost(supply, reserve, weight, tokens)), exact) < 3


@given(SIZE, SIZE, st.integers(10_000, PPM - 10_000), SIZE, st.sampled_from([0, 3_000, 10_000]))
def test_launch_pool(balance_in, balance_out, weight, paid, fee):
    net = paid * (PPM - fee) // PPM
    share = D.minus(grown(balance_in, balance_in + net, weight, PPM - weight))
    exact = D.multiply(Decimal(balance_out), share)
    got = weighted_out(balance_in, weight, balance_out, PPM - weight, paid, fee_ppm=fee)
    assert -2 < D.subtract(Decimal(got), exact) <= Decimal(10) ** -30
    assert got < balance_out


def test_no_result_is_better_than_the_exact_one_where_the_last_bits_decide():
    """At these sizes a power is up to 2**-9 wei off, which shows in one of so many roundings."""
    rng, half = random.Random(1), PPM // 2
    for _ in range(3_000):
        s, r, n = (rng.randrange(2**111, MAX_RESERVE) for _ in range(3))
        assert (s + purchase_return(s, r, half, n)) ** 2 * r <= s**2 * (r + n)
        n >>= 3
        assert sale_return(s, r, half, n) * s**2 <= r * (s**2 - (s - n) ** 2)
        assert weighted_out(r, half, s, half, n, fee_ppm=0) * (r + n) <= s * n
        assert fund_cost(s, r, half, n) * s**2 >= r * ((s + n) ** 2 - s**2)


@given(SIZE, amounts(100), WEIGHT, amounts(100))
def test_round_trips_never_profit(supply, reserve, weight, deposit):
    tokens = purchase_return(supply, reserve, weight, deposit)
    assume(0 < tokens <= MAX_RESERVE - supply)
    assert sale_return(supply + tokens, reserve + deposit, weight, tokens) <= deposit
    assert fund_cost(supply, reserve, weight, tokens) <= deposit + 2
    assert purchase_return(supply, reserve, weight, fund_cost(supply, reserve, weight, tokens)) >= tokens - 1


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 0, 2**112])
def test_nonsense_is_refused(bad):
    for rule in (purchase_return, sale_return, fund_cost):
        for place in range(4):
            numbers = [WAD, WAD, PPM // 2, 5]
            numbers[place] = bad
            with pytest.raises(RefusedError, match="give a whole number"):
                rule(*numbers)
    for place in range(5):
        numbers = [WAD, PPM // 2, WAD, PPM // 2, 5]
        numbers[place] = bad
        with pytest.raises(RefusedError, match="give a whole number"):
            weighted_out(*numbers)


def test_the_rest_of_nonsense():
    with pytest.raises(RefusedError, match="must add up to 1000000"):
        weighted_out(WAD, 500_000, WAD, 400_000, 5)
    with pytest.raises(RefusedError, match="fee_ppm"):
        weighted_out(WAD, 500_000, WAD, 500_000, 5, fee_ppm=PPM)
    with pytest.raises(RefusedError, match="tokens is 6"):
        sale_return(5, 5, PPM, 6)
    with pytest.raises(RefusedError, match="too many for a supply of 1"):
        fund_cost(1, 1, 10_000, 10**6)
