"""Objects below one S3 prefix. A put says what it expects to find, so nothing is overwritten unseen.

An answer can be lost after S3 has done what was asked, and botocore asks again by itself: then the condition fails over our
own object. So a condition that failed counts only where what is there is not what was to be put.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
from typing import Any

from protocol.errors import ClusterError, ConfigError, DataError, LongtailError, RefusedError

#: A put that meets another one under way is tried so often, with growing pauses in seconds.
TRIES, PAUSE_S = 6, 0.05
#: Seconds: to connect, and for an answer.
CONNECT_S, READ_S = 10, 60
_CONNECTING = threading.Lock()  # making clients is not thread-safe, using them is


class Objects:
    """A prefix of a bucket; threads may share one.

    Parameters
    ----------
    uri : str
        ``s3://BUCKET`` or ``s3://BUCKET/PATH``.
    client : boto3 client, optional
        Default: one by the usual AWS variables, made at the first request.

    Raises
    ------
    ConfigError
        `uri` is something else.
    """

    def __init__(self, uri: str, client: Any = None) -> None:
        named = re.fullmatch(r"s3://([^/]+)/*(.*?)/*", uri)
        if named is None:
            raise ConfigError(f"{uri!r} is no place in S3; write s3://BUCKET/PATH")
        self.bucket, self.prefix = named[1], named[2]
        self.uri = uri.rstrip("/")
        self._client = client

    def connect(self) -> Any:
        """Return the boto3 client, made at the first call; S3 is not asked.

        Raises
        ------
        ConfigError
            boto3 is not installed, or the AWS configuration cannot be used.
        """
        with _CONNECTING:
            if self._client is None:
                self._client = self._made()
            return self._client

    def access(self) -> dict[str, str]:
        """Return region, keys and token of now as ``pyarrow.fs.S3FileSystem`` takes them: what boto3 finds, it may not.

        Raises
        ------
        ConfigError
            The AWS configuration cannot be used.
        """
        self.connect()  # tells of a missing library
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            session = boto3.session.Session()
            keys = session.get_credentials()
            found = keys.get_frozen_credentials() if keys else None
        except BotoCoreError as error:
            raise ConfigError(f"{self.uri} cannot be asked: {error}; check the AWS configuration") from error
        values = {
            "region": session.region_name,
            "access_key": found and found.access_key,
            "secret_key": found and found.secret_key,
            "session_token": found and found.token,
        }
        return {name: value for name, value in values.items() if value}

    def address(self, path: str) -> str:
        """Return the whole address of an object."""
        return f"{self.uri}/{path}"

    def get(self, path: str, most: int | None = None) -> tuple[bytes, str] | None:
        """Return content and tag of an object, None where none is.

        Parameters
        ----------
        path : str
            Below the prefix.
        most : int, optional
            Bytes after which reading stops.

        Raises
        ------
        ConfigError, ClusterError
            The bucket does not exist, the credentials do not suffice, or S3 does not answer.
        """
        client = self.connect()
        try:
            reply = client.get_object(**self._named(path))
            with reply["Body"] as body:
                return bytes(body.read(most)), str(reply["ETag"])
        except _boto_errors() as error:
            if _code(error) == "NoSuchKey":
                return None
            raise self._failure("read", path, error) from error

    def create(self, path: str, content: bytes) -> bool:
        """Put an object that never changes; return whether it was not there yet.

        Raises
        ------
        DataError
            It is there with other content.
        ConfigError, ClusterError
            As for :meth:`get`.
        """
        client, checksum = self.connect(), base64.b64encode(hashlib.sha256(content).digest()).decode()
        for attempt in range(TRIES):
            try:
                client.put_object(**self._named(path), Body=content, IfNoneMatch="*", ChecksumSHA256=checksum)
            except _boto_errors() as error:
                self._condition_failed(path, error)
            else:
                return True
            same = self._is(path, content, checksum)
            if same:
                return False
            if same is False:
                raise DataError(
                    f"{self.address(path)} is there with other content and never changes; remove it if it is damaged, or "
                    "write to another place"
                )
            time.sleep(PAUSE_S * attempt)
        raise self._busy(path)

    def swap(self, path: str, content: bytes, tag: str | None) -> str | None:
        """Put an object if its state is still `tag` (None: it is not there); return its new tag, None if the state is another.

        Raises
        ------
        ConfigError, ClusterError
            As for :meth:`get`. The object may have been put.
        """
        client, condition = self.connect(), {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        for attempt in range(TRIES):
            try:
                return str(client.put_object(**self._named(path), Body=content, **condition)["ETag"])
            except _boto_errors() as error:
                self._condition_failed(path, error)
            there = self.get(path)
            if there is not None and there[0] == content:
                return there[1]
            if (there[1] if there else None) != tag:
                return None
            time.sleep(PAUSE_S * attempt)
        raise self._busy(path)

    def _named(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{path}" if self.prefix else path}

    def _is(self, path: str, content: bytes, checksum: str) -> bool | None:
        """Return whether an object has this content, None where none is; S3 is asked for its digest before the content."""
        try:
            about = self.connect().head_object(**self._named(path), ChecksumMode="ENABLED")
        except _boto_errors() as error:
            if _code(error) in {"404", "NoSuchKey"}:
                return None
            raise self._failure("read", path, error) from error
        if about["ContentLength"] != len(content):
            return False
        if "ChecksumSHA256" in about:
            return bool(about["ChecksumSHA256"] == checksum)
        there = self.get(path)
        return None if there is None else there[0] == content

    def _made(self) -> Any:
        try:
            import boto3  # an extra
            from botocore.config import Config  # an extra
            from botocore.exceptions import BotoCoreError  # an extra
        except ImportError as error:
            raise ConfigError(f"{self.uri}: boto3 is not installed; install longtail[s3]") from error
        try:
            return boto3.client("s3", config=Config(connect_timeout=CONNECT_S, read_timeout=READ_S))
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(
                f"{self.uri} cannot be asked: {error}; check the AWS configuration and AWS_ENDPOINT_URL"
            ) from error

    def _condition_failed(self, path: str, error: Exception) -> None:
        """Return if a condition failed or another put was under way; else raise what the error means."""
        # A put with If-Match where nothing is has the answer NoSuchKey.
        if _status(error) not in {409, 412} and _code(error) != "NoSuchKey":
            raise self._failure("write", path, error) from error

    def _failure(self, action: str, path: str, error: Exception) -> LongtailError:
        from botocore.exceptions import NoCredentialsError, PartialCredentialsError

        from infra.ec2.client import BAD_CREDENTIALS, DENIALS  # knows AWS's words

        what, words = f"cannot {action} {self.address(path)}", " ".join(str(error).split())
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            return ConfigError(
                f"{what}: no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE, or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if _code(error) == "NoSuchBucket":
            return ConfigError(f"{what}: the bucket {self.bucket} does not exist; create it, or name another")
        if _code(error) in {*DENIALS, *BAD_CREDENTIALS, "InvalidAccessKeyId", "403"}:
            return ConfigError(f"{what}: {words}; renew the AWS credentials, or allow them that action on the bucket")
        return ClusterError(f"{what}: {words}; check address, credentials and network")

    def _busy(self, path: str) -> ClusterError:
        return ClusterError(f"{self.address(path)} is being written by others all the time; try again")


def read_named(uri: str, suffix: str, most: int) -> bytes:
    """Return the object at ``s3://…/SHA256`` and `suffix`, after a look at whether it is what its name says.

    Parameters
    ----------
    uri, suffix : str
    most : int
        Bytes it may have.

    Raises
    ------
    ConfigError, ClusterError
        The name is no digest, there is no such object, or it cannot be read.
    DataError
        It is not what its name says.
    RefusedError
        It is larger than allowed.
    """
    place, _, name = uri.rpartition("/")
    if not re.fullmatch(rf"[0-9a-f]{{64}}{re.escape(suffix)}", name):
        raise ConfigError(f"{uri}: the name must be the sha256 of the content and {suffix}, 64 hexadecimal digits")
    found = Objects(place).get(name, most + 1)
    if found is None:
        raise ConfigError(f"{uri} does not exist; check bucket, path and digits")
    content = found[0]
    if len(content) > most:
        raise RefusedError(f"{uri} has more than {most:,} bytes, which is what it may have")
    digest = hashlib.sha256(content).hexdigest()
    if digest != name.removesuffix(suffix):
        raise DataError(f"{uri} is damaged: its sha256 is {digest}; put it there again")
    return content


def _boto_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError  # an extra; there once a client is

    return BotoCoreError, ClientError


def _code(error: Exception) -> str:
    return str(_reply(error).get("Error", {}).get("Code", ""))


def _status(error: Exception) -> int:
    return int(_reply(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _reply(error: Exception) -> dict[str, Any]:
    return getattr(error, "response", None) or {}  # None where the connection broke
