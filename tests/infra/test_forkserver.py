"""The fork server against tasks that hang, crash, flood and kill; after each it must serve on and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra import forkclient
from infra.forkclient import ForkServer, ServerDiedError, run_here
from protocol.errors import ClusterError

HERE = str(Path(__file__).parent)
PROGRAM = "hostile_program"
HUNG_AFTER_S = 2.0


def task(do: str = "answer", **rest: Any) -> dict[str, Any]:
    return {"do": do, "memory_mb": 256, **rest}


def descriptors() -> dict[str, str]:
    entries = list(Path("/proc/self/fd").iterdir())
    return {entry.name: str(entry.readlink()) for entry in entries if entry.is_symlink()}


def gone(process: psutil.Process, within_s: float = 10.0) -> bool:
    """Wait for the end of a process that is not ours; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", HERE)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """One server for every task that must not harm it; the end checks that nothing is left of it."""
    folder = tmp_path_factory.mktemp("forkserver")
    before = descriptors()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", HERE)
        server = ForkServer(PROGRAM, folder, folder / "log", hung_after_s=HUNG_AFTER_S)
        server.submit(task()).result(30)
    assert server.pid is not None
    process = psutil.Process(server.pid)
    yield server
    assert server.pid == process.pid, "a task took the server down"
    for _ in range(100):  # grandchildren are reaped when the next child ends
        if not process.children(recursive=True):
            break
        time.sleep(0.02)
    assert process.children(recursive=True) == []
    assert process.num_fds() < 20
    server.close()
    assert not process.is_running()
    assert descriptors() == before
    assert not [thread for thread in threading.enumerate() if thread.name == "forkserver-replies"]


HARMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (task("burn", cap_s=0.2), {"end": "signal", "code": signal.SIGPROF}),
    (task("allocate_raw", memory_mb=128), {"end": "exit", "code": 0}),
    (task("allocate_pages", memory_mb=128), {"end": "exit", "code": 1}),
    (task("segfault"), {"end": "signal", "code": signal.SIGSEGV, "messages": []}),
    (task("abort"), {"end": "signal", "code": signal.SIGABRT, "messages": []}),
    (task("exit_at_once"), {"end": "exit", "code": 7, "messages": []}),
    (task("raise_error"), {"end": "exit", "code": 1, "messages": []}),
    (task("close_pipe"), {"end": "signal", "code": signal.SIGKILL}),
    (task("flood"), {"end": "flood", "messages": []}),
    (task("write_garbage"), {"end": "exit", "code": 0, "messages": [{"status": "true"}]}),
    (task("no such function"), {"end": "exit", "code": 1, "messages": []}),
    (task("read_stdin"), {"end": "exit", "code": 0, "messages": [{"read": ""}]}),
    (task("leave_grandchild", own_session=False), {"end": "exit", "code": 0}),
    (task("leave_grandchild", own_session=True), {"end": "exit", "code": 0}),
    (task(prepare="raise"), {"end": "error", "error": "ValueError: no such estimator"}),
    (task(prepare="exit"), {"end": "error", "error": "SystemExit: 3"}),
    (
        task(prepare="refuse"),
        {"end": "refused", "error": "no such data; fetch it", "error_type": "DataError"},
    ),
]


@pytest.mark.parametrize(("bad", "reply"), HARMS, ids=lambda value: value.get("do", value.get("end")))
def test_a_harmful_task_costs_itself_only(shared: ForkServer, bad: dict[str, Any], reply: dict[str, Any]) -> None:
    beside = shared.submit(task(echo="beside", sleep_s=0.3))
    got = shared.submit(bad).result(30)
    assert {name: got[name] for name in reply} == reply
    assert beside.result(30)["messages"][0]["echo"] == "beside"
    after = shared.submit(task(echo="after")).result(30)
    assert (after["end"], after["code"], after["messages"][0]["echo"]) == ("exit", 0, "after")


@pytest.mark.parametrize("do", ["hang", "ignore_signals"])
def test_what_uses_no_cpu_is_taken_for_hung(shared: ForkServer, do: str) -> None:
    reply = shared.submit(task(do)).result(30)
    assert (reply["end"], reply["code"]) == ("hung", signal.SIGKILL)
    assert not psutil.pid_exists(reply["messages"][0]["begun"])


def test_a_busy_child_outlives_the_limit_for_hung_ones(shared: ForkServer) -> None:
    reply = shared.submit(task("burn", cap_s=HUNG_AFTER_S + 0.5)).result(60)
    assert (reply["end"], reply["code"]) == ("signal", signal.SIGPROF)
    assert reply["cpu_s"] > HUNG_AFTER_S


def test_memory_is_bounded_on_top_of_the_server(shared: ForkServer) -> None:
    (message,) = shared.submit(task("allocate_arrays", memory_mb=200)).result(30)["messages"]
    assert message["status"] == "memory"
    assert 100 <= message["held_mb"] <= 200


def test_a_child_holds_its_own_pipe_and_nothing_else(shared: ForkServer) -> None:
    beside = shared.submit(task(sleep_s=0.3))
    (message,) = shared.submit(task("list_descriptors")).result(30)["messages"]
    links = list(message["descriptors"].values())
    assert sum(link.startswith("pipe:") for link in links) == 1
    assert {link for link in links if not link.startswith(("pipe:", "/proc/"))} == {os.devnull}
    assert beside.result(30)["end"] == "exit"


def test_prints_are_no_replies(shared: ForkServer) -> None:
    reply = shared.submit(task("print_lines", echo=5)).result(30)
    assert (reply["end"], reply["messages"][0]["echo"]) == ("exit", 5)
    assert shared.log is not None
    assert "a library that prints" in shared.log.read_text(encoding="utf-8")


def test_long_replies_and_long_tasks_cross(shared: ForkServer) -> None:
    text = "x" * 300_000  # several times what a pipe holds, both ways at once
    futures = [shared.submit(task(echo=text + str(number))) for number in range(8)]
    assert [future.result(60)["messages"][0]["echo"] for future in futures] == [
        f"{text}{number}" for number in range(8)
    ]


@pytest.mark.parametrize("bad", [task("kill_server"), task(prepare="die")], ids=["child", "prepare"])
def test_the_death_of_the_server_is_told_and_mended(tmp_path: Path, bad: dict[str, Any]) -> None:
    before = descriptors()
    server = ForkServer(PROGRAM, tmp_path)
    hanging = server.submit(task("hang"))
    first = server.submit(task()).result(30)["messages"][0]["server"]
    (child,) = psutil.Process(first).children()
    lost = server.submit(bad)
    for future in (lost, hanging):
        with pytest.raises(ServerDiedError, match="ended with code -9"):
            future.result(30)
    assert gone(child)
    assert server.submit(task()).result(30)["messages"][0]["server"] != first
    server.close()
    assert descriptors() == before


def test_close_ends_what_runs(tmp_path: Path) -> None:
    server = ForkServer(PROGRAM, tmp_path)
    futures = [server.submit(task("ignore_signals")) for _ in range(3)]
    server.submit(task()).result(30)
    assert server.pid is not None
    process = psutil.Process(server.pid)
    children = process.children()
    assert len(children) == 3
    server.close()
    assert not process.is_running()
    assert not [child for child in children if child.is_running()]
    for future in futures:
        with pytest.raises(ServerDiedError):
            future.result(5)
    server.close()


COORDINATOR = """
import sys, time
from pathlib import Path
from infra.forkclient import ForkServer
server = ForkServer("hostile_program", Path(sys.argv[1]))
server.submit({"do": "hang", "memory_mb": 64})
server.submit({"do": "ignore_signals", "memory_mb": 64})
server.submit({"do": "answer", "memory_mb": 64}).result()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["coordinator", "server"])
def test_nothing_survives_a_kill(tmp_path: Path, victim: str) -> None:
    with subprocess.Popen([sys.executable, "-c", COORDINATOR, tmp_path], stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        server = psutil.Process(int(coordinator.stdout.readline()))
        children = server.children()
        assert len(children) == 2
        if victim == "server":
            server.kill()
            assert all(gone(child) for child in children)
        coordinator.kill()
    assert all(gone(process) for process in (server, *children))


def test_a_folder_of_the_user_shadows_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "selectors.py").write_text("raise RuntimeError('shadowed')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    server = ForkServer(PROGRAM, tmp_path)
    assert server.submit(task()).result(30)["end"] == "exit"
    server.close()


def test_a_program_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    server = ForkServer("no_such_program", tmp_path)
    with pytest.raises(ClusterError, match="cannot load no_such_program: ModuleNotFoundError"):
        server.submit(task()).result(30)
    server.close()


def test_a_server_that_cannot_start_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="does not start"):
        ForkServer(PROGRAM, tmp_path, tmp_path / "missing" / "log").submit(task())


def test_run_here_gives_a_task_several_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))
    try:
        flag = tmp_path / "flag"
        reply = run_here(PROGRAM, task(prepare="die once", flag=str(flag)))
        assert reply["messages"][0]["cache"] == str(tmp_path / "cache" / "evaluations")
        with pytest.raises(ServerDiedError):
            run_here(PROGRAM, task(prepare="die"))
    finally:
        forkclient._servers.pop(PROGRAM).close()
