"""The owner's cut and the halves of miners and validators."""

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.consensus.yuma.split import OWNER_CUT, RUNTIME_OWNER_CUT, Split, amounts, split, split_wei
from protocol.errors import ConfigError, DataError

CASES = json.loads((Path(__file__).parent / "vectors" / "yuma_money.json").read_text())["cases"]
SHARES = st.fractions(0, 1)


@pytest.mark.parametrize("case", [case for case in CASES if case["kind"] == "split"])
def test_the_split_of_the_vectors(case):
    given_, (owner, miners, validators) = case["input"], case["output"]
    found = split(given_["E"], given_["owner_cut"], given_["miner"])
    assert (found.owner, found.miners, found.validators) == pytest.approx((owner, miners, validators), rel=1e-10)
    assert found.root == 0


def test_the_default_is_18_41_41_and_the_runtime_rounds_the_cut_down():
    assert split_wei(100 * 10**18) == Split(18 * 10**18, 41 * 10**18, 41 * 10**18, 0)
    assert split_wei(65535, RUNTIME_OWNER_CUT).owner == 11796
    assert RUNTIME_OWNER_CUT < OWNER_CUT


def test_the_root_is_paid_from_the_validators_half_only():
    assert split_wei(1000, root_proportion=Fraction(1, 10)) == Split(180, 410, 369, 41)
    found = split(1000, root_proportion=0.1)
    assert (found.owner, found.miners, found.validators, found.root) == pytest.approx((180, 410, 369, 41))


def test_one_wei_goes_to_the_validators():
    assert split_wei(1) == Split(0, 0, 1, 0)
    assert split_wei(0) == Split(0, 0, 0, 0)


@given(st.integers(0, 10**30), SHARES, SHARES, SHARES)
def test_not_a_wei_is_made_or_lost_and_each_part_is_within_three_of_the_exact_one(emission, cut, mined, rooted):
    found = split_wei(emission, cut, mined, rooted)
    parts = (found.owner, found.miners, found.validators, found.root)
    assert sum(parts) == emission
    assert min(parts) >= 0
    rest = emission * (1 - cut)
    exact = (emission * cut, rest * mined, rest * (1 - mined) * (1 - rooted), rest * (1 - mined) * rooted)
    assert all(abs(part - value) < 3 for part, value in zip(parts, exact, strict=True))


@given(st.floats(0, 1e15), SHARES, SHARES, SHARES)
def test_floats_and_integers_agree(emission, cut, mined, rooted):
    whole, real = split_wei(int(emission), cut, mined, rooted), split(int(emission), cut, mined, rooted)
    for name in ("owner", "miners", "validators", "root"):
        assert getattr(real, name) == pytest.approx(getattr(whole, name), abs=4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: split(-1.0), DataError, "emission is -1.0; give numbers from 0"),
        (lambda: split(math.nan), DataError, "emission is nan"),
        (lambda: split(math.inf), DataError, "emission is inf"),
        (lambda: split("much"), DataError, "emission is 'much'"),
        (lambda: split(1.0, 1.5), ConfigError, "owner_cut is 1.5; give a number from 0 to 1"),
        (lambda: split(1.0, miner_share=math.nan), ConfigError, "miner_share is nan"),
        (lambda: split(1.0, root_proportion="x"), ConfigError, "root_proportion is 'x'"),
        (lambda: split_wei(1.0), DataError, "emission is 1.0; give a whole number"),
        (lambda: split_wei(True), DataError, "emission is True"),
        (lambda: split_wei(-5), DataError, "emission is -5"),
        (lambda: split_wei(2**256), DataError, "below 2"),
        (lambda: split_wei(5, 0.18), ConfigError, "owner_cut is the float 0.18; money is divided by exact numbers"),
        (lambda: split_wei(5, Fraction(-1, 2)), ConfigError, "owner_cut is -1/2"),
        (lambda: amounts([1.0, -2.0], "stakes"), DataError, r"stakes is -2.0 at 1"),
        (lambda: amounts([[1.0]], "stakes"), DataError, r"stakes has shape \(1, 1\)"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
