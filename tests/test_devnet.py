"""`scripts/devnet`: a whole network comes up, makes HEADs that a quorum signs, ends without a trace, and goes on."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fund.store_reader import Reader
from protocol.ledger.sqlite import SqliteLedger

PROGRAM = Path(__file__).parents[1] / "scripts" / "devnet.py"
PATIENCE_S = 600.0
PORTS = 8


def free_ports() -> int:
    """Return the first of several free ports in a row."""
    for first in range(20_000, 30_000, PORTS):
        try:
            for port in range(first, first + PORTS):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def left(folder: Path) -> list[str]:
    """Return the processes whose environment names the folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def run_until_stamped(folder: Path, port: int, least: int) -> int:
    """Run the network until so many HEADs are stamped and the page shows them, then interrupt it; return the newest period."""
    command = [sys.executable, str(PROGRAM), "--folder", str(folder), "--port", str(port), "--pace", "0.1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as network:
        try:
            assert network.stdout is not None
            url = json.loads(network.stdout.readline())["url"]
            with SqliteLedger.open(folder / "ledger.sqlite") as ledger:
                until(lambda: sum(1 for one in ledger.records() if one.event.kind == "stamp") >= least)
                stamp = ledger.state().stamp
            assert stamp is not None
            with closing(http.client.HTTPConnection(url.split("/")[2], timeout=60)) as page:
                page.request("GET", "/")
                assert "devnet" in page.getresponse().read().decode()
            network.send_signal(signal.SIGINT)
            assert network.wait(120) == 0
        finally:
            network.kill()
    assert left(folder) == []
    return stamp.period


@pytest.mark.slow
def test_a_network_comes_up_ends_and_goes_on(tmp_path: Path) -> None:
    folder, port = tmp_path / "devnet", free_ports()
    first = run_until_stamped(folder, port, 3)
    with Reader.open(folder / "fund" / "state" / "fund.sqlite") as fund:
        steps = fund.verify()
    second = run_until_stamped(folder, port, steps + 3)
    assert second > first
    with (
        Reader.open(folder / "fund" / "state" / "fund.sqlite") as fund,
        SqliteLedger.open(folder / "ledger.sqlite") as ledger,
    ):
        assert fund.verify() > steps
        assert ledger.verify().ok
        newest = fund.latest()
        assert newest is not None
        for name in ("validator-1", "validator-2", "validator-3"):
            with Reader.open(folder / name / "state" / "replica.sqlite") as copy:
                theirs = copy.latest()
                assert theirs is not None
                assert copy.entries(theirs.period) == fund.entries(theirs.period, theirs.period)
