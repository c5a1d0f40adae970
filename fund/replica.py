"""A validator's copy of a fund: every HEAD that the fund has made is made again, and signed if it comes out the same.

Nothing of what the fund says is taken on trust but when it acted: the height up to which it read the ledger, the version of
the data and the periods it carried. Models are asked in this machine's own jail, money is divided by this machine's own
arithmetic, and one wei or billionth of difference is a HEAD that is not signed. The copy is a whole fund: who loses the
original goes on from it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fund.charter import Charter
from fund.cycle import make
from fund.feeds import Feeds
from fund.maker import MAX_RETRY_S, POLL_S, QUICK_S, RETRY_S
from fund.metrics import Metrics
from fund.peers import Ask, list_of, signatures_of
from fund.signing import Signing
from fund.store import Store
from protocol.errors import EquivocationError, LongtailError, RefusedError
from protocol.head.head import Head
from protocol.head.prediction import Prediction
from protocol.head.schedule import Period, Turn
from protocol.head.wire import fields_of
from protocol.ledger.ledger import Ledger

#: How far a HEAD may be ahead of this machine's clock, seconds.
MAX_AHEAD_S = 60


@dataclass(slots=True)
class Replica:
    """Follows a fund with one validator's key.

    Attributes
    ----------
    store : Store
        Of the copy.
    ledger : Ledger
    feeds : Feeds
    charter : Charter
        The fund's, which this validator has agreed to by topics of its own home.
    signing : Signing
    ask : callable
    clock : callable
        The network's time, Unix seconds.
    log : logging.Logger
    metrics : Metrics
    trouble : str
        Why the next HEAD is not signed; empty if nothing is in the way.
    """

    store: Store
    ledger: Ledger
    feeds: Feeds
    charter: Charter
    signing: Signing
    ask: Ask
    clock: Callable[[], float]
    log: logging.Logger
    metrics: Metrics = field(default_factory=Metrics)
    trouble: str = ""
    _retry_s: float = RETRY_S

    def work(self) -> float:
        """Make again what the fund has made since; return the seconds to wait.

        Raises
        ------
        EquivocationError
            The key is in use elsewhere.
        """
        try:
            made = self._follow()
        except EquivocationError:
            raise
        except LongtailError as error:
            if str(error) != self.trouble:
                self.log.warning("not signed", extra={"error": str(error)})
            self.trouble = str(error)
            pause, self._retry_s = self._retry_s, min(2 * self._retry_s, MAX_RETRY_S)
            return pause
        self.trouble, self._retry_s = "", RETRY_S
        return 0.0 if made else QUICK_S if self.charter.simulated else POLL_S

    def reasons(self) -> list[str]:
        """Return why HEADs are not signed just now."""
        found = [self.trouble] if self.trouble else []
        if self.signing.key.address not in self.ledger.state().validators:
            found.append(f"key {self.signing.key.address} has no stake on the ledger, so its signature does not count")
        return found

    def _follow(self) -> int:
        latest = self.store.latest()
        after = str(latest.period if latest else -1)
        self.signing.refuse_foreign(signatures_of(self.ask("/v1/signatures", {"after": after})))
        if latest and all(
            one.validator != self.signing.key.address for one in self.store.signatures(latest.period)
        ):  # killed between commit and signature
            self._sign(self.store.head(latest.period), self.store.predictions(latest.period))
        given = list_of(self.ask("/v1/heads", {"after": after}), "heads")
        for one in given:
            values = fields_of(one, "a HEAD and what it carries", ("head", "carried"))
            self._check(Head.from_json(str(values["head"])), values["carried"])
        return len(given)

    def _check(self, head: Head, carried: object) -> None:
        """Make a HEAD again and sign it.

        Raises
        ------
        RefusedError
            It is of the future, carries periods though the network is live, or comes out different here.
        DataError
            Ledger or data are not as far here.
        """
        if type(carried) is not int or not 0 <= carried <= head.period or (carried and not self.charter.simulated):
            raise RefusedError(f"HEAD {head.period} carries {carried!r:.40} periods, which this network does not allow")
        if Period(head.period).start > self.clock() + MAX_AHEAD_S:
            raise RefusedError(f"HEAD {head.period} is of the future: the clock says {int(self.clock())}")
        state = self.ledger.state(head.height)
        if state.head != head.ledger:
            raise RefusedError(
                f"HEAD {head.period} read record {head.ledger} at height {head.height}, here it is {state.head}"
            )
        due = Turn(Period(head.period), range(0), range(head.period - carried, head.period))
        step = make(
            self.store,
            state,
            due,
            self.feeds.at(head.data_root),
            source=self.ledger.source,
            policy=self.charter.policy(),
        )
        if step.head != head:
            ours, theirs = step.head.to_dict(), head.to_dict()
            odd = next(name for name in ours if ours[name] != theirs[name])
            raise RefusedError(
                f"HEAD {head.period} has {odd} = {theirs[odd]!s:.80}, made here it is {ours[odd]!s:.80}; not signed"
            )
        self.store.commit(step)
        self.metrics.heads.inc()
        self.metrics.period.set(head.period)
        self._sign(head, step.predictions)

    def _sign(self, head: Head, predictions: Sequence[Prediction]) -> None:
        self.store.sign([self.signing.sign(head, predictions)])
        self.metrics.signatures.inc()
        self.log.info("signed", extra={"period": head.period, "head": head.hash[:16]})
