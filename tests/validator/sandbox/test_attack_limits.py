"""Attacks on limits and on the conversation with the host: each ends with the status that says why, and the next job is served.

None of them is made without resource limits: what they do to a machine is known.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import attack_streams
import numpy as np
import psutil
import pytest
from attack_bench import CONTROL_TEXT, Bench

from validator.sandbox.host import Replay
from validator.sandbox.policy import TIERS, Limits, Tier

SMALL = Limits(cpu_s=1, wall_s=20, memory_mb=96)
SHORT = Limits(cpu_s=10, wall_s=0.7, memory_mb=96)
CRASHES = {"memory", "killed", "failed"}

Bomb = tuple[str, dict[str, Any], Limits, set[str]]  # name, what it is told, limits, how it may end
BOMBS: tuple[Bomb, ...] = (
    ("slow_memory", {}, SMALL, {"memory"}),
    ("swallowed_memory", {}, SMALL, {"cpu"}),
    ("one_array", {}, SMALL, {"memory"}),
    ("mapped_memory", {}, SMALL, {"memory"}),
    ("deep_stack", {}, SMALL, CRASHES),
    ("python_loop", {}, SMALL, {"cpu"}),
    ("native_loop", {}, SMALL, {"cpu"}),
    ("many_loops", {}, SMALL, {"cpu"}),
    ("leader_leaves", {}, SMALL, {"cpu"}),
    ("sleeping_orphan", {}, SHORT, {"wall"}),
    ("sleep", {}, SHORT, {"wall"}),
    ("stop", {}, SHORT, {"wall"}),
    ("drip", {}, SHORT, {"wall"}),
    ("deaf", {}, SHORT, {"wall"}),
    ("output_flood", {"handle": 1}, SMALL, {"cpu"}),  # it leads nowhere
    ("output_flood", {"handle": 2}, SMALL, {"flood"}),
    ("answer_flood", {}, SMALL, {"flood"}),
    ("crash", {"how": "segfault"}, SMALL, CRASHES),
    ("crash", {"how": "abort"}, SMALL, CRASHES),
    ("crash", {"how": "kill"}, SHORT, {"killed", "wall"}),  # the first process of a namespace cannot
    ("crash", {"how": "illegal"}, SMALL, CRASHES),
    ("crash", {"how": "divide"}, SMALL, CRASHES),
)
#: Of the bombs that take a second of CPU.
QUICK_ENOUGH = {*(("python_loop", tier) for tier in TIERS), ("native_loop", "landlock"), ("leader_leaves", "full")}
#: name, what it is told, how it may end
STREAMS: tuple[tuple[str, dict[str, Any], set[str]], ...] = (
    *(("exit_code", {"code": code}, {"failed", "memory", "short"}) for code in (0, 1, 2, 71, 126, 128 + 9, 255)),
    ("answer_and_exit", {"code": 0}, {"ok"}),
    ("answer_and_exit", {"code": 1}, {"failed"}),
    ("answer_and_exit", {"code": 71}, {"memory"}),
    ("answer_and_exit", {"code": None}, {"wall"}),
    ("half", {}, {"short"}),
    ("torn", {}, {"short"}),
    ("early", {}, {"flood"}),
    ("late", {}, {"flood"}),
    ("blind", {}, {"flood"}),
    *(("value", {"value": value}, {"not-finite"}) for value in ("nan", "inf", "-inf", "1.7e308", "-1e101")),
    *(("value", {"value": value}, {"ok"}) for value in ("9e99", "5e-324", "-0.0")),
    ("garbage", {}, {"failed"}),
    ("evil_words", {"words": '\x1b[2J\x00\n\u202e{"status": "ok"}', "times": 1000}, {"failed"}),
    ("evil_words", {"words": "x" * 4096, "times": 100}, {"failed"}),
    *(("leave_by", {"by": by}, {"failed"}) for by in ("exit", "interrupt", "generator")),
    ("leave_by", {"by": "memory"}, {"memory"}),
    ("unprintable", {}, {"wall"}),
    ("close_all", {}, {"wall"}),
    ("swap", {}, {"failed"}),
    ("hooks", {}, {"wall"}),
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as bench:
        yield bench


def look(bench: Bench, tier: Tier, replay: Replay, statuses: set[str], damage: list[str]) -> None:
    assert replay.status in statuses, replay.reason
    assert (replay.predictions is not None) == (replay.status == "ok")
    assert len(replay.reason) <= 300
    assert all(" " <= letter <= "~" for letter in replay.reason)
    assert damage == []
    bench.check_control(TIERS[tier])


def name(case: object) -> str | None:
    """Return what a case is called: its own name, and what the attack is told."""
    match case:
        case str():
            return case
        case dict():
            return ascii(case)[1:40]
        case (str(title), dict(given), *_):
            return f"{title}{ascii(given)[1:40]}"
    return ""


def bombs() -> Iterator[Any]:
    """Yield every bomb for every tier; most of those that take a second of CPU, which all tiers stop alike, as slow ones."""
    for tier in TIERS:
        for case in BOMBS:
            seldom = case[3] == {"cpu"} and (case[0], tier) not in QUICK_ENOUGH
            yield pytest.param(tier, case, marks=[pytest.mark.slow] if seldom else [])


@pytest.mark.parametrize(("tier", "case"), list(bombs()), ids=name)
def test_bombs_go_off_inside(bench: Bench, tier: Tier, case: Bomb) -> None:
    attack, given, limits, statuses = case
    bench.need(TIERS[tier])
    outcome = bench.attack(f"attack_limits.{attack}", TIERS[tier], limits=limits, **given)
    look(bench, tier, outcome.replay, statuses, outcome.damage)
    assert outcome.replay.cpu_s < limits.cpu_s + 2
    assert outcome.replay.peak_mb < limits.memory_mb + 200  # the zygote's own pages count as well


@pytest.mark.parametrize(("attack", "given", "statuses"), STREAMS, ids=name)
@pytest.mark.parametrize("tier", TIERS)
def test_nothing_but_finite_answers_in_time_is_taken(
    bench: Bench, tier: Tier, attack: str, given: dict[str, Any], statuses: set[str]
) -> None:
    bench.need(TIERS[tier])
    outcome = bench.attack(f"attack_streams.{attack}", TIERS[tier], limits=SHORT, **given)
    look(bench, tier, outcome.replay, statuses, outcome.damage)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_no_exit_code_means_anything_else(bench: Bench, tier: Tier) -> None:
    bench.need(TIERS[tier])
    for code in range(256):
        replay = bench.attack("attack_streams.exit_code", TIERS[tier], limits=SMALL, look=False, code=code).replay
        assert replay.status == {0: "short", 71: "memory"}.get(code, "failed")
    bench.check_control(TIERS[tier])


@pytest.mark.parametrize("tier", TIERS)
def test_functions_that_look_across_rows_see_one_timestamp_only(bench: Bench, tier: Tier) -> None:
    bench.need(TIERS[tier])
    replay = bench.attack("attack_streams.transductive", TIERS[tier], look=False).replay
    job = bench.job("")
    each = [attack_streams.across_rows(job.test[start:end]) for start, end in job.batches]
    assert replay.predictions is not None
    assert replay.predictions.tobytes() == np.concatenate(each).tobytes()
    everything = attack_streams.across_rows(job.test)
    assert not np.allclose(
        everything[: job.batches[0][1]], each[0]
    )  # what it would have said had it seen the later rows


@pytest.mark.parametrize(
    "tier", ["landlock", *(pytest.param(one, marks=pytest.mark.slow) for one in TIERS if one != "landlock")]
)
def test_a_bomb_next_door_is_not_noticed(bench: Bench, tier: Tier) -> None:
    """Two sandboxes at once, as a validator with two cores has them: limits are not shared."""
    bench.need(TIERS[tier])
    bench.sandbox(TIERS[tier])
    given = {"given": bench.scene.given(), "look": False, "limits": SHORT}
    bomb = threading.Thread(target=bench.attack, args=("attack_processes.hold_tasks", TIERS[tier]), kwargs=given)
    with bench.another(TIERS[tier]) as other:
        bomb.start()
        while bomb.is_alive():
            bench.check(CONTROL_TEXT, other)
        bomb.join()
    bench.check_control(TIERS[tier])


def test_the_host_process_is_as_small_as_before(bench: Bench) -> None:
    """No descriptor and no child is left in this process by all of the above."""
    process = psutil.Process()
    assert process.num_fds() < 100
    children = {child.pid for child in process.children(recursive=True)}
    assert children == {bench.scene.victim.pid, *(sandbox.pid for sandbox in bench.open_sandboxes())}
