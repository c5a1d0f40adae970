"""Evaluations on a real Dask cluster of two worker processes, whose workers are killed, frozen and joined."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import dask
import psutil
import pytest
from distributed import Client, LocalCluster
from executor_conformance import PROGRAM, ExecutorConformance, Open, collect, hostile_environment, task

from infra import dask_executor
from infra.dask_executor import MEDIAN_FROM, STRAGGLER_MIN_S, DaskExecutor
from infra.dask_settings import OWN_CLUSTER
from protocol.errors import ClusterError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with pytest.MonkeyPatch.context() as patch:
        hostile_environment(patch, tmp_path_factory.mktemp("home"))
        # Dask blames a task for the first worker it loses, which is what an impatient scheduler does.
        with dask.config.set(
            {
                **OWN_CLUSTER,
                "distributed.scheduler.allowed-failures": 0,
                "temporary-directory": str(tmp_path_factory.mktemp("dask")),
            }
        ):
            cluster = LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
            with cluster:
                yield cluster
                servers = [process for pid in pids(cluster) for process in psutil.Process(pid).children(recursive=True)]
            assert not [server for server in servers if not _ends(server)]


def pids(cluster: LocalCluster) -> list[int]:
    return [nanny.pid for nanny in cluster.workers.values() if nanny.pid]


def _ends(process: psutil.Process) -> bool:
    try:
        process.wait(10)
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.fixture
def connect(cluster: LocalCluster) -> Iterator[Callable[..., DaskExecutor]]:
    cluster.wait_for_workers(2, timeout=60)
    with contextlib.ExitStack() as opened:

        def connect(program: str = PROGRAM, clock: Callable[[], float] = time.monotonic) -> DaskExecutor:
            client = Client(cluster, set_as_default=False)
            executor = DaskExecutor(client, program, "test cluster", client.close, clock)
            opened.callback(executor.close)
            return executor

        yield connect


class TestDaskExecutor(ExecutorConformance):
    @pytest.fixture
    def open_(self, connect: Callable[..., DaskExecutor], cluster: LocalCluster) -> Iterator[Open]:
        @contextlib.contextmanager
        def start(program: str = PROGRAM) -> Iterator[DaskExecutor]:
            executor = connect(program)
            yield executor
            executor.close()
            assert executor._client.status == "closed"

        yield start
        end_evaluations(cluster)


def end_evaluations(cluster: LocalCluster) -> None:
    """End what a closed executor left running on the workers: Dask cannot, and hanging takes a minute to be found out."""
    wait_until(lambda: not cluster.scheduler.tasks)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.3:
        for worker in pids(cluster):
            for server in children(worker):
                for child in children(server.pid):
                    child.kill()
                    quiet_since = time.monotonic()
        time.sleep(0.02)


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def wait_until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_worker_costs_time_only(connect: Callable[..., DaskExecutor], cluster: LocalCluster) -> None:
    executor = connect()
    for k in range(6):
        executor.submit(k, task(echo=k, sleep_s=1.0))
    ((_, reply), *_) = first = executor.collect(60)
    server = psutil.Process(reply["messages"][0]["server"])
    worker = server.parent()
    assert worker is not None and worker.pid in pids(cluster)
    wait_until(lambda: bool(server.children()))
    evaluations = server.children()
    worker.kill()
    replies = collect(executor, 6 - len(first)) | dict(first)
    assert {k: reply["messages"][0]["echo"] for k, reply in replies.items()} == {k: k for k in range(6)}
    assert executor.resubmitted >= 1  # what ran there was blamed, and perhaps what waited there
    assert all(_ends(process) for process in (server, *evaluations))
    assert executor.collect(0.2) == []


def test_a_frozen_worker_is_overtaken(connect: Callable[..., DaskExecutor], cluster: LocalCluster) -> None:
    now = [0.0]
    executor = connect(clock=lambda: now[0])
    replies = {}
    for k in range(6):
        executor.submit(k, task(echo=k))
        replies |= collect(executor, 1)
    for k in (6, 7):
        executor.submit(k, task(echo=k, sleep_s=1.5))
    assert executor.collect(0) == []
    wait_until(
        lambda: len(cluster.scheduler.workers) == 2 and all(w.processing for w in cluster.scheduler.workers.values())
    )
    frozen = psutil.Process(pids(cluster)[0])
    frozen.suspend()
    try:
        replies |= collect(executor, 1)
        assert executor.collect(1.0) == []
        now[0] += STRAGGLER_MIN_S + 1
        replies |= collect(executor, 1)
    finally:
        frozen.resume()
    assert {k: reply["messages"][0]["echo"] for k, reply in replies.items()} == {k: k for k in range(8)}
    assert executor.resubmitted == 1
    now[0] += 1000
    assert executor.collect(2.0) == []  # the copy that was too late is no reply


def test_a_task_that_kills_its_workers_costs_itself_only(
    connect: Callable[..., DaskExecutor], cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "MAX_DEATHS", 2)
    monkeypatch.setattr(dask_executor, "BATCH_S", 1000.0)  # however slow this machine is
    executor = connect()
    for k in range(MEDIAN_FROM):
        executor.submit(k, task())
    collect(executor, MEDIAN_FROM)
    for k in range(10, 22):
        executor.submit(k, task("kill_worker") if k == 14 else task(echo=k))
    assert executor.collect(0) == []
    assert max(len(batch.numbers) for batch in executor._batches) == 3, "they travel together"
    replies = collect(executor, 12)
    poison = replies.pop(14)
    assert poison["end"] == "error"
    assert "lost its server 2 times" in poison["error"]
    assert {k: reply["messages"][0]["echo"] for k, reply in replies.items()} == {k: k for k in range(10, 22) if k != 14}
    cluster.scale(2)  # a worker that was away for long is not one of the cluster's any more
    cluster.wait_for_workers(2, timeout=60)


def test_a_worker_that_joins_is_used(connect: Callable[..., DaskExecutor], cluster: LocalCluster) -> None:
    executor = connect()
    cluster.scale(3)
    try:
        wait_until(lambda: executor.slots == 3)
        for k in range(3):
            executor.submit(k, task(sleep_s=2.0))
        servers = {reply["messages"][0]["server"] for reply in collect(executor, 3).values()}
        assert len(servers) == 3
    finally:
        cluster.scale(2)
        wait_until(lambda: len(cluster.scheduler.workers) == 2)


def test_the_oldest_candidate_runs_first(connect: Callable[..., DaskExecutor]) -> None:
    executor = connect()
    for k in range(100, 106):
        executor.submit(k, task(sleep_s=0.5))
    executor.collect(0.3)
    for k in (7, 6, 5, 4):
        executor.submit(k, task(sleep_s=0.3))
    order: list[int] = []
    while len(order) < 10:
        order += [k for k, _ in executor.collect(10)]
    # Two ran already; what waits does so at the scheduler, where the queue goes by number.
    assert set(order[:2]) == {100, 101}
    assert [set(order[2:4]), set(order[4:6]), set(order[6:])] == [{4, 5}, {6, 7}, {102, 103, 104, 105}]


def test_a_client_that_lost_its_scheduler_is_a_cluster_error() -> None:
    class Lost:
        status = "connecting"
        _scheduler_identity: dict[str, Any] = {}  # noqa: RUF012 - a stand-in

        def submit(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("Client is closed")

    executor = DaskExecutor(Lost(), PROGRAM, "tcp://there:1", lambda: None)
    assert executor.slots == 0
    with pytest.raises(ClusterError, match=r"tcp://there:1\) is gone"):
        executor.collect(0)
    with pytest.raises(ClusterError, match="is gone"):
        executor.submit(0, task())
    executor.close()


def test_what_another_attempt_cannot_mend_ends_the_run(connect: Callable[..., DaskExecutor]) -> None:
    executor = connect()
    executor.submit(0, {"memory_mb": {1, 2}})  # no JSON
    with pytest.raises(ClusterError, match="a worker cannot run evaluations: TypeError"):
        collect(executor, 1)


@pytest.fixture(autouse=True)
def _no_noise(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    if not os.environ.get("LONGTAIL_DEBUG"):
        assert "Traceback" not in capfd.readouterr().err
