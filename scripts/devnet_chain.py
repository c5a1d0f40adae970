"""The chain under a devnet: anvil with a state file, and a gate in front of it that keeps its time and its promises.

All programs of the network speak to the gate, an HTTP proxy in the devnet's own process:

- **Time.** Before anything is passed on, the next block's time is set to the network's clock, or to the last block's if that is
  later. Whoever has seen the clock move finds the chain moved as well, so what is due is never refused as early, and blocks
  of one bar have the same time. Time between bars stands still, as in a ledger in a file.
- **Promises.** anvil writes its state every second, and a killed one forgets what came since or leaves half a file. So every
  transaction is written to a journal with its time before anvil gets it, one at a time; an anvil that comes back is given what
  its state lacks, at the same times and in the same order, before anybody else is heard. Records keep their hashes.
- **Patience.** While anvil is away, questions wait.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from infra.files import atomic_write
from protocol.addresses import keccak256
from protocol.errors import ClusterError, ConfigError
from protocol.ethereum import web3_of
from protocol.keys import Key
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_deploy import deploy
from protocol.ledger.evm_node import Node, Spending
from protocol.ledger.genesis import Genesis

CONTRACTS = Path(__file__).parents[1] / "contracts"
ANVIL = CONTRACTS / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
GAS_MONEY = 10**24  # wei of the chain's coin for everybody who sends
DEPLOYMENT_GAS = 12_000_000
#: What a question waits for an anvil that is away; programs wait 30 s for an answer.
PATIENCE_S = 25.0
MINED_S = 10.0
SEND = "eth_sendRawTransaction"
STATE, JOURNAL, ADDRESSES = "anvil.json", "transactions", "contracts.json"


def find_anvil() -> Path:
    """Return the program; npm installs it if it is not there.

    Raises
    ------
    ConfigError
        It is not there and npm cannot install it.
    """
    if not ANVIL.exists():
        if shutil.which("npm") is None:
            raise ConfigError(f"no anvil at {ANVIL} and no npm to install it; install Node.js with npm (Linux, x86-64)")
        command = ["npm", "ci", "--ignore-scripts", "--no-fund", "--no-audit"]
        done = subprocess.run(command, cwd=CONTRACTS, capture_output=True, text=True, check=False)
        if done.returncode or not ANVIL.exists():
            raise ConfigError(
                f"`npm ci --ignore-scripts` in {CONTRACTS} did not bring anvil (exit code {done.returncode}): "
                f"{done.stderr.strip()[-300:] or 'there is none for this machine, only for Linux on x86-64'}"
            )
    return ANVIL


def refuse_taken(first: int, count: int) -> None:
    """Make sure that ports of loopback are free.

    Raises
    ------
    ConfigError
        One is not.
    """
    for number in range(first, first + count):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", number))
            except OSError as error:
                raise ConfigError(
                    f"port {number}: {error.strerror}; stop what listens there, or choose another --port"
                ) from error


class Chain:
    """A chain in a folder, behind a gate.

    Parameters
    ----------
    folder : Path
        Keeps the state of anvil, the journal of transactions, and where the contracts are.
    port : int
        Where the gate listens on loopback; anvil is at the port after it.
    clock : callable
        The network's time, Unix seconds.
    rich : list of str
        Addresses that have gas money from the beginning.
    """

    def __init__(self, folder: Path, port: int, clock: Callable[[], int], rich: list[str]) -> None:
        self.folder, self._clock, self._rich = folder, clock, rich
        self.url, self._port = f"http://127.0.0.1:{port}", port + 1
        self._lock = threading.RLock()
        self._up = threading.Event()
        self._closed = threading.Event()
        self._lines = threading.local()
        self._next = -1  # time that anvil was told for the next block
        self._newest = 0  # time of the last block
        self._server = _Server(("127.0.0.1", port), _Caller)
        self._server.chain = self
        self._threads = [threading.Thread(target=one, name="gate") for one in (self._server.serve_forever, self._mind)]
        for thread in self._threads:
            thread.start()

    # -------------------------------------------------------------------------------------------------------------- anvil

    def command(self, program: Path) -> list[str]:
        """Return how anvil is started just now; nobody is heard until it is where the last one was."""
        self._up.clear()
        self._mend()
        begin = next((moment for moment, _ in self._journal()), self._clock())
        options = {"--host": "127.0.0.1", "--port": self._port, "--timestamp": begin, "--prune-history": 20}
        options |= {"--state": self.folder / STATE, "--state-interval": 1}
        return [str(program), "--silent", *(str(word) for pair in options.items() for word in pair)]

    def _mend(self) -> None:
        """Put aside a state that a killed anvil has not written to its end; the journal has all of it."""
        state = self.folder / STATE
        try:
            json.loads(state.read_bytes())
        except FileNotFoundError:
            return
        except ValueError:
            state.replace(state.with_suffix(".torn"))

    def _mind(self) -> None:
        """Whenever anvil is away, wait for it and bring it to where it was."""
        while not self._closed.wait(0.05):
            if self._up.is_set():
                continue
            try:
                with self._lock:
                    self._restore()
            except (OSError, HTTPException, ValueError):
                self._closed.wait(0.2)
            else:
                self._up.set()

    def _restore(self) -> None:
        self._next, block = -1, self._last_block()
        self._newest = int(block["timestamp"], 16)
        if int(block["number"], 16) == 0:
            for address in self._rich:
                self._ask("anvil_setBalance", address, hex(GAS_MONEY))
        lines = self._journal()
        missing = len(lines)
        while missing and self._ask("eth_getTransactionReceipt", _digest(lines[missing - 1][1])) is None:
            missing -= 1
        for moment, raw in lines[missing:]:
            self._mine(moment, raw)

    def _journal(self) -> list[tuple[int, str]]:
        try:
            text = (self.folder / JOURNAL).read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [(int(moment), raw) for moment, raw in (line.split() for line in whole)]

    # ---------------------------------------------------------------------------------------------------------- the gate

    def answer(self, body: bytes) -> bytes:
        """Pass a question on to anvil and return its answer.

        Raises
        ------
        ClusterError
            anvil is away.
        """
        deadline, asked = time.monotonic() + PATIENCE_S, json.loads(body)
        while self._up.wait(max(0.0, deadline - time.monotonic())) and not self._closed.is_set():
            try:
                if isinstance(asked, dict) and asked.get("method") == SEND:
                    return self._send(body, str(asked["params"][0]))
                self._follow()
                return self._exchange(body)
            except (OSError, HTTPException):
                self._up.clear()
        raise ClusterError("anvil is away; see logs/anvil.log")

    def _follow(self) -> None:
        """Let the next block have the clock's time, never one before the last block's."""
        moment = max(self._clock(), self._newest)
        if moment != self._next:
            with self._lock:
                self._ask("evm_setNextBlockTimestamp", max(moment, self._newest))
                self._next = max(moment, self._newest)

    def _send(self, body: bytes, raw: str) -> bytes:
        with self._lock:
            if not self._up.is_set():
                raise ConnectionError("anvil went away")
            moment = max(self._clock(), self._newest)
            if self._ask("eth_getTransactionByHash", _digest(raw)) is None:
                with (self.folder / JOURNAL).open("a", encoding="ascii") as journal:
                    journal.write(f"{moment} {raw}\n")
            answer = self._mine(moment, raw, body)
            self._follow()
            return answer

    def _mine(self, moment: int, raw: str, body: bytes = b"") -> bytes:
        """Send a transaction and wait until it is in a block of that time; one that is refused changes nothing."""
        self._ask("evm_setNextBlockTimestamp", moment)
        self._next = moment
        answer = self._exchange(body or _question(SEND, raw))
        deadline = time.monotonic() + MINED_S
        while "error" not in json.loads(answer) and time.monotonic() < deadline:
            if self._ask("eth_getTransactionReceipt", _digest(raw)) is not None:
                self._newest, self._next = moment, -1
                break
            time.sleep(0.003)
        return answer

    def _last_block(self) -> dict[str, str]:
        return dict(self._ask("eth_getBlockByNumber", "latest", False))

    def _ask(self, method: str, *arguments: Any) -> Any:
        answer = json.loads(self._exchange(_question(method, *arguments)))
        if "error" in answer:
            raise ValueError(f"{method} {arguments}: {answer['error']}")
        return answer["result"]

    def _exchange(self, body: bytes) -> bytes:
        """Ask anvil on this thread's connection."""
        line = getattr(self._lines, "line", None) or HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        self._lines.line = None
        line.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = line.getresponse().read()
        self._lines.line = line
        return bytes(answer)

    # ------------------------------------------------------------------------------------------------------- the ledger

    def node(self) -> Node:
        """Return the gate as a node."""
        return Node(web3_of(self.url, 30.0), spending=Spending(gas=DEPLOYMENT_GAS))

    def create(self, key: Key, genesis: Genesis) -> None:
        """Put the ledger on the chain, unless it is there.

        Raises
        ------
        ConfigError, ClusterError
            As :func:`protocol.ledger.evm_deploy.deploy`.
        """
        if not (self.folder / ADDRESSES).exists():
            found = asdict(deploy(self.node(), key, genesis, {}))
            atomic_write(self.folder / ADDRESSES, json.dumps(found, indent=1).encode())

    def open(self) -> EvmLedger:
        """Open the ledger for reading."""
        return EvmLedger(self.node(), contract_in(self.folder), clock=self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the gate; anvil is ended by whoever started it."""
        self._closed.set()
        self._up.set()  # whoever waits is told
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()


def contract_in(folder: Path) -> str:
    """Return the address of the ledger whose chain is in a folder."""
    return str(json.loads((folder / ADDRESSES).read_text(encoding="utf-8"))["ledger"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    chain: Chain

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of somebody who has hung up."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Caller(BaseHTTPRequestHandler):
    """Hands what is asked to the chain and its answer back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            code, answer = 200, self.server.chain.answer(body)
        except (ClusterError, ValueError) as error:
            code, answer = 502, str(error).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _question(method: str, *arguments: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": arguments}).encode()


def _digest(raw: str) -> str:
    return "0x" + keccak256(bytes.fromhex(raw.removeprefix("0x"))).hex()
