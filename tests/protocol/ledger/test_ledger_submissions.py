"""The life of a submission: what it hides, what it costs, and where bond and fee go."""

from __future__ import annotations

import pytest
from made_ledgers import ADDRESS, PARAMS, SALT, START, TOPIC, VALIDATORS, Network, module, pure_network

from protocol.ledger.commitments import commitment_of
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT


@pytest.fixture
def network() -> Network:
    return pure_network()


def balance(network: Network, name: str) -> int:
    return network.state.accounts[ADDRESS[name]].balance


def test_a_commitment_holds_the_bond_and_a_reveal_the_fee(network: Network) -> None:
    commitment = network.commit("alice", module(1))
    assert balance(network, "alice") == 50 * LTFT - PARAMS.bond
    assert network.state.commitments[commitment].reveal_by == START + PARAMS.reveal_window_s
    network.wait(7)
    network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    assert balance(network, "alice") == 50 * LTFT - PARAMS.bond - PARAMS.fee
    submission = network.state.submissions[source_hash(module(1))]
    assert (submission.status, submission.miner, submission.k) == ("open", ADDRESS["alice"], 1)
    assert (submission.committed_height, submission.height) == (1, 3)
    assert (submission.committed_time, submission.time) == (START, START + 7)
    assert not network.state.commitments


def test_a_commitment_hides_the_miner_behind_another_account(network: Network) -> None:
    block_hash = network.submit("carol", module(1), by="bob")
    assert balance(network, "bob") == 50 * LTFT - PARAMS.bond
    assert balance(network, "carol") == 0
    assert network.judge(block_hash) == "accepted"
    assert balance(network, "bob") == 50 * LTFT
    assert network.state.blocks[block_hash].miner == ADDRESS["carol"]


def test_only_the_miner_in_it_opens_a_commitment(network: Network) -> None:
    commitment = network.commit("alice", module(1))
    opening = {"commitment": commitment, "salt": SALT, "topic": TOPIC, "source": module(1)}
    assert network.refused("bob", "reveal", **opening) == "wrong-opening"
    assert network.refused("alice", "reveal", **opening | {"salt": "00" * 32}) == "wrong-opening"
    assert network.refused("alice", "reveal", **opening | {"source": module(2)}) == "wrong-opening"
    assert network.refused("alice", "reveal", **opening | {"topic": "layer2-24h"}) == "wrong-topic"
    assert network.refused("alice", "reveal", **opening | {"commitment": "00" * 32}) == "no-commitment"
    assert network.refused("bob", "commit", topic=TOPIC, commitment=commitment) == "commitment-used"
    network.send("alice", "reveal", **opening)
    assert network.refused("alice", "reveal", **opening) == "no-commitment"


def test_copying_a_commitment_pays_for_the_owner(network: Network) -> None:
    """Somebody who sees a commitment and records it first only pays the bond of the miner in it."""
    commitment = commitment_of(source_hash(module(1)), ADDRESS["alice"], SALT)
    network.send("bob", "commit", topic=TOPIC, commitment=commitment)
    network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1))
    assert network.state.submissions[source_hash(module(1))].committer == ADDRESS["bob"]


def test_a_missed_window_costs_the_bond(network: Network) -> None:
    late = network.commit("alice", module(1))
    network.wait(PARAMS.reveal_window_s - 1)
    in_time = network.commit("bob", module(2))
    pool = network.state.pool
    network.wait(1)
    assert list(network.state.commitments) == [in_time]
    assert network.state.pool == pool + PARAMS.bond
    opening = {"salt": SALT, "topic": TOPIC}
    assert network.refused("alice", "reveal", commitment=late, source=module(1), **opening) == "no-commitment"
    network.send("bob", "reveal", commitment=in_time, source=module(2), **opening)
    network.submit("alice", module(1))


def test_a_module_is_submitted_once(network: Network) -> None:
    first = network.submit("alice", module(1))
    again = network.commit("bob", module(1), salt="00" * 32)
    opening = {"commitment": again, "salt": "00" * 32, "topic": TOPIC, "source": module(1)}
    assert network.refused("bob", "reveal", **opening) == "duplicate"
    network.judge(first, *[{"outcome": "refused", "reason": "screen"}] * 3)
    assert network.refused("bob", "reveal", **opening) == "duplicate"


def test_who_cannot_pay_does_not_take_part(network: Network) -> None:
    commitment = commitment_of(source_hash(module(1)), ADDRESS["carol"], SALT)
    assert network.refused("carol", "commit", topic=TOPIC, commitment=commitment) == "funds"
    network.send("carol", "transfer", to=ADDRESS["bob"], amount=1)
    network.send("bob", "commit", topic=TOPIC, commitment=commitment)
    assert (
        network.refused("carol", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(1)) == "funds"
    )
    assert commitment in network.state.commitments


def test_submissions_are_numbered_per_topic_at_the_reveal(network: Network) -> None:
    first = network.commit("alice", module(1))
    for number, topic in ((2, TOPIC), (3, "majors-24h"), (4, TOPIC)):
        network.submit("bob", module(number), topic=topic)
    network.send("alice", "reveal", commitment=first, salt=SALT, topic=TOPIC, source=module(1))
    assert [network.state.submissions[source_hash(module(i))].k for i in (1, 2, 3, 4)] == [3, 1, 1, 2]
    assert dict(network.state.counts) == {TOPIC: 3, "majors-24h": 1}


@pytest.mark.parametrize(
    ("outcome", "alice", "pool"),
    [
        ("accepted", -PARAMS.fee, PARAMS.fee),
        ("refused", -PARAMS.fee, PARAMS.fee),
        ("invalid", -PARAMS.fee - PARAMS.bond, PARAMS.fee + PARAMS.bond),
    ],
)
def test_where_bond_and_fee_go(network: Network, outcome: str, alice: int, pool: int) -> None:
    before = balance(network, "alice"), network.state.pool
    block_hash = network.submit("alice", module(1))
    assert network.judge(block_hash, *[{"outcome": outcome, "reason": "because"}] * 3) == outcome
    assert (balance(network, "alice") - before[0], network.state.pool - before[1]) == (alice, pool)
    submission = network.state.submissions[block_hash]
    assert (submission.bond, submission.fee, submission.reason) == (0, 0, "because")
    assert (block_hash in network.state.blocks) == (outcome == "accepted")


def test_an_undecided_submission_gets_everything_back_and_may_come_again(network: Network) -> None:
    block_hash = network.submit("carol", module(1), by="bob")
    network.wait(PARAMS.submission_expiry_s - 1)
    assert network.state.submissions[block_hash].status == "open"
    network.wait(1)
    submission = network.state.submissions[block_hash]
    assert (submission.status, submission.reason) == ("undecided", "undecided")
    assert submission.decided_time == START + PARAMS.submission_expiry_s
    assert (balance(network, "carol"), balance(network, "bob")) == (PARAMS.fee, 50 * LTFT)
    assert not network.state.ballots
    network.submit("carol", module(1), by="bob")
    assert network.state.submissions[block_hash].k == 2
    assert network.judge(block_hash) == "accepted"


def test_scores_are_medians_and_texts_the_most_supported(network: Network) -> None:
    block_hash = network.submit("alice", module(1))
    a, b = "aa" * 32, "bb" * 32
    network.judge(
        block_hash,
        {"specific": 30_000, "generalized": -5, "verdict": b},
        {"specific": 29_999, "generalized": 7, "verdict": a},
        {"specific": 90_000, "generalized": 1, "verdict": b},
    )
    block = network.state.blocks[block_hash]
    assert (block.specific, block.generalized, block.verdict) == (30_000, 1, b)
    assert len(VALIDATORS) == 3
