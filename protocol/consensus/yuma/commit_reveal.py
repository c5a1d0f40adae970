"""Weight commit-reveal: weights stay hidden until copying them is late, and belong to one validator and one epoch.

A validator commits in one epoch and reveals in the epoch `delay` later, at no other time. The commitment is the ledger's own
(:func:`protocol.ledger.commitments.report_commitment`) about the subject ``weights:DOMAIN:EPOCH``: domain, epoch, author and
salt are inside the hash, so a copied one opens for nobody but its author. A copy is not refused when it is committed,
because whoever sees a commitment on its way could then block it by getting there first.

What follows when somebody does not reveal: from the end of the window on, its older weights are void too and its stake has no
say, until it reveals weights again. Otherwise a validator could wait for what others reveal and choose between its rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocol.addresses import checksum_address
from protocol.consensus.yuma.split import amounts, whole
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.ledger.commitments import report_commitment, report_hash

#: A row's largest weight; revealed weights are whole parts of it, so that a row has one spelling.
MAX_WEIGHT = 65_535

#: Every refusal and what it says.
CODES: Mapping[str, str] = MappingProxyType(
    {
        "malformed": "weights, salt, commitment or block are badly spelled or out of range",
        "out-of-order": "the block is before the last one seen",
        "already-committed": "the author has committed in this epoch",
        "not-committed": "the author has not committed in that epoch",
        "already-revealed": "the author has revealed the weights of that epoch",
        "too-early": "the window for revealing has not begun",
        "too-late": "the window for revealing is over",
        "copied": "the commitment is another author's, which alone can open it",
        "wrong-opening": "weights, salt, author and epoch do not open the commitment",
    }
)

_HASH = re.compile(r"[0-9a-f]{64}\Z")


class CommitRevealError(RefusedError):
    """A commitment or its opening is refused; nothing has changed.

    Attributes
    ----------
    code : str
        One of :data:`CODES`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to commit and reveal, in blocks; epoch e is the blocks from ``e epoch_blocks`` to before ``(e + 1) epoch_blocks``.

    Attributes
    ----------
    epoch_blocks : int
    delay : int
        Epochs from commitment to reveal, at least 1; how late a copier is.
    cutoff : int
        A validator whose weights in force were committed more than so many blocks ago has no say.
    """

    epoch_blocks: int = 360
    delay: int = 1
    cutoff: int = 5_000

    def __post_init__(self) -> None:
        for name in ("epoch_blocks", "delay", "cutoff"):
            if whole(getattr(self, name), name) == 0:
                raise ConfigError(f"{name} of a commit-reveal schedule is 0; give at least 1")

    def window(self, epoch: int) -> range:
        """Return the blocks in which the weights committed in `epoch` may be revealed."""
        start = (epoch + self.delay) * self.epoch_blocks
        return range(start, start + self.epoch_blocks)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What one validator committed to in one epoch.

    Attributes
    ----------
    author : str
        EIP-55 address.
    epoch, block : int
    digest : str
        See :func:`commitment_of`.
    weights : mapping of miner id to whole weight, or None
        None until revealed.
    """

    author: str
    epoch: int
    block: int
    digest: str
    weights: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The weights in force at a block, for :func:`protocol.consensus.yuma.epoch.run_epoch`.

    Attributes
    ----------
    weights : (V, M) float64
        As revealed, not normalised; a row is 0 for a validator without weights in force.
    committed_at : (V,) int64
        Block at which they were committed; -1 without any.
    active : (V,) bool
        Whether the validator's stake has a say.
    """

    weights: NDArray[np.float64]
    committed_at: NDArray[np.int64]
    active: NDArray[np.bool_]


def quantised(weights: ArrayLike) -> dict[int, int]:
    """Return a row of weights as whole parts, its largest :data:`MAX_WEIGHT`; miners who round to 0 are left out.

    Parameters
    ----------
    weights : (M,) float
        Finite, not negative, any scale.

    Raises
    ------
    DataError
        They are not.
    """
    row = amounts(weights, "weights")
    largest = row.max(initial=0.0)
    parts = np.rint(row / largest * MAX_WEIGHT) if largest > 0 else row
    return {place: int(part) for place, part in enumerate(parts) if part > 0}


def commitment_of(domain: str, author: str, epoch: int, weights: Mapping[int, int], salt: str) -> str:
    """Return the commitment to a row of weights, 64 hex digits.

    Parameters
    ----------
    domain : str
        The ledger and topic it is for.
    author : str
        Address of the validator that alone can open it.
    epoch : int
        In which it is committed.
    weights : mapping of miner id to weight
        Whole, 0 to :data:`MAX_WEIGHT`; a miner with 0 is the same as one left out.
    salt : str
        64 hex digits, never used before: without it, guessed weights could be tried out.

    Raises
    ------
    CommitRevealError
        ``malformed``.
    """
    if not isinstance(salt, str) or not _HASH.match(salt):
        raise CommitRevealError("malformed", f"salt {salt!r:.80} is not 64 lower-case hex digits")
    row = {str(miner): weight for miner, weight in _checked(weights).items()}
    return report_commitment(f"weights:{domain}:{_block(epoch, 'epoch')}", _address(author), salt, report_hash(row))


@dataclass(frozen=True, slots=True)
class Book:
    """The commitments of one domain; a value: commit and reveal return a new one.

    Attributes
    ----------
    domain : str
    schedule : Schedule
    block : int
        The last one seen.
    commitments : mapping of (author, epoch) to Commitment
    """

    domain: str
    schedule: Schedule = field(default_factory=Schedule)
    block: int = 0
    commitments: Mapping[tuple[str, int], Commitment] = field(default_factory=dict)

    def commit(self, block: int, author: str, digest: str) -> Book:
        """Return the book after `author` has committed at `block`; one commitment per epoch.

        Raises
        ------
        CommitRevealError
            ``malformed``, ``out-of-order``, ``already-committed``.
        """
        self._in_order(block)
        author, epoch = _address(author), block // self.schedule.epoch_blocks
        if not isinstance(digest, str) or not _HASH.match(digest):
            raise CommitRevealError("malformed", f"commitment {digest!r:.80} is not 64 lower-case hex digits")
        if (author, epoch) in self.commitments:
            raise CommitRevealError(
                "already-committed", f"{author} has committed in epoch {epoch}; wait for the next one"
            )
        return self._with(block, Commitment(author, epoch, block, digest))

    def reveal(self, block: int, author: str, epoch: int, weights: Mapping[int, int], salt: str) -> Book:
        """Return the book after `author` has revealed at `block` what it committed to in `epoch`.

        Raises
        ------
        CommitRevealError
            ``malformed``, ``out-of-order``, ``not-committed``, ``already-revealed``, ``too-early``, ``too-late``, ``copied``,
            ``wrong-opening``.
        """
        self._in_order(block)
        author = _address(author)
        held = self.commitments.get((author, _block(epoch, "epoch")))
        if held is None:
            raise CommitRevealError(
                "not-committed", f"{author} has not committed in epoch {epoch}; there is nothing to reveal"
            )
        if held.weights is not None:
            raise CommitRevealError(
                "already-revealed", f"{author} has revealed epoch {epoch}; weights are revealed once"
            )
        window = self.schedule.window(epoch)
        if block not in window:
            code, word = ("too-early", "opens") if block < window.start else ("too-late", "closed")
            edge = window.start if block < window.start else window.stop
            raise CommitRevealError(code, f"block {block}: the window for epoch {epoch} {word} at block {edge}")
        if commitment_of(self.domain, author, epoch, weights, salt) != held.digest:
            others = [other.author for other in self.commitments.values() if other.digest == held.digest]
            copied = sorted(set(others) - {author})
            if copied:
                raise CommitRevealError(
                    "copied", f"{author} committed what {copied[0]} did; only that author can open it"
                )
            raise CommitRevealError(
                "wrong-opening",
                f"weights and salt do not open the commitment of {author} in epoch {epoch}; send what was hashed",
            )
        return self._with(block, replace(held, weights=MappingProxyType(_checked(weights))))

    def overdue(self, block: int) -> tuple[Commitment, ...]:
        """Return the commitments never revealed whose window is over at `block`, oldest first."""
        late = [
            c for c in self.commitments.values() if c.weights is None and block >= self.schedule.window(c.epoch).stop
        ]
        return tuple(sorted(late, key=lambda commitment: (commitment.epoch, commitment.author)))

    def rows(self, block: int, authors: Sequence[str], miners: int) -> Rows:
        """Return the weights in force at `block`, from what was revealed by then.

        A validator's newest revealed row is in force. Its stake has a say unless there is none, it was committed before the
        cutoff, or a newer commitment is overdue, which voids the row.

        Parameters
        ----------
        block : int
            Not before the last one seen.
        authors : sequence of V addresses
        miners : int
            Their ids are 0 to M - 1; weights on others count as nothing.

        Raises
        ------
        CommitRevealError
            ``malformed``, ``out-of-order``.
        """
        self._in_order(block)
        weights = np.zeros((len(authors), _block(miners, "miners")))
        committed_at = np.full(len(authors), -1, dtype=np.int64)
        newest: dict[str, Commitment] = {}
        for commitment in sorted((*self.commitments.values(),), key=lambda c: c.epoch):
            if commitment.weights is not None or block >= self.schedule.window(commitment.epoch).stop:
                newest[commitment.author] = commitment
        for place, author in enumerate(map(_address, authors)):
            found = newest.get(author)
            if found is None or found.weights is None:
                continue
            committed_at[place] = found.block
            for miner, weight in found.weights.items():
                if miner < miners:
                    weights[place, miner] = weight
        return Rows(weights, committed_at, (committed_at >= 0) & (block - committed_at <= self.schedule.cutoff))

    def _with(self, block: int, commitment: Commitment) -> Book:
        changed = {**self.commitments, (commitment.author, commitment.epoch): commitment}
        return replace(self, block=block, commitments=MappingProxyType(changed))

    def _in_order(self, block: int) -> None:
        if _block(block, "block") < self.block:
            raise CommitRevealError("out-of-order", f"block {block} is before {self.block}, the last one seen")


def standing(committed_at: ArrayLike, registered_at: ArrayLike) -> NDArray[np.bool_]:
    """Return the mask of weights (or bonds) that still mean the miner they were given to.

    When a miner's id is handed to a newcomer between commitment and reveal, the newcomer would inherit the weight; so what was
    committed before the registration, or in its block, does not count. Rows are normalised after masking, by
    :func:`protocol.consensus.yuma.consensus.weight_shares` or in ``run_epoch(mask=...)``.

    Parameters
    ----------
    committed_at : (V,) int
        Block at which each row was committed, not revealed; see :class:`Rows`.
    registered_at : (M,) int
        Block of the last registration of each miner's id.

    Returns
    -------
    (V, M) bool

    Raises
    ------
    DataError
        They are not vectors of whole numbers.
    """
    return _blocks(committed_at, "committed_at")[:, None] > _blocks(registered_at, "registered_at")[None, :]


def recently_registered(registered_at: ArrayLike, last_epoch_block: int) -> NDArray[np.bool_]:
    """Return (M,) bool, True for miner ids that changed hands since the last epoch, so that bonds with them are void."""
    return _blocks(registered_at, "registered_at") >= last_epoch_block


def _blocks(values: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DataError(f"{name} is {array.dtype} of shape {array.shape}; give one whole block number each")
    return array.astype(np.int64)


def _checked(weights: Mapping[int, int]) -> dict[int, int]:
    if not isinstance(weights, Mapping):
        raise CommitRevealError("malformed", f"weights {weights!r:.80} are no mapping from miner id to whole weight")
    for miner, weight in weights.items():
        if type(miner) is not int or miner < 0 or type(weight) is not int or not 0 <= weight <= MAX_WEIGHT:
            raise CommitRevealError(
                "malformed", f"weight {weight!r:.40} on miner {miner!r:.40}: give whole 0 to {MAX_WEIGHT}"
            )
    return {miner: weights[miner] for miner in sorted(weights) if weights[miner]}


def _block(value: int, name: str) -> int:
    try:
        return whole(value, name)
    except DataError as error:
        raise CommitRevealError("malformed", str(error)) from error


def _address(author: str) -> str:
    try:
        return checksum_address(author)
    except RefusedError as error:
        raise CommitRevealError("malformed", str(error)) from error
