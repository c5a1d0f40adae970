"""Signatures from validators: asked for at their addresses, kept if they are genuine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fund.metrics import Metrics
from fund.store import Store
from protocol.errors import DataError, LongtailError
from protocol.head.quorum import HeadSignature
from protocol.ledger.ledger import Ledger
from protocol.ledger.values import Values
from protocol.typed_data import Domain

#: Asks a peer: path and query to the JSON document it answers.
Ask = Callable[[str, dict[str, str]], Any]


def list_of(raw: object, name: str) -> list[Any]:
    """Return the list under a name in what a peer answered.

    Raises
    ------
    DataError
        There is none.
    """
    found = raw.get(name) if isinstance(raw, dict) else None
    if not isinstance(found, list):
        raise DataError(f"a peer answered {raw!r:.80} where a list of {name} was asked for; look at its version")
    return found


def signatures_of(raw: object) -> list[HeadSignature]:
    """Return the signatures in what a peer answered.

    Raises
    ------
    DataError, RefusedError
        It holds something else.
    """
    return [HeadSignature.from_dict(one) for one in list_of(raw, "signatures")]


@dataclass(slots=True)
class Gathering:
    """Asks validators for their signatures of HEADs that are not stamped.

    Attributes
    ----------
    store : Store
    ledger : Ledger
    peers : sequence of (address, Ask)
    log : logging.Logger
    pause_s : float
        Between two rounds.
    metrics : Metrics
    silent : dict of address to str
        Peers that did not answer the last time, and why.
    """

    store: Store
    ledger: Ledger
    peers: Sequence[tuple[str, Ask]]
    log: logging.Logger
    pause_s: float
    metrics: Metrics
    silent: dict[str, str] = field(default_factory=dict)

    def work(self) -> float:
        """Ask every peer once; return the seconds to wait. A peer that does not answer is told of, and asked again."""
        state = self.ledger.state()
        known = {entry.period for entry in self.store.entries(state.stamp.period + 1 if state.stamp else 0)}
        if known:
            for address, ask in self.peers:
                try:
                    found = signatures_of(ask("/v1/signatures", {"after": str(min(known) - 1)}))
                except LongtailError as error:
                    if address not in self.silent:
                        self.log.warning("no signatures", extra={"peer": address, "error": str(error)})
                    self.silent[address] = str(error)
                    continue
                self.silent.pop(address, None)
                counted = [one for one in found if one.period in known and one.validator in state.validators]
                genuine = [self._kept(one, state.domain) for one in counted if one.genuine(state.domain)]
                self.metrics.signatures.inc(self.store.sign(genuine))
        return self.pause_s

    def _kept(self, one: HeadSignature, domain: Domain) -> HeadSignature:
        """Return what is kept of a signature: that of the values if it is right, since the first one that is kept stays."""
        if not one.values or one in self.store.signatures(one.period):
            return one
        values = Values.of(self.store.head(one.period), self.store.predictions(one.period))
        return one if values.signed(one, domain) else replace(one, values="")
