"""A process that imports once, holds no data and no secret, and forks a child to be jailed for every job.

Started by :class:`validator.sandbox.host.Sandbox` as ``python -m validator.sandbox.zygote SOCKET CONFIG``. `CONFIG` is a JSON
object: ``program`` (a module with ``warm()``, run here once, and ``run(task)``, run in a child), ``path`` (folders added to
the import path), ``layers`` and ``readable`` (for :func:`validator.sandbox.confinement.confine`). Over the socket come one
request at a time, numbers only, with four file descriptors: the job's sealed memory, its rows, answers and errors. Back go
``{"pid"}`` with a descriptor of the child, and, when it and whatever it left behind are dead and reaped, its end.

Guarantees: a child inherits nothing but its job; the data never enter this process; nothing a child does can make it wait
for anything but the child's death; it ends when the host does, and its children end with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from validator.sandbox.confinement import confine
from validator.sandbox.policy import Layer, Limits
from validator.sandbox.task import (
    ANSWERS,
    DATA,
    ERRORS,
    MEMORY_CODE,
    MEMORY_WORDS,
    MESSAGE_BYTES,
    ROWS,
    Task,
    inherited,
)

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <linux/prctl.h>
#: What a request brings and what a child has: the number each gets.
BROUGHT = (DATA, ROWS, ANSWERS, ERRORS)
PLACES = (0, 1, *BROUGHT)
#: Above every fixed number.
FREE = 16
#: How often the zygote looks whether its host still lives: the socket may have been inherited by somebody else.
TICK_MS = 1000


class Program(Protocol):
    """What the module named in the configuration provides."""

    def warm(self) -> None:
        """Import whatever a task may need; start no thread."""

    def run(self, task: Task) -> None:
        """Do one task, jailed."""


class Zygote:
    """Serves one host; see the module's docstring."""

    def __init__(self, control: socket.socket, program: Program, layers: frozenset[Layer], readable: list[str]) -> None:
        self.control, self.program, self.layers, self.readable = control, program, layers, readable
        self.pid, self.host = os.getpid(), os.getppid()
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # what a jail leaves behind becomes ours to end

    def serve(self) -> None:
        """Fork for one request after the other, until the host is gone."""
        self._tell({})
        while self._await(self.control.fileno()):
            text, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, len(BROUGHT))
            if not text:
                return
            self._start(json.loads(text), descriptors)

    def _start(self, request: dict[str, Any], descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._tell({"refused": str(error)})
            return
        else:
            if pid == 0:
                self._child(request, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        pidfd = os.pidfd_open(pid)
        self._tell({"pid": pid}, pidfd)
        if not self._await(pidfd):
            os.kill(pid, signal.SIGKILL)
        os.close(pidfd)
        self._tell(self._reap(pid))

    def _await(self, descriptor: int) -> bool:
        """Wait until `descriptor` is readable; False when the host is gone."""
        poll = select.poll()
        poll.register(self.control, 0)  # no event but the end of the other side
        poll.register(descriptor, select.POLLIN)
        while True:
            events = poll.poll(TICK_MS)
            if os.getppid() != self.host or any(event & select.POLLHUP for _, event in events):
                return False
            if events:
                return True

    def _child(self, request: dict[str, Any], descriptors: list[int]) -> NoReturn:
        code = 1
        try:
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.pid:
                os._exit(code)  # the zygote died before the line above
            quiet = os.open(os.devnull, os.O_RDWR)  # its own: the flags of one shared by all could carry a message
            sources = [fcntl.fcntl(source, fcntl.F_DUPFD, FREE) for source in (quiet, quiet, *descriptors)]
            for source, place in zip(sources, PLACES, strict=True):
                os.dup2(source, place)
            task = inherited(request)
            _close_all_but({0, 1, ERRORS, ROWS, ANSWERS})
            with contextlib.suppress(OSError):  # if the machine runs out of memory, a submission shall die, nobody else
                Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
            confine(self.layers, Limits(**request["limits"]), self.readable)
            os.write(ANSWERS, b"\0")  # the host lets no row go before
            self.program.run(task)
            code = 0
        except BaseException as error:
            code = MEMORY_CODE if _is_memory(error) else 1
            with contextlib.suppress(BaseException):
                words = " ".join(f"{type(error).__name__}: {error}"[:1000].split())
                os.write(ERRORS, b"\n" + words.encode("ascii", "replace") + b"\n")
        finally:
            os._exit(code)

    def _reap(self, pid: int) -> dict[str, Any]:
        """Return how a dead child ended and what it and all it left behind have used."""
        _, status, usage = os.wait4(pid, 0)
        cpu_s, peak_kb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
        children = Path(f"/proc/self/task/{self.pid}/children")
        while strays := children.read_text(encoding="ascii").split():
            for stray in map(int, strays):
                os.kill(stray, signal.SIGKILL)
                _, _, usage = os.wait4(stray, 0)
                cpu_s, peak_kb = cpu_s + usage.ru_utime + usage.ru_stime, max(peak_kb, usage.ru_maxrss)
        ending = os.waitstatus_to_exitcode(status)
        return {"signal": max(-ending, 0), "code": max(ending, 0), "cpu_s": cpu_s, "peak_kb": peak_kb}

    def _tell(self, message: dict[str, Any], *descriptors: int) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the host is gone: the next look sees it
            socket.send_fds(self.control, [json.dumps(message).encode()], descriptors)


def _is_memory(error: BaseException) -> bool:
    """Tell an error for want of memory, whichever library raises it."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return any(sign in str(error) for sign in MEMORY_WORDS)


def _close_all_but(kept: set[int]) -> None:
    for descriptor in {int(name) for name in os.listdir("/proc/self/fd")} - kept:  # noqa: PTH208 - numbers, no paths
        with contextlib.suppress(OSError):  # that of the listing itself
            os.close(descriptor)


def main() -> None:
    """Import the program of the configuration and serve."""
    number, text = sys.argv[1:]
    control, config = socket.socket(fileno=int(number)), json.loads(text)
    sys.path += config["path"]
    try:
        program = cast(Program, importlib.import_module(config["program"]))
        program.warm()
        if threads := len(os.listdir("/proc/self/task")) - 1:  # noqa: PTH208 - counted, not opened
            raise RuntimeError(f"warm() leaves {threads} threads, and a forked child would lack them")  # noqa: TRY301 - one way out
    except Exception as error:
        traceback.print_exc()
        control.send(json.dumps({"fatal": f"{type(error).__name__}: {error}"[:1000]}).encode())
        sys.exit(1)
    os.dup2(1, ERRORS)  # to where nobody has to read it
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page a child shares
    Zygote(control, program, frozenset(config["layers"]), config["readable"]).serve()


if __name__ == "__main__":
    main()
