"""The compiled contracts that ship with this package: ABI and bytecode, built by ``contracts/build.mjs``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from protocol.addresses import keccak256
from protocol.ledger.refusal import CODES

#: Those deployed together, in this order.
CORE = ("LTFT", "Ledger", "Registry", "Heads")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A contract as the compiler left it.

    Attributes
    ----------
    name, compiler : str
    abi : list of dict
        As JSON has it.
    bytecode : str
        ``0x`` and the code that creates the contract; constructor arguments follow it.
    """

    name: str
    compiler: str
    abi: list[dict[str, Any]]
    bytecode: str


@cache
def artifact(name: str) -> Artifact:
    """Return the contract of a name; never changed by the caller."""
    return Artifact(**json.loads(files("protocol.ledger").joinpath("contracts", f"{name}.json").read_text("utf-8")))


@cache
def refusals() -> dict[str, str]:
    """Return the code of each refusal by the selector of its error, ``0x`` and 8 hex digits.

    An error is named like its code: ``NoAccount`` is ``no-account``.
    """
    codes = {}
    for contract in CORE:
        for one in artifact(contract).abi:
            if one["type"] == "error" and (code := code_of(one["name"])) in CODES:
                types = ",".join(parameter["type"] for parameter in one["inputs"])
                codes["0x" + keccak256(f"{one['name']}({types})".encode())[:4].hex()] = code
    return codes


def code_of(error: str) -> str:
    """Return the refusal code that an error's name spells."""
    return "".join(f"-{sign.lower()}" if sign.isupper() else sign for sign in error).removeprefix("-")
