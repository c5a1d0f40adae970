"""Loops of a daemon: each in a thread of its own, restarted after failures, and watched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from infra.metrics import Metrics
from protocol.errors import EquivocationError, LongtailError

#: Failures in a row after which a loop gives up, and with it the daemon.
MAX_FAILURES = 10
MAX_PAUSE_S = 60.0


@dataclass(slots=True)
class Loop:
    """Work that is repeated.

    Attributes
    ----------
    name : str
    work : callable
        One step; returns the seconds to wait before the next.
    patience_s : float
        A loop that shows no sign of life for longer is taken for dead.
    """

    name: str
    work: Callable[[], float]
    patience_s: float
    alive_at: float = field(default_factory=time.monotonic)
    failures: int = 0

    def lives(self) -> bool:
        """Return whether the loop has shown itself lately."""
        return time.monotonic() - self.alive_at < self.patience_s


class Supervisor:
    """Runs loops until one gives up, one finds that it must not go on, or the daemon is asked to stop.

    Parameters
    ----------
    loops : sequence of Loop
    metrics : Metrics
    log : logging.Logger
    """

    def __init__(self, loops: Sequence[Loop], metrics: Metrics, log: logging.Logger) -> None:
        self.loops = tuple(loops)
        self._metrics = metrics
        self._log = log
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(loop,), name=loop.name) for loop in loops]
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start all loops."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask all loops to end after their present step."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether the loops were asked to end."""
        return self._stopping.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the loops are to end, at most `timeout_s`; return whether they are."""
        return self._stopping.wait(timeout_s)

    def join(self) -> None:
        """Wait for the end of all loops and raise what ended them, if it was an error."""
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def beat(self, name: str) -> None:
        """Note that the loop `name` lives, in the middle of a long step."""
        loop = next(loop for loop in self.loops if loop.name == name)
        loop.alive_at = time.monotonic()
        self._metrics.alive.labels(name).set(time.time())

    def _run(self, loop: Loop) -> None:
        while not self._stopping.is_set():
            self.beat(loop.name)
            try:
                pause = loop.work()
                loop.failures = 0
            except Exception as error:
                if not self._survives(loop, error):
                    return
                pause = min(2.0 ** (loop.failures - 1), MAX_PAUSE_S)
            deadline = time.monotonic() + pause
            while not self._stopping.wait(min(1.0, max(deadline - time.monotonic(), 0.0))):
                self.beat(loop.name)
                if time.monotonic() >= deadline:
                    break

    def _survives(self, loop: Loop, error: Exception) -> bool:
        loop.failures += 1
        self._metrics.errors.labels(loop.name).inc()
        final = isinstance(error, EquivocationError) or loop.failures >= MAX_FAILURES
        facts = {"loop": loop.name, "error": f"{type(error).__name__}: {error}", "failures": loop.failures}
        # A defect shows where it is; what was raised on purpose says it in words.
        self._log.error("loop failed", extra=facts, exc_info=None if isinstance(error, LongtailError) else error)
        if final:
            self.failure = error
            self._stopping.set()
        return not final
