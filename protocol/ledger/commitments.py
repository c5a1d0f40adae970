"""Commitments: what hides a module or a report until it is revealed, and binds it to one author.

All are Keccak-256 over ``abi.encode`` of static types, so that a contract computes the same. Hashes, salts and commitments
are 64 lower-case hex digits; addresses are EIP-55.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from protocol.addresses import keccak256
from protocol.ledger.refusal import LedgerRefusal

SUBJECT = re.compile(r"(?:screen:([0-9a-f]{64})|live:([0-9a-f]{64}):(0|[1-9][0-9]{0,6}))\Z")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a validator's report is about.

    Attributes
    ----------
    kind : str
        ``screen``: a submission; ``live``: a model block's evidence up to a day.
    block_hash : str
    day : int
        Last day covered by live evidence, in days since 1970-01-01 UTC; 0 for a screen.
    """

    kind: Literal["screen", "live"]
    block_hash: str
    day: int = 0


def canonical(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def screen_subject(block_hash: str) -> str:
    """Return the subject of the reports on a submission."""
    return f"screen:{block_hash}"


def live_subject(block_hash: str, day: int) -> str:
    """Return the subject of the reports on a block's evidence up to and including `day` (days since 1970-01-01 UTC)."""
    return f"live:{block_hash}:{day}"


def parse_subject(text: str) -> Subject:
    """Return what `text` names.

    Raises
    ------
    LedgerRefusal
        ``malformed``: it has neither form.
    """
    match = SUBJECT.match(text)
    if match is None:
        raise LedgerRefusal("malformed", f"subject {text!r:.100} is neither screen:HASH nor live:HASH:DAY")
    if match[1]:
        return Subject("screen", match[1])
    return Subject("live", match[2], int(match[3]))


def commitment_of(block_hash: str, miner: str, salt: str) -> str:
    """Return ``keccak256(abi.encode(bytes32 block_hash, address miner, bytes32 salt))``.

    Only `miner` can open it, whoever wrote it into the ledger; without the salt it tells neither the module nor the miner.
    """
    return keccak256(bytes.fromhex(block_hash) + _word(miner) + bytes.fromhex(salt)).hex()


def report_hash(report: Mapping[str, int | str]) -> str:
    """Return the sha256 of a report's canonical JSON."""
    return hashlib.sha256(canonical(dict(report)).encode()).hexdigest()


def report_commitment(subject: str, author: str, salt: str, report_hash: str) -> str:
    """Return ``keccak256(abi.encode(bytes32 keccak256(subject), address author, bytes32 salt, bytes32 report_hash))``.

    Another author or another subject does not open it, so copying somebody's commitment gains nothing.
    """
    words = keccak256(subject.encode()), _word(author), bytes.fromhex(salt), bytes.fromhex(report_hash)
    return keccak256(b"".join(words)).hex()


def _word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])
