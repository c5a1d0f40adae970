"""The trusted side of the jail: a warm zygote, started again when it dies, and one job after the other.

`Sandbox.run` never raises for what a submission does; it raises when the machine cannot jail it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from protocol.errors import ClusterError, ConfigError
from validator.sandbox.exchange import Exchange, ZygoteDiedError
from validator.sandbox.job import Job, Replay, Status
from validator.sandbox.policy import TIERS, Layer, Tier
from validator.sandbox.readable import readable
from validator.sandbox.task import MESSAGE_BYTES

__all__ = ["Job", "Replay", "Sandbox", "Status"]

REPLAY, ZYGOTE = "validator.sandbox.replay", "validator.sandbox.zygote"
#: Runs of a job when the zygote dies, which nothing inside a jail can bring about, or a child is killed and nobody knows by
#: whom: by the machine when it is out of memory, perhaps, or by itself; it has done so itself if that repeats.
ATTEMPTS = 2
#: Importing from a cold disk on a busy machine, seconds.
START_S = 300.0
STOP_S = 5.0
#: What is read of the words of a zygote that did not start, bytes.
LOG_BYTES = 1 << 20
#: What the zygote and its children find in their environment whatever the machine.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_NUM_THREADS": "1",
    "JOBLIB_MULTIPROCESSING": "0",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONHASHSEED": "0",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # larger pages: a tenth less to copy for every fork
    "HOME": "/box",
    "TMPDIR": "/box",
}
NUMERICS = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")
BEYOND_AVX2 = ("AVX512", "X86_V4")


class Sandbox:
    """Runs jobs in the jail, one at a time; a context that starts the zygote and ends it.

    Safe for threads, which wait for each other: for more at once, have more sandboxes.

    Parameters
    ----------
    program : str
        Module with ``warm()`` and ``run(task)``, see :mod:`validator.sandbox.zygote`.
    tier : Tier, optional
        The strongest one this machine can do by default.
    layers : frozenset of Layer, optional
        Instead of the tier's, to show in tests what each is good for; `tier` then means nothing.
    path : sequence of str
        Folders to import `program` from, beside the usual ones.

    Raises
    ------
    ConfigError
        No tier works here, or the zygote does not start.
    """

    def __init__(
        self,
        *,
        program: str = REPLAY,
        tier: Tier | None = None,
        layers: frozenset[Layer] | None = None,
        path: Sequence[str] = (),
    ) -> None:
        if tier is None and layers is None:
            from validator.sandbox.tiers import strongest  # tries every layer in a process of its own

            tier = strongest()
        self.program = program
        self.tier: Tier = tier or "full"
        self.layers: frozenset[Layer] = TIERS[self.tier] if layers is None else layers
        self.path = [os.path.realpath(folder) for folder in path]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the zygote, None while there is none."""
        return self._process.pid if self._process else None

    def run(self, job: Job) -> Replay:
        """Fit and predict in the jail, and return what became of it.

        Raises
        ------
        ConfigError
            The child cannot be confined, or the zygote does not start.
        ClusterError
            The machine has no process or memory for it, or the zygote died more than once.
        """
        with self._lock:
            unexplained = 0
            for _ in range(ATTEMPTS):
                try:
                    with Exchange(self._running(), job) as exchange:
                        replay = exchange.run()
                    unexplained += exchange.unexplained
                    if not exchange.unexplained or unexplained == ATTEMPTS:
                        return replay
                except ZygoteDiedError as error:
                    self._stop()
                    died = error
                except BaseException:
                    self._stop()  # out of step: its next message would be about this job
                    raise
        raise ClusterError(f"the sandbox died {ATTEMPTS} times over one job ({died}); is the machine out of memory?")

    def close(self) -> None:
        """End the zygote; the next job would start another."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        with self._lock:
            self._running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._stop()
        config = {
            "program": self.program,
            "path": self.path,
            "layers": sorted(self.layers),
            "readable": list(readable(self.path)),
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        log = os.memfd_create("zygote-start")  # until it serves; then its words go nowhere
        try:
            self._process = subprocess.Popen(
                # Not -I: it would ignore PYTHONHASHSEED.
                [sys.executable, "-s", "-P", "-B", "-m", ZYGOTE, str(theirs.fileno()), json.dumps(config)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(),
                cwd="/",
                umask=0o077,
                start_new_session=True,  # a terminal's Ctrl-C is for the host only
            )
            theirs.close()
            ours.settimeout(START_S)
            if said := _start_failure(ours, self._process, log):
                raise ConfigError(f"the sandbox does not start: {said}")  # noqa: TRY301 - cleans up like other failures
            ours.setblocking(True)
        except OSError as error:
            self._stop()
            raise ClusterError(f"the sandbox does not start: {error}; is there memory and a free process?") from error
        except BaseException:
            self._stop()
            raise
        finally:
            theirs.close()
            os.close(log)
        return ours

    def _stop(self) -> None:
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            control.close()  # its sign to end whatever it runs, and itself
        if process is not None:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start_failure(control: socket.socket, process: subprocess.Popen[bytes], log: int) -> str:
    """Wait until the zygote serves; return why it does not, empty if it does."""
    try:
        message = control.recv(MESSAGE_BYTES)
    except TimeoutError:
        return f"no word from it within {START_S:g} s"
    if message:
        return str(json.loads(message).get("fatal", ""))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)  # until its last words are out
    words = os.pread(log, LOG_BYTES, 0).decode(errors="replace")
    return words[-2000:] or f"it ended with code {process.returncode} and no word"


def environment() -> dict[str, str]:
    """Return all that the zygote and its children find in their environment; x86-64 processors compute alike under it.

    OpenBLAS and numpy choose kernels by processor. Their sums differ in the last bits, which rounding would hide, but numpy's
    AVX-512 sorts also order ties differently, and a tree or a neighbour search makes a visible difference of either. So
    everybody uses the kernels for AVX2, which nearly every such processor since 2015 has; one without it and another
    architecture are left alone. A value that the operator sets is passed on.
    """
    chosen = {name: os.environ[name] for name in NUMERICS if name in os.environ}
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    if {"AVX2", "X86_V3"} & {*extensions["baseline"], *extensions["found"]}:
        beyond = [name for name in extensions["found"] if name.startswith(BEYOND_AVX2)]
        chosen = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": " ".join(beyond), **chosen}
    return {**ENVIRONMENT, **chosen}
