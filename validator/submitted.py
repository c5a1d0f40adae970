"""Modules as they come: from files of any kind, never more of them than a module can have."""

from __future__ import annotations

from pathlib import Path

from infra.objects import read_named
from pipelines.source import MAX_BYTES
from protocol.errors import ConfigError, RefusedError


def read_module(name: Path | str) -> bytes:
    """Return the bytes of a module, a file or ``s3://…/SHA256.py``.

    Raises
    ------
    ConfigError, ClusterError, DataError
        It is not there, is no regular file, cannot be read, or is not what its name in the bucket says.
    RefusedError
        It is larger than a module may be; nothing of it is kept.
    """
    if str(name).startswith("s3://"):
        return read_named(str(name), ".py", MAX_BYTES)
    path = Path(name)
    try:
        if not path.is_file():
            state = "is no file" if path.exists() else "does not exist"
            raise ConfigError(f"module {path} {state}; name a .py file")
        with path.open("rb") as file:
            source = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"module {path} cannot be read: {error.strerror}") from error
    if len(source) > MAX_BYTES:
        raise RefusedError(
            f"module {path} has {path.stat().st_size:,} bytes; a pipeline module has at most {MAX_BYTES:,}"
        )
    return source
