"""An instance as AWS describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra.ec2.client import Aws, AwsError
from infra.ec2.tags import CLUSTER_TAG, LAUNCH_TAG, from_aws, tag_filter

Market = Literal["spot", "on-demand"]
#: States in which an instance works or will, and in which it is billed or can be again.
ALIVE = frozenset({"pending", "running"})
GONE = frozenset({"shutting-down", "terminated"})
#: Most instances named in one call.
MAX_IDS = 500


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance.

    Attributes
    ----------
    id : str
    cluster, launch : str
        Cluster it belongs to and token of the call that asked for it: its tags, empty without them.
    state : str
        ``pending``, ``running``, ``shutting-down``, ``stopping``, ``stopped`` or ``terminated``.
    launched : float
        Unix time, seconds.
    type, zone : str
        Such as ``c7i.large`` and ``eu-central-1a``.
    market : Market
    address : str
        Private IPv4 address, empty when it has none.
    """

    id: str
    cluster: str
    launch: str
    state: str
    launched: float
    type: str
    zone: str
    market: Market
    address: str

    @property
    def alive(self) -> bool:
        """Whether it works or will."""
        return self.state in ALIVE


def find_instances(aws: Aws, *, cluster: str | None = None, launches: Sequence[str] = ()) -> list[Instance]:
    """Return the instances of one cluster, or of all; or those that calls with these tokens started. Oldest first.

    Those that ended are among them for about an hour. Raises as :meth:`Aws.call` does.
    """
    asked = tag_filter(LAUNCH_TAG, *launches) if launches else tag_filter(CLUSTER_TAG, *([cluster] if cluster else []))
    reservations = aws.pages("ec2", "describe_instances", "Reservations", Filters=[asked])
    found = [_read(raw) for reservation in reservations for raw in reservation["Instances"]]
    return sorted(found, key=lambda instance: (instance.launched, instance.id))


def terminate(aws: Aws, ids: list[str]) -> None:
    """End instances; those that are gone already are no error. Raises as :meth:`Aws.call` does otherwise."""
    for first in range(0, len(ids), MAX_IDS):
        _terminate(aws, ids[first : first + MAX_IDS])


def _terminate(aws: Aws, ids: list[str]) -> None:
    try:
        aws.call("ec2", "terminate_instances", InstanceIds=ids)
    except AwsError as error:
        if error.code != "InvalidInstanceID.NotFound":
            raise
        if len(ids) > 1:  # AWS ends none of them when it knows one no more
            for one in ids:
                _terminate(aws, [one])


def _read(raw: Mapping[str, Any]) -> Instance:
    tags = from_aws(raw.get("Tags"))
    return Instance(
        id=raw["InstanceId"],
        cluster=tags.get(CLUSTER_TAG, ""),
        launch=tags.get(LAUNCH_TAG, ""),
        state=raw["State"]["Name"],
        launched=raw["LaunchTime"].timestamp(),
        type=raw["InstanceType"],
        zone=raw.get("Placement", {}).get("AvailabilityZone", ""),
        market="spot" if raw.get("InstanceLifecycle") == "spot" else "on-demand",
        address=raw.get("PrivateIpAddress", ""),
    )
