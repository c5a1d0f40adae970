"""Speed and memory of one epoch of Allora's inference synthesis, all one-out inferences included.

    python benchmarks/consensus_allora.py [--variant simulator] [--seeds 5] [--full] [--json]

Ours (`protocol.consensus.allora`) beside recomputing: for every withheld worker the forecast-implied inferences and the
network inference anew, each as numpy operations on whole arrays. Both must agree before anything is timed, and alternate.
Sizes are inferers x forecasters. From 1000 x 1000 on, recomputing is timed on workers drawn at random and scaled to all of
them, unless --full (minutes per seed). 10,000 x 6 keeps its one-out regrets separable; it runs in a process of its own,
whose largest resident memory is printed, once more after an update of the regrets. Times are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from protocol.consensus.allora.one_out import SeparableRegrets
from protocol.consensus.allora.synthesis import Regrets, Synthesis, synthesise
from protocol.consensus.allora.variant import VARIANTS, Variant

Floats = NDArray[np.float64]
Inputs = tuple[Floats, Floats, float, Regrets]

#: inferers, forecasters, repetitions within one measurement
SIZES = ((10, 10, 100), (100, 100, 1), (1000, 1000, 1))
LARGE = (10_000, 6)
SAMPLED_FROM = 1000  # inferers; SAMPLE of each kind of worker are withheld then
SAMPLE = 8
GOALS = {"10x10": "under 1 ms", "1000x1000": "ratio at least 50", "10000x6": "under 2000 MB"}


def drawn(seed: int, ni: int, nf: int) -> Inputs:
    """Return inferences, forecasted and last log10 losses, and regrets of workers whose skill differs."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(-1, 0.5, ni)
    n = ni + nf
    separable = SeparableRegrets(
        rng.normal(-2, 0.05, n), skill, rng.normal(-1.5, 0.3, nf), rng.normal(-1.5, 0.3, (nf, 1)).T + np.zeros((ni, 1))
    )
    regrets = Regrets(rng.normal(-0.5, 0.5, n), -1.5 - skill, separable, rng.normal(-0.5, 0.5, (nf, ni + 1)))
    return rng.normal(0, 10.0**skill), skill + rng.normal(0, 0.5, (nf, ni)), -2.0, regrets


def plain_mean(inferences: Floats, regrets: Floats, variant: Variant) -> Floats:
    """Return weighted means along the last axis, Eq. 3-11 as they stand, everybody being present."""
    p, c = variant.p, variant.c
    if variant.scale == "mad":
        away = np.abs(regrets - np.median(regrets, axis=-1, keepdims=True))
        scale = 1.4826 * np.median(away, axis=-1, keepdims=True)
    else:
        scale = regrets.std(axis=-1, ddof=1, keepdims=True)
    x = regrets / (scale + variant.epsilon)
    top = x.max(axis=-1, keepdims=True)
    if variant.clip:
        lowest = c - 8.25 / p
        x = np.where(top < lowest, x - top + lowest, np.minimum(x, c + 6.75 / p))
        w = np.where(x < c - 17.25 / p, 0, 1 / (1 + np.exp(np.minimum(-p * (x - c), 700))))
    else:
        w = np.exp(np.logaddexp(0, -p * (top - c)) - np.logaddexp(0, -p * (x - c)))
    mean: Floats = (w * inferences).sum(axis=-1) / w.sum(axis=-1)
    return mean


def recomputed(inputs: Inputs, one_out: Callable[[int], Floats], withheld: range | Floats, variant: Variant) -> Floats:
    """Return network inferences without each of the workers `withheld`."""
    inferences, forecasts, loss, _ = inputs
    ni = inferences.size
    implied = plain_mean(inferences, loss - forecasts, variant)
    found = []
    for worker in withheld:
        row = np.delete(one_out(worker), worker)
        if worker < ni:
            rest = np.delete(inferences, worker)
            said = plain_mean(rest, loss - np.delete(forecasts, worker, axis=1), variant)
        else:
            rest, said = inferences, np.delete(implied, worker - ni)
        found.append(plain_mean(np.concatenate([rest, said]), row, variant))
    return np.array(found)


def cpu_of(run: Callable[[], object]) -> float:
    """Return CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def recomputing_s(inputs: Inputs, variant: Variant, found: Synthesis, repetitions: int, *, full: bool) -> float:
    """Return CPU seconds of recomputing every one-out, measured or scaled up, after comparing with what was `found`."""
    ni, n = inputs[0].size, found.one_out.size
    known = inputs[3].one_out
    sample = ni >= SAMPLED_FROM and not full
    total = 0.0
    rng = np.random.default_rng(n)
    for kind in (range(ni), range(ni, n)):
        who = rng.choice(kind, min(SAMPLE, len(kind)), replace=False) if sample else kind
        rows = known.__getitem__ if isinstance(known, np.ndarray) else lambda worker: known.rows(worker, worker + 1)[0]
        anew = recomputed(inputs, rows, who, variant)
        worst = float(np.abs(anew - found.one_out[who]).max() / np.ptp(inputs[0]))
        assert worst < 1e-12, f"the two ways differ by {worst} of the spread of the inferences"

        def run(who: range | Floats = who, rows: Callable[[int], Floats] = rows) -> None:
            for _ in range(repetitions):
                recomputed(inputs, rows, who, variant)

        total += cpu_of(run) / repetitions * len(kind) / len(who)
    return total


def measured(ni: int, nf: int, repetitions: int, options: argparse.Namespace) -> dict[str, object]:
    """Return CPU milliseconds of both ways per seed."""
    variant = VARIANTS[options.variant]
    ours, peer = [], []
    for seed in range(options.seeds):
        inputs = drawn(seed, ni, nf)
        separable = inputs[3].one_out
        inputs = (*inputs[:3], replace(inputs[3], one_out=separable.dense()))
        found = synthesise(*inputs, variant)
        start = time.process_time()
        for _ in range(repetitions):
            synthesise(*inputs, variant)
        ours.append(1e3 * (time.process_time() - start) / repetitions)
        peer.append(1e3 * recomputing_s(inputs, variant, found, repetitions, full=options.full))
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    scaled = ni >= SAMPLED_FROM and not options.full
    return {
        "size": f"{ni}x{nf}",
        "ours_ms": ours,
        "recomputing_ms": peer,
        "recomputing": f"{SAMPLE} + {SAMPLE} workers, scaled to {ni} + {nf}" if scaled else "every worker",
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def peak_mb() -> float:
    """Return the largest resident memory this process has had since it was started, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("the kernel does not tell the largest resident memory; run on Linux")


def large(seed: int, variant: Variant) -> dict[str, float]:
    """Return CPU milliseconds of an epoch of 10,000 x 6, of an update of its regrets, and the peak memory after each."""
    inputs = drawn(seed, *LARGE)
    before = peak_mb()
    start = time.process_time()
    found = synthesise(*inputs, variant)
    epoch_ms = 1e3 * (time.process_time() - start)
    after = peak_mb()
    known = inputs[3].one_out
    start = time.process_time()
    losses = (known.withheld, known.inferences, known.forecast_implied, known.forecast_implied_one_out)
    known.updated(*losses, variant.alpha)
    update_ms = 1e3 * (time.process_time() - start)
    anew_ms = 1e3 * recomputing_s(inputs, variant, found, 1, full=False)
    return {
        "ours_ms": epoch_ms,
        "update_ms": update_ms,
        "recomputing_ms": anew_ms,
        "inputs_mb": before,
        "peak_mb": after,
        "peak_after_all_mb": peak_mb(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=VARIANTS, default="simulator")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="time recomputing without every worker at 1000 x 1000")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--large", type=int, metavar="SEED", help="only 10,000 x 6, in this process")
    options = parser.parse_args()
    with threadpool_limits(1):
        if options.large is not None:
            print(json.dumps(large(options.large, VARIANTS[options.variant])))
            return
        rows = [measured(*size, options) for size in SIZES]
    command = [sys.executable, __file__, "--variant", options.variant, "--large"]
    runs = [
        json.loads(subprocess.run([*command, str(seed)], check=True, capture_output=True, text=True).stdout)
        for seed in range(options.seeds)
    ]
    ratios = [run["recomputing_ms"] / run["ours_ms"] for run in runs]
    of_runs = {name: [run[name] for run in runs] for name in runs[0]}
    result = {
        "variant": options.variant,
        "seeds": options.seeds,
        "sizes": rows,
        "large": {
            "size": f"{LARGE[0]}x{LARGE[1]}",
            **of_runs,
            "recomputing": f"{SAMPLE} + {LARGE[1]} workers, scaled to {LARGE[0]} + {LARGE[1]}",
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        },
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"variant {options.variant}, {options.seeds} seeds, CPU ms of an epoch: median (range)")
    for row in (*rows, result["large"]):
        print(f"{row['size']:>10s}  ours {spread(row['ours_ms'])}, recomputing {spread(row['recomputing_ms'])}")
        low, high = row["ratio_range"]
        print(f"{'':10s}  ratio {row['ratio']:.1f} ({low:.1f} to {high:.1f}); recomputing: {row['recomputing']}")
        if "peak_mb" in row:
            print(
                f"{'':10s}  peak {spread(row['peak_mb'])} MB, of it inputs and libraries {spread(row['inputs_mb'])} MB"
            )
            print(f"{'':10s}  update of the one-out regrets {spread(row['update_ms'])} ms")
        if goal := GOALS.get(str(row["size"])):
            print(f"{'':10s}  goal: {goal}")


def spread(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


if __name__ == "__main__":
    main()
