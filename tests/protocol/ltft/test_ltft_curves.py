"""Shapes of bonding curves against decimals of 120 digits."""

from decimal import Context, Decimal

import pytest
from hypothesis import assume, given
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import ConfigError, RefusedError
from protocol.ltft.curves import MAX_EXPONENT, Exponential, Linear, Sigmoid
from protocol.ltft.wei import MAX_RESERVE, WAD

D = Context(prec=150, Emin=-999999, Emax=999999)
SUPPLY = amounts(112, 0)


def dec(number, below=1):
    return D.divide(Decimal(number), Decimal(below))


def softplus(z):
    tail = D.ln(D.add(Decimal(1), D.exp(D.minus(D.abs(z)))))
    return D.add(max(z, Decimal(0)), tail)


def made(kind, *numbers):
    try:
        return kind(*numbers)
    except ConfigError:
        assume(False)


@given(amounts(112, 0), amounts(112), SUPPLY)
def test_linear(price, slope, supply):
    curve = Linear(price, slope)
    assert curve.price_at(supply) == price + slope * supply // WAD
    twice = D.add(dec(2 * price * supply, WAD), dec(slope * supply**2, WAD**2))
    assert 0 <= D.subtract(D.divide(twice, Decimal(2)), Decimal(curve.area(supply))) < 1


@given(amounts(100), amounts(90), SUPPLY)
def test_exponential(price, rate, supply):
    curve = made(Exponential, price, rate)
    supply = min(supply, curve.limit)
    growth = D.exp(dec(rate * supply, WAD**2))
    truth = D.multiply(dec(price * WAD, rate), D.subtract(growth, Decimal(1)))
    assume(truth <= MAX_RESERVE)
    error = D.subtract(Decimal(curve.area(supply)), truth)
    assert -1 - 2**-5 < error < 2**-5
    height = D.multiply(Decimal(price), growth)
    assert -1 - height * Decimal(2) ** -100 < D.subtract(Decimal(curve.price_at(supply)), height) < 1


@given(amounts(100), amounts(90), amounts(112, 0), SUPPLY)
def test_sigmoid(price, rate, middle, supply):
    curve = made(Sigmoid, price, rate, middle)
    there, begin = (dec(rate * (s - middle), WAD**2) for s in (supply, 0))
    assume(abs(begin) < 10**6)
    assume(abs(there) < 10**6)
    truth = D.multiply(dec(price * WAD, rate), D.subtract(softplus(there), softplus(begin)))
    error = D.subtract(Decimal(curve.area(supply)), truth)
    assert -1 - 2**-5 < error < 2**-5
    height = D.divide(Decimal(price), D.add(Decimal(1), D.exp(D.minus(there))))
    assert -1 - 2**-5 < D.subtract(Decimal(curve.price_at(supply)), height) < 2**-5


@given(amounts(80), amounts(60), amounts(90, 0), SUPPLY, amounts(100))
def test_price_and_area_rise_with_the_supply(price, rate, middle, supply, more):
    for curve in (Linear(price, rate), made(Exponential, price, rate), made(Sigmoid, price, rate, middle)):
        low, high = (min(s, curve.limit) for s in (supply, supply + more))
        assert curve.area(0) == 0 <= curve.area(low) <= curve.area(high)
        assert curve.price_at(low) <= curve.price_at(high) + 1


def test_the_sigmoids_price_is_its_asymptote_and_not_its_beginning():
    curve = Sigmoid(10 * WAD, WAD // 1000, 5000 * WAD)
    assert curve.price_at(5000 * WAD) == 5 * WAD
    begin = D.divide(Decimal(10), D.add(Decimal(1), D.exp(Decimal(5))))
    for unit in (WAD, 10**35):
        assert curve.price_at(0, unit) == int(D.multiply(begin, Decimal(unit)))
    assert curve.price_at(MAX_RESERVE) == 10 * WAD - 1
    assert Sigmoid(WAD, WAD, 10**6 * WAD).area(1000 * WAD) == 0


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 2**112])
def test_nonsense_is_refused(bad):
    for kind, numbers in ((Linear, (WAD, WAD)), (Exponential, (WAD, WAD)), (Sigmoid, (WAD, WAD, WAD))):
        for place in range(len(numbers)):
            with pytest.raises(ConfigError, match="of a curve is"):
                kind(*numbers[:place], bad, *numbers[place + 1 :])


def test_curves_beyond_the_numbers_are_refused():
    with pytest.raises(ConfigError, match="raise one of them"):
        Linear(0, 0)
    with pytest.raises(ConfigError, match="beyond 2"):
        Sigmoid(WAD, 1, 0)
    curve = Exponential(WAD, WAD)
    assert curve.limit == MAX_EXPONENT * WAD
    assert curve.area(curve.limit) > 0
    with pytest.raises(RefusedError, match="outside of the curve"):
        curve.area(curve.limit + 1)
    with pytest.raises(RefusedError, match="outside of the curve"):
        Linear(1, 1).area(-1)
