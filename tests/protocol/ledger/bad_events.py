"""A right body for every kind of event, and everything a stranger can send instead, with the code it is refused with."""

from __future__ import annotations

from typing import Any

from made_ledgers import ADDRESS, KEYS, SALT, TOPIC, made_genesis, screen_report

from protocol.ledger.commitments import screen_subject
from protocol.ledger.event import domain_of, sign
from protocol.ledger.kinds import MAX_EVENT_BYTES, MAX_SOURCE_BYTES

DOMAIN = domain_of(made_genesis())
HASH = "ab" * 32
SUBJECT = screen_subject(HASH)
BODIES: dict[str, dict[str, Any]] = {
    "register": {
        "name": "alice",
        "public_key": "02" + HASH,
        "cosmos_address": "cosmos1" + "q" * 38,
        "cosmos_signature": HASH * 2,
    },
    "transfer": {"to": ADDRESS["bob"], "amount": 2**256 - 1},
    "stake": {"amount": 1},
    "unstake": {"amount": 10**18},
    "commit": {"topic": TOPIC, "commitment": HASH},
    "reveal": {"commitment": HASH, "salt": SALT, "topic": TOPIC, "source": "# é\n"},
    "report_commit": {"subject": SUBJECT, "commitment": HASH},
    "report_reveal": {"subject": SUBJECT, "salt": SALT, "report": screen_report(HASH, 1)},
    "deposit": {"amount": 7},
    "burn": {"amount": 8},
    "redeem": {"amount": 9},
    "stamp": {
        "head": '{"period":1}',
        "signatures": [{"validator": ADDRESS["bob"], "signature": "0x" + "ab" * 65}],
    },
    "claim": {"total": 9, "proof": {"index": 0, "path": [HASH], "size": 2}},
    "tick": {},
}
SIGNED = sign(KEYS["alice"], DOMAIN, "transfer", 0, {"to": ADDRESS["bob"], "amount": 5})


def body_of(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "author": ADDRESS["alice"],
        "nonce": 0,
        "body": BODIES[kind] | changes,
        "signature": SIGNED.signature,
    }


BAD: dict[str, tuple[str, Any]] = {
    "no object": ("fields", [1]),
    "nothing": ("fields", None),
    "no signature": ("fields", {key: value for key, value in body_of("tick").items() if key != "signature"}),
    "a field more": ("fields", body_of("tick") | {"gas": 1}),
    "an unknown kind": ("unknown-kind", body_of("tick") | {"kind": "mint"}),
    "a genesis": ("unknown-kind", body_of("tick") | {"kind": "genesis"}),
    "no kind": ("unknown-kind", body_of("tick") | {"kind": ["tick"]}),
    "body is a list": ("fields", body_of("tick") | {"body": []}),
    "body lacks a field": ("fields", body_of("stake") | {"body": {}}),
    "body has one more": ("fields", body_of("stake", extra=1)),
    "amount is a bool": ("malformed", body_of("stake", amount=True)),
    "amount is a float": ("malformed", body_of("stake", amount=1.0)),
    "amount is a text": ("malformed", body_of("stake", amount="1")),
    "amount is negative": ("malformed", body_of("stake", amount=-1)),
    "amount is zero": ("malformed", body_of("stake", amount=0)),
    "amount is 2**256": ("malformed", body_of("stake", amount=2**256)),
    "nonce is a bool": ("malformed", body_of("tick") | {"nonce": False}),
    "nonce is negative": ("malformed", body_of("tick") | {"nonce": -1}),
    "nonce is too large": ("malformed", body_of("tick") | {"nonce": 2**256}),
    "nonce is a float": ("malformed", body_of("tick") | {"nonce": 0.0}),
    "author in lower case": ("malformed", body_of("tick") | {"author": ADDRESS["alice"].lower()}),
    "author is no text": ("malformed", body_of("tick") | {"author": 5}),
    "receiver too short": ("malformed", body_of("transfer", to=ADDRESS["bob"][:-1])),
    "receiver in lower case": ("malformed", body_of("transfer", to=ADDRESS["bob"].lower())),
    "name too long": ("malformed", body_of("register", name="a" * 64)),
    "name with a control character": ("malformed", body_of("register", name="a\x1b[2J")),
    "public key of 32 bytes": ("malformed", body_of("register", public_key=HASH)),
    "foreign cosmos address": ("malformed", body_of("register", cosmos_address="osmo1" + "q" * 38)),
    "cosmos signature too long": ("malformed", body_of("register", cosmos_signature=HASH * 2 + "00")),
    "hash in upper case": ("malformed", body_of("commit", commitment=HASH.upper())),
    "hash with 0x": ("malformed", body_of("commit", commitment="0x" + HASH)),
    "hash with a line end": ("malformed", body_of("commit", commitment=HASH + "\n")),
    "topic with a slash": ("malformed", body_of("commit", topic="../etc")),
    "empty module": ("malformed", body_of("reveal", source="")),
    "module of bytes no UTF-8 has": ("malformed", body_of("reveal", source="\ud800")),
    "module too long": ("oversized", body_of("reveal", source="é" * (MAX_SOURCE_BYTES // 2 + 1))),
    "event too long": ("oversized", body_of("stamp", head="x" * MAX_EVENT_BYTES)),
    "unknown subject": ("malformed", body_of("report_commit", subject="vote:" + HASH)),
    "live without a day": ("malformed", body_of("report_commit", subject="live:" + HASH)),
    "day with a leading zero": ("malformed", body_of("report_commit", subject=f"live:{HASH}:007")),
    "negative day": ("malformed", body_of("report_commit", subject=f"live:{HASH}:-1")),
    "report is a list": ("malformed", body_of("report_reveal", report=[])),
    "report is nested": ("malformed", body_of("report_reveal", report={"outcome": {}})),
    "report has a float": ("malformed", body_of("report_reveal", report={"specific": 0.5})),
    "report has a bool": ("malformed", body_of("report_reveal", report={"specific": True})),
    "report has NaN": ("malformed", body_of("report_reveal", report={"specific": float("nan")})),
    "report has a huge number": ("malformed", body_of("report_reveal", report={"specific": 2**63})),
    "report has a long text": ("malformed", body_of("report_reveal", report={"reason": "a" * 129})),
    "report has an odd name": ("malformed", body_of("report_reveal", report={"Outcome!": 1})),
    "head is empty": ("malformed", body_of("stamp", head="")),
    "head is an object": ("malformed", body_of("stamp", head={})),
    "head has other letters": ("malformed", body_of("stamp", head="é")),
    "head is no HEAD": ("malformed", body_of("stamp", head=[1])),
    "signatures are an object": ("malformed", body_of("stamp", signatures={})),
    "signature without a validator": ("malformed", body_of("stamp", signatures=[{"signature": "0x" + "ab" * 65}])),
    "signature too short": (
        "malformed",
        body_of("stamp", signatures=[{"validator": ADDRESS["bob"], "signature": "0x" + "ab" * 64}]),
    ),
    "too many signatures": ("malformed", body_of("stamp", signatures=BODIES["stamp"]["signatures"] * 501)),
    "proof is a list": ("malformed", body_of("claim", proof=[])),
    "proof of too many steps": ("malformed", body_of("claim", proof={"index": 0, "path": [HASH] * 33, "size": 2})),
    "proof with a bool": ("malformed", body_of("claim", proof={"index": True, "path": [], "size": 2})),
    "claim of nothing": ("malformed", body_of("claim", total=0)),
    "report has many fields": ("malformed", body_of("report_reveal", report={f"f{i}": i for i in range(33)})),
}
