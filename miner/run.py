"""From a plan to artefacts: starts the cluster, drives the search, and ends with the winner's report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from data.panel_store import CACHE_BYTES
from infra.cluster import open_executor
from infra.executor import Executor
from infra.home import find_home, make_folder
from infra.settings import Settings
from miner.artefacts import write_artefacts
from miner.engine import SearchResult, run_search
from miner.journal import Journal
from miner.outcome import MACHINE_DEPENDENT
from miner.plan import Plan, library_versions
from miner.preparation import smallest_fit
from miner.report import ScoringInterruptedError, final_report
from miner.runs import link_run
from miner.search import Search
from miner.snapshots import snapshots
from miner.view import View
from pipelines.spaces import search_space
from pipelines.spec import describe, from_canonical
from protocol.errors import EXIT_INTERRUPTED, BudgetReachedError, LongtailError

PROGRAM = "miner.program"
RUN_BYTES = 50_000_000  # a journal of thousands of candidates, pictures, module


def mine(plan: Plan, settings: Settings, view: View) -> int:
    """Run a new plan to its end and return the exit code; where the cluster cannot be had, no run comes into being.

    Raises
    ------
    LongtailError
        See :func:`continue_run`.
    """
    make_folder(plan.folder, free_bytes=RUN_BYTES)
    try:
        with (
            snapshots(settings.bucket, view) as copy,
            _interruptible() as interrupted,
            _cluster(plan, settings, view) as executor,
        ):
            plan, before = plan.widened(executor.slots), plan.config.window
            if plan.config.window > before:
                view.note(f"window {plan.config.window}, for {executor.slots} slots")
            with _started(plan) as journal:
                copy(plan.folder)
                return _search(plan, journal, executor, view, interrupted)
    except LongtailError:
        with suppress(OSError):
            plan.folder.rmdir()  # if nothing came of it
        raise


def continue_run(plan: Plan, journal: Journal, settings: Settings, view: View) -> int:
    """Drive the search of an open journal to its end, then score the winner and write the artefacts.

    Returns
    -------
    int
        Exit code: 0, or 130 when interrupted (the journal is whole, the front shown).

    Raises
    ------
    BudgetReachedError
        Nothing ended well within the budget.
    ClusterError, DataError, ConfigError
        The cluster, the data on the workers, or the journal fails. The journal is whole.
    """
    journal.check_versions(library_versions())
    with (
        journal.locked(),
        snapshots(settings.bucket, view) as copy,
        _interruptible() as interrupted,
        _cluster(plan, settings, view) as executor,
    ):
        copy(plan.folder)
        return _search(plan, journal, executor, view, interrupted)


@contextmanager
def _started(plan: Plan) -> Iterator[Journal]:
    with closing(Journal.create(plan.folder, plan.config, library_versions())) as journal, journal.locked():
        link_run(plan.folder)
        yield journal


@contextmanager
def _cluster(plan: Plan, settings: Settings, view: View) -> Iterator[Executor]:
    view.note("starting the cluster")
    cache = make_folder(find_home().cache / "evaluations", free_bytes=CACHE_BYTES)
    with open_executor(plan.cluster, PROGRAM, cache, settings, plan.folder / "evaluations.log") as executor:
        yield executor


def _search(plan: Plan, journal: Journal, executor: Executor, view: View, interrupted: Callable[[], bool]) -> int:
    journal.start_session(datetime.now(UTC).isoformat(timespec="seconds"), plan.cluster)
    view.note("loading TPOT's search space")
    n_features, smallest = len(plan.panel.feature_names), smallest_fit(plan)
    space = search_space(plan.config.space, n_features=n_features, n_samples=smallest)
    view.note(f"searching on {executor.description}")
    result = run_search(
        Search(plan.config, space, n_features, smallest),
        journal,
        executor,
        interrupted=interrupted,
        watch=view.progress,
        time_budget_s=plan.time_budget_s,
    )
    return _finish(plan, result, executor, view, interrupted)


def _finish(plan: Plan, result: SearchResult, executor: Executor, view: View, interrupted: Callable[[], bool]) -> int:
    ends: dict[str, Any] = {
        "ended": _ended(result, plan),
        "reason": result.reason,
        "evaluated": len(result.outcomes),
        "machine_dependent": [k for k, outcome in result.outcomes.items() if outcome.status in MACHINE_DEPENDENT],
        "pruning": _pruning_words(result),
        "front": [
            {
                "k": member.outcome.k,
                "score": member.outcome.score,
                "complexity": member.candidate.complexity,
                "pipeline": describe(from_canonical(member.candidate.text)),
                "text": member.candidate.text,
            }
            for member in result.front
        ],
    }
    if result.reason == "interrupted":
        view.result({**ends, "next": plan.resume}, None)
        return EXIT_INTERRUPTED
    if not result.front:
        reasons = sorted({f"{outcome.status} ({outcome.reason})" for outcome in result.outcomes.values()})
        raise BudgetReachedError(
            f"none of {len(result.outcomes)} candidates was scored in full: {'; '.join(reasons[:3]) or 'no time'}; "
            f"give more: {plan.resume} --time-budget 10m"
        )
    view.note("scoring the winner and the baselines on the untouched last slice")
    try:
        report = final_report(result, plan.config, plan.panel, executor, interrupted=interrupted)
    except ScoringInterruptedError:
        ended = f"interrupted while the winner was scored; {ends['ended']}"
        view.result({**ends, "ended": ended, "reason": "interrupted", "next": plan.resume}, None)
        return EXIT_INTERRUPTED
    ends.update(write_artefacts(plan, result, report, ends))
    more = plan.resume if result.reason == "time" else ""
    view.result({**ends, "verdict": report.verdict, "next": more}, report)
    return 0


def _ended(result: SearchResult, plan: Plan) -> str:
    words = {
        "done": "all candidates tried",
        "exhausted": "the space has no further valid pipeline",
        "time": "time budget reached",
        "interrupted": "interrupted; everything so far is in the journal",
    }
    return f"{words[result.reason]}: {len(result.outcomes)} of {plan.config.evaluations} in {result.elapsed_s:.0f} s"


def _pruning_words(result: SearchResult) -> str:
    count = result.pruning
    if not count.pruned and not count.sampled:
        return ""
    sample = (
        f"; of {count.sampled} such candidates evaluated in full as a sample, {count.false_kills} would have stayed"
    )
    return f"{count.pruned} stopped early" + (sample if count.sampled else "; none in the control sample yet")


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or TERM into a wish to stop; the second one stops at once."""
    wishes: list[int] = []

    def wish(number: int, _frame: object) -> None:
        if wishes:
            raise KeyboardInterrupt
        wishes.append(number)

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wishes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
