"""EIP-712 digests against an independent computation that itself reproduces the example of the EIP."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import keccak256
from protocol.errors import RefusedError
from protocol.keys import Key, recover
from protocol.typed_data import Domain, typed_digest

AUTHOR = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
FIELDS = (
    ("author", "address"),
    ("nonce", "uint256"),
    ("payload", "bytes32"),
    ("score", "int256"),
    ("fine", "bool"),
    ("topic", "string"),
)
VALUES: dict[str, Any] = {
    "author": AUTHOR,
    "nonce": 7,
    "payload": "ab" * 32,
    "score": -5,
    "fine": True,
    "topic": "us-daily ü",
}
DOMAIN = Domain(chain_id=31337, salt="cd" * 32)
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"


def word(kind: str, value: Any) -> bytes:
    """Return a value as the 32 bytes of `encodeData`, written down from the text of EIP-712."""
    if kind == "string":
        return keccak256(value.encode())
    if kind == "bytes32":
        return bytes.fromhex(value)
    return (int(value, 16) if kind == "address" else int(value)).to_bytes(32, "big", signed=kind == "int256")


def hashed(type_text: str, *words: bytes) -> bytes:
    return keccak256(keccak256(type_text.encode()) + b"".join(words))


def by_hand(domain: Domain, kind: str, fields: Any, values: dict[str, Any]) -> bytes:
    place = hashed(
        DOMAIN_TYPE,
        word("string", domain.name),
        word("string", domain.version),
        word("uint256", domain.chain_id),
        word("bytes32", domain.salt),
    )
    type_text = f"{kind}({','.join(f'{type_} {name}' for name, type_ in fields)})"
    return keccak256(b"\x19\x01" + place + hashed(type_text, *(word(type_, values[name]) for name, type_ in fields)))


def test_the_hand_computation_and_the_signature_are_those_of_the_eip() -> None:
    person, mail = "Person(string name,address wallet)", "Mail(Person from,Person to,string contents)"
    cow, bob = "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"
    place = hashed(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
        word("string", "Ether Mail"),
        word("string", "1"),
        word("uint256", 1),
        word("address", "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"),
    )
    assert place.hex() == "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    struct = hashed(
        mail + person,
        hashed(person, word("string", "Cow"), word("address", cow)),
        hashed(person, word("string", "Bob"), word("address", bob)),
        word("string", "Hello, Bob!"),
    )
    digest = keccak256(b"\x19\x01" + place + struct)
    assert digest.hex() == "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    key = Key.from_secret(keccak256(b"cow"))
    assert key.address == cow
    assert key.sign(digest) == (
        "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
        "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c"
    )
    assert recover(digest, key.sign(digest)) == cow


def test_the_digest_equals_the_hand_computation() -> None:
    assert typed_digest(DOMAIN, "Sample", FIELDS, VALUES) == by_hand(DOMAIN, "Sample", FIELDS, VALUES)


@given(
    st.integers(min_value=0, max_value=2**256 - 1),
    st.integers(min_value=-(2**255), max_value=2**255 - 1),
    st.binary(min_size=32, max_size=32),
    st.text(),
    st.booleans(),
)
def test_every_value_of_the_types_is_encoded_as_written_in_the_eip(
    nonce: int, score: int, payload: bytes, topic: str, fine: bool
) -> None:
    values = {**VALUES, "nonce": nonce, "score": score, "payload": payload.hex(), "topic": topic, "fine": fine}
    assert typed_digest(DOMAIN, "Sample", FIELDS, values) == by_hand(DOMAIN, "Sample", FIELDS, values)


def test_nothing_signed_fits_another_place() -> None:
    places = [
        (DOMAIN, "Sample", FIELDS, VALUES),
        (Domain(chain_id=1, salt=DOMAIN.salt), "Sample", FIELDS, VALUES),
        (Domain(chain_id=31337, salt="ce" * 32), "Sample", FIELDS, VALUES),
        (Domain(chain_id=31337, salt=DOMAIN.salt, name="other"), "Sample", FIELDS, VALUES),
        (Domain(chain_id=31337, salt=DOMAIN.salt, version="2"), "Sample", FIELDS, VALUES),
        (DOMAIN, "Other", FIELDS, VALUES),
        (DOMAIN, "Sample", (FIELDS[0], FIELDS[2], FIELDS[1], *FIELDS[3:]), VALUES),
        (DOMAIN, "Sample", FIELDS, {**VALUES, "nonce": 8}),
    ]
    assert len({typed_digest(*place) for place in places}) == len(places)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("author", AUTHOR.lower()),
        ("author", AUTHOR[2:]),
        ("author", 5),
        ("nonce", -1),
        ("nonce", 2**256),
        ("nonce", True),
        ("nonce", "7"),
        ("nonce", 7.0),
        ("payload", "0x" + "ab" * 32),
        ("payload", "AB" * 32),
        ("payload", "ab" * 31),
        ("payload", b"\xab" * 32),
        ("score", 2**255),
        ("score", None),
        ("fine", 1),
        ("topic", b"us-daily"),
        ("topic", "\ud800"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RefusedError, match=f"{name} = |address .* hex digits"):
        typed_digest(DOMAIN, "Sample", FIELDS, {**VALUES, name: value})


@pytest.mark.parametrize("domain", [Domain(chain_id=-1, salt="cd" * 32), Domain(chain_id=1, salt="cd")])
def test_a_domain_that_is_none_is_refused(domain: Domain) -> None:
    with pytest.raises(RefusedError, match=r"chain_id|salt"):
        typed_digest(domain, "Sample", FIELDS, VALUES)


def test_missing_and_superfluous_fields_are_refused() -> None:
    with pytest.raises(RefusedError, match="superfluous: nonce"):
        typed_digest(DOMAIN, "Sample", FIELDS, {name: value for name, value in VALUES.items() if name != "nonce"})
    with pytest.raises(RefusedError, match="superfluous: more"):
        typed_digest(DOMAIN, "Sample", FIELDS, {**VALUES, "more": 1})


LIMIT = """
import json, sys
before = sys.getrecursionlimit()
from protocol.keys import Key
from protocol.typed_data import Domain, typed_digest
key = Key.create()
typed_digest(Domain(1, "00" * 32), "Sample", [("author", "address")], {"author": key.address})
Key.from_keystore(key.to_keystore("x", iterations=2), "x")
assert "py_ecc" in sys.modules, "py_ecc has gone: protocol.ethereum is no longer needed"
try:
    json.loads("[" * 200_000)
except RecursionError:
    print(sys.getrecursionlimit() == before)
"""


def test_deeply_nested_text_still_ends_in_an_exception() -> None:
    """In another process: this one would die of it."""
    done = subprocess.run([sys.executable, "-c", LIMIT], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr[-300:]
