"""Typed data (EIP-712): what exactly is signed, so that a signature for one ledger, kind or field never fits another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protocol.addresses import checksum_address, keccak256
from protocol.errors import RefusedError
from protocol.ethereum import eth_account

_BYTES32 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Domain:
    """The EIP-712 domain: where a signature is valid.

    Attributes
    ----------
    chain_id : int
    salt : str
        Hash of the ledger's genesis, 64 hex digits.
    """

    chain_id: int
    salt: str
    name: str = "longtail"
    version: str = "1"


def typed_digest(domain: Domain, kind: str, fields: Sequence[tuple[str, str]], values: Mapping[str, Any]) -> bytes:
    """Return the 32 bytes that are signed: ``keccak256(0x1901 ‖ domain separator ‖ struct hash)``.

    Parameters
    ----------
    domain : Domain
    kind : str
        Name of the struct.
    fields : sequence of (name, type)
        In the order of the struct; the types are ``address``, ``bytes32``, ``uint256``, ``int256``, ``bool`` and ``string``.
    values : mapping of str to value
        Exactly the fields: addresses in EIP-55, ``bytes32`` as 64 lower-case hex digits without 0x, whole numbers as int.

    Raises
    ------
    RefusedError
        A value is missing, superfluous or not of its type; the message names the field.
    """
    names = [name for name, _ in fields]
    if sorted(values) != sorted(names):
        odd = sorted(set(values) ^ set(names))
        raise RefusedError(f"{kind} has the fields {', '.join(names)}; missing or superfluous: {', '.join(odd)}")
    place = {
        "name": domain.name,
        "version": domain.version,
        "chainId": _plain("chain_id", "uint256", domain.chain_id),
        "salt": _plain("salt", "bytes32", domain.salt),
    }
    struct = {kind: [{"name": name, "type": type_} for name, type_ in fields]}
    encode = eth_account("eth_account.messages").encode_typed_data
    message = encode(place, struct, {name: _plain(name, type_, values[name]) for name, type_ in fields})
    return keccak256(b"\x19" + message.version + message.header + message.body)


def _plain(name: str, type_: str, value: Any) -> Any:
    """Return a value as the encoder takes it, refusing what it would silently convert."""
    match type_, value:
        case "address", str() if checksum_address(value) == value:
            return value
        case "bytes32", str() if _BYTES32.match(value):
            return bytes.fromhex(value)
        case "uint256", int() if type(value) is int and 0 <= value < 2**256:
            return value
        case "int256", int() if type(value) is int and -(2**255) <= value < 2**255:
            return value
        case "bool", bool():
            return value
        case "string", str() if value.encode(errors="ignore").decode() == value:  # no lone surrogates
            return value
    raise RefusedError(f"field {name} = {value!r:.80} is no {type_}")
