"""`ltminer --cluster ec2` from plan to end, on instances that really boot and that everything happens to."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_ec2 import missing
from test_boot import play

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
SCENE = Path(__file__).parent / "mine_scene.py"
NOTHING = {"clusters": [], "secrets": []}


def test_whatever_happens_to_instances_the_front_is_that_of_a_local_run(tmp_path: Path) -> None:
    seen = play("mined", tmp_path, within_s=1500, scene=SCENE)
    offer = seen["plan"]["offer"]
    assert (offer["instances"], offer["slots"], offer["run"]) == (4, 4, 10_000_000)
    assert offer["hour"] < offer["abandoned"] * 60 < offer["lifetime"] * 60
    assert seen["nothing"] == NOTHING  # a dry run starts nothing
    assert (seen["code"], seen["ended"][:20]) == (0, "all candidates tried")
    assert seen["same"], seen["front"]
    assert seen["module"]
    assert seen["noticed"] == "shut itself down"
    assert seen["cut"] in {"shut itself down", "terminated"}  # whoever was first
    assert seen["frozen"] == "terminated"
    assert any("InsufficientInstanceCapacity" in line for line in seen["news"])
    assert seen["most_alive"] == 4
    assert seen["started"] >= 6  # two at least were replaced
    assert 0 < seen["cost"]["spent"] < seen["cost"]["budget"]
    assert (seen["left"], seen["running"]) == (NOTHING, 0)


def test_a_killed_miner_leaves_no_bill_and_goes_on_elsewhere(tmp_path: Path) -> None:
    seen = play("killed", tmp_path, within_s=1800, scene=SCENE)
    assert set(seen["ended"]) == {"shut itself down"}
    assert seen["alone_s"] < 240  # a minute alone, a minute to drain, and a crowded machine
    (orphan,) = seen["orphaned"]["clusters"]
    assert (orphan["instances"], len(orphan["templates"]), len(orphan["groups"]), len(orphan["profiles"])) == (
        [],
        1,
        1,
        1,
    )
    assert any("ending what an earlier session left" in line for line in seen["news"])
    assert seen["spent"] == sorted(seen["spent"])
    assert seen["spent"][0] > 0  # what the first session cost
    (cluster,) = seen["between"]["clusters"]
    assert cluster["cluster"] != orphan["cluster"]
    assert len(cluster["instances"]) >= 1
    assert seen["down"] == 0
    assert seen["gone"][0]["ended"]["instances"]
    assert seen["gone"][0]["left"]["instances"] == []
    assert (seen["after"], seen["running"]) == (NOTHING, 0)
    assert seen["code"] == 0
    assert seen["same"]


def test_the_budget_is_never_exceeded_and_the_run_goes_on_elsewhere(tmp_path: Path) -> None:
    seen = play("broke", tmp_path, within_s=1200, scene=SCENE)
    assert (seen["code"], seen["result"]["reason"]) == (6, "budget")
    assert "resume" in seen["result"]["next"]
    assert seen["result"]["evaluated"] > 0
    assert seen["started"] == 1  # the budget bears no second one
    assert 0 < seen["cost"]["spent"] <= 9_500
    assert seen["again"] == [6, seen["cost"]["spent"], 1]
    assert seen["here"] == 0
    assert (seen["left"], seen["running"]) == (NOTHING, 0)
