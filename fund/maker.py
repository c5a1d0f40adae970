"""Making HEADs, period after period: what is due is made, committed, signed and carried to the ledger.

One step of :meth:`Maker.work` does what can be done now and says when to come again. Everything between two commits may
be lost and is done again with the same result. Whatever is in the way (data that are late, a ledger that is locked, a jail
that cannot be had) is told and tried again; nothing of that ends the maker, and no period is made up for later.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from fund.charter import Charter
from fund.clock import Clock
from fund.courier import Courier
from fund.cycle import make
from fund.feeds import Feeds
from fund.metrics import Metrics
from fund.signing import Signing
from fund.step import Step
from fund.store import Store
from protocol.errors import EquivocationError, LongtailError
from protocol.head.schedule import Period
from protocol.ledger.ledger import Ledger

#: Seconds between looks, live and in a simulation.
POLL_S, QUICK_S = 1.0, 0.05
#: Between attempts at what fails, seconds; doubled each time up to the second.
RETRY_S, MAX_RETRY_S = 1.0, 60.0
#: In a simulation the clock stands while more HEADs than this wait for their quorum, but not longer than the seconds.
MAX_WAITING, PATIENCE_S = 8, 60.0


@dataclass(slots=True)
class Maker:
    """Makes the HEADs of one fund; its store is open for writing, so there is no second one.

    Attributes
    ----------
    store : Store
    ledger : Ledger
    clock : Clock
    feeds : Feeds
    charter : Charter
    courier : Courier
    log : logging.Logger
    signing : Signing or None
        A validator's key of the same home, which signs what is made here; None: only others sign.
    metrics : Metrics
    trouble, unstamped : str
        Why no HEAD was made, and why none was stamped, at the last step; empty if nothing was in the way.
    made : int
        HEADs made since the start.
    over : bool
        Whether a replay has come to its end.
    """

    store: Store
    ledger: Ledger
    clock: Clock
    feeds: Feeds
    charter: Charter
    courier: Courier
    log: logging.Logger
    signing: Signing | None = None
    metrics: Metrics = field(default_factory=Metrics)
    trouble: str = ""
    unstamped: str = ""
    made: int = 0
    over: bool = False
    _retry_s: float = RETRY_S
    _stood: float | None = None  # since when a simulation waits for signatures, monotonic

    def work(self) -> float:
        """Do what can be done now; return the seconds to wait.

        Raises
        ------
        EquivocationError
            The signing key is in use elsewhere.
        """
        try:
            pause = self.turn()
        except EquivocationError:
            raise
        except LongtailError as error:
            return self._failed(error)
        self.trouble, self._retry_s = "", RETRY_S
        return pause

    def reasons(self) -> list[str]:
        """Return why HEADs are not made or not stamped just now."""
        found = [one for one in (self.trouble, self.unstamped) if one]
        latest = self.store.latest()
        if latest and not self.charter.simulated:
            behind = latest.period - Period.at(int(self.clock.time())).number
            age = Period(latest.period).age(int(self.clock.time()))
            if behind > 0:
                found.append(f"the clock is {-age} s before the last HEAD; set it right, or wait")
            elif Period(latest.period).stale(int(self.clock.time())):
                found.append(f"the last HEAD is {age} s old")
        return found

    def settle(self) -> int:
        """Sign what this home's validator has not signed, stamp what has a quorum; return how many HEADs wait for one."""
        if self.signing is not None:
            self._sign(self.signing)
        return self._carried()

    def turn(self) -> float:
        """As :meth:`work`, but whatever is in the way is raised."""
        latest = self.store.latest()
        last = Period(latest.period) if latest else None
        if self._stands(self.settle()):
            return QUICK_S
        pause = self.clock.pause(last)
        if pause > 0:
            return min(pause, POLL_S)
        due = self.clock.due(last)
        if due is None:
            self._end()
            return POLL_S
        if due.period is None:
            return POLL_S
        step = make(
            self.store,
            self.ledger.state(),
            due,
            self.feeds.newest(),
            source=self.ledger.source,
            policy=self.charter.policy(),
        )
        self.store.commit(step)
        self.made += 1
        self._tell(step, len(due.missed))
        return 0.0

    def _sign(self, signing: Signing) -> None:
        """Sign what this key has not signed yet: the newest step, and after a kill perhaps others."""
        for entry in self.courier.waiting(self.ledger.state()):
            signatures = self.store.signatures(entry.period)
            if all(one.validator != signing.key.address for one in signatures):
                head, said = self.store.head(entry.period), self.store.predictions(entry.period)
                self.store.sign([signing.sign(head, said)])
                self.metrics.signatures.inc()

    def _carried(self) -> int:
        """Carry to the ledger what has a quorum; return how many HEADs wait. A ledger that refuses does not stop the HEADs."""
        try:
            if stamped := self.courier.carry():
                self.log.info("stamped", extra={"heads": stamped})
            self.unstamped = ""
        except LongtailError as error:
            if str(error) != self.unstamped:
                self.log.warning("cannot stamp", extra={"error": str(error)})
            self.unstamped = str(error)
        waiting = len(self.courier.waiting(self.ledger.state()))
        self.metrics.waiting.set(waiting)
        return waiting

    def _stands(self, waiting: int) -> bool:
        """Return whether the clock of a simulation is to stand still, so that validators come after."""
        if not self.charter.simulated or waiting <= MAX_WAITING:
            self._stood = None
            return False
        self._stood = self._stood if self._stood is not None else time.monotonic()
        return time.monotonic() - self._stood < PATIENCE_S

    def _tell(self, step: Step, missed: int) -> None:
        head = step.head
        models = sum(len(topic.models) for topic in head.topics)
        facts = {"period": head.period, "head": head.hash[:16], "models": models, "predictions": head.prediction_count}
        facts |= {"missed": missed} if missed else {}
        self.log.info("HEAD made", extra=facts)
        for alert in step.documents.get("alerts", ()):
            self.log.warning(alert["code"], extra={"topic": alert["topic"], "text": alert["text"]})
        self.metrics.heads.inc()
        self.metrics.period.set(head.period)

    def _end(self) -> None:
        if not self.over:
            self.log.info("the replay is over: no bar is left")
        self.over = True

    def _failed(self, error: LongtailError) -> float:
        if str(error) != self.trouble:
            self.log.warning("no HEAD", extra={"error": str(error), "retry_s": self._retry_s})
        self.trouble = str(error)
        pause, self._retry_s = self._retry_s, min(2 * self._retry_s, MAX_RETRY_S)
        return pause


def bar_times(feeds: Feeds, start: int, end: int) -> list[int]:
    """Return when bars of any topic closed, Unix seconds from `start` to before `end`, for a :class:`ReplayClock`."""
    closes = {
        (opened + feed.quotes.interval) // 1_000_000
        for feed in feeds.newest().feeds
        for opened in feed.quotes.grid.tolist()
    }
    return sorted(one for one in closes if start <= one < end)
