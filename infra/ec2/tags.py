"""How everything of a cluster is found again: by tags, from any machine, whatever became of the one that made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from protocol.errors import UsageError

#: On everything we make: the name of the cluster.
CLUSTER_TAG = "longtail:cluster"
#: On fleets and instances: the token of the call that asked for them.
LAUNCH_TAG = "longtail:launch"
#: On roles, which have no region otherwise: that of the cluster.
REGION_TAG = "longtail:region"
#: Part of resource names, of which the shortest limit is IAM's 64 characters.
NAME_LENGTH = 40
_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{NAME_LENGTH - 2}}}[a-z0-9])?\Z")


def check_name(cluster: str) -> str:
    """Return the name of a cluster if it can be one.

    Raises
    ------
    UsageError
        It is not made of up to 40 of a-z, 0-9 and inner hyphens.
    """
    if not _NAME.match(cluster):
        raise UsageError(
            f"cluster name {cluster!r} is not made of up to 40 of a-z, 0-9 and inner hyphens; choose another"
        )
    return cluster


def resource_name(cluster: str) -> str:
    """Return the name of the cluster's security group, launch template, role and instance profile."""
    return f"longtail-{check_name(cluster)}"


def tags_of(cluster: str, **more: str) -> list[dict[str, str]]:
    """Return the tags of a resource of `cluster`, with `more` under ``longtail:NAME``."""
    named = {"Name": resource_name(cluster), CLUSTER_TAG: cluster}
    return to_aws(named | {f"longtail:{name}": value for name, value in more.items()})


def to_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def from_aws(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return tags as AWS gives them, as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def tag_filter(key: str, *values: str) -> dict[str, object]:
    """Return the filter of describe calls for resources with a tag, with one of these values if any are given."""
    return {"Name": f"tag:{key}", "Values": list(values)} if values else {"Name": "tag-key", "Values": [key]}
