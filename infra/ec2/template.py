"""The launch template: everything that is the same for all instances of a cluster.

Metadata only by IMDSv2 with one hop, so that nothing behind the instance reaches it; an encrypted gp3 volume that goes with the
instance; an instance that shuts itself down is terminated; tags on volume and interface. User-data can be
read by whoever may describe the instance, and by every process on it: no secret belongs there.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from infra.ec2.client import Aws, AwsError
from infra.ec2.tags import CLUSTER_TAG, from_aws, resource_name, tags_of
from protocol.errors import ConfigError

#: AWS's limit, before base64.
MAX_USER_DATA = 16_384
#: Public parameter of Systems Manager with the id of the newest Amazon Linux 2023.
NEWEST_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


@dataclass(frozen=True, slots=True)
class Image:
    """An image and the device its root volume is on."""

    id: str
    root_device: str


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a launch template."""

    id: str
    version: str


def find_image(aws: Aws, image: str) -> Image:
    """Return the image of that id, or the newest Amazon Linux 2023.

    Raises
    ------
    ConfigError
        It does not exist in this region, or is not for x86-64.
    """
    name = image or aws.call("ssm", "get_parameter", Name=NEWEST_IMAGE)["Parameter"]["Value"]
    try:
        found = aws.call("ec2", "describe_images", ImageIds=[name])["Images"]
    except AwsError as error:
        if not error.code.startswith("InvalidAMIID"):
            raise
        found = []
    if not found:
        raise ConfigError(f"image {name} does not exist in {aws.region}; name one of that region in ec2_image, or none")
    if found[0].get("Architecture", "x86_64") != "x86_64":
        raise ConfigError(f"image {name} is for {found[0]['Architecture']}, not x86_64; name another in ec2_image")
    return Image(name, found[0].get("RootDeviceName") or "/dev/xvda")


def template_data(
    cluster: str, image: Image, *, group: str, profile: str, key: str, volume_gb: int, user_data: bytes
) -> dict[str, Any]:
    """Return the content of the template.

    Parameters
    ----------
    cluster : str
    image : Image
    group, profile : str
        Security group id and name of the instance profile.
    key : str
        EC2 key pair, empty for none.
    volume_gb : int
    user_data : bytes
        What the instance runs at its first start: no secret in it, at most :data:`MAX_USER_DATA` bytes.

    Raises
    ------
    ConfigError
        `user_data` is too long.
    """
    if len(user_data) > MAX_USER_DATA:
        raise ConfigError(
            f"user-data of {len(user_data)} bytes is beyond EC2's {MAX_USER_DATA}; let the instance fetch the rest from S3"
        )
    kinds = ("volume", "network-interface")  # instances are tagged by the call that asks for them
    disk = {"Encrypted": True, "VolumeType": "gp3", "VolumeSize": volume_gb, "DeleteOnTermination": True}
    data: dict[str, Any] = {
        "ImageId": image.id,
        "IamInstanceProfile": {"Name": profile},
        "SecurityGroupIds": [group],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        "BlockDeviceMappings": [{"DeviceName": image.root_device, "Ebs": disk}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags_of(cluster)} for kind in kinds],
        "UserData": base64.b64encode(user_data).decode(),
    }
    return {**data, "KeyName": key} if key else data


def ensure_template(aws: Aws, cluster: str, data: dict[str, Any]) -> Template:
    """Return the version of the cluster's launch template that has this content, made if there is none.

    Raises
    ------
    ConfigError
        A template of that name is not ours.
    """
    name = resource_name(cluster)
    content = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    found = _find(aws, cluster)
    if found is None:
        try:
            made = aws.call(
                "ec2",
                "create_launch_template",
                LaunchTemplateName=name,
                LaunchTemplateData=data,
                VersionDescription=content,
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags_of(cluster)}],
            )["LaunchTemplate"]
            return Template(made["LaunchTemplateId"], "1")
        except AwsError as error:
            if error.code != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise
            found = aws.settled(lambda: _find(aws, cluster))  # made by a call whose answer was lost
            if found is None:
                raise
    versions = aws.pages("ec2", "describe_launch_template_versions", "LaunchTemplateVersions", LaunchTemplateId=found)
    for version in versions:
        if version.get("VersionDescription") == content:
            return Template(found, str(version["VersionNumber"]))
    made = aws.call(
        "ec2",
        "create_launch_template_version",  # twice the same version does no harm
        LaunchTemplateId=found,
        LaunchTemplateData=data,
        VersionDescription=content,
    )["LaunchTemplateVersion"]
    return Template(found, str(made["VersionNumber"]))


def _find(aws: Aws, cluster: str) -> str | None:
    named = [{"Name": "launch-template-name", "Values": [resource_name(cluster)]}]
    for raw in aws.pages("ec2", "describe_launch_templates", "LaunchTemplates", Filters=named):
        if from_aws(raw.get("Tags")).get(CLUSTER_TAG) != cluster:
            raise ConfigError(
                f"launch template {raw['LaunchTemplateId']} has the name {resource_name(cluster)} but not our tag; delete it"
            )
        return str(raw["LaunchTemplateId"])
    return None
