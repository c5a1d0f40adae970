"""`ltminer --cluster ec2` as a user runs it, on the fake EC2 and behind an API that fails.

Run by :func:`fake_ec2.run_inside`; prints what happened for the test to judge.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from fake_ec2 import HOST, FakeEC2, say
from faulty_proxy import FaultyProxy, lose, no_capacity, partial, throttle
from moto.server import ThreadedMotoServer

REGION, BUCKET = "us-east-1", "mine-bucket"
INSTANCES = 4
HASTY = (str(Path(__file__).parent / "hasty_miner.py"),)
RUN = ("--space", "linear-light", "--seed", "5", "--time-budget", "none", "--no-record", "--population", "8")


class Miner:
    """One `ltminer` as a process of its own; its events as they come."""

    def __init__(
        self, world: World, *arguments: str, home: str = "home", program: tuple[str, ...] = ("-m", "miner.cli")
    ) -> None:
        self.world, self.events = world, queue.SimpleQueue[dict[str, Any]]()
        self.seen: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdout=subprocess.PIPE,
            stderr=(world.folder / "stderr").open("a"),
            text=True,
            env=world.environment(home),
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put({"event": "end"})

    def until(self, enough: Callable[[dict[str, Any]], bool], within_s: float) -> dict[str, Any]:
        """Return the first event that is enough; the end of the process is, too."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not within {within_s} s: {self.seen[-3:]}\n{self.world.troubles()}") from None
            self.seen.append(event)
            if event["event"] == "end" or enough(event):
                return event

    def evaluated(self, number: int, within_s: float = 600.0) -> None:
        """Wait until so many candidates are evaluated."""
        event = self.until(
            lambda event: event.get("evaluated", -1) >= number and event["event"] == "progress", within_s
        )
        assert event["event"] != "end", f"it ended: {self.seen[-3:]}\n{self.world.troubles()}"

    def end(self, within_s: float = 900.0) -> int:
        """Wait for the end and return the exit code."""
        self.until(lambda event: False, within_s)
        return self.process.wait(60)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def told(self, event: str) -> dict[str, Any]:
        """Return the last event of a kind."""
        found = [one for one in self.seen if one["event"] == event]
        assert found, f"no {event}: {self.seen[-3:]}\n{self.world.troubles()}"
        return found[-1]

    @property
    def news(self) -> list[str]:
        return [line for event in self.seen for line in event.get("news", ())]


class World:
    """AWS, its instances, and homes of miners."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.most_alive = 0
        self.extra: dict[str, str] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[World]:
        with contextlib.ExitStack() as opened:
            logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
            self.fake = FakeEC2("http://127.0.0.1:5511", self.folder / "instances", REGION)
            moto = ThreadedMotoServer(ip_address="0.0.0.0", port=5511, verbose=False)  # noqa: S104 - a private network
            moto.start()
            opened.callback(moto.stop)
            opened.enter_context(self.fake)
            self.proxy = FaultyProxy("http://127.0.0.1:5511")
            opened.callback(self.proxy.close)
            keys = {"aws_access_key_id": "coordinator", "aws_secret_access_key": "coordinator"}
            self.s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:5511", region_name=REGION, **keys)
            self.s3.create_bucket(Bucket=BUCKET)
            self.fake.watch = self._count
            yield self

    def _count(self) -> None:
        self.most_alive = max(self.most_alive, len(self.fake.running))

    def environment(self, home: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGTAIL_"))}
        return {
            **kept,
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_ENDPOINT_URL_S3": f"http://{HOST}:5511",
            "AWS_ACCESS_KEY_ID": "coordinator",
            "AWS_SECRET_ACCESS_KEY": "coordinator",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": REGION,
            "LONGTAIL_HOME": str(self.folder / home),
            "LONGTAIL_BUCKET": f"s3://{BUCKET}/lt",
            "LONGTAIL_EC2_INSTANCES": str(INSTANCES),
            "LONGTAIL_EC2_TYPES": "c7i.large, c6i.large",
            "LONGTAIL_EC2_WORKERS_PER_INSTANCE": "1",
            "LONGTAIL_EC2_CONTACT": HOST,
            "LONGTAIL_EC2_LOST": "1m",
            "LONGTAIL_WORKERS": "2",
            **self.extra,
        }

    def command(self, *arguments: str, home: str) -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "miner.cli", *arguments],
            capture_output=True,
            text=True,
            env=self.environment(home),
            check=False,
        )
        return done.returncode, json.loads(done.stdout or "null")

    def left(self) -> dict[str, Any]:
        """Return what AWS has of ours."""
        _, listed = self.command("cluster", "list", "--json", home="third")
        objects = self.s3.list_objects_v2(Bucket=BUCKET, Prefix="lt/runs/").get("Contents", ())
        return {"clusters": listed, "secrets": [one["Key"] for one in objects if "/worker/" in one["Key"]]}

    def wait(self, what: str, condition: Callable[[], bool], within_s: float) -> float:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}\n{self.troubles()}"
            time.sleep(0.2)
        return time.monotonic() - began

    def working(self) -> list[str]:
        """Return the running instances, oldest first."""
        return [one.id for one in sorted(self.fake.running, key=lambda one: one.booted)]

    def troubles(self) -> str:
        consoles = "\n".join(
            f"--- {one.id} ({one.ended})\n{one.console[-2000:]}" for one in self.fake.instances.values()
        )
        return f"{self.fake.errors}\n{(self.folder / 'stderr').read_text()[-3000:]}\n{consoles}"


def front(result: dict[str, Any]) -> list[Any]:
    """Return what two runs with one front have in common."""
    return [[member["k"], member["score"], member["text"]] for member in result["front"]]


def local(world: World, evaluations: int) -> list[Any]:
    miner = Miner(world, *RUN, "--evaluations", str(evaluations), "--json", home="local")
    assert miner.end() == 0, world.troubles()
    return front(miner.told("result"))


def mined(world: World) -> dict[str, Any]:
    """Plan, start behind a bad API, mine; one instance noticed, one reclaimed, one cut off, one frozen."""
    count = 48
    _, plan = world.command(*RUN, "--cluster", "ec2", "--dry-run", "--json", home="home")
    nothing = world.left()
    world.proxy.will("CreateFleet", throttle(), no_capacity(), partial(1), lose())
    miner = Miner(world, *RUN, "--evaluations", str(count), "--cluster", "ec2", "--json")
    began = time.monotonic()
    miner.evaluated(1)
    first_s = time.monotonic() - began
    world.wait("all instances run", lambda: len(world.working()) == INSTANCES, 300)
    miner.evaluated(4)
    noticed, taken, cut, frozen = world.working()
    world.fake.notify(noticed)
    miner.evaluated(8)
    world.fake.reclaim(taken)
    miner.evaluated(12)
    world.fake.partition(cut)
    miner.evaluated(16)
    world.fake.freeze(frozen)
    code = miner.end()
    result = miner.told("result")
    return {
        "plan": plan,
        "nothing": nothing,
        "first_s": first_s,
        "code": code,
        "ended": result["ended"],
        "module": result.get("module"),
        "same": front(result) == local(world, count),
        "front": front(result),
        "noticed": world.fake.instances[noticed].ended,
        "cut": world.fake.instances[cut].ended,
        "frozen": world.fake.instances[frozen].ended,
        "cost": miner.told("cost"),
        "news": miner.news,
        "left": world.left(),
        "running": len(world.fake.running),
        "most_alive": world.most_alive,
        "started": len(world.fake.instances),
        "seconds": time.monotonic() - began,
    }


def killed(world: World) -> dict[str, Any]:
    """The miner dies: instances end by themselves, a new cluster goes on; it dies again: a third machine cleans up."""
    count = 40
    first = Miner(
        world, *RUN, "--evaluations", str(count), "--cluster", "ec2", "--json", "--out", str(world.folder / "run")
    )
    first.evaluated(6)
    first.kill()
    alone_s = world.wait("instances end by themselves", lambda: not world.fake.running, 400)
    ended = [one.ended for one in world.fake.instances.values()]
    orphaned = world.left()
    second = Miner(world, "resume", str(world.folder / "run"), "--cluster", "ec2", "--json", "--time-budget", "none")
    second.evaluated(20)
    between = world.left()
    second.kill()
    down, gone = world.command("cluster", "down", "--yes", "--json", home="third")
    after = world.left()
    third = Miner(world, "resume", str(world.folder / "run"), "--json", "--time-budget", "none")
    code = third.end()
    return {
        "alone_s": alone_s,
        "ended": ended,
        "orphaned": orphaned,
        "between": between,
        "news": second.news,
        "spent": [one["cost"]["spent"] for one in second.seen if one.get("cost")],
        "down": down,
        "gone": gone,
        "after": after,
        "running": len(world.fake.running),
        "code": code,
        "same": front(third.told("result")) == local(world, count),
    }


def broke(world: World) -> dict[str, Any]:
    """The budget does not last: the run stops by itself, a second session starts nothing, and it goes on elsewhere."""
    world.extra["LONGTAIL_EC2_SPOT_SHARE"] = "0"
    money = ("--cluster", "ec2", "--json", "--budget", "0.0095")
    run = str(world.folder / "run")
    miner = Miner(world, *RUN, "--evaluations", "2000", *money, "--out", run, program=HASTY)
    code = miner.end()
    started = len(world.fake.instances)
    again = Miner(world, "resume", run, *money, "--time-budget", "none", program=HASTY)
    again_code = again.end()
    here = Miner(world, "resume", run, "--json", "--time-budget", "5s")
    return {
        "code": code,
        "result": miner.told("result"),
        "cost": miner.told("cost"),
        "started": started,
        "again": [again_code, again.told("cost")["spent"], len(world.fake.instances)],
        "here": here.end(),
        "left": world.left(),
        "running": len(world.fake.running),
    }


SCENES = {"mined": mined, "killed": killed, "broke": broke}


def main(name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with World(folder).open() as world:
        result = SCENES[name](world)
        say({**result, "errors": world.fake.errors})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
