"""A process that appends to a ledger and says so: ``python ledger_writer.py LEDGER NAME COUNT``.

Before each append it writes ``send EVENT``, after it ``done HEIGHT HASH``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from made_ledgers import ADDRESS, KEYS, Clock

from protocol.ledger.event import sign
from protocol.ledger.sqlite import SqliteLedger


def main(path: Path, name: str, count: int) -> None:
    with SqliteLedger.open(path, Clock()) as ledger:
        nonce = ledger.state().accounts[ADDRESS[name]].nonce
        for _ in range(count):
            event = sign(KEYS[name], ledger.domain, "stake", nonce, {"amount": 1})
            sys.stdout.write(f"send {event.text}\n")
            sys.stdout.flush()
            receipt = ledger.append(event)
            sys.stdout.write(f"done {receipt.height} {receipt.hash}\n")
            sys.stdout.flush()
            nonce += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
