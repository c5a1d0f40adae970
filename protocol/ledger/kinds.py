"""The kinds of events: which fields a body has, what each must look like, and how it enters the typed struct that is signed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from protocol.addresses import checksum_address
from protocol.errors import RefusedError
from protocol.ledger.commitments import SUBJECT, canonical, report_hash
from protocol.ledger.refusal import LedgerRefusal
from protocol.topics import NAME

#: Whatever module and whatever HEAD with its signatures are taken, their JSON fits, which has up to six signs for a byte.
MAX_EVENT_BYTES = 524_288
MAX_SOURCE_BYTES = 65_536
MAX_UINT = 2**256 - 1
#: Numbers in reports stay in what databases and contracts hold.
MAX_REPORT_INT = 2**63 - 1
MAX_REPORT_FIELDS = 32
MAX_REPORT_TEXT = 128
MAX_SIGNATURES = 500

HASH = re.compile(r"[0-9a-f]{64}\Z")
_PUBLIC_KEY = re.compile(r"0[23][0-9a-f]{64}\Z")
_COSMOS_ADDRESS = re.compile(r"cosmos1[02-9ac-hj-np-z]{38}\Z")
_COSMOS_SIGNATURE = re.compile(r"[0-9a-f]{128}\Z")
_SIGNATURE = re.compile(r"0x[0-9a-f]{130}\Z")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_PRINTABLE = re.compile(rf"[ -~]{{0,{MAX_REPORT_TEXT}}}\Z")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body.

    Attributes
    ----------
    name : str
    type : str
        Its type in the typed struct.
    fits : callable
        Whether a value may stand there.
    words : str
        What it should be, for the refusal.
    typed : callable
        The value as it enters the typed struct: long ones by their hash.
    """

    name: str
    type: str
    fits: Callable[[Any], bool]
    words: str
    typed: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event: the name of its typed struct and the fields of its body."""

    struct: str
    fields: tuple[Field, ...]

    @property
    def types(self) -> list[tuple[str, str]]:
        """The typed struct: author and nonce first, then the body."""
        return [("author", "address"), ("nonce", "uint256"), *((field.name, field.type) for field in self.fields)]


@lru_cache(maxsize=65_536)
def is_address(value: str) -> bool:
    """Return whether `value` is an address in the mixed case of EIP-55."""
    try:
        return checksum_address(value) == value
    except RefusedError:
        return False


def is_amount(value: object) -> bool:
    """Return whether `value` is a whole number (no bool) that fits 256 bits."""
    return type(value) is int and 0 <= value <= MAX_UINT


def is_hash(value: object) -> bool:
    """Return whether `value` is 64 lower-case hex digits."""
    return _matches(HASH)(value)


def source_bytes(source: str) -> bytes:
    """Return the bytes of a module's text; their sha256 is the block hash.

    Raises
    ------
    LedgerRefusal
        ``malformed``: a lone surrogate; ``oversized``: too long.
    """
    try:
        content = source.encode()
    except UnicodeEncodeError as error:
        raise LedgerRefusal("malformed", f"the module is no UTF-8 text: {error.reason}") from error
    if len(content) > MAX_SOURCE_BYTES:
        raise LedgerRefusal("oversized", f"the module has {len(content)} bytes; at most {MAX_SOURCE_BYTES} are taken")
    return content


def source_hash(source: str) -> str:
    """Return the block hash of a module's text."""
    return hashlib.sha256(source_bytes(source)).hexdigest()


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.match(value) is not None


def _is_source(value: object) -> bool:
    return isinstance(value, str) and bool(value) and bool(source_bytes(value))


def _is_ascii(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isascii()


def _text_hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _is_report(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MAX_REPORT_FIELDS
        and all(_matches(_FIELD_NAME)(name) and _is_flat(one) for name, one in value.items())
    )


def _is_flat(value: object) -> bool:
    if type(value) is int:
        return -MAX_REPORT_INT <= value <= MAX_REPORT_INT
    return _matches(_PRINTABLE)(value)


def _hash(name: str) -> Field:
    return Field(name, "bytes32", is_hash, "64 lower-case hex digits")


_TOPIC = Field("topic", "string", _matches(NAME), "a slug: a-z, 0-9 and '-', at most 63")


def _is_signatures(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_SIGNATURES
        and all(isinstance(one, dict) and set(one) == {"validator", "signature"} for one in value)
        and all(isinstance(one["validator"], str) and is_address(one["validator"]) for one in value)
        and all(_matches(_SIGNATURE)(one["signature"]) for one in value)
    )


def _is_proof(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"index", "path", "size"}
        and all(type(value[name]) is int and 0 <= value[name] <= 2**32 for name in ("index", "size"))
        and isinstance(value["path"], list)
        and len(value["path"]) <= 32
        and all(is_hash(one) for one in value["path"])
    )


def _json_hash(value: object) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


_AMOUNT = Field("amount", "uint256", lambda value: is_amount(value) and value > 0, "a whole number of wei above zero")
_SUBJECT_FIELD = Field("subject", "string", _matches(SUBJECT), "screen:HASH or live:HASH:DAY")

#: Every kind of event.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "register": Kind(
            "Register",
            (
                Field("name", "string", _matches(NAME), "a slug: a-z, 0-9 and '-', at most 63"),
                Field("public_key", "string", _matches(_PUBLIC_KEY), "a compressed key, 66 lower-case hex digits"),
                Field("cosmos_address", "string", _matches(_COSMOS_ADDRESS), "a cosmos1… address"),
                Field("cosmos_signature", "string", _matches(_COSMOS_SIGNATURE), "128 lower-case hex digits"),
            ),
        ),
        "transfer": Kind(
            "Transfer",
            (
                Field("to", "address", lambda value: isinstance(value, str) and is_address(value), "an EIP-55 address"),
                _AMOUNT,
            ),
        ),
        "stake": Kind("Stake", (_AMOUNT,)),
        "unstake": Kind("Unstake", (_AMOUNT,)),
        "commit": Kind("Commit", (_TOPIC, _hash("commitment"))),
        "reveal": Kind(
            "Reveal",
            (
                _hash("commitment"),
                _hash("salt"),
                _TOPIC,
                Field("source", "bytes32", _is_source, "the text of a module", source_hash),
            ),
        ),
        "report_commit": Kind("ReportCommit", (_SUBJECT_FIELD, _hash("commitment"))),
        "report_reveal": Kind(
            "ReportReveal",
            (
                _SUBJECT_FIELD,
                _hash("salt"),
                Field("report", "bytes32", _is_report, "a flat object of whole numbers and short texts", report_hash),
            ),
        ),
        "deposit": Kind("Deposit", (_AMOUNT,)),
        "burn": Kind("Burn", (_AMOUNT,)),
        "redeem": Kind("Redeem", (_AMOUNT,)),
        "stamp": Kind(
            "StampHead",
            (
                Field("head", "bytes32", _is_ascii, "the canonical JSON of a HEAD", _text_hash),
                Field(
                    "signatures",
                    "bytes32",
                    _is_signatures,
                    "a list of validator and signature, 500 at most",
                    _json_hash,
                ),
            ),
        ),
        "claim": Kind(
            "Claim",
            (
                Field("total", "uint256", _AMOUNT.fits, _AMOUNT.words),
                Field("proof", "bytes32", _is_proof, "a Merkle proof: index, path and size", _json_hash),
            ),
        ),
        "tick": Kind("Tick", ()),
    }
)


#: A ``reveal`` of a module whose text is not on the ledger.
_REVEAL_BY_HASH = Kind("Reveal", (_hash("commitment"), _hash("salt"), _TOPIC, _hash("source_hash")))
#: A ``stamp`` whose signatures are over the values of the HEAD's predictions too.
_STAMP_WITH_VALUES = Kind("StampHead", (*KINDS["stamp"].fields, _hash("values")))


def check_body(kind: str, body: object, *, by_hash: bool = False) -> Kind:
    """Return the kind of an event after checking the shape of its body.

    Parameters
    ----------
    kind : str
    body : object
    by_hash : bool
        Whether a ``reveal`` may have ``source_hash`` in place of ``source``, and a ``stamp`` the hash of its ``values``.

    Raises
    ------
    LedgerRefusal
        ``unknown-kind``, ``fields``, ``malformed`` or ``oversized``.
    """
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise LedgerRefusal("unknown-kind", f"event kind {kind!r:.80} is unknown; known: {', '.join(KINDS)}")
    if by_hash and kind == "reveal" and isinstance(body, dict) and "source_hash" in body:
        known = _REVEAL_BY_HASH
    if by_hash and kind == "stamp" and isinstance(body, dict) and "values" in body:
        known = _STAMP_WITH_VALUES
    names = {field.name for field in known.fields}
    if not isinstance(body, dict) or set(body) != names:
        found = ", ".join(sorted(str(name)[:40] for name in body)[:10]) if isinstance(body, dict) else repr(body)[:80]
        raise LedgerRefusal("fields", f"{kind} has the fields {', '.join(sorted(names)) or 'none'}; found: {found}")
    for field in known.fields:
        if not field.fits(body[field.name]):
            raise LedgerRefusal("malformed", f"{kind}.{field.name} = {body[field.name]!r:.80} is not {field.words}")
    return known
