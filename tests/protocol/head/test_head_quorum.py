from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import ADDRESS, DOMAIN, KEYS, head

from protocol.errors import RefusedError
from protocol.head.head import Head
from protocol.head.quorum import HeadSignature, count, equivocations, head_digest, sign_head
from protocol.ledger.commitments import canonical
from protocol.typed_data import Domain

HEAD = head()
OTHER = head(height=99)
NEXT = head(period=HEAD.period + 1)
EQUAL = {ADDRESS[name]: 100 for name in ("ann", "ben", "cleo")}


def signed(*names: str, what: Head = HEAD, domain: Domain = DOMAIN) -> list[HeadSignature]:
    return [sign_head(KEYS[name], domain, what) for name in names]


def people(*names: str) -> tuple[str, ...]:
    return tuple(sorted((ADDRESS[name] for name in names), key=str.lower))


def test_two_thirds_exactly_are_not_enough() -> None:
    two = count(DOMAIN, HEAD, signed("ann", "ben"), EQUAL)
    assert (two.stake, two.total, two.reached) == (200, 300, False)
    assert count(DOMAIN, HEAD, signed("ann", "ben"), {**EQUAL, ADDRESS["ann"]: 101}).reached
    assert not count(DOMAIN, HEAD, signed("ann", "ben"), {**EQUAL, ADDRESS["cleo"]: 101}).reached
    three = count(DOMAIN, HEAD, signed("ann", "ben", "cleo"), EQUAL)
    assert three.reached
    assert three.signers == people("ann", "ben", "cleo")


def test_stakes_are_compared_exactly() -> None:
    third = 10**30 + 1
    stakes = {ADDRESS["ann"]: 2 * third, ADDRESS["ben"]: third}
    assert not count(DOMAIN, HEAD, signed("ann"), stakes).reached
    assert count(DOMAIN, HEAD, signed("ann"), {**stakes, ADDRESS["ben"]: third - 1}).reached


def test_without_validators_or_signatures_nothing_counts() -> None:
    assert not count(DOMAIN, HEAD, [], {}).reached
    assert not count(DOMAIN, HEAD, [], EQUAL).reached
    nobody = count(DOMAIN, HEAD, signed("ann", "eve"), {})
    assert (nobody.reached, nobody.unknown) == (False, people("ann", "eve"))


def test_strangers_and_repetitions_are_named_and_add_nothing() -> None:
    seen = count(DOMAIN, HEAD, signed("ann", "ann", "ann", "eve", "dan"), EQUAL)
    assert (seen.stake, seen.signers, seen.duplicate) == (100, people("ann"), people("ann"))
    assert seen.unknown == people("eve", "dan")
    assert not seen.equivocating
    assert not seen.forged


def test_an_equivocating_validator_is_named_and_counts_for_neither() -> None:
    everything = signed("ann", "ben", "cleo") + signed("ann", what=OTHER)
    seen, other = count(DOMAIN, HEAD, everything, EQUAL), count(DOMAIN, OTHER, everything, EQUAL)
    assert seen.equivocating == other.equivocating == people("ann")
    assert not seen.duplicate
    assert (seen.signers, seen.stake, seen.reached) == (people("ben", "cleo"), 200, False)
    assert (other.signers, other.stake) == ((), 0)
    (proof,) = equivocations(DOMAIN, everything)
    assert (proof.validator, proof.period) == (ADDRESS["ann"], HEAD.period)
    assert {proof.first.head, proof.second.head} == {HEAD.hash, OTHER.hash}
    assert proof.first.head < proof.second.head
    assert proof.first.genuine(DOMAIN)
    assert proof.second.genuine(DOMAIN)


def test_heads_of_two_periods_are_no_equivocation() -> None:
    everything = signed("ann", "ben", "cleo") + signed("ann", "ben", what=NEXT)
    assert not equivocations(DOMAIN, everything)
    assert count(DOMAIN, HEAD, everything, EQUAL).reached
    assert count(DOMAIN, NEXT, everything, EQUAL).signers == people("ann", "ben")


def renamed(one: HeadSignature, **changes: Any) -> HeadSignature:
    return HeadSignature(**{**one.to_dict(), **changes})


def test_forged_signatures_are_named_and_accuse_nobody() -> None:
    (mine,), (bens,) = signed("ann"), signed("ben")
    last = int(mine.signature[-1], 16)
    forgeries = [
        renamed(bens, validator=ADDRESS["cleo"]),
        renamed(mine, head=OTHER.hash),
        renamed(mine, signature=mine.signature[:-1] + f"{last ^ 7:x}"),
        renamed(mine, signature="0x" + "0" * 130),
        renamed(mine, signature="0x" + "zz" * 65),
        *signed("ann", domain=Domain(DOMAIN.chain_id + 1, DOMAIN.salt)),
        *signed("ann", domain=Domain(DOMAIN.chain_id, "00" * 32)),
    ]
    seen = count(DOMAIN, HEAD, [*forgeries, *signed("ben")], EQUAL)
    assert seen.signers == people("ben")
    assert seen.forged == people("ann", "cleo")
    assert not seen.equivocating
    assert not equivocations(DOMAIN, [mine, *forgeries])
    assert not count(DOMAIN, NEXT, [renamed(mine, period=NEXT.period)], EQUAL).signers


def test_digest_and_signature_are_the_same_for_whoever_computes_them() -> None:
    assert head_digest(DOMAIN, HEAD.period, HEAD.hash) != head_digest(DOMAIN, NEXT.period, HEAD.hash)
    assert signed("ann") == signed("ann")
    (one,) = signed("ann")
    assert HeadSignature.from_json(one_text(one)) == one


def one_text(one: HeadSignature) -> str:
    values = one.to_dict()
    return (
        f'{{"head":"{values["head"]}","period":{values["period"]},'
        f'"signature":"{values["signature"]}","validator":"{values["validator"]}"}}'
    )


@pytest.mark.parametrize(
    "change",
    [
        ("period", -1),
        ("period", "1"),
        ("head", "00"),
        ("head", None),
        ("validator", ADDRESS["ann"].lower()),
        ("validator", 5),
        ("signature", "0x"),
        ("signature", None),
        ("values", "0x"),
        ("values", None),
    ],
)
def test_bad_signatures_are_refused(change: tuple[str, Any]) -> None:
    with pytest.raises(RefusedError):
        renamed(signed("ann")[0], **dict([change]))


def test_a_signature_of_values_is_told_where_there_is_one() -> None:
    (one,) = signed("ann")
    both = renamed(one, values="0x" + "6" * 130)
    assert HeadSignature.from_json(canonical(both.to_dict())) == HeadSignature.from_dict(both.to_dict()) == both
    assert "values" not in one.to_dict()
    assert both.genuine(DOMAIN)
    assert count(DOMAIN, HEAD, [both, *signed("ben", "cleo")], EQUAL).reached
    for odd in ({**one.to_dict(), "values": ""}, {**both.to_dict(), "more": 1}):
        with pytest.raises(RefusedError, match="missing or unknown"):
            HeadSignature.from_dict(odd)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "{" * 2_000, b"\xff"])
def test_texts_that_are_no_signature_are_refused(text: str | bytes) -> None:
    with pytest.raises(RefusedError):
        HeadSignature.from_json(text)


POOL = [sign_head(key, DOMAIN, what) for key, what in itertools.product(KEYS.values(), (HEAD, OTHER, NEXT))]


@given(
    st.lists(st.sampled_from(POOL), max_size=20),
    st.dictionaries(st.sampled_from(sorted(ADDRESS.values())), st.integers(1, 10**27)),
)
def test_two_heads_of_a_period_never_both_have_a_quorum(seen: list[HeadSignature], stakes: dict[str, int]) -> None:
    one, other = (count(DOMAIN, what, seen, stakes) for what in (HEAD, OTHER))
    assert not (one.reached and other.reached)
    assert one.stake + other.stake <= one.total == sum(stakes.values())
    assert one.equivocating == other.equivocating
    assert not set(one.signers) & {*one.equivocating, *other.signers, *one.unknown}
    assert count(DOMAIN, HEAD, seen[::-1], stakes) == one
    guilty = {proof.validator for proof in equivocations(DOMAIN, seen)}
    assert guilty & set(stakes) == set(one.equivocating)
