"""HEADs on the ledger: who may stamp one, what it may pay, and that claims pay once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_ledgers import ADDRESS, KEYS, START, TOPIC, VALIDATORS, Network, made_genesis, pure_network

from protocol.head.claims import Claims
from protocol.head.head import Head, HeadModel, HeadTopic
from protocol.head.quorum import sign_head
from protocol.head.schedule import PERIOD_S
from protocol.ledger.digest import state_digest
from protocol.ledger.genesis import OUTSIDE, GenesisAccount
from protocol.ledger.heads import emitted_until
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal

FIRST = START // PERIOD_S
DATA = "ef" * 32


def made_head(network: Network, earned: Mapping[str, int], **changes: Any) -> Head:
    """Return the next HEAD, of the present period, after `earned` wei by name in all."""
    state = network.state
    before = state.stamp
    values: dict[str, Any] = {
        "period": int(network.clock()) // PERIOD_S,
        "parent": before.hash if before else state.domain.salt,
        "height": state.height,
        "ledger": state.head,
        "data_root": DATA,
        "topics": (),
        "predictions": (),
        "claims": Claims({ADDRESS[name]: amount for name, amount in earned.items()}),
    }
    return Head.of(**(values | changes))


def body(network: Network, head: Head, signers: tuple[str, ...] = VALIDATORS) -> dict[str, Any]:
    signed = [sign_head(KEYS[name], network.ledger.domain, head) for name in signers]
    return {"head": head.text, "signatures": [{"validator": s.validator, "signature": s.signature} for s in signed]}


def stamp(network: Network, **earned: int) -> Head:
    head = made_head(network, earned)
    network.send("carol", "stamp", **body(network, head))
    return head


def claim(network: Network, claims: Mapping[str, int], who: str) -> dict[str, Any]:
    made = Claims({ADDRESS[name]: amount for name, amount in claims.items()}).claim(ADDRESS[who])
    return {"total": made.total, "proof": made.proof.to_dict()}


@pytest.fixture
def network() -> Network:
    return pure_network()


def test_a_stamped_head_stands_and_pays_once(network: Network) -> None:
    before = network.state.accounts[ADDRESS["alice"]].balance
    head = stamp(network, alice=3 * LTFT, bob=LTFT)
    stamped = network.state.stamp
    assert stamped is not None
    assert (stamped.hash, stamped.period, stamped.reward_total) == (head.hash, FIRST, 4 * LTFT)
    assert network.state.supply.minted == network.state.rewards.owed == 4 * LTFT
    told = claim(network, {"alice": 3 * LTFT, "bob": LTFT}, "alice")
    network.send("alice", "claim", **told)
    assert network.state.accounts[ADDRESS["alice"]].balance == before + 3 * LTFT
    assert network.refused("alice", "claim", **told) == "claimed"
    assert network.state.rewards.owed == LTFT
    assert network.state.total() == network.state.supply.total == network.state.genesis.total + 4 * LTFT


def test_later_heads_add_and_an_old_claim_is_not_lost(network: Network) -> None:
    stamp(network, alice=LTFT)
    network.wait(PERIOD_S)
    stamp(network, alice=2 * LTFT, bob=5)
    assert network.refused("alice", "claim", **claim(network, {"alice": LTFT}, "alice")) == "wrong-claim"
    network.send("alice", "claim", **claim(network, {"alice": 2 * LTFT, "bob": 5}, "alice"))
    assert network.state.claimed[ADDRESS["alice"]] == 2 * LTFT
    assert network.state.rewards.owed == 5


def test_nobody_claims_for_another_or_more(network: Network) -> None:
    told = {"alice": LTFT, "bob": 2}
    assert network.refused("alice", "claim", **claim(network, told, "alice")) == "wrong-claim"  # no HEAD yet
    stamp(network, **told)
    theirs = claim(network, told, "alice")
    assert network.refused("bob", "claim", **theirs) == "wrong-claim"
    assert network.refused("alice", "claim", **(theirs | {"total": LTFT + 1})) == "wrong-claim"
    odd = theirs["proof"] | {"index": 7}
    assert network.refused("alice", "claim", **(theirs | {"proof": odd})) == "malformed"


def test_deposits_are_spent_before_anything_is_minted(network: Network) -> None:
    network.send("bob", "deposit", amount=3 * LTFT)
    assert network.state.rewards.deposited == 3 * LTFT
    stamp(network, alice=2 * LTFT)
    assert (network.state.rewards.deposited, network.state.supply.minted) == (LTFT, 0)
    network.wait(PERIOD_S)
    stamp(network, alice=4 * LTFT)
    assert (network.state.rewards.deposited, network.state.supply.minted) == (0, LTFT)
    assert network.state.total() == network.state.supply.total


def test_emission_is_bounded_by_the_schedule_whatever_was_missed(network: Network) -> None:
    limit = network.state.params.emission_first
    over = made_head(network, {"alice": limit + 1})
    assert network.refused("carol", "stamp", **body(network, over)) == "wrong-rewards"
    stamp(network, alice=limit)
    network.wait(5 * PERIOD_S)
    assert emitted_until(network.state, FIRST + 5) == 6 * limit
    over = made_head(network, {"alice": 6 * limit + 1})
    assert network.refused("carol", "stamp", **body(network, over)) == "wrong-rewards"
    stamp(network, alice=6 * limit)
    assert network.state.supply.minted == 6 * limit


def test_more_than_two_thirds_of_the_stake_must_sign(network: Network) -> None:
    head = made_head(network, {})
    two = body(network, head, VALIDATORS[:2])  # 800 of 1200
    assert network.refused("carol", "stamp", **two) == "no-quorum"
    twice = two | {"signatures": two["signatures"] * 2}
    assert network.refused("carol", "stamp", **twice) == "no-quorum"
    strangers = body(network, head, (*VALIDATORS[:2], "alice"))
    assert network.refused("carol", "stamp", **strangers) == "no-quorum"
    other = made_head(network, {"bob": 1})
    mixed = body(network, head, VALIDATORS[:2])["signatures"] + body(network, other, VALIDATORS[2:])["signatures"]
    assert network.refused("carol", "stamp", head=head.text, signatures=mixed) == "no-quorum"
    network.send("carol", "stamp", **body(network, head))


def test_a_head_follows_the_newest_in_time_and_place(network: Network) -> None:
    first = stamp(network, alice=5)
    again = made_head(network, {"alice": 5})
    assert network.refused("carol", "stamp", **body(network, again)) == "wrong-period"
    network.wait(PERIOD_S)
    for code, changes in (
        ("wrong-parent", {"parent": DATA}),
        ("wrong-period", {"period": FIRST + 2}),
        ("wrong-period", {"height": network.state.height + 1}),
        ("wrong-period", {"height": first.height - 1} if first.height else {"period": FIRST}),
        ("wrong-rewards", {"claims": Claims({ADDRESS["alice"]: 4})}),
        ("wrong-rewards", {"claims": Claims()}),
    ):
        odd = made_head(network, {"alice": 5}, **changes)
        assert network.refused("carol", "stamp", **body(network, odd)) == code
    stamp(network, alice=5)


def test_a_head_names_model_blocks_of_their_topic_only(network: Network) -> None:
    block = network.accept(1)
    for topic, name, code in ((TOPIC, DATA, "no-block"), ("layer2-24h", block, "no-block")):
        topics = (HeadTopic(topic, (HeadModel(name, "crowned", 1),)),)
        odd = made_head(network, {}, topics=topics)
        assert network.refused("carol", "stamp", **body(network, odd)) == code
    topics = (HeadTopic(TOPIC, (HeadModel(block, "provisional", 1),)),)
    network.send("carol", "stamp", **body(network, made_head(network, {}, topics=topics)))


def test_what_is_no_head_is_refused(network: Network) -> None:
    head = made_head(network, {})
    for text in ("{}", head.text + " ", head.text.replace('"version":1', '"version":2')):
        assert network.refused("carol", "stamp", head=text, signatures=[]) == "malformed"


def test_burned_money_is_gone(network: Network) -> None:
    network.send("bob", "burn", amount=2 * LTFT)
    assert network.state.supply.burned == 2 * LTFT
    assert network.state.total() == network.state.supply.total == network.state.genesis.total - 2 * LTFT
    assert network.refused("carol", "burn", amount=10**30) == "funds"
    network.send("bob", "redeem", amount=LTFT)
    network.send("bob", "redeem", amount=LTFT)
    assert network.state.supply.redeemed == sum(network.state.redeemed.values()) == 2 * LTFT
    assert network.state.total() == network.state.supply.total == network.state.genesis.total - 4 * LTFT
    assert network.refused("carol", "redeem", amount=10**30) == "funds"
    assert network.refused("carol", "deposit", amount=10**30) == "funds"


def test_what_is_redeemed_outside_of_a_ledger_was_paid_for_there() -> None:
    genesis = made_genesis()
    outside = GenesisAccount(address=ADDRESS["dora"], name=OUTSIDE, balance=9 * LTFT)
    network = pure_network(genesis.model_copy(update={"accounts": (*genesis.accounts, outside)}))
    network.send("dora", "redeem", amount=LTFT)
    network.send("bob", "redeem", amount=LTFT)
    assert network.state.supply.redeemed == 2 * LTFT
    assert network.state.redeemed == {ADDRESS["bob"]: LTFT}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["deposit", "burn", "redeem", "stamp", "claim"]), st.integers(1, 10**19)), max_size=8
    )
)
def test_money_is_where_the_supply_says_whatever_happens(steps: list[tuple[str, int]]) -> None:
    network, earned = pure_network(made_genesis()), {"alice": 1}
    for kind, amount in steps:
        digest = state_digest(network.state)
        try:
            if kind == "stamp":
                more = earned | {"alice": earned["alice"] + amount}
                stamp(network, **more)
                earned = more
                network.wait(PERIOD_S)
            elif kind == "claim":
                network.send("alice", "claim", **claim(network, earned, "alice"))
            else:
                network.send("bob", kind, amount=amount)
        except LedgerRefusal:
            assert state_digest(network.state) == digest
        state = network.state
        assert state.total() == state.supply.total
        assert state.rewards.owed == (state.stamp.reward_total if state.stamp else 0) - sum(state.claimed.values())
        assert state.supply.minted <= emitted_until(state, state.time // PERIOD_S)
