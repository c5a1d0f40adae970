"""A fleet over the simulated AWS: it gets there, replaces what died, keeps its budget, and says why when it does not."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from faulty_proxy import FaultyProxy, lose, no_capacity, partial, refuse, throttle
from test_ec2_launch import POLICY, USER_DATA

from infra.ec2.client import Aws
from infra.ec2.cost import extras_hour
from infra.ec2.fleet import Fleet, FleetState, prepare_ground
from infra.ec2.fleet_settings import FleetSettings, fleet_settings
from infra.ec2.instance import find_instances, terminate
from infra.ec2.prices import Prices
from infra.settings import Settings
from protocol.errors import ClusterError, ConfigError

TYPES = ("c7i.large", "m7i.large")
PRICES = Prices({"c7i.large": 89_250, "m7i.large": 100_800}, {}, "made")


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Scene:
    """A fleet whose instances all join at once."""

    def __init__(self, aws: Aws, **changes: object) -> None:
        plain = fleet_settings(Settings(ec2_types=", ".join(TYPES)))
        self.settings: FleetSettings = replace(plain, **changes)  # type: ignore[arg-type]  # names and types of the tests
        self.aws, self.clock = aws, Clock()
        ground = prepare_ground(aws, "made", self.settings, PRICES, user_data=USER_DATA, policy=POLICY)
        self.fleet = Fleet(aws, ground, self.settings, PRICES, clock=self.clock)

    def alive(self) -> list[str]:
        return [one.id for one in find_instances(self.aws, cluster="made") if one.alive]

    def step(self, desired: int, joined: bool = True) -> FleetState:
        return self.fleet.step(desired, self.alive() if joined else [])


@pytest.fixture
def scene(aws: Aws) -> Scene:
    return Scene(aws)


def test_up_down_and_replaced(scene: Scene, proxy: FaultyProxy) -> None:
    first = scene.step(3)
    assert (first.desired, first.alive, first.events) == (3, 0, ("started 3 of 3: 3 spot, 0 on demand",))
    state = scene.step(3)
    assert (state.alive, state.working, state.events, state.problem) == (3, 3, (), "")
    terminate(scene.aws, scene.alive()[:1])
    assert scene.step(3).alive == 2
    assert len(scene.alive()) == 3
    spare = scene.alive()[-1]
    scene.fleet.step(2, scene.alive(), dispensable=[spare])
    assert len(scene.alive()) == 2
    assert spare not in scene.alive()
    assert scene.step(100).desired == 8  # ec2_instances
    assert len(scene.alive()) == 8
    scene.step(0)
    assert scene.alive() == []
    assert proxy.count("CreateFleet") == 3


def test_short_of_capacity_it_asks_again_later(scene: Scene, proxy: FaultyProxy) -> None:
    proxy.will("CreateFleet", partial(1), no_capacity())
    (event,) = scene.step(3).events
    assert event.startswith(
        "started 1 of 3: 1 spot, 0 on demand; InsufficientInstanceCapacity (2x); allow more ec2_types"
    )
    scene.step(3)
    assert len(scene.alive()) == 1  # not at once
    scene.clock.ahead = 21.0
    scene.step(3)
    assert len(scene.alive()) == 3


def test_throttled_and_lossy(scene: Scene, proxy: FaultyProxy) -> None:
    proxy.will("DescribeInstances", throttle(), lose())
    proxy.will("CreateFleet", throttle(), lose())
    scene.step(4)
    proxy.will("TerminateInstances", lose(), throttle())
    scene.step(1)
    assert len(scene.alive()) == 1


def test_a_lasting_refusal_is_told_and_nothing_is_lost(scene: Scene, proxy: FaultyProxy) -> None:
    proxy.will("CreateFleet", no_capacity("InvalidAMIID.NotFound", "no such image"))
    with pytest.raises(ClusterError, match=r"InvalidAMIID\.NotFound"):
        scene.step(2)
    proxy.will("DescribeInstances", refuse("UnauthorizedOperation"))
    with pytest.raises(ConfigError, match="ec2:DescribeInstances"):
        scene.fleet.step(2, [])
    scene.clock.ahead = 21.0
    scene.step(2)
    assert len(scene.alive()) == 2


def test_instances_that_never_join_are_replaced_then_given_up(scene: Scene) -> None:
    for hours in range(1, 4):
        scene.step(3, joined=False)
        scene.clock.ahead = hours * 700.0
    state = scene.step(3, joined=False)
    assert "the last 6 instances never joined within 600 s" in state.problem
    assert scene.step(3, joined=False).alive == 0


def test_the_budget_holds(aws: Aws) -> None:
    hour = max(PRICES.on_demand.values()) + extras_hour(20)
    scene = Scene(aws, budget=hour)  # an hour of one, or three of them for some minutes
    scene.step(8)
    started = len(scene.alive())
    assert 1 < started < 8  # only so many as can work for ten minutes
    state = scene.step(8)
    assert (state.desired, state.over_budget) == (started, False)
    assert 600 <= state.seconds_left < 3600
    scene.clock.ahead = state.seconds_left + 65  # the first minute was paid in advance
    state = scene.step(8)
    assert state.over_budget
    assert state.problem.startswith("the budget of $0.1")
    assert scene.alive() == []
    assert scene.step(8).spent < hour
    assert scene.step(8).over_budget  # for good


def test_a_budget_that_bears_nothing(aws: Aws) -> None:
    scene = Scene(aws, budget=1000)
    state = scene.step(2)
    assert (state.over_budget, state.desired, scene.alive()) == (True, 0, [])


def test_a_price_below_all_types(aws: Aws, proxy: FaultyProxy) -> None:
    with pytest.raises(ConfigError, match=r"max_price = \$0\.0500 an hour is below"):
        Scene(aws, max_price=50_000, spot_share=0.5)
    scene = Scene(aws, max_price=90_000)
    proxy.will("CreateFleet", no_capacity("SpotMaxPriceTooLow"))
    assert "1 on demand" in scene.step(1).events[0]
    (one,) = find_instances(aws, cluster="made")
    assert (one.type, one.market) == ("c7i.large", "on-demand")
