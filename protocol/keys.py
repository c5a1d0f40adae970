"""Keys: who somebody is, and what they signed. One secp256k1 secret serves the EVM side and the Cosmos side.

A signature has exactly one accepted spelling: lower-case hex, s in the lower half of the group order. What deviates is
refused, so nobody but the owner of the key can turn a signature into another valid one. Signing is deterministic (RFC 6979).
Nothing here touches files; :mod:`infra.keystore` does.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any

import coincurve

from protocol.addresses import cosmos_address, evm_address
from protocol.errors import ConfigError, RefusedError
from protocol.ethereum import eth_account

#: Order of the group of secp256k1 (SEC 2).
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
#: A keystore may ask for 1 GiB (scrypt: 128 n r bytes) and these many rounds (PBKDF2) at most, else opening it is an attack.
MAX_SCRYPT_MEMORY = 2**30
MAX_PBKDF2_ROUNDS = 10_000_000

_SIGNATURE = re.compile(r"0x[0-9a-f]{130}\Z")
_COSMOS_SIGNATURE = re.compile(r"[0-9a-f]{128}\Z")
_PUBLIC_KEY = re.compile(r"0[23][0-9a-f]{64}\Z")


class Key:
    """A secp256k1 key. Immutable; its text and its repr show the address only.

    Attributes
    ----------
    address : str
        EIP-55 address.
    public_key : str
        Compressed public key, 66 hex digits.
    cosmos_address : str
        ``cosmos1…``.
    """

    __slots__ = ("_key", "address", "cosmos_address", "public_key")

    def __init__(self, key: coincurve.PrivateKey) -> None:
        public = key.public_key
        self._key = key
        self.address = evm_address(public.format(compressed=False))
        self.public_key = public.format().hex()
        self.cosmos_address = cosmos_address(public.format())

    def __repr__(self) -> str:
        return f"Key({self.address})"

    @classmethod
    def create(cls) -> Key:
        """Return a new key from the randomness of the operating system."""
        return cls(coincurve.PrivateKey((1 + secrets.randbelow(ORDER - 1)).to_bytes(32, "big")))

    @classmethod
    def from_secret(cls, secret: bytes) -> Key:
        """Return the key of 32 secret bytes.

        Raises
        ------
        ConfigError
            They are not 32 bytes, or no number from 1 to the order of the group - 1.
        """
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise ConfigError(
                "the secret of a key must be 32 bytes, from 1 to the group order - 1; make one with `key new`"
            )
        return cls(coincurve.PrivateKey(secret))

    @classmethod
    def from_keystore(cls, document: Mapping[str, Any], password: str) -> Key:
        """Return the key in a V3 keystore ("Web3 Secret Storage Definition").

        Raises
        ------
        ConfigError
            The document is no V3 keystore, asks for too much memory or time, was altered, or the password is wrong.
        """
        _check_keystore(document)
        try:
            key = cls.from_secret(bytes(eth_account().Account.decrypt(dict(document), password)))
        except ConfigError:
            raise
        except Exception as error:  # the library raises half a dozen kinds, none of them common to all defects
            if "MAC" in str(error):
                raise ConfigError(
                    "wrong password, or the keystore was altered; give the password it was made with"
                ) from None
            raise ConfigError(
                f"the keystore is damaged: {type(error).__name__}: {error}; restore it from a copy"
            ) from None
        named = document.get("address", key.address)
        if not isinstance(named, str) or named.lower().removeprefix("0x") != key.address[2:].lower():
            raise ConfigError(
                f"the keystore says address {named!r:.60} but holds {key.address}; restore it from a copy"
            )
        return key

    def to_keystore(self, password: str, *, iterations: int | None = None) -> dict[str, Any]:
        """Return a V3 keystore (scrypt, r = 8, p = 1).

        Parameters
        ----------
        password : str
        iterations : int, optional
            scrypt's work factor n, a power of two; 262,144 when not given: about half a CPU second to open.
        """
        return dict(eth_account().Account.encrypt(self._key.secret, password, kdf="scrypt", iterations=iterations))

    def sign(self, digest: bytes) -> str:
        """Sign a digest of 32 bytes: ``0x`` and 130 hex digits, r ‖ s ‖ v with low s and v 27 or 28."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return f"0x{signature[:64].hex()}{signature[64] + 27:02x}"

    def sign_transaction(self, fields: Mapping[str, Any]) -> bytes:
        """Return a signed transaction of an EVM chain, as its nodes take it."""
        signed = eth_account().Account.sign_transaction(dict(fields), self._key.secret)
        return bytes(signed.raw_transaction)

    def sign_cosmos(self, message: bytes) -> str:
        """Sign the SHA-256 of a message as Cosmos does: 128 hex digits, r ‖ s with low s."""
        return str(self._key.sign_recoverable(message)[:64].hex())


def recover(digest: bytes, signature: str) -> str:
    """Return the EIP-55 address that signed `digest` (32 bytes).

    Raises
    ------
    RefusedError
        The signature has another length or spelling, v is not 27 or 28, r or s is out of range, s is in the upper half, or no
        key could have made it.
    """
    if not isinstance(signature, str) or not _SIGNATURE.match(signature):
        raise RefusedError("a signature is 0x and 130 lower-case hex digits: r, s and v")
    raw = bytes.fromhex(signature[2:])
    if raw[64] not in (27, 28):
        raise RefusedError(f"v of the signature is {raw[64]}; it is 27 or 28")
    return evm_address(_recovered(raw[:64], raw[64] - 27, digest).format(compressed=False))


def address_of(public_key: str) -> str:
    """Return the EIP-55 address of a compressed public key, 66 lower-case hex digits.

    Raises
    ------
    RefusedError
        It is no such text, or no point of the curve.
    """
    try:
        point = coincurve.PublicKey(_public_bytes(public_key))
    except ValueError as error:
        raise RefusedError(
            f"the public key {public_key} is no point of secp256k1; give the one that `key show` prints"
        ) from error
    return evm_address(point.format(compressed=False))


def verify_cosmos(public_key: str, message: bytes, signature: str, address: str) -> None:
    """Check that the key behind a Cosmos address signed the SHA-256 of a message.

    Parameters
    ----------
    public_key : str
        Compressed, 66 lower-case hex digits.
    message : bytes
    signature : str
        128 lower-case hex digits, r ‖ s.
    address : str
        ``cosmos1…``.

    Raises
    ------
    RefusedError
        Address and key do not belong together, the signature is malformed or has a high s, or another key or message made it.
    """
    if cosmos_address(_public_bytes(public_key)) != address:
        raise RefusedError(f"{address!r:.80} is not the Cosmos address of the public key {public_key}")
    if not isinstance(signature, str) or not _COSMOS_SIGNATURE.match(signature):
        raise RefusedError("a Cosmos signature is 128 lower-case hex digits: r and s")
    raw, digest = bytes.fromhex(signature), hashlib.sha256(message).digest()
    if public_key not in {_recovered(raw, parity, digest).format().hex() for parity in (0, 1)}:
        raise RefusedError(f"the Cosmos signature is not by the key {public_key} over this message")


def _public_bytes(public_key: str) -> bytes:
    if not isinstance(public_key, str) or not _PUBLIC_KEY.match(public_key):
        raise RefusedError("a public key is 33 bytes in lower-case hex, beginning with 02 or 03")
    return bytes.fromhex(public_key)


def _recovered(compact: bytes, parity: int, digest: bytes) -> coincurve.PublicKey:
    """Return the public key that r ‖ s and the parity of the nonce's point belong to."""
    r, s = int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:], "big")
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise RefusedError("r or s of the signature is zero or not below the group order")
    if s > ORDER // 2:
        raise RefusedError("s of the signature is in the upper half of the group order; sign with low s (EIP-2)")
    try:
        return coincurve.PublicKey.from_signature_and_message(compact + bytes([parity]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception as well as ValueError
        raise RefusedError("no key can have made this signature") from error


def _check_keystore(document: Mapping[str, Any]) -> None:
    """Refuse what is no V3 keystore, and parameters chosen to exhaust this machine."""
    document = document if isinstance(document, Mapping) else {}
    crypto = document.get("crypto")
    parameters = crypto.get("kdfparams") if isinstance(crypto, Mapping) else None
    if document.get("version") != 3 or not isinstance(crypto, Mapping) or not isinstance(parameters, Mapping):
        raise ConfigError("this is no V3 keystore (version 3, with `crypto` and `kdfparams`); make one with `key new`")
    if crypto.get("cipher") != "aes-128-ctr":
        raise ConfigError(f"the keystore's cipher is {crypto.get('cipher')!r:.40}; only aes-128-ctr is a V3 keystore")
    numbers = {name: parameters.get(name, 0) for name in ("n", "r", "p", "c", "dklen")}
    if any(type(number) is not int or number < 0 for number in numbers.values()):
        raise ConfigError("the keystore is damaged: its kdfparams are no whole numbers; restore it from a copy")
    memory = 128 * numbers["n"] * numbers["r"]
    if memory * max(numbers["p"], 1) > MAX_SCRYPT_MEMORY or numbers["c"] > MAX_PBKDF2_ROUNDS or numbers["dklen"] > 64:
        raise ConfigError(
            "opening the keystore would take more than 1 GiB or minutes; encrypt the key with usual parameters"
        )
