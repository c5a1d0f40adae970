"""The tree against the test vectors of Certificate Transparency, against a recursive definition, and against forgers."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RefusedError
from protocol.head.merkle import EMPTY_ROOT, Proof, prove, root, verify

#: Leaves and roots of the first 0 to 8 of them, from the reference implementation of RFC 6962.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
trees = st.lists(st.binary(max_size=40), min_size=1, max_size=33)


def recursive(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word by word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + recursive(leaves[:k]) + recursive(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    assert root(LEAVES[:size]) == ROOTS[size]


def test_known_proof() -> None:
    """RFC 9162, 2.1.5: the path of the last of seven leaves is the hash of leaves 4 and 5, and the root of the first four."""
    assert prove(LEAVES[:7], 6) == Proof(6, 7, (root(LEAVES[4:6]), ROOTS[4]))
    assert prove(LEAVES[:1], 0) == Proof(0, 1, ())


@given(trees)
def test_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert root(leaves) == recursive(leaves).hex()


@given(trees, st.data())
def test_every_leaf_has_a_proof_and_no_other_leaf_root_size_or_path_fits_it(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, top, size = prove(leaves, index), root(leaves), len(leaves)
    assert verify(top, size, leaves[index], proof)
    assert not verify(top, size, leaves[index] + b"x", proof)
    assert not verify(flipped(top, data), size, leaves[index], proof)
    assert not verify(top, size + 1, leaves[index], proof)
    assert not verify(top, size, leaves[index], replace(proof, path=(*proof.path, top)))
    assert verify(top, size, leaves[index], Proof.from_dict(proof.to_dict()))
    for place in range(len(leaves)):
        if place != index:
            assert not verify(top, size, leaves[index] + b"y", replace(proof, index=place))
            assert leaves[place] == leaves[index] or not verify(top, size, leaves[index], replace(proof, index=place))
    if proof.path:
        at = data.draw(st.integers(0, len(proof.path) - 1))
        bent = (*proof.path[:at], flipped(proof.path[at], data), *proof.path[at + 1 :])
        assert not verify(top, size, leaves[index], replace(proof, path=bent))
        assert not verify(top, size, leaves[index], replace(proof, path=proof.path[:-1]))


def flipped(digest: str, data: st.DataObject) -> str:
    return f"{int(digest, 16) ^ 1 << data.draw(st.integers(0, 255)):064x}"


def test_a_node_is_no_leaf() -> None:
    """Without domain separation the two children of a node, taken as a leaf, would be in the tree."""
    children = b"".join(bytes.fromhex(root([leaf])) for leaf in LEAVES[:2])
    assert root([children]) != root(LEAVES[:2])
    assert not verify(root(LEAVES[:2]), 1, children, Proof(0, 1, ()))


def test_a_path_longer_than_the_tree_is_no_proof() -> None:
    """Even where a size was published that does not fit the root."""
    first = root(LEAVES[:1])
    assert verify(root(LEAVES[:2]), 2, LEAVES[1], Proof(1, 2, (first,)))
    assert not verify(root(LEAVES[:2]), 1, LEAVES[1], Proof(0, 1, (first,)))


def test_a_doubled_last_leaf_is_another_tree() -> None:
    assert root(LEAVES[:3]) != root([*LEAVES[:3], LEAVES[2]])


def test_the_empty_tree_holds_nothing() -> None:
    assert root([]) == EMPTY_ROOT
    assert not verify(EMPTY_ROOT, 0, b"", Proof(0, 1, ()))
    with pytest.raises(RefusedError, match="no leaf 0 among 0"):
        prove([], 0)


@pytest.mark.parametrize(
    "bad",
    [
        {"index": 2, "size": 2, "path": []},
        {"index": -1, "size": 2, "path": []},
        {"index": True, "size": 2, "path": []},
        {"index": 0, "size": 0, "path": []},
        {"index": 0, "size": 2**40, "path": []},
        {"index": 0, "size": 1, "path": ["AB" * 32]},
        {"index": 0, "size": 1, "path": "ab" * 32},
        {"index": 0, "size": 1},
        {"index": 0, "size": 1, "path": [], "more": 1},
        [],
        None,
    ],
)
def test_bad_proofs_are_refused(bad: object) -> None:
    with pytest.raises(RefusedError):
        Proof.from_dict(bad)
