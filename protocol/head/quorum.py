"""Who signed a HEAD: it counts once more than two thirds of the validators' stake did, and nobody of them signed another.

A signature names period and hash, so two signatures of one validator under two HEADs of one period prove by themselves
that it equivocated. Its stake then counts for none of them: among the same signatures, two HEADs of a period never both
have a quorum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from protocol.errors import RefusedError
from protocol.head.head import Head
from protocol.head.schedule import MAX_PERIOD
from protocol.head.units import in_order
from protocol.head.wire import fields_of, read_canonical, whole
from protocol.keys import Key, recover
from protocol.ledger.kinds import is_address, is_hash
from protocol.typed_data import Domain, typed_digest

STRUCT = "Head"
FIELDS = (("period", "uint256"), ("head", "bytes32"))
MAX_SIGNATURE_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class HeadSignature:
    """What a validator says of a period. Whether it did is for :meth:`genuine`.

    Attributes
    ----------
    period : int
    head : str
        Hash of the HEAD.
    validator : str
        EIP-55 address.
    signature : str
        ``0x`` and 130 hex digits over :func:`head_digest`.
    values : str
        The same over the HEAD with the values of its predictions (:class:`protocol.ledger.values.Values`); empty where the
        validator makes none. It says nothing of the HEAD by itself, so it is not judged by :meth:`genuine`.

    Raises
    ------
    RefusedError
        A value is of another type or badly spelled.
    """

    period: int
    head: str
    validator: str
    signature: str
    values: str = ""

    def __post_init__(self) -> None:
        whole(self.period, "the period of a signature", 0, MAX_PERIOD)
        if not is_hash(self.head):
            raise RefusedError(f"head {self.head!r:.80} of a signature is no hash; write 64 lower-case hex digits")
        if not isinstance(self.validator, str) or not is_address(self.validator):
            raise RefusedError(f"validator {self.validator!r:.80} of a signature is no EIP-55 address")
        for mark in (self.signature, *([] if self.values == "" else [self.values])):
            if not isinstance(mark, str) or len(mark) != 132:
                raise RefusedError("a signature is 0x and 130 lower-case hex digits")

    def genuine(self, domain: Domain) -> bool:
        """Return whether the validator named made this signature, for this ledger."""
        try:
            return recover(head_digest(domain, self.period, self.head), self.signature) == self.validator
        except RefusedError:
            return False

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; ``values`` only where there is a signature of them."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "values" or self.values}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a signature that a stranger wrote; refused unless it is the canonical text of one."""
        return cls.from_dict(read_canonical(text, "a signature", MAX_SIGNATURE_BYTES))

    @classmethod
    def from_dict(cls, raw: object) -> Self:
        """Read a signature from plain JSON values."""
        *names, values = cls.__slots__
        if isinstance(raw, dict) and raw.get(values):
            names.append(values)
        return cls(**fields_of(raw, "a signature", names))


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two genuine signatures of a validator under two HEADs of one period; anybody can check them."""

    validator: str
    period: int
    first: HeadSignature
    second: HeadSignature


@dataclass(frozen=True, slots=True)
class Quorum:
    """How a HEAD stands with the validators. Addresses are in the order of their bytes.

    Attributes
    ----------
    stake, total : int
        Wei of the signers, and of all validators.
    signers : tuple of str
        Those who count.
    duplicate : tuple of str
        Those with the same signature more than once; counted once.
    equivocating : tuple of str
        Validators who signed another HEAD of the period too; counted for none.
    unknown : tuple of str
        Those who are no validators.
    forged : tuple of str
        Validators in whose name somebody else signed, or for another ledger.
    """

    stake: int
    total: int
    signers: tuple[str, ...]
    duplicate: tuple[str, ...]
    equivocating: tuple[str, ...]
    unknown: tuple[str, ...]
    forged: tuple[str, ...]

    @property
    def reached(self) -> bool:
        """Whether more than two thirds of the stake signed; exactly two thirds is not enough."""
        return 3 * self.stake > 2 * self.total


@lru_cache(maxsize=1_024)
def head_digest(domain: Domain, period: int, head: str) -> bytes:
    """Return the 32 bytes that validators sign: EIP-712, ``Head(uint256 period,bytes32 head)``.

    The same for all of them, so that a contract computes it once per HEAD.
    """
    return typed_digest(domain, STRUCT, FIELDS, {"period": period, "head": head})


def sign_head(key: Key, domain: Domain, head: Head) -> HeadSignature:
    """Return a validator's signature; signing the same HEAD twice gives the same one.

    Whoever signs remembers the period first: a second HEAD of it must never be signed.
    """
    digest = head_digest(domain, head.period, head.hash)
    return HeadSignature(head.period, head.hash, key.address, key.sign(digest))


def count(
    domain: Domain,
    head: Head,
    signatures: Iterable[HeadSignature],
    validators: Mapping[str, int],
    genuine: Callable[[HeadSignature], bool] | None = None,
) -> Quorum:
    """Return how the validators stand to a HEAD; the order of the signatures does not matter.

    Parameters
    ----------
    domain : Domain
        Of the ledger.
    head : Head
    signatures : iterable of HeadSignature
        Any that were seen. Those of other periods say nothing here; see :func:`equivocations`.
    validators : mapping of address to wei
        Voting stake as :class:`protocol.ledger.state.State` has it when they are counted.
    genuine : callable, optional
        Whether a signature is one, if that is not for :meth:`HeadSignature.genuine` to say.
    """
    true = genuine or (lambda one: one.genuine(domain))
    said: dict[str, list[str]] = {}
    unknown, forged = set(), set()
    for one in signatures:
        if one.period != head.period:
            continue
        if one.validator not in validators:
            unknown.add(one.validator)
        elif true(one):
            said.setdefault(one.validator, []).append(one.head)
        else:
            forged.add(one.validator)
    name = head.hash
    signers = [validator for validator, heads in said.items() if set(heads) == {name}]
    return Quorum(
        stake=sum(validators[validator] for validator in signers),
        total=sum(validators.values()),
        signers=tuple(in_order(signers)),
        duplicate=tuple(in_order(validator for validator, heads in said.items() if len(heads) > len(set(heads)))),
        equivocating=tuple(in_order(validator for validator, heads in said.items() if len(set(heads)) > 1)),
        unknown=tuple(in_order(unknown)),
        forged=tuple(in_order(forged)),
    )


def equivocations(domain: Domain, signatures: Iterable[HeadSignature]) -> tuple[Equivocation, ...]:
    """Return the proof of every equivocation among signatures, one per validator and period, by period and address."""
    said: dict[tuple[int, str], dict[str, HeadSignature]] = {}
    for one in signatures:
        if one.genuine(domain):
            said.setdefault((one.period, one.validator), {})[one.head] = one
    guilty = sorted(
        (place for place, heads in said.items() if len(heads) > 1), key=lambda one: (one[0], one[1].lower())
    )
    return tuple(
        Equivocation(
            validator, period, *(said[period, validator][head] for head in sorted(said[period, validator])[:2])
        )
        for period, validator in guilty
    )
