"""A worker's watch over its instance, on a real scheduler and worker: it finishes what it runs, hands over and leaves."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, Scheduler, Worker

from infra.ec2 import preload
from infra.ec2.preload import TOPIC, notice
from infra.ec2.state import BUSY, CONNECTED, State

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (None, None),
        ('{"action": "terminate", "time": "2026-01-01T12:02:00Z"}', ("spot terminate at 2026-01-01T12:02:00Z", 120.0)),
        ('{"action": "stop", "time": "2026-01-01T11:59:00Z"}', ("spot stop at 2026-01-01T11:59:00Z", -60.0)),
        ("{", ("spot notice without a time", 0.0)),
        ('{"action": "terminate"}', ("spot notice without a time", 0.0)),
        ('{"action": "terminate", "time": "soon"}', ("spot notice without a time", 0.0)),
        ("[1]", ("spot notice without a time", 0.0)),
    ],
)
def test_notices(text: str | None, seen: tuple[str, float] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "metadata", lambda path: text)
    assert notice(NOW) == seen


def no_metadata(path: str) -> None:
    raise OSError("no route")


class Watched:
    """A scheduler, one worker that is watched, one that is not, and a client."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.state = tmp_path, State(tmp_path / "state")
        for name in ("POLL_S", "NOTICE_POLL_S"):
            monkeypatch.setattr(preload, name, 0.02)

    async def __aenter__(self) -> Watched:
        self.scheduler = await Scheduler(host="127.0.0.1", port=0, dashboard=False)
        options: dict[str, Any] = {"host": "127.0.0.1", "nthreads": 1, "dashboard": False}
        with dask.config.set({"longtail.state": str(self.state.folder)}):
            self.worker = await Worker(
                self.scheduler.address,
                name="i-0abc",
                preload=["infra.ec2.preload"],
                local_directory=str(self.folder / "one"),
                **options,
            )
        self.other = await Worker(
            self.scheduler.address, name="other", local_directory=str(self.folder / "two"), **options
        )
        self.client = await Client(self.scheduler.address, asynchronous=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        for part in (self.worker, self.other, self.scheduler):
            await part.close()

    async def until(self, condition: Any) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


def sleepy(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_notice_drains_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2)).isoformat()
    texts: dict[str, str] = {}
    monkeypatch.setattr(preload, "metadata", texts.get)

    async def scene() -> None:
        async with Watched(tmp_path, monkeypatch) as world:
            future = world.client.submit(sleepy, 1.0, workers=[world.worker.address], allow_other_workers=True)
            await world.until(lambda: world.worker.state.executing_count == 1 and world.state.marked(BUSY))
            assert world.state.marked(CONNECTED) is not None
            texts["meta-data/events/recommendations/rebalance"] = "{}"
            await world.until(lambda: world.scheduler.get_events(TOPIC))
            assert world.worker.status.name == "running"  # at risk is not taken
            texts["meta-data/spot/instance-action"] = f'{{"action": "terminate", "time": "{at}"}}'
            assert await future == 1.0
            await world.until(lambda: world.worker.status.name == "closed")
            (state,) = [one for one in world.scheduler.tasks.values() if one.key == future.key]
            assert state.suspicious == 0  # nobody is blamed
            runs = [one for one in world.scheduler.transition_log if one[0] == future.key and one[2] == "processing"]
            assert len(runs) == 1  # it ran once: nothing was lost
            assert set(world.scheduler.workers) == {world.other.address}
            assert (world.state.why_ended() or "").startswith("spot terminate at 20")
            events = [(event["what"], event["instance"]) for _, event in world.scheduler.get_events(TOPIC)]
            assert events == [("rebalance", "i-0abc"), ("leaving", "i-0abc")]

    asyncio.run(scene())


def test_what_takes_longer_than_the_notice_runs_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "metadata", no_metadata)

    async def scene() -> None:
        async with Watched(tmp_path, monkeypatch) as world:
            future = world.client.submit(sleepy, 3.0, workers=[world.worker.address], allow_other_workers=True)
            await world.until(lambda: world.worker.state.executing_count == 1)
            world.state.ask_to_drain("idle", preload.MARGIN_S + 0.2)
            await world.until(lambda: world.worker.address not in world.scheduler.workers)
            assert await future == 3.0
            assert world.state.why_ended() == "idle"

    asyncio.run(scene())


def test_nothing_of_it_reaches_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str) -> None:
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(preload, "metadata", broken)

    async def scene() -> None:
        async with Watched(tmp_path, monkeypatch) as world:
            world.state.folder.joinpath("drain").write_text("{torn")
            await asyncio.sleep(0.3)
            assert await world.client.submit(sleepy, 0.1, workers=[world.worker.address]) == 0.1
            assert world.worker.status.name == "running"
            monkeypatch.setattr(preload, "CLOSE_S", 0.1)
            monkeypatch.setattr(preload, "_retire", lambda *_, **__: asyncio.sleep(60))  # the scheduler does not answer
            world.state.ask_to_drain("lifetime", 1.0)
            await world.until(lambda: world.worker.status.name == "closed")

    asyncio.run(scene())
