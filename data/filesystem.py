"""Where a dataset's bytes lie: a local folder or an S3 prefix behind one small interface.

Files are written whole and never changed; only ``HEAD``, and the cuts in a manifest, change by compare-and-swap. Readers
see the old version until ``HEAD`` has moved. Any number of processes may read and append at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from infra.files import atomic_write
from infra.objects import Objects
from protocol.errors import ClusterError, ConfigError, DataError

HEAD = "HEAD"
_ROOT = re.compile(r"[0-9a-f]{64}")


class Storage(Protocol):
    """A place for files named by ``/``-separated paths relative to `uri`."""

    uri: str
    single: bool  # one file rather than a place for files

    def read(self, path: str) -> bytes | None:
        """Return the bytes of `path`, None when there is no such file."""

    def write(self, path: str, content: bytes) -> None:
        """Create `path`, whose content follows from its name, whole or not at all."""

    def state(self, path: str) -> tuple[bytes | None, str | None]:
        """Return content and tag of `path`, (None, None) when there is no such file."""

    def swap(self, path: str, content: bytes, tag: str | None) -> bool:
        """Write `path` if its state is still `tag`, None for no file; return whether its content is this now."""

    def files(self) -> list[str]:
        """Return the paths of all files, sorted; empty when the place does not exist."""

    def arrow(self) -> tuple[Any, str]:
        """Return a pyarrow filesystem and the prefix to put before a path."""


def storage_at(uri: str) -> Storage:
    """Return the storage for a local path, a ``file://`` or an ``s3://bucket/path`` address."""
    if uri.startswith("s3://"):
        return S3Storage(uri)
    if "://" in uri and not uri.startswith("file://"):
        raise DataError(f"{uri}: unknown kind of address; write a local path or s3://bucket/path")
    return LocalStorage(uri.removeprefix("file://"))


def head_of(storage: Storage) -> tuple[str | None, str | None]:
    """Return the root that ``HEAD`` names and the tag of that state, (None, None) when there is no ``HEAD``."""
    content, tag = (None, None) if storage.single else storage.state(HEAD)
    if content is None:
        return None, None
    root = content.decode("ascii", "replace").strip()
    if not _ROOT.fullmatch(root):
        raise DataError(
            f"{storage.uri}/HEAD holds {root[:80]!r}, not a root; write the name of one of manifests/*.json into it"
        )
    return root, tag


def move_head(storage: Storage, root: str, tag: str | None) -> bool:
    """Point ``HEAD`` at `root` if its state is still `tag`; return whether it names `root` now."""
    return storage.swap(HEAD, f"{root}\n".encode(), tag)


class LocalStorage:
    """A folder, or a single file seen as a folder with one member."""

    def __init__(self, path: str) -> None:
        place = Path(path).expanduser().absolute()
        self.uri = str(place)
        self.single = place.is_file()
        self._folder = place.parent if self.single else place

    def read(self, path: str) -> bytes | None:
        """Return the bytes of `path`, None when there is no such file."""
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(f"cannot read {self._folder / path}: {error.strerror}; check its permissions") from error

    def write(self, path: str, content: bytes) -> None:
        """Create `path` whole or not at all."""
        atomic_write(self._folder / path, content)

    def files(self) -> list[str]:
        """Return the paths of all files that are not hidden, sorted."""
        if self.single:
            return [self.uri.rpartition("/")[2]]
        try:
            found = [entry.relative_to(self._folder) for entry in self._folder.rglob("*") if entry.is_file()]
        except OSError as error:
            raise DataError(f"cannot list {self._folder}: {error.strerror}; check its permissions") from error
        return sorted(entry.as_posix() for entry in found if not any(part.startswith(".") for part in entry.parts))

    def state(self, path: str) -> tuple[bytes | None, str | None]:
        """Return the content of `path` and its digest as a tag."""
        content = self.read(path)
        return content, None if content is None else hashlib.sha256(content).hexdigest()

    def swap(self, path: str, content: bytes, tag: str | None) -> bool:
        """Compare and replace `path` under a lock that dies with its process."""
        with self._lock():
            if self.state(path)[1] != tag:
                return False
            self.write(path, content)
            return True

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"cannot lock {self._folder}: {error.strerror}; choose a place you may write") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def arrow(self) -> tuple[Any, str]:
        """Return pyarrow's local filesystem and the folder."""
        from pyarrow import fs  # keeps `--help` light

        return fs.LocalFileSystem(), f"{self._folder}/"


class S3Storage:
    """A prefix of an S3 bucket: pyarrow reads parts of data files; all else are whole objects, put on conditions."""

    single = False

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        if not re.fullmatch(r"s3://[^/]+/.+", self.uri):
            raise DataError(f"{uri}: write s3://bucket/path")
        self._objects = Objects(self.uri)
        self._fs: Any = None

    def read(self, path: str) -> bytes | None:
        """Return the bytes of `path`, None when there is no such object."""
        return self.state(path)[0]

    def write(self, path: str, content: bytes) -> None:
        """Put `path` where nothing is.

        Raises
        ------
        DataError
            It is there with other content.
        """
        self._objects.create(path, content)

    def state(self, path: str) -> tuple[bytes | None, str | None]:
        """Return the content of `path` and its ETag."""
        return self._objects.get(path) or (None, None)

    def swap(self, path: str, content: bytes, tag: str | None) -> bool:
        """Put `path` on condition that its ETag is still `tag`, or that it is absent when `tag` is None."""
        return self._objects.swap(path, content, tag) is not None

    def files(self) -> list[str]:
        """Return the paths of all objects under the prefix, sorted."""
        from pyarrow import fs  # keeps `--help` light

        filesystem, base = self.arrow()
        try:
            selector = fs.FileSelector(base.rstrip("/"), recursive=True, allow_not_found=True)
            found = filesystem.get_file_info(selector)
        except OSError as error:
            raise ClusterError(f"cannot list {self.uri}: {error}; check address, credentials and network") from error
        return sorted(info.path.removeprefix(base) for info in found if info.type == fs.FileType.File)

    def arrow(self) -> tuple[Any, str]:
        """Return pyarrow's S3 filesystem and the prefix."""
        from pyarrow import fs  # keeps `--help` light

        if self._fs is None:
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            options: dict[str, Any] = self._objects.access()
            if endpoint:
                scheme, _, address = endpoint.partition("://")
                options |= {"scheme": scheme, "endpoint_override": address.rstrip("/")}
            self._fs = fs.S3FileSystem(connect_timeout=10, request_timeout=60, **options)
        return self._fs, f"{self._objects.bucket}/{self._objects.prefix}/"
