"""Sybils of an Allora worker: one of equals splits itself to raise the entropy, and with it the reward, of its class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from economy.experiments.attacks.row import Row
from protocol.consensus.allora.classes import entropy
from protocol.consensus.allora.variant import SIMULATOR

WORKERS = 5


def entropy_gain(copies: int, beta: float) -> float:
    """Return the entropy of a class of five equal workers after one has split into `copies`, over that before."""
    variant = replace(SIMULATOR, beta=beta)
    after = np.append(np.ones(WORKERS - 1), np.full(copies, 1 / copies))
    return entropy(after, variant) / entropy(np.ones(WORKERS), variant)


def entropy_sybil(seeds: Sequence[int]) -> Iterator[Row]:
    """Yield the gain for several numbers of copies; `seeds` change nothing, the split is exact."""
    for copies in (2, 4, 10, 50):
        for on, beta in ((True, SIMULATOR.beta), (False, 0.0)):
            gain = entropy_gain(copies, beta)
            moved = f"splitting {'raises' if gain > 1 else 'lowers'} the entropy by {abs(gain - 1):.1%}"
            claim = "; the paper's 'nearly exactly' constant means this" if on and abs(gain - 1) < 0.1 else ""
            yield Row.over(
                [gain],
                attack="entropy-sybil",
                setting=f"1 of {WORKERS} equal workers splits into {copies}",
                defence="number ratio of Eq. 38 (off: beta 0)",
                on=on,
                measure="entropy of the class over that before",
                unit="ratio",
                verdict=moved + claim,
            )
