"""Events: what is signed, one spelling, and a coded refusal for everything a stranger can send."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from bad_events import BAD, BODIES, DOMAIN, HASH, SIGNED, body_of
from hypothesis import given
from hypothesis import strategies as st
from made_ledgers import ADDRESS, KEYS, SALT, made_genesis, module, screen_report

from protocol.addresses import keccak256
from protocol.keys import ORDER
from protocol.ledger.commitments import canonical, screen_subject
from protocol.ledger.event import SignedEvent, event_digest, genesis_record, record_at, sign
from protocol.ledger.kinds import KINDS, MAX_EVENT_BYTES, MAX_SOURCE_BYTES
from protocol.ledger.refusal import CODES, LedgerRefusal
from protocol.typed_data import Domain

#: Another right value for each field.
OTHER: dict[str, Any] = {
    "name": "bob",
    "public_key": "03" + HASH,
    "cosmos_address": "cosmos1" + "p" * 38,
    "cosmos_signature": HASH + SALT,
    "to": ADDRESS["val1"],
    "amount": 2,
    "topic": "layer2-24h",
    "commitment": SALT,
    "salt": HASH,
    "source": "# e\n",
    "subject": screen_subject(SALT),
    "report": screen_report(HASH, 2),
    "head": '{"period":2}',
    "signatures": [],
    "total": 10,
    "proof": {"index": 1, "path": [HASH], "size": 2},
}
#: The structs as a second implementation would write them down.
STRUCTS = {
    "register": "Register(address author,uint256 nonce,string name,string public_key,string cosmos_address,"
    "string cosmos_signature)",
    "transfer": "Transfer(address author,uint256 nonce,address to,uint256 amount)",
    "stake": "Stake(address author,uint256 nonce,uint256 amount)",
    "unstake": "Unstake(address author,uint256 nonce,uint256 amount)",
    "commit": "Commit(address author,uint256 nonce,string topic,bytes32 commitment)",
    "reveal": "Reveal(address author,uint256 nonce,bytes32 commitment,bytes32 salt,string topic,bytes32 source)",
    "report_commit": "ReportCommit(address author,uint256 nonce,string subject,bytes32 commitment)",
    "report_reveal": "ReportReveal(address author,uint256 nonce,string subject,bytes32 salt,bytes32 report)",
    "deposit": "Deposit(address author,uint256 nonce,uint256 amount)",
    "burn": "Burn(address author,uint256 nonce,uint256 amount)",
    "redeem": "Redeem(address author,uint256 nonce,uint256 amount)",
    "stamp": "StampHead(address author,uint256 nonce,bytes32 head,bytes32 signatures)",
    "claim": "Claim(address author,uint256 nonce,uint256 total,bytes32 proof)",
    "tick": "Tick(address author,uint256 nonce)",
}
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"


def word(value: Any, type_: str) -> bytes:
    match type_:
        case "uint256":
            return int(value).to_bytes(32, "big")
        case "address":
            return bytes(12) + bytes.fromhex(value[2:])
        case "string":
            return keccak256(value.encode())
        case _:
            return bytes.fromhex(value)


def digest_by_hand(kind: str, author: str, nonce: int, body: dict[str, Any], domain: Domain) -> bytes:
    values = {"author": author, "nonce": nonce, **body}
    if "source" in body:
        values["source"] = hashlib.sha256(body["source"].encode()).hexdigest()
    if "head" in body:
        values["head"] = hashlib.sha256(body["head"].encode()).hexdigest()
    for name in {"report", "signatures", "proof"} & set(body):
        values[name] = hashlib.sha256(canonical(body[name]).encode()).hexdigest()
    members = [member.split() for member in STRUCTS[kind].partition("(")[2].rstrip(")").split(",")]
    struct = b"".join([keccak256(STRUCTS[kind].encode()), *(word(values[name], type_) for type_, name in members)])
    place = b"".join(
        [
            keccak256(DOMAIN_TYPE),
            keccak256(b"longtail"),
            keccak256(b"1"),
            word(domain.chain_id, "uint256"),
            bytes.fromhex(domain.salt),
        ]
    )
    return keccak256(b"\x19\x01" + keccak256(place) + keccak256(struct))


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_is_the_typed_struct_of_its_kind(kind: str) -> None:
    found = event_digest(DOMAIN, kind, ADDRESS["alice"], 7, BODIES[kind])
    assert found == digest_by_hand(kind, ADDRESS["alice"], 7, BODIES[kind], DOMAIN)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_survives_the_wire(kind: str) -> None:
    event = sign(KEYS["alice"], DOMAIN, kind, 3, BODIES[kind])
    again = SignedEvent.from_json(event.text)
    again.check_signature(DOMAIN)
    assert again == event
    assert again.hash == hashlib.sha256(canonical(event.to_dict()).encode()).hexdigest()
    assert sign(KEYS["alice"], DOMAIN, kind, 3, BODIES[kind]).hash == event.hash


@pytest.mark.parametrize("kind", KINDS)
def test_no_change_keeps_the_signature(kind: str) -> None:
    event = sign(KEYS["alice"], DOMAIN, kind, 3, BODIES[kind])
    others: list[tuple[SignedEvent, Domain]] = [
        (SignedEvent(kind, event.author, 4, event.body, event.signature), DOMAIN),
        (SignedEvent(kind, ADDRESS["bob"], 3, event.body, event.signature), DOMAIN),
        (event, Domain(DOMAIN.chain_id + 1, DOMAIN.salt)),
        (event, Domain(DOMAIN.chain_id, HASH)),
    ]
    for name in event.body:
        changed = {**event.body, name: OTHER[name]}
        others.append((SignedEvent(kind, event.author, 3, changed, event.signature), DOMAIN))
    for other, domain in others:
        with pytest.raises(LedgerRefusal) as caught:
            other.check_signature(domain)
        assert caught.value.code == "signature"


def malleated(signature: str) -> str:
    """Return the other signature that the same key and digest have, which chains must refuse."""
    s, v = int(signature[66:130], 16), int(signature[130:], 16)
    return f"{signature[:66]}{ORDER - s:064x}{55 - v:02x}"


@pytest.mark.parametrize(
    "signature",
    [
        malleated(SIGNED.signature),
        SIGNED.signature.upper().replace("X", "x"),
        SIGNED.signature[:-2] + "00",
        SIGNED.signature[:-2],
        SIGNED.signature[2:],
        SIGNED.signature + "00",
        "0x" + "00" * 64 + "1b",
        "0x" + "ff" * 64 + "1b",
        "",
        None,
        27,
        KEYS["bob"].sign(event_digest(DOMAIN, "transfer", ADDRESS["alice"], 0, SIGNED.body)),
    ],
    ids=str,
)
def test_no_other_signature_stands_for_it(signature: Any) -> None:
    with pytest.raises(LedgerRefusal) as caught:
        event = SignedEvent.from_dict(SIGNED.to_dict() | {"signature": signature})
        event.check_signature(DOMAIN)
    assert caught.value.code == "signature"


@pytest.mark.parametrize(("code", "raw"), BAD.values(), ids=BAD)
def test_what_is_no_event_is_refused_by_its_code(code: str, raw: Any) -> None:
    with pytest.raises(LedgerRefusal) as caught:
        SignedEvent.from_dict(raw)
    assert caught.value.code == code
    assert code in CODES
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("malformed", "{"),
        ("malformed", SIGNED.text[:-1]),
        ("malformed", SIGNED.text * 2),
        ("malformed", SIGNED.text.replace('"nonce":0', '"nonce":0,"nonce":0')),
        ("malformed", SIGNED.text.replace('"nonce":0', '"nonce":' + "9" * 5_000)),
        ("malformed", "[" * 100_000),
        ("malformed", b"\xff\xfe"),
        ("malformed", SIGNED.text.replace('"nonce":0', '"nonce":NaN')),
        ("oversized", " " * (MAX_EVENT_BYTES + 1)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_json_of_an_event_is_refused_by_its_code(code: str, text: str | bytes) -> None:
    with pytest.raises(LedgerRefusal) as caught:
        SignedEvent.from_json(text)
    assert caught.value.code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_any_value_in_any_place_is_taken_or_refused(kind: str, data: st.DataObject) -> None:
    raw = body_of(kind)
    place = data.draw(st.sampled_from([*raw, *BODIES[kind]]))
    (raw["body"] if place in BODIES[kind] else raw)[place] = data.draw(JSON)
    read: list[Callable[[], SignedEvent]] = [
        lambda: SignedEvent.from_dict(raw),
        lambda: SignedEvent.from_json(json.dumps(raw)),
    ]
    for reader in read:
        try:
            event = reader()
            event.check_signature(DOMAIN)
        except LedgerRefusal as refusal:
            assert refusal.code in CODES


def test_records_are_linked_by_hashes_of_canonical_json() -> None:
    first = genesis_record(made_genesis())
    second = record_at(1, first.hash, first.time + 5, SIGNED)
    plain = {"height": 1, "previous": first.hash, "time": first.time + 5, "event": SIGNED.to_dict()}
    assert second.hash == hashlib.sha256(canonical(plain).encode()).hexdigest()
    assert first.hash == DOMAIN.salt
    assert (first.height, first.previous, first.event.kind) == (0, "0" * 64, "genesis")


def test_module_of_the_largest_size_is_an_event() -> None:
    for source in ((module(1) * 2_000)[:MAX_SOURCE_BYTES], "\x01" * MAX_SOURCE_BYTES):
        event = sign(KEYS["alice"], DOMAIN, "reveal", 0, BODIES["reveal"] | {"source": source})
        event.check()
        assert len(event.text) < MAX_EVENT_BYTES
