"""Non-dominated sorting and crowding (NSGA-II; Deb et al. 2002, sections III-A and III-B).

Objectives are maximised: pass complexity negated. Pure numpy, deterministic: ties keep the order of the rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Objectives = NDArray[np.float64]


def dominates(objectives: Objectives) -> NDArray[np.bool_]:
    """Return which row dominates which.

    Parameters
    ----------
    objectives : (n, m) float64
        Larger is better in every column.

    Returns
    -------
    (n, n) bool
        ``[i, j]`` is true when i is nowhere worse than j and somewhere better.
    """
    left, right = objectives[:, None, :], objectives[None, :, :]
    return np.asarray((left >= right).all(axis=2) & (left > right).any(axis=2))


def ranks(objectives: Objectives) -> NDArray[np.int64]:
    """Return the non-domination rank of each row, 0 for the Pareto front.

    Parameters
    ----------
    objectives : (n, m) float64

    Returns
    -------
    (n,) int64
    """
    better = dominates(objectives)
    rank = np.full(len(objectives), -1, dtype=np.int64)
    level = 0
    while (rank < 0).any():
        open_rows = rank < 0
        front = open_rows & ~better[open_rows].any(axis=0)
        rank[front] = level
        level += 1
    return rank


def crowding(objectives: Objectives, rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the crowding distance of each row within its rank; the ends of a front are infinitely far.

    Parameters
    ----------
    objectives : (n, m) float64
    rank : (n,) int64

    Returns
    -------
    (n,) float64
    """
    distance = np.zeros(len(objectives))
    for level in range(int(rank.max(initial=-1)) + 1):
        rows = np.flatnonzero(rank == level)
        for column in objectives[rows].T:
            order = np.argsort(column, kind="stable")
            span = column[order[-1]] - column[order[0]]
            distance[rows[order[[0, -1]]]] = np.inf
            if span > 0 and len(rows) > 2:
                distance[rows[order[1:-1]]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def pareto_front(objectives: Objectives) -> list[int]:
    """Return the rows that no row dominates, best first objective first.

    Of rows with equal objectives only the earliest is kept. One sort, since it is asked for at every outcome of a long run.

    Parameters
    ----------
    objectives : (n, 2) float64
    """
    first, second = objectives.T
    order = np.lexsort((-second, -first))  # stable: of equals the earliest comes first
    best_before = np.maximum.accumulate(np.concatenate(([-np.inf], second[order])))[:-1]
    return [int(row) for row in order[second[order] > best_before]]
