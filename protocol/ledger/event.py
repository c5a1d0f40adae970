"""Events and records: what is signed, how it is hashed, and how it is read without trusting whoever wrote it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from protocol.errors import RefusedError
from protocol.keys import Key, recover
from protocol.ledger.commitments import canonical
from protocol.ledger.genesis import Genesis
from protocol.ledger.kinds import MAX_EVENT_BYTES, check_body, is_address, is_amount
from protocol.ledger.refusal import LedgerRefusal
from protocol.typed_data import Domain, typed_digest

NO_HASH = "0" * 64
NOBODY = "0x" + "0" * 40
_FIELDS = {"kind", "author", "nonce", "body", "signature"}


@dataclass(frozen=True)
class SignedEvent:
    """What somebody wants to happen, signed. It may be anything until :meth:`check` and :meth:`check_signature` pass.

    Attributes
    ----------
    kind : str
        One of :data:`protocol.ledger.kinds.KINDS`; ``genesis`` in record 0 only.
    author : str
        EIP-55 address.
    nonce : int
        How many events the author has had recorded before.
    body : mapping
        Fields of the kind; never changed once here.
    signature : str
        ``0x`` and 130 hex digits over the EIP-712 digest; empty in record 0.
    """

    kind: str
    author: str
    nonce: int
    body: Mapping[str, Any]
    signature: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "kind": self.kind,
            "author": self.author,
            "nonce": self.nonce,
            "body": self.body,
            "signature": self.signature,
        }

    @cached_property
    def text(self) -> str:
        """The canonical JSON."""
        return canonical(self.to_dict())

    @cached_property
    def hash(self) -> str:
        """The sha256 of the canonical JSON, which tells two signed events apart."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str | bytes) -> SignedEvent:
        """Read an event from JSON that a stranger wrote.

        Raises
        ------
        LedgerRefusal
            ``oversized``, ``malformed`` (no JSON, a repeated key, no object), ``fields``, or what :meth:`check` finds.
        """
        if len(text) > MAX_EVENT_BYTES:
            raise LedgerRefusal("oversized", f"the event has {len(text)} bytes; at most {MAX_EVENT_BYTES} are taken")
        try:
            raw = json.loads(text, object_pairs_hook=_unrepeated)
        except (ValueError, RecursionError) as error:
            raise LedgerRefusal("malformed", f"the event is no JSON: {error}") from error
        return cls.from_dict(raw)

    @classmethod
    def from_dict(cls, raw: object) -> SignedEvent:
        """Read an event from plain JSON values; errors as in :meth:`from_json`."""
        if not isinstance(raw, dict) or set(raw) != _FIELDS:
            raise LedgerRefusal("fields", f"an event is an object of exactly {', '.join(sorted(_FIELDS))}")
        event = cls(**raw)
        event.check()
        return event

    def check(self, *, by_hash: bool = False) -> None:
        """Check everything that needs no state and no cryptography; `by_hash` as for :func:`protocol.ledger.kinds.check_body`.

        Raises
        ------
        LedgerRefusal
            ``unknown-kind``, ``fields``, ``malformed`` or ``oversized``.
        """
        check_body(self.kind, self.body, by_hash=by_hash)
        if not isinstance(self.author, str) or not is_address(self.author):
            raise LedgerRefusal("malformed", f"author {self.author!r:.80} is no EIP-55 address")
        if not is_amount(self.nonce):
            raise LedgerRefusal("malformed", f"nonce {self.nonce!r:.80} is no whole number from 0 to 2**256 - 1")
        if not isinstance(self.signature, str) or len(self.signature) != 132:
            raise LedgerRefusal("signature", "a signature is 0x and 130 lower-case hex digits")
        if len(text := self.text) > MAX_EVENT_BYTES:
            raise LedgerRefusal("oversized", f"the event has {len(text)} bytes; at most {MAX_EVENT_BYTES} are taken")

    def check_signature(self, domain: Domain) -> None:
        """Check that the author signed this event for this ledger.

        Raises
        ------
        LedgerRefusal
            ``signature``.
        """
        try:
            signer = recover(event_digest(domain, self.kind, self.author, self.nonce, self.body), self.signature)
        except RefusedError as error:
            raise LedgerRefusal("signature", f"{self.kind} by {self.author}: {error}") from error
        if signer != self.author:
            raise LedgerRefusal(
                "signature",
                f"{self.kind} by {self.author}: signed by {signer}, or by the author for another ledger or with other content",
            )


@dataclass(frozen=True, slots=True)
class Record:
    """One link of the ledger.

    Attributes
    ----------
    height : int
        0 is the genesis.
    previous : str
        Hash of the record below; 64 zeros in record 0.
    time : int
        Unix seconds, never less than below.
    event : SignedEvent
    hash : str
        sha256 of the canonical JSON of the other four.
    """

    height: int
    previous: str
    time: int
    event: SignedEvent
    hash: str


def event_digest(domain: Domain, kind: str, author: str, nonce: int, body: Mapping[str, Any]) -> bytes:
    """Return the EIP-712 digest of an event, 32 bytes.

    Raises
    ------
    LedgerRefusal
        The body does not fit its kind.
    """
    known = check_body(kind, body)
    values = {field.name: field.typed(body[field.name]) for field in known.fields}
    return typed_digest(domain, known.struct, known.types, {"author": author, "nonce": nonce, **values})


def sign(key: Key, domain: Domain, kind: str, nonce: int, body: Mapping[str, Any]) -> SignedEvent:
    """Return an event signed by `key`; signing the same twice gives the same event.

    Raises
    ------
    LedgerRefusal
        The body does not fit its kind.
    """
    plain = dict(body)
    return SignedEvent(kind, key.address, nonce, plain, key.sign(event_digest(domain, kind, key.address, nonce, plain)))


def registration_message(domain: Domain, address: str) -> bytes:
    """Return what the Cosmos signature in ``register`` signs."""
    return f"longtail register {domain.salt} {address}".encode()


def record_at(height: int, previous: str, time: int, event: SignedEvent) -> Record:
    """Return the record of `event` at a height and time (Unix seconds), on top of the record with the hash `previous`."""
    return Record(height, previous, time, event, record_hash(height, previous, time, event))


def genesis_record(genesis: Genesis, author: str = NOBODY) -> Record:
    """Return record 0: unsigned, by nobody; or by the contract that keeps the ledger, which it thereby names."""
    event = SignedEvent("genesis", author, 0, genesis.to_dict(), "")
    return record_at(0, NO_HASH, genesis.time, event)


def domain_of(genesis: Genesis, author: str = NOBODY) -> Domain:
    """Return where signatures for this ledger are valid; `author` as for :func:`genesis_record`."""
    return Domain(chain_id=genesis.chain_id, salt=genesis_record(genesis, author).hash)


def record_hash(height: int, previous: str, time: int, event: SignedEvent) -> str:
    """Return the sha256 of the canonical JSON of a record without its hash."""
    text = f'{{"event":{event.text},"height":{height},"previous":"{previous}","time":{time}}}'
    return hashlib.sha256(text.encode()).hexdigest()


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is repeated")
    return value
