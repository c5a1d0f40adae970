"""A cluster on the fake EC2: real user-data, real workers over TLS, and everything that happens to instances.

Run by :func:`fake_ec2.run_inside`; prints what happened for the test to judge.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import dask
from distributed import Client, LocalCluster
from fake_ec2 import HOST, FakeEC2, say
from moto.server import ThreadedMotoServer

from infra.dask_executor import DaskExecutor
from infra.dask_settings import FAR_CLUSTER, allow_files
from infra.ec2.bundle import ensure_bundle
from infra.ec2.certificates import Certificates, make_certificates
from infra.ec2.environment import Part, environment
from infra.ec2.layout import Layout, instance_of
from infra.ec2.preload import TOPIC
from infra.ec2.userdata import Boot, render

REGION = "us-east-1"
LAYOUT = Layout("scene-bucket", "lt")
RUN = "scene"
#: What the workers of the scene run: enough for Dask, and much smaller than the whole.
ROOTS = ("distributed", "platformdirs")
PROGRAM = Part("scene", "1", (("scene_program.py", Path(__file__).parent / "scene_program.py"),), "scene-1")
#: Quicker than in earnest, so that the scene is short.
QUICK = {"distributed.scheduler.worker-ttl": "15s", "distributed.comm.timeouts.tcp": "12s"}


class World:
    """AWS, a scheduler, and instances."""

    def __init__(self, folder: Path, roots: tuple[str, ...] | None) -> None:
        self.folder, self.roots = folder, roots
        self.measured: dict[str, Any] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[World]:
        with contextlib.ExitStack() as opened:
            logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
            self.endpoint = "http://127.0.0.1:5511"
            self.fake = FakeEC2(self.endpoint, self.folder / "instances", REGION)
            moto = ThreadedMotoServer(ip_address="0.0.0.0", port=5511, verbose=False)  # noqa: S104 - a private network
            moto.start()
            opened.callback(moto.stop)
            opened.enter_context(self.fake)
            keys = {"aws_access_key_id": "coordinator", "aws_secret_access_key": "coordinator"}
            self.s3 = boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION, **keys)
            self.ec2 = boto3.client("ec2", endpoint_url=self.endpoint, region_name=REGION, **keys)
            self.s3.create_bucket(Bucket=LAYOUT.bucket)
            began = time.monotonic()
            self.bundle = ensure_bundle(self.s3, LAYOUT, [*environment(self.roots), PROGRAM])
            self.measured["bundle_s"], self.measured["bundle_mb"] = time.monotonic() - began, self.bundle.size / 1e6
            self.certificates: Certificates = make_certificates(RUN, dt.datetime.now(dt.UTC), dt.timedelta(hours=2))
            self.prefix = self.certificates.upload(self.s3, LAYOUT, RUN)
            opened.enter_context(dask.config.set({**FAR_CLUSTER, **QUICK, "distributed.worker.daemon": False}))
            allow_files(64)
            security = self.certificates.scheduler_security()
            self.cluster = LocalCluster(
                n_workers=0,
                host=HOST,
                protocol="tls://",
                security=security,
                dashboard_address=f"{HOST}:0",
                silence_logs=logging.CRITICAL,
            )
            opened.callback(self.cluster.close)
            self.client = Client(self.cluster, security=security, set_as_default=False)
            opened.callback(self.client.close)
            yield self

    def launch(self, count: int, **changes: Any) -> list[str]:
        boot = Boot(
            **{
                "scheduler": self.cluster.scheduler_address,
                "endpoint": f"http://{HOST}:5511",
                "bucket": LAYOUT.bucket,
                "region": REGION,
                "objects": LAYOUT.objects,
                "certificates": self.prefix,
                "manifest": self.bundle.manifest,
                "ca_sha256": self.certificates.ca_sha256,
                "python": self.bundle.python,
                "lost_s": 30.0,
                "idle_s": 600.0,
                "lifetime_s": 600.0,
                "dask": QUICK,
                **changes,
            }
        )
        subnet = self.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        answer = self.ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=count,
            MaxCount=count,
            SubnetId=subnet,
            UserData=render(boot),
            InstanceInitiatedShutdownBehavior="terminate",
        )
        return [instance["InstanceId"] for instance in answer["Instances"]]

    def joined(self) -> dict[str, str]:
        """Return worker by instance."""
        return {str(instance_of(ws.name)): ws.address for ws in list(self.cluster.scheduler.workers.values())}

    def names_of(self, instance: str) -> list[str]:
        """Return the names of an instance's workers."""
        names = [str(ws.name) for ws in list(self.cluster.scheduler.workers.values())]
        return sorted(name for name in names if instance_of(name) == instance)

    def consoles(self) -> str:
        return "\n".join(f"--- {one.id} ({one.ended})\n{one.console[-3000:]}" for one in self.fake.instances.values())


def wait_until(what: str, condition: Callable[[], bool], within_s: float, world: World) -> float:
    """Wait, and return how long it took; show the consoles when it takes too long."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise AssertionError(f"not within {within_s} s: {what}\n{world.fake.errors}\n{world.consoles()}")
        time.sleep(0.1)
    return time.monotonic() - began


def faults(world: World) -> dict[str, Any]:
    """Five instances: one noticed, one taken, one cut off, one frozen, one left in peace; all tasks end."""
    ids = world.launch(5, lost_s=240.0)
    world.measured["ready_s"] = wait_until("five join", lambda: len(world.joined()) == 5, 240, world)
    noticed, taken, cut, frozen, peace = ids
    events: list[dict[str, Any]] = []
    world.client.subscribe_topic(TOPIC, lambda event: events.append(event[1]))
    executor = DaskExecutor(world.client, "scene_program", "the scene", lambda: None)
    count = 40
    for k in range(count):
        executor.submit(k, {"memory_mb": 64, "k": k, "sleep_s": 1.5})
    replies: dict[int, Any] = {}
    faults = [
        (3, lambda: world.fake.notify(noticed)),
        (5, lambda: world.fake.reclaim(taken)),
        (7, lambda: world.fake.partition(cut)),
        (9, lambda: world.fake.freeze(frozen)),
    ]
    began = time.monotonic()
    while len(replies) < count:
        assert time.monotonic() - began < 300, (
            f"not within 300 s: tasks {sorted(set(range(count)) - set(replies))}\n{world.consoles()}"
        )
        for k, reply in executor.collect(0.3):
            assert k not in replies
            replies[k] = reply
        while faults and len(replies) >= faults[0][0]:
            faults.pop(0)[1]()
    tasks_s = time.monotonic() - began
    wait_until("only one is left", lambda: set(world.joined()) == {peace}, 200, world)
    wait_until("the noticed one ends", lambda: bool(world.fake.instances[noticed].ended), 60, world)
    # The network heals: a worker that comes back works again.
    world.fake.partition(cut, False)
    world.fake.freeze(frozen, False)
    healed = {}
    for name in (cut, frozen):
        ended = lambda name=name: bool(world.fake.instances[name].ended)  # noqa: E731
        wait_until(
            f"{name} is back or gone", lambda name=name, ended=ended: name in world.joined() or ended(), 120, world
        )
        healed[name] = "back" if name in world.joined() else world.fake.instances[name].ended
    executor.submit(1000, {"memory_mb": 64, "k": 1000, "sleep_s": 0})
    late = executor.collect(60)
    executor.close()
    return {
        "answers": sorted(reply["messages"][0]["k"] for reply in replies.values()),
        "resubmitted": executor.resubmitted,
        "tasks_s": tasks_s,
        "noticed_id": noticed,
        "noticed": world.fake.instances[noticed].ended,
        "noticed_console": world.fake.instances[noticed].console[-1500:],
        "taken": world.fake.instances[taken].ended,
        "cut": healed[cut],
        "frozen": healed[frozen],
        "late": [k for k, _ in late],
        "events": events,
        "modes": _key_modes(world, peace),
    }


def _key_modes(world: World, name: str) -> str:
    return oct((world.fake.instances[name].disk / "longtail/tls/worker.key").stat().st_mode & 0o777)


def ends(world: World) -> dict[str, Any]:
    """Instances that are idle, too old, told lies or left alone shut themselves down.

    The limits leave a crowded machine the time to boot.
    """
    idle = world.launch(1, idle_s=5.0)[0]
    old = world.launch(1, lifetime_s=90.0, workers=2)[0]
    lied = world.launch(1, ca_sha256="0" * 64, boot_s=60)[0]
    lost = world.launch(1, lost_s=60.0)[0]
    wait_until("the lost one joins", lambda: lost in world.joined(), 120, world)
    wait_until("two workers of one instance", lambda: world.names_of(old) == [f"{old}-0", f"{old}-1"], 120, world)
    world.fake.partition(lost)
    for name in (idle, old, lied, lost):
        wait_until(f"{name} ends", lambda name=name: bool(world.fake.instances[name].ended), 240, world)
    wait_until("nothing is left", lambda: not world.fake.running and not world.joined(), 200, world)
    states = [
        one["State"]["Name"] for group in world.ec2.describe_instances()["Reservations"] for one in group["Instances"]
    ]
    consoles = {
        what: world.fake.instances[name].console[-1500:]
        for what, name in (("idle", idle), ("old", old), ("lied", lied), ("lost", lost))
    }
    return {"consoles": consoles, "states": states}


def whole(world: World) -> dict[str, Any]:
    """One instance with everything that a real evaluation imports."""
    world.launch(1, idle_s=600.0)
    world.measured["ready_s"] = wait_until("it joins", lambda: len(world.joined()) == 1, 400, world)

    def versions() -> dict[str, str]:
        from importlib.metadata import version

        import pyarrow
        import sklearn

        import miner.program

        return {
            "longtail": version("longtail"),
            "sklearn": sklearn.__file__,
            "miner": miner.program.__file__,
            "pa": pyarrow.__file__,
        }

    began = time.monotonic()
    answer = world.client.submit(versions).result(200)
    world.measured["first_import_s"] = time.monotonic() - began
    (instance,) = world.fake.running
    return {"versions": answer, "console": instance.console[-1500:]}


SCENES = {"faults": (faults, ROOTS), "ends": (ends, ROOTS), "whole": (whole, None)}


def main(name: str, folder: Path) -> None:
    scene, roots = SCENES[name]
    with World(folder, roots).open() as world:
        result = scene(world)
        say({**result, "measured": world.measured, "errors": world.fake.errors})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
