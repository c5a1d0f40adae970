"""The instances of one cluster: what the rule of :mod:`infra.ec2.reconcile` says is done in AWS, within the budget.

Owned by one thread at a time. It keeps nothing that could not be found again: instances are AWS's list, the bill starts
anew from it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infra.dollars import in_dollars
from infra.ec2.client import Aws
from infra.ec2.cost import Bill, affordable, extras_hour, seconds_left
from infra.ec2.fleet_settings import FleetSettings
from infra.ec2.identity import ensure_profile
from infra.ec2.instance import Instance, find_instances, terminate
from infra.ec2.launch import Ground, Launched, launch
from infra.ec2.network import ensure_group, find_network, offered
from infra.ec2.prices import Prices
from infra.ec2.reconcile import Limits, Told, heard, reconcile, remember
from infra.ec2.template import ensure_template, find_image, template_data
from protocol.errors import ConfigError, LongtailError

#: An instance that could not work for so long within the budget is not started, seconds.
WORTH_S = 600.0
#: Before AWS is asked again for what it had no capacity for, seconds; doubles up to the longest.
PAUSE_S, LONGEST_PAUSE_S = 20.0, 300.0


@dataclass(frozen=True, slots=True)
class FleetState:
    """Where a fleet stands after a step.

    Attributes
    ----------
    desired : int
        Instances wanted, as far as limits and budget allow.
    alive, working : int
        Instances that live, and those of which the scheduler lists workers.
    spent, rate : int
        Cost so far, micro-dollars, and cost of an hour at present.
    seconds_left : float
        Until the run must begin to stop so that its budget holds; infinite while nothing runs.
    events : tuple of str
        What was done in this step and why, for people.
    problem : str
        Why no more instances are started, empty while they are.
    over_budget : bool
        The run is to stop now: all instances are being ended.
    """

    desired: int
    alive: int
    working: int
    spent: int
    rate: int
    seconds_left: float
    events: tuple[str, ...]
    problem: str
    over_budget: bool


def prepare_ground(
    aws: Aws,
    cluster: str,
    settings: FleetSettings,
    prices: Prices,
    *,
    user_data: bytes,
    policy: Mapping[str, Any],
) -> Ground:
    """Make what instances need: group, profile and template; what is there already is used.

    Parameters
    ----------
    aws : Aws
    cluster : str
    settings : FleetSettings
    prices : Prices
        Of all ``settings.types``.
    user_data : bytes
        See :func:`infra.ec2.template.template_data`.
    policy : mapping
        What instances may do; unused with a profile of the user's own.

    Raises
    ------
    ConfigError
        Settings do not fit the account: subnets, types, image, a foreign resource of our name, missing permissions.
    ClusterError
        AWS does not answer.
    """
    network = find_network(aws, settings.subnets)
    pools = tuple(offered(aws, settings.types, network))
    cheap = set(prices.within(settings.types, settings.max_price))
    if not cheap and settings.spot_share < 1:
        raise ConfigError(
            f"max_price = {in_dollars(settings.max_price or 0)} an hour is below the on-demand price of every type in "
            "ec2_types; raise it, name smaller types, or set ec2_spot_share = 1"
        )
    group = ensure_group(aws, cluster, network.vpc, settings.access)
    profile = settings.profile or ensure_profile(aws, cluster, policy)
    data = template_data(
        cluster,
        find_image(aws, settings.image),
        group=group,
        profile=profile,
        key=settings.key,
        volume_gb=settings.volume_gb,
        user_data=user_data,
    )
    template = ensure_template(aws, cluster, data)
    on_demand = tuple((name, subnet) for name, subnet in pools if name in cheap)
    return Ground(cluster, template, pools, on_demand, settings.spot_share, settings.max_price)


class Fleet:
    """Keeps as many instances as are wanted, by steps.

    Parameters
    ----------
    aws : Aws
    ground : Ground
    settings : FleetSettings
    prices : Prices
    limits : Limits, optional
    bill : Bill, optional
        What the run has cost before.
    clock : callable
        Unix time, seconds.
    """

    def __init__(
        self,
        aws: Aws,
        ground: Ground,
        settings: FleetSettings,
        prices: Prices,
        *,
        limits: Limits | None = None,
        bill: Bill | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._aws, self._ground, self._settings, self._prices, self._clock = aws, ground, settings, prices, clock
        self._limits = limits or Limits(lifetime_s=settings.lifetime_s)
        self._told = Told()
        self._pause_s = PAUSE_S
        self._dearest = prices.dearest(settings.types, settings.max_price) + extras_hour(settings.volume_gb)
        self._over_budget = False
        self.bill = bill or Bill()

    def step(self, desired: int, workers: Iterable[str], *, dispensable: Sequence[str] = ()) -> FleetState:
        """Look, decide and act once.

        Parameters
        ----------
        desired : int
            Instances wanted; 0 ends all.
        workers : iterable of str
            Instances of which the scheduler lists a worker, read just before.
        dispensable : sequence of str
            Instances that can best be spared, the first one first.

        Returns
        -------
        FleetState

        Raises
        ------
        ConfigError, ClusterError
            AWS refuses for a reason that does not pass by itself, or does not answer; nothing is lost by another step.
        """
        working = set(workers)
        instances = find_instances(self._aws, cluster=self._ground.cluster)
        now = self._clock()
        self.bill = self.bill.observe(instances, self._price, now)
        alive = [one for one in instances if one.alive]
        self._told = heard(self._told, working, now)
        wanted = self._affordable(min(desired, self._settings.instances), len(alive), now)
        actions = reconcile(
            self._ground.cluster,
            wanted,
            instances,
            self._told,
            now=now,
            limits=self._limits,
            dispensable=dispensable,
        )
        events = [f"ending {name}: {reason}" for name, reason in actions.terminate]
        terminate(self._aws, [name for name, _ in actions.terminate])
        self._told = remember(self._told, actions, instances)
        if actions.launch:
            try:
                launched = launch(self._aws, self._ground, actions.launch, uuid.uuid4().hex)
            except LongtailError:  # some may have started: AWS gets time to list them
                self._told = replace(self._told, pause_until=self._clock() + self._pause_s)
                raise
            events += self._note(launched, actions.launch)
        problem = actions.give_up
        if self._over_budget:
            problem = f"the budget of {in_dollars(self._settings.budget)} is used up but for what stopping costs"
        spent, rate = self.bill.spent(now), self.bill.rate()
        return FleetState(
            desired=wanted,
            alive=len(alive),
            working=len(working & {one.id for one in alive}),
            spent=spent,
            rate=rate,
            seconds_left=seconds_left(self._settings.budget, spent, rate),
            events=tuple(events),
            problem=problem,
            over_budget=self._over_budget,
        )

    def _price(self, instance: Instance) -> int:
        price = self._dearest  # of a type that is not ours by now: too much rather than too little
        if instance.type in self._prices.on_demand:
            price = self._prices.of(instance) + extras_hour(self._settings.volume_gb)
        return price

    def _affordable(self, desired: int, alive: int, now: float) -> int:
        """Return how many instances the budget bears; none from the moment on when the run must stop."""
        budget, spent, rate = self._settings.budget, self.bill.spent(now), self.bill.rate()
        if seconds_left(budget, spent, rate) <= 0:
            self._over_budget = True
        if self._over_budget:
            return 0
        unlisted = sum(name not in self.bill.rentals for name in self._told.started)
        more = affordable(budget, spent, rate + unlisted * self._dearest, self._dearest, WORTH_S)
        if not alive and not unlisted and desired and not more:
            self._over_budget = True
            return 0
        return min(desired, alive + unlisted + more)

    def _note(self, launched: Launched, asked: int) -> list[str]:
        now = self._clock()
        started = {**self._told.started, **dict.fromkeys(launched.instances, now)}
        self._told = replace(self._told, started=started)
        short = asked - len(launched.instances)
        markets = list(launched.instances.values())
        words = (
            f"started {len(markets)} of {asked}: {markets.count('spot')} spot, {markets.count('on-demand')} on demand"
        )
        if short <= 0:
            self._pause_s = PAUSE_S
            return [words]
        self._told = replace(self._told, pause_until=now + self._pause_s)
        again, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        return [f"{words}; {launched.why_short()}; asking again in {again:g} s"]
