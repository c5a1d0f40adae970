"""Signing HEADs with a validator's key: what is signed is on the disk before, and of a period only one HEAD ever is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from protocol.errors import EquivocationError
from protocol.head.head import Head
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature, sign_head
from protocol.keys import Key
from protocol.ledger.values import Values
from protocol.typed_data import Domain
from validator.guard import Guard

#: Folder of these guards below that of the reports' guards, which another process holds.
FOLDER = "heads"


@dataclass(frozen=True, slots=True)
class Signing:
    """A validator's key for HEADs.

    Attributes
    ----------
    key : Key
    domain : Domain
        Of the ledger.
    guard : Guard
        Of this key and ledger, in :data:`FOLDER` of the home's guards.
    values : bool
        Whether the values of a HEAD's predictions are signed too, for a chain.
    """

    key: Key
    domain: Domain
    guard: Guard
    values: bool = False

    def sign(self, head: Head, predictions: Sequence[Prediction] = ()) -> HeadSignature:
        """Return the signature of a HEAD; the same one when it is signed again.

        Parameters
        ----------
        head : Head
        predictions : sequence of Prediction
            All of the HEAD; only looked at where values are signed. Where there are none, there is nothing to sign of them.

        Raises
        ------
        EquivocationError
            The key is bound to another HEAD of the period.
        ConfigError
            The guard cannot be written; nothing was signed.
        RefusedError
            The predictions are not the HEAD's; nothing was signed.
        """
        values = Values.of(head, predictions) if self.values and head.prediction_count else None
        bound = self.guard.bind(f"head:{head.period}", 1, {"head": head.hash})
        self._refuse(head.period, head.hash, str(bound.report["head"]))
        signed = sign_head(self.key, self.domain, head)
        return replace(signed, values=values.sign(self.key, self.domain)) if values else signed

    def refuse_foreign(self, signatures: Iterable[HeadSignature]) -> None:
        """Make sure that what others show in this key's name was signed here.

        Raises
        ------
        EquivocationError
            A genuine signature was not: the key is in use elsewhere, or the guard was lost.
        """
        for one in signatures:
            if one.validator == self.key.address and one.genuine(self.domain):
                bound = self.guard.bound(f"head:{one.period}", 1)
                self._refuse(one.period, one.head, str(bound.report["head"]) if bound else "none")

    def _refuse(self, period: int, head: str, known: str) -> None:
        if head != known:
            raise EquivocationError(
                f"key {self.key.address} and HEAD {head[:16]} of period {period}: the guard {self.guard.path} knows of "
                f"{known[:16]}; the key is in use elsewhere or the guard was lost; stop the other one, or register a new key"
            )
