"""The suite of every ledger backend, on contracts: in this process and on anvil. Blocks have the time of the suite's clock."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_conformance import BAD_OBJECTS, LedgerConformance
from made_ledgers import START, Clock, Network, key_of

from protocol.keys import Key
from protocol.ledger.deployment import with_outside
from protocol.ledger.event import SignedEvent
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_deploy import deploy
from protocol.ledger.evm_node import Node, Spending
from protocol.ledger.genesis import Genesis
from protocol.ledger.ledger import Ledger
from protocol.ledger.refusal import LedgerRefusal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from place import InProcessNode
    from web3_chain import Anvil, Web3Chain, anvil_missing, in_process

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
#: Seconds before the genesis at which the contracts are put on the chain.
BEFORE = 1_000


class OnTime(Node):
    """A node whose transactions are in blocks of a clock's time, or of the last block's if that is later."""

    def __init__(self, chain: Web3Chain, clock: Clock, **options: Any) -> None:
        super().__init__(chain.web3, wait=lambda seconds: None, **options)
        self.chain, self.clock = chain, clock

    def send(self, key: Key, to: str, data: bytes) -> int:
        moment = max(int(self.clock()), self.block().time)
        self.web3.provider.make_request("evm_setNextBlockTimestamp", [moment])
        return super().send(key, to, data)


class OnTimeInProcess(OnTime, InProcessNode):
    """The same in this process, where a block is a second after the last at least."""

    def send(self, key: Key, to: str, data: bytes) -> int:
        self.chain.at(int(self.clock()))
        return InProcessNode.send(self, key, to, data)


class OnChain(LedgerConformance):
    """What both chains share."""

    kind: type[OnTime]

    def chain(self, folder: Path) -> Web3Chain:
        """Return a new chain, younger than the suite's ledgers."""
        raise NotImplementedError

    def make(self, folder: Path, genesis: Genesis, clock: Clock) -> Ledger:
        self.made, self.folder, self.views = self.chain(folder), folder, 0
        self.genesis = genesis.model_copy(update={"chain_id": self.made.chain_id})
        node = self.kind(self.made, Clock(START - BEFORE), spending=Spending(gas=12_000_000))
        self.found = deploy(node, key_of("deployer"), self.genesis, {})
        return self.view(clock)

    def view(self, clock: Clock) -> EvmLedger:
        self.views += 1
        cache = self.folder / f"cache-{self.views}.sqlite"
        node = self.kind(self.made, clock)
        return EvmLedger(node, self.found.ledger, key=key_of("relay"), cache=cache, clock=clock)

    def reopen(self, ledger: Ledger, clock: Clock) -> Ledger:
        return self.view(clock)

    def beginning(self, ledger: Ledger) -> tuple[Genesis, str]:
        return with_outside(self.genesis, self.found.token, 0), self.found.ledger

    def test_bad_events_leave_no_trace(self, network: Network) -> None:
        """All of them on one ledger: contracts take seconds to deploy."""
        for name, (code, raw) in BAD_OBJECTS.items():
            with pytest.raises(LedgerRefusal) as caught:
                network.ledger.append(SignedEvent(**raw))
            assert caught.value.code == code, name
        assert network.ledger.tip().height == 0


class TestInProcess(OnChain):
    kind = OnTimeInProcess

    @pytest.fixture(autouse=True)
    def no_wall_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("eth._utils.headers.eth_now", lambda: 0)  # else no block could be before today

    def chain(self, folder: Path) -> Web3Chain:
        return in_process(START - 2 * BEFORE)

    def test_time_stands_still_while_the_clock_is_behind(self, network: Network, clock: Clock) -> None:
        """Here blocks are a second apart at least, so time creeps."""
        clock.now += 60
        network.send("bob", "tick")
        clock.now -= 10_000
        for _ in range(3):
            network.send("bob", "tick")
        assert network.ledger.clock_skew() == 10_003
        assert [record.time - START for record in network.ledger.records()] == [0, 60, 61, 62, 63]
        clock.now += 10_500.9
        network.send("bob", "tick")
        assert network.ledger.tip().time == START + 560
        assert network.ledger.clock_skew() == 0


@pytest.mark.skipif(bool(anvil_missing()), reason=anvil_missing() or "-")
class TestOnAnvil(OnChain):
    kind = OnTime

    @pytest.fixture(autouse=True)
    def anvil(self, tmp_path: Path) -> Iterator[Anvil]:
        self.process = Anvil(tmp_path)
        yield self.process
        self.process.close()

    def chain(self, folder: Path) -> Web3Chain:
        return Web3Chain(self.process.web3)
