"""The cluster as Dask sees it: instances of the simulated AWS whose workers run in this process, over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from distributed import Client, Security, Worker
from faulty_proxy import FaultyProxy, lose, no_capacity, refuse, throttle
from test_ec2_launch import POLICY

from infra.ec2.client import Aws
from infra.ec2.cluster import Ec2Cluster
from infra.ec2.fleet_settings import fleet_settings
from infra.ec2.instance import find_instances, terminate
from infra.ec2.inventory import take_inventory
from infra.ec2.prices import Prices
from infra.settings import Settings
from protocol.errors import ClusterError

PRICES = Prices({"c7i.large": 89_250}, {}, "made")
WAIT_S = 30.0


class Machines:
    """Boots a worker for every instance, and takes it away with its instance."""

    def __init__(self, aws: Aws, security: Security) -> None:
        self.aws, self.security = aws, security
        self.address = ""
        self.workers: dict[str, Worker] = {}

    def user_data(self, address: str) -> bytes:
        self.address = address
        return b"#!/bin/sh\n"

    async def run(self) -> None:
        while True:
            alive = {one.id for one in await asyncio.to_thread(find_instances, self.aws, cluster="made") if one.alive}
            for name in alive - set(self.workers):
                self.workers[name] = await Worker(
                    self.address, name=name, nthreads=1, security=self.security, dashboard=False, memory_limit=0
                )
            for name in set(self.workers) - alive:
                await self.workers.pop(name).close()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(aws: Aws, **changes: Any) -> AsyncIterator[tuple[Ec2Cluster, Machines]]:
    security = Security.temporary()
    machines = Machines(aws, security)
    plain = fleet_settings(Settings(ec2_types="c7i.large", ec2_workers_per_instance=1))
    cluster = Ec2Cluster(
        aws,
        "made",
        replace(plain, **changes),
        security,
        contact="127.0.0.1",
        user_data=machines.user_data,
        policy=POLICY,
        prices=PRICES,
        round_s=0.1,
        end_s=20.0,
        asynchronous=True,
    )
    async with cluster:
        booting = asyncio.create_task(machines.run())
        try:
            yield cluster, machines
        finally:
            booting.cancel()
            await asyncio.wait([booting])
            for worker in machines.workers.values():
                await worker.close()
    assert take_inventory(aws) == []


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.05)


def test_it_grows_works_replaces_and_leaves_nothing(aws: Aws, proxy: FaultyProxy) -> None:
    async def scene() -> None:
        async with running(aws) as (cluster, machines), Client(cluster, asynchronous=True) as client:
            assert machines.address.startswith("tls://127.0.0.1:")
            cluster.scale(3)
            await until(lambda: len(cluster.observed) == 3)
            assert await client.gather(client.map(lambda x: x + 1, range(20))) == list(range(1, 21))
            dead = next(iter(machines.workers))
            proxy.will("CreateFleet", throttle(), lose())
            await asyncio.to_thread(terminate, aws, [dead])
            await until(lambda: dead not in machines.workers and len(cluster.observed) == 3)
            cluster.scale(1)
            await until(lambda: len(cluster.observed) == 1)
            await until(lambda: cluster.state is not None and cluster.state.alive == 1)
            cluster.check()
            assert cluster.state is not None
            assert 0 < cluster.state.spent < 100_000
            assert len(cluster.plan) == 1
            cluster.scale_down(cluster.observed)
            await until(lambda: not cluster.observed)

    asyncio.run(scene())
    assert proxy.count("CreateFleet") == 3


def test_it_says_why_it_does_not_get_there(aws: Aws, proxy: FaultyProxy) -> None:
    async def scene() -> None:
        async with running(aws) as (cluster, _):
            proxy.will("CreateFleet", no_capacity(), no_capacity("VcpuLimitExceeded"))
            cluster.scale(2)
            await until(lambda: any("VcpuLimitExceeded" in line for _, line in cluster._cluster_manager_logs))
            proxy.will("DescribeInstances", *[refuse("UnauthorizedOperation")] * 100)
            await until(lambda: len(cluster._failures) >= 5)
            with pytest.raises(ClusterError, match=r"rounds of cluster made failed: .* may not ec2:DescribeInstances"):
                cluster.check()
            proxy.reset()
        async with running(aws, budget=10) as (cluster, _):
            cluster.scale(1)
            await until(lambda: cluster.state is not None and cluster.state.over_budget)
            with pytest.raises(ClusterError, match="starts no more: the budget"):
                cluster.check()

    asyncio.run(scene())


def test_a_start_that_fails_leaves_nothing(aws: Aws, proxy: FaultyProxy) -> None:
    async def scene() -> None:
        proxy.will("CreateLaunchTemplate", refuse("InvalidKeyPair.NotFound"))
        with pytest.raises(ClusterError, match=r"InvalidKeyPair\.NotFound"):
            async with running(aws):
                pass

    asyncio.run(scene())
    assert take_inventory(aws) == []


def test_it_adapts_to_the_work(aws: Aws) -> None:
    async def scene() -> None:
        async with running(aws) as (cluster, _), Client(cluster, asynchronous=True) as client:
            cluster.adapt(minimum=0, maximum=2, interval="100ms", wait_count=2)
            assert await client.submit(sum, [1, 2]) == 3
            await until(lambda: not cluster.observed and cluster._desired == 0)

    asyncio.run(scene())
