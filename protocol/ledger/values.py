"""The values of a HEAD's predictions as they go on a chain, and what validators sign for them (docs/spec/contracts.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from protocol.addresses import keccak256
from protocol.errors import RefusedError
from protocol.head import merkle
from protocol.head.head import Head
from protocol.head.prediction import Prediction, in_tree_order
from protocol.head.quorum import HeadSignature, Quorum, count
from protocol.keys import Key, recover
from protocol.ledger.calls import Call, head_fields, said_values, stacked, values_digest
from protocol.ledger.commitments import canonical
from protocol.ledger.event import SignedEvent
from protocol.typed_data import Domain

#: Where values go: into the log, into storage as well, nowhere.
Place = Literal["log", "keep", "none"]


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a HEAD's predictions in the order of its tree.

    Attributes
    ----------
    head : Head
    said : bytes
        As of :func:`protocol.ledger.calls.said_values`: the HEAD's hash, that of the list of series, the values.
    """

    head: Head
    said: bytes

    @classmethod
    def of(cls, head: Head, predictions: Iterable[Prediction]) -> Self:
        """Return the values of a HEAD's predictions, in whatever order they are given.

        Raises
        ------
        RefusedError
            They are not those under its root.
        """
        ordered = in_tree_order(predictions)
        if merkle.root([one.leaf for one in ordered]) != head.predictions_root:
            raise RefusedError(f"HEAD {head.period} stands for other predictions than the {len(ordered)} given")
        series = keccak256(canonical([list(one.key) for one in ordered]).encode()).hex()
        return cls(head, said_values(head.hash, series, [one.value for one in ordered]))

    @property
    def hash(self) -> str:
        """Keccak-256 of what is said, 64 hex digits."""
        return keccak256(self.said).hex()

    def digest(self, domain: Domain) -> bytes:
        """Return the 32 bytes that validators sign: EIP-712, ``HeadValues``."""
        return _digest(domain, self.head, self.hash)

    def sign(self, key: Key, domain: Domain) -> str:
        """Return a validator's signature; the HEAD must be the one it has signed."""
        return key.sign(self.digest(domain))

    def signed(self, one: HeadSignature, domain: Domain) -> bool:
        """Return whether somebody's signature of this HEAD has a right one of these values with it."""
        return one.head == self.head.hash and bool(one.values) and _made(self.digest(domain), one.validator, one.values)


@dataclass(frozen=True, slots=True)
class SignedValues:
    """Values with the signatures under them, ready for a chain.

    Attributes
    ----------
    values : Values
    signatures : mapping of validator to str
    keep : bool
        Whether they are stored, so that contracts can read them.
    """

    values: Values
    signatures: Mapping[str, str]
    keep: bool

    def call(self, event: SignedEvent) -> Call:
        """Return the call by which the author of a ``stamp`` brings the HEAD with its values.

        Raises
        ------
        RefusedError
            The event is another.
        """
        head = self.values.head
        if event.body.get("head") != head.text:
            raise RefusedError(f"the values are those of HEAD {head.period}, {event.kind} is about something else")
        function = "stampFeeds" if self.keep else "stampValues"
        fields, _, _, topics = head_fields(head)
        return Call("Heads", function, (event.nonce, fields, topics, self.values.said, stacked(self.signatures)))


def stamp_quorum(domain: Domain, body: Mapping[str, Any], validators: Mapping[str, int]) -> Quorum:
    """Return how the validators stood to a HEAD by the body of its ``stamp``, brought with values or without.

    Parameters
    ----------
    domain : Domain
        Of the ledger.
    body : mapping
        Of a recorded event.
    validators : mapping of address to wei
        As for :func:`protocol.head.quorum.count`.
    """
    head, told = Head.from_json(body["head"]), body.get("values")
    signed = [HeadSignature(head.period, head.hash, one["validator"], one["signature"]) for one in body["signatures"]]
    if not told:
        return count(domain, head, signed, validators)
    digest = _digest(domain, head, told)
    return count(domain, head, signed, validators, lambda one: _made(digest, one.validator, one.signature))


def _digest(domain: Domain, head: Head, said: str) -> bytes:
    fields, _, _, topics = head_fields(head)
    return values_digest(domain, fields, topics, said)


def _made(digest: bytes, validator: str, signature: str) -> bool:
    try:
        return recover(digest, signature) == validator
    except RefusedError:
        return False
