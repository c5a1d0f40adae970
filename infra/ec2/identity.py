"""The role of a cluster's instances and the profile that hands it to them: it may do what the cluster's policy says, no more.

An instance needs no permission to end itself: it shuts down, and its template makes that its end. IAM knows no regions:
role and profile are the account's, and their names hold the cluster's name. IAM tells the rest of AWS of a new profile
within some seconds, so the first launch with it may have to wait (:mod:`infra.ec2.launch`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.ec2.client import Aws, AwsError
from infra.ec2.tags import CLUSTER_TAG, REGION_TAG, from_aws, resource_name, tags_of
from protocol.errors import ConfigError

POLICY = "longtail-worker"
#: IAM path of all we make, so that a policy can be given for all of it.
PATH = "/longtail/"
_EXISTS, _MISSING = "EntityAlreadyExists", "NoSuchEntity"


def partition(region: str) -> str:
    """Return the partition in the ARNs of a region."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rpartition("-")[0].rpartition("-")[0], "aws")


def trust_policy() -> dict[str, Any]:
    """Return who may take the role: EC2 instances."""
    allow = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [allow]}


def ensure_profile(aws: Aws, cluster: str, policy: Mapping[str, Any]) -> str:
    """Return the name of the cluster's instance profile with its role and policy, made where they are missing.

    Parameters
    ----------
    aws : Aws
    cluster : str
    policy : mapping
        IAM policy document: what instances may do.

    Raises
    ------
    ConfigError
        A role of that name is not ours; credentials as in :meth:`Aws.call`.
    """
    name, tags = resource_name(cluster), tags_of(cluster, region=aws.region)
    _unless(
        _EXISTS,
        aws,
        "create_role",
        RoleName=name,
        Path=PATH,
        AssumeRolePolicyDocument=json.dumps(trust_policy()),
        Description=f"instances of the longtail cluster {cluster}",
        Tags=tags,
    )
    role = aws.call("iam", "get_role", RoleName=name)["Role"]
    if role["Path"] != PATH:
        raise ConfigError(f"role {name} exists and is not ours (its path is {role['Path']}); rename it or the cluster")
    aws.call("iam", "put_role_policy", RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(dict(policy)))
    _unless(_EXISTS, aws, "create_instance_profile", InstanceProfileName=name, Path=PATH, Tags=tags)
    # A profile holds one role: once it is in, IAM answers LimitExceeded.
    _unless("LimitExceeded", aws, "add_role_to_instance_profile", InstanceProfileName=name, RoleName=name)
    return name


def remove_profile(aws: Aws, name: str) -> list[str]:
    """Remove a profile and role that :func:`ensure_profile` made, whole or in part; return what was removed.

    A role of that name with another path is not ours and stays.
    """
    role = _unless(_MISSING, aws, "get_role", RoleName=name)
    profile = _unless(_MISSING, aws, "get_instance_profile", InstanceProfileName=name)
    removed = []
    if profile is not None and profile["InstanceProfile"]["Path"] == PATH:
        for held in profile["InstanceProfile"]["Roles"]:
            _unless(
                _MISSING,
                aws,
                "remove_role_from_instance_profile",
                InstanceProfileName=name,
                RoleName=held["RoleName"],
            )
        _unless(_MISSING, aws, "delete_instance_profile", InstanceProfileName=name)
        removed.append("instance profile")
    if role is not None and role["Role"]["Path"] == PATH:
        _unless(_MISSING, aws, "delete_role_policy", RoleName=name, PolicyName=POLICY)
        _unless(_MISSING, aws, "delete_role", RoleName=name)
        removed.append("role")
    return removed


def find_profiles(aws: Aws) -> list[tuple[str, str]]:
    """Return (cluster, name) of every role that is ours and of the region of `aws`; raises as :meth:`Aws.call` does."""
    found: list[tuple[str, str]] = []
    marker: dict[str, Any] = {}
    while True:
        answer = aws.call("iam", "list_roles", PathPrefix=PATH, **marker)
        for role in answer["Roles"]:
            kept = _unless(_MISSING, aws, "list_role_tags", RoleName=role["RoleName"])  # None: it was just removed
            tags = from_aws(kept["Tags"] if kept else None)
            if tags.get(REGION_TAG) == aws.region and CLUSTER_TAG in tags:
                found.append((tags[CLUSTER_TAG], role["RoleName"]))
        if not answer.get("IsTruncated"):
            return sorted(found)
        marker = {"Marker": answer["Marker"]}


def _unless(code: str, aws: Aws, operation: str, **parameters: Any) -> dict[str, Any] | None:
    """Return the answer, or None when AWS refuses with `code`: it is done already."""
    try:
        return aws.call("iam", operation, **parameters)
    except AwsError as error:
        if error.code != code:
            raise
        return None
