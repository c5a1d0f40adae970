"""The search against made-up scores: what it may depend on, what it never hands out, and how it prunes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import FEATURES, ROWS, config_of, made_scores, text_of

from miner.candidate import Candidate
from miner.config import RunConfig
from miner.outcome import Outcome, Status
from miner.search import CAP_WARM_UP, Search, SearchExhaustedError
from pipelines.spec import call, from_canonical
from pipelines.validity import problems

RIDGE = text_of(call("sklearn.linear_model.RidgeCV"))
SCALED = text_of(call("sklearn.preprocessing.StandardScaler"), call("sklearn.linear_model.Ridge", {"alpha": 3.0}))


def judged(candidate: Candidate, *, shift: float = 0.0, cpu_s: float = 0.1) -> Outcome:
    """Return a full evaluation whose scores follow from the text."""
    scores = tuple(round(score + shift, 9) for score in made_scores(candidate.text))
    return Outcome(candidate.k, "ok", scores, (0.1,) * 5, (20,) * 5, cpu_s)


def play(search: Search, outcome_of: Any = judged) -> list[Candidate]:
    """Run a search to its end, telling as late as the window allows."""
    asked: list[Candidate] = []
    while search.asked < search.config.evaluations:
        while search.told < search.needed:
            search.tell(outcome_of(asked[search.told]))
        asked.append(search.ask())
    return asked


def fresh(space: Any, config: RunConfig) -> Search:
    return Search(config, space, FEATURES, ROWS)


def test_turns_are_guarded(space: Any) -> None:
    search = fresh(space, config_of(window=2))
    with pytest.raises(RuntimeError, match="candidate 0"):
        search.tell(Outcome(0, "failed"))
    first, second = search.ask(), search.ask()
    with pytest.raises(RuntimeError, match="candidate 2 needs 1 outcomes told, not 0"):
        search.ask()
    with pytest.raises(RuntimeError, match="expects the outcome of candidate 0, not of 1"):
        search.tell(judged(second))
    search.tell(judged(first))
    with pytest.raises(RuntimeError, match="candidate 1, not of 0"):
        search.tell(judged(first))
    search.tell(judged(second))
    with pytest.raises(RuntimeError, match="needs 1 outcomes told, not 2"):
        search.ask()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1000),
    window=st.integers(1, 8),
    changed=st.integers(5, 29),
    status=st.sampled_from(["ok", "failed", "cap"]),
)
def test_a_candidate_ignores_outcomes_inside_the_window(
    space: Any, seed: int, window: int, changed: int, status: Status
) -> None:
    config = config_of(seed=seed, window=window, evaluations=30)

    def altered(candidate: Candidate) -> Outcome:
        outcome = judged(candidate)
        if candidate.k < changed:
            return outcome
        return judged(candidate, shift=1.0, cpu_s=9.0) if status == "ok" else replace(outcome, status=status)

    plain, other = play(fresh(space, config)), play(fresh(space, config), altered)
    assert other[: changed + window] == plain[: changed + window]


def test_every_candidate_is_new_and_valid_and_the_known_come_first(space: Any) -> None:
    config = config_of(evaluations=120, start_from=(RIDGE, SCALED, RIDGE))
    asked = play(fresh(space, config))
    texts = [candidate.text for candidate in asked]
    assert [candidate.k for candidate in asked] == list(range(120))
    assert texts[:2] == [RIDGE, SCALED]
    assert [candidate.origin for candidate in asked[:2]] == ["known", "known"]
    assert {candidate.origin for candidate in asked[2:6]} == {"random"}
    assert {candidate.origin for candidate in asked[6:]} == {"random", "mutation", "crossover"}
    assert len(set(texts)) == 120
    assert not [text for text in texts if problems(from_canonical(text), n_features=FEATURES, n_samples=ROWS)]


def test_the_front_is_that_of_all_members_and_of_what_waits(space: Any) -> None:
    search = fresh(space, config_of(evaluations=20, window=6))
    asked = play(search)
    everything = [judged(candidate) for candidate in asked]
    best = max(everything, key=lambda outcome: outcome.score)
    front = search.front(everything[search.told :])
    assert front[0].outcome == best
    assert sorted(front, key=lambda member: -member.candidate.complexity) == front
    assert all(member.outcome.k < search.told for member in search.front())


def test_better_scores_and_simpler_pipelines_breed(space: Any) -> None:
    """With the score tied to the text, evolution must beat as many random draws."""
    config = config_of(evaluations=150, window=5, population=10)

    def simple(candidate: Candidate) -> Outcome:
        score = -candidate.complexity - 0.01 * len(candidate.text)
        return Outcome(candidate.k, "ok", (score,) * 5, (0.1,) * 5, (20,) * 5, 0.1)

    asked = play(fresh(space, config), simple)
    late = [simple(candidate).score for candidate in asked[100:] if candidate.origin != "random"]
    drawn = [simple(candidate).score for candidate in asked if candidate.origin == "random"]
    assert sum(late) / len(late) > sum(drawn) / len(drawn) + 0.5


def test_an_exhausted_space_says_so() -> None:
    from pipelines.known import KnownIndividual

    class OneOnly:
        def generate(self, rng: Any) -> KnownIndividual:
            rng.random()
            return KnownIndividual(from_canonical(RIDGE), self)

    search = fresh(OneOnly(), config_of(window=9))
    assert search.ask().text == RIDGE
    with pytest.raises(SearchExhaustedError, match=r"no new valid individual in 400 tries after 1 candidates"):
        search.ask()
    assert search.asked == 1


def test_floors_stop_only_what_trails_every_simpler_member(space: Any) -> None:
    search = fresh(space, config_of(evaluations=80, population=6, window=3))
    by_k: dict[int, Candidate] = {}
    floored = 0
    while search.asked < 80:
        while search.told < search.needed:
            search.tell(judged(by_k[search.told]))
        population = list(search.population)
        candidate = search.ask()
        by_k[candidate.k] = candidate
        simpler = [m.outcome.scores for m in population if m.candidate.complexity <= candidate.complexity]
        if len(population) < 6 or len(simpler) < 2:
            assert candidate.floors == ()
            continue
        floored += 1
        expected = [min(sum(scores[:n]) / n for scores in simpler) for n in range(1, 5)]
        assert candidate.floors == pytest.approx(expected, abs=1e-12)
    assert floored > 30
    assert 0 < sum(candidate.spared for candidate in by_k.values()) < 25


def test_pruning_can_be_switched_off_and_never_hits_known_pipelines(space: Any) -> None:
    assert not any(candidate.floors for candidate in play(fresh(space, config_of(prune=False))))
    known = play(fresh(space, config_of(population=2, window=1, evaluations=12, start_from=(RIDGE, SCALED))))
    assert known[0].floors == known[1].floors == ()


def test_the_spared_sample_counts_false_kills(space: Any) -> None:
    """A spared candidate that would have been stopped and enters the population all the same is a false kill."""
    search = fresh(space, config_of(population=4, window=1, evaluations=10))
    for number in range(4):
        search.tell(replace(judged(search.ask()), scores=(float(number),) * 5))
    entering = search.ask()
    search.tell(Outcome(entering.k, "ok", (9.0,) * 5, (0.1,) * 5, (20,) * 5, 0.1, would_prune=2))
    hopeless = search.ask()
    search.tell(Outcome(hopeless.k, "ok", (-99.0,) * 5, (0.1,) * 5, (20,) * 5, 0.1, would_prune=1))
    stopped = search.ask()
    search.tell(Outcome(stopped.k, "pruned", (-99.0,), (0.1,), (20,), 0.1))
    spared = search.ask()
    search.tell(judged(spared))
    count = search.pruning
    kept = {member.candidate.k for member in search.population}
    assert entering.k in kept
    assert (count.pruned, count.sampled, count.false_kills) == (1, 2, 1 + (hopeless.k in kept))


def test_of_equal_predictions_the_simpler_pipeline_stays(space: Any) -> None:
    search = fresh(space, config_of(population=8, window=1, evaluations=40))
    told: list[Candidate] = []
    for _ in range(12):
        told.append(search.ask())
        search.tell(replace(judged(told[-1]), scores=(0.5,) * 5))
    (only,) = search.population
    lightest = min(told, key=lambda candidate: (candidate.complexity, candidate.k))
    assert only.candidate == lightest


def test_the_cap_follows_the_median_and_grows_when_nothing_ends(space: Any) -> None:
    config = config_of(window=1, evaluations=60, cap_start_s=8.0, cap_ceiling_s=64.0, cap_multiple=10.0)
    cheap, dear, capped = (fresh(space, config) for _ in range(3))
    cheap_caps = [c.cap_s for c in play(cheap, lambda c: judged(c, cpu_s=0.01))]
    dear_caps = [c.cap_s for c in play(dear, lambda c: judged(c, cpu_s=3.0))]
    never = [c.cap_s for c in play(capped, lambda c: Outcome(c.k, "cap"))]
    assert cheap_caps[:CAP_WARM_UP] == [8.0] * CAP_WARM_UP
    assert set(cheap_caps[CAP_WARM_UP:]) == {4.0}
    assert set(dear_caps[CAP_WARM_UP:]) == {32.0}
    assert never == sorted(never)
    assert never[-1] == 64.0


def test_replaying_gives_the_same_candidates(space: Any) -> None:
    config = config_of(evaluations=60)
    outcomes: dict[int, Outcome] = {}
    dice = random.Random(3)

    def noted(candidate: Candidate) -> Outcome:
        bad = dice.random() < 0.2
        outcome = Outcome(candidate.k, "failed") if bad else judged(candidate, cpu_s=dice.random())
        return outcomes.setdefault(candidate.k, outcome)

    asked = play(fresh(space, config), noted)
    assert play(fresh(space, config), lambda candidate: outcomes[candidate.k]) == asked


def test_candidates_do_not_depend_on_the_hash_seed(space: Any) -> None:
    config = config_of(evaluations=40, start_from=(RIDGE,))
    here = [candidate.text for candidate in play(fresh(space, config))]
    code = (
        "from test_search import *; from pipelines.spaces import search_space\n"
        "space = search_space('ridge', n_features=FEATURES, n_samples=ROWS)\n"
        "config = config_of(evaluations=40, start_from=(RIDGE,))\n"
        "print(*(candidate.text for candidate in play(fresh(space, config))), sep='\\n')"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": f"{Path(__file__).parent}:{root}"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == here
