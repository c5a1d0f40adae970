"""Everything that one HEAD period changed: what a fund either has done or has not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fund.journal import Record
from fund.journal import plain as plain_record
from fund.market import Market
from fund.market_events import Event
from fund.market_events import plain as plain_event
from protocol.errors import RefusedError
from protocol.head import merkle
from protocol.head.claims import Claims
from protocol.head.head import Head
from protocol.head.prediction import Prediction, in_tree_order
from protocol.head.quorum import HeadSignature
from protocol.head.rewards import Earning
from protocol.ledger.commitments import canonical
from protocol.ltft.wei import whole

#: Digest before the first step.
BEGINNING = "0" * 64
_NAME = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """What is committed at once.

    Attributes
    ----------
    head : Head
        Its period is the step's; a period has one.
    claims : Claims
        What everybody has earned in all, this HEAD included.
    carried : int
        How many periods before this one the last HEAD stood on purpose (a replay); the rest of the gap was missed.
    predictions : tuple of Prediction
        Those under the HEAD's root.
    signatures : tuple of HeadSignature
        Those there are already, of this period; more may come later.
    earnings : tuple of Earning
    journal : mapping of book to tuple of Record
        What happened to each book, in order.
    memory : mapping of name to bytes
        States of which only the newest is kept: inference by topic, books.
    market : Market or None
        After the step; None: there is no market.
    events : tuple of Event
        Of the market.
    documents : mapping of name to plain JSON values
        Whatever else is to be known of the period later: alerts, settled losses, rewards kept and why.

    Raises
    ------
    RefusedError
        The parts are not of one period, or not what the HEAD's roots stand for; or a name or value cannot be kept.
    """

    head: Head
    claims: Claims
    carried: int = 0
    predictions: tuple[Prediction, ...] = ()
    signatures: tuple[HeadSignature, ...] = ()
    earnings: tuple[Earning, ...] = ()
    journal: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    memory: Mapping[str, bytes] = field(default_factory=dict)
    market: Market | None = None
    events: tuple[Event, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        period = self.head.period
        whole(self.carried, f"the carried periods before HEAD {period}", 0, period)
        said = root_of(self.predictions), len(self.predictions)
        if said != (self.head.predictions_root, self.head.prediction_count):
            raise RefusedError(f"HEAD {period} stands for other predictions than the {len(self.predictions)} given")
        if (self.claims.root, self.claims.total) != (self.head.rewards_root, self.head.reward_total):
            raise RefusedError(f"HEAD {period} stands for other earnings than the {self.claims.total} wei given")
        for one in self.signatures:
            if one.period != period:
                raise RefusedError(f"{one.validator} signed period {one.period}; it does not belong to {period}")
        if self.market is not None and self.market.period != period:
            raise RefusedError(f"the market is at period {self.market.period}, the HEAD at {period}; advance it first")
        for name in (*self.journal, *self.memory, *self.documents):
            if not isinstance(name, str) or not _NAME.match(name):
                raise RefusedError(f"{name!r:.120} is no name for a part of a step; write a-z, 0-9 and . _ : / -")
        for name, content in self.documents.items():
            try:
                canonical(content)
            except (TypeError, ValueError, RecursionError) as error:
                raise RefusedError(f"document {name} of period {period} is no plain JSON: {error}") from error

    @property
    def period(self) -> int:
        """Number of the HEAD's period."""
        return self.head.period


@dataclass(frozen=True, slots=True)
class Texts:
    """A step as the texts that are kept and that its digest is over. Signatures are not among them: they come when they come.

    Attributes
    ----------
    head, earnings, events : str
        Canonical JSON.
    carried : int
    market : str or None
    journal : mapping of book to tuple of str
    documents : mapping of name to str
    memory : mapping of name to str
        The sha256 of each, as 64 hex digits.
    """

    head: str
    carried: int
    earnings: str
    market: str | None
    events: str
    journal: Mapping[str, tuple[str, ...]]
    documents: Mapping[str, str]
    memory: Mapping[str, str]

    @classmethod
    def of(cls, step: Step) -> Texts:
        """Return the texts of a step; equal steps have equal texts."""
        return cls(
            head=step.head.text,
            carried=step.carried,
            earnings=canonical([[getattr(one, name) for name in Earning.__slots__] for one in step.earnings]),
            market=None if step.market is None else canonical(step.market.to_dict()),
            events=canonical([plain_event(one) for one in step.events]),
            journal={
                book: tuple(canonical(plain_record(one)) for one in records)
                for book, records in sorted(step.journal.items())
                if records
            },
            documents={name: canonical(content) for name, content in sorted(step.documents.items())},
            memory={name: sha256(content) for name, content in sorted(step.memory.items())},
        )

    def digest(self, previous: str) -> str:
        """Return the sha256 over the canonical JSON of all texts and the digest of the step before.

        So funds whose last steps have one digest have gone through the same steps.
        """
        texts = {name: getattr(self, name) for name in self.__slots__}
        return sha256(canonical({**texts, "previous": previous}).encode())


def root_of(predictions: tuple[Prediction, ...]) -> str:
    """Return the Merkle root of predictions, in whatever order they are given."""
    return merkle.root([one.leaf for one in in_tree_order(predictions)])


def sha256(content: bytes) -> str:
    """Return the hash of bytes, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
