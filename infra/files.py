"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from protocol.errors import ConfigError


def atomic_write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write `path` so that it holds either its old content or all of `content`, also after a power cut.

    Parameters
    ----------
    path : Path
        Its folder is created if need be.
    content : bytes
    mode : int
        Permissions, in force before the name appears.

    Raises
    ------
    ConfigError
        The folder cannot be written or the disk is full; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; free space or choose another place") from error
