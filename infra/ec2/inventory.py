"""Everything that is ours in an account, found by tag, and how it is ended: from any machine, also after a crash.

What ends a cluster that a miner still works on ends its launch template first: from then on that miner starts no more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from infra.ec2.client import Aws, AwsError
from infra.ec2.cost import Bill, extras_hour
from infra.ec2.identity import find_profiles, remove_profile
from infra.ec2.instance import GONE, MAX_IDS, Instance, find_instances, terminate
from infra.ec2.prices import ask_prices
from infra.ec2.tags import CLUSTER_TAG, from_aws, tag_filter
from protocol.errors import LongtailError

#: Fleets in one call of delete_fleets (AWS's limit for those of type instant).
MAX_FLEETS = 25
#: Between two looks at what still is there, seconds.
LOOK_S = 5.0
#: What AWS answers for what is gone already.
_ENDED = ("NotFound", "NotExist")


@dataclass(frozen=True, slots=True)
class Belongings:
    """What one cluster has in one region.

    Attributes
    ----------
    cluster, region : str
    instances : tuple of Instance
        Those that are not gone: running, starting or stopped.
    templates, groups, fleets, profiles : tuple of str
        Ids of launch templates, security groups and fleets; names of role and instance profile.
    """

    cluster: str
    region: str
    instances: tuple[Instance, ...] = ()
    templates: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fleets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.instances, self.templates, self.groups, self.fleets, self.profiles))

    def words(self) -> str:
        """Return what there is, in words."""
        kinds = {
            "instance": self.instances,
            "launch template": self.templates,
            "security group": self.groups,
            "fleet request": self.fleets,
            "instance profile": self.profiles,
        }
        counted = [f"{len(found)} {kind}{'s' * (len(found) > 1)}" for kind, found in kinds.items() if found]
        return ", ".join(counted) or "nothing"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "cluster": self.cluster,
            "region": self.region,
            "instances": [
                {
                    "id": one.id,
                    "state": one.state,
                    "type": one.type,
                    "zone": one.zone,
                    "market": one.market,
                    "launched": one.launched,
                }
                for one in self.instances
            ],
            "templates": list(self.templates),
            "groups": list(self.groups),
            "fleets": list(self.fleets),
            "profiles": list(self.profiles),
        }


@dataclass(slots=True)
class Ended:
    """What came of ending a cluster's belongings.

    Attributes
    ----------
    was : Belongings
        What there was.
    left : Belongings
        What is still there.
    troubles : list of str
        Why.
    """

    was: Belongings
    left: Belongings
    troubles: list[str] = field(default_factory=list)


def take_inventory(aws: Aws, cluster: str | None = None) -> list[Belongings]:
    """Return what each cluster has in the region of `aws`, or what that one cluster has; by name, none without anything.

    A role belongs to the region it was made for, although IAM knows none. Raises as :meth:`Aws.call` does.
    """
    found: defaultdict[str, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    tagged = [tag_filter(CLUSTER_TAG, *([cluster] if cluster else []))]
    for raw in aws.pages("ec2", "describe_launch_templates", "LaunchTemplates", Filters=tagged):
        found[from_aws(raw["Tags"])[CLUSTER_TAG]]["templates"].append(raw["LaunchTemplateId"])
    for raw in aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=tagged):
        found[from_aws(raw["Tags"])[CLUSTER_TAG]]["groups"].append(raw["GroupId"])
    asked: list[Any] = [{"Name": "key", "Values": [CLUSTER_TAG]}, {"Name": "resource-type", "Values": ["fleet"]}]
    asked += [{"Name": "value", "Values": [cluster]}] if cluster else []
    for tag in aws.pages("ec2", "describe_tags", "Tags", Filters=asked):  # instant fleets are listed nowhere else
        found[tag["Value"]]["fleets"].append(tag["ResourceId"])
    for instance in find_instances(aws, cluster=cluster):
        if instance.state not in GONE:
            found[instance.cluster]["instances"].append(instance)
    for owner, name in find_profiles(aws):
        if cluster in (None, owner):
            found[owner]["profiles"].append(name)
    for parts in found.values():
        parts["fleets"] = _active(aws, parts["fleets"])
    belongings = [
        Belongings(owner, aws.region, **{kind: tuple(members) for kind, members in parts.items()})
        for owner, parts in sorted(found.items())
    ]
    return [one for one in belongings if one]


def running_cost(aws: Aws, instances: Iterable[Instance], volume_gb: int, now: float) -> tuple[int, int] | None:
    """Return what `instances` have cost since their launch and what they cost per hour, micro-dollars.

    Returns
    -------
    tuple of int, or None when their prices are not to be had
        By the prices of now (:mod:`infra.ec2.prices`) for volumes of `volume_gb`; without those that are gone already.
    """
    listed = list(instances)
    if not listed:
        return 0, 0
    try:
        prices = ask_prices(aws, sorted({one.type for one in listed}))
    except LongtailError:
        return None
    bill = Bill().observe(listed, lambda one: prices.of(one) + extras_hour(volume_gb), now)
    return bill.spent(now), bill.rate()


def end(
    aws: Aws, belongings: Belongings, *, patience_s: float, say: Callable[[str], None], look_s: float = LOOK_S
) -> Ended:
    """End everything a cluster has, and wait until AWS says that it is gone.

    Every part is tried, also when another one fails, and tried again until `patience_s` have passed; what other hands
    ended meanwhile counts as ended.

    Parameters
    ----------
    aws : Aws
    belongings : Belongings
    patience_s : float
        How long to wait, seconds: instances take a minute or two to end, and their group only goes after them.
    say : callable
        Told what is being waited for.
    look_s : float
        Seconds between two tries.

    Raises
    ------
    LongtailError
        AWS does not even say what there is: as :meth:`Aws.call`.
    """
    until = time.monotonic() + patience_s
    left = belongings
    while True:
        troubles: list[str] = []
        for step in (_end_templates, _end_fleets, _end_instances):
            _try(troubles, step, aws, left)
        left = _left(aws, belongings)
        if not left.instances:  # which the group and the profile are in use by
            _try(troubles, _end_groups, aws, left)
            _try(troubles, _end_profiles, aws, left)
            left = _left(aws, belongings)
        if not left or time.monotonic() + look_s > until:
            return Ended(belongings, left, troubles if left else [])
        say(f"{belongings.cluster}: waiting for {left.words()}")
        time.sleep(look_s)


def _left(aws: Aws, belongings: Belongings) -> Belongings:
    return next(iter(take_inventory(aws, belongings.cluster)), Belongings(belongings.cluster, aws.region))


def _try(troubles: list[str], step: Callable[[Aws, Belongings], None], aws: Aws, belongings: Belongings) -> None:
    try:
        step(aws, belongings)
    except LongtailError as error:
        troubles.append(str(error))


def _end_templates(aws: Aws, belongings: Belongings) -> None:
    for name in belongings.templates:
        _unless_gone(aws, "delete_launch_template", LaunchTemplateId=name)


def _end_instances(aws: Aws, belongings: Belongings) -> None:
    terminate(aws, [one.id for one in belongings.instances])


def _end_fleets(aws: Aws, belongings: Belongings) -> None:
    for first in range(0, len(belongings.fleets), MAX_FLEETS):
        part = list(belongings.fleets[first : first + MAX_FLEETS])
        _unless_gone(aws, "delete_fleets", FleetIds=part, TerminateInstances=True)


def _end_groups(aws: Aws, belongings: Belongings) -> None:
    for name in belongings.groups:
        _unless_gone(aws, "delete_security_group", GroupId=name)


def _end_profiles(aws: Aws, belongings: Belongings) -> None:
    for name in belongings.profiles:
        remove_profile(aws, name)


def _unless_gone(aws: Aws, operation: str, **parameters: Any) -> None:
    try:
        aws.call("ec2", operation, **parameters)
    except AwsError as error:
        if not any(words in error.code for words in _ENDED):
            raise


def _active(aws: Aws, fleets: list[str]) -> list[str]:
    """Return those fleets that were not deleted: AWS lists deleted ones for hours. An instant fleet is told by its id only."""
    found: list[str] = []
    for first in range(0, len(fleets), MAX_IDS):
        part = fleets[first : first + MAX_IDS]
        try:
            listed = list(aws.pages("ec2", "describe_fleets", "Fleets", FleetIds=part))
        except AwsError as error:
            if not any(words in error.code for words in _ENDED):
                raise
            listed = []  # it ended together with its instances
        found += [
            raw["FleetId"] for raw in listed if not str(raw.get("FleetState", "")).startswith(("deleted", "failed"))
        ]
    return found
