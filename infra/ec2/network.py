"""Where instances stand and who may reach them: subnets, and a security group of the cluster's own.

The group lets its members reach one another, and one named machine or group reach the ports that Dask listens on. Nothing
else gets in; what goes out is not restricted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.ec2.client import Aws, AwsError
from infra.ec2.tags import CLUSTER_TAG, from_aws, resource_name, tags_of
from protocol.errors import ConfigError

#: Dask's scheduler, workers and nannies listen somewhere among these, and services of the system below them.
DASK_PORTS = (1024, 65_535)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet and the availability zone it is in."""

    id: str
    zone: str


@dataclass(frozen=True, slots=True)
class Network:
    """The VPC and those of its subnets that may be used, sorted by id."""

    vpc: str
    subnets: tuple[Subnet, ...]


def find_network(aws: Aws, subnets: Sequence[str]) -> Network:
    """Return the network of the named subnets, or that of the default VPC.

    Raises
    ------
    ConfigError
        A subnet does not exist, they are of several VPCs, or there is no default VPC.
    """
    filters = {} if subnets else {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
    named = {"SubnetIds": list(subnets)} if subnets else {}
    try:
        found = list(aws.pages("ec2", "describe_subnets", "Subnets", **filters, **named))
    except AwsError as error:
        if not error.code.startswith("InvalidSubnet"):
            raise
        raise ConfigError(
            f"setting ec2_subnets = {', '.join(subnets)}: {error}; `aws ec2 describe-subnets` lists them"
        ) from error
    if not found:
        raise ConfigError(f"{aws.region} has no default VPC; name subnets of your own in the setting ec2_subnets")
    vpcs = sorted({raw["VpcId"] for raw in found})
    if len(vpcs) > 1:
        raise ConfigError(f"the subnets are of several VPCs ({', '.join(vpcs)}); name subnets of one in ec2_subnets")
    return Network(
        vpcs[0],
        tuple(sorted((Subnet(raw["SubnetId"], raw["AvailabilityZone"]) for raw in found), key=lambda one: one.id)),
    )


def offered(aws: Aws, types: Sequence[str], network: Network) -> list[tuple[str, Subnet]]:
    """Return the pairs of type and subnet in whose zone that type exists, in the order of both.

    Raises
    ------
    ConfigError
        There is none.
    """
    offers = aws.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": list(types)}],
    )
    known = {(raw["InstanceType"], raw["Location"]) for raw in offers}
    pools = [(name, subnet) for name in types for subnet in network.subnets if (name, subnet.zone) in known]
    if not pools:
        zones = ", ".join(sorted({subnet.zone for subnet in network.subnets}))
        raise ConfigError(f"none of {', '.join(types)} is offered in {zones}; name other ec2_types or ec2_subnets")
    return pools


def ensure_group(aws: Aws, cluster: str, vpc: str, access: str) -> str:
    """Return the id of the cluster's security group with exactly the rules above, made if there is none.

    Parameters
    ----------
    aws : Aws
    cluster, vpc : str
    access : str
        Address range or security group that may reach what Dask listens on; empty: nobody beside the members.
    """
    group = _find_group(aws, cluster, vpc)
    if group is None:
        try:
            made = aws.call(
                "ec2",
                "create_security_group",
                GroupName=resource_name(cluster),
                Description=f"longtail cluster {cluster}: its members, and the machine with the scheduler",
                VpcId=vpc,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": tags_of(cluster)}],
            )
            group = {"GroupId": made["GroupId"], "IpPermissions": []}
        except AwsError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            group = aws.settled(lambda: _find_group(aws, cluster, vpc))  # made by a call whose answer was lost
            if group is None:
                raise
    name = str(group["GroupId"])
    wanted = _rules(name, access)
    surplus = [rule for rule in map(_plain, _split(group["IpPermissions"])) if rule not in map(_plain, wanted)]
    if surplus:
        aws.call("ec2", "revoke_security_group_ingress", GroupId=name, IpPermissions=_split(group["IpPermissions"]))
    for rule in wanted:
        try:
            aws.call("ec2", "authorize_security_group_ingress", GroupId=name, IpPermissions=[rule])
        except AwsError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise
    return name


def _find_group(aws: Aws, cluster: str, vpc: str) -> dict[str, Any] | None:
    named: list[Any] = [
        {"Name": "group-name", "Values": [resource_name(cluster)]},
        {"Name": "vpc-id", "Values": [vpc]},
    ]
    for group in aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=named):
        if from_aws(group.get("Tags")).get(CLUSTER_TAG) != cluster:
            raise ConfigError(
                f"security group {group['GroupId']} has the name {resource_name(cluster)} but not our tag; rename or delete it"
            )
        return dict(group)
    return None


def _rules(group: str, access: str) -> list[dict[str, Any]]:
    """Return the rules a group is to have, each for one source."""
    members = {"UserIdGroupPairs": [{"GroupId": group}]}
    rules = [{"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65_535, **members}]
    if access:
        if access.startswith("sg-"):
            source: dict[str, Any] = {"UserIdGroupPairs": [{"GroupId": access}]}
        elif (network := ipaddress.ip_network(access)).version == 4:
            source = {"IpRanges": [{"CidrIp": str(network)}]}
        else:
            source = {"Ipv6Ranges": [{"CidrIpv6": str(network)}]}
        rules.append({"IpProtocol": "tcp", "FromPort": DASK_PORTS[0], "ToPort": DASK_PORTS[1], **source})
    return rules


def _split(permissions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return AWS's rules as rules for one source each, and without what was only described."""
    found = []
    for raw in permissions:
        ports = {key: raw[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in raw}
        found += [
            {**ports, "UserIdGroupPairs": [{"GroupId": one["GroupId"]}]} for one in raw.get("UserIdGroupPairs", [])
        ]
        found += [{**ports, "IpRanges": [{"CidrIp": one["CidrIp"]}]} for one in raw.get("IpRanges", [])]
        found += [{**ports, "Ipv6Ranges": [{"CidrIpv6": one["CidrIpv6"]}]} for one in raw.get("Ipv6Ranges", [])]
    return found


def _plain(rule: dict[str, Any]) -> str:
    return repr(sorted(rule.items()))
