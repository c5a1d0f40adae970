"""A folder of panels by content key: written once, checked on opening, memory-mapped read-only.

One entry is a folder ``KEY/`` with one ``.npy`` per array and ``manifest`` (first line: sha256 of the rest, which is
JSON). It appears by one rename, so readers see whole entries only; writers of the same key may race, the first wins.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.home import find_home, make_folder
from infra.lock import exclusive
from protocol.errors import ConfigError, DataError

MANIFEST = "manifest"
CACHE_BYTES = 200_000_000  # what a few panels may need
_STALE_S = 86_400  # a temporary folder this old belongs to a writer that died

Arrays = Mapping[str, NDArray[Any]]


def panels_folder() -> Path:
    """Return the cache of panels in the home, which miners, validators and local workers share.

    Raises
    ------
    ConfigError
        It cannot be created or written, or the disk has too little space.
    """
    return make_folder(find_home().cache / "evaluations" / "panels", free_bytes=CACHE_BYTES)


def open_entry(cache: Path, key: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Return the arrays (memory-mapped, read-only) and the facts of an entry; None if it is absent or damaged.

    The size and sha256 of every file are compared with the manifest, at about 1 GB/s.
    """
    folder = cache / key
    try:
        digest, _, body = (folder / MANIFEST).read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        manifest = json.loads(body)
        for name, (size, sha256) in manifest["files"].items():
            if (folder / name).stat().st_size != size or _sha256(folder / name) != sha256:
                return None
        arrays = {name.removesuffix(".npy"): np.load(folder / name, mmap_mode="r") for name in manifest["files"]}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"panel cache {folder}: {error.strerror or error}; remove it or name another cache") from error
    return arrays, manifest["facts"]


@contextmanager
def building(cache: Path, key: str) -> Iterator[None]:
    """Keep other processes from building the same entry meanwhile: the workers of a machine fetch its data once.

    Raises
    ------
    DataError
        The folder cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(cache / f"{key}.lock"))
        except ConfigError as error:
            raise DataError(f"panel cache {cache}: {error}") from error
        yield


def write_entry(cache: Path, key: str, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write an entry unless a sound one is there; a damaged one is replaced.

    Raises
    ------
    DataError
        The folder cannot be written or the disk is full; nothing is left behind.
    """
    made: list[Path] = []
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _remove_stale(cache)
        temporary = Path(tempfile.mkdtemp(prefix=".panel-", dir=cache))
        made.append(temporary)
        files = {}
        for name, array in arrays.items():
            path = temporary / f"{name}.npy"
            with path.open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
            files[path.name] = (path.stat().st_size, _sha256(path))
        body = json.dumps({"files": files, "facts": facts}).encode()
        with (temporary / MANIFEST).open("wb") as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        while not _renamed(temporary, cache / key) and open_entry(cache, key) is None:
            aside = Path(tempfile.mkdtemp(prefix=".panel-", dir=cache))
            made.append(aside)
            _renamed(cache / key, aside / key)
    except OSError as error:
        raise DataError(f"panel cache {cache}: {error.strerror or error}; free space or name another cache") from error
    finally:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)


def _renamed(source: Path, target: Path) -> bool:
    """Rename a folder; False when the target is taken or the source gone (another writer was quicker)."""
    try:
        source.rename(target)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError:
        if target.is_dir():  # ENOTEMPTY has no class of its own
            return False
        raise
    return True


def _remove_stale(cache: Path) -> None:
    for folder in cache.glob(".panel-*"):
        if folder.stat().st_mtime < time.time() - _STALE_S:
            shutil.rmtree(folder, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
