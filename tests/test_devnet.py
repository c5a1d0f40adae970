"""`scripts/devnet`: a whole network comes up, makes HEADs that a quorum signs, ends without a trace, and goes on."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
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
from protocol.addresses import keccak256
from protocol.ethereum import web3_of
from protocol.ledger.abi import decoded
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_node import Node
from protocol.ledger.sqlite import SqliteLedger

PROGRAM = Path(__file__).parents[1] / "scripts" / "devnet.py"
PATIENCE_S = 1_800.0  # minutes on a machine of its own
ANVIL = PROGRAM.parents[1] / "contracts" / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
PORTS = 10
RECORDED = keccak256(b"Recorded(uint64,bytes32,address,uint256,bytes,bytes)").hex()


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


def running(folder: Path) -> dict[int, str]:
    """Return the processes whose environment names the folder."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (place / "environ").read_bytes():
                found[int(place.name)] = (place / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def left(folder: Path) -> list[str]:
    """Return the processes of a network that is over."""
    return [*running(folder).values()]


def pid_of(folder: Path, *words: str) -> int:
    """Return the process of a network whose home and command name all words, 0 if there is none."""
    for number, command in running(folder).items():
        try:
            told = command + (Path("/proc") / str(number) / "environ").read_text().replace("\0", " ")
        except OSError:
            continue
        if all(word in told for word in words):
            return number
    return 0


def predicted(ledger: EvmLedger) -> set[int]:
    """Return the periods of the HEADs with predictions."""
    heads = [json.loads(one.event.body["head"]) for one in ledger.records() if one.event.kind == "stamp"]
    return {head["period"] for head in heads if head["prediction_count"]}


def valued(url: str, ledger: EvmLedger) -> set[int]:
    """Return the periods of the HEADs that came with values, which the chain's log has."""
    node = Node(web3_of(url, 60.0))
    logs = node.logs(ledger.address, 0, node.block().number, RECORDED)
    said = {int.from_bytes(one.topics[1]): decoded(("uint256", "bytes", "bytes"), one.data)[1] for one in logs}
    records = [one for one in ledger.records() if one.event.kind == "stamp" and "values" in one.event.body]
    assert all(keccak256(said[one.height]).hex() == one.event.body["values"] for one in records)
    return {json.loads(one.event.body["head"])["period"] for one in records}


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not ANVIL.exists(), reason="needs anvil: `npm ci --ignore-scripts` in contracts, on Linux")
@pytest.mark.skipif(importlib.util.find_spec("web3") is None, reason="needs web3: the extra evm")
def test_a_network_on_a_chain_goes_on_when_programs_and_the_chain_are_killed(tmp_path: Path) -> None:
    folder, port = tmp_path / "devnet", free_ports()
    command = [sys.executable, str(PROGRAM), "--folder", str(folder), "--port", str(port), "--pace", "0.1", "--json"]
    with subprocess.Popen([*command, "--chain", "anvil"], stdout=subprocess.PIPE, text=True) as network:
        try:
            assert network.stdout is not None
            url, _, address = json.loads(network.stdout.readline())["ledger"].partition("#")
            with EvmLedger(Node(web3_of(url, 60.0)), address) as ledger:
                stamps = lambda: sum(1 for one in ledger.records() if one.event.kind == "stamp")  # noqa: E731 - asked thrice
                until(lambda: stamps() >= 3 and bool(ledger.state().blocks))
                before, head = stamps(), ledger.tip().hash
                victims = [("anvil",), ("validator.cli", "run", "validator-2")]
                pids = [pid_of(folder, *words) for words in victims]
                assert all(pids)
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                until(lambda: all(pid_of(folder, *words) not in {0, *pids} for words in victims))
                until(lambda: stamps() >= before + 3)
                assert ledger.verify(head).ok, "what was seen before is gone"
                until(lambda: bool(predicted(ledger)))
                said = predicted(ledger)
                assert said <= valued(url, ledger), "the values of these predictions are not on the chain"
            checked = subprocess.run(
                [sys.executable, "-P", "-m", "fund.cli", "chain", "verify", url, address], check=False, timeout=600
            )
            assert checked.returncode == 0
            network.send_signal(signal.SIGINT)
            assert network.wait(120) == 0
        finally:
            network.kill()
    assert left(folder) == []
    with Reader.open(folder / "fund" / "state" / "fund.sqlite") as fund:
        assert fund.verify() >= before + 3
