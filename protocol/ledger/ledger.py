"""The interface of every ledger backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from protocol.ledger.event import Record, SignedEvent
from protocol.ledger.genesis import Genesis
from protocol.ledger.state import State
from protocol.typed_data import Domain


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an event stands in the ledger; `new` is False if it stood there before."""

    height: int
    hash: str
    new: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """The first thing wrong with a ledger.

    Attributes
    ----------
    height : int
        Of the first record that cannot be trusted.
    text : str
    """

    height: int
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a ledger from its genesis found.

    Attributes
    ----------
    records : int
        Records proven, the genesis included.
    head : str
        Hash of the last proven record; empty if there is none.
    state_digest : str
        Digest of the state there (:func:`protocol.ledger.digest.state_digest`).
    damage : Damage or None
        None if everything holds.
    """

    records: int
    head: str
    state_digest: str
    damage: Damage | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.damage is None


class Ledger(Protocol):
    """An append-only, hash-linked log of signed events with one state machine.

    Guarantees: a receipt means that the record is on the disk and stays; any number of processes append at once and all see one
    order; readers see whole records only; what is returned never changes later. One object may be used by several threads.
    """

    @property
    def genesis(self) -> Genesis:
        """What the ledger starts from."""

    @property
    def domain(self) -> Domain:
        """Where signatures for this ledger are valid."""

    def append(self, event: SignedEvent) -> Receipt:
        """Check an event against all rules and record it; recording the same signed event again returns the first receipt.

        Raises
        ------
        LedgerRefusal
            A rule refuses it (NonceError: its nonce is not the next one); nothing has changed.
        ConfigError, DataError
            The ledger cannot be written or is damaged; nothing has changed.
        """

    def state(self, height: int | None = None) -> State:
        """Return the state after the record at `height` (the last one if None), the caller's own copy.

        Raises
        ------
        DataError
            No record has this height.
        """

    def now(self) -> State:
        """Return the state at the clock's time, the caller's own copy: the last record's, and what fell due since."""

    def records(self, start: int = 0) -> Iterator[Record]:
        """Yield the records from height `start` on, the genesis being 0."""

    def record(self, height: int) -> Record:
        """Return one record.

        Raises
        ------
        DataError
            No record has this height.
        """

    def tip(self) -> Record:
        """Return the last record; cheap, for those who wait for news."""

    def source(self, block_hash: str) -> str:
        """Return the text of a submitted module.

        Raises
        ------
        DataError
            No such module was revealed.
        """

    def clock_skew(self) -> int:
        """Return by how many seconds the last record is ahead of this machine's clock; 0 if it is not.

        Windows by time stand still until the clock has caught up; nothing is refused for it.
        """

    def verify(self, expected_head: str | None = None) -> Verification:
        """Recompute everything from the genesis: forms, hashes, links, times, signatures and rules.

        Parameters
        ----------
        expected_head : str, optional
            Hash of a record that was seen in this ledger before. Only with it can a ledger that was cut at the end, or
            written anew, be told from a younger one.
        """

    def close(self) -> None:
        """Let go of files and connections."""
