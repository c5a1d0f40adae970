"""A chain with a ledger on it, in this process or on anvil, and views of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_ledgers import Clock, Network, key_of, made_genesis
from twin import Core

from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_node import Node, Refused, Reverted
from protocol.ledger.params import DAY_S

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from web3_chain import Anvil, Web3Chain, anvil_missing, in_process


class InProcessNode(Node):
    """A node that translates what the in-process chain raises; it has no block ahead."""

    ahead = "latest"

    def _ask(self, question: Callable[[], Any], through: type[Exception] | None = None) -> Any:
        def translated() -> Any:
            try:
                return question()
            except Exception as error:
                if type(error).__name__ == "ValidationError":
                    raise Refused(str(error)) from error
                if type(error).__name__ != "TransactionFailed":
                    raise
                raise Reverted("0x" + Web3Chain.reason(error).hex()) from error

        return super()._ask(translated, through)


class Place:
    """A chain with a ledger on it, and views of it."""

    def __init__(self, chain: Web3Chain, folder: Path) -> None:
        self.chain, self.folder = chain, folder
        start = (chain.time // DAY_S + 1) * DAY_S
        chain.at(start)
        self.clock = Clock(start)
        self.genesis = made_genesis().model_copy(update={"chain_id": chain.chain_id, "time": start})
        self.core = Core(chain, self.genesis)
        self.opened: list[EvmLedger] = []

    def node(self, **options: Any) -> Node:
        kind = Node if "anvil" in type(self.chain.web3.provider).__name__.lower() else InProcessNode
        return kind(self.chain.web3, wait=lambda seconds: None, **options)

    def view(self, payer: str = "relay", **options: Any) -> EvmLedger:
        given: dict[str, Any] = {"node": self.node(), "key": key_of(payer), "clock": self.clock} | options
        ledger = EvmLedger(given.pop("node"), self.core.ledger.address, **given)
        self.opened.append(ledger)
        return ledger

    def network(self, payer: str = "relay", **options: Any) -> Network:
        return Network(self.view(payer, **options), self.clock)

    def later(self, seconds: int) -> None:
        self.clock.now = self.chain.at(self.chain.web3.eth.get_block("latest")["timestamp"] + seconds)
        if not hasattr(self.chain.web3.provider, "ethereum_tester"):
            self.chain.web3.provider.make_request("evm_mine", [])


def made_place(kind: str, folder: Path) -> Iterator[Place]:
    """Yield a place on `eth-tester` or `anvil`, and close it."""
    anvil = None
    if kind == "anvil":
        if reason := anvil_missing():
            pytest.skip(reason)
        anvil = Anvil(folder)
    made = Place(Web3Chain(anvil.web3) if anvil else in_process(), folder)
    yield made
    for ledger in made.opened:
        ledger.close()
    if anvil:
        anvil.close()
