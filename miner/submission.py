"""Submitting a module: register if need be, commit, reveal; each step once, wherever an earlier attempt was cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from infra.amounts import ltft
from infra.lock import exclusive
from infra.network import register, send
from miner.precheck import Module
from miner.sealing import Seal, Sealings
from protocol.errors import RefusedError
from protocol.keys import Key
from protocol.ledger.ledger import Ledger
from protocol.ledger.state import State, Submission

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a submission takes from whose balance, in wei.

    Attributes
    ----------
    bond, fee : int
        Still to be paid; the bond comes back unless the module is invalid or never revealed.
    balance : int
        Before; with the welcome if the account is still to be opened.
    registered : bool
        Whether the account is open.
    committed : bool
        Whether the bond is paid.
    """

    bond: int
    fee: int
    balance: int
    registered: bool
    committed: bool


def cost_of(state: State, address: str, seal: Seal | None) -> Cost:
    """Return what submitting would take now.

    Raises
    ------
    RefusedError
        The balance does not suffice.
    """
    account, params = state.accounts.get(address), state.params
    committed = seal is not None and seal.commitment in state.commitments
    balance = account.balance if account else min(params.welcome, state.pool)
    cost = Cost(0 if committed else params.bond, params.fee, balance, account is not None, committed)
    if balance < cost.bond + cost.fee:
        raise RefusedError(
            f"account {address} has {ltft(balance)}, but a submission takes a bond of {ltft(cost.bond)} and a fee of "
            f"{ltft(cost.fee)}; have LTFT transferred to it, or wait until a bond returns"
        )
    return cost


def open_submission(state: State, block_hash: str) -> Submission | None:
    """Return what the ledger has under a block hash, unless it may be submitted (again)."""
    known = state.submissions.get(block_hash)
    return None if known is None or known.status == "undecided" else known


def submit(ledger: Ledger, key: Key, module: Module, topic: str, *, name: str, say: Say) -> tuple[Submission, bool]:
    """Bring a module into the ledger exactly once, continuing where an earlier attempt ended.

    Parameters
    ----------
    ledger : Ledger
    key : Key
        Pays, and is the miner.
    module : Module
    topic : str
    name : str
        Of the account, if it is still to be opened.
    say : callable
        Takes a line for people per step.

    Returns
    -------
    Submission, bool
        As the ledger has it, and whether this call revealed it.

    Raises
    ------
    RefusedError
        The ledger refuses it, or it was committed to for another topic; nothing more was paid.
    ConfigError, DataError
        Seal or ledger cannot be written. Calling again continues.
    """
    sealings = Sealings.of(ledger.domain, key.address)
    with exclusive(sealings.folder / ".lock"):
        state = ledger.now()
        known = open_submission(state, module.block_hash)
        if known is not None:
            return known, False
        seal = sealings.find(module.block_hash)
        cost = cost_of(state, key.address, seal)
        if not cost.registered:
            register(ledger, key, name)
            say(f"registered {key.address} as {name}")
        if seal is None or not cost.committed:
            seal = sealings.make(module.block_hash, module.source, topic)
            send(ledger, key, "commit", {"topic": topic, "commitment": seal.commitment})
            say(f"committed: the ledger knows that a module of {topic} exists, not which; bond {ltft(cost.bond)}")
        elif seal.topic != topic:
            raise RefusedError(
                f"module {module.name} is committed to for topic {seal.topic}; reveal it there with --topic {seal.topic}"
            )
        opening = {"commitment": seal.commitment, "salt": seal.salt, "topic": topic, "source": module.source.decode()}
        send(ledger, key, "reveal", opening)
        say(f"revealed: fee {ltft(cost.fee)}")
        return ledger.state().submissions[module.block_hash], True
