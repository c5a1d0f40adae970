"""Where a submission stands on the ledger and why, as facts for programs and as lines for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.amounts import ltft
from infra.rewards import Earned, ask
from miner.sealing import Seal, Sealings
from miner.words import BONDS, micro, reason_in_words
from protocol.errors import LongtailError
from protocol.head.head import Head
from protocol.ledger.commitments import screen_subject
from protocol.ledger.ledger import Ledger
from protocol.ledger.state import Ballot, Block, State, Submission

Lines = list[tuple[str, str]]


def moment(seconds: int) -> str:
    """Return a time on the ledger (Unix seconds) for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def own_standings(state: State, sealings: Sealings) -> list[dict[str, Any]]:
    """Return where each submission of a miner stands: what only this home knows of first, then by time.

    Parameters
    ----------
    state : State
        Advanced to now.
    sealings : Sealings
        Of the miner.
    """
    mine = sorted(
        (one for one in state.submissions.values() if one.miner == sealings.miner), key=lambda one: one.height
    )
    known = {one.block_hash for one in mine}
    hidden = [sealed_standing(state, seal, sealings) for seal in sealings.all() if seal.block_hash not in known]
    return [*hidden, *(standing(state, one) for one in mine)]


def sealed_standing(state: State, seal: Seal, sealings: Sealings) -> dict[str, Any]:
    """Return where a module stands that the ledger cannot name: committed to, or not even that."""
    commitment = state.commitments.get(seal.commitment)
    facts = {"block_hash": seal.block_hash, "topic": seal.topic, "miner": seal.miner}
    module = str(sealings.module(seal.block_hash))
    if commitment is None:
        why = "not on the ledger: its commitment was never made, or it was not revealed in time and its bond is lost"
        return {**facts, "phase": "unsent", "why": why, "module": module}
    return {
        **facts,
        "phase": "committed",
        "why": f"committed at height {commitment.height} and not revealed; submit {module} again before "
        f"{moment(commitment.reveal_by)}, else its bond is lost",
        "module": module,
        "committed_time": commitment.time,
        "reveal_by": commitment.reveal_by,
        "bond": commitment.bond,
    }


def standing(state: State, submission: Submission) -> dict[str, Any]:
    """Return where a submission stands."""
    facts: dict[str, Any] = {
        "block_hash": submission.block_hash,
        "topic": submission.topic,
        "miner": submission.miner,
        "k": submission.k,
        "phase": submission.status,
        "height": submission.height,
        "time": submission.time,
    }
    if submission.status == "open":
        ballot = state.ballots[screen_subject(submission.block_hash)]
        return {**facts, **_voting(state, ballot), "bond": submission.bond, "fee": submission.fee}
    block = state.blocks.get(submission.block_hash)
    return {
        **facts,
        "why": reason_in_words(submission.status, submission.reason),
        "reason": submission.reason,
        "money": BONDS[submission.status],
        "decided_time": submission.decided_time,
        "verdict": submission.verdict,
        "specific": submission.specific,
        "generalized": submission.generalized,
        "block": block_facts(state, block) if block else None,
    }


def block_facts(state: State, block: Block) -> dict[str, Any]:
    """Return a model block: its place, scores (millionths), evidence (nats) and age (seconds)."""
    owner = state.accounts[block.miner]
    return {
        "hash": block.hash,
        "number": block.number,
        "parent": block.parent,
        "topic": block.topic,
        "miner": block.miner,
        "owner": owner.name,
        "status": block.status,
        "specific": block.specific,
        "generalized": block.generalized,
        "log_e": block.log_e / 1e6,
        "evidence_days": block.days,
        "time": block.time,
        "age_s": state.time - block.time,
        "ends": block.time + state.params.max_age_s,
    }


def asked(fund: str, standings: Sequence[dict[str, Any]], state: State, say: Callable[[str], None]) -> Earned | None:
    """Return what the miner of standings has earned; None if that is not to be known, and `say` is told why.

    The standing is what was asked for, so that a fund is not there, or tells what does not hold, is no failure.
    """
    if not (fund and standings and state.stamp):
        return None
    try:
        return ask(fund, standings[0]["miner"], state)
    except LongtailError as error:
        say(f"what was earned is not known: {error}")
        return None


def with_head(
    standings: Sequence[dict[str, Any]], ledger: Ledger, state: State, earned: Earned | None
) -> list[dict[str, Any]]:
    """Return standings with their places in the newest stamped HEAD.

    Parameters
    ----------
    standings : sequence of dict
        Of one miner.
    ledger : Ledger
    state : State
        Of it.
    earned : Earned or None
        Of the miner.

    Returns
    -------
    list of dict
        With `head`: `period`, `role` and `weight` (billionths), or None, and `earned`: a text of wei, or None.
    """
    speaking: dict[str, dict[str, Any]] = {}
    if state.stamp is not None:
        head = Head.from_json(ledger.record(state.stamp.height).event.body["head"])
        for model in (model for topic in head.topics for model in topic.models):
            speaking[model.hash] = {"period": head.period, "role": model.role, "weight": model.weight}
    return [
        {
            **facts,
            "head": speaking.get(facts["block_hash"]),
            "earned": str(earned.of(facts["block_hash"])) if earned else None,
        }
        for facts in standings
    ]


def account_lines(miner: str, state: State, earned: Earned | None) -> Lines:
    """Return what a miner has earned and was paid as (label, text) lines."""
    lines = earned.lines("ltminer claim") if earned else []
    return [("account", miner), *lines, ("claimed", ltft(state.claimed.get(miner, 0)))]


def evidence_in_words(facts: dict[str, Any], state: State) -> str:
    """Return what the days since a block's minting say of it, and what it still needs."""
    crown, drop = (math.exp(value / 1e6) for value in (state.params.crown_log_e, state.params.drop_log_e))
    end = moment(facts["ends"])[:10]
    rule = {
        "screened": f"crowned from {crown:.0f} on, dropped at {drop:.2f} or on {end}",
        "crowned": f"dropped at {drop:.2f} or on {end}",
        "dropped": "no longer part of the record",
    }[facts["status"]]
    return f"E = {math.exp(facts['log_e']):.3g} after {facts['evidence_days']} days; {rule}"


def standing_lines(facts: dict[str, Any], state: State) -> Lines:
    """Return a standing as (label, text) lines."""
    number = f"submission {facts['k']} of {facts['topic']}" if "k" in facts else f"for {facts['topic']}"
    lines = [("module", f"{facts['block_hash']}, {number}"), (facts["phase"], facts["why"])]
    if facts["phase"] == "open":
        held = f"bond {ltft(facts['bond'])} and fee {ltft(facts['fee'])} are held until the decision"
        lines += [("reports", facts["reports"]), ("money", held), ("expires", moment(facts["expires"]))]
    if "money" in facts:
        scores = f"specific {micro(facts['specific'])}, generalized {micro(facts['generalized'])}"
        scores += "" if facts["phase"] == "accepted" else ", to one standard error"
        lines += [("scores", scores)] if facts["phase"] in {"accepted", "refused"} else []
        lines += [("money", facts["money"]), ("decided", moment(facts["decided_time"]))]
    if facts.get("block"):
        block = facts["block"]
        lines += [
            ("block", f"number {block['number']}, {block['status']}, owned by {block['owner']} {block['miner']}"),
            ("evidence", evidence_in_words(block, state)),
        ]
        lines += [("HEAD", _head_in_words(facts, state))] if state.stamp and "head" in facts else []
        lines += [("earned", ltft(int(facts["earned"])))] if facts.get("earned") else []
    return lines


def _head_in_words(facts: dict[str, Any], state: State) -> str:
    """Return how a block speaks in the newest HEAD, or why it does not."""
    head, stamp, block = facts["head"], state.stamp, state.blocks[facts["block_hash"]]
    if head:
        return f"it speaks in HEAD {head['period']} as {head['role']}, with a weight of {head['weight'] / 1e9:.3f}"
    if block.status == "dropped":
        why = "it is dropped"
    elif stamp and block.height > stamp.read_height:
        why = "it is newer"
    else:
        why = "the evidence for it, or its place among the screened blocks of the topic, does not suffice"
    return f"it does not speak in HEAD {stamp.period if stamp else ''}: {why}"


def _voting(state: State, ballot: Ballot) -> dict[str, Any]:
    """Return how far the validators are with a submission, and what happens next."""
    validators, committed, revealed = len(state.validators), len(ballot.commits), len(ballot.reports)
    if not validators:
        why = "nobody stakes enough to be a validator of this ledger"
    elif not ballot.reveal_by:
        window = moment(ballot.opened + state.params.report_window_s)
        why = "the validators judge it; reports are opened when all have committed to theirs"
        why += f", or from {window} on with 2/3 of the stake" if validators > 1 else ""
    else:
        why = f"validators reveal their reports until {moment(ballot.reveal_by)}; more than 2/3 of the stake decide"
    said = Counter(f"{report['outcome']} ({report['reason']})" for report in ballot.reports.values())
    tally = "".join(f"; {count} × {words}" for words, count in sorted(said.items()))
    round_ = f", round {ballot.round}" if ballot.round > 1 else ""
    return {
        "why": why,
        "validators": validators,
        "reports_committed": committed,
        "reports_revealed": revealed,
        "round": ballot.round,
        "reports": f"{committed} of {validators} committed, {revealed} revealed{round_}{tally}",
        "expires": ballot.expires,
    }
