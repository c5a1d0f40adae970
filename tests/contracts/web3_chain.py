"""A chain behind web3: eth-tester in this process, or anvil; what :class:`evm.Evm` can, with blocks, keys and receipts."""

from __future__ import annotations

import ast
import hashlib
import shutil
import socket
import subprocess
import time as clock
from pathlib import Path
from typing import Any

import rlp
from eth_account import Account
from eth_tester.exceptions import TransactionFailed
from evm import GAS, Artifact, Contract, Done, Evm, Reverted, artifact, person
from web3 import EthereumTesterProvider, HTTPProvider, Web3
from web3.exceptions import ContractLogicError, Web3RPCError

from protocol.addresses import checksum_address, keccak256

ROOT = Path(__file__).parents[2]
ANVIL = ROOT / "contracts" / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
PEOPLE = ("alice", "bob", "carol", "dora", "val1", "val2", "val3", "deployer", "relay", "holder")
TIP = 10**9


class Web3Chain(Evm):
    """A chain behind web3."""

    def __init__(self, web3: Web3) -> None:
        self.web3 = web3
        self.chain_id = web3.eth.chain_id
        self.contracts: dict[str, Artifact] = {}
        self.secrets = {person(name): hashlib.sha256(name.encode()).digest() for name in PEOPLE}
        self.time = web3.eth.get_block("latest")["timestamp"]
        rich = web3.eth.accounts[0]
        for address in self.secrets:
            web3.eth.wait_for_transaction_receipt(
                web3.eth.send_transaction({"from": rich, "to": address, "value": 10**19, "gas": 21_000})
            )

    def at(self, time: int) -> int:
        self.time = max(time, self.web3.eth.get_block("latest")["timestamp"] + 1)
        provider = self.web3.provider
        if isinstance(provider, EthereumTesterProvider):
            provider.ethereum_tester.time_travel(self.time)
        else:
            self.web3.provider.make_request("evm_setNextBlockTimestamp", [self.time])
        return self.time

    def next_address(self, deployer: str, offset: int = 0) -> str:
        nonce = self.web3.eth.get_transaction_count(deployer) + offset
        return checksum_address("0x" + keccak256(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[-20:].hex())

    def deploy(self, who: str, name: str, *arguments: Any) -> Contract:
        kind, address = artifact(name), self.next_address(who)
        self.transact(who, "", kind.bytecode + kind.arguments(*arguments))
        self.contracts[address] = kind
        return Contract(self, kind, address)

    def transact(self, who: str, to: str, data: bytes) -> tuple[Done, bytes]:
        web3 = self.web3
        fee = web3.eth.get_block("latest")["baseFeePerGas"] * 2 + TIP
        plain: dict[str, Any] = {
            "nonce": web3.eth.get_transaction_count(who),
            "chainId": self.chain_id,
            "gas": GAS // 2,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": TIP,
            "value": 0,
            "data": data,
            "to": to,
        }
        signed = Account.sign_transaction(plain, self.secrets[who])
        receipt = web3.eth.wait_for_transaction_receipt(
            web3.eth.send_raw_transaction(signed.raw_transaction), timeout=30
        )
        if receipt["status"] == 0:
            self.call(to, data, who)
            raise AssertionError("a transaction failed and its call does not")
        entries = [(bytes(log["address"].encode()), log["topics"], log["data"]) for log in receipt["logs"]]
        plain_logs = [
            (bytes.fromhex(address.decode()[2:]), [int.from_bytes(topic) for topic in topics], bytes(body))
            for address, topics, body in entries
        ]
        return Done(receipt["gasUsed"], self.logs(plain_logs), None), b""

    def call(self, to: str, data: bytes, who: str = "") -> bytes:
        try:
            asked: dict[str, Any] = {"to": to, "data": data, "gas": GAS // 2}
            return bytes(self.web3.eth.call(asked | ({"from": who} if who else {})))
        except (ContractLogicError, Web3RPCError) as error:
            text = str(getattr(error, "data", "") or "")
            raise Reverted(bytes.fromhex(text.removeprefix("0x"))) from error
        except TransactionFailed as error:  # web3 wraps what eth-tester raises, which wraps what the EVM does
            raise Reverted(self.reason(error)) from error

    @staticmethod
    def reason(error: Exception) -> bytes:
        """Return the data of a revert on eth-tester, whose exceptions hold one another and in the end its text."""
        inner: Any = error.__context__
        while isinstance(inner, Exception):
            inner = inner.args[0]
        return inner if isinstance(inner, bytes) else bytes(ast.literal_eval(str(inner)))


def in_process(time: int | None = None) -> Web3Chain:
    """Return a chain in this process, whose first block is of a time if one is given."""
    from eth_tester import EthereumTester, PyEVMBackend

    changed = {"timestamp": time} if time else {}
    backend = PyEVMBackend(genesis_parameters=PyEVMBackend.generate_genesis_params(changed))
    return Web3Chain(Web3(EthereumTesterProvider(EthereumTester(backend))))


class Anvil:
    """An anvil process of our own; with `kept` it writes its state into the folder every second."""

    def __init__(self, folder: Path, *, kept: bool = False) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder, self.state = folder, folder / "anvil.json" if kept else None
        self.web3 = Web3(HTTPProvider(self.url))
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [ANVIL, "--host", "127.0.0.1", "--port", str(self.port), "--silent", "--timestamp", "1700000000"]
        command += ["--state", self.state, "--state-interval", "1"] if self.state else []
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"HOME": str(self.folder)},
        )
        for _ in range(600):
            if self.web3.is_connected():
                return
            assert self.process.poll() is None, "anvil ends at once; is its state file whole?"
            clock.sleep(0.05)
        raise AssertionError("anvil does not answer")

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait(timeout=10)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)


def anvil_missing() -> str:
    """Return why there is no anvil here, "" if there is."""
    if not ANVIL.exists() or shutil.which(str(ANVIL)) is None:
        return "needs anvil: `npm ci --ignore-scripts` in contracts, on Linux"
    return ""
