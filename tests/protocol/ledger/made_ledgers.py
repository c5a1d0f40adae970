"""Made-up people, modules and reports, and a ledger without a file, for the tests of the rules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from protocol.keys import Key
from protocol.ledger.commitments import (
    commitment_of,
    live_subject,
    report_commitment,
    report_hash,
    screen_subject,
)
from protocol.ledger.event import (
    NOBODY,
    Record,
    SignedEvent,
    domain_of,
    genesis_record,
    record_at,
    registration_message,
    sign,
)
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.kinds import source_hash
from protocol.ledger.ledger import Receipt
from protocol.ledger.params import DAY_S, LTFT, Params
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.rules import apply, initial_state
from protocol.ledger.state import Report, State

START = 20_000 * DAY_S
TOPIC = "layer1-24h"
SALT = "5a" * 32
#: `dora` has no account at first.
NAMES = ("alice", "bob", "carol", "dora", "val1", "val2", "val3")
VALIDATORS = ("val1", "val2", "val3")
PARAMS = Params(
    welcome=5 * LTFT,
    min_stake=100 * LTFT,
    report_penalty=3 * LTFT,
    reveal_window_s=100,
    report_window_s=200,
    report_reveal_s=300,
    submission_expiry_s=5_000,
    unstake_delay_s=1_000,
    slots=2,
)


def key_of(name: str) -> Key:
    return Key.from_secret(hashlib.sha256(name.encode()).digest())


KEYS = {name: key_of(name) for name in NAMES}
ADDRESS = {name: key.address for name, key in KEYS.items()}


def made_genesis(params: Params = PARAMS, /, **stakes: int) -> Genesis:
    """Return a genesis with two rich miners, a poor one and three validators of 400 LTFT (or of `stakes`, in LTFT)."""
    stakes = stakes or dict.fromkeys(VALIDATORS, 400)
    accounts = [GenesisAccount(address=ADDRESS[name], name=name, balance=50 * LTFT) for name in ("alice", "bob")]
    accounts.append(GenesisAccount(address=ADDRESS["carol"], name="carol", balance=params.fee))
    accounts += [
        GenesisAccount(address=ADDRESS[name], name=name, balance=LTFT, stake=stake * LTFT)
        for name, stake in stakes.items()
    ]
    return Genesis(chain_id=31_337, name="made", time=START, pool=1_000 * LTFT, params=params, accounts=tuple(accounts))


def module(number: int) -> str:
    return f"exported_pipeline = make_pipeline(Ridge(alpha={number}))\n"


def screen_report(block_hash: str, number: int, **changes: int | str) -> dict[str, int | str]:
    report: dict[str, int | str] = {
        "outcome": "accepted",
        "reason": "record",
        "pipeline_id": hashlib.sha256(b"id" + block_hash.encode()).hexdigest(),
        "near_id": hashlib.sha256(b"near" + block_hash.encode()).hexdigest(),
        "verdict": hashlib.sha256(b"verdict").hexdigest(),
        "data_root": hashlib.sha256(b"data").hexdigest(),
        "registry": hashlib.sha256(b"registry").hexdigest(),
        "specific": 30_000,
        "generalized": 10_000,
        "k": number,
    }
    return report | changes


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class PureLedger:
    """The state machine and nothing else: no file, and the state itself instead of copies."""

    def __init__(self, genesis: Genesis, clock: Clock, author: str = NOBODY) -> None:
        self.genesis, self.domain, self.clock = genesis, domain_of(genesis, author), clock
        self.chain: list[Record] = [genesis_record(genesis, author)]
        self.now = initial_state(genesis, author)

    def append(self, event: SignedEvent) -> Receipt:
        record = record_at(self.now.height + 1, self.now.head, max(self.now.time, int(self.clock())), event)
        apply(self.now, record)
        self.chain.append(record)
        return Receipt(record.height, record.hash, new=True)

    def state(self) -> State:
        return self.now


class Network:
    """People who write to one ledger."""

    def __init__(self, ledger: Any, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock

    @property
    def state(self) -> State:
        state = self.ledger.state()
        assert isinstance(state, State)
        return state

    def event(self, who: str, kind: str, nonce: int | None = None, **body: Any) -> SignedEvent:
        if nonce is None:
            account = self.state.accounts.get(ADDRESS[who])
            nonce = account.nonce if account else 0
        return sign(KEYS[who], self.ledger.domain, kind, nonce, body)

    def send(self, who: str, kind: str, **body: Any) -> Receipt:
        receipt = self.ledger.append(self.event(who, kind, **body))
        assert isinstance(receipt, Receipt)
        return receipt

    def refused(self, who: str, kind: str, **body: Any) -> str:
        """Return the code an event is refused with."""
        try:
            self.ledger.append(self.event(who, kind, **body))
        except LedgerRefusal as refusal:
            return refusal.code
        raise AssertionError(f"{kind} by {who} was taken")

    def registration(self, who: str, **changes: str) -> dict[str, str]:
        key = KEYS[who]
        return {
            "name": who,
            "public_key": key.public_key,
            "cosmos_address": key.cosmos_address,
            "cosmos_signature": key.sign_cosmos(registration_message(self.ledger.domain, key.address)),
        } | changes

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.send("bob", "tick")

    def commit(self, miner: str, source: str, *, topic: str = TOPIC, by: str = "", salt: str = SALT) -> str:
        commitment = commitment_of(source_hash(source), ADDRESS[miner], salt)
        self.send(by or miner, "commit", topic=topic, commitment=commitment)
        return commitment

    def submit(self, miner: str, source: str, *, topic: str = TOPIC, by: str = "") -> str:
        """Commit and reveal a module; return its block hash."""
        commitment = self.commit(miner, source, topic=topic, by=by)
        self.send(miner, "reveal", commitment=commitment, salt=SALT, topic=topic, source=source)
        return source_hash(source)

    def commit_report(self, who: str, subject: str, report: Report) -> None:
        commitment = report_commitment(subject, ADDRESS[who], SALT, report_hash(report))
        self.send(who, "report_commit", subject=subject, commitment=commitment)

    def reveal_report(self, who: str, subject: str, report: Report) -> None:
        self.send(who, "report_reveal", subject=subject, salt=SALT, report=report)

    def vote(self, subject: str, reports: Mapping[str, Report]) -> None:
        """Let validators commit to their reports, then reveal them until the subject is closed."""
        for who, report in reports.items():
            self.commit_report(who, subject, report)
        for who, report in reports.items():
            self.reveal_report(who, subject, report)

    def judge(self, block_hash: str, *changes: Report) -> str:
        """Let every validator report on a submission, with its own `changes` if given; return the status."""
        k = self.state.submissions[block_hash].k
        reports = {
            who: screen_report(block_hash, k, **(changes[i] if i < len(changes) else {}))
            for i, who in enumerate(VALIDATORS)
        }
        self.vote(screen_subject(block_hash), reports)
        return self.state.submissions[block_hash].status

    def accept(self, number: int, **changes: int | str) -> str:
        """Submit module `number` and have it accepted; return its hash."""
        block_hash = self.submit("alice", module(number))
        assert self.judge(block_hash, *[changes] * 3) == "accepted"
        return block_hash

    def live(self, block_hash: str, day: int, log_e: int, days: int = 1) -> None:
        """Let every validator report the same evidence up to `day` after the start."""
        report: dict[str, int | str] = {"log_e": log_e, "days": days}
        self.vote(live_subject(block_hash, START // DAY_S + day), dict.fromkeys(VALIDATORS, report))


def pure_network(genesis: Genesis | None = None) -> Network:
    clock = Clock()
    return Network(PureLedger(genesis or made_genesis(), clock), clock)
