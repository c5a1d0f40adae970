"""What a validator counts. Names and meanings are listed in docs/validator.md, which a test compares."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

PREFIX = "longtail_validator_"
_SECONDS = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1800)


class Metrics:
    """Counters and gauges of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alive = self._gauge("loop_alive_timestamp_seconds", "When a loop last showed that it lives.", "loop")
        self.errors = Counter(
            PREFIX + "loop_errors", "Failures of a loop that it survived.", ["loop"], registry=self.registry
        )
        self.height = self._gauge("ledger_height", "Height of the ledger as last read.")
        self.queue = self._gauge("queue_length", "Subjects that wait for this validator.")
        self.ready = self._gauge("ready", "1 when the validator can judge, else 0.")
        self.stake = self._gauge("stake_ltft", "Stake of this key.")
        self.verdicts = Counter(PREFIX + "verdicts", "Verdicts given.", ["outcome", "reason"], registry=self.registry)
        self.judging = Histogram(
            PREFIX + "judging_seconds", "Wall time of a verdict.", buckets=_SECONDS, registry=self.registry
        )

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, meaning, labels, registry=self.registry)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def names(self) -> tuple[str, ...]:
        """Return the names of all metrics, sorted."""
        return tuple(sorted(family.name for family in self.registry.collect()))
