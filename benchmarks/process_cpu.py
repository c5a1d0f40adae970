"""CPU seconds of a whole process tree, the ended ones included, sampled while it runs."""

from __future__ import annotations

import bisect
import contextlib
import threading
import time

import psutil


def tree_cpu(pid: int) -> float:
    """Return user + system CPU seconds of a process, of its living descendants, and of all that these have waited for."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


class CpuClock:
    """Samples the CPU of a process tree in a thread, so that moments can be turned into CPU seconds afterwards.

    The figure never falls: what a process used stays charged although it vanished between two samples.
    """

    def __init__(self, pid: int, period_s: float = 0.25) -> None:
        self.pid, self.period_s = pid, period_s
        self.moments: list[float] = []
        self.seconds: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    @property
    def now(self) -> float:
        """CPU seconds at the last sample."""
        return self.seconds[-1] if self.seconds else 0.0

    def at(self, moment: float) -> float:
        """Return the CPU seconds that had been used at `moment` (``time.time()``)."""
        place = bisect.bisect_left(self.moments, moment)
        return self.seconds[min(place, len(self.seconds) - 1)]

    def stop(self) -> None:
        """Take a last sample and end."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            ended = self._stop.wait(self.period_s)
            self.seconds.append(max(self.now, tree_cpu(self.pid)))
            self.moments.append(time.time())
            if ended:
                return
