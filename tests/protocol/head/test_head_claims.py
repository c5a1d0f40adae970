from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import ADDRESS

from protocol.errors import RefusedError
from protocol.head.claims import MAX_CLAIM_BYTES, Claim, Claims, due, leaf_of
from protocol.head.merkle import EMPTY_ROOT, Proof, root
from protocol.head.rewards import Earning
from protocol.ledger.commitments import canonical

ANN, BEN = ADDRESS["ann"], ADDRESS["ben"]
ALL = sorted(ADDRESS.values(), key=str.lower)
earnings = st.lists(
    st.builds(Earning, st.sampled_from(ALL), st.integers(1, 10**24), st.just("a"), st.just("inference"), st.just("x")),
    max_size=6,
)


def test_known_leaf() -> None:
    """abi.encode(address, uint256): two words, big-endian."""
    leaf = leaf_of("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", 10**18)
    assert leaf.hex() == (
        "0000000000000000000000007e5f4552091a69125d5dfcb7b8c2659029395bdf"
        "0000000000000000000000000000000000000000000000000de0b6b3a7640000"
    )


def test_leaves_are_in_the_order_of_the_addresses_bytes() -> None:
    claims = Claims(dict.fromkeys(reversed(ALL), 5))
    assert list(claims.totals) == sorted(ALL, key=lambda account: bytes.fromhex(account[2:])) != sorted(ALL)[::-1]
    assert claims.root == root([leaf_of(account, 5) for account in ALL])
    assert Claims().root == EMPTY_ROOT


def test_claiming_twice_pays_nothing_and_later_only_the_difference() -> None:
    first = Claims({ANN: 100, BEN: 7})
    assert due(first.claim(ANN), 0, first.root, 2) == 100
    assert due(first.claim(ANN), 100, first.root, 2) == 0
    second = first.after([Earning(ANN, 11, "a", "inference", "x")])
    second.check_follows(first)
    assert due(second.claim(ANN), 100, second.root, 2) == 11
    with pytest.raises(RefusedError, match="not under the root"):
        due(first.claim(ANN), 100, second.root, 2)
    with pytest.raises(RefusedError, match="more than the 100"):  # somebody still trusts the old root
        due(first.claim(ANN), 111, first.root, 2)


def test_only_what_was_earned_can_be_claimed() -> None:
    claims = Claims({account: number + 1 for number, account in enumerate(ALL[:3])})
    good = claims.claim(ALL[0])
    for bad in (
        replace(good, total=good.total + 1),
        replace(good, account=ALL[1]),
        replace(good, account=ALL[4]),
        replace(good, proof=claims.claim(ALL[1]).proof),
        replace(good, proof=Proof(0, 3, good.proof.path[:1])),
    ):
        with pytest.raises(RefusedError, match="not under the root"):
            due(bad, 0, claims.root, 3)
    with pytest.raises(RefusedError, match="not under the root"):
        due(good, 0, claims.root, 4)
    with pytest.raises(RefusedError, match="nothing to claim"):
        claims.claim(ALL[4])


@given(st.lists(st.tuples(earnings, st.sets(st.sampled_from(ALL))), max_size=6))
def test_totals_only_grow_and_everybody_is_paid_what_it_earned_once(heads: list[Any]) -> None:
    claims = Claims()
    received = dict.fromkeys(ALL, 0)
    earned = dict.fromkeys(ALL, 0)
    for new, claimants in (*heads, ([], set(ALL))):
        before, claims = claims, claims.after(new)
        claims.check_follows(before)
        for one in new:
            earned[one.account] += one.amount
        assert claims.total == sum(earned.values())
        for account in sorted(claimants & set(claims.totals)):
            claim = Claim.from_json(canonical(claims.claim(account).to_dict()))
            for _ in range(2):
                received[account] += due(claim, received[account], claims.root, len(claims.totals))
            assert received[account] == earned[account]
    assert received == earned


def test_earnings_are_never_taken_back() -> None:
    before = Claims({ANN: 5, BEN: 6})
    for after in (Claims({ANN: 5}), Claims({ANN: 4, BEN: 100})):
        with pytest.raises(RefusedError, match="had earned"):
            after.check_follows(before)


@pytest.mark.parametrize(
    "totals",
    [{ANN: 0}, {ANN: -1}, {ANN: 1.0}, {ANN: 2**256}, {ANN: 2**255, BEN: 2**255}, {"ann": 1}, {ANN.lower(): 1}, {5: 1}],
)
def test_bad_totals_are_refused(totals: Any) -> None:
    with pytest.raises(RefusedError):
        Claims(totals)


def test_totals_cannot_be_changed_from_outside() -> None:
    given_totals = {ANN: 1}
    claims = Claims(given_totals)
    given_totals[BEN] = 9
    assert claims.totals == {ANN: 1}
    with pytest.raises(TypeError):
        claims.totals[ANN] = 2  # type: ignore[index]  # that it cannot be done is what is tested


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"account":"","proof":{},"total":1}',
        "[" * 10_000,
        " " * (MAX_CLAIM_BYTES + 1),
        *(
            canonical(Claims({ANN: 5}).claim(ANN).to_dict()).replace(old, new)
            for old, new in (
                ('"total":5', '"total":"5"'),
                ('"total":5', '"total":0'),
                (ANN, ANN.lower()),
                ('"index":0', '"index":1'),
                ('"path":[]', '"path":[5]'),
                ('"path":[]', '"path":{}'),
            )
        ),
    ],
)
def test_what_is_no_claim_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        Claim.from_json(text)
