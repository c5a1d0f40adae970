"""Where the texts of modules are that a ledger on a chain names by hash only: a folder, or a prefix of an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from infra.files import atomic_write
from infra.objects import Objects
from protocol.errors import ConfigError
from protocol.ledger.kinds import MAX_SOURCE_BYTES
from protocol.ledger.texts import Texts

_SUFFIX = ".py"


class FolderTexts:
    """Texts as files ``HASH.py``.

    Parameters
    ----------
    folder : Path
        Made when the first text is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, block_hash: str) -> bytes | None:
        """Return what lies under a hash; see :class:`protocol.ledger.texts.Texts`.

        Raises
        ------
        ConfigError
            It is there and cannot be read.
        """
        path = self._folder / (block_hash + _SUFFIX)
        try:
            with path.open("rb") as file:
                return file.read(MAX_SOURCE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"module {path} cannot be read: {error.strerror}") from error

    def put(self, block_hash: str, text: bytes) -> None:
        """Keep a text; see :class:`protocol.ledger.texts.Texts`.

        Raises
        ------
        ConfigError
            The folder cannot be written.
        """
        atomic_write(self._folder / (block_hash + _SUFFIX), text)


class BucketTexts:
    """Texts as objects ``HASH.py`` below ``s3://BUCKET/PATH``."""

    def __init__(self, uri: str) -> None:
        self._objects = Objects(uri)

    def get(self, block_hash: str) -> bytes | None:
        """Return what lies under a hash; errors of S3 as in :meth:`infra.objects.Objects.get`."""
        found = self._objects.get(block_hash + _SUFFIX, MAX_SOURCE_BYTES + 1)
        return found[0] if found else None

    def put(self, block_hash: str, text: bytes) -> None:
        """Keep a text; errors as in :meth:`infra.objects.Objects.create`."""
        self._objects.create(block_hash + _SUFFIX, text)


def find_texts(place: str) -> Texts | None:
    """Return the place that a setting names; None if it names none.

    Raises
    ------
    ConfigError
        It begins like an S3 address and is none.
    """
    if not place:
        return None
    return BucketTexts(place) if place.startswith("s3://") else FolderTexts(Path(place).expanduser().absolute())
