"""The genesis of a ledger on a chain, as its contract logged it when it was made."""

from __future__ import annotations

import hashlib
import json

from protocol.addresses import keccak256
from protocol.errors import ConfigError, DataError
from protocol.ledger.abi import decoded, selector
from protocol.ledger.event import genesis_record
from protocol.ledger.evm_node import SPAN, LogLine, Node, Reverted
from protocol.ledger.genesis import Genesis

_GENESIS = keccak256(b"Genesis(string)").hex()


def read_genesis(node: Node, address: str) -> tuple[Genesis, LogLine]:
    """Return the genesis of the ledger at an address (EIP-55), and the log that tells it.

    Raises
    ------
    ConfigError
        There is no ledger, or the node is of another chain.
    DataError
        What is there is not the ledger of its genesis.
    """
    if not node.code(address):
        raise ConfigError(f"there is no contract at {address}; check the address and the chain")
    try:
        first = _block_at(node, int.from_bytes(node.call(address, selector("Ledger", "born"))))
    except Reverted as error:
        raise ConfigError(f"{address} is no ledger: the contract there does not know when it was made") from error
    lines = node.logs(address, first, min(first + SPAN - 1, node.block().number), _GENESIS)
    if len(lines) != 1:
        raise ConfigError(f"{address} is no ledger: it has {len(lines)} logs of a genesis")
    (text,) = decoded(("string",), lines[0].data)
    salt = node.call(address, selector("Ledger", "salt")).hex()
    raw = json.loads(text)
    genesis = Genesis.from_dict(raw["event"]["body"], f"ledger {address}")
    if genesis_record(genesis, address).hash != salt or hashlib.sha256(text.encode()).hexdigest() != salt:
        raise DataError(f"ledger {address} is not the one of its genesis; deploy one with `ltfund chain deploy`")
    if genesis.chain_id != (found := node.chain_id()):
        raise ConfigError(f"ledger {address} is of chain {genesis.chain_id}, the node is of chain {found}")
    return genesis, lines[0]


def _block_at(node: Node, moment: int) -> int:
    """Return the first block of a time or later; times never fall along a chain."""
    low, high = 0, node.block().number
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if node.block(middle).time >= moment else (middle + 1, high)
    return low
