"""Supply and balances: nothing appears or vanishes but by minting, burning and redeeming."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_amounts import NOT_WHOLE

from protocol.errors import RefusedError
from protocol.ltft.accounts import Accounts, Entry, burn, mint, redeem, transfer
from protocol.ltft.supply import Supply
from protocol.ltft.wei import MAX_AMOUNT

HOLDERS = st.sampled_from(["alice", "bob", "pool", "rewards"])
SMALL = st.integers(1, 1000)
ENTRIES = st.one_of(
    st.builds(transfer, HOLDERS, HOLDERS, SMALL),
    st.builds(mint, st.dictionaries(HOLDERS, SMALL)),
    st.builds(burn, HOLDERS, SMALL),
    st.builds(redeem, HOLDERS, SMALL),
)


@given(st.lists(ENTRIES, max_size=30))
def test_any_entries_keep_the_identity_of_the_supply(entries):
    accounts = Accounts(Supply(1000), {"alice": 700, "bob": 300})
    sums = {"minted": 0, "burned": 0, "redeemed": 0}
    for entry in entries:
        try:
            accounts = accounts.post(entry)
        except RefusedError:
            continue
        for name in sums:
            sums[name] += getattr(entry, name)
    assert accounts.supply == Supply(1000, **sums)
    assert sum(accounts.balances.values()) == 1000 + sums["minted"] - sums["burned"] - sums["redeemed"]
    assert min(accounts.balances.values()) >= 0


def test_each_movement_does_what_it_says():
    accounts = Accounts(Supply(10), {"alice": 10}).post(transfer("alice", "bob", 4))
    assert dict(accounts.balances) == {"alice": 6, "bob": 4}
    accounts = accounts.post(mint({"bob": 5, "carol": 0}), burn("alice", 1), redeem("bob", 9))
    assert (accounts.balance("alice"), accounts.balance("bob"), accounts.balance("nobody")) == (5, 0, 0)
    assert accounts.supply == Supply(10, 5, 1, 9)


def test_entries_are_posted_all_or_none_and_never_change_what_was():
    before = Accounts(Supply(10), {"alice": 10})
    with pytest.raises(RefusedError, match="bob has 3 wei, less than the 4"):
        before.post(transfer("alice", "bob", 3), transfer("bob", "alice", 4))
    assert dict(before.balances) == {"alice": 10}
    with pytest.raises(TypeError):
        before.balances["alice"] = 11


def test_nobody_sends_himself_what_he_has_not():
    accounts = Accounts(Supply(10), {"alice": 10})
    assert accounts.post(transfer("alice", "alice", 10)) == accounts
    with pytest.raises(RefusedError, match="less than"):
        accounts.post(transfer("alice", "alice", 11))


def test_what_does_not_balance_is_refused():
    with pytest.raises(RefusedError, match="add up to 1 wei"):
        Entry((("alice", 1),))
    with pytest.raises(RefusedError, match="balances add up to 9"):
        Accounts(Supply(10), {"alice": 9})
    with pytest.raises(RefusedError, match="balance of bob"):
        Accounts(Supply(10), {"alice": 11, "bob": -1})
    with pytest.raises(RefusedError, match="supply of -1"):
        Supply(1, burned=2)
    with pytest.raises(RefusedError, match="supply of"):
        Supply(MAX_AMOUNT).after(minted=1)


@pytest.mark.parametrize("amount", [*NOT_WHOLE, 0])
def test_amounts_are_whole_and_positive(amount):
    for movement in (lambda n: transfer("alice", "bob", n), lambda n: burn("alice", n), lambda n: redeem("alice", n)):
        with pytest.raises(RefusedError, match="give a whole number from 1"):
            movement(amount)
    if amount != 0:
        with pytest.raises(RefusedError, match="minted for alice"):
            mint({"alice": amount})
        with pytest.raises(RefusedError, match="minted"):
            Supply(1).after(minted=amount)
