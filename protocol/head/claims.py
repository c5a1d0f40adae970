"""What everybody has earned since the genesis, under one root; a claim pays what has come since the last one.

The totals only grow, so one proof claims the earnings of any number of HEADs, claiming twice pays nothing, and a claim
that was never made is never lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from protocol.errors import RefusedError
from protocol.head import merkle
from protocol.head.merkle import Proof
from protocol.head.rewards import Earning
from protocol.head.units import in_order
from protocol.head.wire import fields_of, read_canonical, whole
from protocol.ledger.kinds import MAX_UINT, is_address

MAX_CLAIM_BYTES = 16_384


def leaf_of(account: str, total: int) -> bytes:
    """Return the leaf of an account: ``abi.encode(address account, uint256 total)``, which a contract can build.

    Raises
    ------
    RefusedError
        The account is no EIP-55 address, or the total is no whole number of wei from 1.
    """
    if not isinstance(account, str) or not is_address(account):
        raise RefusedError(f"account {account!r:.80} of a claim is no EIP-55 address")
    return bytes(12) + bytes.fromhex(account[2:]) + whole(total, f"the total of {account}", 1, MAX_UINT).to_bytes(32)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an account shows to be paid.

    Attributes
    ----------
    account : str
        EIP-55 address.
    total : int
        Wei earned since the genesis.
    proof : Proof
        Of :func:`leaf_of` both.

    Raises
    ------
    RefusedError
        The account is no address, or the total no whole number of wei from 1.
    """

    account: str
    total: int
    proof: Proof

    def __post_init__(self) -> None:
        leaf_of(self.account, self.total)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"account": self.account, "proof": self.proof.to_dict(), "total": self.total}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a claim that a stranger wrote; refused unless it is the canonical text of one."""
        values = fields_of(read_canonical(text, "a claim", MAX_CLAIM_BYTES), "a claim", ("account", "total", "proof"))
        return cls(values["account"], values["total"], Proof.from_dict(values["proof"]))


@dataclass(frozen=True, slots=True)
class Claims:
    """Everybody's earnings.

    Attributes
    ----------
    totals : mapping of account to wei
        Since the genesis, at least 1; in the order of the addresses' bytes, which is that of the tree.

    Raises
    ------
    RefusedError
        An account is no address, a total no whole number from 1, or all together are beyond 256 bits.
    """

    totals: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for account, total in self.totals.items():
            leaf_of(account, total)
        ordered = {account: self.totals[account] for account in in_order(self.totals)}
        whole(sum(ordered.values()), "the sum of all earnings", 0, MAX_UINT)
        object.__setattr__(self, "totals", MappingProxyType(ordered))

    @property
    def total(self) -> int:
        """Wei earned by everybody."""
        return sum(self.totals.values())

    @property
    def root(self) -> str:
        """Merkle root, :attr:`protocol.head.head.Head.rewards_root`."""
        return merkle.root(self._leaves())

    def after(self, earnings: Sequence[Earning]) -> Claims:
        """Return the claims after the earnings of a HEAD."""
        totals = dict(self.totals)
        for earning in earnings:
            totals[earning.account] = totals.get(earning.account, 0) + earning.amount
        return Claims(totals)

    def claim(self, account: str) -> Claim:
        """Return what an account has to show.

        Raises
        ------
        RefusedError
            It has earned nothing.
        """
        if account not in self.totals:
            raise RefusedError(f"{account} has earned nothing yet; there is nothing to claim")
        proof = merkle.prove(self._leaves(), list(self.totals).index(account))
        return Claim(account, self.totals[account], proof)

    def check_follows(self, before: Claims) -> None:
        """Check that nobody has less than before.

        Raises
        ------
        RefusedError
            Somebody has; the message names who.
        """
        for account, total in before.totals.items():
            if self.totals.get(account, 0) < total:
                raise RefusedError(
                    f"{account} had earned {total} wei and now {self.totals.get(account, 0)}; earnings stay"
                )

    def _leaves(self) -> list[bytes]:
        return [leaf_of(account, total) for account, total in self.totals.items()]


def due(claim: Claim, before: int, rewards_root: str, reward_accounts: int) -> int:
    """Return the wei that a claim pays: its total less what the account was paid before.

    Parameters
    ----------
    claim : Claim
    before : int
        Wei paid to the account so far: all that whoever pays has to remember.
    rewards_root, reward_accounts : str, int
        Of the newest HEAD with a quorum.

    Returns
    -------
    int
        0 if everything was paid before.

    Raises
    ------
    RefusedError
        The proof does not lead to the root, or more was paid before than the claim's total.
    """
    if not merkle.verify(rewards_root, reward_accounts, leaf_of(claim.account, claim.total), claim.proof):
        raise RefusedError(
            f"the claim of {claim.account} to {claim.total} wei is not under the root {rewards_root}; "
            "fetch total and proof for the newest HEAD"
        )
    if claim.total < before:
        raise RefusedError(f"{claim.account} was paid {before} wei, more than the {claim.total} of its claim")
    return claim.total - before
