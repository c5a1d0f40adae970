"""Fitted prefixes shared across individuals: evolution mutates one step and repeats the steps before it.

A prefix is a run of transformers from the start of a pipeline. What the next step needs of it are two arrays, the transformed
training and test rows of a fold, so those are kept: in a folder, keyed by the canonical text of the prefix and by the rows they
were fitted on, written atomically, read by every evaluation on the machine, the least recently used dropped first.
Results are the same with and without, bit for bit.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

#: CPU seconds a prefix must have cost before keeping it pays for the disk.
WORTH_KEEPING_S = 0.05
#: What reading an absent or damaged entry raises; zipfile checks every byte of the arrays against its CRC-32.
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def _plain(part: Any) -> bool:
    """Floats in C or Fortran order: what a file gives back with the very same bits and layout."""
    return isinstance(part, np.ndarray) and part.dtype.kind == "f" and bool(part.flags.forc)


class PrefixCache:
    """Bounded folder of transformed folds. Several processes may use it at once.

    Parameters
    ----------
    folder : Path
    limit_bytes : int
        The folder is swept back to this size by :meth:`sweep`; 0 keeps nothing.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def _path(self, scope: str, prefix: Sequence[str]) -> Path:
        name = sha256("\n".join([scope, *prefix]).encode()).hexdigest()
        return self.folder / f"{name}.npz"

    def longest(self, scope: str, steps: Sequence[str]) -> tuple[int, Matrix, Matrix] | None:
        """Return (steps covered, training rows, test rows) of the longest prefix that is kept, or None."""
        if not self.limit_bytes:
            return None
        for length in range(len(steps), 0, -1):
            path = self._path(scope, steps[:length])
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    train, test = stored["train"], stored["test"]
                os.utime(path)
            except _DAMAGED:
                continue
            return length, train, test
        return None

    def keep(self, scope: str, prefix: Sequence[str], train: Any, test: Any, cost_s: float) -> None:
        """Store the transformed rows of a prefix if it was costly; a full disk is no error, only no gain."""
        if not self.limit_bytes or cost_s < WORTH_KEEPING_S:
            return
        if not all(_plain(part) for part in (train, test)):
            return
        path = self._path(scope, prefix)
        if (train.nbytes + test.nbytes) * 8 > self.limit_bytes or path.exists():
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
                try:
                    np.savez(file, train=train, test=test)
                    file.close()
                    Path(file.name).replace(path)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise

    def sweep(self) -> None:
        """Delete the least recently used entries beyond the limit, and what killed writers left behind."""
        entries = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if entry.name.endswith(".npz"):
                        entries.append((status.st_mtime, status.st_size, entry.path))
                    elif time.time() - status.st_mtime > 600:
                        Path(entry.path).unlink()
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes:
                break
            with contextlib.suppress(OSError):
                Path(path).unlink()
                total -= size
