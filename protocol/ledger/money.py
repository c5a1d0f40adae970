"""Accounts and their money: registering, transferring, staking. Nothing is created or lost, only moved."""

from __future__ import annotations

from dataclasses import replace

import coincurve

from protocol.addresses import evm_address
from protocol.errors import RefusedError
from protocol.keys import verify_cosmos
from protocol.ledger.event import SignedEvent, registration_message
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.state import Account, Deadline, State, Unstake

#: Order of deadlines at one moment; see :mod:`protocol.ledger.rules`.
UNSTAKE_RANK = 4


def register(state: State, event: SignedEvent) -> None:
    """Open an account for the author and welcome it from the pool."""
    body, author = event.body, event.author
    if author in state.accounts:
        raise LedgerRefusal("registered", f"{author} has an account already: {state.accounts[author].name}")
    message = registration_message(state.domain, author)
    try:
        verify_cosmos(body["public_key"], message, body["cosmos_signature"], body["cosmos_address"])
    except RefusedError as error:
        raise LedgerRefusal("identity", f"{author}: {error}; sign {message.decode()!r} with its key") from error
    if evm_address(coincurve.PublicKey(bytes.fromhex(body["public_key"])).format(compressed=False)) != author:
        raise LedgerRefusal("identity", f"{body['public_key']} is not the public key of {author}")
    welcome = min(state.params.welcome, state.pool)
    state.pool -= welcome
    state.accounts[author] = Account(author, body["name"], welcome, 0, 0, body["public_key"], body["cosmos_address"])


def transfer(state: State, event: SignedEvent) -> None:
    """Move money from the author to another account."""
    to, amount = event.body["to"], event.body["amount"]
    if to not in state.accounts:
        raise LedgerRefusal("no-account", f"{to} has no account; its owner must register first")
    charge(state, event.author, amount)
    pay(state, to, amount)


def stake(state: State, event: SignedEvent) -> None:
    """Move money from the author's balance to its stake."""
    amount = event.body["amount"]
    charge(state, event.author, amount)
    set_stake(state, event.author, state.accounts[event.author].stake + amount)


def unstake(state: State, event: SignedEvent) -> None:
    """Take money out of the author's stake; it is paid after the delay."""
    amount, account = event.body["amount"], state.accounts[event.author]
    if account.open_reports:
        raise LedgerRefusal(
            "reports-open", f"{event.author} owes {account.open_reports} reveals of reports; reveal them first"
        )
    if account.stake < amount:
        raise LedgerRefusal("funds", f"the stake of {event.author} is {account.stake} wei, less than {amount}")
    set_stake(state, event.author, account.stake - amount)
    due = state.time + state.params.unstake_delay_s
    state.unstakes[state.height] = Unstake(event.author, amount, due)
    state.schedule(Deadline(due, UNSTAKE_RANK, str(state.height)))


def pay_unstake(state: State, deadline: Deadline) -> None:
    """Pay stake that has waited long enough."""
    waiting = state.unstakes[int(deadline.key)]
    del state.unstakes[int(deadline.key)]
    pay(state, waiting.account, waiting.amount)


def pay(state: State, address: str, amount: int) -> None:
    """Add `amount` wei to a balance."""
    account = state.accounts[address]
    state.accounts[address] = replace(account, balance=account.balance + amount)


def charge(state: State, address: str, amount: int) -> None:
    """Take `amount` wei from a balance.

    Raises
    ------
    LedgerRefusal
        ``funds``.
    """
    account = state.accounts[address]
    if account.balance < amount:
        raise LedgerRefusal("funds", f"the balance of {address} is {account.balance} wei, less than {amount}")
    state.accounts[address] = replace(account, balance=account.balance - amount)


def set_stake(state: State, address: str, stake: int) -> None:
    """Set a stake and, with it, whether the account is a validator and with what vote."""
    state.accounts[address] = replace(state.accounts[address], stake=stake)
    if stake >= state.params.min_stake:
        state.validators[address] = stake
    elif address in state.validators:
        del state.validators[address]
