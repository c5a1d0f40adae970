"""What every daemon counts; each adds its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """Counters and gauges of one daemon, in a registry of their own.

    Parameters
    ----------
    prefix : str
        Of all names: ``longtail_…_``.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.registry = CollectorRegistry()
        self.alive = self.gauge("loop_alive_timestamp_seconds", "When a loop last showed that it lives.", "loop")
        self.errors = self.counter("loop_errors", "Failures of a loop that it survived.", "loop")
        self.ready = self.gauge("ready", "1 when the daemon can do its work, else 0.")

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Add a gauge."""
        return Gauge(self.prefix + name, meaning, labels, registry=self.registry)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """Add a counter."""
        return Counter(self.prefix + name, meaning, labels, registry=self.registry)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def names(self) -> tuple[str, ...]:
        """Return the names of all metrics, sorted."""
        return tuple(sorted(family.name for family in self.registry.collect()))
