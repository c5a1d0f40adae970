from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.alerts import GRACE_S, LATE_SIGNATURES, all_alerts, due
from dashboard.sample import SampleView, State
from dashboard.view import Alert, Snapshot
from protocol.head.schedule import PERIOD_S


def titles(snapshot: Snapshot, now: float, *, live: bool = True) -> list[str]:
    return [one.title for one in all_alerts(snapshot, now, live=live) if one.title != "Example data"]


def sample(state: State = "ordinary") -> Snapshot:
    return SampleView(state).snapshot()


def test_a_head_is_stale_only_after_its_successor_was_due() -> None:
    snapshot = sample()
    expected = due(snapshot)
    assert expected is not None
    assert titles(snapshot, expected + GRACE_S) == []
    assert titles(snapshot, expected + GRACE_S + 1) == ["The HEAD is stale"]
    assert titles(snapshot, expected + 10**6, live=False) == []


def test_a_clock_that_jumped_back_is_said() -> None:
    snapshot = sample()
    assert snapshot.newest is not None
    assert titles(snapshot, snapshot.newest * PERIOD_S - GRACE_S) == []
    assert titles(snapshot, snapshot.newest * PERIOD_S - GRACE_S - 1) == ["Clock behind the network"]


def test_a_missing_quorum_names_who_has_not_signed() -> None:
    snapshot = sample("alert")
    assert snapshot.head
    late = snapshot.head.made_at + GRACE_S
    (alert,) = (one for one in all_alerts(snapshot, late, live=True) if one.title == "Quorum missing")
    assert alert.level == "critical"
    assert "41.0" in alert.text
    for address in snapshot.head.unsigned:
        assert address[:6] in alert.text
    nobody = replace(snapshot, head=replace(snapshot.head, stake_total=0, unsigned=()))
    assert any("nobody is registered" in one.text for one in all_alerts(nobody, late, live=False))


def test_signatures_have_a_moment_unless_several_heads_lack_them() -> None:
    snapshot = sample("alert")
    assert snapshot.head
    young = snapshot.head.made_at + GRACE_S - 1
    made = [replace(one, state="signed") for one in snapshot.past if one.block]
    for pending, told in ((1, False), (LATE_SIGNATURES, False), (LATE_SIGNATURES + 1, True)):
        past = tuple(replace(one, state="pending") if n < pending else one for n, one in enumerate(made))
        assert ("Quorum missing" in titles(replace(snapshot, past=past), young)) == told


@pytest.mark.parametrize(("count", "title"), [(0, "No model speaks"), (1, "Only one model speaks")])
def test_a_small_fleet_is_said(count: int, title: str) -> None:
    snapshot = sample()
    assert snapshot.head
    assert titles(replace(snapshot, models=snapshot.models[:count]), snapshot.head.made_at) == [title]


def test_absent_models_do_not_count_as_speaking_and_are_named() -> None:
    snapshot = sample()
    assert snapshot.head
    silent = tuple(replace(one, role="absent", note="all values NaN") for one in snapshot.models)
    found = all_alerts(replace(snapshot, models=silent), snapshot.head.made_at, live=True)
    assert [one.title for one in found if one.title != "Example data"] == ["No model speaks", "9 models absent"]
    assert "all values NaN" in found[-1].text
    assert "6 more" in found[-1].text


def test_no_head_yet_is_no_fault() -> None:
    (alert,) = all_alerts(Snapshot("n"), 0, live=True)
    assert (alert.level, alert.title) == ("info", "No HEAD yet")


def test_the_gravest_comes_first() -> None:
    given = (Alert("info", "i", "."), Alert("critical", "c", "."), Alert("warning", "w", "."))
    found = all_alerts(Snapshot("n", alerts=given), 0, live=False)
    assert [one.title for one in found] == ["c", "w", "i"]
