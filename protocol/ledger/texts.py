"""Texts of modules that a ledger names by their hash and does not hold itself."""

from __future__ import annotations

import hashlib
from typing import Protocol

from protocol.errors import DataError
from protocol.ledger.calls import text_of
from protocol.ledger.evm_cache import Cache
from protocol.ledger.kinds import source_hash


class TextMissingError(DataError):
    """The text of a module is neither on the ledger nor where its readers look for it."""


class Texts(Protocol):
    """A place for texts by their sha256. Whoever reads checks the hash; nothing in it is trusted."""

    def get(self, block_hash: str) -> bytes | None:
        """Return what lies under a hash, at most one byte more than a module may have; None where nothing does."""

    def put(self, block_hash: str, text: bytes) -> None:
        """Keep a text; again is no error.

        Raises
        ------
        LongtailError
            It cannot be kept; nothing of it is there.
        """


class CheckedTexts:
    """Texts of a place, checked, and kept once they were read: a place may lose them.

    Parameters
    ----------
    cache : Cache
    place : Texts, optional
    """

    def __init__(self, cache: Cache, place: Texts | None) -> None:
        self._cache, self._place = cache, place

    def put(self, text: str) -> bool:
        """Put a text where the ledger need not hold it; False if there is no such place. Errors as in :meth:`Texts.put`."""
        if self._place is not None:
            self._place.put(source_hash(text), text.encode())
        return self._place is not None

    def read(self, block_hash: str) -> str:
        """Return the text of a hash.

        Raises
        ------
        TextMissingError
            Nothing is known of it, or what lies there is another text.
        ConfigError, ClusterError
            The place cannot be asked.
        """
        kept = self._cache.text(block_hash)
        if kept is not None:
            return kept
        content = self._place.get(block_hash) if self._place else None
        found = content and hashlib.sha256(content).hexdigest() == block_hash
        text = text_of(content) if content and found else None
        if text is None:
            state = "is another text" if content else "is missing"
            where = (
                f"in `modules` {state}" if self._place else "is elsewhere: set `modules` to where its miners put texts"
            )
            raise TextMissingError(f"module {block_hash}: the ledger has its hash only, and its text {where}")
        self._cache.keep(block_hash, text)
        return text
