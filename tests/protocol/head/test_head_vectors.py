"""Known answers, each reproduced twice: by the package, and by a few lines that use none of it but Keccak and ECDSA.

``vectors/head.json`` has the canonical texts, proofs, hashes, digests and signatures of two HEADs, one of them empty, for other
implementations to try themselves on.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import coincurve
import pytest

from protocol.addresses import evm_address, keccak256
from protocol.head.claims import Claim, Claims, due
from protocol.head.head import Head, prove_prediction
from protocol.head.merkle import Proof
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature, count, head_digest
from protocol.ledger.commitments import canonical
from protocol.typed_data import Domain

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "head.json").read_text(encoding="utf-8"))
FULL, EMPTY = VECTORS["heads"]
DOMAIN = Domain(**VECTORS["domain"])


def tree(leaves: list[bytes]) -> str:
    """Return the root of a Merkle tree, level by level."""
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves] or [hashlib.sha256().digest()]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [hashlib.sha256(b"\x01" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0].hex()


def word(number: int | str) -> bytes:
    return (int(number, 16) if isinstance(number, str) else number).to_bytes(32)


def digest_by_hand(period: int, head: str) -> bytes:
    kind = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)")
    place = VECTORS["domain"]
    name, version = keccak256(b"longtail"), keccak256(b"1")
    separator = keccak256(kind + name + version + word(place["chain_id"]) + word(place["salt"]))
    struct = keccak256(keccak256(b"Head(uint256 period,bytes32 head)") + word(period) + word(head))
    return keccak256(b"\x19\x01" + separator + struct)


@pytest.mark.parametrize("case", VECTORS["heads"], ids=("full", "empty"))
def test_heads(case: dict[str, Any]) -> None:
    head = Head.from_json(case["text"])
    assert hashlib.sha256(case["text"].encode()).hexdigest() == case["hash"] == head.hash
    assert digest_by_hand(head.period, head.hash).hex() == case["digest"]
    assert head_digest(DOMAIN, head.period, head.hash).hex() == case["digest"]
    signatures = [HeadSignature.from_json(canonical(one)) for one in case["signatures"]]
    for one in signatures:
        raw = bytes.fromhex(one.signature[2:])
        key = coincurve.PublicKey.from_signature_and_message(
            raw[:64] + bytes([raw[64] - 27]), bytes.fromhex(case["digest"]), hasher=None
        )
        assert evm_address(key.format(compressed=False)) == one.validator
    assert count(DOMAIN, head, signatures, {one.validator: 1 for one in signatures}).reached


def test_predictions() -> None:
    head, raw = Head.from_json(FULL["text"]), json.loads(FULL["text"])
    assert tree([text.encode() for text in VECTORS["predictions"]]) == raw["predictions_root"]
    made = [Prediction.from_json(text) for text in VECTORS["predictions"]]
    for one, text, proof in zip(made, VECTORS["predictions"], VECTORS["proofs"], strict=True):
        assert one.leaf == text.encode()
        assert prove_prediction(made[::-1], one).to_dict() == proof
        head.check_prediction(one, Proof.from_dict(proof))


def test_models() -> None:
    raw = json.loads(FULL["text"])
    leaves = [
        json.dumps({**model, "topic": topic["topic"]}, sort_keys=True, separators=(",", ":")).encode()
        for topic in raw["topics"]
        for model in topic["models"]
    ]
    assert tree(leaves) == raw["models_root"]


def test_claims() -> None:
    raw = json.loads(FULL["text"])
    leaves = [word(one["account"]) + word(one["total"]) for one in VECTORS["claims"]]
    assert leaves == sorted(leaves)
    assert tree(leaves) == raw["rewards_root"]
    assert sum(one["total"] for one in VECTORS["claims"]) == raw["reward_total"]
    claims = Claims({one["account"]: one["total"] for one in VECTORS["claims"]})
    for one in VECTORS["claims"]:
        claim = Claim.from_json(canonical(one))
        assert claims.claim(one["account"]) == claim
        assert due(claim, 0, raw["rewards_root"], raw["reward_accounts"]) == one["total"]


def test_the_empty_head() -> None:
    raw = json.loads(EMPTY["text"])
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert {raw[name] for name in ("models_root", "predictions_root", "rewards_root")} == {nothing}
