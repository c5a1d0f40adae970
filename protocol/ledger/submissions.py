"""The life of a submission: hidden, revealed, decided; and what becomes of its bond and fee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from protocol.ledger import blocks
from protocol.ledger.commitments import commitment_of, screen_subject
from protocol.ledger.event import SignedEvent
from protocol.ledger.kinds import source_hash
from protocol.ledger.money import charge, pay
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.state import Ballot, Commitment, Deadline, Outcome, State, Submission

COMMITMENT_RANK = 0


def commit(state: State, event: SignedEvent) -> None:
    """Hold a bond for a hidden module."""
    commitment, topic, params = event.body["commitment"], event.body["topic"], state.params
    if commitment in state.commitments:
        raise LedgerRefusal("commitment-used", f"commitment {commitment} is open already; use a fresh salt")
    charge(state, event.author, params.bond)
    reveal_by = state.time + params.reveal_window_s
    state.commitments[commitment] = Commitment(
        commitment, topic, event.author, params.bond, state.height, state.time, reveal_by
    )
    state.schedule(Deadline(reveal_by, COMMITMENT_RANK, commitment))


def forfeit(state: State, deadline: Deadline) -> None:
    """Take the bond of a module that was not revealed in time."""
    commitment = state.commitments.get(deadline.key)
    if commitment is not None and commitment.reveal_by == deadline.time:
        state.pool += commitment.bond
        del state.commitments[deadline.key]


def reveal(state: State, event: SignedEvent) -> Ballot:
    """Make a module public, number it, and return the ballot on it."""
    body, miner = event.body, event.author
    commitment = state.commitments.get(body["commitment"])
    if commitment is None:
        raise LedgerRefusal(
            "no-commitment",
            f"no commitment {body['commitment']} is open: never made, revealed, or its window is over",
        )
    block_hash = body["source_hash"] if "source_hash" in body else source_hash(body["source"])
    if commitment_of(block_hash, miner, body["salt"]) != commitment.commitment:
        raise LedgerRefusal(
            "wrong-opening", f"module {block_hash}, miner {miner} and this salt do not open {commitment.commitment}"
        )
    if commitment.topic != body["topic"]:
        raise LedgerRefusal("wrong-topic", f"the commitment was made for {commitment.topic}, not for {body['topic']}")
    earlier = state.submissions.get(block_hash)
    if earlier is not None and earlier.status != "undecided":
        raise LedgerRefusal(
            "duplicate", f"module {block_hash} was submitted at height {earlier.height}: {earlier.status}"
        )
    charge(state, miner, state.params.fee)
    del state.commitments[commitment.commitment]
    topic = commitment.topic
    state.counts[topic] = state.counts.get(topic, 0) + 1
    state.submissions[block_hash] = Submission(
        block_hash,
        topic,
        state.counts[topic],
        miner,
        commitment.committer,
        state.height,
        state.time,
        commitment.height,
        commitment.time,
        commitment.bond,
        state.params.fee,
    )
    return Ballot(screen_subject(block_hash), state.time, state.time + state.params.submission_expiry_s)


def settle(
    state: State,
    block_hash: str,
    outcome: Outcome,
    said: Mapping[str, Any],
) -> None:
    """End a submission: pay bond and fee where they belong, and mint the model block of an accepted one.

    Parameters
    ----------
    state : State
    block_hash : str
    outcome : str
    said : mapping
        What the deciding reports say: reason, pipeline_id, near_id, verdict, data_root, registry, specific, generalized.
    """
    submission = state.submissions[block_hash]
    if outcome == "accepted" and said["pipeline_id"] in state.pipelines:
        outcome, said = "invalid", {**said, "reason": "copy"}
    if outcome == "invalid":
        state.pool += submission.bond
    else:
        pay(state, submission.committer, submission.bond)
    if outcome == "undecided":
        pay(state, submission.miner, submission.fee)
    else:
        state.pool += submission.fee
    submission = replace(submission, status=outcome, bond=0, fee=0, decided_time=state.time, **said)
    state.submissions[block_hash] = submission
    if outcome == "accepted":
        blocks.mint(state, submission)
