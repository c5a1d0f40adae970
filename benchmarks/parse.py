"""How long a stranger's module takes from bytes to its identity, and the parts of that.

    python benchmarks/parse.py [--modules 400] [--repeats 5] [--json]

Goal: a median of at most 2 ms for parsing the modules that miners export. The longest legal modules and a refused
script are shown beside them. Modules of the search spaces are written by `to_module` from random individuals.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines.identity import near_id, pipeline_id
from pipelines.individuals import random_individual, spec_of
from pipelines.module import to_module
from pipelines.parser import parse_module
from pipelines.registry import MAX_CALLS, MAX_STEPS
from pipelines.source import MAX_BYTES, MAX_TOKENS, decode, guard
from pipelines.spaces import SPACES, search_space
from pipelines.spec import PIPELINE, Call, call
from protocol.errors import RefusedError

GOAL_MS = 2.0


def exported(count: int) -> list[bytes]:
    """Return modules of random individuals, as many of each search space."""
    modules = []
    for name in SPACES:
        rng = np.random.default_rng(0)
        space = search_space(name, n_features=20, n_samples=20_000)
        for _ in range(count // len(SPACES)):
            facts = {"topic": "layer1-24h", "features": "standard-1", "score": "0.031"}
            modules.append(to_module(spec_of(random_individual(space, rng)), title="A module", facts=facts).encode())
    return modules


def longest() -> dict[str, bytes]:
    """Return legal modules at the limits: operators, tokens, bytes; and a script that is refused with advice."""
    few = MAX_CALLS // MAX_STEPS - 1
    kernel = call(
        "sklearn.kernel_approximation.Nystroem", {"gamma": 0.12345, "kernel": "poly", "degree": 2.0, "coef0": 0.5}
    )
    branch = call("sklearn.pipeline.FeatureUnion", {"transformer_list": (kernel,) * MAX_STEPS})
    ridge = call("sklearn.linear_model.Ridge")
    most_calls: Call = call(PIPELINE, {"steps": (*(branch,) * few, ridge)})
    alphas = ", ".join(["0.125"] * 200)
    names = "".join(f"a{number} = 1.5\n" for number in range(50))
    used = ", ".join(f"a{number}" for number in range(50))
    start = "from sklearn.linear_model import LassoCV, RidgeCV\n"
    tokens = start + names + f"exported_pipeline = RidgeCV(alphas=({used}))\n"
    repeated = "from sklearn.linear_model import Ridge\n"
    repeated += "".join(f"from sklearn.linear_model import Ridge as r{at}\n" for at in range(MAX_TOKENS // 8 - 10))
    repeated = repeated[: MAX_BYTES - 200].rpartition("\n")[0] + "\nexported_pipeline = Ridge()\n"
    padding = "# " + "x" * 116 + "\n"
    large = start + padding * ((MAX_BYTES - 2000) // len(padding)) + f"exported_pipeline = LassoCV(alphas=({alphas}))\n"
    script = "".join(f"tpot_data_{at} = read(({at}))\n" for at in range(2000)) + "tpot_data = 1\n"
    return {
        "most operators": to_module(most_calls, title="x", facts={}).encode(),
        "many names": tokens.encode(),
        "most imports": repeated.encode(),
        "most bytes": large.encode(),
        "refused script": script.encode(),
    }


def milliseconds(task: Callable[[bytes], Any], modules: list[bytes], repeats: int) -> dict[str, float]:
    """Return median, 99th percentile and maximum of the CPU time of one call."""
    times = []
    for _ in range(repeats):
        for source in modules:
            start = time.thread_time_ns()
            task(source)
            times.append((time.thread_time_ns() - start) / 1e6)
    return {
        "median": round(float(np.median(times)), 3),
        "p99": round(float(np.percentile(times, 99)), 3),
        "max": round(max(times), 3),
    }


def parsed_or_refused(source: bytes) -> Call | None:
    """Parse; None for what is refused."""
    try:
        return parse_module(source)
    except RefusedError:
        return None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--modules", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    modules = exported(options.modules)
    specs = {source: parse_module(source) for source in modules}
    result: dict[str, Any] = {
        "modules": len(modules),
        "median_bytes": int(np.median([len(source) for source in modules])),
        "ms": {
            "parse": milliseconds(parse_module, modules, options.repeats),
            "of it: bytes and tokens": milliseconds(
                lambda source: guard(decode(source, "x"), "x"), modules, options.repeats
            ),
            "pipeline_id of the parsed": milliseconds(
                lambda source: pipeline_id(specs[source]), modules, options.repeats
            ),
            "near_id of the parsed": milliseconds(lambda source: near_id(specs[source]), modules, options.repeats),
        },
        "longest_ms": {
            f"{name}, {len(source)} bytes": milliseconds(parsed_or_refused, [source], options.repeats)
            for name, source in longest().items()
        },
    }
    result["goal_met"] = result["ms"]["parse"]["median"] <= GOAL_MS
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{result['modules']} modules, median {result['median_bytes']} bytes; CPU milliseconds:")
    for name, figures in (*result["ms"].items(), *result["longest_ms"].items()):
        print(f"  {name:32s}" + "".join(f"{key:>8s} {value:8.3f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
