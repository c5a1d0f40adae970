"""What a validator counts. Names and meanings are listed in docs/validator.md, which a test compares."""

from __future__ import annotations

from prometheus_client import Histogram

from infra import metrics

PREFIX = "longtail_validator_"
_SECONDS = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800)


class Metrics(metrics.Metrics):
    """Counters and gauges of a validator."""

    def __init__(self) -> None:
        super().__init__(PREFIX)
        self.height = self.gauge("ledger_height", "Height of the ledger as last read.")
        self.queue = self.gauge("queue_length", "Subjects that wait for this validator.")
        self.stake = self.gauge("stake_ltft", "Stake of this key.")
        self.verdicts = self.counter("verdicts", "Verdicts given.", "outcome", "reason")
        self.judging = Histogram(
            PREFIX + "judging_seconds", "Wall time of a verdict.", buckets=_SECONDS, registry=self.registry
        )
