"""Evaluations on EC2: everything a run needs there is made when it starts and ended when it closes, within its budget."""

from __future__ import annotations

import contextlib
import datetime as dt
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from infra.cluster import Job
from infra.dask_executor import DaskExecutor
from infra.dask_settings import FAR_CLUSTER, allow_files, files_needed
from infra.dollars import in_dollars
from infra.ec2.bucket import layout_of, open_bucket
from infra.ec2.certificates import remove_certificates
from infra.ec2.client import Aws
from infra.ec2.cluster import Ec2Cluster
from infra.ec2.cost import Bill
from infra.ec2.fleet_settings import FleetSettings, fleet_settings
from infra.ec2.identity import partition
from infra.ec2.inventory import end, take_inventory
from infra.ec2.offer import LEAVING_S
from infra.ec2.reconcile import Limits as FleetLimits
from infra.ec2.run import prepare_run
from infra.ec2.supervisor import Limits
from infra.ec2.tags import NAME_LENGTH
from infra.executor import Account
from infra.forkclient import Reply
from infra.scheduler import dask
from protocol.errors import BudgetReachedError, ClusterError, ConfigError

#: How long a run may ask for new instances: the life of its certificates.
VALID_FOR = dt.timedelta(days=30)
#: How long ending what an earlier session left may take, seconds.
END_S = 600.0
#: How often the number of instances is fitted to the work, and how many times in a row there must be too many.
ADAPT_S, ADAPT_AFTER = 5, 24


class Ec2Executor(DaskExecutor):
    """Executor over an :class:`Ec2Cluster`; see :class:`infra.executor.Executor`.

    Parameters
    ----------
    cluster : Ec2Cluster
    client : distributed.Client
    program : str
    settings : FleetSettings
    events : queue.SimpleQueue of str
        What the cluster says of itself.
    shelf : str
    on_close : callable
    clock : callable
        Unix time, seconds.
    """

    def __init__(
        self,
        cluster: Ec2Cluster,
        client: Any,
        program: str,
        *,
        settings: FleetSettings,
        events: queue.SimpleQueue[str],
        shelf: str,
        on_close: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        where = f"EC2 cluster {cluster.name}, up to {settings.instances} instances"
        super().__init__(client, program, where, on_close)
        self.shelf = shelf
        self._cluster, self._fleet_settings, self._events, self._now = cluster, settings, events, clock
        self._closed: Bill | None = None
        self._adapts = False

    @property
    def capacity(self) -> int:
        """See :class:`infra.executor.Executor`; of the smallest types allowed, whatever has come so far."""
        return self._fleet_settings.capacity

    @property
    def account(self) -> Account:
        """See :class:`infra.executor.Executor`."""
        fleet, state, now = self._cluster.fleet, self._cluster.state, self._now()
        bill = self._closed or (fleet.bill if fleet is not None else Bill())
        return Account(
            spent=bill.spent(now),
            rate=bill.rate(),
            budget=self._fleet_settings.budget,
            exhausted=state is not None and state.over_budget,
            record={
                "cluster": self._cluster.name,
                "region": self._cluster.region,
                "seen": now,
                "lonely_s": self._fleet_settings.lost_s + LEAVING_S,
                "bill": bill.to_dict(),
            },
        )

    def news(self) -> list[str]:
        """See :class:`infra.executor.Executor`."""
        return [self._events.get() for _ in range(self._events.qsize())]

    def submit(self, k: int, task: Mapping[str, Any]) -> None:
        """See :class:`infra.executor.Executor`; with the first task, the number of instances begins to follow the work."""
        if not self._adapts:
            self._cluster.adapt(Adaptive=_by_work(), minimum=0, interval=f"{ADAPT_S}s", wait_count=ADAPT_AFTER)
            self._adapts = True
        super().submit(k, task)

    def collect(self, timeout: float) -> list[tuple[int, Reply]]:
        """See :class:`infra.executor.Executor`.

        Raises
        ------
        BudgetReachedError
            The instances are being ended because the budget bears no more.
        """
        if self.account.exhausted:
            raise BudgetReachedError(
                f"the budget of {in_dollars(self._fleet_settings.budget)} bears no more instances; everything that came "
                "in is in the journal: resume with a higher --budget, or without --cluster on this machine"
            )
        self._cluster.check()
        return super().collect(timeout)

    def close(self) -> None:
        """See :class:`infra.executor.Executor`; everything in AWS is ended when this returns.

        Raises
        ------
        ClusterError
            Something is left there.
        """
        try:
            super().close()
        finally:
            fleet = self._cluster.fleet
            self._closed = (fleet.bill if fleet is not None else Bill()).closed(self._now())


def start_ec2(job: Job) -> Ec2Executor:
    """Start a cluster on EC2; what an earlier session of the run left is ended, and its cost counts.

    Raises
    ------
    ConfigError
        Settings, credentials, bucket or this machine's environment do not do.
    ClusterError
        AWS does not answer or refuses; nothing is left running there.
    """
    settings, record, say = job.settings, job.record, job.say
    fleet = fleet_settings(settings)
    layout = layout_of(settings.bucket)
    aws = Aws(fleet.region)
    s3 = open_bucket(aws, layout)
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    with _scheduler_settings(fleet, events) as started:
        bill = _settled(aws, record, events.put, say)
        if record is not None:
            remove_certificates(s3, layout, record["cluster"])
        name = cluster_name(job.run)
        contact = fleet.contact or own_address(aws)
        limits = Limits(lost_s=fleet.lost_s, idle_s=fleet.idle_s, lifetime_s=fleet.lifetime_s)
        started.callback(remove_certificates, s3, layout, name)
        prepared = prepare_run(
            s3,
            layout,
            name,
            limits,
            now=dt.datetime.now(dt.UTC),
            valid_for=VALID_FOR,
            workers=fleet.workers_per_instance,
            data=job.data,
            partition=partition(aws.region),
            say=say,
        )
        say("asking AWS for what instances need")
        ending = threading.Event()

        def tell(text: str) -> None:
            (say if ending.is_set() else events.put)(text)

        cluster = Ec2Cluster(
            aws,
            name,
            fleet,
            prepared.security,
            contact=contact,
            user_data=prepared.user_data,
            policy=prepared.policy,
            port=fleet.port,
            bill=bill,
            limits=FleetLimits(lifetime_s=fleet.lifetime_s),
            say=tell,
        )
        started.callback(cluster.close)
        client = dask().distributed.Client(
            cluster, security=prepared.security, timeout=settings.connect_timeout_s, set_as_default=False
        )
        started.callback(client.close)
        started.callback(ending.set)  # nobody asks for news any more
        cluster.scale(fleet.capacity)
        return Ec2Executor(
            cluster,
            client,
            job.program,
            settings=fleet,
            events=events,
            shelf=layout.datasets,
            on_close=started.pop_all().close,
        )


def cluster_name(run: str) -> str:
    """Return a name for a cluster of a run: no two sessions have the same."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in run.lower()).strip("-")
    suffix = secrets.token_hex(3)
    return f"{plain[: NAME_LENGTH - len(suffix) - 1].strip('-') or 'run'}-{suffix}"


def own_address(aws: Aws) -> str:
    """Return the address that this machine has on its way to AWS.

    Raises
    ------
    ConfigError
        It has none that another machine could reach.
    """
    host = urlsplit(aws.session.client("ec2", region_name=aws.region).meta.endpoint_url).hostname
    address = ""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 443))  # sends nothing
        address = probe.getsockname()[0]
    if not address or address.startswith("127."):
        raise ConfigError(
            "this machine's address is not known; name the one under which instances reach it: ec2_contact = HOST or HOST:PORT"
        )
    return str(address)


@contextlib.contextmanager
def _scheduler_settings(fleet: FleetSettings, events: queue.SimpleQueue[str]) -> Iterator[contextlib.ExitStack]:
    """Put Dask's settings and this process's limits in force, until the stack is closed."""
    with contextlib.ExitStack() as started:
        started.enter_context(dask().config.set(FAR_CLUSTER))
        allowed, needed = allow_files(fleet.capacity), files_needed(fleet.capacity)
        if allowed < needed:
            events.put(f"only {allowed} open files are allowed, {needed} may be needed: raise `ulimit -Hn`")
        yield started


def _settled(
    aws: Aws, record: Mapping[str, Any] | None, tell: Callable[[str], None], say: Callable[[str], None]
) -> Bill:
    """End what an earlier session of the run left and return what it cost."""
    if record is None:
        return Bill()
    there = aws if record["region"] == aws.region else Aws(record["region"])
    bill, now = Bill.from_dict(record["bill"]), time.time()
    alive: set[str] = set()
    for belongings in take_inventory(there, record["cluster"]):
        alive |= {one.id for one in belongings.instances}
        tell(f"ending what an earlier session left: {belongings.words()} of cluster {belongings.cluster}")
        ended = end(there, belongings, patience_s=END_S, say=say)
        if ended.left:
            raise ClusterError(
                f"cluster {belongings.cluster} of an earlier session still has {ended.left.words()} "
                f"({'; '.join(ended.troubles)}); run `ltminer cluster down {belongings.cluster}`"
            )
    # What ended by itself did so soon after it was seen last: too much rather than too little.
    return bill.closed(min(now, record["seen"] + record["lonely_s"]), alive=alive, then=now)


def _by_work() -> type[Any]:
    """Return Dask's adaptive scaling with one worker per task that is not done as its goal."""

    class ByWork(dask().distributed.Adaptive):  # type: ignore[misc]  # half typed
        async def target(self) -> int:
            waiting = {"queued", "no-worker", "processing", "waiting"}
            return sum(task.state in waiting for task in list(self.cluster.scheduler.tasks.values()))

    return ByWork
