"""How fast the ledger is: events applied, appended by one and by four processes, verified.

    python benchmarks/ledger.py [--events 2000] [--accounts 100000] [--folder FOLDER] [--json]

Goal: at least 3,000 events/s of one idle core applied to a large state, signatures checked.
Appending waits for the disk (`synchronous=FULL`), so it is given per second of wall time and of CPU.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from multiprocessing.synchronize import Event, Semaphore
from pathlib import Path

from protocol.addresses import evm_address
from protocol.keys import Key
from protocol.ledger.event import SignedEvent, record_at, sign
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.params import LTFT
from protocol.ledger.rules import apply, initial_state
from protocol.ledger.sqlite import SqliteLedger
from protocol.typed_data import Domain

WRITERS = 4
KEYS = [Key.from_secret(bytes([number]) * 32) for number in range(1, WRITERS + 1)]


def made_genesis(accounts: int) -> Genesis:
    """Return a genesis with the writers and `accounts` others."""
    rich = [GenesisAccount(address=key.address, name=f"w{i}", balance=LTFT) for i, key in enumerate(KEYS)]
    others = [
        GenesisAccount(address=evm_address(b"\x04" + number.to_bytes(64, "big")), name=f"n{number}", balance=LTFT)
        for number in range(accounts)
    ]
    return Genesis(chain_id=1, time=0, accounts=(*rich, *others))


def transfers(domain: Domain, key: Key, count: int) -> list[SignedEvent]:
    """Return `count` signed transfers of one account."""
    to = KEYS[0].address
    return [sign(key, domain, "transfer", nonce, {"to": to, "amount": 1}) for nonce in range(count)]


def apply_rate(events: int, accounts: int) -> dict[str, float]:
    """Apply transfers to a state with many accounts."""
    state = initial_state(made_genesis(accounts))
    transfers(state.domain, KEYS[1], 1)  # imports the encoder
    start = time.process_time()
    signed = transfers(state.domain, KEYS[1], events)
    signing = time.process_time() - start
    seconds = 0.0
    for event in signed:
        record = record_at(state.height + 1, state.head, state.time + 1, event)
        start = time.process_time()
        apply(state, record)
        seconds += time.process_time() - start
    start = time.process_time()
    state.copy()
    copying = time.process_time() - start
    return {
        "signed per CPU second": events / signing,
        f"applied per CPU second, {accounts:,} accounts": events / seconds,
        f"copying a state of {accounts:,} accounts, ms": 1000 * copying,
    }


def write(path: Path, writer: int, count: int, ready: Semaphore, go: Event) -> None:
    """Append `count` transfers once all writers are ready."""
    with SqliteLedger.open(path) as ledger:
        events = transfers(ledger.domain, KEYS[writer], count)
        ready.release()
        go.wait()
        for event in events:
            ledger.append(event)


def append_rates(folder: Path, events: int) -> dict[str, float]:
    """Append by one writer and by four at once, then open and verify."""
    path = folder / "ledger.sqlite"
    found = {}
    with SqliteLedger.create(path, made_genesis(0)) as ledger:
        signed = transfers(ledger.domain, KEYS[1], events)
        wall, cpu = time.perf_counter(), time.process_time()
        for event in signed:
            ledger.append(event)
        found["appended per second, 1 writer"] = events / (time.perf_counter() - wall)
        found["appended per CPU second, 1 writer"] = events / (time.process_time() - cpu)
        wall = time.process_time()
        records = ledger.verify().records
        found["verified per CPU second"] = records / (time.process_time() - wall)
    path = folder / "four.sqlite"
    SqliteLedger.create(path, made_genesis(0)).close()
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    share = events // WRITERS
    processes = [context.Process(target=write, args=(path, number, share, ready, go)) for number in range(WRITERS)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    wall = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    found[f"appended per second, {WRITERS} processes"] = WRITERS * share / (time.perf_counter() - wall)
    with SqliteLedger.open(path) as ledger:
        assert ledger.verify().records == WRITERS * share + 1
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the ledgers are written: the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = apply_rate(options.events, options.accounts)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found |= append_rates(Path(folder), options.events)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<50} {value:10,.1f}")


if __name__ == "__main__":
    main()
