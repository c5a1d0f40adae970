"""What a quorum signs beside the ledger's events: values for feeds, provenance; and the weights of validators."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ledgers import ADDRESS, KEYS, START, VALIDATORS, Network
from test_ledger_heads import made_head
from twin import RELAY, core_of, twin_network

from protocol.addresses import keccak256
from protocol.head.quorum import head_digest
from protocol.ledger.calls import head_fields, said_values, stacked, values_digest, values_in
from protocol.typed_data import typed_digest


@pytest.fixture
def network() -> Network:
    return twin_network()


# ----------------------------------------------------------------------------------------------------- values and feeds


def test_feeds_answer_what_a_quorum_signed_for_their_series_only(network: Network) -> None:
    core = core_of(network)
    series, others = b"\x11" * 32, b"\x22" * 32
    feeds = [core.chain.deploy(RELAY, "Feed", core.heads.address, series, place, f"S{place}") for place in (0, 5)]
    wrong = core.chain.deploy(RELAY, "Feed", core.heads.address, others, 0, "S0")
    numbers = [-1, 2**63 - 1, -(2**63), 0, 7, -3_000_000_000]
    head = replace(made_head(network, {}), prediction_count=6, predictions_root="12" * 32)
    said = said_values(head.hash, series.hex(), numbers)
    fields, models_root, count, topics = head_fields(head)
    digest = values_digest(core.domain, fields, topics, keccak256(said).hex())
    marks = stacked({ADDRESS[name]: KEYS[name].sign(digest) for name in VALIDATORS})
    plain = stacked(
        {ADDRESS[name]: KEYS[name].sign(head_digest(core.domain, head.period, head.hash)) for name in VALIDATORS}
    )
    who = ADDRESS["carol"]
    for feed in (*feeds, wrong):
        with pytest.raises(Exception, match="NoData"):
            feed.latestRoundData()
    for length in (0, 63, 64, len(said) - 1):
        assert core.heads.refused(who, "stampFeeds", 0, fields, topics, said[:length], marks) != ""
    for odd in (
        *(((*fields[:place], b"\x13" * 32, *fields[place + 1 :]), topics, said, marks) for place in (3, 4, 5)),
        (fields, topics + " ", said, marks),
        (fields, topics, said[:-8], marks),
        (fields, topics, b"\x13" * 32 + said[32:], marks),
        (fields, topics, said[:32] + others + said[64:], marks),
        (fields, topics, said[:-1] + b"\x13", marks),
        (fields, topics, said, plain),
    ):
        assert core.heads.refused(who, "stampFeeds", 0, *odd) in {"NoQuorum", "Signature"}
    assert core.heads.refused(who, "stamp", 0, fields, models_root, count, topics, marks) in {"NoQuorum", "Signature"}
    done = core.heads.send(who, "stampFeeds", 0, fields, topics, said, marks)
    assert [log.values["body"] for log in done.logs if log.name == "Recorded"] == [said]
    start = head.period * 600
    assert feeds[0].latestRoundData() == (head.period, -1, start, start, head.period)
    assert feeds[1].getRoundData(head.period)[1] == numbers[5]
    assert [core.heads.valueAt(place)[0] for place in range(6)] == numbers == values_in(said)
    with pytest.raises(Exception, match="NoData"):
        wrong.latestRoundData()
    with pytest.raises(Exception, match="NoData"):
        feeds[0].getRoundData(head.period - 1)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_values_are_read_as_they_were_written(numbers: list[int]) -> None:
    assert values_in(said_values("ab" * 32, "cd" * 32, numbers)) == numbers


def test_small_values_of_either_sign_begin_with_zeros() -> None:
    coded = [said_values("ab" * 32, "cd" * 32, [one])[64:].hex() for one in (0, -1, 1, -2, 2**31)]
    assert [one.lstrip("0") for one in coded] == ["", "1", "2", "3", "100000000"]


# ------------------------------------------------------------------------------------------------- provenance, weights


def provenance(network: Network, signers: tuple[str, ...] = VALIDATORS, **changes: Any) -> tuple[Any, bytes]:
    record = {"to": ADDRESS["alice"], "data": "ab" * 32, "quality": 9 * 10**8, "improvement": -5, "royalty": 250} | {
        name: value for name, value in changes.items() if name != "parents"
    }
    parents = list(changes.get("parents", []))
    packed = keccak256(b"".join(one.to_bytes(32) for one in parents)).hex()
    types = [
        ("to", "address"),
        ("data", "bytes32"),
        ("quality", "uint256"),
        ("improvement", "int256"),
        ("royalty", "uint256"),
        ("parents", "bytes32"),
    ]
    digest = typed_digest(network.ledger.domain, "Provenance", types, record | {"parents": packed})
    marks = stacked({ADDRESS[name]: KEYS[name].sign(digest) for name in signers})
    return (*(bytes.fromhex(v) if k == "data" else v for k, v in record.items()), parents), marks


def test_provenance_is_minted_once_by_a_quorum_with_known_parents(network: Network) -> None:
    core = core_of(network)
    nft = core.chain.deploy(RELAY, "Provenance", core.ledger.address)
    record, marks = provenance(network)
    assert nft.refused(RELAY, "mint", *provenance(network, ("val1", "val2"))) == "NoQuorum"
    assert nft.refused(RELAY, "mint", (*record[:2], 10**9, *record[3:]), marks) in {"NoQuorum", "Signature"}
    assert nft.refused(RELAY, "mint", *provenance(network, parents=[1])) == "WrongRecord"
    assert nft.refused(RELAY, "mint", *provenance(network, royalty=1_001)) == "WrongRecord"
    assert nft.send(RELAY, "mint", record, marks).result == 1
    assert nft.refused(RELAY, "mint", record, marks) == "Minted"
    child = provenance(network, data="cd" * 32, parents=[1])
    assert nft.send(RELAY, "mint", *child).result == 2
    assert nft.refused(RELAY, "mint", *provenance(network, data="ef" * 32, parents=[2, 1])) == "WrongRecord"
    assert nft.refused(RELAY, "mint", *provenance(network, data="ef" * 32, parents=[1, 1])) == "WrongRecord"
    assert nft.parentsOf(2) == (1,)
    assert nft.ownerOf(1) == ADDRESS["alice"].lower()
    assert nft.royaltyInfo(1, 10_000) == (ADDRESS["alice"].lower(), 250)
    assert nft.supportsInterface(bytes.fromhex("2a55205a"))
    assert nft.origins(1)[:3] == (b"\xab" * 32, 9 * 10**8, -5)


def test_weights_are_hidden_in_their_epoch_and_open_in_the_next(network: Network) -> None:
    core = core_of(network)
    weights = core.chain.deploy(RELAY, "Weights", core.ledger.address, 3_600)
    epoch, who, salt, content = START // 3_600, ADDRESS["val1"], b"\x05" * 32, b"weights"
    hashed = hashlib.sha256(content).digest()
    from eth_abi import encode

    sealed = keccak256(encode(["uint64", "address", "bytes32", "bytes32"], [epoch, who, salt, hashed]))
    assert weights.refused(ADDRESS["alice"], "commit", epoch, sealed) == "NotValidator"
    assert weights.refused(who, "commit", epoch + 1, sealed) == "WrongPeriod"
    weights.send(who, "commit", epoch, sealed)
    assert weights.refused(who, "commit", epoch, sealed) == "AlreadyCommitted"
    assert weights.refused(who, "reveal", epoch, salt, hashed, content) == "TooEarly"
    core.chain.at(START + 3_600)
    assert weights.refused(ADDRESS["val2"], "reveal", epoch, salt, hashed, content) == "NotCommitted"
    assert weights.refused(who, "reveal", epoch, salt, hashed, b"other") == "WrongOpening"
    assert weights.refused(who, "reveal", epoch, bytes(32), hashed, content) == "WrongOpening"
    weights.send(who, "reveal", epoch, salt, hashed, content)
    assert weights.refused(who, "reveal", epoch, salt, hashed, b"") == "AlreadyRevealed"
    core.chain.at(START + 7_200)
    assert weights.refused(ADDRESS["val2"], "reveal", epoch, salt, hashed, b"") == "WrongPeriod"
