"""A local network for the tests of the miner, modules to submit to it, and a validator that says what it is told to say.

Also a program: the embedded validator, as `ltminer` starts it. The variable MADE_OUTCOME names what it finds: outcome, reason
and, if it is to fail, an exit code.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from infra.files import atomic_write
from infra.home import find_home
from infra.network import VALIDATOR, ensure_local_network, find_key, open_network, send
from infra.settings import load_settings
from miner.precheck import Module, module_of
from pipelines.identity import near_id, pipeline_id
from pipelines.parser import parse_module
from protocol.keys import Key
from protocol.ledger.commitments import report_commitment, report_hash, screen_subject
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.ledger import Ledger
from protocol.ledger.params import LTFT, Params
from protocol.ledger.sqlite import SqliteLedger

TOPIC = "us-daily"
VERDICT = "fe" * 32
SALT = "5a" * 32
TEXT = """from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

exported_pipeline = make_pipeline(StandardScaler(), Ridge(alpha={alpha}))
"""


def module(alpha: float = 1.5, *, comment: str = "") -> Module:
    """Return a module that parses."""
    return module_of((TEXT.format(alpha=alpha) + comment).encode(), f"ridge-{alpha}.py")


def local() -> SqliteLedger:
    """Open the local network of the test's home."""
    return ensure_local_network(find_home())


def network(path: Path, *, miner: Key, clock: Any = time.time, **params: int) -> tuple[SqliteLedger, Key]:
    """Make a network with a validator's key and a miner who has 10 LTFT."""
    validator = Key.create()
    genesis = Genesis(
        chain_id=1,
        time=0,
        pool=100 * LTFT,
        params=Params(**params),
        accounts=(
            GenesisAccount(address=validator.address, name="validator", stake=100 * LTFT),
            GenesisAccount(address=miner.address, name="miner", balance=10 * LTFT),
        ),
    )
    return SqliteLedger.create(path, genesis, clock), validator


def commit_report(ledger: Ledger, key: Key, block_hash: str, outcome: str, reason: str) -> dict[str, Any]:
    """Commit to a report on a submission and return the body that reveals it."""
    submission = ledger.state().submissions[block_hash]
    source = ledger.source(block_hash).encode()
    report = {
        "outcome": outcome,
        "reason": reason,
        "pipeline_id": pipeline_id(parse_module(source)),
        "near_id": near_id(parse_module(source)),
        "verdict": VERDICT,
        "data_root": "da" * 32,
        "registry": "ee" * 32,
        "specific": 23_456,
        "generalized": 12_345,
        "k": submission.k,
    }
    subject = screen_subject(block_hash)
    commitment = report_commitment(subject, key.address, SALT, report_hash(report))
    send(ledger, key, "report_commit", {"subject": subject, "commitment": commitment})
    return {"subject": subject, "salt": SALT, "report": report}


def decide(ledger: Ledger, key: Key, block_hash: str, outcome: str, reason: str) -> None:
    """Let the only validator decide."""
    send(ledger, key, "report_reveal", commit_report(ledger, key, block_hash, outcome, reason))


def write_verdict(block_hash: str) -> None:
    """Leave a verdict of two gates, as a validator does."""
    gates = [
        {"name": "original", "value": 0.1, "threshold": 0.95, "passed": True, "text": "it is a work of its own"},
        {"name": "screen", "value": 0.2, "threshold": 0.03, "passed": False, "text": "it is not clearly better"},
    ]
    document = json.dumps({"judged": {"gates": gates}, "run": {}}).encode()
    atomic_write(find_home().verdicts / f"{block_hash[:16]}-{VERDICT[:16]}.json", document)


def main() -> int:
    """Judge everything that is open, then end; wait for ever if told to."""
    assert sys.argv[-2:] == ["run", "--once"]
    outcome, reason, *code = os.environ["MADE_OUTCOME"].split()
    settings = load_settings()
    log = json.dumps({"time": "now", "level": "info", "event": "judging", "data": settings.data})
    sys.stderr.write(f"{log}\nplain words\n")
    sys.stderr.flush()
    if outcome == "wait":
        time.sleep(60)
    with open_network(settings) as ledger:
        key = find_key(settings, VALIDATOR)
        waiting = [one.block_hash for one in ledger.state().submissions.values() if one.status == "open"]
        for block_hash in [] if code else waiting:
            write_verdict(block_hash)
            decide(ledger, key, block_hash, outcome, reason)
    return int(code[0]) if code else 0


if __name__ == "__main__":
    sys.exit(main())
