"""Addresses: what a public key is called on an EVM chain (EIP-55) and on a Cosmos chain (bech32), and the hashes behind it."""

from __future__ import annotations

import hashlib
import re

from Crypto.Hash import RIPEMD160, keccak

from protocol.errors import RefusedError

COSMOS_PREFIX = "cosmos"

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 of `data`, 32 bytes (Ethereum's, not SHA3-256)."""
    return keccak.new(digest_bits=256, data=data).digest()


def ripemd160(data: bytes) -> bytes:
    """Return the RIPEMD-160 of `data`, 20 bytes; OpenSSL keeps it among its legacy algorithms, which may be switched off."""
    try:
        return hashlib.new("ripemd160", data).digest()
    except ValueError:
        return RIPEMD160.new(data).digest()


def checksum_address(address: str) -> str:
    """Return an address of 40 hex digits in the mixed case of EIP-55.

    Raises
    ------
    RefusedError
        It is no ``0x`` and 40 hex digits.
    """
    if not isinstance(address, str) or not _ADDRESS.match(address):
        raise RefusedError(f"address {address!r:.80} is not 0x and 40 hex digits")
    digits = address[2:].lower()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, marks, strict=False)
    )  # the hash is longer than the address


def evm_address(public_point: bytes) -> str:
    """Return the EIP-55 address of an uncompressed public key: 65 bytes, 04 ‖ x ‖ y."""
    return checksum_address("0x" + keccak256(public_point[1:])[-20:].hex())


def cosmos_address(public_key: bytes) -> str:
    """Return the Cosmos address of a compressed public key (33 bytes): bech32 of ripemd160(sha256(key))."""
    return bech32(COSMOS_PREFIX, ripemd160(hashlib.sha256(public_key).digest()))


def bech32(prefix: str, data: bytes) -> str:
    """Return `data` as bech32 text (BIP-173) under a lower-case human-readable `prefix`."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    words = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
    head = [ord(sign) >> 5 for sign in prefix] + [0] + [ord(sign) & 31 for sign in prefix]
    check = _polymod([*head, *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return f"{prefix}1{''.join(_CHARSET[word] for word in words)}"


def _polymod(words: list[int]) -> int:
    check = 1
    for word in words:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ word
        for i, factor in enumerate(_GENERATOR):
            check ^= factor if top >> i & 1 else 0
    return check
