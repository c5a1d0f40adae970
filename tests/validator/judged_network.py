"""A ledger with validators and miners that exist for one test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from protocol.keys import Key
from protocol.ledger.commitments import commitment_of
from protocol.ledger.event import sign
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT, Params
from protocol.ledger.sqlite import SqliteLedger
from protocol.ledger.state import Block, Submission

TOPIC = "us-daily"
NOW = 1_800_000_000


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return float(self.now)


class Network:
    """Keys and their ledger."""

    def __init__(self, folder: Path, validators: int = 3, params: Mapping[str, int] | None = None) -> None:
        self.clock = Clock()
        self.path = folder / "ledger.sqlite"
        self.validators = [Key.create() for _ in range(validators)]
        self.miner = Key.create()
        accounts = [
            GenesisAccount(address=key.address, name=f"validator-{number}", stake=100 * LTFT)
            for number, key in enumerate(self.validators)
        ]
        accounts.append(GenesisAccount(address=self.miner.address, name="miner", balance=1_000 * LTFT))
        genesis = Genesis(chain_id=7, time=NOW, pool=1_000 * LTFT, params=Params(**(params or {})), accounts=accounts)
        self.ledger = SqliteLedger.create(self.path, genesis, self.clock)

    def __del__(self) -> None:
        self.ledger.close()

    def open(self) -> SqliteLedger:
        return SqliteLedger.open(self.path, self.clock)

    def send(self, key: Key, kind: str, **body: Any) -> None:
        nonce = self.ledger.state().accounts[key.address].nonce
        self.ledger.append(sign(key, self.ledger.domain, kind, nonce, body))

    def submit(self, source: str) -> str:
        """Commit to and reveal a module; return its hash."""
        salt, block_hash = secrets.token_hex(32), source_hash(source)
        commitment = commitment_of(block_hash, self.miner.address, salt)
        self.send(self.miner, "commit", topic=TOPIC, commitment=commitment)
        self.send(self.miner, "reveal", commitment=commitment, salt=salt, topic=TOPIC, source=source)
        return block_hash


def report_on(block_hash: str, k: int, outcome: str = "accepted", reason: str = "record") -> dict[str, int | str]:
    return {
        "outcome": outcome,
        "reason": reason,
        "pipeline_id": block_hash,
        "near_id": block_hash,
        "verdict": block_hash,
        "data_root": "d" * 64,
        "registry": "e" * 64,
        "specific": 10_000,
        "generalized": 5_000,
        "k": k,
    }


class FixedJudge:
    """Accepts everything, or does what `screens` says."""

    def __init__(self, screens: Callable[[Submission], dict[str, int | str]] | None = None) -> None:
        self.screens = screens or (lambda submission: report_on(submission.block_hash, submission.k))
        self.asked: list[str] = []
        self.day: int | None = None
        self.log_e = 0

    def screen(self, submission: Submission) -> dict[str, int | str]:
        self.asked.append(submission.block_hash)
        return self.screens(submission)

    def evidence(self, block: Block, day: int | None) -> tuple[int, dict[str, int | str]] | None:
        del block
        newest = day if day is not None else self.day
        return None if newest is None else (newest, {"log_e": self.log_e, "days": 10})
