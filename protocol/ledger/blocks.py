"""Model blocks: minted, crowned while slots and evidence allow, dropped when the evidence turns or they grow old."""

from __future__ import annotations

from dataclasses import replace

from protocol.ledger.params import DAY_S
from protocol.ledger.state import Block, BlockStatus, Deadline, State, Submission

AGE_RANK = 5


def mint(state: State, submission: Submission) -> None:
    """Add the model block of an accepted submission on top of the newest."""
    block = Block(
        hash=submission.block_hash,
        parent=state.last_block,
        number=len(state.blocks) + 1,
        miner=submission.miner,
        topic=submission.topic,
        pipeline_id=submission.pipeline_id,
        near_id=submission.near_id,
        height=state.height,
        time=state.time,
        specific=submission.specific,
        generalized=submission.generalized,
        verdict=submission.verdict,
        status_time=state.time,
        evidence_day=state.time // DAY_S,
    )
    state.blocks[block.hash] = block
    state.last_block = block.hash
    state.standing[block.topic] = (*state.standing.get(block.topic, ()), block.hash)
    state.pipelines[block.pipeline_id] = block.hash
    state.schedule(Deadline(block.time + state.params.max_age_s, AGE_RANK, block.hash))


def take_evidence(state: State, block_hash: str, day: int, log_e: int, days: int) -> None:
    """Set the evidence of a standing block up to `day`; older evidence than there is changes nothing."""
    block = state.blocks[block_hash]
    if block.status == "dropped" or day <= block.evidence_day:
        return
    state.blocks[block_hash] = replace(block, log_e=log_e, evidence_day=day, days=days)
    if log_e <= state.params.drop_log_e:
        _drop(state, block_hash)
    _crown(state, block.topic)


def retire(state: State, deadline: Deadline) -> None:
    """Drop a block that has reached the maximal age."""
    block = state.blocks[deadline.key]
    if block.status != "dropped":
        _drop(state, block.hash)
        _crown(state, block.topic)


def _drop(state: State, block_hash: str) -> None:
    block = state.blocks[block_hash]
    state.standing[block.topic] = tuple(one for one in state.standing[block.topic] if one != block_hash)
    del state.pipelines[block.pipeline_id]
    _set_status(state, block_hash, "dropped")


def _crown(state: State, topic: str) -> None:
    """Fill free slots with the strongest candidates, then let stronger ones displace weaker; the older wins a tie."""
    standing = state.standing_blocks(topic)
    crowned = [block for block in standing if block.status == "crowned"]
    candidates = [one for one in standing if one.status == "screened" and one.log_e >= state.params.crown_log_e]
    for candidate in sorted(candidates, key=lambda block: (-block.log_e, block.number)):
        if len(crowned) >= state.params.slots:
            weakest = min(crowned, key=lambda block: (block.log_e, -block.number))
            if weakest.log_e >= candidate.log_e:
                return
            crowned.remove(weakest)
            _set_status(state, weakest.hash, "screened")
        crowned.append(candidate)
        _set_status(state, candidate.hash, "crowned")


def _set_status(state: State, block_hash: str, status: BlockStatus) -> None:
    state.blocks[block_hash] = replace(state.blocks[block_hash], status=status, status_time=state.time)
