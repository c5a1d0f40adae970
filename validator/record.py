"""What a newcomer has to beat, and whom it must not copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from pipelines.identity import near_id, pipeline_id, reseeded, seed_of
from pipelines.parser import block_hash, parse_module
from pipelines.spec import Call, canonical_text
from protocol.errors import RefusedError
from protocol.ledger.ledger import Ledger
from protocol.ledger.texts import TextMissingError
from validator.evaluation import Contender


class Known:
    """A module that was there before.

    Parameters
    ----------
    source : bytes
        The module; its sha256 is its name.

    Raises
    ------
    RefusedError
        It is no pipeline module (any more).
    """

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.block_hash = block_hash(source)
        self.spec = parse_module(source, self.block_hash[:12])
        self.contender = contender_of(self.block_hash, self.spec)

    def shares_identity(self, spec: Call) -> str:
        """Return ``pipeline_id`` or ``near_id``, whichever this module and `spec` have in common; empty for neither.

        Both are computed anew, so that a change of libraries or registry hides no copy.
        """
        for name, identity in (("pipeline_id", pipeline_id), ("near_id", near_id)):
            if identity(self.spec) == identity(spec):
                return name
        return ""


@dataclass(frozen=True, slots=True)
class Record:
    """The public model record of a topic as it stood when a submission was revealed.

    Attributes
    ----------
    models : tuple of Known
        Standing model blocks, screened or crowned, oldest first; the best by generalized score is to be beaten.
    earlier : tuple of Known
        Submissions revealed before and undecided: not to be copied.
    height : int
        Of the ledger; 0 without one.
    """

    models: tuple[Known, ...] = ()
    earlier: tuple[Known, ...] = ()
    height: int = 0

    @property
    def all(self) -> tuple[Known, ...]:
        """Models, then earlier submissions."""
        return self.models + self.earlier


def contender_of(name: str, spec: Call) -> Contender:
    """Return a pipeline as it runs: every seed set from its block hash."""
    seed = seed_of(name)
    return Contender(name, canonical_text(reseeded(spec, seed)), seed)


def record_of(ledger: Ledger, topic: str, height: int | None = None) -> Record:
    """Return the record of a topic as a ledger had it.

    Parameters
    ----------
    ledger : Ledger
    topic : str
        Name.
    height : int, optional
        Of a submission's reveal: what was revealed there and later does not count. Default: now.

    Raises
    ------
    RefusedError
        A recorded module is outside this version's registry: this validator cannot judge the topic.
    LookupError
        No record has this height.
    """
    state = ledger.state(height)
    undecided = sorted(
        (one.height, one.block_hash)
        for one in state.submissions.values()
        if one.topic == topic and one.status == "open" and (height is None or one.height < height)
    )
    return Record(
        models=tuple(Known(ledger.source(block.hash).encode()) for block in state.standing_blocks(topic)),
        earlier=tuple(_parsed(ledger, (name for _, name in undecided))),
        height=state.height,
    )


def _parsed(ledger: Ledger, names: Iterable[str]) -> Iterator[Known]:
    """Yield what can be copied: an undecided submission may be anything, and must not keep the later ones from being judged."""
    for name in names:
        with suppress(RefusedError, TextMissingError):
            yield Known(ledger.source(name).encode())
