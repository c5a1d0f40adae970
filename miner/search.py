"""Ask / tell evolution: NSGA-II over (walk-forward score, complexity), steady state, without a generation barrier.

The search never evaluates anything. It guarantees:

- candidate k depends on the configuration, the seed and the outcomes of candidates 0 … k - window, and on nothing else:
  not on the cluster, not on the order in which results arrive, not on the clock;
- :meth:`Search.ask` gives candidates in submission order, :meth:`Search.tell` takes outcomes in submission order, and a call
  out of turn raises;
- no two candidates have the same canonical text, and none is statically known to fail.

It owns its individuals and draws from one random stream per candidate, seeded by (seed, k). Not safe for threads.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from miner.candidate import Candidate, Origin
from miner.config import RunConfig
from miner.nsga2 import crowding, pareto_front, ranks
from miner.outcome import Outcome
from pipelines.individuals import crossover, known_individual, mutate, random_individual, spec_of, text_of
from pipelines.spec import Call, complexity, from_canonical
from pipelines.validity import problems

P_RANDOM = 0.08  # fresh blood
P_CROSSOVER = 0.25
#: Share of the parents that compete on the score alone; the others on rank and crowding, which keeps simple ones breeding.
P_BY_SCORE = 0.5
#: Share of the candidates that are evaluated in full although they look hopeless, to measure the false kills.
SPARED_SHARE = 0.1
#: Attempts at a new, valid individual before the origin changes to random, and before the space counts as exhausted.
BREEDING_TRIES = 30
RANDOM_TRIES = 400
#: Fold scores closer than this are taken for the same predictions up to rounding.
SAME_SCORE = 1e-7
#: Full evaluations before the cost cap starts to follow the median.
CAP_WARM_UP = 5


class SearchExhaustedError(Exception):
    """The space has no further valid individual that was not tried."""


@dataclass(frozen=True, slots=True)
class Member:
    """A fully evaluated candidate; its individual as long as it may breed."""

    candidate: Candidate
    individual: Any
    outcome: Outcome

    @property
    def objectives(self) -> tuple[float, float]:
        """Score and negated complexity: both larger is better."""
        return self.outcome.score, -self.candidate.complexity


@dataclass(slots=True)
class PruningCount:
    """How early stopping fared on the sample that was spared."""

    pruned: int = 0
    sampled: int = 0
    false_kills: int = 0


@dataclass(slots=True)
class Search:
    """State of one evolution; see the module's docstring for what it guarantees."""

    config: RunConfig
    space: Any
    n_features: int
    n_samples: int
    members: list[Member] = field(default_factory=list)
    population: list[Member] = field(default_factory=list)
    pruning: PruningCount = field(default_factory=PruningCount)
    _waiting: dict[int, tuple[Candidate, Any]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _costs: list[float] = field(default_factory=list)
    _front: list[Member] = field(default_factory=list)
    _fittest: NDArray[np.int64] | None = None
    _capped: int = 0
    _asked: int = 0
    _told: int = 0
    _known: list[Call] = field(init=False)

    def __post_init__(self) -> None:
        self._known = [from_canonical(text) for text in dict.fromkeys(self.config.start_from)]

    @property
    def asked(self) -> int:
        """Candidates handed out so far; also the number of the next one."""
        return self._asked

    @property
    def told(self) -> int:
        """Outcomes taken so far; also the number of the next one."""
        return self._told

    @property
    def needed(self) -> int:
        """Outcomes that must have been told, exactly, before the next :meth:`ask`."""
        return max(0, self._asked - self.config.window + 1)

    def ask(self) -> Candidate:
        """Return the next candidate.

        Raises
        ------
        RuntimeError
            Not exactly :attr:`needed` outcomes have been told.
        SearchExhaustedError
            No new valid individual can be found.
        """
        if self._told != self.needed:
            raise RuntimeError(f"ask() for candidate {self._asked} needs {self.needed} outcomes told, not {self._told}")
        rng = np.random.default_rng([self.config.seed, self._asked])
        individual, spec, origin = self._breed(rng)
        text = text_of(individual)
        weight = complexity(spec)
        candidate = Candidate(
            k=self._asked,
            text=text,
            origin=origin,
            complexity=weight,
            cap_s=self._cap(),
            floors=self._floors(weight) if origin != "known" else (),
            spared=bool(rng.random() < SPARED_SHARE),
        )
        self._seen.add(text)
        self._waiting[candidate.k] = (candidate, individual)
        self._asked += 1
        return candidate

    def tell(self, outcome: Outcome) -> None:
        """Take the outcome of the oldest candidate that has none.

        Raises
        ------
        RuntimeError
            The outcome belongs to another candidate, or to none.
        """
        if outcome.k != self._told or outcome.k not in self._waiting:
            raise RuntimeError(f"tell() expects the outcome of candidate {self._told}, not of {outcome.k}")
        candidate, individual = self._waiting.pop(outcome.k)
        self._told += 1
        self.pruning.pruned += outcome.status == "pruned"
        self._capped += outcome.status == "cap"
        if outcome.status != "ok":
            return
        bisect.insort(self._costs, outcome.cpu_s)
        member = Member(candidate, individual, outcome)
        self.members.append(replace(member, individual=None))  # which only those who breed need, and is large
        self._front = _front([*self._front, self.members[-1]])
        entered = self._insert(member)
        if outcome.would_prune:
            self.pruning.sampled += 1
            self.pruning.false_kills += entered

    def front(self, early: Iterable[Outcome] = ()) -> list[Member]:
        """Return the Pareto front of all fully evaluated candidates, best score first.

        Parameters
        ----------
        early : iterable of Outcome
            Outcomes that came in but wait for their turn: a run that stops here shows them all the same.
        """
        waiting = [Member(*self._waiting[outcome.k], outcome) for outcome in early if outcome.status == "ok"]
        return _front([*self._front, *sorted(waiting, key=lambda member: member.outcome.k)])

    def front_with(self, front: list[Member], outcome: Outcome) -> list[Member]:
        """Return what becomes of a front when one more outcome comes in, whether or not it is its turn to be told."""
        if outcome.status != "ok":
            return front
        member = Member(self._waiting[outcome.k][0], None, outcome)
        return _front(sorted([*front, member], key=lambda one: one.outcome.k))

    def _breed(self, rng: np.random.Generator) -> tuple[Any, Call, Origin]:
        if self._asked < len(self._known):
            spec = self._known[self._asked]
            return known_individual(spec, self.space), spec, "known"
        if len(self.population) >= 2 and self._asked >= self.config.population and rng.random() >= P_RANDOM:
            order = self._order()
            for _ in range(BREEDING_TRIES):
                mother = self._tournament(order, rng).individual
                origin: Origin = "crossover" if rng.random() < P_CROSSOVER else "mutation"
                if origin == "crossover":
                    child = crossover(mother, self._tournament(order, rng).individual, rng)
                else:
                    child = mutate(mother, rng)
                accepted = None if child is None else self._accept(child)
                if accepted is not None:
                    return child, accepted, origin
        for _ in range(RANDOM_TRIES):
            child = random_individual(self.space, rng)
            accepted = self._accept(child)
            if accepted is not None:
                return child, accepted, "random"
        raise SearchExhaustedError(
            f"space {self.config.space!r}: no new valid individual in {RANDOM_TRIES} tries after {self._asked} candidates"
        )

    def _accept(self, individual: Any) -> Call | None:
        if text_of(individual) in self._seen:
            return None
        spec = spec_of(individual)
        if problems(spec, n_features=self.n_features, n_samples=self.n_samples):
            return None
        return spec

    def _tournament(self, order: NDArray[np.int64], rng: np.random.Generator) -> Member:
        """Binary tournament on (rank, crowding), or on the score alone."""
        places = rng.integers(len(order), size=2)
        if rng.random() < P_BY_SCORE:
            return max((self.population[int(place)] for place in places), key=lambda member: member.outcome.score)
        return self.population[int(order[places.min()])]

    def _order(self) -> NDArray[np.int64]:
        """Population rows, fittest first: lower rank, then larger crowding distance, then age."""
        if self._fittest is None:
            self._fittest = _fittest(self.population)
        return self._fittest

    def _insert(self, member: Member) -> bool:
        """Put a member into the population, drop the least fit; return whether the newcomer stayed.

        A newcomer that scores as a present member does on every fold makes the same predictions: the simpler one stays.
        """
        for row, present in enumerate(self.population):
            pairs = zip(present.outcome.scores, member.outcome.scores, strict=True)
            if all(abs(one - other) <= SAME_SCORE for one, other in pairs):
                if member.candidate.complexity >= present.candidate.complexity:
                    return False
                self.population[row], self._fittest = member, None
                return True
        candidates = [*self.population, member]
        if len(candidates) > self.config.population:
            del candidates[int(_fittest(candidates)[-1])]
        entered = candidates[-1] is member
        if entered:
            self.population, self._fittest = candidates, None
        return entered

    def _cap(self) -> float:
        """CPU cap for the next candidate: coarse steps, so that the noise of one measurement rarely moves it.

        Where hardly anything ends well for lack of time, the cap doubles with every few that hit it.
        """
        config = self.config
        if len(self._costs) < CAP_WARM_UP:
            cap = config.cap_start_s * 2.0 ** (self._capped // CAP_WARM_UP)
        else:
            middle = len(self._costs) // 2  # they are sorted
            wanted = config.cap_multiple * (self._costs[middle] + self._costs[~middle]) / 2
            cap = config.cap_start_s / 2
            while cap < wanted and cap < config.cap_ceiling_s:
                cap *= 2.0
        return min(cap, config.cap_ceiling_s)

    def _floors(self, weight: float) -> tuple[float, ...]:
        """Partial means below which a candidate of this complexity is dominated by every member that is no more complex.

        Conservative: a candidate is stopped only when it trails the worst of them, and only once the population is full.
        """
        if not self.config.prune or len(self.population) < self.config.population:
            return ()
        simpler = [member.outcome.scores for member in self.population if member.candidate.complexity <= weight]
        if len(simpler) < 2:
            return ()
        means = np.cumsum(np.array(simpler), axis=1)[:, :-1] / np.arange(1, self.config.folds)
        return tuple(float(value) for value in means.min(axis=0))


def _front(members: Sequence[Member]) -> list[Member]:
    return [members[row] for row in pareto_front(_objectives(members))]


def _fittest(members: Sequence[Member]) -> NDArray[np.int64]:
    values = _objectives(members)
    rank = ranks(values)
    return np.lexsort((-crowding(values, rank), rank))


def _objectives(members: Sequence[Member]) -> NDArray[np.float64]:
    return np.array([member.objectives for member in members], dtype=np.float64).reshape(-1, 2)
