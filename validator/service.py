"""The validator as a service: its loops, and why it might not be ready."""

from __future__ import annotations

import logging

from infra import service
from infra.loops import Loop
from protocol.ledger.ledger import Ledger
from validator.daemon import Daemon
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

    def reasons() -> list[str]:
        found = [] if daemon.staked else ["this key has no stake on the ledger"]
        if (skew := ledger.clock_skew()) > MAX_SKEW_S:
            found.append(f"the ledger is {skew} s ahead of this machine's clock")
        return found

    def facts() -> dict[str, object]:
        return {"queue": len(daemon.queue), "cannot_judge": daemon.failed}

    loops = (
        Loop("vote", daemon.vote, VOTE_PATIENCE_S),
        Loop("judge", daemon.judging, JUDGE_PATIENCE_S),
        Loop("evidence", daemon.evidence, JUDGE_PATIENCE_S),
    )
    daemon.look()
    service.serve(service.Service("validator", loops, reasons, facts), metrics, log, listen)
