"""Copies of runs in a bucket: whole, never somebody else's, never in the way; and going on from one on another machine."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_calls import SMALL, call_main, events, failed
from made_runs import ShufflingExecutor, config_of, front_of, searched

from benchmarks.loopback_s3 import LoopbackS3
from infra.objects import Objects
from infra.settings import Settings
from miner import snapshots as module
from miner.journal import Journal, copy_of
from miner.runs import link_run, name_of_run
from miner.snapshots import COPY_NAME, locate_run, snapshots
from protocol.errors import ClusterError, ConfigError

pytest.importorskip("boto3")


@pytest.fixture(autouse=True)
def _quickly(home: Path, s3: LoopbackS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, copies every few milliseconds, and one try per request."""
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("infra.objects.PAUSE_S", 0)


class Told:
    """A view that remembers what it was told."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.ends: list[str] = []

    def event(self, name: str, facts: dict[str, Any], lines: Sequence[tuple[str, str]]) -> None:
        assert name == "copy"
        if facts["problem"]:
            self.problems.append(facts["problem"])
        else:
            self.ends.append(facts["uri"])


def run_in(home: Path, name: str = "run") -> Path:
    folder = home / "state" / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def partly(folder: Path, space: Any, until: int, seed: int = 0, **changes: Any) -> None:
    """Search until so many outcomes are in."""
    calls = 0

    def interrupted() -> bool:
        nonlocal calls
        calls += 1
        with closing(Journal.open(folder)) as journal:
            return len(journal.outcomes()) >= until

    searched(config_of(**changes), space, folder, ShufflingExecutor(3, seed), interrupted=interrupted)


def copied(folder: Path, bucket: str) -> Told:
    told = Told()
    with snapshots(bucket, told) as follow:  # type: ignore[arg-type]  # all of a view that is needed
        follow(folder)
    return told


def waited(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def outcomes_at(place: Objects, name: str = "run") -> int:
    there = place.get(f"runs/{name}/{COPY_NAME}")
    if there is None:
        return -1
    with module.unpacked(there[0], "it") as journal:
        return len(journal.outcomes())


def test_without_a_bucket_nothing_is_copied(home: Path, s3: LoopbackS3, space: Any) -> None:
    folder = run_in(home)
    partly(folder, space, 3)
    told = copied(folder, "")
    assert (told.problems, told.ends, s3.requests) == ([], [], [])


def test_a_run_goes_on_elsewhere_to_the_same_front(
    home: Path, bucket: str, space: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = front_of(searched(config_of(), space, tmp_path / "whole", ShufflingExecutor(3, 5)))
    folder, place, told = run_in(home), Objects(bucket), Told()
    partly(folder, space, 4)
    with snapshots(bucket, told) as follow:  # type: ignore[arg-type]  # all of a view that is needed
        follow(folder)
        waited(lambda: outcomes_at(place) >= 4)
        partly(folder, space, 15)
        waited(lambda: outcomes_at(place) >= 15)  # while it goes on
        partly(folder, space, 20)
    assert (told.problems, told.ends) == ([], [f"{bucket}/runs/run"])
    assert outcomes_at(place) >= 20
    for number, run in enumerate(("run", f"{bucket}/runs/run", f"{bucket}/runs/run/")):
        monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / f"elsewhere{number}"))
        there, settings = locate_run(run, Settings(bucket=bucket if run == "run" else ""))
        assert (settings.bucket, there) == (bucket, tmp_path / f"elsewhere{number}" / "state" / "runs" / "run")
        assert front_of(searched(config_of(), space, there, ShufflingExecutor(2, number))) == whole
    assert copied(there, bucket).problems == []
    monkeypatch.setenv("LONGTAIL_HOME", str(home))
    assert locate_run("run", Settings())[0] == folder  # as it is here
    assert locate_run(f"{bucket}/runs/run", Settings())[0] == folder  # and with what was done elsewhere
    with closing(Journal.open(folder)) as own:
        assert len(own.outcomes()) == 40
    assert front_of(searched(config_of(), space, folder, ShufflingExecutor(4, 9))) == whole


def test_nothing_is_copied_that_has_not_changed(home: Path, bucket: str, space: Any, s3: LoopbackS3) -> None:
    folder, told = run_in(home), Told()
    partly(folder, space, 4)
    with snapshots(bucket, told) as follow:  # type: ignore[arg-type]  # all of a view that is needed
        follow(folder)
        time.sleep(0.3)
    assert [line.partition(" ")[0] for line in s3.requests] == ["GET", "PUT"]
    assert copy_of(folder) == copy_of(folder)


def test_of_two_coordinators_one_goes_on_copying(
    home: Path, bucket: str, space: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place, told = run_in(home), Objects(bucket), Told()
    partly(folder, space, 6)
    with snapshots(bucket, told) as follow:  # type: ignore[arg-type]  # all of a view that is needed
        follow(folder)
        waited(lambda: outcomes_at(place) >= 6)
        monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "elsewhere"))
        there, _ = locate_run(f"{bucket}/runs/run", Settings())
        partly(there, space, 12, seed=1)
        assert copied(there, bucket).problems == []
        theirs = place.get(f"runs/run/{COPY_NAME}")
        partly(folder, space, 9, seed=2)
        waited(lambda: told.problems)
        partly(folder, space, 30, seed=2)
    assert len(told.problems) == 1
    assert f"another coordinator of this run writes the copy at {bucket}/runs/run" in told.problems[0]
    assert told.ends == []
    assert place.get(f"runs/run/{COPY_NAME}") == theirs
    late = copied(there, bucket)
    assert late.problems == []
    assert place.get(f"runs/run/{COPY_NAME}") == theirs


def test_a_copy_with_more_in_it_is_left_and_another_run_of_that_name_too(
    home: Path, bucket: str, space: Any, tmp_path: Path
) -> None:
    folder, behind, other = run_in(home), run_in(tmp_path / "b"), run_in(tmp_path / "c")
    partly(folder, space, 12)
    partly(behind, space, 5, seed=3)
    partly(other, space, 30, seed=4)
    with closing(sqlite3.connect(other / "journal.sqlite")) as db:
        db.execute("DELETE FROM outcomes WHERE k = 0")
        db.commit()
    assert copied(folder, bucket).problems == []
    there = Objects(bucket).get(f"runs/run/{COPY_NAME}")
    for wrong in (behind, other):
        told = copied(wrong, bucket)
        assert told.problems == [
            f"the copy at {bucket}/runs/run has what this run lacks and stays; "
            f"`ltminer resume {bucket}/runs/run` goes on from it"
        ]
        assert told.ends == []
    assert Objects(bucket).get(f"runs/run/{COPY_NAME}") == there
    run_in(home, "run").joinpath("journal.sqlite").write_bytes(copy_of(other))
    for rest in ("-wal", "-shm"):
        folder.joinpath(f"journal.sqlite{rest}").unlink(missing_ok=True)
    with pytest.raises(ConfigError, match=r"went different ways; `ltminer resume .*run` goes on with the run here"):
        locate_run(f"{bucket}/runs/run", Settings())


def test_an_unreachable_bucket_is_told_once_and_made_up_for(
    home: Path, bucket: str, space: Any, s3: LoopbackS3
) -> None:
    folder, place, told = run_in(home), Objects(bucket), Told()
    partly(folder, space, 4)
    with snapshots(bucket, told) as follow:  # type: ignore[arg-type]  # all of a view that is needed
        follow(folder)
        waited(lambda: outcomes_at(place) >= 4)
        s3.refusing = True
        partly(folder, space, 8)
        waited(lambda: told.problems)
        asked = len(s3.requests)
        waited(lambda: len(s3.requests) > asked + 3)
        assert len(told.problems) == 1
        assert "this run is not copied: cannot write" in told.problems[0]
        assert told.problems[0].endswith("the run goes on, and it is tried again")
        s3.refusing = False
        waited(lambda: outcomes_at(place) >= 8)
        s3.refusing = True
        partly(folder, space, 12)
    assert told.problems[-1].endswith("it is in this home only")
    assert told.ends == []
    s3.refusing = False
    assert copied(folder, bucket).ends == [f"{bucket}/runs/run"]


def test_a_copy_whose_answer_was_lost_is_ones_own(home: Path, bucket: str, space: Any, s3: LoopbackS3) -> None:
    folder, place, told = run_in(home), Objects(bucket), Told()
    partly(folder, space, 4)
    with snapshots(bucket, told) as follow:  # type: ignore[arg-type]  # all of a view that is needed
        follow(folder)
        for until in (8, 12, 16):
            waited(lambda least=until - 4: outcomes_at(place) >= least)
            s3.losing = [True]  # carried out, but a failure to whoever asked
            partly(folder, space, until)
            waited(lambda: not s3.losing)
    assert all("this run is not copied" in problem for problem in told.problems)
    assert told.ends == [f"{bucket}/runs/run"]
    assert outcomes_at(place) >= 16


def test_bad_copies_and_addresses(
    home: Path, bucket: str, space: Any, s3: LoopbackS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, good = Objects(bucket), gzip.compress(b"no database at all" * 400)
    for name, content in {"torn": good[:50], "text": b"text", "other": good}.items():
        place.create(f"runs/{name}/{COPY_NAME}", content)
        with pytest.raises(
            ConfigError, match=rf"the copy at {bucket}/runs/{name} is damaged: .*; resume the run where"
        ):
            locate_run(f"{bucket}/runs/{name}", Settings())
        assert not (home / "state" / "runs" / name).exists()
    with pytest.raises(ConfigError, match=rf"no run at {bucket}/runs/absent; check"):
        locate_run("absent", Settings(bucket=bucket))
    with pytest.raises(ConfigError, match="no run 'absent'; `ltminer runs` lists them"):
        locate_run("absent", Settings())
    for wrong in (bucket, f"{bucket}/runs/", f"{bucket}/runs/..", f"{bucket}/runs/a/b", "s3://runs/x"):
        with pytest.raises(ConfigError, match="write s3://BUCKET/PATH"):
            locate_run(wrong, Settings())
    with pytest.raises(ConfigError, match="write s3://BUCKET/PATH"), snapshots("bucket/path", Told()):  # type: ignore[arg-type]
        pass
    s3.refusing = True
    with pytest.raises(ClusterError, match="check address, credentials and network"):
        locate_run(f"{bucket}/runs/torn", Settings())


def test_runs_in_folders_of_their_own_are_copied_by_their_listed_name(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "chosen"
    folder.mkdir()
    assert name_of_run(folder) == "chosen"
    link_run(folder)
    (link,) = (home / "state" / "runs").iterdir()
    assert name_of_run(folder) == name_of_run(link) == link.name


def test_whole_runs_by_command(  # noqa: PLR0917  # fixtures
    bucket: str, series: str, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: LoopbackS3
) -> None:
    monkeypatch.setenv("LONGTAIL_BUCKET", f"{bucket}/mine")
    result = call_main("--data", series, "--topic", topic, *SMALL, "--json")
    assert result.exit_code == 0, result.output
    told = {one["event"]: one for one in events(result.stdout)}
    uri = told["copy"]["uri"]
    assert told["copy"]["problem"] is None
    place, name = Objects(f"{bucket}/mine"), uri.rpartition("/")[2]
    for file in (COPY_NAME, "pipeline.py", "report.json", "equity.png", "search.png"):
        assert place.get(f"runs/{name}/{file}"), file
    moved = tmp_path / "moved.parquet"
    moved.write_bytes(Path(series).read_bytes())
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("LONGTAIL_BUCKET")
    again = call_main("resume", uri, "--data", str(moved), "--workers", "2", "--json")
    assert again.exit_code == 0, again.output
    other = {one["event"]: one for one in events(again.stdout)}
    assert other["result"]["front"] == told["result"]["front"]
    assert other["result"]["block_hash"] == told["result"]["block_hash"]
    assert other["copy"] == told["copy"]
    module_uri = f"{bucket}/mine/modules/{told['result']['block_hash']}.py"
    submitted = call_main("submit", module_uri, "--topic", topic, "--data", series, "--json")
    failed(submitted, 3, "a submission names its topic")  # it was read and parsed
    failed(call_main("submit", f"{module_uri[:-4]}0.py", "--topic", topic), 3, "does not exist")
    failed(call_main("submit", f"{bucket}/mine/pipeline.py", "--topic", topic), 3, "must be the sha256")
    failed(call_main("resume", f"{bucket}/mine/runs/absent"), 3, "no run at")
    s3.refusing = True
    failed(call_main("resume", uri.replace("mine", "mine/x")), 4, "check address, credentials and network")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    failed(call_main("resume", uri.replace("mine", "mine/x")), 3, "no AWS credentials")


@pytest.mark.slow
def test_a_coordinator_that_is_killed_is_continued_on_another_machine(
    bucket: str, series: str, topic: str, tmp_path: Path
) -> None:
    """Machine after machine dies by SIGKILL; what the last one ends with is what one that never died does."""
    start = "import sys; from miner import snapshots; snapshots.PERIOD_S = 0.2; from miner.cli import main; main(sys.argv[1:])"
    options = ["--space", "ridge", "--evaluations", "24", "--population", "6", "--window", "4", "--no-record"]
    mine = ["--data", series, "--topic", topic, *options, "--workers", "2", "--time-budget", "none", "--json"]

    def machine(name: str, words: list[str], copying: bool) -> subprocess.Popen[str]:
        environment = {**os.environ, "LONGTAIL_HOME": str(tmp_path / name), "AWS_MAX_ATTEMPTS": "3"}
        if copying:
            environment["LONGTAIL_BUCKET"] = bucket
        command = [sys.executable, "-c", start, *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)

    def front(output: str) -> Any:
        return [json.loads(line) for line in output.splitlines() if '"result"' in line][-1]["front"]

    whole = front(machine("whole", mine, copying=False).communicate()[0])
    words, place, name = mine, Objects(bucket), ""
    for number, least in enumerate((5, 11, 17)):
        process = machine(f"machine{number}", words, copying=True)
        assert process.stdout is not None
        plan = json.loads(process.stdout.readline())
        name = name or Path(plan["folder"]).name
        waited(lambda least=least, name=name: outcomes_at(place, name) >= least)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        words = ["resume", f"{bucket}/runs/{name}", "--workers", "2", "--time-budget", "none", "--json"]
    assert front(machine("last", words, copying=True).communicate()[0]) == whole
