"""A process that imports once and forks a fresh, bounded child for every task.

Started as ``python -m infra.forkserver PROGRAM CACHE HUNG_AFTER_S``; reads one JSON task a line on stdin, writes one JSON reply
a line on stdout, in the order in which the tasks end. `PROGRAM` is a module with two functions:

- ``prepare(task, cache) -> state`` runs here, before the fork: it may import and open read-only data, and leaves no threads or
  processes;
- ``run(task, state, emit)`` runs in the child, which may do anything: it ends after one task, whatever became of it.

A task is a JSON object; ``memory_mb`` in it is what its child may take on top of the server. A reply has the task's ``id``
and ``end``:

- ``exit`` or ``signal``: how the child ended, with ``code``, the ``messages`` (objects) it emitted, ``cpu_s`` and ``peak_mb``;
- ``hung``: it used no CPU for `HUNG_AFTER_S` and was killed; ``flood``: it sent more than 32 MiB and was killed;
- ``refused`` or ``error``: ``prepare`` raised, on purpose or not; ``error`` has the words.

Guarantees: a child that hangs, crashes, floods its memory or is killed costs its own task and nothing else; what it forked dies
with it; the server keeps no state between tasks beyond what ``prepare`` caches; when the server or its parent dies, every
child dies with it.
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

TICK_S = 1.0
#: Ticks a child may live on after it closed its pipe, and so can no longer answer.
TICKS_WITHOUT_PIPE = 2
#: Bytes a child may send: day scores of decades fit many times over.
MAX_MESSAGES_BYTES = 32 << 20
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>


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
    pidfd: int
    pipe: int
    received: bytearray = field(default_factory=bytearray)
    cpu_ticks: int = -1
    idle_s: float = 0.0
    ticks_without_pipe: int = 0
    pipe_closed: bool = False
    killed_for: str = ""


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


def _objects(received: bytes) -> list[dict[str, Any]]:
    """Return the lines that are JSON objects; a child may have sent anything."""
    messages = []
    for line in received.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line)
            if isinstance(message, dict):
                messages.append(message)
    return messages


class Server:
    """Event loop of the fork server; see the module's docstring.

    Parameters
    ----------
    program : Program
    cache : Path
        Folder the program may keep computed data in.
    replies : int
        File descriptor for the replies.
    hung_after_s : float
        A child that used no CPU for this long is taken for hung.
    """

    def __init__(self, program: Program, cache: Path, replies: int, hung_after_s: float) -> None:
        self.program = program
        self.cache = cache
        self.replies = replies
        self.hung_after_s = hung_after_s
        self.pid = os.getpid()
        self.selector = selectors.DefaultSelector()
        self.children: dict[int, Child] = {}
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # what a child leaves behind becomes ours, see _end_strays
        self.pending = bytearray()
        self.stdin_open = True

    def serve(self) -> None:
        """Take tasks until stdin closes, then end the children and return."""
        self.selector.register(0, selectors.EVENT_READ, self._read_tasks)
        ticked_at = time.monotonic()
        while self.stdin_open:
            for key, _ in self.selector.select(TICK_S):
                key.data()
            passed = time.monotonic() - ticked_at
            if passed >= TICK_S:
                ticked_at += passed
                # A machine that slept, or a long prepare, is no proof against a child: one look counts for two ticks at most.
                self._tick(min(passed, 2 * TICK_S))
        self._stop()

    def _read_tasks(self) -> None:
        chunk = os.read(0, 1 << 20)
        self.stdin_open = bool(chunk)
        self.pending += chunk
        *lines, rest = self.pending.split(b"\n")
        self.pending = bytearray(rest)
        for line in lines:
            self._start(json.loads(line))

    def _start(self, message: dict[str, Any]) -> None:
        task_id, task = message["id"], message["task"]
        try:
            state = self.program.prepare(task, self.cache)
        except LongtailError as error:
            self._reply(task_id, end="refused", error=str(error), error_type=type(error).__name__)
            return
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            self._reply(task_id, end="error", error=f"{type(error).__name__}: {error}")
            return
        reader, writer = os.pipe()
        gc.collect()
        gc.freeze()  # the collector would touch, and so copy, every shared page
        pid = os.fork()
        if pid == 0:
            self._child(task, state, reader, writer)
        os.close(writer)
        os.set_blocking(reader, False)
        child = Child(task_id, pid, os.pidfd_open(pid), reader)
        self.children[pid] = child
        self.selector.register(child.pipe, selectors.EVENT_READ, partial(self._receive, child))
        self.selector.register(child.pidfd, selectors.EVENT_READ, partial(self._finish, child))

    def _child(self, task: dict[str, Any], state: Any, reader: int, writer: int) -> NoReturn:
        code = 1
        try:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(code)  # the server died before the line above
            os.setsid()
            quiet = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(quiet, descriptor)
            self.selector.close()
            for sibling in self.children.values():
                os.close(sibling.pipe)
                os.close(sibling.pidfd)
            os.close(reader)
            os.close(self.replies)
            warnings.simplefilter("ignore")
            self._bound(int(task["memory_mb"]))
            self.program.run(task, state, partial(_write_line, writer))
            code = 0
        finally:
            os._exit(code)

    @staticmethod
    def _bound(memory_mb: int) -> None:
        limit = _data_bytes() + (memory_mb << 20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):  # if the machine runs out of memory, an evaluation shall die, not the server
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

    def _receive(self, child: Child) -> None:
        if child.pid not in self.children or child.pipe_closed:
            return  # it ended in this very round of events
        try:
            chunk = os.read(child.pipe, 1 << 20)
        except BlockingIOError:
            return
        child.received += chunk
        child.idle_s = 0.0
        if len(child.received) > MAX_MESSAGES_BYTES:
            self._kill(child, "flood")
        if not chunk or child.killed_for:
            self.selector.unregister(child.pipe)
            child.pipe_closed = True

    def _finish(self, child: Child) -> None:
        """Answer for a child that has ended: its pidfd became readable."""
        self._kill(child)  # what it forked and left in its process group
        _, status, usage = os.wait4(child.pid, 0)
        while not child.pipe_closed:  # what is still in the pipe; never waits for whoever else holds it
            before = len(child.received)
            self._receive(child)
            if len(child.received) == before:
                break
        del self.children[child.pid]
        if not child.pipe_closed:
            self.selector.unregister(child.pipe)
        self.selector.unregister(child.pidfd)
        os.close(child.pipe)
        os.close(child.pidfd)
        self._end_strays()
        self._reply(
            child.task_id,
            end=child.killed_for or ("signal" if os.WIFSIGNALED(status) else "exit"),
            code=os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status),
            messages=[] if child.killed_for == "flood" else _objects(bytes(child.received)),
            cpu_s=round(usage.ru_utime + usage.ru_stime, 4),
            peak_mb=round(usage.ru_maxrss / 1024, 1),
        )

    def _tick(self, passed: float) -> None:
        for child in self.children.values():
            ticks = _cpu_ticks(child.pid)
            child.idle_s = child.idle_s + passed if ticks == child.cpu_ticks else 0.0
            child.cpu_ticks = ticks
            child.ticks_without_pipe += child.pipe_closed
            if child.idle_s > self.hung_after_s:
                self._kill(child, "hung")
            elif child.ticks_without_pipe >= TICKS_WITHOUT_PIPE:
                self._kill(child)

    @staticmethod
    def _kill(child: Child, reason: str = "") -> None:
        child.killed_for = child.killed_for or reason
        for kill in (os.killpg, os.kill):  # the group does not exist before the child's setsid
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(child.pid, signal.SIGKILL)

    def _end_strays(self) -> None:
        """Kill what a child forked into a session of its own: as subreaper we inherit it."""
        with contextlib.suppress(OSError):  # a kernel without CONFIG_PROC_CHILDREN
            children = Path(f"/proc/self/task/{self.pid}/children")
            while strays := {int(pid) for pid in children.read_text(encoding="ascii").split()} - set(self.children):
                for pid in strays:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def _stop(self) -> None:
        for child in self.children.values():
            self._kill(child)
        for pid in self.children:
            os.waitpid(pid, 0)
        self.children.clear()
        self._end_strays()

    def _reply(self, task_id: int, **answer: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone: stdin will say so next
            _write_line(self.replies, {"id": task_id, **answer})


def main() -> None:
    """Serve the program named on the command line."""
    program_name, cache, hung_after_s = sys.argv[1:4]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the coordinator, which closes stdin
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not look like a reply
    try:
        program = importlib.import_module(program_name)
    except Exception as error:
        traceback.print_exc()
        _write_line(replies, {"fatal": f"{type(error).__name__}: {error}"})
        sys.exit(1)
    Server(cast(Program, program), Path(cache), replies, float(hung_after_s)).serve()


if __name__ == "__main__":
    main()
