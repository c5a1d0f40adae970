"""From a plan to artefacts: starts the cluster, drives the search, and ends with the winner's report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.panel_store import CACHE_BYTES
from data.shelf import shelve
from infra.cluster import Job, open_executor
from infra.executor import Account, Executor
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
            plan, before = plan.widened(executor.capacity), plan.config.window
            if plan.config.window > before:
                view.note(f"window {plan.config.window}, for {executor.capacity} slots")
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
        _cluster(plan, settings, view, journal.account()) as executor,
    ):
        copy(plan.folder)
        return _search(plan, journal, executor, view, interrupted)


@contextmanager
def _started(plan: Plan) -> Iterator[Journal]:
    with closing(Journal.create(plan.folder, plan.config, library_versions())) as journal, journal.locked():
        link_run(plan.folder)
        yield journal


@contextmanager
def _cluster(plan: Plan, settings: Settings, view: View, record: Mapping[str, Any] | None = None) -> Iterator[Executor]:
    view.note("starting the cluster")
    cache = make_folder(find_home().cache / "evaluations", free_bytes=CACHE_BYTES)
    log = plan.folder / "evaluations.log"
    job = Job(PROGRAM, cache, settings, log, plan.folder.name, plan.config.data_uri, record, view.passing)
    executor: Executor | None = None
    try:
        with open_executor(plan.cluster, job) as executor:
            try:
                yield executor
            finally:
                if executor.account is not None:
                    view.note("ending the machines")
    finally:
        if executor is not None and executor.account is not None:
            _settle(executor.account, plan.folder, view)


def _settle(account: Account, folder: Path, view: View) -> None:
    """Write down and tell what the machines cost in the end."""
    with suppress(LongtailError), closing(Journal.open(folder)) as journal:  # without a run there is no journal
        journal.record_account(account.record)
    view.event("cost", {"spent": account.spent, "budget": account.budget}, [("cost", account.words())])


def _search(plan: Plan, journal: Journal, executor: Executor, view: View, interrupted: Callable[[], bool]) -> int:
    journal.start_session(datetime.now(UTC).isoformat(timespec="seconds"), plan.cluster)
    config = plan.config
    if executor.shelf is not None:
        view.note(f"bringing the data to {executor.shelf}")
        config = replace(config, data_uri=shelve(config.data_uri, config.data_root, executor.shelf))
    view.note("loading TPOT's search space")
    n_features, smallest = len(plan.panel.feature_names), smallest_fit(plan)
    space = search_space(plan.config.space, n_features=n_features, n_samples=smallest)
    _await_machines(executor, journal, view, interrupted)
    view.note(f"searching on {executor.description}")
    result = run_search(
        Search(config, space, n_features, smallest),
        journal,
        executor,
        interrupted=interrupted,
        watch=view.progress,
        time_budget_s=plan.time_budget_s,
    )
    return _finish(replace(plan, config=config), result, executor, view, interrupted)


def _await_machines(executor: Executor, journal: Journal, view: View, interrupted: Callable[[], bool]) -> None:
    """Wait for the first of machines that are paid for: until one works, the time of the search does not run."""
    while (account := executor.account) is not None and not (executor.slots or account.exhausted or interrupted()):
        journal.record_account(account.record)
        if news := executor.news():
            view.event("machines", {"news": news}, [("machines", line) for line in news])
        view.passing(f"waiting for the first machine, {account.words()}")
        executor.collect(2.0)  # raises where none will come


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
    if result.reason in {"interrupted", "budget"}:
        view.result({**ends, "next": plan.resume}, None)
        return EXIT_INTERRUPTED if result.reason == "interrupted" else BudgetReachedError.exit_code
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
        "budget": "the budget bears no more machines; everything so far is in the journal: give a higher --budget",
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
