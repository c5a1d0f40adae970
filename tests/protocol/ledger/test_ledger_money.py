"""Accounts: registering, moving money, staking, and the nonce that makes a signature good for one event."""

from __future__ import annotations

import pytest
from made_ledgers import ADDRESS, KEYS, PARAMS, START, made_genesis, pure_network

from protocol.errors import DataError
from protocol.ledger.digest import state_digest
from protocol.ledger.event import NO_HASH, Record, record_at, registration_message
from protocol.ledger.params import LTFT, Params
from protocol.ledger.refusal import LedgerRefusal, NonceError
from protocol.ledger.rules import advance, apply, initial_state


def test_registration_opens_an_account_and_welcomes_it_once() -> None:
    network = pure_network()
    network.send("dora", "register", **network.registration("dora"))
    dora = network.state.accounts[ADDRESS["dora"]]
    assert (dora.name, dora.balance, dora.nonce) == ("dora", PARAMS.welcome, 1)
    assert dora.cosmos_address == KEYS["dora"].cosmos_address
    assert network.state.pool == 1_000 * LTFT - PARAMS.welcome
    assert network.refused("dora", "register", **network.registration("dora")) == "registered"
    assert network.refused("alice", "register", **network.registration("alice")) == "registered"


def test_an_empty_pool_welcomes_with_what_it_has() -> None:
    network = pure_network(made_genesis(Params(welcome=1_001 * LTFT)))
    network.send("dora", "register", **network.registration("dora"))
    assert network.state.accounts[ADDRESS["dora"]].balance == 1_000 * LTFT
    assert network.state.pool == 0


def test_registration_needs_the_cosmos_signature_of_the_same_key_for_this_ledger() -> None:
    network = pure_network()
    alice, dora, domain = KEYS["alice"], KEYS["dora"], network.ledger.domain
    elsewhere = registration_message(pure_network(made_genesis(val1=100)).ledger.domain, dora.address)
    forged = [
        {"public_key": alice.public_key},
        {"cosmos_address": alice.cosmos_address},
        {"cosmos_signature": alice.sign_cosmos(registration_message(domain, dora.address))},
        {"cosmos_signature": dora.sign_cosmos(registration_message(domain, alice.address))},
        {"cosmos_signature": dora.sign_cosmos(elsewhere)},
        {
            "public_key": alice.public_key,
            "cosmos_address": alice.cosmos_address,
            "cosmos_signature": alice.sign_cosmos(registration_message(domain, dora.address)),
        },
    ]
    for changes in forged:
        assert network.refused("dora", "register", **network.registration("dora", **changes)) == "identity"
    assert ADDRESS["dora"] not in network.state.accounts


def test_transfer_moves_money_between_accounts() -> None:
    network = pure_network()
    network.send("alice", "transfer", to=ADDRESS["bob"], amount=20 * LTFT)
    network.send("bob", "transfer", to=ADDRESS["bob"], amount=70 * LTFT)
    balances = {name: network.state.accounts[ADDRESS[name]].balance for name in ("alice", "bob")}
    assert balances == {"alice": 30 * LTFT, "bob": 70 * LTFT}
    assert network.refused("alice", "transfer", to=ADDRESS["bob"], amount=30 * LTFT + 1) == "funds"
    assert network.refused("alice", "transfer", to=ADDRESS["dora"], amount=1) == "no-account"
    assert network.refused("dora", "transfer", to=ADDRESS["bob"], amount=1) == "no-account"


def test_stake_makes_a_validator_and_comes_back_after_the_delay() -> None:
    network = pure_network(made_genesis(Params(min_stake=20 * LTFT, unstake_delay_s=1_000)))
    alice = ADDRESS["alice"]
    network.send("alice", "stake", amount=19 * LTFT)
    assert alice not in network.state.validators
    network.send("alice", "stake", amount=11 * LTFT)
    assert network.state.validators[alice] == 30 * LTFT
    assert network.refused("alice", "stake", amount=20 * LTFT + 1) == "funds"
    assert network.refused("alice", "unstake", amount=30 * LTFT + 1) == "funds"
    network.send("alice", "unstake", amount=5 * LTFT)
    assert network.state.validators[alice] == 25 * LTFT
    network.wait(500)
    network.send("alice", "unstake", amount=25 * LTFT)
    assert alice not in network.state.validators
    balances = []
    for seconds in (499, 1, 499, 1):
        network.wait(seconds)
        balances.append(network.state.accounts[alice].balance // LTFT)
    assert balances == [20, 25, 25, 50]


def test_a_nonce_is_good_once_and_in_order() -> None:
    network = pure_network()
    first, second = (network.event("alice", "stake", nonce=nonce, amount=LTFT) for nonce in (0, 1))
    with pytest.raises(NonceError, match="sign again with nonce 0") as caught:
        network.ledger.append(second)
    assert (caught.value.code, caught.value.expected) == ("nonce", 0)
    network.ledger.append(first)
    network.ledger.append(second)
    for event in (first, second, network.event("alice", "tick", nonce=7)):
        with pytest.raises(NonceError) as caught:
            network.ledger.append(event)
        assert caught.value.expected == 2
    assert network.state.accounts[ADDRESS["alice"]].stake == 2 * LTFT


def test_an_event_of_another_ledger_is_refused() -> None:
    network, other = pure_network(), pure_network(made_genesis(val1=100))
    with pytest.raises(LedgerRefusal) as caught:
        network.ledger.append(other.event("alice", "stake", amount=1))
    assert caught.value.code == "signature"


def test_a_record_that_does_not_follow_is_no_record() -> None:
    network = pure_network()
    first, event = network.ledger.chain[0], network.event("alice", "tick")
    good = record_at(1, first.hash, START + 5, event)
    network.wait(3)
    after = network.state.height, network.state.head
    for record in (
        good,
        Record(2, NO_HASH, START + 5, event, good.hash),
        record_at(2, network.state.head, START, event),
    ):
        with pytest.raises(DataError, match="record"):
            apply(network.state, record)
    fresh = initial_state(network.ledger.genesis)
    with pytest.raises(DataError, match="hash"):
        apply(fresh, Record(1, first.hash, START + 6, event, good.hash))
    apply(fresh, good)
    assert after == (network.state.height, network.state.head)


def test_a_refusal_undoes_what_time_did() -> None:
    network = pure_network()
    network.send("val1", "unstake", amount=LTFT)
    before = state_digest(network.state)
    network.clock.now += 2 * PARAMS.unstake_delay_s
    assert network.refused("alice", "unstake", amount=1) == "funds"
    assert state_digest(network.state) == before
    network.wait(0)
    assert not network.state.unstakes


def test_a_copy_of_the_state_is_the_readers_own() -> None:
    network = pure_network()
    network.send("val1", "unstake", amount=LTFT)
    before = state_digest(network.state)
    copy = network.state.copy()
    assert state_digest(copy) == before
    advance(copy, START + 10 * PARAMS.unstake_delay_s)
    assert not copy.unstakes
    assert state_digest(network.state) == before
    network.send("val2", "unstake", amount=LTFT)
    assert len(network.state.unstakes) == 2
    assert not copy.unstakes
