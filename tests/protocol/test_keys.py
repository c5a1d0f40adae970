"""Keys and addresses against published vectors; signatures have one spelling and one author."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.addresses import bech32, checksum_address, keccak256, ripemd160
from protocol.errors import ConfigError, RefusedError
from protocol.keys import ORDER, Key, address_of, recover, verify_cosmos

ONE = Key.from_secret(bytes(31) + b"\x01")
SECRETS = st.integers(min_value=1, max_value=ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


def spelled(r: int, s: int, v: int) -> str:
    return f"0x{r:064x}{s:064x}{v:02x}"


def test_the_key_one_has_its_published_addresses() -> None:
    assert ONE.address == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
    assert ONE.cosmos_address == "cosmos1w508d6qejxtdg4y5r3zarvary0c5xw7k6ah60c"
    assert ONE.public_key == "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    "address",
    [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ],
)
def test_checksums_of_eip_55(address: str) -> None:
    assert checksum_address(address.lower()) == address
    assert checksum_address("0x" + address[2:].upper()) == address


@pytest.mark.parametrize(
    "text", ["", "0x", "7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "0x" + "g" * 40, "0x" + "0" * 41, 7]
)
def test_what_is_no_address_is_refused(text: Any) -> None:
    with pytest.raises(RefusedError, match="40 hex digits"):
        checksum_address(text)


@pytest.mark.parametrize(
    ("prefix", "data", "text"),
    [
        ("a", "", "a12uel5l"),
        ("abcdef", "00443214c74254b635cf84653a56d7c675be77df", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw"),
        (
            "split",
            "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d",
            "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
        ),
        (
            "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio",
            "",
            "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
        ),
    ],
)
def test_bech32_of_bip_173(prefix: str, data: str, text: str) -> None:
    assert bech32(prefix, bytes.fromhex(data)) == text


def test_hashes_with_and_without_the_legacy_algorithms_of_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"

    def without(name: str, _data: bytes = b"") -> None:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(hashlib, "new", without)
    assert ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        (
            b"Satoshi Nakamoto",
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        ),
        (
            b"All those moments will be lost in time, like tears in rain. Time to die...",
            "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
            "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
        ),
    ],
)
def test_signing_is_deterministic_as_in_rfc_6979(message: bytes, signature: str) -> None:
    assert ONE.sign_cosmos(message) == signature
    verify_cosmos(ONE.public_key, message, signature, ONE.cosmos_address)


@given(SECRETS, DIGESTS)
def test_the_signer_is_recovered(secret: bytes, digest: bytes) -> None:
    key = Key.from_secret(secret)
    assert recover(digest, key.sign(digest)) == key.address


@given(SECRETS, DIGESTS, st.integers(min_value=0, max_value=65 * 8 + 255))
def test_one_flipped_bit_never_verifies(secret: bytes, digest: bytes, bit: int) -> None:
    key = Key.from_secret(secret)
    raw = bytearray(bytes.fromhex(key.sign(digest)[2:]) + digest)
    raw[bit // 8] ^= 1 << bit % 8
    try:
        author = recover(bytes(raw[65:]), "0x" + raw[:65].hex())
    except RefusedError:
        return
    assert author != key.address


@given(SECRETS, DIGESTS)
def test_the_other_half_of_a_signature_is_refused(secret: bytes, digest: bytes) -> None:
    signature = bytes.fromhex(Key.from_secret(secret).sign(digest)[2:])
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    assert s <= ORDER // 2
    with pytest.raises(RefusedError, match="upper half"):
        recover(digest, spelled(r, ORDER - s, 55 - v))


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (spelled(1, 1, 0), "v of the signature is 0"),
        (spelled(1, 1, 29), "v of the signature is 29"),
        (spelled(0, 1, 27), "zero or not below"),
        (spelled(1, 0, 27), "zero or not below"),
        (spelled(ORDER, 1, 27), "zero or not below"),
        (spelled(1, ORDER, 27), "zero or not below"),
        (spelled(1, ORDER // 2 + 1, 27), "upper half"),
        (spelled(5, 1, 27), "no key"),  # 5 is no x of a point of the curve
        (spelled(1, 1, 27)[:-2], "130 lower-case hex digits"),
        (spelled(1, 1, 27) + "00", "130 lower-case hex digits"),
        (spelled(1, 1, 27) + "\n", "130 lower-case hex digits"),
        (spelled(10, 1, 27).upper().replace("X", "x"), "130 lower-case hex digits"),
        (spelled(1, 1, 27)[2:] + "00", "130 lower-case hex digits"),
        (None, "130 lower-case hex digits"),
    ],
)
def test_malformed_signatures_are_refused(signature: Any, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        recover(bytes(32), signature)


@given(SECRETS, st.binary(max_size=100), st.integers(min_value=0, max_value=511))
def test_cosmos_signatures_bind_key_message_and_address(secret: bytes, message: bytes, bit: int) -> None:
    key = Key.from_secret(secret)
    signature = key.sign_cosmos(message)
    verify_cosmos(key.public_key, message, signature, key.cosmos_address)
    raw = bytearray.fromhex(signature)
    raw[bit // 8] ^= 1 << bit % 8
    high = ORDER - int(signature[64:], 16)
    for public_key, said, signed, address in (
        (key.public_key, message + b"x", signature, key.cosmos_address),
        (key.public_key, message, raw.hex(), key.cosmos_address),
        (key.public_key, message, f"{signature[:64]}{high:064x}", key.cosmos_address),
        (key.public_key, message, signature + "00", key.cosmos_address),
        (key.public_key, message, signature, key.cosmos_address[:-1]),
        (key.public_key.upper(), message, signature, key.cosmos_address),
        ("02" + "0" * 64, message, signature, key.cosmos_address),
    ):
        if public_key != key.public_key.upper() or public_key.upper() != public_key.lower():
            with pytest.raises(RefusedError):
                verify_cosmos(public_key, said, signed, address)


def test_another_keys_cosmos_signature_is_refused() -> None:
    other = Key.create()
    with pytest.raises(RefusedError, match="not by the key"):
        verify_cosmos(ONE.public_key, b"x", other.sign_cosmos(b"x"), ONE.cosmos_address)


@given(SECRETS)
def test_a_public_key_has_one_address(secret: bytes) -> None:
    key = Key.from_secret(secret)
    assert address_of(key.public_key) == key.address


@pytest.mark.parametrize(
    "public_key", ["", "02" + "f" * 64, "02" + "0" * 63 + "5", "04" + "0" * 64, ONE.public_key.upper(), None]
)
def test_what_is_no_public_key_is_refused(public_key: Any) -> None:
    with pytest.raises(RefusedError, match="public key"):
        address_of(public_key)


# ------------------------------------------------------------------------------------------------------------ keystores

#: Test vectors of the "Web3 Secret Storage Definition", password `testpassword`.
PUBLISHED: tuple[dict[str, Any], ...] = (
    {
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
            "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
            "kdf": "pbkdf2",
            "kdfparams": {
                "c": 262144,
                "dklen": 32,
                "prf": "hmac-sha256",
                "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
            },
            "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3,
    },
    {
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
            "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": 262144,
                "r": 1,
                "p": 8,
                "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
            },
            "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
        },
        "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
        "version": 3,
    },
)


@pytest.mark.parametrize("document", PUBLISHED, ids=["pbkdf2", "scrypt"])
def test_published_keystores_open(document: dict[str, Any]) -> None:
    key = Key.from_secret(bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"))
    assert Key.from_keystore(document, "testpassword").address == key.address


def test_a_keystore_gives_the_key_back_and_only_for_its_password() -> None:
    document = ONE.to_keystore("pässword", iterations=2)
    assert json.loads(json.dumps(document)) == document
    assert Key.from_keystore(document, "pässword").sign(bytes(32)) == ONE.sign(bytes(32))
    with pytest.raises(ConfigError, match="wrong password"):
        Key.from_keystore(document, "password")


def altered(**changes: Any) -> dict[str, Any]:
    """Return a keystore with changes: to `kdfparams` where they have such a name, else to `crypto`, else to the document."""
    document = ONE.to_keystore("x", iterations=2)
    for name, value in changes.items():
        places = [document["crypto"]["kdfparams"], document["crypto"], document]
        next((place for place in places if name in place), places[-1])[name] = value
    return document


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "no V3 keystore"),
        ({}, "no V3 keystore"),
        ({"version": 3, "crypto": []}, "no V3 keystore"),
        (altered(version=4), "no V3 keystore"),
        (altered(cipher="aes-256-gcm"), "only aes-128-ctr"),
        (altered(n=2**30), "1 GiB"),
        (altered(p=2**30), "1 GiB"),
        (altered(r=2**60), "1 GiB"),
        (altered(dklen=2**60), "1 GiB"),
        (
            altered(kdf="pbkdf2", kdfparams={"c": 2**40, "dklen": 32, "prf": "hmac-sha256", "salt": "00"}),
            "1 GiB or minutes",
        ),
        (altered(n="2"), "no whole numbers"),
        (altered(n=-2), "no whole numbers"),
        (altered(n=3), "damaged"),
        (altered(n=0), "damaged"),
        (altered(kdf="argon2"), "damaged"),
        (altered(salt="zz"), "damaged"),
        (altered(mac=None), "damaged"),
        (altered(ciphertext="00"), "wrong password, or the keystore was altered"),
        (altered(address="0x" + "1" * 40), "but holds 0x7E5F"),
    ],
)
def test_damaged_and_malicious_keystores_are_refused(document: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Key.from_keystore(document, "x")


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(33), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_what_is_no_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        Key.from_secret(secret)


def test_new_keys_differ_and_show_no_secret() -> None:
    assert Key.create().address != Key.create().address
    assert repr(ONE) == str(ONE) == f"Key({ONE.address})"
