"""What every ledger backend must do; subclass it and say how to make one and how to open it a second time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bad_events import BAD
from made_ledgers import (
    ADDRESS,
    KEYS,
    PARAMS,
    SALT,
    START,
    TOPIC,
    Clock,
    Network,
    PureLedger,
    made_genesis,
    module,
)

from protocol.errors import DataError
from protocol.ledger.digest import state_digest
from protocol.ledger.event import NOBODY, SignedEvent, genesis_record, sign
from protocol.ledger.genesis import Genesis
from protocol.ledger.kinds import source_hash
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import DAY_S, LTFT
from protocol.ledger.refusal import LedgerRefusal, NonceError

#: What a caller can make an object of; the rest fails at the wire.
BAD_OBJECTS = {name: case for name, case in BAD.items() if isinstance(case[1], dict) and len(case[1]) == 5}


class LedgerConformance:
    """The suite. After every test the ledger is verified and compared with the bare state machine."""

    def make(self, folder: Path, genesis: Genesis, clock: Clock) -> Ledger:
        """Return a new ledger."""
        raise NotImplementedError

    def reopen(self, ledger: Ledger, clock: Clock) -> Ledger:
        """Return a second view of the same ledger, as another process would have it."""
        raise NotImplementedError

    def beginning(self, ledger: Ledger) -> tuple[Genesis, str]:
        """Return what a new ledger must hold, and who record 0 is by."""
        return made_genesis(), NOBODY

    @pytest.fixture
    def other(self, network: Network, clock: Clock) -> Iterator[Network]:
        other = Network(self.reopen(network.ledger, clock), clock)
        yield other
        other.ledger.close()

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def network(self, tmp_path: Path, clock: Clock) -> Iterator[Network]:
        network = Network(self.make(tmp_path, made_genesis(), clock), clock)
        total = network.state.total()
        yield network
        ledger = network.ledger
        pure = PureLedger(self.beginning(ledger)[0], clock, self.beginning(ledger)[1])
        for record in ledger.records(1):
            clock.now = record.time
            assert pure.append(record.event).hash == record.hash
        found = ledger.verify()
        assert found.ok, found.damage
        assert (found.records, found.head) == (pure.now.height + 1, pure.now.head)
        assert found.state_digest == state_digest(pure.now) == state_digest(ledger.state())
        assert pure.now.total() == total
        ledger.close()

    def test_a_new_ledger_holds_its_genesis(self, network: Network) -> None:
        (first,) = network.ledger.records()
        genesis, author = self.beginning(network.ledger)
        assert first == genesis_record(genesis, author) == network.ledger.tip() == network.ledger.record(0)
        assert network.ledger.genesis == genesis
        assert network.ledger.domain.salt == first.hash
        assert network.state.accounts[ADDRESS["alice"]].balance == 50 * LTFT

    def test_a_module_goes_all_the_way_to_a_crown(self, network: Network, other: Network) -> None:
        network.send("dora", "register", **network.registration("dora"))
        commitment = network.commit("dora", module(1), by="bob")
        network.wait(10)
        network.send("dora", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
        block_hash = source_hash(module(1))
        assert network.judge(block_hash) == "accepted"
        network.wait(2 * DAY_S)
        network.live(block_hash, 1, PARAMS.crown_log_e)
        block = other.state.blocks[block_hash]
        assert (block.status, block.miner, block.parent) == ("crowned", ADDRESS["dora"], network.ledger.domain.salt)
        assert network.ledger.source(block_hash) == module(1)

    def test_an_event_is_recorded_once_whoever_sends_it_again(self, network: Network, other: Network) -> None:
        event = network.event("alice", "stake", amount=LTFT)
        first = network.ledger.append(event)
        network.wait(50)
        for ledger in (network.ledger, other.ledger):
            for same in (event, SignedEvent.from_json(event.text)):
                receipt = ledger.append(same)
                assert receipt == replace(first, new=False)
        assert first.new
        assert network.state.accounts[ADDRESS["alice"]].stake == LTFT

    def test_the_same_nonce_serves_one_event(self, network: Network) -> None:
        one, other = (network.event("alice", "stake", amount=amount) for amount in (1, 2))
        network.ledger.append(one)
        with pytest.raises(NonceError) as caught:
            network.ledger.append(other)
        assert caught.value.expected == 1

    @pytest.mark.parametrize(("code", "raw"), BAD_OBJECTS.values(), ids=BAD_OBJECTS)
    def test_bad_events_leave_no_trace(self, network: Network, code: str, raw: Any) -> None:
        with pytest.raises(LedgerRefusal) as caught:
            network.ledger.append(SignedEvent(**raw))
        assert caught.value.code == code
        assert network.ledger.tip().height == 0

    def test_forged_and_misplaced_events_leave_no_trace(self, network: Network) -> None:
        event = network.event("alice", "transfer", to=ADDRESS["bob"], amount=5)
        forged = replace(event, signature=network.event("bob", "transfer", to=ADDRESS["bob"], amount=5).signature)
        changed = replace(event, body=dict(event.body, amount=6))
        abroad = sign(KEYS["alice"], replace(network.ledger.domain, chain_id=1), "transfer", 0, event.body)
        for bad in (forged, changed, abroad):
            with pytest.raises(LedgerRefusal) as caught:
                network.ledger.append(bad)
            assert caught.value.code == "signature"
        assert network.refused("alice", "transfer", to=ADDRESS["bob"], amount=51 * LTFT) == "funds"
        assert network.ledger.tip().height == 0
        network.ledger.append(event)

    def test_what_was_recorded_does_not_change_with_the_callers_objects(self, network: Network) -> None:
        body = {"amount": 5}
        event = sign(KEYS["alice"], network.ledger.domain, "stake", 0, body)
        network.ledger.append(event)
        body["amount"] = 7
        event.body["amount"] = 7  # type: ignore[index]  # what a careless caller does
        assert network.ledger.record(1).event.body == {"amount": 5}

    def test_what_is_recorded_is_what_was_signed(self, network: Network) -> None:
        body = {"amount": 7}
        signed = network.event("alice", "stake", amount=5)
        event = replace(signed, body=body)
        assert '"amount":7' in event.text
        body["amount"] = 5
        event.check_signature(network.ledger.domain)
        with pytest.raises(LedgerRefusal) as caught:
            network.ledger.append(event)
        assert caught.value.code == "signature"

    def test_all_views_see_one_order(self, network: Network, other: Network) -> None:
        for amount in range(1, 6):
            network.send("alice", "stake", amount=amount)
            other.send("bob", "stake", amount=amount)
        assert [record.height for record in network.ledger.records()] == list(range(11))
        assert list(network.ledger.records()) == list(other.ledger.records())
        assert state_digest(network.state) == state_digest(other.state)

    def test_threads_share_one_ledger(self, network: Network) -> None:
        def stake(who: str) -> None:
            for nonce in range(5):
                network.ledger.append(network.event(who, "stake", nonce=nonce, amount=1))
                assert network.ledger.state().accounts[ADDRESS[who]].nonce == nonce + 1

        threads = [threading.Thread(target=stake, args=(who,)) for who in ("alice", "bob", "val1", "val2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert network.ledger.tip().height == 20

    def test_the_past_can_be_asked_for(self, network: Network) -> None:
        digests = [state_digest(network.state)]
        for amount in range(1, 8):
            network.clock.now += 100
            network.send("alice", "stake", amount=amount)
            digests.append(state_digest(network.state))
        held = network.ledger.state()
        for height in (7, 0, 3, 5, 5, 1):
            assert state_digest(network.ledger.state(height)) == digests[height]
        network.send("alice", "stake", amount=9)
        assert state_digest(held) == digests[7]

    def test_reading_what_is_not_there_says_what_is(self, network: Network) -> None:
        network.wait(1)
        for height in (-1, 2):
            with pytest.raises(DataError, match=f"no record {height}; its last is 1"):
                network.ledger.record(height)
            with pytest.raises(DataError, match=f"no record {height}; its last is 1"):
                network.ledger.state(height)
        with pytest.raises(DataError, match="no module abc"):
            network.ledger.source("abc")
        assert [record.height for record in network.ledger.records(1)] == [1]
        assert not list(network.ledger.records(2))

    def test_time_stands_still_while_the_clock_is_behind(self, network: Network, clock: Clock) -> None:
        commitment = network.commit("alice", module(1))
        clock.now += 60
        network.send("bob", "tick")
        assert network.ledger.clock_skew() == 0
        clock.now -= 10_000
        for _ in range(3):
            network.send("bob", "tick")
        assert network.ledger.clock_skew() == 10_000
        assert [record.time - START for record in network.ledger.records()] == [0, 0, 60, 60, 60, 60]
        network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
        clock.now += 10_500.9
        network.send("bob", "tick")
        assert network.ledger.tip().time == START + 560
        assert network.ledger.clock_skew() == 0

    def test_a_clock_far_ahead_is_reported_once_it_is_back(self, network: Network, clock: Clock) -> None:
        clock.now += 3_650 * DAY_S
        network.send("bob", "tick")
        clock.now -= 3_650 * DAY_S
        assert network.ledger.clock_skew() == 3_650 * DAY_S
        network.submit("alice", module(1))

    def test_a_ledger_that_lost_what_was_seen_is_told_from_a_young_one(self, network: Network) -> None:
        network.send("alice", "stake", amount=1)
        seen = network.ledger.tip().hash
        network.send("alice", "stake", amount=1)
        assert network.ledger.verify(seen).ok
        found = network.ledger.verify("ab" * 32)
        assert found.damage is not None
        assert "gone" in found.damage.text
