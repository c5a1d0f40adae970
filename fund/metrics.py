"""What a fund's daemon counts. Names and meanings are listed in docs/operator.md, which a test compares."""

from __future__ import annotations

from infra import metrics

PREFIX = "longtail_fund_"


class Metrics(metrics.Metrics):
    """Counters and gauges of ``ltfund run`` and ``ltfund sign``."""

    def __init__(self) -> None:
        super().__init__(PREFIX)
        self.period = self.gauge("head_period", "Period of the newest HEAD here.")
        self.waiting = self.gauge("heads_waiting", "HEADs here that are not stamped on the ledger.")
        self.heads = self.counter("heads", "HEADs made, or made again and found the same.")
        self.signatures = self.counter("signatures", "Signatures given or gathered.")
