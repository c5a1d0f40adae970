"""Real faults on anvil: it is killed, its chain goes another way, the line to it is bad. Nothing is lost or doubled."""

from __future__ import annotations

import json
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_ledgers import ADDRESS, Clock, Network, key_of, made_genesis

from protocol.errors import LongtailError
from protocol.ledger.digest import state_digest
from protocol.ledger.event import SignedEvent
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_deploy import deploy
from protocol.ledger.evm_node import Node, Spending
from protocol.ledger.params import DAY_S

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from unreliable import Unreliable
    from web3 import HTTPProvider, Web3
    from web3_chain import Anvil, Web3Chain, anvil_missing

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(anvil_missing()), reason=anvil_missing() or "-"),
]


class Place:
    """A ledger on an anvil that keeps its state."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.anvil, self.torn = folder, Anvil(folder, kept=True), 0
        self.chain = Web3Chain(self.anvil.web3)
        start = (self.chain.time // DAY_S + 1) * DAY_S
        self.ask("evm_setNextBlockTimestamp", start)
        self.clock = Clock(start)
        genesis = made_genesis().model_copy(update={"chain_id": self.chain.chain_id, "time": start})
        node = Node(self.anvil.web3, spending=Spending(gas=12_000_000))
        self.address = deploy(node, key_of("deployer"), genesis, {}).ledger

    def ask(self, method: str, *arguments: Any) -> Any:
        answer = self.anvil.web3.provider.make_request(method, list(arguments))  # type: ignore[arg-type]  # web3's list of names
        assert "error" not in answer, answer
        return answer["result"]

    def network(self, payer: str = "relay", url: str = "", cache: str = "") -> Network:
        web3 = Web3(HTTPProvider(url or self.anvil.url, request_kwargs={"timeout": 10}))
        ledger = EvmLedger(
            Node(web3, timeout_s=20),
            self.address,
            key=key_of(payer),
            cache=self.folder / f"{cache}.sqlite" if cache else None,
            clock=self.clock,
        )
        return Network(ledger, self.clock)

    def kept(self) -> None:
        """Wait until anvil has written what there is."""
        assert self.anvil.state is not None
        now = time.time()
        while not self.anvil.state.exists() or self.anvil.state.stat().st_mtime < now + 0.1:
            time.sleep(0.05)

    def restart(self) -> None:
        """Kill anvil and start it again from its file, or from the last whole one: it may have died while it wrote."""
        state, copy = self.folder / "anvil.json", self.folder / "whole.json"
        self.anvil.kill()
        if not whole(state):
            self.torn += 1
            copy.replace(state)
        shutil.copy(state, copy)
        self.anvil.start()


def whole(state: Path) -> bool:
    """Return whether a file was written to its end."""
    try:
        json.loads(state.read_bytes())
    except ValueError:
        return False
    return True


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.anvil.close()


def staked(network: Network, amounts: range) -> list[SignedEvent]:
    """Let alice stake amounts; return the events, all of them acknowledged."""
    events = []
    for amount in amounts:
        events.append(network.event("alice", "stake", amount=amount))
        assert network.ledger.append(events[-1]).new
    return events


def repeated(network: Network, events: list[SignedEvent]) -> int:
    """Send everything again; return how much was gone. Each event must be there once."""
    gone = sum(network.ledger.append(event).new for event in events)
    bodies = [record.event.body for record in network.ledger.records(1)]
    assert bodies == [event.body for event in events]
    assert network.ledger.verify(network.ledger.tip().hash).ok
    return gone


def test_anvil_killed_and_started_again_from_its_file(place: Place) -> None:
    network = place.network(cache="cache")
    safe = staked(network, range(1, 4))
    place.kept()
    late = staked(network, range(4, 7))
    head = network.ledger.tip().hash
    place.restart()
    known = network.ledger.tip().height  # the same object, whose node was away
    assert len(safe) <= known <= len(safe + late)
    assert network.ledger.verify(head).ok == (known == len(safe + late))
    assert place.network(cache="cache").ledger.tip().height == known
    assert repeated(network, safe + late) == len(safe + late) - known
    place.kept()
    place.restart()
    again = place.network()
    assert repeated(again, safe + late) == 0
    assert state_digest(again.state) == state_digest(network.state)


def test_anvil_killed_between_question_and_answer(place: Place) -> None:
    """Somebody writes without pause while anvil dies again and again; what was told to be recorded and is not is sent again."""
    network, events = place.network(cache="cache"), list[SignedEvent]()
    place.kept()
    deaths = threading.Thread(target=lambda: [(time.sleep(0.9), place.restart()) for _ in range(4)])
    deaths.start()
    for amount in range(1, 10_000):
        if not deaths.is_alive():
            break
        try:
            known = network.ledger.tip().height
            event = events[known] if known < len(events) else network.event("alice", "stake", known, amount=amount)
            if known == len(events):
                events.append(event)
            network.ledger.append(event)
        except LongtailError:
            time.sleep(0.1)
    deaths.join()
    assert events
    repeated(network, events)


@pytest.mark.parametrize("method", ["anvil_rollback", "anvil_reorg"])
@pytest.mark.parametrize("depth", [3, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 2, 5))])
def test_the_chain_goes_another_way(place: Place, method: str, depth: int) -> None:
    network, other = place.network(cache="cache"), place.network("alice")
    events = staked(network, range(1, 6))
    head = network.ledger.tip().hash
    assert other.ledger.tip().hash == head
    place.ask(method, depth, *([[]] if method == "anvil_reorg" else []))
    for view in (network, other, place.network(cache="cache")):
        assert view.ledger.tip().height == 5 - depth
        assert not view.ledger.verify(head).ok
    assert repeated(other, events) == depth
    assert network.ledger.tip().height == 5


@pytest.mark.parametrize("seed", [1, *(pytest.param(one, marks=pytest.mark.slow) for one in range(2, 9))])
def test_a_line_that_drops_delays_and_doubles(place: Place, seed: int) -> None:
    proxy = Unreliable(place.anvil.port, seed)
    told: dict[str, list[SignedEvent]] = {"alice": [], "bob": []}
    failures: list[BaseException] = []

    def write(who: str, payer: str) -> None:
        try:
            network = until(lambda: place.network(payer, proxy.url, cache=who))
            for number in range(6):
                event = until(lambda number=number: network.event(who, "stake", number, amount=number + 1))
                until(lambda event=event: network.ledger.append(event))
                told[who].append(event)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=write, args=pair) for pair in (("alice", "relay"), ("bob", "bob"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.close()
    assert not failures
    network = place.network()
    for who, events in told.items():
        found = [record.event.body for record in network.ledger.records() if record.event.author == ADDRESS[who]]
        assert found == [event.body for event in events]
    assert network.ledger.tip().height == 12
    assert network.ledger.verify().ok
    assert set(proxy.seen) > {"lost", "unanswered", "twice"}


def until(act: Any) -> Any:
    """Do something until it is not in vain: what a program does that is told that the node does not answer."""
    for _ in range(20):
        try:
            return act()
        except LongtailError as error:
            problem = error
    raise problem
