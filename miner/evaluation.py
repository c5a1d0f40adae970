"""Walk-forward evaluation of one pipeline. Runs inside the evaluator's child process, on one thread.

Each fold fits a fresh clone on the training rows' labels, asks it for the test rows, and scores the answer against the target.
Nothing here knows of clusters, journals or limits other than the CPU seconds it is given.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.panel import Panel, score_rows
from data.splits import Fold, thin
from miner.prefix import PrefixCache
from pipelines.build import build
from pipelines.spec import PIPELINE, STEPS, Call, canonical_text, from_canonical

Vector = NDArray[np.float64]


class NotFiniteError(Exception):
    """A pipeline predicted NaN or infinity."""


@dataclass(frozen=True, slots=True)
class FoldScore:
    """Score of one fold: mean and deviation (ddof = 1) of its day scores, and their number."""

    score: float
    deviation: float
    days: int


def cpu_seconds() -> float:
    """Return the CPU seconds, user and system, that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def arm_cpu_cap(seconds: float) -> None:
    """Have the kernel end this process after that much more CPU time, even inside native code."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, max(seconds, 0.001))


def split_steps(spec: Call) -> tuple[list[Call], Call]:
    """Return the transformers and the final estimator of a pipeline; a bare estimator has no transformers."""
    if spec.target != PIPELINE:
        return [], spec
    members = spec.get(STEPS[PIPELINE])
    calls = [member for member in members if isinstance(member, Call)] if isinstance(members, tuple) else []
    return calls[:-1], calls[-1]


def predict_fold(
    spec: Call, panel: Panel, fold: Fold, *, max_train_rows: int, cache: PrefixCache | None = None, scope: str = ""
) -> Vector:
    """Fit a fresh pipeline on a fold's training rows and return its predictions for the test rows.

    Uses only rows whose target ends before the first test row (the fold's purge sees to that).

    Parameters
    ----------
    spec : Call
    panel : Panel
    fold : Fold
    max_train_rows : int
        Training rows are thinned to this many by whole timestamps.
    cache, scope
        Fitted prefixes to reuse, and the name of the data they belong to.

    Returns
    -------
    (n_test,) float64

    Raises
    ------
    NotFiniteError
        The predictions hold NaN or infinity.
    """
    rows = thin(panel.time, fold.train, max_train_rows)
    test_rows = slice(*fold.test)
    label = np.array(panel.label[rows])
    transformers, final = split_steps(spec)
    texts = [canonical_text(step) for step in transformers]
    scope = f"{scope}:{fold.train}:{fold.test}:{max_train_rows}"
    hit = cache.longest(scope, texts) if cache else None
    # Copies: the panel is shared, and a transformer may write in place.
    done, train, test = hit or (0, np.array(panel.features[rows]), np.array(panel.features[test_rows]))
    cost = 0.0
    for number in range(done, len(transformers)):
        before = cpu_seconds()
        step = build(transformers[number])
        train = (
            step.fit_transform(train, label)
            if hasattr(step, "fit_transform")
            else step.fit(train, label).transform(train)
        )
        test = step.transform(test)
        cost += cpu_seconds() - before
        if cache:
            cache.keep(scope, texts[: number + 1], train, test, cost)
    predicted = np.asarray(build(final).fit(train, label).predict(test), dtype=np.float64).reshape(-1)
    if predicted.shape != (fold.test[1] - fold.test[0],) or not np.isfinite(predicted).all():
        raise NotFiniteError(
            f"{np.count_nonzero(~np.isfinite(predicted))} of {predicted.size} predictions are not finite"
        )
    return predicted


def walk(
    text: str,
    panel: Panel,
    folds: Sequence[Fold],
    *,
    cap_s: float,
    max_train_rows: int,
    cache: PrefixCache | None = None,
    scope: str = "",
) -> Iterator[FoldScore]:
    """Score a pipeline fold by fold, arming the CPU cap before each.

    Folds train on ever more rows, so a fold that takes more than an equal share of what is left shows that the cap cannot
    hold: the process is ended there instead of at the cap.

    Yields
    ------
    FoldScore
        Mean rounded to 9 decimals, which is where different CPU types agree.
    """
    spec = from_canonical(text)
    started = cpu_seconds()
    for number, fold in enumerate(folds):
        arm_cpu_cap((cap_s - (cpu_seconds() - started)) / (len(folds) - number))
        predicted = predict_fold(spec, panel, fold, max_train_rows=max_train_rows, cache=cache, scope=scope)
        scores = score_rows(panel, fold.test, predicted).score
        deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
        yield FoldScore(round(float(np.mean(scores)), 9), round(deviation, 9), len(scores))
    arm_cpu_cap(60.0)  # for sending the answer
