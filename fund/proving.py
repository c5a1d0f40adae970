"""What a HEAD says, as a document that a stranger can check with the ledger alone; and the check.

A **statement** is a JSON object of ``head`` (its canonical text), ``signatures`` (objects of period, head, validator and
signature) and either ``predictions``, all that the HEAD stands for, or ``proofs``, objects of one ``prediction`` and its
``proof`` each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from fund.step import root_of
from protocol.errors import DataError, RefusedError
from protocol.head.head import Head, prove_prediction
from protocol.head.merkle import Proof
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature, Quorum, count
from protocol.head.wire import fields_of, list_of
from protocol.ledger.ledger import Ledger
from protocol.ledger.rules import advance
from protocol.ledger.values import stamp_quorum

#: A thousand symbols by twenty models each.
MAX_STATEMENT_BYTES = 2**24
_PROVEN = ("prediction", "proof")


class Which(NamedTuple):
    """Which predictions are meant; None: any."""

    symbol: str | None = None
    topic: str | None = None
    broker: str | None = None

    def of(self, predictions: Sequence[Prediction]) -> tuple[Prediction, ...]:
        """Return those that are meant."""
        wanted = {name: value for name, value in self._asdict().items() if value is not None}
        return tuple(one for one in predictions if all(getattr(one, name) == value for name, value in wanted.items()))

    def __str__(self) -> str:
        """Return it in words."""
        return ", ".join(f"{name} {value!r:.80}" for name, value in self._asdict().items() if value is not None)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a HEAD says; see the module's docstring. It may be false until :meth:`check` passes.

    Attributes
    ----------
    head : Head
    signatures : tuple of HeadSignature
    proofs : tuple of (Prediction, Proof)
    predictions : tuple of Prediction or None
        All of the HEAD, without proofs; None: it shows some only.
    """

    head: Head
    signatures: tuple[HeadSignature, ...] = ()
    proofs: tuple[tuple[Prediction, Proof], ...] = ()
    predictions: tuple[Prediction, ...] | None = None

    @classmethod
    def proving(
        cls,
        head: Head,
        signatures: Sequence[HeadSignature],
        predictions: Sequence[Prediction],
        some: Sequence[Prediction],
    ) -> Self:
        """Return the statement that shows `some` of a HEAD's `predictions`, each with its proof."""
        return cls(head, tuple(signatures), tuple((one, prove_prediction(predictions, one)) for one in some))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        document: dict[str, Any] = {
            "head": self.head.text,
            "signatures": [one.to_dict() for one in self.signatures],
        }
        if self.predictions is not None:
            return {**document, "predictions": [one.to_dict() for one in self.predictions]}
        shown = [{"prediction": one.to_dict(), "proof": proof.to_dict()} for one, proof in self.proofs]
        return {**document, "proofs": shown}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a statement that a stranger wrote, in any spelling of JSON.

        Raises
        ------
        RefusedError
            It is none, is too long, or a value does not fit.
        """
        if len(text) > MAX_STATEMENT_BYTES:
            raise RefusedError(f"the statement has {len(text)} bytes; at most {MAX_STATEMENT_BYTES} are taken")
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RefusedError(f"the statement is no JSON: {str(error)[:200]}; fetch it again") from error
        whole = isinstance(raw, dict) and "predictions" in raw
        body = "predictions" if whole else "proofs"
        values = fields_of(raw, "a statement", ("head", "signatures", body))
        if not isinstance(values["head"], str):
            raise RefusedError(f"head of a statement is {values['head']!r:.80}; give the HEAD's canonical text")
        head = Head.from_json(values["head"])
        signed = [
            HeadSignature.from_dict(one) for one in list_of(values["signatures"], "the signatures of a statement")
        ]
        shown = list_of(values[body], f"the {body} of a statement")
        if whole:
            return cls(head, tuple(signed), predictions=tuple(Prediction.from_dict(one) for one in shown))
        pairs = [fields_of(one, "a proven prediction", _PROVEN) for one in shown]
        proofs = ((Prediction.from_dict(one["prediction"]), Proof.from_dict(one["proof"])) for one in pairs)
        return cls(head, tuple(signed), tuple(proofs))

    def check(self) -> int:
        """Check that the HEAD says it; return how many predictions are proven.

        Raises
        ------
        RefusedError
            It does not.
        """
        if self.predictions is None:
            if not self.proofs:
                raise RefusedError(
                    f"the statement on HEAD {self.head.period} shows no prediction; fetch it for a symbol"
                )
            for prediction, proof in self.proofs:
                self.head.check_prediction(prediction, proof)
            return len(self.proofs)
        if (found := (root_of(self.predictions), len(self.predictions))) != (
            self.head.predictions_root,
            self.head.prediction_count,
        ):
            raise RefusedError(
                f"the {found[1]} predictions have the root {found[0]}; HEAD {self.head.period} stands for others"
            )
        return found[1]


class Stamped(NamedTuple):
    """A HEAD on the ledger: height and Unix time of the record, and its quorum at that time, by what was signed there."""

    height: int
    time: int
    head: Head
    quorum: Quorum


def check_read(ledger: Ledger, head: Head) -> None:
    """Check that a HEAD has read this ledger.

    Raises
    ------
    RefusedError
        It has read another one, or this one is older.
    """
    try:
        record = ledger.record(head.height)
    except DataError as error:
        raise RefusedError(f"HEAD {head.period} has read what the ledger does not have: {error}") from error
    if record.hash != head.ledger:
        raise RefusedError(
            f"HEAD {head.period} has read {head.ledger} at height {head.height}, where this ledger has {record.hash}; "
            "name the ledger it was made on"
        )


def quorum_of(ledger: Ledger, head: Head, signatures: Sequence[HeadSignature]) -> Quorum:
    """Return how the validators that a HEAD had read stand to it.

    Raises
    ------
    RefusedError
        As for :func:`check_read`.
    """
    check_read(ledger, head)
    state = ledger.state(head.height)
    return count(state.domain, head, signatures, state.validators)


def stamps(ledger: Ledger, start: int = 0) -> Iterator[Stamped]:
    """Yield the HEADs that the ledger has stamped, from a height on."""
    for record in ledger.records(start):
        if record.event.kind != "stamp":
            continue
        head = Head.from_json(record.event.body["head"])
        state = advance(ledger.state(record.height - 1), record.time)
        quorum = stamp_quorum(state.domain, record.event.body, state.validators)
        yield Stamped(record.height, record.time, head, quorum)


def stamp_of(ledger: Ledger, head: Head) -> Stamped | None:
    """Return a HEAD's stamp; None as long as it has none.

    Raises
    ------
    RefusedError
        The ledger has stamped another one of the period, or has gone on without it.
    """
    newest = ledger.state().stamp
    if newest is None or newest.period < head.period:
        return None
    start = newest.height if newest.period == head.period else head.height + 1
    for one in stamps(ledger, start):
        if one.head == head:
            return one
        if one.head.period >= head.period:
            break
    raise RefusedError(
        f"HEAD {head.period} ({head.hash}) is not on the ledger, whose newest is of period {newest.period}; do not rely on it"
    )
