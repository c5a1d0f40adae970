"""Speed of the per-series features of standard-1 against the same formulas by pandas groupby.

Run ``python benchmarks/features.py [--json]``: 200 hourly series of 10,000 bars (2 M rows), 13 features, the two ways
interleaved after one untimed round. Both start from arrays in memory and must agree before anything is timed. Times are
CPU seconds of this process, since both use one thread and other load then matters less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.bars import DAY_US, Bars, bars_from
from data.feature_sets import Feature, feature_set
from data.features import CLIP, SIGMA_BARS, compute_features
from data.synthetic import synthetic

HOUR_US = DAY_US // 24
OWN = tuple(feature for feature in feature_set("standard-1") if feature.kind not in {"rank", "calendar"})


def by_pandas(frame: pd.DataFrame, definitions: tuple[Feature, ...]) -> dict[str, NDArray[np.float64]]:
    """Return the features from one row per (symbol, time), with ``groupby().shift`` and ``groupby().rolling``."""
    symbol = frame["symbol"]

    def shift(x: pd.Series, bars: int) -> pd.Series:
        return x.groupby(symbol, sort=False).shift(bars)

    def rolling(x: pd.Series, bars: int, what: str) -> pd.Series:
        window = x.groupby(symbol, sort=False).rolling(bars)
        return getattr(window, what)().reset_index(level=0, drop=True)

    p = np.log(frame["close"])
    r = p - shift(p, 1)
    sigma = rolling(r, SIGMA_BARS, "std")
    span = frame["high"] - frame["low"]
    width, root = np.log(frame["high"] / frame["low"]), np.sqrt(frame["volume"])
    kinds: dict[str, Callable[[int], pd.Series]] = {
        "return": lambda lag: (shift(r, lag) if lag else r) / sigma,
        "mean": lambda bars: (p - shift(p, bars)) / (sigma * np.sqrt(bars)),
        "deviation": lambda bars: 3 * (rolling(r, bars, "std") / sigma - 1),
        "zscore": lambda bars: (
            (p - rolling(p, bars, "mean")) / (sigma * np.sqrt((bars - 1) * (2 * bars - 1) / (6 * bars)))
        ),
        "range": lambda bars: width / rolling(width, bars, "mean") - 1,
        "position": lambda _: np.sqrt(3) * (2 * frame["close"] - frame["high"] - frame["low"]) / span,
        "volume": lambda bars: (root - rolling(root, bars, "mean")) / rolling(root, bars, "std"),
    }
    return {feature.name: kinds[feature.kind](feature.bars).clip(-CLIP, CLIP).to_numpy() for feature in definitions}


def data_of(n_symbols: int, n_bars: int) -> tuple[Bars, pd.DataFrame]:
    """Return the same bars for both ways."""
    bars = bars_from(
        synthetic("noise", n_symbols=n_symbols, n_bars=n_bars), ("open", "high", "low", "close", "volume"), HOUR_US
    )
    return bars, pd.DataFrame({"symbol": bars.symbol, **bars.columns})


def check(bars: Bars, frame: pd.DataFrame) -> float:
    """Return the largest difference between the two ways on rows where both are known."""
    ours, theirs = compute_features(bars, OWN), by_pandas(frame, OWN)
    known = ours.sigma > 0
    return max(
        float(np.abs(values[known] - theirs[name][known]).max())
        for name, values in zip(ours.names, ours.values, strict=True)
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--bars", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    difference = check(*data_of(5, 2000))
    assert difference < 1e-6, f"the two ways differ by {difference}"
    bars, frame = data_of(options.symbols, options.bars)
    ways: dict[str, Callable[[], object]] = {
        "longtail": lambda: compute_features(bars, OWN),
        "pandas": lambda: by_pandas(frame, OWN),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(options.repetitions + 1):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if repetition:
                seconds[name].append(time.process_time() - start)
    ratios = [theirs / ours for ours, theirs in zip(seconds["longtail"], seconds["pandas"], strict=True)]
    result = {
        "rows": bars.time.size,
        "features": len(OWN),
        "cpu_seconds": seconds,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "largest_difference": difference,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{bars.time.size:,} rows x {len(OWN)} features, {options.repetitions} interleaved repetitions")
    for name, values in seconds.items():
        print(f"  {name:9s} {statistics.median(values):6.3f} s  ({min(values):.3f} to {max(values):.3f})")
    print(f"  ratio     {result['ratio']:6.1f}    ({min(ratios):.1f} to {max(ratios):.1f}); goal 6")


if __name__ == "__main__":
    main()
