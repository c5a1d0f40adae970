"""The loop of a run: keeps the window full, tells outcomes in submission order, writes the journal.

The search decides, the executor evaluates, the journal remembers; this loop moves things between them and holds no state that
could not be lost: stop it anywhere and :func:`run_search` on the same journal continues as if it had never stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from infra.executor import Account, Executor
from miner.candidate import Candidate
from miner.journal import Journal
from miner.outcome import Outcome
from miner.program import outcome_of
from miner.search import Member, PruningCount, Search, SearchExhaustedError
from miner.task import Task, task_of

StopReason = Literal["done", "exhausted", "time", "budget", "interrupted"]
#: After the time budget, how long evaluations in flight may still come in, seconds.
GRACE_S = 10.0
POLL_S = 0.25
#: Between two notes of what the machines cost, seconds: a session that is killed forgets no more than that.
ACCOUNT_S = 5.0
#: Asking for candidates pauses after this long, and snapshots are at least this far apart, seconds.
FILL_S = 0.1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of a run at one moment, for people and machines to look at.

    Attributes
    ----------
    evaluated, evaluations : int
        Outcomes in, and candidates to try.
    statuses : dict
        Outcomes by status.
    reasons : dict
        The most frequent reasons of those that did not end well.
    elapsed_s, eta_s : float
        Wall seconds of this session, and estimate of what is left (NaN while unknown).
    cpu_s : float
        CPU seconds of all evaluations.
    slots, in_flight, resubmitted : int
    front : list of Member
        Pareto front, best score first.
    best : float
        Best walk-forward score, NaN before the first.
    pruning : PruningCount
    latest : tuple of Outcome
        What came in since the last snapshot.
    account : Account, optional
        What the machines cost; None where nothing is paid for.
    news : tuple of str
        What became of the machines since the last snapshot, in words.
    """

    evaluated: int
    evaluations: int
    statuses: dict[str, int]
    reasons: dict[str, int]
    elapsed_s: float
    eta_s: float
    cpu_s: float
    slots: int
    in_flight: int
    resubmitted: int
    front: list[Member]
    best: float
    pruning: PruningCount
    latest: tuple[Outcome, ...]
    account: Account | None
    news: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How a run ended, with everything that was evaluated.

    Attributes
    ----------
    reason : StopReason
    front : list of Member
    outcomes : dict
        Every outcome by candidate number.
    pruning : PruningCount
    elapsed_s : float
    """

    reason: StopReason
    front: list[Member]
    outcomes: dict[int, Outcome]
    pruning: PruningCount
    elapsed_s: float


class _Loop:
    def __init__(
        self,
        search: Search,
        journal: Journal,
        executor: Executor,
        clock: Callable[[], float],
        time_budget_s: float | None,
    ) -> None:
        self.search, self.journal, self.executor, self.clock = search, journal, executor, clock
        self.time_budget_s = float("inf") if time_budget_s is None else time_budget_s
        self.started = clock()
        self.replayed = journal.outcomes()
        self.outcomes: dict[int, Outcome] = {}
        self.tasks: dict[int, Task] = {}
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.cpu_s = 0.0
        self.front: list[Member] = []
        self.fresh: list[Outcome] = []
        self.collected = 0
        self.accounted_at = float("-inf")
        self.more = False

    @property
    def elapsed(self) -> float:
        return self.clock() - self.started

    def fill(self) -> bool:
        """Ask for and submit candidates as far as the window allows; False when the space is exhausted.

        Before that it returns with :attr:`more` set when asking takes long: what is bred starts, and what came in is
        written down, while a large window fills.
        """
        asked: list[Candidate] = []
        until, exhausted, self.more = self.clock() + FILL_S, False, False
        while self.search.asked < self.search.config.evaluations:
            self.tell(self.search.needed)
            if self.search.told < self.search.needed:
                break
            if asked and self.clock() > until:
                self.more = True
                break
            try:
                candidate = self.search.ask()
            except SearchExhaustedError:
                exhausted = True
                break
            asked.append(candidate)
            if candidate.k in self.replayed:
                self.take(self.replayed.pop(candidate.k))
            else:
                self.tasks[candidate.k] = task_of(candidate, self.search.config)
        self.journal.record_candidates(asked)
        for candidate in asked:
            if candidate.k in self.tasks:
                self.executor.submit(candidate.k, self.tasks[candidate.k])
        return not exhausted

    def tell(self, until: int) -> None:
        while self.search.told < until and self.search.told in self.outcomes:
            self.search.tell(self.outcomes[self.search.told])

    def take(self, outcome: Outcome) -> None:
        self.outcomes[outcome.k] = outcome
        self.statuses[outcome.status] += 1
        self.cpu_s += outcome.cpu_s
        self.front = self.search.front_with(self.front, outcome)
        if outcome.status not in {"ok", "pruned"}:
            self.reasons[f"{outcome.status}: {outcome.reason}"[:90]] += 1

    def collect(self) -> None:
        """Take what came in and write it down, in one transaction, before anybody sees it."""
        replies = self.executor.collect(0.0 if self.more else POLL_S)
        outcomes = [outcome_of(k, reply, self.tasks[k]) for k, reply in replies]
        self.journal.record_outcomes(outcomes, self.elapsed)
        for outcome in outcomes:
            del self.tasks[outcome.k]
            self.take(outcome)
        self.fresh += outcomes
        self.collected += len(outcomes)

    def early(self) -> list[Outcome]:
        return [self.outcomes[k] for k in range(self.search.told, self.search.asked) if k in self.outcomes]

    def snapshot(self) -> Snapshot:
        done, fresh = len(self.outcomes), tuple(self.fresh)
        self.fresh.clear()
        rate = self.elapsed / self.collected if self.collected else float("nan")
        return Snapshot(
            evaluated=done,
            evaluations=self.search.config.evaluations,
            statuses=dict(self.statuses),
            reasons=dict(self.reasons.most_common(5)),
            elapsed_s=self.elapsed,
            eta_s=min(rate * (self.search.config.evaluations - done), max(0.0, self.time_budget_s - self.elapsed)),
            cpu_s=self.cpu_s,
            slots=self.executor.slots,
            in_flight=len(self.tasks),
            resubmitted=self.executor.resubmitted,
            front=self.front,
            best=self.front[0].outcome.score if self.front else float("nan"),
            pruning=self.search.pruning,
            latest=fresh,
            account=self.executor.account,
            news=tuple(self.executor.news()),
        )

    def exhausted(self) -> bool:
        """Whether the budget bears no more; the journal learns every few seconds what was spent."""
        account = self.executor.account
        if account is None:
            return False
        if account.exhausted or self.clock() - self.accounted_at >= ACCOUNT_S:
            self.accounted_at = self.clock()
            self.journal.record_account(account.record)
        return account.exhausted


def run_search(
    search: Search,
    journal: Journal,
    executor: Executor,
    *,
    interrupted: Callable[[], bool] = lambda: False,
    watch: Callable[[Snapshot], None] = lambda snapshot: None,
    time_budget_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Run a search to its end, or until it is interrupted or out of time.

    Parameters
    ----------
    search : Search
        Fresh; outcomes that the journal already holds are replayed through it.
    journal : Journal
        Locked by the caller.
    executor : Executor
    interrupted : callable
        Asked a few times a second; True ends the run without waiting for what is in flight.
    watch : callable
        Gets a snapshot when something came in, at most ten times a second, and at least once a second.
    time_budget_s : float, optional
        Wall seconds for this session, after which nothing is asked for any more.
    clock : callable
        Monotonic seconds.

    Raises
    ------
    ClusterError
        The cluster is gone. The journal is whole.
    DataError
        The workers cannot open the data.
    """
    loop = _Loop(search, journal, executor, clock, time_budget_s)
    reason: StopReason = "done"
    shown_at = float("-inf")
    while loop.replayed and loop.fill() and loop.more:
        pass  # stopped at once, a resumed run still shows what it has
    while True:
        if interrupted():
            reason = "interrupted"
            break
        if loop.exhausted():
            reason = "budget"
            break
        if reason == "done" and loop.elapsed >= loop.time_budget_s:
            reason = "time"
        if reason == "done" and not loop.fill():
            reason = "exhausted"
        if not loop.tasks and not loop.more:
            break
        if reason == "time" and loop.elapsed >= loop.time_budget_s + GRACE_S:
            break
        loop.collect()
        if clock() - shown_at >= (FILL_S if loop.fresh else 1.0):
            shown_at = clock()
            watch(loop.snapshot())
    loop.tell(search.asked)
    result = SearchResult(
        reason, search.front(loop.early()), dict(sorted(loop.outcomes.items())), search.pruning, loop.elapsed
    )
    watch(loop.snapshot())
    return result
