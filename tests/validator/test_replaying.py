"""Verdicts computed anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from in_process import InProcess
from made_market import TOPIC, module, ridge, tree, write_market

from protocol.errors import DataError
from validator.judging import score_module
from validator.record import Known, Record
from validator.replaying import Difference, differences, replay_verdict
from validator.sandbox.policy import Limits
from validator.verdict import Verdict

SOURCE = module(tree())
RECORD = Record(models=(Known(module(ridge())),), earlier=(Known(module(tree(1))),), height=12)


@pytest.fixture(scope="module")
def saved(market_uri: str, shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Verdict, Path]:
    folder = tmp_path_factory.mktemp("verdicts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGTAIL_HOME", str(shared_home))
        verdict = score_module(
            SOURCE, "m.py", topic=TOPIC, uri=market_uri, record=RECORD, k=3, born_us=1_600_000_000_000_000,
            sandbox=InProcess(), limits=Limits(cpu_s=9.0), cache=folder / "cache",
        )  # fmt: skip
    verdict.save(folder, {known.block_hash: known.source for known in RECORD.all} | {verdict.block_hash: SOURCE})
    return verdict, folder


def test_a_replay_finds_the_same_and_remembers_nothing(saved: tuple[Verdict, Path]) -> None:
    verdict, folder = saved
    jail = InProcess()
    again = replay_verdict(verdict, folder, sandbox=jail)
    assert again.hash == verdict.hash
    assert not list(differences(verdict.judged, again.judged))
    slices = 1 + 2 * len(verdict.judged["course"]["groups"])
    assert len(jail.jobs) == 3 * slices + 1, (
        "subject, model and ridge everywhere, the earlier one on the declared slice"
    )
    assert {job.limits.cpu_s for job in jail.jobs} == {9.0}


def test_a_dataset_that_moved_is_named_and_must_be_the_same(saved: tuple[Verdict, Path], tmp_path: Path) -> None:
    verdict, folder = saved
    moved = Verdict(verdict.judged, {**verdict.run, "uri": str(tmp_path / "gone")})
    with pytest.raises(DataError, match="no dataset there"):
        replay_verdict(moved, folder, sandbox=InProcess())
    same = replay_verdict(moved, folder, uri=write_market(tmp_path / "m.parquet"), sandbox=InProcess())
    assert same.hash == verdict.hash
    with pytest.raises(DataError, match=f"not {verdict.judged['data_root']}"):
        replay_verdict(moved, folder, uri=write_market(tmp_path / "other.parquet", seed=99), sandbox=InProcess())


def test_a_forged_verdict_differs_where_it_was_forged(saved: tuple[Verdict, Path]) -> None:
    verdict, folder = saved
    judged = json.loads(json.dumps(verdict.judged))
    judged["scores"]["groups"][2] += 0.25
    judged["outcome"] = "refused"
    found = list(differences(judged, replay_verdict(Verdict(judged, verdict.run), folder, sandbox=InProcess()).judged))
    assert [one.where for one in found] == ["outcome", "scores.groups[2]"]
    assert found[0] == Difference("outcome", "refused", "accepted")


def test_another_module_differs_from_its_hash_on(saved: tuple[Verdict, Path]) -> None:
    verdict, folder = saved
    other = replay_verdict(verdict, folder, source=module(tree(3)), sandbox=InProcess())
    assert "block_hash" in {one.where for one in differences(verdict.judged, other.judged)}


def test_without_its_modules_a_verdict_cannot_be_replayed(saved: tuple[Verdict, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--module"):
        replay_verdict(saved[0], tmp_path, sandbox=InProcess())


def test_differences_name_keys_that_only_one_side_has() -> None:
    assert list(differences({"a": [1, {"b": 2}], "c": 1}, {"a": [1, {"b": 3}], "d": 1})) == [
        Difference("a[1].b", 2, 3),
        Difference("c", 1, None),
        Difference("d", None, 1),
    ]
    assert list(differences([1], [1, 2], "x")) == [Difference("x", [1], [1, 2])]


@pytest.mark.parametrize("part", ["judged", "run"])
def test_a_verdict_that_lacks_something_is_no_defect_of_ours(saved: tuple[Verdict, Path], part: str) -> None:
    verdict, folder = saved
    empty = Verdict({**verdict.judged, "record": {}}, verdict.run) if part == "judged" else Verdict(verdict.judged, {})
    with pytest.raises(DataError, match="lacks what a replay needs"):
        replay_verdict(empty, folder, sandbox=InProcess())
