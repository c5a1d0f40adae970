"""A daemon as a service: loops under supervision, health and metrics over HTTP, word to systemd, an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.health import Answer, HealthServer, Page, Query, json_answer
from infra.loops import Loop, Supervisor
from infra.metrics import Metrics
from infra.notify import notify


@dataclass(frozen=True, slots=True)
class Service:
    """A daemon.

    Attributes
    ----------
    name : str
        As its log calls it.
    loops : sequence of Loop
    reasons : callable
        Why it cannot do its work just now, besides loops that are silent or fail.
    facts : callable
        What else ``/readyz`` tells.
    pages : mapping of path to page
        Further pages to answer.
    """

    name: str
    loops: Sequence[Loop]
    reasons: Callable[[], list[str]]
    facts: Callable[[], Mapping[str, Any]]
    pages: Mapping[str, Page] = field(default_factory=dict)


def serve(service: Service, metrics: Metrics, log: logging.Logger, listen: str) -> None:
    """Run a daemon until it is asked to stop (SIGTERM, SIGINT) or cannot go on.

    Raises
    ------
    LongtailError
        What ended it; EquivocationError must not be answered by a restart.
    """
    supervisor = Supervisor(service.loops, metrics, log)

    def healthz(_: Query) -> Answer:
        silent = [loop.name for loop in supervisor.loops if not loop.lives()]
        return json_answer(503 if silent else 200, {"healthy": not silent, "silent": silent})

    def readyz(_: Query) -> Answer:
        reasons = [f"loop {loop.name} is silent" for loop in supervisor.loops if not loop.lives()]
        reasons += [f"loop {loop.name} fails" for loop in supervisor.loops if loop.failures]
        reasons += service.reasons()
        metrics.ready.set(not reasons)
        return json_answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons, **service.facts()})

    def counted(_: Query) -> Answer:
        return 200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()

    pages = {**service.pages, "/healthz": healthz, "/readyz": readyz, "/metrics": counted}
    # Signals first: whoever has had an answer from the server may ask for an orderly end.
    with _stopped_by_signals(supervisor, log), closing(HealthServer(listen, pages)) as server:
        log.info(f"{service.name} started", extra={"listen": server.address})
        supervisor.start()
        notify("READY=1")
        period = _watchdog_s()
        while not supervisor.wait(period):
            if all(loop.lives() for loop in supervisor.loops):
                notify("WATCHDOG=1")
        notify("STOPPING=1")
        supervisor.join()
    log.info(f"{service.name} stopped")


def _watchdog_s() -> float:
    """Return how often systemd wants a sign of life: half of its patience, or a second where nobody asks."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return max(int(microseconds) / 2e6, 0.1) if microseconds.isdecimal() else 1.0


@contextmanager
def _stopped_by_signals(supervisor: Supervisor, log: logging.Logger) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT end the loops after their present step, and the second one end the process."""

    def stop(number: int, _frame: object) -> None:
        if supervisor.stopping:
            raise KeyboardInterrupt
        log.info("stopping after the present step", extra={"signal": signal.Signals(number).name, "at": time.time()})
        supervisor.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
