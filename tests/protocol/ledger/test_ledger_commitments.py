"""Commitments against an independent ABI encoder, and what they bind."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st
from made_ledgers import ADDRESS, SALT

from protocol.addresses import keccak256
from protocol.ledger.commitments import (
    Subject,
    canonical,
    commitment_of,
    live_subject,
    parse_subject,
    report_commitment,
    report_hash,
    screen_subject,
)
from protocol.ledger.refusal import LedgerRefusal

HASHES = st.binary(min_size=32, max_size=32)


@given(HASHES, HASHES, st.sampled_from(sorted(ADDRESS.values())))
def test_module_commitment_is_what_a_contract_computes(block_hash: bytes, salt: bytes, miner: str) -> None:
    encoded = encode(["bytes32", "address", "bytes32"], [block_hash, miner, salt])
    assert commitment_of(block_hash.hex(), miner, salt.hex()) == keccak256(encoded).hex()


@given(HASHES, HASHES, st.sampled_from(sorted(ADDRESS.values())))
def test_report_commitment_is_what_a_contract_computes(hashed: bytes, salt: bytes, author: str) -> None:
    subject = screen_subject(salt.hex())
    encoded = encode(["bytes32", "address", "bytes32", "bytes32"], [keccak256(subject.encode()), author, salt, hashed])
    assert report_commitment(subject, author, salt.hex(), hashed.hex()) == keccak256(encoded).hex()


def test_a_commitment_binds_everything_in_it() -> None:
    one, two = "11" * 32, "22" * 32
    opened = {
        commitment_of(h, ADDRESS[who], salt) for h in (one, two) for who in ("alice", "bob") for salt in (one, SALT)
    }
    assert len(opened) == 8
    reports = {
        report_commitment(subject, ADDRESS[who], salt, report_hash({"log_e": log_e}))
        for subject in (screen_subject(one), live_subject(one, 1), live_subject(one, 2))
        for who in ("alice", "bob")
        for salt in (one, SALT)
        for log_e in (1, 2)
    }
    assert len(reports) == 24


@given(HASHES, st.integers(0, 9_999_999))
def test_subjects_are_read_as_written(raw: bytes, day: int) -> None:
    assert parse_subject(screen_subject(raw.hex())) == Subject("screen", raw.hex())
    assert parse_subject(live_subject(raw.hex(), day)) == Subject("live", raw.hex(), day)


@given(st.text(max_size=100))
def test_other_subjects_are_refused(text: str) -> None:
    with pytest.raises(LedgerRefusal, match="screen:HASH"):
        parse_subject(text)


def test_canonical_json_has_one_text_per_value() -> None:
    assert canonical({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"\\u00e9"]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(float("nan"))
