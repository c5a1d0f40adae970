"""A made network: a SQLite ledger with accepted modules, a fund on it, and validators; models are functions.

Also a program that makes HEADs until its replay is over or it is killed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from made_funds import BEGAN, FIRST, HOUR_S, MODULES, ROOT, TOPIC, Asked, reversal

from data.synthetic import synthetic
from fund.api import pages
from fund.charter import Charter, FeeTerms, PoolTerms
from fund.clock import Clock, ReplayClock
from fund.courier import Courier
from fund.cycle import Data
from fund.desk import Feed
from fund.forecasters import FORECASTERS
from fund.maker import Maker
from fund.quotes import Quotes
from fund.replica import Replica
from fund.rows import rows_from
from fund.signing import Signing
from fund.store import Store
from infra.network import send
from pipelines.identity import near_id, pipeline_id
from pipelines.parser import parse_module
from protocol.errors import DataError
from protocol.head.schedule import Period
from protocol.keys import Key
from protocol.ledger.commitments import commitment_of, report_commitment, report_hash, screen_subject
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT
from protocol.ledger.sqlite import SqliteLedger
from validator.guard import Guard

FUND, MINER = (Key.from_secret(hashlib.sha256(name).digest()) for name in (b"fund", b"mia"))
VALIDATORS = [Key.from_secret(hashlib.sha256(b"validator %d" % n).digest()) for n in range(3)]
LOG = logging.getLogger("made")
SALT = "5a" * 32
CHARTER = Charter(
    topics=(TOPIC.to_dict(),),
    pool=PoolTerms(ltft=1_000_000, quote=1_000_000),
    fees=FeeTerms(performance_days=1),
    forecasters=dict.fromkeys(FORECASTERS, FUND.address),
    simulated=True,
)


class Now:
    """A clock that is set."""

    def __init__(self, time: float = BEGAN) -> None:
        self.time = time

    def __call__(self) -> float:
        return self.time


@dataclass
class MadeFeeds:
    """Stands for :class:`fund.feeds.Feeds`: one version, models that are functions."""

    table: pa.Table
    missing: bool = False

    def __post_init__(self) -> None:
        self.data = Data(ROOT, [Feed(TOPIC, Quotes.of(self.table), Asked(rows_from(self.table, TOPIC), reversal))])

    def newest(self) -> Data:
        if self.missing:
            raise DataError("the data are late")
        return self.data

    def at(self, root: str) -> Data:
        if root != ROOT:
            raise DataError(f"root {root} is not here")
        return self.newest()


def made_table(bars: int = 400) -> pa.Table:
    return synthetic("linear", n_symbols=8, n_bars=bars, strength=0.8, seed=1)


def create_ledger(path: Path, clock: Callable[[], float], validators: int = 1) -> SqliteLedger:
    stakes = [
        GenesisAccount(address=key.address, name=f"validator-{n}", stake=100 * LTFT)
        for n, key in enumerate(VALIDATORS[:validators])
    ]
    accounts = (
        *stakes,
        GenesisAccount(address=FUND.address, name="fund", balance=1_000_000 * LTFT),
        GenesisAccount(address=MINER.address, name="miner", balance=100 * LTFT),
    )
    ledger = SqliteLedger.create(path, Genesis(chain_id=7, time=BEGAN, pool=LTFT, accounts=accounts), clock)
    for text in MODULES:
        accept(ledger, text, VALIDATORS[:validators])
    return ledger


def accept(ledger: SqliteLedger, text: str, validators: Sequence[Key]) -> None:
    """Let all validators accept a module."""
    block, spec = source_hash(text), parse_module(text.encode())
    commitment = commitment_of(block, MINER.address, SALT)
    send(ledger, MINER, "commit", {"topic": TOPIC.name, "commitment": commitment})
    send(ledger, MINER, "reveal", {"commitment": commitment, "salt": SALT, "topic": TOPIC.name, "source": text})
    report = {
        "outcome": "accepted",
        "reason": "record",
        "pipeline_id": pipeline_id(spec),
        "near_id": near_id(spec),
        "verdict": "fe" * 32,
        "data_root": ROOT,
        "registry": "ee" * 32,
        "specific": 1,
        "generalized": 1,
        "k": ledger.state().submissions[block].k,
    }
    subject = screen_subject(block)
    for key in validators:
        sealed = report_commitment(subject, key.address, SALT, report_hash(report))
        send(ledger, key, "report_commit", {"subject": subject, "commitment": sealed})
    for key in validators:
        send(ledger, key, "report_reveal", {"subject": subject, "salt": SALT, "report": report})


def made_maker(
    folder: Path, ledger: SqliteLedger, clock: Clock, feeds: Any, *, signs: bool = True, charter: Charter = CHARTER
) -> Maker:
    """Open the fund in a folder, which begins if it is not there."""
    path = folder / "fund.sqlite"
    if not path.exists():
        Store.create(path, ledger.domain.salt, charter.to_dict()).close()
    store = Store.open(path, ledger.domain.salt)
    signing = made_signing(folder, ledger, VALIDATORS[0]) if signs else None
    return Maker(store, ledger, clock, feeds, charter, Courier(store, ledger, FUND), LOG, signing)


def made_signing(folder: Path, ledger: SqliteLedger, key: Key) -> Signing:
    return Signing(key, ledger.domain, Guard(folder / "heads", key.address, ledger.domain.salt))


def made_replica(
    folder: Path, ledger: SqliteLedger, key: Key, maker: Maker, *, clock: Callable[[], float], feeds: Any = None
) -> Replica:
    store = Store.create(folder / f"{key.address}.sqlite", ledger.domain.salt, maker.charter.to_dict())
    data, signing = feeds or MadeFeeds(made_table()), made_signing(folder, ledger, key)
    return Replica(store, ledger, data, maker.charter, signing, asker(maker.store), clock, LOG)


def asker(store: Store) -> Any:
    """Return what asks a fund in this process as a peer would."""
    answers = pages(store, dict)

    def ask(path: str, query: dict[str, str]) -> Any:
        code, _, body = answers[path](query)
        assert code == 200, body
        return json.loads(body)

    return ask


def closes(bars: int) -> list[int]:
    return [FIRST + n * HOUR_S for n in range(bars)]


def replay_until_over(folder: Path, bars: int) -> None:
    """Go on with the replay in a folder, saying so after every step."""
    now = Now()
    path = folder / "ledger.sqlite"
    if not path.exists():
        create_ledger(path, now).close()
    ledger = SqliteLedger.open(path, now)
    store = folder / "fund.sqlite"
    latest = None
    if store.exists():
        with Store.open(store) as opened:
            latest = opened.latest()
    clock = ReplayClock(closes(bars), Period(latest.period) if latest else None)
    ledger._clock = clock.time
    maker = made_maker(folder, ledger, clock, MadeFeeds(made_table()))
    while not maker.over:
        maker.turn()
        print(maker.made, flush=True)  # noqa: T201 - what the test waits for
    maker.settle()


if __name__ == "__main__":
    replay_until_over(Path(sys.argv[1]), int(sys.argv[2]))
