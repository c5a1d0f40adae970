"""Redemption pays at most pro rata; deposits into the vault cannot be robbed by a donation."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE, amounts

from protocol.errors import RefusedError
from protocol.ltft.treasury import Treasury
from protocol.ltft.vault import OFFSET, Vault
from protocol.ltft.wei import WAD

TREASURIES = st.builds(Treasury, st.dictionaries(st.sampled_from(["quote", "BTC", "ETH"]), amounts(100, 0), min_size=1))


@given(TREASURIES, amounts(100), st.lists(amounts(100), max_size=8))
def test_nobody_gets_more_than_pro_rata_and_the_rest_never_lose(treasury, supply, redemptions):
    for tokens in redemptions:
        if tokens > supply:
            continue
        try:
            after, paid = treasury.redeem(tokens, supply)
        except RefusedError:
            assert not any(treasury.share(tokens, supply).values())
            continue
        for name, amount in treasury.assets.items():
            assert after.assets[name] + paid[name] == amount
            assert amount * Fraction(tokens, supply) - 1 < paid[name] <= amount * Fraction(tokens, supply)
            if supply > tokens:
                assert Fraction(after.assets[name], supply - tokens) >= Fraction(amount, supply)
            else:
                assert after.assets[name] == 0  # the last holder leaves nothing
        treasury, supply = after, supply - tokens
        if not supply:
            break


@given(amounts(100), amounts(100), st.lists(amounts(97), min_size=2, max_size=5))
def test_splitting_a_redemption_never_beats_one(assets, supply, parts):
    assume(sum(parts) <= supply)
    treasury, left, split = Treasury({"quote": assets}), supply, 0
    for part in parts:
        try:
            treasury, paid = treasury.redeem(part, left)
        except RefusedError:
            continue
        left, split = left - part, split + paid["quote"]
    assert split <= Treasury({"quote": assets}).share(sum(parts), supply)["quote"]


def test_dust_an_empty_treasury_and_the_last_holder():
    treasury = Treasury().received("quote", 100)
    assert treasury.redeem(10, 1000) == (Treasury({"quote": 99}), {"quote": 1})
    with pytest.raises(RefusedError, match="9 of 1000 wei redeem for nothing"):
        treasury.redeem(9, 1000)
    with pytest.raises(RefusedError, match=r"redeem for nothing of \{\}"):
        Treasury().redeem(10, 10)
    with pytest.raises(RefusedError, match="amount redeemed is 11"):
        treasury.redeem(11, 10)
    with pytest.raises(RefusedError, match="the supply is 0"):
        treasury.redeem(1, 0)
    assert treasury.received("BTC", 5).redeem(10, 10) == (Treasury({"quote": 0, "BTC": 0}), {"quote": 100, "BTC": 5})


@given(amounts(100, 0), amounts(90), st.lists(st.tuples(st.booleans(), amounts(90)), max_size=12))
def test_depositors_never_lose_to_others_coming_and_going(gift, first, moves):
    vault, shares = Vault(gift).deposit(first + gift)
    worth = vault.assets_for(shares)
    assert worth <= first + gift
    others = 0
    for comes, amount in moves:
        try:
            if comes:
                vault, got = vault.deposit(amount)
                others += got
            elif others:
                out = 1 + amount % others
                vault, _ = vault.withdraw(out)
                others -= out
        except RefusedError:
            continue
        assert vault.assets_for(shares) >= worth
        worth = vault.assets_for(shares)


@given(amounts(60), amounts(90, 0), amounts(90))
def test_inflating_the_share_price_costs_the_attacker_a_million_times_what_the_victim_loses(stake, donation, deposit):
    vault, shares = Vault().deposit(stake)
    vault = vault.marked(vault.assets + donation)
    try:
        vault, victims = vault.deposit(deposit)
        lost = deposit - vault.assets_for(victims)
    except RefusedError:
        lost = 0  # the deposit did not take place
    cost = stake + donation - vault.withdraw(shares)[1]
    assert cost >= 0
    assert cost >= (OFFSET - 1) * (lost - 2) - 2  # two wei of the victim's loss are plain rounding


def test_the_classic_attack_loses():
    vault, shares = Vault().deposit(1)
    vault = vault.marked(1 + 100 * WAD)
    vault, victims = vault.deposit(10 * WAD)
    assert vault.assets_for(victims) > 10 * WAD * 99_999 // 100_000
    assert vault.withdraw(shares)[1] < 51 * WAD  # half of what was given away


def test_the_vault_refuses_nothing_for_something():
    with pytest.raises(RefusedError, match="worth no share"):
        Vault(10**30, 1).deposit(1)
    with pytest.raises(RefusedError, match="worth nothing"):
        Vault(1, 10**30).withdraw(1)
    assert Vault().deposit(7)[1] == 7 * OFFSET
    assert Vault().deposit(7)[0].withdraw(7 * OFFSET) == (Vault(), 7)


@pytest.mark.parametrize("bad", [*NOT_WHOLE, 2**300])
def test_nonsense_is_refused(bad):
    for action in (
        lambda: Treasury({"quote": bad}),
        lambda: Treasury().received("quote", bad),
        lambda: Treasury({"quote": 5}).redeem(bad, 5),
        lambda: Treasury({"quote": 5}).redeem(1, bad),
        lambda: Vault(bad),
        lambda: Vault(0, bad),
        lambda: Vault().deposit(bad),
        lambda: Vault(5, 5).withdraw(bad),
        lambda: Vault().marked(bad),
    ):
        with pytest.raises(RefusedError, match="give a whole number"):
            action()
