"""The ledger's interface over a chain: nothing lost, nothing doubled, whatever the node or the chain does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_ledgers import ADDRESS, SALT, TOPIC, Network, key_of, module
from place import Place
from test_ledger_heads import body, claim, made_head
from twin import DEPLOYER

from protocol.errors import ClusterError, ConfigError, DataError
from protocol.ledger.calls import UNSIGNED
from protocol.ledger.digest import state_digest
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_deploy import check_deployment, created, deploy
from protocol.ledger.evm_node import Spending
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal, NonceError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_what_one_writes_another_reads_and_both_say_what_the_contracts_hold(place: Place) -> None:
    network, other = place.network(), place.view(cache=place.folder / "cache.sqlite")
    (first,) = network.ledger.records()
    assert first.event.author == place.core.ledger.address
    assert network.ledger.domain == place.core.domain
    network.send("dora", "register", **network.registration("dora"))
    commitment = network.commit("dora", module(1), by="bob")
    network.send("dora", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    block_hash = source_hash(module(1))
    assert network.judge(block_hash) == "accepted"
    assert other.source(block_hash) == module(1)
    assert state_digest(other.state()) == state_digest(network.state)
    carol = place.network("carol")
    place.later(700)
    head = made_head(carol, {"dora": 7 * LTFT})
    carol.send("carol", "stamp", **body(carol, head))
    network.send("dora", "claim", **claim(network, {"dora": 7 * LTFT}, "dora"))
    with pytest.raises(LedgerRefusal, match="all of it"):
        network.send("dora", "claim", **claim(network, {"dora": 7 * LTFT}, "dora"))
    again = place.view(cache=place.folder / "cache.sqlite", key=None)
    assert [record.hash for record in again.records()] == [record.hash for record in network.ledger.records()]
    assert state_digest(again.state()) == state_digest(network.state)
    assert again.verify(network.ledger.tip().hash).ok
    assert not again.verify("ab" * 32).ok
    assert state_digest(again.state(3)) == state_digest(network.ledger.state(3))
    assert network.state.accounts[ADDRESS["dora"]].balance == place.core.ledger.accounts(ADDRESS["dora"])[0]
    with pytest.raises(ConfigError, match="open for reading"):
        again.append(network.event("alice", "tick"))
    with pytest.raises(DataError, match="no record 99"):
        again.record(99)


def test_an_event_is_recorded_once_whoever_brings_it(place: Place) -> None:
    network, other = place.network(), place.network("alice")
    event = network.event("alice", "stake", amount=LTFT)
    first = network.ledger.append(event)
    for ledger in (network.ledger, other.ledger):
        assert ledger.append(event) == replace(first, new=False)
    assert network.ledger.record(1).event == event
    with pytest.raises(NonceError):
        network.ledger.append(network.event("alice", "stake", nonce=0, amount=5))
    direct = other.event("alice", "stake", amount=2)
    assert other.ledger.append(direct).new
    assert network.ledger.record(2).event.signature == UNSIGNED
    assert not network.ledger.append(direct).new
    assert network.state.accounts[ADDRESS["alice"]].stake == LTFT + 2


def test_refusals_cost_nothing_and_have_their_codes(place: Place) -> None:
    network = place.network()
    before = place.chain.web3.eth.get_transaction_count(key_of("relay").address)
    assert network.refused("alice", "transfer", to=ADDRESS["bob"], amount=51 * LTFT) == "funds"
    assert network.refused("alice", "transfer", to=key_of("stranger").address, amount=1) == "no-account"
    event = network.event("alice", "stake", amount=5)
    with pytest.raises(LedgerRefusal) as caught:
        network.ledger.append(replace(event, signature=network.event("bob", "stake", amount=5).signature))
    assert caught.value.code == "signature"
    assert place.chain.web3.eth.get_transaction_count(key_of("relay").address) == before
    dear = place.network(node=place.node(spending=Spending(gas=30_000)))
    with pytest.raises(ConfigError, match="raise the limit"):
        dear.ledger.append(event)
    poor = place.network(node=place.node(spending=Spending(fee_gwei=0)))
    with pytest.raises(ConfigError, match="wait or raise"):
        poor.ledger.append(event)


def test_a_race_that_the_chain_decides_ends_in_the_ledgers_own_refusal(place: Place) -> None:
    network, other = place.network(), place.network("bob")
    mine = network.event("alice", "transfer", to=ADDRESS["bob"], amount=50 * LTFT)
    theirs = network.event("alice", "stake", amount=1)
    network.ledger.state()
    sync = network.ledger._sync
    network.ledger._sync = lambda: None  # has not seen yet what comes
    other.ledger.append(theirs)
    with pytest.raises(LedgerRefusal) as caught:
        network.ledger.append(mine)
    assert caught.value.code == "nonce"
    network.ledger._sync = sync
    assert network.state.accounts[ADDRESS["alice"]].stake == 1


def test_what_a_chain_takes_back_is_forgotten_and_can_be_sent_again(place: Place) -> None:
    network, provider = place.network(), place.chain.web3.provider
    network.send("alice", "stake", amount=1)
    tester = getattr(provider, "ethereum_tester", None)
    mark = tester.take_snapshot() if tester else provider.make_request("evm_snapshot", [])["result"]
    event = network.event("alice", "stake", amount=5)
    network.ledger.append(event)
    assert network.state.accounts[ADDRESS["alice"]].stake == 6
    if tester:
        tester.revert_to_snapshot(mark)
    else:
        provider.make_request("evm_revert", [mark])
    place.core.token.send(DEPLOYER, "approve", DEPLOYER, 1)  # the other branch grows
    place.core.token.send(DEPLOYER, "approve", DEPLOYER, 2)
    assert network.state.accounts[ADDRESS["alice"]].stake == 1
    assert network.ledger.append(event).new
    assert network.state.accounts[ADDRESS["alice"]].stake == 6
    assert state_digest(place.view().state()) == state_digest(network.state)


def test_a_chain_that_got_shorter_is_read_as_it_is(place: Place) -> None:
    cache = place.folder / "cache.sqlite"
    network, provider = place.network(cache=cache), place.chain.web3.provider
    network.send("alice", "stake", amount=1)
    tester = getattr(provider, "ethereum_tester", None)
    mark = tester.take_snapshot() if tester else provider.make_request("evm_snapshot", [])["result"]
    events = []
    for amount in (2, 3):
        events.append(network.event("alice", "stake", amount=amount))
        network.ledger.append(events[-1])
    seen = network.ledger.tip().hash
    if tester:
        tester.revert_to_snapshot(mark)
    else:
        provider.make_request("evm_revert", [mark])
    for ledger in (network.ledger, place.view(cache=cache)):
        assert ledger.tip().height == 1
        assert not ledger.verify(seen).ok
    assert [network.ledger.append(event).new for event in events] == [True, True]
    assert network.state.accounts[ADDRESS["alice"]].stake == 6


def test_several_programs_of_one_home_share_what_was_read(place: Place) -> None:
    """What one has read and kept the others find, in whatever order they look, and whatever the chain takes back."""
    cache, provider = place.folder / "cache.sqlite", place.chain.web3.provider
    one, two, three = (place.network(cache=cache) for _ in range(3))
    tester = getattr(provider, "ethereum_tester", None)
    for amount in (1, 2, 3):
        one.send("alice", "stake", amount=amount)
    assert two.state.accounts[ADDRESS["alice"]].stake == 6
    two.send("bob", "stake", amount=1)
    mark = tester.take_snapshot() if tester else provider.make_request("evm_snapshot", [])["result"]
    one.send("alice", "stake", amount=10)
    assert {other.state.height for other in (one, two)} == {5}
    if tester:
        tester.revert_to_snapshot(mark)
    else:
        provider.make_request("evm_revert", [mark])
    two.send("alice", "stake", amount=20)
    for network in (three, one, two):
        assert network.state.accounts[ADDRESS["alice"]].stake == 26
        assert [record.height for record in network.ledger.records()] == list(range(6))
    assert len({state_digest(network.state) for network in (one, two, three)}) == 1


def test_what_an_author_is_told_of_a_block_that_was_lost(place: Place) -> None:
    class Unlucky(type(place.node())):  # type: ignore[misc]  # one of two
        """The chain forgets the newest block while its depth is awaited."""

        def pause(self) -> None:
            provider = self.web3.provider
            if mark:
                if tester := getattr(provider, "ethereum_tester", None):
                    tester.revert_to_snapshot(mark.pop())
                else:
                    provider.make_request("evm_revert", [mark.pop()])

    node = Unlucky(place.chain.web3, wait=lambda seconds: None)
    careful, provider = place.network(node=node, confirmations=1), place.chain.web3.provider
    event = careful.event("alice", "stake", amount=1)
    tester = getattr(provider, "ethereum_tester", None)
    mark = [tester.take_snapshot() if tester else provider.make_request("evm_snapshot", [])["result"]]
    with pytest.raises(DataError, match="is gone: send it again"):
        careful.ledger.append(event)
    hasty = place.network()
    assert hasty.ledger.append(event).new
    place.core.token.send(DEPLOYER, "approve", DEPLOYER, 1)
    assert not careful.ledger.append(event).new
    assert careful.state.accounts[ADDRESS["alice"]].stake == 1


def test_unconfirmed_blocks_do_not_count(place: Place) -> None:
    network, careful = place.network(), place.view(confirmations=2)
    network.send("alice", "stake", amount=1)
    assert careful.tip().height == 0
    for number in (1, 2):
        place.core.token.send(DEPLOYER, "approve", DEPLOYER, number)
    assert careful.tip().height == 1


class Flaky:
    """A connection that fails now and then: before it asks, after the node has done it, or by asking twice."""

    def __init__(self, web3: Any) -> None:
        self.inner, self.count = web3.eth, 0

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        turn = self.count % 4
        if name in {"chain_id"}:
            return self.inner.chain_id
        act = getattr(self.inner, name)

        def asked(*arguments: Any) -> Any:
            if turn == 1:
                raise ConnectionError("cut")
            if turn == 2 and name == "send_raw_transaction":
                act(*arguments)
                raise ConnectionError("the answer is lost")
            if turn == 3 and name != "send_raw_transaction":
                act(*arguments)
            return act(*arguments)

        return asked


class Through:
    def __init__(self, web3: Any) -> None:
        self.eth, self.keccak, self.provider = Flaky(web3), web3.keccak, web3.provider


def test_a_bad_line_loses_and_doubles_nothing(place: Place) -> None:
    node = place.node()
    node.web3 = Through(place.chain.web3)
    network = place.network(node=node)
    for amount in range(1, 8):
        network.send("alice", "stake", amount=amount)
    assert network.state.accounts[ADDRESS["alice"]].stake == 28
    assert network.ledger.tip().height == 7
    dead = place.node()

    class Dead:
        def __getattr__(self, name: str) -> Any:
            raise ConnectionError("nobody there")

    dead.web3 = Dead()
    with pytest.raises(ClusterError, match="does not answer"):
        dead.block()


def test_a_ledger_is_deployed_and_found_to_be_the_committed_one(place: Place) -> None:
    node, key = place.node(spending=Spending(gas=12_000_000)), key_of("deployer")
    holder = key_of("holder").address
    found = deploy(node, key, place.genesis, {holder: 5 * LTFT})
    network = Network(EvmLedger(node, found.ledger, key=key_of("relay"), clock=place.clock), place.clock)
    network.send("alice", "stake", amount=1)
    assert check_deployment(node, network.ledger) == []
    assert network.state.accounts[found.token].balance == 5 * LTFT
    network.ledger.genesis = network.ledger.genesis.model_copy(update={"pool": 7})
    assert len(check_deployment(node, network.ledger)) == 2
    with pytest.raises(ConfigError, match="for chain 5"):
        deploy(node, key, place.genesis.model_copy(update={"chain_id": 5}), {})
    with pytest.raises(ConfigError, match="no contract"):
        EvmLedger(node, holder)
    with pytest.raises(ConfigError, match="no ledger"):
        EvmLedger(node, found.token)


def test_addresses_of_contracts_are_known_before() -> None:
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert created(sender, 0).lower() == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created(sender, 1).lower() == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"
    assert len({created(sender, nonce) for nonce in (127, 128, 255, 256, 65_536)}) == 5
