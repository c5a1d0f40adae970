"""Share of the slots that a window of candidates in flight keeps busy when evaluations take unequal times: a simulation.

    python benchmarks/window.py

Candidate k may start once the outcomes of candidates 0 to k - window are in, so one slow evaluation holds up the others when
the window is used up. Times are lognormal, cut at 32 times the median as the CPU cap does; printed per spread, the 90th
percentile over the median, for windows of so many candidates per slot. No process is started and no clock is read.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
from statistics import median

Z90 = 1.2816  # standard normal quantile of 0.9
CAP = 32.0
WINDOWS = (1, 2, 4, 8, 16)


def busy(slots: int, per_slot: int, spread: float, seed: int, batch: int = 1) -> float:
    """Return the share of the slots' time that evaluations fill, from three windows on to thirty.

    Parameters
    ----------
    slots, per_slot : int
        Evaluations at once, and candidates of the window per slot.
    spread : float
        90th percentile of an evaluation's time over its median.
    seed : int
    batch : int
        Candidates that one slot takes together.
    """
    dice, sigma, window = random.Random(seed), math.log(spread) / Z90, slots * per_slot  # noqa: S311 - a simulation
    running: list[tuple[float, list[int], float]] = []
    waiting: list[int] = []
    done: set[int] = set()
    told = asked = 0
    now = filled = 0.0
    warm_at: float | None = None
    while told < 30 * window:
        waiting += range(asked, told + window)
        asked = told + window
        while len(running) < slots and waiting:
            taken, waiting = waiting[:batch], waiting[batch:]
            takes = sum(min(math.exp(sigma * dice.gauss(0, 1)), CAP) for _ in taken)
            heapq.heappush(running, (now + takes, taken, takes))
        now, ended, took = heapq.heappop(running)
        done.update(ended)
        filled += took if warm_at is not None else 0.0
        while told in done:
            done.remove(told)
            told += 1
        if warm_at is None and told >= 3 * window:
            warm_at = now
    assert warm_at is not None
    return min(1.0, filled / (slots * (now - warm_at)))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--spreads", type=float, nargs="+", default=[1.0, 2.0, 4.0, 10.0])
    parser.add_argument("--batch", type=int, default=1, help="candidates that a slot takes together")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = [
        {
            "spread": spread,
            "per_slot": per_slot,
            "busy": [busy(given.slots, per_slot, spread, seed, given.batch) for seed in range(given.seeds)],
        }
        for spread in given.spreads
        for per_slot in WINDOWS
    ]
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'p90 / median':>12}" + "".join(f"{number:>20}" for number in WINDOWS))
    for spread in given.spreads:
        of = [row["busy"] for row in rows if row["spread"] == spread]
        cells = [f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" for values in of]
        print(f"{spread:>12g}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
