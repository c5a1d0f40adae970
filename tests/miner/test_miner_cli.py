"""`ltminer` as its users meet it: what it prints where, how it ends, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from made_calls import ARTEFACTS, SMALL, call_main, events, files
from made_runs import TOPIC_FILE, pipeline, text_of
from matplotlib.image import imread

from pipelines.module import to_module
from pipelines.parser import parse_module
from pipelines.spec import call, canonical_text

RIDGE = (call("sklearn.preprocessing.StandardScaler"), call("sklearn.linear_model.Ridge", {"alpha": 7.0}))


def test_a_run_for_machines_is_json_and_nothing_else(finished: tuple[Path, Result]) -> None:
    _, result = finished
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    found = events(result.stdout)
    assert [event["event"] for event in found[:2]] == ["plan", "progress"]
    assert [event["event"] for event in found].count("result") == 1
    final = found[-1]
    assert (final["event"], final["reason"], final["evaluated"], final["machine_dependent"]) == (
        "result",
        "done",
        8,
        [],
    )
    assert sum(len(event.get("outcomes", [])) for event in found) == 8
    assert final["front"][0]["score"] == max(member["score"] for member in final["front"])
    assert final["next"] == ""


def test_a_run_leaves_whole_artefacts_and_nothing_else(finished: tuple[Path, Result], series: str) -> None:
    folder, result = finished
    final, plan = events(result.stdout)[-1], events(result.stdout)[0]
    run = folder / "run"
    assert files(run) == ARTEFACTS
    module = (run / "pipeline.py").read_bytes()
    assert hashlib.sha256(module).hexdigest() == final["block_hash"]
    assert canonical_text(parse_module(module)) == final["front"][0]["text"]
    for fact in (plan["root"], "made (ohlcv-1h, 1 bars ahead)", "standard-1", "scikit-learn 1."):
        assert fact in " ".join(module.decode().split())
    for name in final["pictures"]:
        assert np.ptp(imread(name)) > 0
    report = json.loads((run / "report.json").read_text())
    assert report["block_hash"] == final["block_hash"]
    assert {**report, **final["report"]} == report
    assert [line["name"] for line in report["scores"]] == ["winner", "ridge", "last-value reversal", "zero"]
    assert report["scores"][0]["walk_forward"] == pytest.approx(final["front"][0]["score"], abs=2e-9)
    assert report["scores"][3]["folds"] == [0.0] * 5
    everything = [path for path in folder.rglob("*") if path.name.startswith(".") or path.suffix in {".tmp", ".new"}]
    assert everything == []


def test_resuming_a_finished_run_gives_the_same_again(
    finished: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = finished
    monkeypatch.setenv("LONGTAIL_HOME", str(folder / "home"))
    before = (folder / "run" / "pipeline.py").read_bytes()
    (listed,) = json.loads(call_main("runs", "--json").stdout)
    assert (listed["evaluated"], listed["topic"], listed["folder"]) == (8, "made", str(folder / "run"))
    again = call_main("resume", listed["run"], "--json")
    assert again.exit_code == 0, again.output
    assert events(again.stdout)[-1]["front"] == events(result.stdout)[-1]["front"]
    assert (folder / "run" / "pipeline.py").read_bytes() == before
    assert files(folder / "run") == ARTEFACTS
    text = call_main("runs")
    assert "8/8  best +" in text.stdout


def test_a_run_for_people_speaks_on_stderr(series: str, topic: str, home: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.py"
    known.write_text(to_module(pipeline(*RIDGE), title="known", facts={}))
    options = (*SMALL, "--start-from", str(known), "--time-budget", "none")
    result = call_main("--data", series, "--topic", topic, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    for words in (
        "untouched  2020-",
        "1 known pipelines first",
        "8/8 (",
        "mean day score",
        "verdict",
        "sha256",
        "2 slots",
    ):
        assert words in result.stderr
    (run,) = (home / "state" / "runs").iterdir()
    assert f"ltminer resume {run.name}\n" in result.stderr
    assert files(run) == ARTEFACTS
    with closing(sqlite3.connect(run / "journal.sqlite")) as db:
        assert db.execute("SELECT text, origin FROM candidates WHERE k = 0").fetchone() == (text_of(*RIDGE), "known")


def test_the_dry_run_shows_the_plan_and_leaves(series: str, topic: str, home: Path, tmp_path: Path) -> None:
    words = ("--data", series, "--topic", topic, "--out", str(tmp_path / "out"), "--dry-run")
    plain, machine = call_main(*words), call_main(*words, "--json")
    assert plain.exit_code == machine.exit_code == 0
    assert plain.stdout == ""
    for label in ("data", "topic", "untouched", "search", "budget", "cluster", "results", "resume"):
        assert f"{label}  " in plain.stderr
    (plan,) = events(machine.stdout)
    assert plan["event"] == "plan"
    assert plan["cluster"] == "pool"
    attached = call_main(*words, "--cluster", "tcp://127.0.0.1:9", "--json")  # nobody is asked yet
    assert events(attached.stdout)[0]["resume"] == f"ltminer resume {tmp_path / 'out'} --cluster tcp://127.0.0.1:9"
    assert not (tmp_path / "out").exists()
    assert not (home / "state").exists()


def test_topics_doctor_and_runs(home: Path) -> None:
    (home / "config" / "topics").mkdir(parents=True)
    (home / "config" / "topics" / "made.toml").write_text(TOPIC_FILE)
    names = [topic["name"] for topic in json.loads(call_main("topics", "--json").stdout)]
    assert {"us-daily", "made"} <= set(names)
    assert "made  ohlcv-1h  synthetic  1 bars" in call_main("topics").stdout
    assert json.loads(call_main("runs", "--json").stdout) == []
    assert "no runs yet; start one with `ltminer`" in call_main("runs").stderr
    plain, machine = call_main("doctor"), call_main("doctor", "--json")
    assert plain.exit_code == machine.exit_code == 0
    assert "ok  python" in plain.stdout
    assert {finding["state"] for finding in json.loads(machine.stdout)} <= {"ok", "warning"}
    (home / "config" / "longtail.toml").write_text('data = "/no/such/place"\n')
    sick = call_main("doctor", "--json")
    assert sick.exit_code == 3
    assert [finding["name"] for finding in json.loads(sick.stdout) if finding["state"] == "error"] == ["data"]
    assert files(home) == {"config"}, "looking writes nothing"


# --- as a process


COMMAND = [sys.executable, "-W", "ignore", "-c", "from miner.cli import main; main()"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_once_it_ends_with_130_and_can_be_resumed(
    series: str, topic: str, home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    words = ["--data", series, "--topic", topic, "--json", "--space", "ridge", "--evaluations", "24", "--no-record"]
    run = str(tmp_path / "run")
    with subprocess.Popen(
        [*COMMAND, *words, "--out", run], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if json.loads(line).get("evaluated", 0) >= 3:
                process.send_signal(number)
                break
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    final = events("".join(lines) + rest)[-1]
    assert (final["event"], final["reason"], final["next"]) == ("result", "interrupted", f"ltminer resume {run}")
    assert 3 <= final["evaluated"] < 24
    assert final["front"]
    assert files(Path(run)) == {"evaluations.log", "journal.lock", "journal.sqlite"}
    if number == signal.SIGINT:
        return
    resumed = call_main("resume", run, "--json")
    assert resumed.exit_code == 0, resumed.output
    whole = call_main(*words, "--out", str(tmp_path / "whole"))
    assert events(resumed.stdout)[-1]["front"] == events(whole.stdout)[-1]["front"]
    assert files(Path(run)) == files(tmp_path / "whole") == ARTEFACTS


def test_the_bundled_sample_end_to_end(home: Path, tmp_path: Path) -> None:
    words = ["--space", "ridge", "--evaluations", "5", "--population", "4", "--out", str(tmp_path / "run"), "--json"]
    environment = {**os.environ, "LONGTAIL_HOME": str(home)}
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    final = events(done.stdout)[-1]
    module = tmp_path / "run" / "pipeline.py"
    assert hashlib.sha256(module.read_bytes()).hexdigest() == final["block_hash"]
    code = "import runpy, sys; print(type(runpy.run_path(sys.argv[1])['exported_pipeline']).__name__)"
    ran = subprocess.run([sys.executable, "-c", code, str(module)], capture_output=True, text=True, check=True)
    assert ran.stdout == "Pipeline\n"
    for name in final["pictures"]:
        assert np.ptp(imread(name)) > 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["evaluated"] == 5
    assert report["held_out_span"][1].startswith("2022-12")
    assert len(report["scores"]) == 4
    assert files(tmp_path / "run") == ARTEFACTS
