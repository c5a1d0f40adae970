"""How calls of the committed contracts are spelled in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from protocol.addresses import keccak256
from protocol.ethereum import eth_account
from protocol.ledger.artifacts import artifact


@cache
def types_of(contract: str, function: str) -> tuple[str, ...]:
    """Return the types of a function's parameters; of the constructor's for an empty name."""
    for one in artifact(contract).abi:
        if one["type"] == ("function" if function else "constructor") and one.get("name", "") == function:
            return tuple(_type(parameter) for parameter in one["inputs"])
    raise KeyError(f"{contract}.{function}")


@cache
def selector(contract: str, function: str) -> bytes:
    """Return the four bytes that a call of a function begins with."""
    return keccak256(f"{function}({','.join(types_of(contract, function))})".encode())[:4]


def encoded(contract: str, function: str, arguments: tuple[Any, ...]) -> bytes:
    """Return the data of a call; of the arguments alone for the constructor."""
    data = bytes(eth_account("eth_abi").encode(types_of(contract, function), arguments))
    return selector(contract, function) + data if function else data


def decoded(types: tuple[str, ...], data: bytes) -> tuple[Any, ...]:
    """Return the values in ABI-encoded data."""
    return tuple(eth_account("eth_abi").decode(types, data))


def _type(parameter: Mapping[str, Any]) -> str:
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    return f"({','.join(_type(one) for one in parameter['components'])}){parameter['type'][5:]}"
