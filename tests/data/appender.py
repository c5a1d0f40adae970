"""A writer that is killed over and over: ``python appender.py URI SIDE COUNT KILLS``.

Forks processes that append what is not there yet of SIDE0/USD, SIDE1/USD, … and print the name of each when it is in. KILLS
of them are killed by SIGKILL at random moments; after each this prints ``killed`` and waits for a line. The last one ends by
itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

from made_series import hourly

from data.dataset import Dataset

LONGEST_S = 0.6


def append(uri: str, names: list[str]) -> None:
    """Append what is not there."""
    there = {key.split("\t")[2] for key in Dataset.create(uri).leaves}
    for name in names:
        if name not in there:
            Dataset.create(uri).append(hourly(name, n=30))
            os.write(1, f"{name}\n".encode())  # which a reader may rely on from now on


def main() -> None:
    """Kill, then finish."""
    uri, side, count, kills = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(side)
    for number in range(kills + 1):
        pid = os.fork()
        if pid == 0:
            append(uri, [f"{side}{number}/USD" for number in range(count)])
            os._exit(0)
        if number < kills:
            time.sleep(chance.uniform(0, LONGEST_S))
            os.kill(pid, signal.SIGKILL)
        if os.waitpid(pid, 0)[1] not in {0, signal.SIGKILL}:
            sys.exit("an appender failed")
        if number < kills:
            os.write(1, b"killed\n")
            sys.stdin.readline()


if __name__ == "__main__":
    main()
