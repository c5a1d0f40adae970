"""Exponential and logarithm in whole numbers, against decimals of 120 digits."""

from decimal import Context, Decimal

from hypothesis import example, given
from hypothesis import strategies as st
from token_amounts import amounts

from protocol.ltft.fixed import ERROR, ONE, exp, ln, softplus

DIGITS = Context(prec=120, Emin=-999999, Emax=999999)


def real(x):
    return DIGITS.divide(Decimal(x), Decimal(ONE))


def units(value):
    return DIGITS.multiply(value, Decimal(ONE))


@given(st.one_of(st.integers(-4096 * ONE, 4096 * ONE), st.integers(-(2**130), 2**130), st.integers(-1000, 1000)))
@example(0)
@example(-1)
def test_exp_is_within_its_error(x):
    mantissa, k = exp(x)
    assert mantissa + ERROR >= ONE
    assert mantissa <= 2 * ONE
    power = DIGITS.power(Decimal(2), Decimal(k))
    assert abs(DIGITS.subtract(Decimal(mantissa), units(DIGITS.divide(DIGITS.exp(real(x)), power)))) < ERROR


@given(amounts(112), amounts(112), st.integers(0, 3))
@example(1, 1, 0)
def test_ln_is_at_most_the_truth_and_within_its_error(below, more, close):
    above = below + more // 10 ** (10 * close)
    truth = units(DIGITS.ln(DIGITS.divide(Decimal(above), Decimal(below))))
    short = DIGITS.subtract(truth, Decimal(ln(above, below)))
    assert 0 <= short < ERROR


@given(st.one_of(st.integers(-200 * ONE, 200 * ONE), st.integers(-ONE, ONE), st.integers(-(2**160), 2**160)))
def test_softplus_is_within_its_error_at_every_size(x):
    small = DIGITS.exp(real(-abs(x))) if abs(x) < 1000 * ONE else Decimal(0)
    truth = units(DIGITS.add(real(max(x, 0)), DIGITS.ln(DIGITS.add(Decimal(1), small))))
    assert abs(DIGITS.subtract(Decimal(softplus(x)), truth)) < 3 * ERROR
