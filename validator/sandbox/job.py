"""What goes into the sandbox and what comes out of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocol.errors import DataError
from validator.sandbox.policy import Limits

Status = Literal["ok", "cpu", "memory", "wall", "flood", "short", "not-finite", "failed", "killed"]

#: Longest text of a job, bytes: a module of 64 KiB spelt out in full dotted names.
MAX_TEXT_BYTES = 1 << 20
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class Job:
    """One fit and its out-of-sample predictions. The labels of the test rows have no place in it.

    Parameters
    ----------
    text : str
        Canonical text of the pipeline (for another program than the replay: whatever it takes).
    seed : int
        ``random_state`` of operators that leave it open.
    train : (n_train, n_features) float64
    label : (n_train,) float64
    test : (n_test, n_features) float64
        In order of time.
    batches : sequence of (start, end)
        Row ranges that tile `test`, one per timestamp: a range leaves the host when the one before is answered.
    limits : Limits

    Raises
    ------
    DataError
        Shapes or ranges do not fit together.
    """

    text: str
    seed: int
    train: NDArray[np.float64]
    label: NDArray[np.float64]
    test: NDArray[np.float64]
    batches: Sequence[tuple[int, int]]
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.train.ndim != 2 or self.test.ndim != 2 or self.train.shape[1] != self.test.shape[1]:
            raise DataError(f"train {self.train.shape} and test {self.test.shape} must be tables of the same columns")
        if self.label.shape != self.train.shape[:1] or not self.train.size:
            raise DataError(f"labels {self.label.shape} must be one per row of train {self.train.shape}, and not none")
        reached = 0
        for start, end in self.batches:
            if start != reached or end <= start:
                raise DataError(f"batch {start}:{end} must follow row {reached} and hold a row")
            reached = end
        if reached != len(self.test) or not reached:
            raise DataError(f"batches end at row {reached}, test rows at {len(self.test)}; both must hold a row")
        if len(self.text.encode()) > MAX_TEXT_BYTES:
            raise DataError(f"a text of {len(self.text)} characters is longer than {MAX_TEXT_BYTES} bytes")

    def request(self) -> dict[str, Any]:
        """Return the numbers the zygote is told; the data themselves never pass through it."""
        limits = {name: getattr(self.limits, name) for name in Limits.__slots__}
        return {"rows": self.train.shape[0], "columns": self.train.shape[1], "seed": self.seed, "limits": limits}

    def sealed(self) -> int:
        """Return a new file descriptor of anonymous memory nobody can change: train, labels, text, one after the other."""
        descriptor = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            for array in (self.train, self.label):
                _write_all(descriptor, np.ascontiguousarray(array, dtype="<f8").data.cast("B"))
            _write_all(descriptor, memoryview(self.text.encode()))
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a job.

    Attributes
    ----------
    status : Status
        ``ok``; a limit: ``cpu``, ``memory``, ``wall``; a broken answer: ``flood`` (more than was asked for, or before it
        was asked), ``short``, ``not-finite``; ``failed`` (an error of the pipeline) or ``killed`` (by a signal; by SIGKILL
        in two runs).
    reason : str
        Printable ASCII, at most 300 characters; what the child says of itself is no evidence.
    predictions : (n_test,) float64, finite, or None
        Only with ``ok``.
    cpu_s, wall_s : float
        CPU of all its processes, the jail's own cost included; seconds from request to end.
    peak_mb : float
        Largest resident memory, MiB, pages shared with the zygote included.
    """

    status: Status
    reason: str
    predictions: NDArray[np.float64] | None
    cpu_s: float
    wall_s: float
    peak_mb: float


def _write_all(descriptor: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(descriptor, rest) :]
