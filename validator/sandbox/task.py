"""One job as the jailed child sees it: training data and a seed, then test rows one timestamp at a time.

The labels of test rows are not here, and neither are test rows that nobody has answered for yet: the host keeps them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

#: File descriptors of a child beside 0 and 1, which lead nowhere; the job's memory is closed once it is mapped.
ERRORS, DATA, ROWS, ANSWERS = 2, 3, 4, 5
#: What the rows of a timestamp begin with: their number, unsigned, little-endian.
HEADER_BYTES = 8
#: Longest message between host and zygote.
MESSAGE_BYTES = 4096
#: Exit code of a child that ran out of memory and could still say so.
MEMORY_CODE = 71
#: How native code says so.
MEMORY_WORDS = ("bad_alloc", "bad allocation", "Cannot allocate memory")


@dataclass(frozen=True, slots=True)
class Task:
    """What a program's ``run`` gets.

    Parameters
    ----------
    text : str
        Canonical text of the pipeline.
    seed : int
        ``random_state`` of operators that leave it open.
    train : (n_train, n_features) float64, read-only
        Features known at the close of their bar, in order of time.
    label : (n_train,) float64, read-only
    rows, answers : int
        File descriptors the test rows come from and the predictions go to.
    """

    text: str
    seed: int
    train: Matrix
    label: Vector
    rows: int = ROWS
    answers: int = ANSWERS

    def batches(self) -> Iterator[Matrix]:
        """Give the test rows of one timestamp after the other, each a fresh (n, n_features) float64 array.

        The next one leaves the host only after exactly n predictions came back by :meth:`answer`.
        """
        header = bytearray(HEADER_BYTES)
        while _fill(self.rows, memoryview(header)):
            batch = np.empty((int.from_bytes(header, "little"), self.train.shape[1]), dtype="<f8")
            if not _fill(self.rows, batch.data.cast("B")):
                return
            yield batch

    def answer(self, predictions: Vector) -> None:
        """Send the predictions for the rows of the current timestamp, (n,) float64, as raw little-endian bytes."""
        rest = np.ascontiguousarray(predictions, dtype="<f8").reshape(-1).data.cast("B")
        while rest:
            rest = rest[os.write(self.answers, rest) :]


def _fill(descriptor: int, view: memoryview) -> bool:
    """Read until `view` is full; False when the other side closed first."""
    while view:
        count = os.readv(descriptor, [view])
        if count == 0:
            return False
        view = view[count:]
    return True


def inherited(request: Mapping[str, Any]) -> Task:
    """Return the task whose memory lies behind :data:`DATA`, mapped read-only: features, labels, text, one after the other."""
    rows, columns = request["rows"], request["columns"]
    # A private mapping: kernels before 6.7 refuse a shared one of sealed memory.
    memory = mmap.mmap(DATA, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    numbers = np.frombuffer(memory, dtype="<f8", count=rows * (columns + 1))
    train, label = numbers[: rows * columns].reshape(rows, columns), numbers[rows * columns :]
    return Task(memory[numbers.nbytes :].decode(), request["seed"], train, label)
