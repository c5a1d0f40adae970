"""The program a validator runs in the jail: build the pipeline from its text, fit it, answer timestamp by timestamp."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder

import numpy as np

from pipelines.build import build
from pipelines.registry import ENTRIES, FUNCTIONS
from pipelines.spec import from_canonical
from validator.sandbox.task import Task

#: Imported by the libraries if they are there, and of no use here: they double what every fork has to copy, and one of them
#: starts a thread, which no process that forks may have.
UNWANTED = frozenset({"dask", "distributed", "matplotlib", "pandas", "polars", "psutil", "pyarrow", "rich", "tpot"})

#: Imported by estimators when they are fitted.
LAZY = ("pipelines.direction", "scipy.cluster.hierarchy", "sklearn.gaussian_process", "sklearn.multiclass")


class _Without(MetaPathFinder):
    """Makes unwanted packages look as if they were not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in UNWANTED:
            raise ModuleNotFoundError(f"{name} is kept out of the sandbox", name=name)


def warm() -> None:
    """Import every registered estimator and function, so that a jailed child needs no import of its own."""
    sys.meta_path.insert(0, _Without())
    for module in (*LAZY, *(target.rpartition(".")[0] for target in (*ENTRIES, *FUNCTIONS))):
        import_module(module)
    _take_buffers()


def _take_buffers() -> None:
    """Have numpy's and scipy's OpenBLAS take their work memory, which children then share.

    Where it is missing later, OpenBLAS asks again for ever: a child near its memory limit would spin up to its CPU limit.
    """
    from scipy.linalg.blas import dgemm
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no type information

    square = np.ones((64, 64))
    with threadpool_limits(limits=1, user_api="blas"):
        dgemm(1.0, square, square)
        np.matmul(square, square)
    # Looks into /proc, which the jail does not have, the first time it is asked for (neighbours by brute force do).
    import_module("sklearn.utils.parallel")._get_threadpool_controller()


def run(task: Task) -> None:
    """Fit on the training rows and predict the test rows as they are released.

    Raises
    ------
    ValueError
        The pipeline does not give one prediction per row.
    """
    pipeline = build(from_canonical(task.text), task.seed)
    pipeline.fit(task.train, task.label)
    for rows in task.batches():
        predicted = np.asarray(pipeline.predict(rows), dtype=np.float64).reshape(-1)
        if len(predicted) != len(rows):
            raise ValueError(f"{len(predicted)} predictions for {len(rows)} rows")
        task.answer(predicted)
