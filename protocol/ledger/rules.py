"""The state machine of the ledger: what an event does, and what time alone does. Whole numbers only; no clock, no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from protocol.errors import DataError
from protocol.ledger import ballots, blocks, heads, money, submissions
from protocol.ledger.event import NOBODY, Record, SignedEvent, domain_of, record_hash
from protocol.ledger.genesis import Genesis
from protocol.ledger.refusal import LedgerRefusal, NonceError
from protocol.ledger.state import Account, Deadline, State


def initial_state(genesis: Genesis, author: str = NOBODY) -> State:
    """Return the state at record 0; `author` as for :func:`protocol.ledger.event.genesis_record`."""
    state = State(genesis, domain_of(genesis, author))
    with state.transaction():
        for account in genesis.accounts:
            state.accounts[account.address] = Account(account.address, account.name, account.balance)
            money.set_stake(state, account.address, account.stake)
    return state


def apply(state: State, record: Record, *, signatures: bool = True) -> State:
    """Do what a record says to `state`, in place, entirely or not at all, and return it.

    Parameters
    ----------
    state : State
        The state after the record below.
    record : Record
    signatures : bool
        False when the caller has checked the signatures of this very record before, or a contract has; those under a HEAD
        are not counted again then, and a module may be revealed by its hash.

    Raises
    ------
    LedgerRefusal
        A rule refuses the event.
    DataError
        The record does not follow the one below.
    """
    event = record.event
    _check_link(state, record)
    event.check(by_hash=not signatures)
    if record.hash != record_hash(record.height, record.previous, record.time, event):
        raise DataError(f"record {record.height} does not have the hash {record.hash}")
    if signatures:
        event.check_signature(state.domain)
    with state.transaction():
        advance(state, record.time)
        state.height, state.head = record.height, record.hash
        account = state.accounts.get(event.author)
        if account is None and event.kind != "register":
            raise LedgerRefusal("no-account", f"{event.author} has no account; register it first")
        if event.nonce != (expected := account.nonce if account else 0):
            raise NonceError(event.author, event.nonce, expected)
        if event.kind == "stamp":
            heads.stamp(state, event, signatures=signatures)
        else:
            _EVENTS[event.kind](state, event)
        account = state.accounts[event.author]
        state.accounts[event.author] = replace(account, nonce=account.nonce + 1)
    return state


def advance(state: State, time: int) -> State:
    """Let time pass up to `time` (Unix seconds), in place: everything that falls due at or before it happens. Return `state`.

    Passing through any moment on the way gives the same state. A time before ``state.time`` changes nothing.
    """
    with state.transaction():
        while (deadline := state.due(time)) is not None:
            state.time = deadline.time
            _DEADLINES[deadline.rank](state, deadline)
        state.time = max(state.time, time)
    return state


def _check_link(state: State, record: Record) -> None:
    if record.height != state.height + 1:
        raise DataError(f"record {record.height} does not follow height {state.height}")
    if record.previous != state.head:
        raise DataError(f"record {record.height} is not linked to the record below, {state.head}")
    if type(record.time) is not int or record.time < state.time:
        raise DataError(f"record {record.height} has time {record.time}, before {state.time} of the record below")


def _reveal(state: State, event: SignedEvent) -> None:
    ballots.open_ballot(state, submissions.reveal(state, event))


def _tick(state: State, event: SignedEvent) -> None:
    """Let time pass: it has already."""


_EVENTS: Mapping[str, Callable[[State, SignedEvent], None]] = MappingProxyType(
    {
        "register": money.register,
        "transfer": money.transfer,
        "stake": money.stake,
        "unstake": money.unstake,
        "commit": submissions.commit,
        "reveal": _reveal,
        "report_commit": ballots.commit,
        "report_reveal": ballots.reveal,
        "deposit": heads.deposit,
        "burn": heads.burn,
        "redeem": heads.redeem,
        "claim": heads.claim,
        "tick": _tick,
    }
)
_DEADLINES: Mapping[int, Callable[[State, Deadline], None]] = MappingProxyType(
    {
        submissions.COMMITMENT_RANK: submissions.forfeit,
        ballots.WINDOW_RANK: ballots.end_window,
        ballots.REVEAL_RANK: ballots.end_reveals,
        ballots.EXPIRY_RANK: ballots.expire,
        money.UNSTAKE_RANK: money.pay_unstake,
        blocks.AGE_RANK: blocks.retire,
    }
)
