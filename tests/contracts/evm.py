"""An EVM in this process, under one small interface that a chain behind web3 has as well, and the committed artifacts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague import PragueVM
from eth.vm.message import Message
from eth.vm.spoof import SpoofTransaction
from eth_abi import decode, encode

from protocol.addresses import checksum_address, keccak256
from protocol.keys import Key

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "protocol" / "ledger" / "contracts", Path(__file__).parent / "artifacts")
GAS = 30_000_000
NOBODY = "0x" + "0" * 40


@dataclass(frozen=True)
class Entry:
    """A function, event or error of an ABI."""

    name: str
    inputs: list[str]
    outputs: list[str]
    selector: bytes
    fields: tuple[tuple[str, bool], ...] = ()
    view: bool = False


def typed(parameter: dict[str, Any]) -> str:
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    return "(" + ",".join(typed(one) for one in parameter["components"]) + ")" + parameter["type"][5:]


@dataclass(frozen=True)
class Artifact:
    """ABI and bytecode of a contract."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    functions: dict[str, Entry] = field(default_factory=dict)
    events: dict[bytes, Entry] = field(default_factory=dict)
    errors: dict[bytes, Entry] = field(default_factory=dict)

    def arguments(self, *values: Any) -> bytes:
        (types,) = [one["inputs"] for one in self.abi if one["type"] == "constructor"] or [[]]
        return encode([typed(one) for one in types], values)


@cache
def artifact(name: str) -> Artifact:
    (path,) = [folder / f"{name}.json" for folder in FOLDERS if (folder / f"{name}.json").exists()]
    raw = json.loads(path.read_text(encoding="utf-8"))
    made = Artifact(name, raw["abi"], bytes.fromhex(raw["bytecode"][2:]))
    for one in raw["abi"]:
        if one["type"] not in {"function", "event", "error"}:
            continue
        inputs = [typed(parameter) for parameter in one["inputs"]]
        digest = keccak256(f"{one['name']}({','.join(inputs)})".encode())
        entry = Entry(
            one["name"],
            inputs,
            [typed(parameter) for parameter in one.get("outputs", [])],
            digest if one["type"] == "event" else digest[:4],
            tuple((parameter["name"], parameter.get("indexed", False)) for parameter in one["inputs"]),
            one.get("stateMutability") in {"view", "pure"},
        )
        {"function": made.functions, "event": made.events, "error": made.errors}[one["type"]][
            entry.name if one["type"] == "function" else entry.selector
        ] = entry  # type: ignore[index]  # keys are names or selectors
    return made


@cache
def all_errors() -> dict[bytes, Entry]:
    names = [path.stem for folder in FOLDERS for path in folder.glob("*.json")]
    return {selector: entry for name in names for selector, entry in artifact(name).errors.items()}


class Reverted(Exception):  # noqa: N818 - a refusal is an answer
    """A call was refused: the name of the custom error, its arguments, or ``Panic``, ``Error`` or ```` without data."""

    def __init__(self, data: bytes) -> None:
        entry = all_errors().get(data[:4])
        self.data, self.arguments = data, ()
        if entry is not None:
            self.name, self.arguments = entry.name, decode(entry.inputs, data[4:])
        else:
            self.name = {"4e487b71": "Panic", "08c379a0": "Error", "": ""}.get(data[:4].hex(), "?")
        super().__init__(f"{self.name}{self.arguments} {data.hex()[:80]}")


@dataclass(frozen=True)
class Log:
    """An event of a contract."""

    address: str
    name: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A transaction that was carried out."""

    gas: int
    logs: tuple[Log, ...]
    result: Any


class Contract:
    """A deployed contract: ``contract.name(*arguments)`` reads, ``contract.send(who, name, *arguments)`` writes."""

    def __init__(self, chain: Evm, kind: Artifact, address: str) -> None:
        self.chain, self.kind, self.address = chain, kind, address

    def __getattr__(self, name: str) -> Any:
        if name not in self.kind.functions:
            raise AttributeError(name)
        return lambda *arguments: self.read(name, *arguments)

    def data(self, name: str, *arguments: Any) -> bytes:
        entry = self.kind.functions[name]
        return entry.selector + encode(entry.inputs, arguments)

    def answer(self, name: str, output: bytes) -> Any:
        values = decode(self.kind.functions[name].outputs, output)
        return values[0] if len(values) == 1 else values

    def read(self, name: str, *arguments: Any) -> Any:
        return self.answer(name, self.chain.call(self.address, self.data(name, *arguments)))

    def send(self, who: str, name: str, *arguments: Any) -> Done:
        done, output = self.chain.transact(who, self.address, self.data(name, *arguments))
        return Done(done.gas, done.logs, self.answer(name, output) if output else None)

    def refused(self, who: str, name: str, *arguments: Any) -> str:
        """Return the name of the error that a call ends with, "" if it is carried out."""
        try:
            self.send(who, name, *arguments)
        except Reverted as error:
            return error.name
        return ""


class Evm:
    """A chain without blocks or keys: every transaction is at `time`, by whoever is named."""

    def __init__(self, chain_id: int = 31_337, time: int = 1_700_000_000) -> None:
        self.chain_id, self.time = chain_id, time
        self.contracts: dict[str, Artifact] = {}
        context = ExecutionContext(bytes(20), time, 1, 0, bytes(32), GAS, [], chain_id, 0, 0)
        self.context = context
        self.state = PragueVM.get_state_class()(AtomicDB(), context, b"")
        self.tuples = PragueVM.get_transaction_builder()

    def at(self, time: int) -> int:
        """Let the next transaction be at a time, or as soon after it as the chain allows; return when that is."""
        self.time = time
        self.context._timestamp = time
        return time

    def next_address(self, deployer: str, offset: int = 0) -> str:
        import rlp

        nonce = self.state.get_nonce(bytes.fromhex(deployer[2:])) + offset
        return checksum_address("0x" + keccak256(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[-20:].hex())

    def deploy(self, who: str, name: str, *arguments: Any) -> Contract:
        kind = artifact(name)
        address = self.next_address(who)
        self.transact(who, "", kind.bytecode + kind.arguments(*arguments))
        self.contracts[address] = kind
        return Contract(self, kind, address)

    def transact(self, who: str, to: str, data: bytes) -> tuple[Done, bytes]:
        sender = bytes.fromhex(who[2:])
        plain = self.tuples.create_unsigned_transaction(
            nonce=self.state.get_nonce(sender),
            gas_price=0,
            gas=GAS,
            to=bytes.fromhex(to[2:]),
            value=0,
            data=data,
        )
        spoof = SpoofTransaction(plain, from_=sender)
        computation = self.state.apply_transaction(spoof)
        self.state.lock_changes()
        if computation.is_error:
            raise Reverted(computation.output)
        gas = self.used(spoof, computation)
        return Done(gas, self.logs(computation.get_log_entries()), None), computation.output

    def used(self, transaction: Any, computation: Any) -> int:
        used = transaction.gas - computation.get_gas_remaining()
        used -= min(computation.get_gas_refund(), used // 5)
        zeros = transaction.data.count(0)
        floor = 21_000 + 10 * (zeros + 4 * (len(transaction.data) - zeros))
        return max(used, floor)

    def call(self, to: str, data: bytes) -> bytes:
        where = bytes.fromhex(to[2:])
        message = Message(GAS, where, bytes(20), 0, data, self.state.get_code(where), is_static=True)
        context = self.state.transaction_context_class(gas_price=0, origin=bytes(20))
        computation = self.state.computation_class.apply_message(self.state, message, context)
        if computation.is_error:
            raise Reverted(computation.output)
        return bytes(computation.output)

    def logs(self, entries: Sequence[Any]) -> tuple[Log, ...]:
        made = []
        for address, topics, data in entries:
            where = checksum_address("0x" + address.hex())
            kind = self.contracts.get(where)
            entry = kind.events.get(int(topics[0]).to_bytes(32)) if kind else None
            if entry is None:
                continue
            rest = iter(decode([t for t, f in zip(entry.inputs, entry.fields, strict=True) if not f[1]], data))
            marks = iter(int(topic).to_bytes(32) for topic in topics[1:])
            values = {
                name: decode([type_], next(marks))[0] if indexed else next(rest)
                for type_, (name, indexed) in zip(entry.inputs, entry.fields, strict=True)
            }
            made.append(Log(where, entry.name, values))
        return tuple(made)


def person(name: str) -> str:
    """Return the address of somebody, whose key is made like those of the other tests."""
    return Key.from_secret(hashlib.sha256(name.encode()).digest()).address
