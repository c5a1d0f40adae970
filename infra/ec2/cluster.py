"""A Dask cluster whose workers are on EC2 instances: a scheduler in this process, and a fleet that is kept at its size.

A loop of rounds asks AWS and the scheduler and lets :class:`infra.ec2.fleet.Fleet` act; instances are known by their ids, which
are the names of their workers, so what died counts as dead whatever Dask's own bookkeeping says. Rounds run on the
cluster's event loop and talk to AWS in a thread, one at a time. Closing ends everything the cluster has in AWS; what a
crash leaves behind, the instances' own limits and `ltminer cluster down` end.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from infra.ec2.client import Aws
from infra.ec2.cost import Bill
from infra.ec2.fleet import Fleet, FleetState, prepare_ground
from infra.ec2.fleet_settings import FleetSettings, vcpus
from infra.ec2.inventory import end, take_inventory
from infra.ec2.layout import instance_of
from infra.ec2.prices import Prices, ask_prices
from infra.ec2.reconcile import Limits
from infra.ec2.tags import check_name
from infra.scheduler import dask
from protocol.errors import ClusterError, LongtailError

_distributed: Any = dask().distributed  # half typed
_Cluster, Status = _distributed.deploy.Cluster, _distributed.Status
#: Between two rounds, seconds.
ROUND_S = 5.0
#: How long closing waits for AWS to end what there is, seconds.
END_S = 600.0
#: Rounds in a row that failed after which :meth:`Ec2Cluster.check` says so: single ones do in every long run.
MAX_FAILURES = 5


class Ec2Cluster(_Cluster):  # type: ignore[misc,valid-type]  # see above
    """Scheduler here, workers on EC2.

    Parameters
    ----------
    aws : Aws
    name : str
        Of the cluster, unique in the account: all it has carries it as a tag.
    settings : FleetSettings
    security : distributed.Security
        TLS of scheduler and clients; without it the cluster does not start.
    contact : str
        Host name or address under which instances reach this machine.
    user_data : callable
        Returns what an instance runs at its start, given the scheduler's address ``tls://CONTACT:PORT``. No secret in it.
    policy : mapping
        IAM policy document of the instances.
    port : int
        The scheduler listens there, on all interfaces; 0: any free one.
    prices : Prices, optional
        By default asked of AWS.
    bill : Bill, optional
        What the run has cost before.
    limits : Limits, optional
    say : callable, optional
        Told what happens, in words, by any thread.
    round_s, end_s : float
    **options
        Of ``distributed.deploy.cluster.Cluster``: `asynchronous`, `loop`, `quiet`.

    Raises
    ------
    ConfigError, ClusterError
        See :func:`infra.ec2.fleet.prepare_ground`; nothing is left running in AWS then.
    """

    def __init__(
        self,
        aws: Aws,
        name: str,
        settings: FleetSettings,
        security: Any,
        *,
        contact: str,
        user_data: Callable[[str], bytes],
        policy: Mapping[str, Any],
        port: int = 0,
        prices: Prices | None = None,
        bill: Bill | None = None,
        limits: Limits | None = None,
        say: Callable[[str], None] = lambda text: None,
        round_s: float = ROUND_S,
        end_s: float = END_S,
        **options: Any,
    ) -> None:
        self._aws, self._settings, self.security, self._contact = aws, settings, security, contact
        self._user_data, self._policy, self._port, self._prices = user_data, policy, port, prices
        self._bill, self._limits, self._say, self._round_s, self._end_s = bill, limits, say, round_s, end_s
        self._desired, self._spare = 0, frozenset[str]()
        self._failures: list[LongtailError] = []
        self._rounds: asyncio.Task[None] | None = None
        self.scheduler: Any = None
        self.fleet: Fleet | None = None
        self.state: FleetState | None = None
        super().__init__(name=check_name(name), **{"quiet": True, **options})
        if not self.called_from_running_loop:
            self._loop_runner.start()
            self.sync(self._start)

    def __await__(self) -> Generator[Any, None, Ec2Cluster]:
        """Start the cluster if that is still to be done."""

        async def started() -> Ec2Cluster:
            if self.status == Status.created:
                await self._start()
            return self

        return started().__await__()

    async def __aenter__(self) -> Ec2Cluster:
        return await self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def __enter__(self) -> Ec2Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def region(self) -> str:
        """AWS region."""
        return self._aws.region

    @property
    def slots(self) -> int:
        """Workers of the smallest instance that may be started."""
        return self._settings.workers_per_instance or min(vcpus(name) for name in self._settings.types)

    def scale(self, n: int) -> None:
        """Want instances for `n` workers, at most as many as the settings allow; returns at once."""
        self._desired = min(self._settings.instances, math.ceil(n / self.slots))
        self._wake_up()

    def scale_down(self, workers: Iterable[str]) -> None:
        """Want those instances no more all of whose workers are named; returns at once."""
        named = set(workers)
        on = self._workers()
        spare = {name for name in map(instance_of, named) if name and on.get(name, set()) <= named}
        self._spare = frozenset(spare)
        self._desired = max(0, self._desired - len(spare))
        self._wake_up()

    def adapt(self, *, minimum: int = 0, maximum: int | None = None, **options: Any) -> Any:
        """Let the number of workers follow the work, whole instances at a time; see ``distributed.Adaptive``."""
        most = self._settings.instances * self.slots if maximum is None else maximum
        return super().adapt(minimum=minimum, maximum=most, worker_key=_group_of, **options)

    @property
    def observed(self) -> set[str]:
        """Names of the workers that the scheduler lists."""
        return {name for names in self._workers().values() for name in names}

    @property
    def requested(self) -> set[str]:
        """Names of these, and stand-ins for those of instances that are on their way."""
        waiting = (self.state.alive - self.state.working) * self.slots if self.state else 0
        return self.observed | {f"coming-{k}" for k in range(waiting)}

    @property
    def plan(self) -> set[str]:
        """As many names as workers are wanted; those that are there first."""
        wanted = self._desired * self.slots
        names = sorted(self.requested, key=lambda name: name.startswith("coming-"))[:wanted]
        return {*names, *(f"wanted-{k}" for k in range(wanted - len(names)))}

    def check(self) -> None:
        """Raise when the cluster will not get there by itself.

        Raises
        ------
        ClusterError
            The last rounds all failed, or nothing lives and no more is started: the message says why.
        """
        if len(self._failures) >= MAX_FAILURES:
            raise ClusterError(
                f"the last {len(self._failures)} rounds of cluster {self.name} failed: {self._failures[-1]}"
            ) from self._failures[-1]
        if self.state is not None and self.state.problem and not self.state.alive:
            raise ClusterError(f"cluster {self.name} has no instances and starts no more: {self.state.problem}")
        if self._rounds is not None and self._rounds.done() and self.status == Status.running:
            self._rounds.result()  # a defect

    async def _start(self) -> None:
        self.status = Status.starting
        try:
            self.scheduler = await _distributed.Scheduler(
                host="tls://0.0.0.0",  # TLS only: whoever has no certificate of this run gets no further
                port=self._port,
                security=self.security,
                dashboard=False,
            )
            address = f"tls://127.0.0.1:{self.scheduler.port}"
            self.scheduler_comm = _distributed.rpc(address, connection_args=self.security.get_connection_args("client"))
            self.fleet = await asyncio.to_thread(self._prepare, f"tls://{self._contact}:{self.scheduler.port}")
            await super()._start()
        except BaseException:
            await self._close()
            raise
        self._wake = asyncio.Event()
        self._rounds = asyncio.get_running_loop().create_task(self._keep())

    def _prepare(self, address: str) -> Fleet:
        prices = self._prices or ask_prices(self._aws, self._settings.types)
        ground = prepare_ground(
            self._aws, self.name, self._settings, prices, user_data=self._user_data(address), policy=self._policy
        )
        return Fleet(self._aws, ground, self._settings, prices, limits=self._limits, bill=self._bill)

    async def _keep(self) -> None:
        """Go through rounds until the cluster closes."""
        while self.status == Status.running:
            await self._round()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._round_s)
            self._wake.clear()

    async def _round(self) -> None:
        assert self.fleet is not None  # noqa: S101  # set before the first round
        workers = self._workers()
        idle = [name for name in workers if name in self._spare]
        idle += [name for name in workers if name not in self._spare and not self._busy(name)]
        try:
            state = await asyncio.to_thread(self.fleet.step, self._desired, list(workers), dispensable=idle)
        except LongtailError as error:
            self._failures.append(error)
            return
        self._failures.clear()
        self.state = state
        for event in state.events:
            self._log(event)

    def _log(self, log: str) -> None:
        super()._log(log)
        self._say(log)

    def _workers(self) -> dict[str, set[str]]:
        """Return the names of the workers on each instance, as the scheduler lists them."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for worker in list(self.scheduler.workers.values()) if self.scheduler else []:
            if instance := instance_of(worker.name):
                found[instance].add(str(worker.name))
        return dict(found)

    def _busy(self, instance: str) -> bool:
        return any(
            worker.processing and instance_of(worker.name) == instance for worker in self.scheduler.workers.values()
        )

    def _wake_up(self) -> None:
        if self._rounds is not None and self.loop is not None:
            self.loop.add_callback(self._wake.set)

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        self.status = Status.closing
        with contextlib.suppress(AttributeError):
            self._adaptive.stop()
        if self._rounds is not None:
            self._wake.set()
            with contextlib.suppress(Exception):  # a defect of a round is told by check()
                await self._rounds
        trouble = ""
        try:
            trouble = await asyncio.to_thread(self._end)
        except LongtailError as error:
            trouble = str(error)
        finally:
            if self.scheduler is not None:
                await self.scheduler.close()
            await super()._close()
        if trouble:
            raise ClusterError(
                f"not all of cluster {self.name} is ended: {trouble}; run `ltminer cluster down {self.name}`"
            )

    def _end(self) -> str:
        """End everything in AWS; return what is left, in words."""
        left = []
        for belongings in take_inventory(self._aws, self.name):
            ended = end(
                self._aws, belongings, patience_s=self._end_s, say=self._log, look_s=min(self._round_s, ROUND_S)
            )
            left += [f"left {ended.left.words()} ({'; '.join(ended.troubles)})"] if ended.left else []
        return "; ".join(left)


def _group_of(worker: Any) -> str:
    """Return the group that Dask closes together: the instance of a worker."""
    return instance_of(worker.name) or str(worker.name)
