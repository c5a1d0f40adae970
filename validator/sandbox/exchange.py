"""The talk of the host with one jailed child: rows out, predictions back, deadlines; nothing a child says is believed.

No byte the child sends is parsed: predictions are counted and land in an array as they are, words are kept as printable
ASCII. Every read and write is bounded and never waits, so that a child can stop nobody but itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from protocol.errors import ClusterError, ConfigError
from protocol.rounding import MAX_PREDICTION
from validator.sandbox.job import Job, Replay, Status
from validator.sandbox.task import HEADER_BYTES, MEMORY_CODE, MEMORY_WORDS, MESSAGE_BYTES

#: Bytes of stderr that are kept, and those that end a child.
KEPT_WORDS, MOST_WORDS = 2048, 1 << 20
MAX_REASON = 300
#: Least time between two looks at a child's CPU clock, seconds.
TICK_S = 0.01
PROCESSORS = os.cpu_count() or 1
#: How long the kernel may take to end a killed child before the zygote is taken for dead, seconds.
GRACE_S = 20.0


class ZygoteDiedError(Exception):
    """The zygote ended, or no longer does its part; the job may be run again."""


class Exchange:
    """One job in flight. A context that leaves no file descriptor and no child behind.

    Parameters
    ----------
    control : socket.socket
        To the zygote. An exchange that ends with an exception leaves it out of step: start another zygote then.
    job : Job

    Attributes
    ----------
    unexplained : bool
        The child was killed, neither by the host nor for its CPU time.
    """

    def __init__(self, control: socket.socket, job: Job) -> None:
        self.control, self.job = control, job
        self.predictions = np.zeros(len(job.test), dtype="<f8")
        self._buffer = self.predictions.data.cast("B")
        self._received = self._released = 0  # bytes of predictions: what came, and what may have come by now
        self._batches = iter(job.batches)
        self._unsent, self._due_after = memoryview(b""), 0
        self._confined = False
        self._words, self._heard = b"", 0
        self._verdict: Status | None = None  # why we killed it
        self.unexplained = False  # whether somebody else did
        self._pid = 0
        self._pidfd = self._rows = self._answers = self._errors = -1
        self._end: dict[str, Any] | None = None
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], bool]] = {}  # of every pipe that is open
        self._deadline = self._count_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is None:
            self._kill("killed")
        for descriptor in list(self._handlers):
            self._close(descriptor)
        if self._pidfd >= 0:
            os.close(self._pidfd)

    def run(self) -> Replay:
        """Send the request, serve the child until it is dead and reaped, and say what became of it.

        Raises
        ------
        ZygoteDiedError
            The zygote ended first.
        ConfigError
            The child could not be confined; it has seen neither program nor test rows.
        ClusterError
            The machine starts no further process.
        """
        began = time.monotonic()
        self._deadline = began + self.job.limits.wall_s
        self._request()
        while self._end is None:
            now = time.monotonic()
            if now >= min(self._deadline, self._count_at):
                self._enforce(now)
            for descriptor, _ in self._poll.poll((min(self._deadline, self._count_at) - now) * 1000 + 1):
                if descriptor == self.control.fileno():
                    self._hear_zygote()
                elif descriptor in self._handlers:
                    self._handlers[descriptor]()
        for descriptor in (self._answers, self._errors):  # what the dead left in its pipes
            while descriptor in self._handlers and self._handlers[descriptor]():
                pass
        return self._replay(self._end, time.monotonic() - began)

    def _request(self) -> None:
        data = self.job.sealed()
        child_rows, self._rows = os.pipe()
        self._answers, child_answers = os.pipe()
        self._errors, child_errors = os.pipe()
        self._handlers = {
            self._rows: self._send_rows,
            self._answers: self._hear_answers,
            self._errors: self._hear_words,
        }
        theirs = (data, child_rows, child_answers, child_errors)
        try:
            socket.send_fds(self.control, [json.dumps(self.job.request()).encode()], theirs)
        except OSError as error:
            raise ZygoteDiedError(str(error)) from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        for descriptor in self._handlers:
            os.set_blocking(descriptor, False)
        for listened in (self.control.fileno(), self._answers, self._errors):
            self._poll.register(listened, select.POLLIN)

    def _hear_zygote(self) -> None:
        try:
            text, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, 1)
        except OSError as error:
            raise ZygoteDiedError(str(error)) from error
        if not text:
            raise ZygoteDiedError("the zygote ended")
        message = json.loads(text)
        if "refused" in message:
            raise ClusterError(f"no process for a submission: {message['refused']}; free memory or raise the limits")
        if descriptors:
            self._pidfd, self._pid = descriptors[0], message["pid"]
            if self._verdict:
                self._kill(self._verdict)
        else:
            self._end = message

    def _hear_answers(self) -> bool:
        """Take what has come; False when there is nothing for now or for ever."""
        if not self._confined:
            return self._hear_confined()
        due = self._released - self._received
        count = self._read(self._answers, [self._buffer[self._received : self._released], bytearray(1)])
        if count > due:
            self._kill("flood")
            return False
        self._received += max(count, 0)
        if count > 0 and count == due:
            self._release()
        return count > 0

    def _hear_confined(self) -> bool:
        """Take the byte that the child sends once every layer is on and before it runs the program: rows may leave now."""
        if self._read(self._answers, [bytearray(1)]) < 1:
            return False
        self._confined = True
        self._release()
        return True

    def _hear_words(self) -> bool:
        words = bytearray(1 << 16)
        count = self._read(self._errors, [words])
        self._heard += max(count, 0)
        self._words = (self._words + words[: max(count, 0)])[-KEPT_WORDS:]
        if self._heard > MOST_WORDS:
            self._kill("flood")
            return False
        return count > 0

    def _read(self, descriptor: int, into: list[memoryview | bytearray]) -> int:
        """Return the number of bytes read, -1 for none so far, 0 when there will be none any more."""
        try:
            count = os.readv(descriptor, into)
        except BlockingIOError:
            return -1
        if count == 0:
            self._close(descriptor)
        return count

    def _release(self) -> None:
        """Let the next timestamp go, or close: the end of the child's loop."""
        batch = next(self._batches, None)
        if batch is None:
            self._close(self._rows)
            return
        start, end = batch
        rows = np.ascontiguousarray(self.job.test[start:end], dtype="<f8")
        self._unsent = memoryview((end - start).to_bytes(HEADER_BYTES, "little") + rows.tobytes())
        self._due_after = 8 * end
        if self._send_rows() and self._unsent:
            self._poll.register(self._rows, select.POLLOUT)

    def _send_rows(self) -> bool:
        """Write what the pipe takes; False when the child wants no more rows, and so will fall short."""
        try:
            self._unsent = self._unsent[os.write(self._rows, self._unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            self._close(self._rows)
            return False
        if not self._unsent:
            self._released = self._due_after
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._rows)
        return True

    def _close(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            with contextlib.suppress(KeyError):
                self._poll.unregister(descriptor)
            os.close(descriptor)

    def _enforce(self, now: float) -> None:
        """Kill at the end of the wall time or of the CPU time; say when to look again."""
        if now >= self._deadline:
            if self._verdict:
                raise ZygoteDiedError("a killed child was not reaped")
            self._kill("wall")
        elif (spare := self.job.limits.cpu_s - self._cpu_used()) <= 0:
            self._kill("cpu")
        else:
            self._count_at = now + max(spare / PROCESSORS, TICK_S)  # no process can use it up any faster
        if self._verdict:
            self._count_at = self._deadline

    def _cpu_used(self) -> float:
        """Return the CPU seconds of the child and its children, by their clocks: RLIMIT_CPU counts ticks, stolen ones too."""
        used = 0.0
        with contextlib.suppress(OSError):  # it is ending
            if self._pid:
                used += time.clock_gettime(_cpu_clock(self._pid))
                children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text(encoding="ascii")
                used += sum(time.clock_gettime(_cpu_clock(int(child))) for child in children.split())
        return used

    def _kill(self, verdict: Status) -> None:
        self._verdict = self._verdict or verdict
        self._deadline = time.monotonic() + GRACE_S
        if self._verdict == "flood":
            self._close(self._answers)
            self._close(self._errors)
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _replay(self, end: dict[str, Any], wall_s: float) -> Replay:
        if not self._confined:
            raise ConfigError(
                f"the jail cannot be put on: {self._said(end)}; `ltvalidator doctor` says which layer is missing"
            )
        status, reason = self._judge(end)
        predictions = self.predictions if status == "ok" else None
        return Replay(status, reason, predictions, round(end["cpu_s"], 6), wall_s, round(end["peak_kb"] / 1024, 1))

    def _judge(self, end: dict[str, Any]) -> tuple[Status, str]:
        limits = self.job.limits
        killed_for: dict[Status, str] = {
            "wall": f"not done after {limits.wall_s:g} s",
            "cpu": f"used {limits.cpu_s:g} CPU seconds",
            "flood": "sent more than it was asked for",
        }
        if self._verdict:
            return self._verdict, killed_for[self._verdict]
        if end["signal"] or end["code"]:
            return self._failure(end)
        if self._received < len(self._buffer):
            return "short", f"{self._received} of {len(self._buffer)} bytes of predictions"
        if wrong := np.count_nonzero(~(np.abs(self.predictions) <= MAX_PREDICTION)):
            return "not-finite", f"{wrong} predictions are not finite, or beyond {MAX_PREDICTION:g}"
        return "ok", ""

    def _failure(self, end: dict[str, Any]) -> tuple[Status, str]:
        limits, said = self.job.limits, self._said(end)
        if end["signal"] in (signal.SIGXCPU, signal.SIGKILL) and end["cpu_s"] >= limits.cpu_s / 2:  # by RLIMIT_CPU
            return "cpu", f"stopped by the kernel after {end['cpu_s']:.1f} CPU seconds"
        if end["code"] == MEMORY_CODE or any(sign.encode() in self._words for sign in MEMORY_WORDS):
            return "memory", f"{said[: MAX_REASON - 40]}; the limit is {limits.memory_mb} MB"
        self.unexplained = end["signal"] == signal.SIGKILL
        return "killed" if end["signal"] else "failed", said

    def _said(self, end: dict[str, Any]) -> str:
        """Return the child's last line, or else how it ended."""
        lines = [line for line in self._words.splitlines() if line.strip()]
        how = f"signal {end['signal']} ({signal.strsignal(end['signal'])})" if end["signal"] else f"code {end['code']}"
        text = lines[-1][:MAX_REASON].decode("ascii", "replace") if lines else ""
        printable = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
        return (f"{how}: {printable}" if end["signal"] and printable else printable or how)[:MAX_REASON]


def _cpu_clock(pid: int) -> int:
    """Return the clock of a process's CPU time, as clock_getcpuclockid(3) makes it; it asks for no permission."""
    return (~pid << 3) | 2
