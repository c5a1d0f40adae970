"""Putting the contracts of a ledger on a chain, and checking that those on a chain are the committed ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol.addresses import checksum_address, keccak256
from protocol.errors import ConfigError
from protocol.keys import Key
from protocol.ledger.abi import decoded, encoded, types_of
from protocol.ledger.artifacts import CORE, artifact
from protocol.ledger.deployment import Addresses, constructor_arguments, with_outside
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_node import Node
from protocol.ledger.genesis import Genesis


def deploy(node: Node, key: Key, genesis: Genesis, holders: Mapping[str, int]) -> Addresses:
    """Put a ledger on the node's chain and return where its contracts are.

    Parameters
    ----------
    node : Node
    key : Key
        Pays; it has no say afterwards. It must not send anything else meanwhile.
    genesis : Genesis
        Without the account for money outside, which is added.
    holders : mapping of address to wei
        Who has LTFT outside of the ledger at first.

    Raises
    ------
    ConfigError
        The genesis is for another chain, or the contracts do not hold its numbers, or something else used the key.
    ClusterError
        The node does not answer or takes too long.
    """
    if genesis.chain_id != (found := node.chain_id()):
        raise ConfigError(
            f"the genesis is for chain {genesis.chain_id} and the node is of chain {found}; make one for it"
        )
    nonce = node.next_nonce(key.address)
    addresses = Addresses(*(created(key.address, nonce + place) for place in range(len(CORE))))
    made = with_outside(genesis, addresses.token, sum(holders.values()))
    for place, (name, arguments) in enumerate(constructor_arguments(made, addresses, holders).items()):
        if node.next_nonce(key.address) != nonce + place:
            raise ConfigError(f"{key.address} has sent something else meanwhile; deploy again with a key of its own")
        node.send(key, "", creation(name, arguments))
    return addresses


def check_deployment(node: Node, ledger: EvmLedger) -> list[str]:
    """Return what is wrong with the contracts of a ledger: nothing if they are the committed ones with its genesis.

    The transactions that made them are compared byte by byte with the committed code and the arguments that follow from the
    genesis; who held LTFT outside at first is taken from the chain.
    """
    line = ledger.genesis_line
    sender, nonce = node.sender_of(line.transaction)
    addresses = Addresses(*(created(sender, nonce - 1 + place) for place in range(len(CORE))))
    if addresses.ledger != ledger.address:
        return [f"the ledger {ledger.address} was not made by {sender} with its transaction {nonce}"]
    made = {name: node.creation_of(sender, nonce - 1 + place, line.block) for place, name in enumerate(CORE)}
    holders = _holders(made["LTFT"], ledger)
    try:
        wanted = constructor_arguments(ledger.genesis, addresses, holders)
    except ConfigError as error:
        return [str(error)]
    problems = []
    for name, arguments in wanted.items():
        if made[name] is None:
            problems.append(f"{name}: the transaction that made it was not found near block {line.block}")
        elif made[name] != creation(name, arguments):
            problems.append(f"{name}: its code or what it was made with is not what the genesis calls for")
    return problems


def creation(name: str, arguments: tuple[Any, ...]) -> bytes:
    """Return the data of the transaction that makes a contract."""
    return bytes.fromhex(artifact(name).bytecode[2:]) + encoded(name, "", arguments)


def created(sender: str, nonce: int) -> str:
    """Return the address of the contract that an account makes with a nonce: the RLP of both, hashed."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8) if nonce else b""
    coded = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    inner = b"\x94" + bytes.fromhex(sender[2:]) + coded
    return checksum_address("0x" + keccak256(bytes([0xC0 + len(inner)]) + inner)[-20:].hex())


def _holders(made: bytes | None, ledger: EvmLedger) -> dict[str, int]:
    """Return who had LTFT outside at first, from the transaction that made the token."""
    code = bytes.fromhex(artifact("LTFT").bytecode[2:])
    if made is None or not made.startswith(code):
        return {}
    *_, holders, amounts = decoded(types_of("LTFT", ""), made[len(code) :])
    pairs = zip(map(checksum_address, holders), amounts, strict=True)
    return {holder: amount for holder, amount in pairs if holder != ledger.address}
