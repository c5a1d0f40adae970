"""The plan, and durations as people write them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import TOPIC, real_config

from data.panel import load_panel
from data.splits import walk_forward
from miner.plan import DECIDING_LIBRARIES, Plan, library_versions, parse_duration
from protocol.errors import UsageError


@given(st.integers(1, 10_000), st.sampled_from("smhd"))
def test_durations_are_seconds(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == number * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[unit]


def test_none_is_no_limit_and_fractions_count() -> None:
    assert parse_duration("none") is None
    assert parse_duration("1.5m") == 90.0
    assert parse_duration(" 2h ") == 7200.0


@pytest.mark.parametrize("text", ["0s", "0.0m", "", "s", "5", "-5m", "5 m", "5w", "4m30s", "inf", "nans", "1e3s", "٤m"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration above zero; write 90s, 4m, 2h, 1d or none") as caught:
        parse_duration(text)
    assert caught.value.exit_code == 2


def test_a_run_is_tied_to_versions() -> None:
    versions = library_versions()
    assert set(versions) == set(DECIDING_LIBRARIES)
    assert all(versions.values())


def plan_of(series: str, folder: Path, **changes: Any) -> Plan:
    panel = load_panel(series, None, TOPIC)
    split = walk_forward(panel.time, horizon=1)
    config = real_config(series, **changes)
    return Plan(config, panel, split, "pool", 2, 90.0, folder / "out", "ltminer resume out", adapt_window=True)


def test_the_window_grows_with_the_cluster_unless_it_was_chosen(series: str, tmp_path: Path) -> None:
    plan = plan_of(series, tmp_path, window=16)
    assert [plan.widened(slots).config.window for slots in (1, 8, 9, 100)] == [16, 16, 18, 200]
    long = replace(plan, config=replace(plan.config, evaluations=100_000))
    assert [long.widened(slots).config.window for slots in (8, 9, 100, 1000)] == [16, 72, 800, 6250]
    chosen = replace(plan, adapt_window=False)
    assert chosen.widened(100) is chosen


def test_the_plan_says_what_goes_where(series: str, tmp_path: Path) -> None:
    plan = plan_of(series, tmp_path, start_from=("x", "y"))
    said = plan.to_dict()
    assert json.loads(json.dumps(said)) == said
    assert said["span"] == ["2020-01-08T00:00", "2020-02-07T09:00"]
    assert said["held_out"][1] == said["span"][1]
    assert len(said["folds"]) == 5
    assert all(
        before[1] < after[0]
        for before, after in zip(said["folds"], [*said["folds"][1:], said["held_out"]], strict=True)
    )
    assert (said["rows"], said["known_pipelines"], said["workers"]) == (len(plan.panel.time), 2, 2)
    lines = dict(plan.lines())
    assert lines["budget"] == "40 evaluations, at most 90 s"
    assert lines["resume"] == "ltminer resume out"
    assert lines["results"] == str(tmp_path / "out")
    assert "2 known pipelines first" in lines["search"]
    assert lines["series"].startswith("S000, S001")
    attached = replace(plan, cluster="tcp://there:1", time_budget_s=None)
    assert attached.to_dict()["workers"] is None
    assert dict(attached.lines())["cluster"] == "tcp://there:1"
    assert "no time limit" in dict(attached.lines())["budget"]
