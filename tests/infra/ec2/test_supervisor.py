"""When an instance ends, and what becomes of its workers until then: rules by example, processes for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dask
import psutil
import pytest
from dask.utils import parse_timedelta

from infra import dask_settings
from infra.dask_settings import FAR_CLUSTER, OWN_CLUSTER, as_environment, files_needed
from infra.ec2 import supervisor
from infra.ec2.state import BUSY, CONNECTED, State
from infra.ec2.supervisor import Limits, reason_to_end, supervise, worker_command, worker_environment

LIMITS = Limits(lost_s=100, idle_s=50, lifetime_s=1000)
CONFIG = {
    "scheduler": "tls://h:1",
    "workers": 3,
    "region": "eu-central-1",
    "endpoint": "https://s3.eu-central-1.amazonaws.com",
    "dask": {"distributed.comm.timeouts.tcp": "17s"},
}


@pytest.mark.parametrize(
    ("now", "joined", "connected", "busy", "why"),
    [
        (1, None, None, None, None),
        (99, None, None, None, None),
        (100, None, None, None, "no scheduler for 100 s"),
        (100, 60, 99, None, None),
        (110, 60, 109, None, "idle for 50 s"),
        (110, 60, 109, 61, None),
        (111, 60, 110, 61, "idle for 50 s"),
        (199, 60, 100, 160, None),
        (200, 60, 100, 160, "no scheduler for 100 s"),
        (999, 60, 998, 998, None),
        (1000, 60, 999, 999, "lifetime of 1000 s is over"),
    ],
)
def test_reasons(
    now: float, joined: float | None, connected: float | None, busy: float | None, why: str | None
) -> None:
    assert reason_to_end(LIMITS, now=now, started=0, joined=joined, connected=connected, busy=busy) == why


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(supervisor, "RESTART_S", 0.05)
    monkeypatch.setattr(supervisor, "POLL_S", 0.05)
    return State(tmp_path / "state")


def starter(code: str, state: State) -> tuple[Callable[[], subprocess.Popen[bytes]], list[subprocess.Popen[bytes]]]:
    """Return how to start a worker that runs `code`, and what was started."""
    started: list[subprocess.Popen[bytes]] = []
    head = "import time, sys, subprocess; from pathlib import Path; from infra.ec2.state import State; "
    head += f"s = State(Path({str(state.folder)!r})); "

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", head + code], start_new_session=True))
        return started[-1]

    return start, started


def test_workers_that_end_without_a_reason_are_started_again(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_STARTS", 3)
    start, started = starter("sys.exit(1)", state)
    assert supervise(start, state, LIMITS) == "workers ended 3 times and never reached the scheduler"
    assert len(started) == 3


def test_a_worker_that_leaves_for_a_reason_ends_the_instance(state: State) -> None:
    start, started = starter("s.mark('connected'); s.ended('spot terminate')", state)
    assert supervise(start, state, LIMITS) == "spot terminate"
    assert len(started) == 1


def test_workers_are_asked_to_leave_and_killed_if_they_do_not(state: State) -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    start, started = starter(child + "\nwhile True: s.mark('connected'); time.sleep(0.02)", state)
    seen: list[object] = []
    threading.Timer(1.5, lambda: seen.append([len(psutil.Process(started[0].pid).children())])).start()
    assert supervise(start, state, Limits(60, 2.0, 60), drain_s=0.3) == "idle for 2 s"
    drain = state.drain()
    assert drain is not None and drain[0] == "idle for 2 s"
    assert seen == [[1]]
    assert all(process.returncode == -9 for process in started)
    code = "import time; time.sleep(60)"
    assert [sys.executable, "-c", code] not in [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])]


def test_an_instance_that_works_is_not_idle(state: State) -> None:
    start, _ = starter(
        "\nfor _ in range(20): s.mark('connected'); s.mark('busy'); time.sleep(0.05)\ns.ended('over')", state
    )
    assert supervise(start, state, Limits(60, 0.5, 60)) == "over"


def test_state_survives_nonsense(state: State) -> None:
    assert (state.marked(CONNECTED), state.drain(), state.why_ended()) == (None, None, None)
    for name in (CONNECTED, BUSY, "drain", "ended"):
        (state.folder / name).write_text("{torn")
    assert (state.marked(CONNECTED), state.drain(), state.why_ended()) == (None, None, None)
    before = time.monotonic()
    state.mark(BUSY)
    assert before <= (state.marked(BUSY) or 0) <= time.monotonic()


def test_the_command_and_environment_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = worker_command(CONFIG, tmp_path, "i-0abc")
    options = dict(zip(command[5::2], command[6::2], strict=False)) | dict(
        zip(command[6::2], command[7::2], strict=False)
    )
    assert (options["--nthreads"], options["--nworkers"], options["--name"]) == ("1", "3", "i-0abc")
    assert worker_command({**CONFIG, "workers": 0}, tmp_path, "i-0abc").count(str(os.cpu_count())) == 1
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP", "from outside")
    environment = worker_environment(CONFIG, tmp_path)
    assert environment["OMP_NUM_THREADS"] == "1"
    expected: dict[str, object] = {
        **FAR_CLUSTER,
        "distributed.comm.timeouts.tcp": "17s",
        "longtail.state": str(tmp_path / "state"),
        "distributed.worker.http.routes": [],
    }
    code = "import dask, distributed, json, sys; print(json.dumps([dask.config.get(key) for key in sys.argv[1:]]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *expected], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == list(expected.values())
    assert "AWS_ENDPOINT_URL_S3" not in environment
    elsewhere = worker_environment({**CONFIG, "endpoint": "https://s3.elsewhere.test"}, tmp_path)
    assert elsewhere["AWS_ENDPOINT_URL_S3"] == "https://s3.elsewhere.test"


def test_settings_are_ones_that_dask_knows_and_bears() -> None:
    import distributed  # noqa: F401 - reads its defaults

    for name in FAR_CLUSTER:
        assert dask.config.get(name, default="unknown") != "unknown", name
    tcp = parse_timedelta(FAR_CLUSTER["distributed.comm.timeouts.tcp"])
    ttl = parse_timedelta(OWN_CLUSTER["distributed.scheduler.worker-ttl"])
    assert 11 <= tcp < ttl  # Dask fails below 11 s
    assert parse_timedelta(FAR_CLUSTER["distributed.comm.timeouts.connect"]) >= 30
    assert FAR_CLUSTER["distributed.comm.require-encryption"] is True
    assert as_environment({"a.b-c": True}) == {"DASK_A__B_C": "True"}


def test_files() -> None:
    code = (
        "import resource; from infra.dask_settings import *; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(hard, 4096)));"
        "print(allow_files(100), allow_files(10), allow_files(10**6))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.split() == [str(files_needed(100)), str(files_needed(100)), "4096"]
    assert dask_settings.FILES_PER_WORKER >= 4
