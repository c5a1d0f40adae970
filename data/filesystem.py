"""Where a dataset's bytes lie: a local folder or an S3 prefix behind one small interface.

Files are written whole and never changed; only ``HEAD`` moves, by compare-and-swap. Readers see the old version until
it has moved. Any number of processes may read and append at once.
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
        """Create `path` whole or not at all; an existing file is replaced in one step."""

    def files(self) -> list[str]:
        """Return the paths of all files, sorted; empty when the place does not exist."""

    def head(self) -> tuple[str | None, str | None]:
        """Return the root that ``HEAD`` names and a tag of that state, (None, None) when there is no ``HEAD``."""

    def move_head(self, root: str, tag: str | None) -> bool:
        """Point ``HEAD`` at `root` if its state is still `tag`; return whether it was."""

    def arrow(self) -> tuple[Any, str]:
        """Return a pyarrow filesystem and the prefix to put before a path."""


def storage_at(uri: str) -> Storage:
    """Return the storage for a local path, a ``file://`` or an ``s3://bucket/path`` address."""
    if uri.startswith("s3://"):
        return S3Storage(uri)
    if "://" in uri and not uri.startswith("file://"):
        raise DataError(f"{uri}: unknown kind of address; write a local path or s3://bucket/path")
    return LocalStorage(uri.removeprefix("file://"))


def _root_in(content: bytes, uri: str) -> str:
    root = content.decode("ascii", "replace").strip()
    if not _ROOT.fullmatch(root):
        raise DataError(
            f"{uri}/HEAD holds {root[:80]!r}, not a root; write the name of one of manifests/*.json into it"
        )
    return root


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

    def head(self) -> tuple[str | None, str | None]:
        """Return the root in ``HEAD`` and the file's content as its tag."""
        content = None if self.single else self.read(HEAD)
        return (None, None) if content is None else (_root_in(content, self.uri), hashlib.sha256(content).hexdigest())

    def move_head(self, root: str, tag: str | None) -> bool:
        """Compare and replace ``HEAD`` under a lock that dies with its process."""
        with self._lock():
            if self.head()[1] != tag:
                return False
            self.write(HEAD, f"{root}\n".encode())
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
    """A prefix of an S3 bucket: pyarrow moves the data, boto3 only ``HEAD`` (pyarrow has no conditional put)."""

    single = False

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self._bucket, _, self._prefix = self.uri.removeprefix("s3://").partition("/")
        if not self._bucket or not self._prefix:
            raise DataError(f"{uri}: write s3://bucket/path")
        self._fs: Any = None

    def _filesystem(self) -> Any:
        from pyarrow import fs  # keeps `--help` light

        if self._fs is None:
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            options: dict[str, Any] = {"region": region} if region else {}
            if endpoint:
                scheme, _, address = endpoint.partition("://")
                options |= {"scheme": scheme, "endpoint_override": address.rstrip("/")}
            self._fs = fs.S3FileSystem(connect_timeout=10, request_timeout=60, **options)
        return self._fs

    def _path(self, path: str) -> str:
        return f"{self._bucket}/{self._prefix}/{path}"

    def read(self, path: str) -> bytes | None:
        """Return the bytes of `path`, None when there is no such object."""
        try:
            with self._filesystem().open_input_stream(self._path(path)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failure("read", path, error) from error

    def write(self, path: str, content: bytes) -> None:
        """Create `path`; S3 shows an object only when it is complete."""
        try:
            with self._filesystem().open_output_stream(self._path(path)) as stream:
                stream.write(content)
        except OSError as error:
            raise self._failure("write", path, error) from error

    def files(self) -> list[str]:
        """Return the paths of all objects under the prefix, sorted."""
        from pyarrow import fs  # keeps `--help` light

        base = self._path("")
        try:
            selector = fs.FileSelector(base.rstrip("/"), recursive=True, allow_not_found=True)
            found = self._filesystem().get_file_info(selector)
        except OSError as error:
            raise self._failure("list", "", error) from error
        return sorted(info.path.removeprefix(base) for info in found if info.type == fs.FileType.File)

    def head(self) -> tuple[str | None, str | None]:
        """Return the root in ``HEAD`` and its ETag."""
        client, failures = self._client()
        try:
            reply = client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{HEAD}")
            return _root_in(reply["Body"].read(), self.uri), str(reply["ETag"])
        except failures as error:
            if getattr(error, "response", {}).get("Error", {}).get("Code") == "NoSuchKey":
                return None, None
            raise self._failure("read", HEAD, error) from error

    def move_head(self, root: str, tag: str | None) -> bool:
        """Put ``HEAD`` on condition that its ETag is still `tag`, or that it is absent when `tag` is None."""
        client, failures = self._client()
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{HEAD}", Body=f"{root}\n".encode(), **condition)
        except failures as error:
            if getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode") in {409, 412}:
                return False
            raise self._failure("write", HEAD, error) from error
        return True

    def _client(self) -> tuple[Any, tuple[type[Exception], ...]]:
        try:
            import boto3  # an extra
            from botocore.exceptions import BotoCoreError, ClientError  # an extra
        except ImportError as error:
            raise ConfigError(f"{self.uri}: boto3 is not installed; install longtail[s3]") from error
        try:
            return boto3.client("s3"), (BotoCoreError, ClientError)
        except BotoCoreError as error:
            raise self._failure("reach", "", error) from error

    def _failure(self, action: str, path: str, error: Exception) -> ClusterError:
        return ClusterError(f"cannot {action} {self.uri}/{path}: {error}; check address, credentials and network")

    def arrow(self) -> tuple[Any, str]:
        """Return pyarrow's S3 filesystem and the prefix."""
        return self._filesystem(), self._path("")
