"""The daemon as a service: loops under supervision, health and metrics over HTTP, word to systemd, an orderly end."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from infra.notify import notify
from protocol.ledger.ledger import Ledger
from validator.daemon import Daemon
from validator.health import Answer, HealthServer, json_answer
from validator.loops import Loop, Supervisor
from validator.metrics import Metrics

#: Silence after which a loop is taken for dead. Judging is silent for as long as a verdict may take.
VOTE_PATIENCE_S = 60.0
JUDGE_PATIENCE_S = 3600.0
#: A clock that is further behind the ledger's last record than this makes windows stand still.
MAX_SKEW_S = 60


def serve(daemon: Daemon, ledger: Ledger, metrics: Metrics, log: logging.Logger, listen: str) -> None:
    """Run the daemon until it is asked to stop (SIGTERM, SIGINT) or cannot go on.

    Raises
    ------
    LongtailError
        What ended it; EquivocationError must not be answered by a restart.
    """
    loops = (
        Loop("vote", daemon.vote, VOTE_PATIENCE_S),
        Loop("judge", daemon.judging, JUDGE_PATIENCE_S),
        Loop("evidence", daemon.evidence, JUDGE_PATIENCE_S),
    )
    supervisor = Supervisor(loops, metrics, log)

    def healthz() -> Answer:
        silent = [loop.name for loop in supervisor.loops if not loop.lives()]
        return json_answer(503 if silent else 200, {"healthy": not silent, "silent": silent})

    def readyz() -> Answer:
        reasons = [f"loop {loop.name} is silent" for loop in supervisor.loops if not loop.lives()]
        reasons += [f"loop {loop.name} fails" for loop in supervisor.loops if loop.failures]
        if not daemon.staked:
            reasons.append("this key has no stake on the ledger")
        if (skew := ledger.clock_skew()) > MAX_SKEW_S:
            reasons.append(f"the ledger is {skew} s ahead of this machine's clock")
        metrics.ready.set(not reasons)
        waiting = {"queue": len(daemon.queue), "cannot_judge": daemon.failed}
        return json_answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons, **waiting})

    def pages() -> Answer:
        return 200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()

    daemon.look()
    server = HealthServer(listen, {"/healthz": healthz, "/readyz": readyz, "/metrics": pages})
    with closing(server), _stopped_by_signals(supervisor, log):
        log.info("validator started", extra={"listen": server.address, "height": daemon.look().height})
        supervisor.start()
        notify("READY=1")
        period = _watchdog_s()
        while not supervisor.wait(period):
            if all(loop.lives() for loop in supervisor.loops):
                notify("WATCHDOG=1")
        notify("STOPPING=1")
        supervisor.join()
    log.info("validator stopped")


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
