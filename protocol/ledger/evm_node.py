"""A node of an EVM chain, as far as the ledger needs one: blocks, logs, calls, and transactions that are sent once.

What is asked twice does no harm: reads are repeated after failures of the network, and a transaction is signed once and the
same bytes are sent again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any, NamedTuple, TypeVar

from protocol.addresses import checksum_address
from protocol.errors import ClusterError, ConfigError
from protocol.keys import Key

T = TypeVar("T")
#: Blocks of logs asked for at once; public nodes refuse more.
SPAN = 2_000
ATTEMPTS = 5
PAUSE_S = 0.2
GWEI = 10**9


class BlockHead(NamedTuple):
    """A block: number, hash (hex without 0x) and time (Unix seconds)."""

    number: int
    hash: str
    time: int


class LogLine(NamedTuple):
    """A log: where, its topics and data, and the block and transaction it is in (hex without 0x)."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    block_hash: str
    transaction: str


class Reverted(Exception):  # noqa: N818 - an answer, not a defect
    """The chain refuses a call; `data` is the error it reverts with."""

    def __init__(self, data: str) -> None:
        super().__init__(data)
        self.data = data


@dataclass(frozen=True, slots=True)
class Spending:
    """What a transaction may cost.

    Attributes
    ----------
    gas : int
        Most gas of one transaction.
    fee_gwei : int
        Most that is paid per gas, 10**-9 of the chain's coin.
    tip_gwei : float
        Paid on top of the chain's base fee, within `fee_gwei`.
    """

    gas: int = 3_000_000
    fee_gwei: int = 200
    tip_gwei: float = 1.0


class Node:
    """A node behind web3. One object may be used by several threads.

    Parameters
    ----------
    web3 : web3.Web3
    wait : callable
        Sleeps so many seconds.
    timeout_s : float
        Until a transaction must be in a block.
    """

    #: The block that a transaction will be in, as calls name it; its time is the present.
    ahead = "pending"

    def __init__(
        self,
        web3: Any,
        *,
        spending: Spending | None = None,
        wait: Callable[[float], None] = time.sleep,
        timeout_s: float = 120.0,
    ) -> None:
        self.web3, self.spending = web3, spending or Spending()
        self._wait, self._timeout_s = wait, timeout_s
        self._sending = RLock()

    def chain_id(self) -> int:
        """Return the chain's id; asked, never assumed."""
        return int(self._ask(lambda: self.web3.eth.chain_id))

    def block(self, number: int | str = "latest") -> BlockHead:
        """Return a block by number or name."""
        raw = self._ask(lambda: self.web3.eth.get_block(number))
        return BlockHead(int(raw["number"]), bytes(raw["hash"]).hex(), int(raw["timestamp"]))

    def stands(self, number: int, digest: str, newest: BlockHead) -> bool:
        """Return whether a block is in the chain that ends with `newest`; none, number -1, always is."""
        if number < 0 or number > newest.number:
            return number < 0
        return (newest if number == newest.number else self.block(number)).hash == digest

    def code(self, address: str) -> bytes:
        """Return the code at an address, empty if there is none."""
        return bytes(self._ask(lambda: self.web3.eth.get_code(address)))

    def logs(self, address: str, first: int, last: int, topic: str) -> list[LogLine]:
        """Return the logs of a contract with a first topic (hex) in the blocks from `first` to `last`.

        A node that refuses, as many do when the answer is long, is asked for the halves.
        """
        if first > last:
            return []
        if last - first >= SPAN:
            spans = range(first, last + 1, SPAN)
            return [one for start in spans for one in self.logs(address, start, min(start + SPAN - 1, last), topic)]
        asked = {"address": address, "fromBlock": first, "toBlock": last, "topics": ["0x" + topic]}
        try:
            return [_line(one) for one in self._ask(lambda: self.web3.eth.get_logs(asked))]
        except Refused:
            if first == last:
                raise
        middle = (first + last) // 2
        return self.logs(address, first, middle, topic) + self.logs(address, middle + 1, last, topic)

    def input_of(self, transaction: str) -> bytes:
        """Return the data of a transaction (hash in hex)."""
        return bytes(self._ask(lambda: self.web3.eth.get_transaction("0x" + transaction))["input"])

    def creation_of(self, sender: str, nonce: int, near: int, reach: int = 300) -> bytes | None:
        """Return the data of the transaction that `sender` sent with `nonce` in a block near another, None if there is none."""
        last = min(self.block().number, near + reach)
        for number in sorted(range(max(0, near - reach), last + 1), key=lambda one: abs(one - near)):
            for one in self._transactions(number):
                if str(one["from"]).lower() == sender.lower() and int(one["nonce"]) == nonce:
                    return self.input_of(bytes(one["hash"]).hex())
        return None

    def sender_of(self, transaction: str) -> tuple[str, int]:
        """Return who sent a transaction (hash in hex), EIP-55, and with which nonce."""
        found = self._ask(lambda: self.web3.eth.get_transaction("0x" + transaction))
        return checksum_address(str(found["from"])), int(found["nonce"])

    def next_nonce(self, sender: str) -> int:
        """Return the nonce of the next transaction of an account."""
        return int(self._ask(lambda: self.web3.eth.get_transaction_count(sender, self.ahead)))

    def call(self, to: str, data: bytes, sender: str = "", block: int | str = "latest") -> bytes:
        """Return what a contract answers.

        Raises
        ------
        Reverted
            It refuses.
        """
        asked = {"data": "0x" + data.hex()} | ({"to": to} if to else {}) | ({"from": sender} if sender else {})
        return bytes(self._ask(lambda: self.web3.eth.call(asked, block)))

    @property
    def patience(self) -> int:
        """How often to :meth:`pause` for something at most."""
        return int(self._timeout_s / PAUSE_S)

    def pause(self) -> None:
        """Wait a moment for the next block."""
        self._wait(PAUSE_S)

    def send(self, key: Key, to: str, data: bytes) -> int:
        """Send a transaction, wait until it is in a block, and return the block's number. Without `to` it makes a contract.

        Raises
        ------
        Reverted
            The contract refuses it: before it is sent, or in its block.
        ConfigError
            It would cost more than allowed.
        ClusterError
            No block took it in time; it may still come.
        """
        self.call(to, data, key.address, self.ahead)
        with self._sending:
            for last in (False, False, True):  # another process may send with the same key
                raw, digest = self._signed(key, to, data)
                if self._pushed(raw, digest, last=last):
                    break
        receipt = self._receipt(digest)
        if receipt["status"] == 0:
            self.call(to, data, key.address, self.ahead)
            raise Reverted("")
        return int(receipt["blockNumber"])

    def _transactions(self, number: int) -> list[Any]:
        return list(self._ask(lambda: self.web3.eth.get_block(number, True))["transactions"])

    def _signed(self, key: Key, to: str, data: bytes) -> tuple[bytes, bytes]:
        eth, most = self.web3.eth, self.spending
        asked = {"from": key.address, "data": "0x" + data.hex()} | ({"to": to} if to else {})
        gas = int(self._ask(lambda: eth.estimate_gas(asked, self.ahead))) * 6 // 5
        if gas > most.gas:
            raise ConfigError(f"the transaction needs {gas} gas, more than the {most.gas} allowed; raise the limit")
        base = int(self._ask(lambda: eth.get_block("latest"))["baseFeePerGas"])
        tip = int(most.tip_gwei * GWEI)
        if base + tip > most.fee_gwei * GWEI:
            raise ConfigError(
                f"the chain asks {base / GWEI:.2f} gwei per gas, more than the {most.fee_gwei} allowed; wait or raise the limit"
            )
        raw = key.sign_transaction(
            {
                "chainId": self.chain_id(),
                "nonce": self.next_nonce(key.address),
                "gas": gas,
                "maxFeePerGas": min(2 * base + tip, most.fee_gwei * GWEI),
                "maxPriorityFeePerGas": tip,
                "to": to,
                "value": 0,
                "data": data,
            }
        )
        return raw, bytes(self.web3.keccak(raw))

    def _pushed(self, raw: bytes, digest: bytes, *, last: bool) -> bool:
        """Send the same bytes until a node has them; return False if their nonce was taken by another transaction.

        An answer may be lost and the bytes sent again, so a node that refuses them may have them.
        """
        from web3.exceptions import TransactionNotFound

        try:
            self._ask(lambda: self.web3.eth.send_raw_transaction(raw))
        except Refused as error:
            try:
                self._ask(lambda: self.web3.eth.get_transaction(digest), through=TransactionNotFound)
            except TransactionNotFound:
                if last or not any(word in str(error).lower() for word in ("nonce", "replacement")):
                    raise ClusterError(f"the node does not take the transaction: {error}; try again") from error
                return False
        return True

    def _receipt(self, digest: bytes) -> Any:
        from web3.exceptions import TransactionNotFound

        waited, pause = 0.0, 0.05
        while True:
            try:
                receipt = self._ask(lambda: self.web3.eth.get_transaction_receipt(digest), through=TransactionNotFound)
            except TransactionNotFound:
                receipt = None
            if receipt is not None and receipt["blockNumber"] is not None:
                return receipt
            if waited >= self._timeout_s:
                raise ClusterError(
                    f"transaction 0x{digest.hex()} is in no block after {self._timeout_s:.0f} s; it may still come: send the "
                    "same event again, it is recorded once"
                )
            self._wait(pause)
            waited, pause = waited + pause, min(2 * pause, 2.0)

    def _ask(self, question: Callable[[], T], through: type[Exception] | None = None) -> T:
        """Ask, and ask again after a failure of the network; what the chain itself answers is passed on."""
        from web3.exceptions import ContractLogicError, Web3RPCError

        problem: Exception | None = None
        for attempt in range(ATTEMPTS):
            try:
                return question()
            except Exception as error:  # clients of HTTP raise what they like
                if through and isinstance(error, through):
                    raise
                if isinstance(error, ContractLogicError):
                    raise Reverted(str(getattr(error, "data", "") or "")) from error
                if isinstance(error, Web3RPCError):
                    raise Refused(str(error)) from error
                if not isinstance(error, OSError | ValueError):
                    raise
                problem = error
                self._wait(0.1 * 2**attempt)
        raise ClusterError(f"the node does not answer: {problem}; check its address and whether it runs") from problem


class Refused(ClusterError):  # noqa: N818 - an answer, not a defect
    """The node answers with an error."""


def _line(raw: Any) -> LogLine:
    return LogLine(
        checksum_address(str(raw["address"])),
        tuple(bytes(topic) for topic in raw["topics"]),
        bytes(raw["data"]),
        int(raw["blockNumber"]),
        bytes(raw["blockHash"]).hex(),
        bytes(raw["transactionHash"]).hex(),
    )
