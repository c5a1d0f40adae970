"""The three views: what machines parse, what people read, and text that tries to be markup."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import TOPIC, real_config, text_of
from test_plots import report_of

from data.panel import load_panel
from data.splits import walk_forward
from infra.executor import Account
from miner import view as module
from miner.candidate import Candidate
from miner.engine import Snapshot
from miner.outcome import Outcome
from miner.plan import Plan
from miner.search import Member, PruningCount
from miner.view import JsonView, LineView, LiveView, duration, open_view, score_table
from pipelines.spec import call

TEXT = text_of(call("sklearn.preprocessing.StandardScaler"), call("sklearn.linear_model.Ridge"))
GOOD = Outcome(3, "ok", (0.02,) * 5, (0.1,) * 5, (5,) * 5, 1.5)
BAD = Outcome(4, "failed", reason="ValueError: [/red] [bold] array([1, 2]) [/]")
MEMBER = Member(Candidate(3, TEXT, "random", 2.0, 20.0, (), False), None, GOOD)
SNAPSHOT = Snapshot(
    evaluated=2,
    evaluations=9,
    statuses={"ok": 1, "failed": 1},
    reasons={f"failed: {BAD.reason}": 1},
    elapsed_s=4.2,
    eta_s=15.0,
    cpu_s=3.25,
    slots=2,
    in_flight=3,
    resubmitted=1,
    front=[MEMBER],
    best=0.02,
    pruning=PruningCount(),
    latest=(GOOD, BAD),
    account=None,
    news=(),
)
EMPTY = replace(SNAPSHOT, evaluated=0, statuses={}, reasons={}, eta_s=math.nan, front=[], best=math.nan, latest=())


@pytest.fixture
def plan(series: str) -> Plan:
    panel = load_panel(series, None, TOPIC)
    config = real_config(series)
    return Plan(
        config, panel, walk_forward(panel.time, horizon=1), "pool", 2, None, Path("/x [red]/y"), "ltminer resume y"
    )


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in stream.getvalue().splitlines()]


def test_every_line_for_machines_is_one_json_object(plan: Plan) -> None:
    stream = io.StringIO()
    view = JsonView(stream)
    view.plan(plan)
    view.note("for people only")
    view.progress(EMPTY)
    view.progress(SNAPSHOT)
    view.progress(replace(SNAPSHOT, in_flight=0, latest=()))
    view.result({"ended": "all", "front": []}, report_of(9))
    view.result({"ended": "interrupted"}, None)
    view.close()
    plan_line, progress, last, result, without = lines_of(stream)
    assert plan_line["event"] == "plan"
    assert plan_line["root"] == plan.config.data_root
    assert progress["event"] == last["event"] == "progress"
    assert [(each["k"], each["status"], each["score"]) for each in progress["outcomes"]] == [
        (3, "ok", 0.02),
        (4, "failed", None),
    ]
    assert progress["outcomes"][1]["reason"] == BAD.reason
    assert result["report"]["scores"][0]["name"] == "winner"
    assert without["report"] is None


def test_plain_lines_come_in_batches() -> None:
    stream = io.StringIO()
    view = LineView(stream)
    view.progress(EMPTY)
    for evaluated in range(1, 31):
        view.progress(replace(SNAPSHOT, evaluated=evaluated, elapsed_s=evaluated / 10))
    assert [line.split("/")[0] for line in stream.getvalue().splitlines()] == ["10", "20", "30"]
    view.progress(replace(SNAPSHOT, evaluated=31, elapsed_s=40.0))
    assert (
        stream.getvalue().splitlines()[-1].startswith("31/9 (1 failed, 1 scored), best +0.0200, 40 s gone, about 15 s")
    )
    view.progress(replace(SNAPSHOT, evaluated=32, in_flight=0, best=math.nan, elapsed_s=41.0))
    assert "none scored yet" in stream.getvalue().splitlines()[-1]
    count = len(stream.getvalue())
    view.progress(replace(SNAPSHOT, evaluated=32, in_flight=0, elapsed_s=99.0))
    assert len(stream.getvalue()) == count, "the end is shown once"


def test_what_machines_cost_and_what_became_of_them_is_shown(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    paid = replace(
        SNAPSHOT, evaluated=10, account=Account(1_250_000, 300_000, 2_000_000, False, {}), news=("it [came]",)
    )
    plain, machine = io.StringIO(), io.StringIO()
    LineView(plain).progress(paid)
    first, second = plain.getvalue().splitlines()
    assert first == "it [came]"
    assert second.endswith("2 slots, $1.25 of at most $2.00, $0.3000 an hour now")
    JsonView(machine).progress(replace(paid, latest=()))
    (line,) = lines_of(machine)
    assert line["cost"] == {"spent": 1_250_000, "rate": 300_000, "budget": 2_000_000}
    assert line["news"] == ["it [came]"]
    live = LiveView()
    live.progress(paid)
    live.close()
    assert "it [came]" in capsys.readouterr().err


def test_a_reader_who_left_is_no_error(plan: Plan) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    view = LineView(Gone())
    view.plan(plan)
    view.progress(replace(SNAPSHOT, evaluated=10))


def test_the_live_view_shows_text_as_it_is(plan: Plan) -> None:
    """Reasons and paths hold square brackets, which rich would take for markup."""
    from rich.console import Console

    screen = io.StringIO()
    view = LiveView()
    view._console = Console(file=screen, width=200, force_terminal=True, color_system=None)
    view._stream = screen
    view.plan(plan)
    assert "/x [red]/y" in screen.getvalue()
    view.progress(EMPTY)
    view.progress(SNAPSHOT)
    view._console.print(view._picture(SNAPSHOT))
    shown = screen.getvalue()
    assert BAD.reason in shown
    for words in ("Pareto front", "StandardScaler > Ridge", "+0.0200", "2/9", "2 slots, 3 in flight, 1 restarted"):
        assert words in shown
    view.result({"ended": "all tried", "pictures": ["a.png", "b.png"], "pruning": ""}, report_of(9))
    assert view._live is None
    assert "a.png, b.png" in screen.getvalue()
    view.close()


def test_the_view_fits_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_view(True), JsonView)
    assert type(open_view(False)) is LineView
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(open_view(False), LiveView)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1m 00s"), (3599, "59m 59s"), (3725, "1h 02m"), (math.nan, "?")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_table_lines_up() -> None:
    rows = score_table(report_of(9)).splitlines()
    assert len(rows) == 5
    assert len({len(row) for row in rows}) == 1
    assert rows[1].startswith("winner  ")


def test_what_passes_is_a_line_now_and_then_a_line_rewritten_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    lines, machine = io.StringIO(), io.StringIO()
    plain = LineView(lines)
    for seconds, text in ((0.0, "first"), (1.0, "second"), (20.0, "third")):
        now[0] += seconds
        plain.passing(text)
        JsonView(machine).passing(text)
    assert lines.getvalue() == "first\nthird\n"
    assert machine.getvalue() == ""


def test_on_a_terminal_what_passes_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    view = LiveView()
    for text in ("first [/red]", "second"):
        view.passing(text)
    view.note("stays")
    view.close()
    assert capsys.readouterr().err.endswith("stays\n")


def test_what_comes_after_the_run_is_lines_for_people_and_an_event_for_machines() -> None:
    lines, machine = io.StringIO(), io.StringIO()
    for view in (LineView(lines), JsonView(machine)):
        view.event("judgement", {"phase": "refused"}, [("refused", "not better")])
    assert lines.getvalue() == "   refused  not better\n"
    assert json.loads(machine.getvalue()) == {"event": "judgement", "phase": "refused"}
