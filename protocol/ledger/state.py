"""The state of a ledger: frozen parts in tables, and a transaction that leaves either all of a change or nothing.

Rules replace parts, never alter them, so a part that was read stays what it was. A copy of the state shares the parts and
costs a few dictionary copies. Money is in wei, times in Unix seconds, scores and evidence in millionths.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from protocol.ledger.genesis import Genesis
from protocol.ltft.supply import Supply
from protocol.typed_data import Domain

K = TypeVar("K")
V = TypeVar("V")
Report = Mapping[str, int | str]
Outcome = Literal["accepted", "refused", "invalid", "undecided"]
BlockStatus = Literal["screened", "crowned", "dropped"]
#: What a state has besides its tables.
SCALARS = ("height", "time", "head", "pool", "last_block", "supply", "rewards", "stamp")


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody: money, the next nonce, and how the reports of a validator fared.

    Attributes
    ----------
    balance, stake : int
        Wei.
    nonce : int
        Of the next event.
    open_reports : int
        Reports committed to and not yet revealed; while there are any, the stake stays.
    reports, agreed, missed : int
        Reports revealed; those of them in a deciding group; commitments never revealed in time.
    """

    address: str
    name: str
    balance: int = 0
    stake: int = 0
    nonce: int = 0
    public_key: str = ""
    cosmos_address: str = ""
    open_reports: int = 0
    reports: int = 0
    agreed: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Unstake:
    """Stake on its way back to the balance, paid at `due`."""

    account: str
    amount: int
    due: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """A hidden module; `bond` is lost unless it is revealed before `reveal_by`."""

    commitment: str
    topic: str
    committer: str
    bond: int
    height: int
    time: int
    reveal_by: int


@dataclass(frozen=True, slots=True)
class Submission:
    """A revealed module and what became of it.

    Attributes
    ----------
    k : int
        Number of the submission in its topic, from 1, given at the reveal.
    committer : str
        Who paid the bond and gets it back.
    height, time : int
        Of the reveal; ``ledger.record(height)`` has the text.
    committed_height, committed_time : int
        Of the commitment.
    bond, fee : int
        Wei held until the outcome; 0 afterwards.
    decided_time : int
        0 while open.
    reason, pipeline_id, near_id, verdict, data_root, registry, specific, generalized
        From the deciding reports; empty or 0 before.
    """

    block_hash: str
    topic: str
    k: int
    miner: str
    committer: str
    height: int
    time: int
    committed_height: int
    committed_time: int
    bond: int
    fee: int
    status: Literal["open"] | Outcome = "open"
    decided_time: int = 0
    reason: str = ""
    pipeline_id: str = ""
    near_id: str = ""
    verdict: str = ""
    data_root: str = ""
    registry: str = ""
    specific: int = 0
    generalized: int = 0


@dataclass(frozen=True, slots=True)
class Ballot:
    """The validators' reports on one subject, in rounds of commitments and reveals.

    Attributes
    ----------
    opened : int
        When this round began.
    expires : int
        When the subject is given up.
    reveal_by : int
        Last moment for reveals (exclusive); 0 while commitments are gathered.
    commits : mapping of author to commitment
    reports : mapping of author to revealed report
    decided : bool
        Later reveals only count for the validators.
    decision : tuple
        What the deciding group agreed on.
    """

    subject: str
    opened: int
    expires: int
    round: int = 1
    reveal_by: int = 0
    commits: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, Report] = field(default_factory=dict)
    decided: bool = False
    decision: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A model block: an accepted module, minted to its miner.

    Attributes
    ----------
    hash : str
        sha256 of the module.
    parent : str
        Hash of the block minted before; of the genesis for the first.
    number : int
        From 1.
    height, time : int
        Of the record that minted it.
    specific, generalized : int
        Millionths; stake-weighted lower medians over the deciding reports.
    log_e : int
        Evidence, millionths of a nat.
    evidence_day : int
        Last day the evidence covers, days since 1970-01-01 UTC; evidence begins the day after the block's own.
    days : int
        How many days the evidence covers.
    status_time : int
        When `status` last changed.
    """

    hash: str
    parent: str
    number: int
    miner: str
    topic: str
    pipeline_id: str
    near_id: str
    height: int
    time: int
    specific: int
    generalized: int
    verdict: str
    status: BlockStatus = "screened"
    status_time: int = 0
    log_e: int = 0
    evidence_day: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """The newest HEAD with a quorum, as far as claims and the next HEAD need it.

    Attributes
    ----------
    period, hash : int, str
    height : int
        Of the record that stamped it; ``ledger.record(height)`` has the text.
    read_height : int
        Up to which the HEAD had read the ledger.
    predictions_root, prediction_count : str, int
    rewards_root, reward_accounts, reward_total : str, int, int
        Of everything earned since the genesis; wei.
    """

    period: int
    hash: str
    height: int
    read_height: int
    predictions_root: str
    prediction_count: int
    rewards_root: str
    reward_accounts: int
    reward_total: int


@dataclass(frozen=True, slots=True)
class Rewards:
    """Money on its way to those who earn it, wei.

    Attributes
    ----------
    deposited : int
        Given by buybacks, not yet paid for anything.
    owed : int
        Earned under a HEAD, not yet claimed.
    """

    deposited: int = 0
    owed: int = 0


class Deadline(NamedTuple):
    """Something that time alone does. Those of one moment come in the order of `rank`, then of `key`."""

    time: int
    rank: int
    key: str


class Table(dict[K, V]):
    """A dictionary that notes how to undo each assignment and deletion; change it by those two only."""

    __slots__ = ("_undo",)

    def __init__(self, undo: list[tuple[Any, ...]], items: Iterable[tuple[K, V]] | Mapping[K, V] = ()) -> None:
        super().__init__(items)
        self._undo = undo

    def __setitem__(self, key: K, value: V) -> None:
        self._undo.append((dict.__setitem__, self, key, self[key]) if key in self else (dict.pop, self, key))
        super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        self._undo.append((dict.__setitem__, self, key, self[key]))
        super().__delitem__(key)


class State:
    """What all records up to `height` amount to. Changed by :mod:`protocol.ledger.rules` only; copies are the reader's own.

    Attributes
    ----------
    genesis : Genesis
    domain : Domain
        Where signatures are valid; its salt is the hash of the genesis.
    height, time, head : int, int, str
        Of the last record.
    pool : int
        Wei that belong to nobody: welcomes are paid from it; fees, lost bonds and penalties flow into it.
    last_block : str
        Hash of the newest model block; of the genesis before the first.
    supply : Supply
        Money there was, was minted, was burned and was redeemed.
    rewards : Rewards
    stamp : Stamp or None
        The newest HEAD.
    accounts, commitments, submissions, blocks, ballots : Table
        By address, commitment, block hash, block hash (in the order of minting) and subject. Only open commitments and
        ballots are here.
    unstakes : Table
        By height of the ``unstake``.
    claimed : Table
        Wei paid out of rewards so far, by address.
    redeemed : Table
        Wei given up for a share of the treasury so far, by address.
    counts : Table
        Submissions revealed so far, by topic.
    standing : Table
        Hashes of the blocks that are screened or crowned, by topic.
    pipelines : Table
        Hash of the standing block, by pipeline_id.
    validators : Table
        Voting stake, by address of every account with at least ``params.min_stake``.
    """

    def __init__(self, genesis: Genesis, domain: Domain) -> None:
        undo: list[tuple[Any, ...]] = []
        self._undo = undo
        self._depth = 0
        self.genesis = genesis
        self.domain = domain
        self.params = genesis.params
        self.height = 0
        self.time = genesis.time
        self.head = domain.salt
        self.pool = genesis.pool
        self.last_block = domain.salt
        self.supply = Supply(genesis.total)
        self.rewards = Rewards()
        self.stamp: Stamp | None = None
        self.accounts: Table[str, Account] = Table(undo)
        self.commitments: Table[str, Commitment] = Table(undo)
        self.submissions: Table[str, Submission] = Table(undo)
        self.ballots: Table[str, Ballot] = Table(undo)
        self.blocks: Table[str, Block] = Table(undo)
        self.unstakes: Table[int, Unstake] = Table(undo)
        self.claimed: Table[str, int] = Table(undo)
        self.redeemed: Table[str, int] = Table(undo)
        self.counts: Table[str, int] = Table(undo)
        self.standing: Table[str, tuple[str, ...]] = Table(undo)
        self.pipelines: Table[str, str] = Table(undo)
        self.validators: Table[str, int] = Table(undo)
        self._deadlines: list[Deadline] = []

    def copy(self) -> State:
        """Return a state that changes independently of this one; it shares the frozen parts."""
        other = State(self.genesis, self.domain)
        for name, value in vars(self).items():
            if isinstance(value, Table):
                setattr(other, name, Table(other._undo, value))
        other._restore(self._scalars())
        other._deadlines = self._deadlines.copy()
        return other

    def standing_blocks(self, topic: str) -> list[Block]:
        """Return the screened and crowned blocks of a topic, oldest first."""
        return [self.blocks[block_hash] for block_hash in self.standing.get(topic, ())]

    def total(self) -> int:
        """Return all money in wei, wherever it is held: at every height ``supply.total``."""
        return (
            self.pool
            + self.rewards.deposited
            + self.rewards.owed
            + sum(account.balance + account.stake for account in self.accounts.values())
            + sum(unstake.amount for unstake in self.unstakes.values())
            + sum(commitment.bond for commitment in self.commitments.values())
            + sum(submission.bond + submission.fee for submission in self.submissions.values())
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo every change made inside when it is left by an exception. Transactions nest."""
        mark, scalars = len(self._undo), self._scalars()
        self._depth += 1
        try:
            yield
        except BaseException:
            while len(self._undo) > mark:
                action, *arguments = self._undo.pop()
                action(*arguments)
            self._restore(scalars)
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                self._undo.clear()

    def schedule(self, deadline: Deadline) -> None:
        """Let `deadline` fall due at its time; whoever handles it checks whether it still applies."""
        insort(self._deadlines, deadline)
        self._undo.append((self._deadlines.remove, deadline))

    def due(self, time: int) -> Deadline | None:
        """Take the first deadline that is due at `time`, if there is one."""
        if not self._deadlines or self._deadlines[0].time > time:
            return None
        deadline = self._deadlines.pop(0)
        self._undo.append((insort, self._deadlines, deadline))
        return deadline

    def _scalars(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in SCALARS)

    def _restore(self, scalars: tuple[Any, ...]) -> None:
        for name, value in zip(SCALARS, scalars, strict=True):
            setattr(self, name, value)
