"""What the search finds where the truth is known: planted signals, and pure noise.

    python -m benchmarks.planted --seeds 20 --evaluations 60

Every line is one whole `ltminer` run on a generated panel: the winner's walk-forward and held-out score beside the ridge's, and
the verdict of the report. On noise the verdict must be noise; where the signal is nonlinear the winner must beat the ridge.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pyarrow.parquet as pq

from data.synthetic import synthetic

TOPIC = """name = "planted"
type = "close-1h"
broker = "synthetic"
horizon = 1
"""


def mine_once(kind: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run `ltminer` on one generated panel and return the last JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        data, topic = Path(folder, "data.parquet"), Path(folder, "planted.toml")
        table = synthetic(kind, n_bars=arguments.bars, type_="close-1h", strength=arguments.strength, seed=seed)  # type: ignore[arg-type]  # argparse checks the choice
        pq.write_table(table, data)
        topic.write_text(TOPIC)
        command = [
            *(sys.executable, "-m", "miner.cli", "--json", "--data", str(data), "--topic", str(topic)),
            *("--evaluations", str(arguments.evaluations), "--time-budget", "none", "--seed", str(seed)),
            *("--space", arguments.space, "--out", str(Path(folder, "run"))),
        ]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        return dict(json.loads(lines[-1]))


def main() -> None:
    """Run all kinds and seeds and print a line for each, then a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kinds", nargs="+", default=["noise", "linear", "nonlinear"], choices=["noise", "linear", "nonlinear"]
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--bars", type=int, default=5000)
    parser.add_argument("--strength", type=float, default=0.2)
    parser.add_argument("--space", default="linear-light")
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        rows = []
        for seed in range(1, arguments.seeds + 1):
            result = mine_once(kind, seed, arguments)
            scores = {line["name"]: line for line in result["report"]["scores"]}
            rows.append((scores["winner"], scores["ridge"], result["report"]["verdict"]))
            winner, ridge, verdict = rows[-1]
            print(
                f"{kind:<10} seed {seed:<3} winner {winner['walk_forward']:+.4f} / {winner['held_out']:+.4f}  "
                f"ridge {ridge['walk_forward']:+.4f} / {ridge['held_out']:+.4f}  {verdict}",
                flush=True,
            )
        held = [winner["held_out"] for winner, _, _ in rows]
        ahead = sum(winner["held_out"] > ridge["held_out"] for winner, ridge, _ in rows)
        signals = sum(verdict.startswith("signal") for _, _, verdict in rows)
        spread = stdev(held) if len(held) > 1 else float("nan")
        print(
            f"{kind:<10} held out {mean(held):+.4f} sd {spread:.4f}; "
            f"ahead of ridge {ahead}/{len(rows)}; signals {signals}/{len(rows)}\n"
        )


if __name__ == "__main__":
    main()
