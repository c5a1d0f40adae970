"""Merkle trees: one hash for a list of byte strings, and short proofs that one of them is in it.

The tree of RFC 6962 and RFC 9162, section 2.1, over SHA-256: a leaf is hashed behind a byte 0x00 and a node behind 0x01, so
neither passes for the other; a node without a sibling moves up as it is. Hashes are 64 lower-case hex digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from protocol.errors import RefusedError
from protocol.head.wire import fields_of, list_of, whole
from protocol.ledger.kinds import is_hash

#: Root of no leaves: SHA-256 of nothing.
EMPTY_ROOT = hashlib.sha256(b"").hexdigest()
MAX_SIZE = 2**32


@dataclass(frozen=True, slots=True)
class Proof:
    """That a leaf is at a place in a tree.

    Attributes
    ----------
    index : int
        Place of the leaf, from 0.
    size : int
        Leaves of the tree.
    path : tuple of str
        Hashes of the siblings on the way up, 64 hex digits each.

    Raises
    ------
    RefusedError
        The index is not below the size, or a sibling is no hash.
    """

    index: int
    size: int
    path: tuple[str, ...]

    def __post_init__(self) -> None:
        whole(self.size, "the size of a tree", 1, MAX_SIZE)
        whole(self.index, "the index of a leaf", 0, self.size - 1)
        if not all(is_hash(sibling) for sibling in self.path):
            raise RefusedError("a sibling in a proof is no hash; write 64 lower-case hex digits")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"index": self.index, "path": list(self.path), "size": self.size}

    @classmethod
    def from_dict(cls, raw: object) -> Self:
        """Read a proof that a stranger wrote."""
        values = fields_of(raw, "a proof", ("index", "size", "path"))
        return cls(values["index"], values["size"], tuple(list_of(values["path"], "the path of a proof")))


def root(leaves: Sequence[bytes]) -> str:
    """Return the root of a list of leaves."""
    return _levels(leaves)[-1][0].hex() if leaves else EMPTY_ROOT


def prove(leaves: Sequence[bytes], index: int) -> Proof:
    """Return the proof that ``leaves[index]`` is in the tree.

    Raises
    ------
    RefusedError
        There is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise RefusedError(f"there is no leaf {index} among {len(leaves)}")
    place, path = index, []
    for level in _levels(leaves)[:-1]:
        if place ^ 1 < len(level):
            path.append(level[place ^ 1].hex())
        place >>= 1
    return Proof(index, len(leaves), tuple(path))


def verify(tree_root: str, size: int, leaf: bytes, proof: Proof) -> bool:
    """Return whether `proof` shows that `leaf` is in the tree of `size` leaves with that root; RFC 9162, 2.1.3.2.

    The size is needed because a root does not tell it; whoever publishes a root publishes the size.
    """
    place, last, digest = proof.index, proof.size - 1, _leaf(leaf)
    for sibling in map(bytes.fromhex, proof.path):
        if last == 0:
            return False
        if place & 1 or place == last:
            digest = _node(sibling, digest)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            digest = _node(digest, sibling)
        place, last = place >> 1, last >> 1
    return proof.size == size and last == 0 and digest.hex() == tree_root


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the hashes of every level, leaves first, root last."""
    level = [_leaf(data) for data in leaves]
    levels = [level]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)] + odd
        levels.append(level)
    return levels
