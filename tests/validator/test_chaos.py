"""Three validators and two miners as separate processes on one ledger, killed at random: one verdict each, nothing lost."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from data.dataset import Dataset
from data.synthetic import synthetic
from infra.keystore import save_key
from infra.network import send
from protocol.keys import Key
from protocol.ledger.commitments import commitment_of
from protocol.ledger.kinds import source_hash
from protocol.ledger.sqlite import SqliteLedger
from protocol.ledger.state import State, Submission

SUBMISSIONS = 50
VALIDATORS = 3
MINERS = 2
PATIENCE_S = 1800
KILL_EVERY_S = (6.0, 14.0)
TOPIC = """
name = "made"
title = "Generated series whose large moves continue"
type = "close-1d"
broker = "synthetic"
horizon = 1
"""
HEAD = "from sklearn.ensemble import {operator}\n\n"
HOSTILE = (
    "import os\nexported_pipeline = os.system('id')\n",
    "exported_pipeline = __import__('os')\n",
    "from sklearn.linear_model import Ridge\nexported_pipeline = Ridge(" + "(" * 60 + ")" * 60 + ")\n",
    "from sklearn.linear_model import Ridge\nexported_pipeline = Ridge(alpha=10**9**9)\n",
    "exported_pipeline = None\n",
    "x = 1\n" * 4_000,
)


def tree(leaves: int, depth: int, note: str = "") -> str:
    """A pipeline that sees what is planted."""
    call = f"HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes={leaves}, max_depth={depth})"
    return f"{note}from sklearn.ensemble import HistGradientBoostingRegressor\n\nexported_pipeline = {call}\n"


def renamed(leaves: int, depth: int) -> str:
    """The same pipeline as `tree`, written otherwise."""
    call = f"Model(max_depth={depth},\n  max_leaf_nodes={leaves}, max_iter=60, learning_rate=0.1)"
    return f"from sklearn.ensemble import HistGradientBoostingRegressor as Model\nmine = {call}\nexported_pipeline = mine\n"


def skill_less(number: int) -> str:
    """A pipeline that sees nothing of it."""
    return (
        "from sklearn.linear_model import Ridge\nfrom sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n\n"
        f"exported_pipeline = make_pipeline(StandardScaler(), Ridge(alpha={1.5**number!r}))\n"
    )


class Town:
    """Homes, keys, data and the ledger of a small network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger_file = folder / "ledger.sqlite"
        self.data = folder / "made"
        Dataset.create(str(self.data)).append(
            synthetic("nonlinear", n_symbols=12, n_bars=1500, type_="close-1d", strength=0.5, seed=4)
        )
        self.keys = {name: Key.create() for name in self.names("validator", VALIDATORS) + self.names("miner", MINERS)}
        for name, key in self.keys.items():
            home = self.home(name)
            role = name.partition("-")[0]
            save_key(home / "state" / "keys" / f"{role}.json", key, "pass word", iterations=1024)
            (home / "password").write_text("pass word\n")
            (home / "config" / "topics").mkdir(parents=True)
            (home / "config" / "topics" / "made.toml").write_text(TOPIC)
        stakes = [f"--validator={self.keys[name].address}=100" for name in self.names("validator", VALIDATORS)]
        funds = [f"--account={self.keys[name].address}=1000" for name in self.names("miner", MINERS)]
        self.call("validator-0", "validator.cli", "init", str(self.ledger_file), *stakes, *funds)

    @staticmethod
    def names(role: str, count: int) -> list[str]:
        return [f"{role}-{number}" for number in range(count)]

    def home(self, name: str) -> Path:
        return self.folder / name

    def environment(self, name: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGTAIL_")}
        return {
            **kept,
            "LONGTAIL_HOME": str(self.home(name)),
            "LONGTAIL_LEDGER": str(self.ledger_file),
            "LONGTAIL_DATA": str(self.data),
            "LONGTAIL_TOPIC": "made",
            "LONGTAIL_PASSWORD_FILE": str(self.home(name) / "password"),
        }

    def start(self, name: str, module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *words]
        with (self.home(name) / "log").open("ab") as log:
            return subprocess.Popen(
                command, env=self.environment(name), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def call(self, name: str, module: str, *words: str) -> None:
        process = self.start(name, module, *words)
        assert process.wait() == 0, (self.home(name) / "log").read_text()[-3000:]

    def open(self) -> SqliteLedger:
        return SqliteLedger.open(self.ledger_file)


class Validators:
    """The daemons, started again whenever they are found dead."""

    def __init__(self, town: Town, dice: random.Random) -> None:
        self.town = town
        self.dice = dice
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0
        self._next_kill = time.monotonic() + 20

    def tend(self) -> None:
        for name in self.town.names("validator", VALIDATORS):
            process = self.running.get(name)
            if process is None or process.poll() is not None:
                assert process is None or process.returncode in (0, -signal.SIGKILL), self.log(name)
                self.running[name] = self.town.start(name, "validator.cli", "run", "--json", "--listen=127.0.0.1:0")
        if time.monotonic() > self._next_kill:
            victim = self.dice.choice(list(self.running.values()))
            victim.kill()
            victim.wait()
            self.kills += 1
            self._next_kill = time.monotonic() + self.dice.uniform(*KILL_EVERY_S)

    def log(self, name: str) -> str:
        return (self.town.home(name) / "log").read_text()[-3000:]

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for name, process in self.running.items():
            # One that was about to start ends by the signal itself.
            assert process.wait(120) in (0, -signal.SIGTERM), self.log(name)


@contextmanager
def validators(town: Town, dice: random.Random) -> Iterator[Validators]:
    those = Validators(town, dice)
    try:
        yield those
    finally:
        for process in those.running.values():
            process.kill()
            process.wait()


def submit(town: Town, miner: str, source: str, dice: random.Random, tend: Any) -> int:
    """Let a miner submit, kill it now and then, and repeat until it has come to its own end; return its exit code."""
    file = town.home(miner) / f"{source_hash(source)[:12]}.py"
    file.write_text(source)
    while True:
        process = town.start(miner, "miner.cli", "submit", str(file), "--yes", "--json")
        patience = time.monotonic() + dice.choice([0.5, 1.0, 2.0, 3.0, 60.0, 60.0])
        while process.poll() is None and time.monotonic() < patience:
            tend()
            time.sleep(0.1)
        if process.poll() is not None:
            return process.returncode
        process.kill()
        process.wait()


def send_unchecked(town: Town, miner: str, source: str) -> None:
    """Submit what `ltminer submit` would not send."""
    with town.open() as ledger:
        key, salt = town.keys[miner], secrets.token_hex(32)
        commitment = commitment_of(source_hash(source), key.address, salt)
        send(ledger, key, "commit", {"topic": "made", "commitment": commitment})
        send(ledger, key, "reveal", {"commitment": commitment, "salt": salt, "topic": "made", "source": source})


def modules(dice: random.Random) -> list[tuple[str, str]]:
    """Return 50 submissions as (what, text), copies and duplicates after their originals."""
    good = [tree(leaves, depth) for leaves, depth in ((4, 2), (8, 3), (16, 5), (31, 8), (6, 4), (12, 6))]
    first: list[tuple[str, str]] = [("good", text) for text in good]
    first += [("bad", skill_less(number)) for number in range(24)]
    first += [("hostile", text) for text in HOSTILE]
    dice.shuffle(first)
    later = [("copy", renamed(leaves, depth)) for leaves, depth in ((4, 2), (8, 3), (16, 5), (31, 8))]
    later += [("copy", tree(leaves, depth, "# mine\n")) for leaves, depth in ((4, 2), (8, 3), (6, 4), (12, 6))]
    later += [("duplicate", text) for text in (*good[:3], skill_less(0), skill_less(1), skill_less(2))]
    dice.shuffle(later)
    assert len(first) + len(later) == SUBMISSIONS
    return first + later


def play(town: Town, plan: Sequence[tuple[str, str]], dice: random.Random) -> Validators:
    """Submit everything and wait until all is decided."""
    with validators(town, dice) as those, town.open() as ledger:
        for number, (what, source) in enumerate(plan):
            those.tend()
            miner = f"miner-{number % MINERS}"
            if what in ("good", "bad"):
                code = submit(town, miner, source, dice, those.tend)
                # A near-copy of what is there already is refused at once.
                assert code in (0, 5), (town.home(miner) / "log").read_text()[-2000:]
                if code == 5:
                    send_unchecked(town, miner, source)
            elif what == "duplicate":
                assert submit(town, miner, source, dice, those.tend) in (0, 5)
            else:
                send_unchecked(town, miner, source)
        give_up = time.monotonic() + PATIENCE_S
        while any(one.status == "open" for one in ledger.state().submissions.values()):
            assert time.monotonic() < give_up, {name: those.log(name) for name in those.running}
            those.tend()
            time.sleep(0.5)
        # Whoever is up has revealed; let those just killed do so too.
        those._next_kill = time.monotonic() + 10 * PATIENCE_S
        while ledger.state().ballots:
            assert time.monotonic() < give_up, {name: those.log(name) for name in those.running}
            those.tend()
            time.sleep(0.5)
        those.stop()
    return those


def summary(state: State, plan: Sequence[tuple[str, str]]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for what, source in plan:
        submission: Submission = state.submissions[source_hash(source)]
        found.setdefault(what, Counter())[f"{submission.status}/{submission.reason}"] += 1
    return found


@pytest.mark.slow
def test_every_submission_ends_with_one_verdict_whoever_dies(tmp_path: Path) -> None:
    dice = random.Random(7)
    town, plan = Town(tmp_path), modules(dice)
    those = play(town, plan, dice)
    with town.open() as ledger:
        verification = ledger.verify()
        state = ledger.state()
        reveals = Counter(
            record.event.body["subject"] for record in ledger.records() if record.event.kind == "report_reveal"
        )
        commits = Counter(
            (record.event.author, record.event.body["subject"])
            for record in ledger.records()
            if record.event.kind == "report_commit"
        )
        sent = Counter(record.event.kind for record in ledger.records())
    found = summary(state, plan)
    sys.stderr.write(json.dumps({"kills": those.kills, "records": verification.records, **found}) + "\n")
    assert verification.ok
    distinct = {source_hash(source) for _, source in plan}
    assert set(state.submissions) == distinct
    assert sent["commit"] == sent["reveal"] == len(distinct)
    assert all(one.status != "undecided" for one in state.submissions.values())
    assert all(reveals[f"screen:{name}"] == VALIDATORS for name in distinct)
    assert set(commits.values()) == {1}
    assert those.kills > 3
    assert found["good"]["accepted/record"] >= 1
    assert set(found["hostile"]) == {"invalid/parse"}
    assert found["copy"]["invalid/copy"] >= 1
    assert not any(status.startswith("accepted") for status in (*found["bad"], *found["copy"]))
    assert [state.accounts[key.address].missed for name, key in town.keys.items() if name < "validator"] == [0] * MINERS
    assert all(
        state.accounts[town.keys[name].address].agreed == len(distinct) for name in town.names("validator", VALIDATORS)
    )
    assert state.total() == SqliteLedger.open(town.ledger_file).state(0).total()
