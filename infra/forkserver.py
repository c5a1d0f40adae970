"""A process that imports once and forks a fresh, bounded child for every task.

Started as ``python -m infra.forkserver PROGRAM CACHE``; reads one JSON task a line on stdin, writes one JSON reply a line on
stdout, in the order in which the tasks end. `PROGRAM` is a module with two functions:

- ``prepare(task, cache) -> state`` runs here, before the fork: it may import and open read-only data, never start threads;
- ``run(task, state, emit)`` runs in the child, which may do anything: it ends after one task, whatever became of it.

Guarantees: a child that hangs, crashes, floods its memory or is killed costs its own task and nothing else; the server keeps
no state between tasks beyond what ``prepare`` caches; when the server or its parent dies, every child dies with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from protocol.errors import LongtailError

#: A child that used no CPU for this long is taken for hung, seconds.
HUNG_AFTER_S = 60.0
TICK_S = 1.0
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
#: Bytes a child may send: day scores of decades fit many times over.
MAX_MESSAGES_BYTES = 32 << 20


class Program(Protocol):
    """What the module named on the command line provides."""

    def prepare(self, task: dict[str, Any], cache: Path) -> Any:
        """Run before the fork, in the server."""

    def run(self, task: dict[str, Any], state: Any, emit: Callable[[dict[str, Any]], None]) -> None:
        """Run in the child; `emit` sends one message of the reply."""


@dataclass(slots=True)
class Child:
    """One running task."""

    task_id: int
    pid: int
    pipe: int
    received: bytearray = field(default_factory=bytearray)
    cpu_ticks: int = -1
    progress_at: float = field(default_factory=time.monotonic)
    hung: bool = False


def _cpu_ticks(pid: int) -> int:
    """Return user + system clock ticks of a process, -1 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, IndexError, ValueError):
        return -1


def _data_bytes() -> int:
    """Return the private writable memory of this process in bytes (VmData)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) << 10
    return 0


def _write_line(descriptor: int, message: dict[str, Any]) -> None:
    rest = memoryview(json.dumps(message).encode() + b"\n")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Server:
    """Event loop of the fork server; see the module's docstring."""

    def __init__(self, program: Program, cache: Path, *, hung_after_s: float = HUNG_AFTER_S) -> None:
        self.program = program
        self.cache = cache
        self.hung_after_s = hung_after_s
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.pending = bytearray()
        self.replies = os.dup(1)
        os.dup2(2, 1)  # whatever a library prints must not look like a reply

    def serve(self) -> None:
        """Take tasks until stdin closes, then end the children and return."""
        self.selector.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select(TICK_S):
                if key.fd == 0:
                    if not self._read_tasks():
                        self._stop()
                        return
                else:
                    self._read_child(self.children[key.fd])
            self._end_hung()

    def _read_tasks(self) -> bool:
        chunk = os.read(0, 1 << 20)
        self.pending += chunk
        *lines, rest = self.pending.split(b"\n")
        self.pending = bytearray(rest)
        for line in lines:
            self._start(json.loads(line))
        return bool(chunk)

    def _start(self, message: dict[str, Any]) -> None:
        task_id, task = message["id"], message["task"]
        try:
            state = self.program.prepare(task, self.cache)
        except LongtailError as error:
            self._reply(task_id, end="refused", error=str(error), error_type=type(error).__name__)
            return
        except Exception as error:
            traceback.print_exc()
            self._reply(task_id, end="error", error=f"{type(error).__name__}: {error}")
            return
        reader, writer = os.pipe()
        gc.freeze()  # the collector would touch, and so copy, every shared page
        pid = os.fork()
        if pid == 0:
            self._child(task, state, reader, writer)
        os.close(writer)
        child = Child(task_id, pid, reader)
        self.children[reader] = child
        self.selector.register(reader, selectors.EVENT_READ)

    def _child(self, task: dict[str, Any], state: Any, reader: int, writer: int) -> NoReturn:
        code = 1
        try:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            quiet = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(quiet, descriptor)
            for descriptor in (reader, self.replies, *self.children):
                os.close(descriptor)
            warnings.simplefilter("ignore")
            limit = _data_bytes() + (int(task["memory_mb"]) << 20)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

            self.program.run(task, state, partial(_write_line, writer))
            code = 0
        finally:
            os._exit(code)

    def _read_child(self, child: Child) -> None:
        chunk = os.read(child.pipe, 1 << 20)
        child.received += chunk
        child.progress_at = time.monotonic()
        if not chunk or len(child.received) > MAX_MESSAGES_BYTES:
            self._finish(child)

    def _finish(self, child: Child) -> None:
        self.selector.unregister(child.pipe)
        os.close(child.pipe)
        del self.children[child.pipe]
        # A closed pipe means exit is under way; wait a moment for its own exit code, then insist.
        usage, status = None, 0
        for _ in range(100):
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        else:
            self._kill(child)
            _, status, usage = os.wait4(child.pid, 0)
        self._kill(child)  # whatever else lives in its session
        messages = []
        for line in bytes(child.received).split(b"\n"):
            with contextlib.suppress(ValueError):
                messages.append(json.loads(line))
        ended = "hung" if child.hung else "signal" if os.WIFSIGNALED(status) else "exit"
        self._reply(
            child.task_id,
            end=ended,
            code=os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status),
            messages=messages,
            cpu_s=round(usage.ru_utime + usage.ru_stime, 4),
            peak_mb=round(usage.ru_maxrss / 1024, 1),
        )

    def _end_hung(self) -> None:
        now = time.monotonic()
        for child in list(self.children.values()):
            ticks = _cpu_ticks(child.pid)
            if ticks != child.cpu_ticks:
                child.cpu_ticks, child.progress_at = ticks, now
            elif now - child.progress_at > self.hung_after_s:
                child.hung = True
                self._kill(child)

    @staticmethod
    def _kill(child: Child) -> None:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(child.pid, signal.SIGKILL)

    def _stop(self) -> None:
        for child in self.children.values():
            self._kill(child)

    def _reply(self, task_id: int, **answer: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone: stdin will say so next
            _write_line(self.replies, {"id": task_id, **answer})


def main() -> None:
    """Serve the program and cache folder named on the command line."""
    program_name, cache = sys.argv[1:3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the coordinator, which closes stdin
    server = Server(cast(Program, importlib.import_module(program_name)), Path(cache))
    server.serve()


if __name__ == "__main__":
    main()
