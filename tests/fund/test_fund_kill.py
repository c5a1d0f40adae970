"""`kill -9` of the fund at random moments: afterwards the same fund and the same ledger as if nothing had happened."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import made_chain
import pytest

from fund.store_reader import Reader
from protocol.ledger.digest import state_digest
from protocol.ledger.sqlite import SqliteLedger


def start(folder: Path, bars: int) -> subprocess.Popen[str]:
    command = [sys.executable, made_chain.__file__, str(folder), str(bars)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outcome(folder: Path, bars: int) -> tuple[object, ...]:
    """Return the fund's digest (every HEAD, book, wei and memory of it) and NAV, and the ledger's last record and state."""
    with Reader.open(folder / "fund.sqlite") as fund, SqliteLedger.open(folder / "ledger.sqlite") as ledger:
        assert fund.verify() == bars
        assert ledger.verify().ok
        market = fund.market()
        assert market is not None
        assert market.sums.rewarded > 0
        tip = ledger.tip()
        return fund.entries(), fund.memory(), market, tip.height, tip.hash, state_digest(ledger.state())


@pytest.mark.parametrize(("kills", "bars"), [(2, 30), pytest.param(20, 90, marks=pytest.mark.slow)])
def test_a_killed_fund_ends_where_an_uninterrupted_one_does(tmp_path: Path, kills: int, bars: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    with start(whole, bars) as process:
        process.communicate(timeout=300)
        assert process.returncode == 0
    chance = random.Random(kills)
    for _ in range(kills):
        with start(broken, bars) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(4)):
                process.stdout.readline()
            time.sleep(chance.random() * 0.02)
            process.kill()
        assert process.returncode == -9
    with start(broken, bars) as process:
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert outcome(broken, bars) == outcome(whole, bars)
