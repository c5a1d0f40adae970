"""Speed of a Yuma epoch against the torch code of yuma-simulation, and of the sparse path against the dense one.

    python benchmarks/consensus_yuma.py [--peer PYTHON --peer-source SRC] [--validators 256] [--miners 4096] [--json]

PYTHON is an interpreter with torch and numpy, SRC the `src` folder of a checkout of yuma-simulation.
Every kind of epoch runs on the same made matrix, all sides interleaved, for several seeds; float64, one thread, CPU
seconds of each process after a round that is not timed. First the consensus must agree: sparse with dense to 1e-12, the
peer's to 2/65535, since it divides by the sum and cuts to 16 bits. Its liquid alpha cannot
be called, so a fixed rate stands in (``consensus_yuma_peer.py``).
Goals: dense at least 3 times faster than the peer; sparse faster than dense at a density of 0.1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from protocol.consensus.yuma.epoch import run_epoch
from protocol.consensus.yuma.variant import LIQUID, SUBTENSOR, YUMA3

KINDS = {"yuma1": SUBTENSOR, "yuma3": YUMA3, "liquid": LIQUID}
DENSITIES = (1.0, 0.1)


class Peer:
    """The peer's interpreter, waiting for requests."""

    def __init__(self, python: Path, source: Path) -> None:
        self.process = subprocess.Popen(
            [python, Path(__file__).with_name("consensus_yuma_peer.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return dict(json.loads(self.process.stdout.readline()))


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """Return a function that gives the CPU seconds of one run."""

    def seconds() -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    return seconds


def sides(
    kind: str, density: float, seed: int, shape: tuple[int, int], peer: Peer | None
) -> dict[str, Callable[[], float]]:
    """Return what to time on one made matrix, after all sides agreed on it."""
    rng = np.random.default_rng(seed)
    # a sparse matrix has some miners whom nearly everyone rates, else the stake would agree on nobody
    rated = np.where(rng.random(shape[1]) < 0.8 * density, 0.95, 0.26 * density) if density < 1 else 1.0
    weights = rng.random(shape) ** 4 * (rng.random(shape) < rated)
    stakes = rng.lognormal(size=shape[0])
    params = KINDS[kind]
    dense = run_epoch(stakes, weights, None, params)
    found = {"dense": timed(lambda: run_epoch(stakes, weights, dense.bonds, params))}
    if density < 1:
        few = csr_array(weights)
        sparse = run_epoch(stakes, few, None, params)
        for name in ("consensus", "incentive", "dividends", "validator_trust"):
            assert np.allclose(getattr(dense, name), getattr(sparse, name), rtol=0, atol=1e-12), name
        assert np.allclose(dense.bonds, sparse.bonds.toarray(), rtol=0, atol=1e-12)
        found["sparse"] = timed(lambda: run_epoch(stakes, few, sparse.bonds, params))
    if peer:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "case.npz"
            np.savez(file, weights=weights, stakes=stakes, bonds=dense.bonds, consensus=dense.consensus)
            simulation = {"kappa": params.kappa, "bond_penalty": params.bond_penalty}
            answer = peer.ask(
                kind=kind, file=str(file), simulation=simulation, params={"bond_moving_avg": 1 - params.alpha}
            )
        assert answer["difference"] <= 2 / 65535, f"the peer's consensus differs by {answer['difference']}"
        found["peer"] = lambda: float(peer.ask()["seconds"])
    return found


def compare(kind: str, density: float, options: argparse.Namespace, peer: Peer | None) -> dict[str, Any]:
    """Return seconds of each side and the ratios to ours, over all seeds and repetitions."""
    seconds: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        found = sides(kind, density, seed, (options.validators, options.miners), peer)
        for repetition in range(options.repetitions + 1):
            for name, run in found.items():
                value = run()
                if repetition:
                    seconds.setdefault(name, []).append(value)
    row: dict[str, Any] = {"kind": kind, "density": density, "cpu_seconds": seconds}
    for slow, fast in (("peer", "dense"), ("peer", "sparse"), ("dense", "sparse")):
        if slow in seconds and fast in seconds:
            ratios = [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]
            row[f"{slow}/{fast}"] = [statistics.median(ratios), min(ratios), max(ratios)]
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="interpreter with torch and numpy")
    parser.add_argument("--peer-source", type=Path, default=Path(), help="src folder of yuma-simulation")
    parser.add_argument("--validators", type=int, default=256)
    parser.add_argument("--miners", type=int, default=4096)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()

    def measure(peer: Peer | None) -> list[dict[str, Any]]:
        return [compare(kind, density, options, peer) for density in DENSITIES for kind in KINDS]

    with threadpool_limits(1):
        if options.peer:
            with Peer(options.peer, options.peer_source) as peer:
                rows = measure(peer)
        else:
            rows = measure(None)
    if options.json:
        print(json.dumps({"validators": options.validators, "miners": options.miners, "rows": rows}))
        return
    print(
        f"{options.validators} x {options.miners}, {options.seeds} seeds x {options.repetitions} interleaved repetitions"
    )
    for row in rows:
        print(f"  {row['kind']}, density {row['density']:g}")
        for name, values in row["cpu_seconds"].items():
            low, middle, high = (1000 * f(values) for f in (min, statistics.median, max))
            print(f"    {name:12s} {middle:8.2f} ms  ({low:.2f} to {high:.2f})")
        for name, (middle, low, high) in ((n, v) for n, v in row.items() if "/" in n):
            print(f"    {name:12s} {middle:8.1f} x   ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
