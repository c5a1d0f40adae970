"""Asking contenders: what is remembered, what is looked at twice, and what a failure is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from in_process import InProcess
from made_market import TOPIC, ridge, tree

from data.dataset import Dataset
from data.panel_store import panels_folder
from pipelines.spec import PIPELINE, call, canonical_text
from protocol.rounding import round_predictions
from validator.course import Course, lay_course
from validator.evaluation import Contender, ReplayFailedError, Replays, baselines
from validator.sandbox.job import Status
from validator.sandbox.policy import Limits


@pytest.fixture(scope="module")
def course(market_uri: str, shared_home: Path) -> Course:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGTAIL_HOME", str(shared_home))
        return lay_course(Dataset.open(market_uri), TOPIC, panels_folder())


def contender(seed: int = 0) -> Contender:
    return Contender("a" * 64, canonical_text(call(PIPELINE, {"steps": (tree(),)})), seed)


def test_what_recurs_is_asked_once(course: Course, tmp_path: Path) -> None:
    jail = InProcess()
    first = Replays(jail, Limits(), tmp_path).group_scores(contender(), course)
    assert len(jail.jobs) == 2 * len(course.groups)
    again = Replays(jail, Limits(), tmp_path).group_scores(contender(), course)
    assert len(jail.jobs) == 2 * len(course.groups)
    for name, days in first.items():
        np.testing.assert_array_equal(days.score, again[name].score)
    Replays(jail, Limits(), tmp_path).forecast(contender(seed=1), course.declared)
    assert len(jail.jobs) == 2 * len(course.groups) + 1, "another seed is another pipeline"


def test_a_submission_is_asked_in_every_judgement(course: Course, tmp_path: Path) -> None:
    jail = InProcess()
    for _ in range(2):
        replays = Replays(jail, Limits(), tmp_path)
        replays.forecast(contender(), course.declared, recurs=False)
        replays.forecast(contender(), course.declared, recurs=False)
    assert len(jail.jobs) == 2
    assert not list(tmp_path.iterdir())


def test_a_damaged_memory_is_made_anew(course: Course, tmp_path: Path) -> None:
    jail = InProcess()
    predicted = Replays(jail, Limits(), tmp_path).forecast(contender(), course.declared)
    (entry,) = tmp_path.iterdir()
    content = bytearray((entry / "prediction.npy").read_bytes())
    content[-1] ^= 1
    (entry / "prediction.npy").write_bytes(content)
    for _ in range(2):
        again = Replays(jail, Limits(), tmp_path).forecast(contender(), course.declared)
        np.testing.assert_array_equal(again, predicted)
    assert len(jail.jobs) == 2


@pytest.mark.parametrize(
    ("status", "reason", "tries"),
    [
        ("cpu", "limits", 1),
        ("memory", "limits", 1),
        ("wall", "limits", 2),
        ("not-finite", "not-finite", 1),
        ("flood", "fails", 1),
        ("short", "fails", 2),
        ("failed", "fails", 2),
        ("killed", "fails", 2),
    ],
)
def test_failures_have_codes_and_those_a_machine_can_cause_are_looked_at_twice(
    course: Course, status: Status, reason: str, tries: int
) -> None:
    jail = InProcess(dict.fromkeys(range(2), (status, "so it said")))
    with pytest.raises(ReplayFailedError, match="so it said") as caught:
        Replays(jail, Limits(), None).forecast(contender(), course.declared)
    assert (caught.value.reason, caught.value.group) == (reason, "declared")
    assert len(jail.jobs) == tries


def test_a_mishap_of_the_machine_costs_nobody_a_bond(course: Course) -> None:
    jail = InProcess({0: ("killed", "signal 9")})
    replays = Replays(jail, Limits(), None)
    sound = Replays(InProcess(), Limits(), None).forecast(contender(), course.declared)
    np.testing.assert_array_equal(replays.forecast(contender(), course.declared), sound)
    assert [cost["status"] for cost in replays.costs] == ["killed", "ok"]


def test_baselines_need_the_jail_for_the_ridge_only(course: Course) -> None:
    jail = InProcess()
    replays = Replays(jail, Limits(), None)
    answers = {one.name: replays.forecast(one, course.declared) for one in baselines()}
    assert len(jail.jobs) == 1
    assert not answers["zero"].any()
    part = slice(*course.declared.test)
    panel = course.declared.panel
    last = panel.features[part, panel.feature_names.index("ret_1")]
    np.testing.assert_allclose(answers["reversal"], -last, atol=1e-8)


def test_predictions_are_rounded_as_validators_agree_on_them(course: Course) -> None:
    ridges = Contender("b" * 64, canonical_text(call(PIPELINE, {"steps": (ridge(),)})))
    predicted = Replays(InProcess(), Limits(), None).forecast(ridges, course.declared)
    time = course.declared.panel.time[slice(*course.declared.test)]
    np.testing.assert_array_equal(round_predictions(predicted, time), predicted)
    assert predicted.any()


def test_a_failure_is_remembered_for_what_is_compared_with_it(course: Course, tmp_path: Path) -> None:
    jail = InProcess(dict.fromkeys(range(2), ("cpu", "used up")))
    with pytest.raises(ReplayFailedError):
        Replays(jail, Limits(), tmp_path).forecast(contender(), course.declared, recurs=False)
    with pytest.raises(ReplayFailedError) as caught:
        Replays(jail, Limits(), tmp_path).forecast(contender(), course.declared)
    assert caught.value.reason == "limits"
    assert len(jail.jobs) == 1
    with pytest.raises(ReplayFailedError):
        Replays(jail, Limits(cpu_s=99), tmp_path).forecast(contender(), course.declared)
    assert len(jail.jobs) == 2, "other limits, another chance"
