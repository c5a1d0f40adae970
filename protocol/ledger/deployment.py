"""What the contracts of a ledger are deployed with: pure, so that anybody can recompute and compare it with a chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocol.errors import ConfigError
from protocol.head.schedule import Period
from protocol.ledger.commitments import canonical
from protocol.ledger.event import genesis_record
from protocol.ledger.genesis import OUTSIDE, Genesis, GenesisAccount

#: What a contract holds of an amount, wei.
_MAX = 2**96 - 1


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the core contracts are, EIP-55; known before they are deployed."""

    token: str
    ledger: str
    registry: str
    heads: str


def with_outside(genesis: Genesis, token: str, amount: int) -> Genesis:
    """Return the genesis with the account for `amount` wei that are outside of the ledger."""
    outside = GenesisAccount(address=token, name=OUTSIDE, balance=amount)
    return genesis.model_copy(update={"accounts": (*genesis.accounts, outside)})


def constructor_arguments(
    genesis: Genesis, addresses: Addresses, holders: Mapping[str, int]
) -> dict[str, tuple[Any, ...]]:
    """Return the arguments of each core contract, in the order of deployment.

    Parameters
    ----------
    genesis : Genesis
        With the account of :func:`with_outside`.
    addresses : Addresses
    holders : mapping of address to wei
        Who has the LTFT outside of the ledger at first.

    Raises
    ------
    ConfigError
        Money outside and the outside account differ, or a number is beyond what the contracts hold.
    """
    params, first = genesis.params, Period.at(genesis.time).number
    outside = [one.balance for one in genesis.accounts if one.address == addresses.token]
    if outside != [sum(holders.values())]:
        raise ConfigError(
            f"the genesis has {outside} wei outside of the ledger and the holders {sum(holders.values())}; make them equal"
        )
    most = max(genesis.total + params.emission_cap, params.emission_first)
    if most >= _MAX:
        raise ConfigError(
            f"there is, or will be emitted, {most} wei, which the contracts do not hold: keep it below 2**96 - 1"
        )
    inside = [one for one in genesis.accounts if one.address != addresses.token]
    money = min(_MAX, params.welcome), min(_MAX, params.min_stake), min(_MAX, params.report_penalty)
    terms = (
        min(_MAX, params.bond),
        min(_MAX, params.fee),
        params.reveal_window_s,
        params.report_window_s,
        params.report_reveal_s,
        params.submission_expiry_s,
        params.max_age_s,
        params.drop_log_e,
    )
    return {
        "LTFT": (
            addresses.ledger,
            params.emission_first,
            params.emission_era,
            params.emission_cap,
            first,
            [addresses.ledger, *holders],
            [genesis.total - outside[0], *holders.values()],
        ),
        "Ledger": (
            genesis_tail(genesis, addresses.ledger),
            addresses.token,
            addresses.registry,
            addresses.heads,
            genesis.pool,
            (*money, params.unstake_delay_s),
            [(one.address, one.balance, one.stake) for one in inside],
        ),
        "Registry": (addresses.ledger, terms),
        "Heads": (addresses.ledger, first),
    }


def genesis_tail(genesis: Genesis, ledger: str) -> str:
    """Return the JSON of record 0 behind its author's address; the contract puts its own there and hashes it all."""
    record = genesis_record(genesis, ledger)
    plain = {"event": record.event.to_dict(), "height": 0, "previous": record.previous, "time": record.time}
    return canonical(plain).split(ledger, 1)[1]
