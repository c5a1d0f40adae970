"""How calls of the committed contracts are spelled in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from protocol.addresses import keccak256
from protocol.errors import DataError
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
    """Return the values in ABI-encoded data that a contract wrote.

    Raises
    ------
    DataError
        They are not in it.
    """
    try:
        return tuple(eth_account("eth_abi").decode(types, data))
    except (eth_account("eth_abi.exceptions").DecodingError, ValueError) as error:
        raise DataError(f"{len(data)} bytes of a log are no {', '.join(types) or 'nothing'}: {error}") from error


def as_called(types: tuple[str, ...], data: bytes) -> tuple[Any, ...]:
    """Return the arguments of a call that a contract took, as it read them: whoever calls may spell them in odd ways.

    A contract looks neither at the padding behind ``bytes`` and ``string``, nor at what lies between or behind them, nor
    whether they overlap each other or the other arguments; a strict decoder refuses such calls.

    Parameters
    ----------
    types : tuple of str
        Static types, tuples of static types, ``bytes`` and ``string``.
    data : bytes
        Behind the selector.

    Raises
    ------
    DataError
        No contract took this.
    """
    values, place = [], 0
    for type_ in types:
        words = type_.count(",") + 1
        part, place = data[place : place + 32 * words], place + 32 * words
        if type_ in {"bytes", "string"}:
            start = int.from_bytes(part) + 32
            length = int.from_bytes(data[start - 32 : start])
            content = data[start : start + length]
            if len(content) != length:
                raise DataError(f"a call ends {length - len(content)} bytes before its arguments do")
            values.append(content if type_ == "bytes" else content.decode(errors="replace"))
        else:
            values += decoded((type_,), part)
    return tuple(values)


def _type(parameter: Mapping[str, Any]) -> str:
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    return f"({','.join(_type(one) for one in parameter['components'])}){parameter['type'][5:]}"
