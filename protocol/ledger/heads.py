"""HEAD blocks on the ledger: stamped by a quorum, paid for by deposits and emission, claimed by whoever earned."""

from __future__ import annotations

from dataclasses import replace

from protocol.errors import RefusedError
from protocol.head import merkle
from protocol.head.claims import Claim, due
from protocol.head.head import Head
from protocol.head.quorum import HeadSignature, count
from protocol.head.schedule import PERIOD_S, Period
from protocol.ledger.event import SignedEvent
from protocol.ledger.money import charge, pay
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.state import Stamp, State
from protocol.ltft.emission import Schedule


def deposit(state: State, event: SignedEvent) -> None:
    """Move money from the author to the rewards of the next HEADs: what a buyback bought."""
    amount = event.body["amount"]
    charge(state, event.author, amount)
    state.rewards = replace(state.rewards, deposited=state.rewards.deposited + amount)


def burn(state: State, event: SignedEvent) -> None:
    """Destroy money of the author."""
    amount = event.body["amount"]
    charge(state, event.author, amount)
    state.supply = state.supply.after(burned=amount)


def redeem(state: State, event: SignedEvent) -> None:
    """Give up money of the author for its share of the treasury, which the fund pays with its next HEAD.

    Money from outside is paid for outside, by the treasury's contract.
    """
    amount, author = event.body["amount"], event.author
    charge(state, author, amount)
    state.supply = state.supply.after(redeemed=amount)
    if author != state.genesis.outside:
        state.redeemed[author] = state.redeemed.get(author, 0) + amount


def stamp(state: State, event: SignedEvent, *, signatures: bool = True) -> None:
    """Put a HEAD on the newest one: signed by a quorum, about known blocks, its rewards within deposits and emission.

    What it pays beyond the HEAD before comes out of deposits first and is minted second, so a buyback spares emission.
    """
    head = _read(event.body["head"])
    _check_place(state, head)
    for topic in head.topics:
        for model in topic.models:
            block = state.blocks.get(model.hash)
            if block is None or block.topic != topic.topic:
                raise LedgerRefusal(
                    "no-block", f"HEAD {head.period} names {model.hash}, no model block of {topic.topic}"
                )
    if signatures:
        _check_quorum(state, head, event)
    _fund(state, head)
    state.stamp = Stamp(
        period=head.period,
        hash=head.hash,
        height=state.height,
        read_height=head.height,
        predictions_root=head.predictions_root,
        prediction_count=head.prediction_count,
        rewards_root=head.rewards_root,
        reward_accounts=head.reward_accounts,
        reward_total=head.reward_total,
    )


def claim(state: State, event: SignedEvent) -> None:
    """Pay the author what it has earned under the newest HEAD's root and has not been paid yet."""
    total, stamped = event.body["total"], state.stamp
    before = state.claimed.get(event.author, 0)
    try:
        shown = Claim(event.author, total, merkle.Proof.from_dict(event.body["proof"]))
    except RefusedError as error:
        raise LedgerRefusal("malformed", f"the claim of {event.author}: {error}") from error
    try:
        amount = due(
            shown, before, *((stamped.rewards_root, stamped.reward_accounts) if stamped else (merkle.EMPTY_ROOT, 0))
        )
    except RefusedError as error:
        raise LedgerRefusal("wrong-claim", str(error)) from error
    if not amount:
        raise LedgerRefusal("claimed", f"{event.author} has earned {total} wei and was paid all of it")
    state.claimed[event.author] = total
    state.rewards = replace(state.rewards, owed=state.rewards.owed - amount)
    pay(state, event.author, amount)


def emitted_until(state: State, period: int) -> int:
    """Return the most that emission may have minted up to and including a period, in wei."""
    params = state.params
    schedule = Schedule(params.emission_first, params.emission_era, params.emission_cap)
    return schedule.until(period - Period.at(state.genesis.time).number + 1)


def _read(text: str) -> Head:
    try:
        return Head.from_json(text)
    except RefusedError as error:
        raise LedgerRefusal("malformed", str(error)) from error


def _check_place(state: State, head: Head) -> None:
    """Refuse a HEAD that does not follow the newest, is of the future, or read what is not there yet."""
    before = state.stamp
    expected = before.hash if before else state.domain.salt
    if head.parent != expected:
        raise LedgerRefusal("wrong-parent", f"HEAD {head.period} follows {head.parent}; the newest is {expected}")
    first = before.period + 1 if before else Period.at(state.genesis.time).number
    if head.period < first or head.period * PERIOD_S > state.time:
        raise LedgerRefusal(
            "wrong-period", f"HEAD {head.period} must be of a period from {first} to {state.time // PERIOD_S}"
        )
    least = before.read_height if before else 0
    if not least <= head.height < state.height:
        raise LedgerRefusal(
            "wrong-period", f"HEAD {head.period} read height {head.height}, not {least} to {state.height - 1}"
        )
    if before and (head.reward_total < before.reward_total or head.reward_accounts < before.reward_accounts):
        raise LedgerRefusal("wrong-rewards", f"HEAD {head.period} takes back what was earned before it")


def _check_quorum(state: State, head: Head, event: SignedEvent) -> None:
    signed = [
        HeadSignature(head.period, head.hash, one["validator"], one["signature"]) for one in event.body["signatures"]
    ]
    quorum = count(state.domain, head, signed, state.validators)
    if not quorum.reached:
        raise LedgerRefusal(
            "no-quorum",
            f"HEAD {head.period} is signed by {quorum.stake} of {quorum.total} wei of stake; more than two thirds must sign",
        )


def _fund(state: State, head: Head) -> None:
    """Let deposits, then new money, stand for what a HEAD pays."""
    due = head.reward_total - (state.stamp.reward_total if state.stamp else 0)
    spent = min(due, state.rewards.deposited)
    minted, limit = due - spent, emitted_until(state, head.period) - state.supply.minted
    if minted > limit:
        raise LedgerRefusal(
            "wrong-rewards", f"HEAD {head.period} pays {due} wei; {spent} are deposited and {limit} may be emitted"
        )
    state.supply = state.supply.after(minted=minted)
    state.rewards = replace(state.rewards, deposited=state.rewards.deposited - spent, owed=state.rewards.owed + due)
