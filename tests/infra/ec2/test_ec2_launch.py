"""What is made in AWS, that it is made once, and that never more is started than was asked for."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from faulty_proxy import FaultyProxy, break_down, drop, lose, no_capacity, partial, refuse, throttle

from infra.ec2.client import Aws, AwsError
from infra.ec2.identity import ensure_profile, partition, remove_profile
from infra.ec2.instance import find_instances, terminate
from infra.ec2.launch import Ground, launch
from infra.ec2.network import DASK_PORTS, ensure_group, find_network, offered
from infra.ec2.tags import CLUSTER_TAG, from_aws
from infra.ec2.template import MAX_USER_DATA, Image, ensure_template, find_image, template_data
from protocol.errors import ClusterError, ConfigError

TYPES = ("c7i.large", "m7i.xlarge")
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/p/*"}],
}
USER_DATA = b"#!/bin/sh\n: nothing secret\n"
PROFILE_UNKNOWN = (
    "Value (longtail-made) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
)


def data_of(aws: Aws, user_data: bytes = USER_DATA, **more: Any) -> dict[str, Any]:
    given = {"group": "sg-1", "profile": "longtail-made", "key": "", "volume_gb": 20, **more}
    return template_data("made", Image("ami-12c6146b", "/dev/xvda"), user_data=user_data, **given)


@pytest.fixture
def ground(aws: Aws, proxy: FaultyProxy) -> Ground:
    network = find_network(aws, ())
    pools = tuple(offered(aws, TYPES, network))
    assert {name for name, _ in pools} == set(TYPES)
    group = ensure_group(aws, "made", network.vpc, "")
    ensure_profile(aws, "made", POLICY)
    template = ensure_template(aws, "made", data_of(aws, group=group))
    proxy.calls.clear()
    return Ground("made", template, pools, pools, 1.0, None)


def alive(aws: Aws) -> list[str]:
    return [one.id for one in find_instances(aws, cluster="made") if one.alive]


def markets(aws: Aws) -> list[str]:
    return sorted(one.market for one in find_instances(aws, cluster="made") if one.alive)


# ---------------------------------------------------------------------------------------------------------- what is made


def test_the_group_lets_in_its_members_and_one_machine(aws: Aws, proxy: FaultyProxy) -> None:
    vpc = find_network(aws, ()).vpc
    proxy.will("CreateSecurityGroup", lose())
    proxy.will("AuthorizeSecurityGroupIngress", lose())
    group = ensure_group(aws, "made", vpc, "203.0.113.7/32")

    def rules() -> list[tuple[int, int, list[str], list[str]]]:
        (found,) = aws.call("ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"]
        assert from_aws(found["Tags"])[CLUSTER_TAG] == "made"
        return sorted(
            (
                rule["FromPort"],
                rule["ToPort"],
                [one["CidrIp"] for one in rule["IpRanges"]],
                [one["GroupId"] for one in rule["UserIdGroupPairs"]],
            )
            for rule in found["IpPermissions"]
        )

    miner = ["203.0.113.7/32"]
    members: tuple[int, int, list[str], list[str]] = (0, 65535, [], [group])
    assert rules() == [members, (*DASK_PORTS, miner, [])]
    assert ensure_group(aws, "made", vpc, "203.0.113.7/32") == group
    assert ensure_group(aws, "made", vpc, "") == group  # the machine has moved away
    assert rules() == [members]
    assert len(aws.call("ec2", "describe_security_groups")["SecurityGroups"]) == 2  # and the VPC's own
    assert ensure_group(aws, "other", vpc, "") != group


def test_a_foreign_group_of_our_name_is_left_alone(aws: Aws) -> None:
    vpc = find_network(aws, ()).vpc
    aws.call("ec2", "create_security_group", GroupName="longtail-made", Description="mine", VpcId=vpc)
    with pytest.raises(ConfigError, match="not our tag"):
        ensure_group(aws, "made", vpc, "")


def test_subnets_that_do_not_fit(aws: Aws) -> None:
    with pytest.raises(ConfigError, match=r"ec2_subnets = subnet-0123456789abcdef0"):
        find_network(aws, ["subnet-0123456789abcdef0"])
    vpc = aws.call("ec2", "create_vpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    other = aws.call("ec2", "create_subnet", VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    ours = find_network(aws, ()).subnets[0].id
    assert find_network(aws, [other]).vpc == vpc
    with pytest.raises(ConfigError, match="several VPCs"):
        find_network(aws, [ours, other])
    with pytest.raises(ConfigError, match=r"none of x9z\.large is offered"):
        offered(aws, ["x9z.large"], find_network(aws, ()))


def test_the_profile_is_made_once(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("CreateRole", lose())
    proxy.will("AddRoleToInstanceProfile", lose())
    for _ in range(2):
        assert ensure_profile(aws, "made", POLICY) == "longtail-made"
    profile = aws.call("iam", "get_instance_profile", InstanceProfileName="longtail-made")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["longtail-made"]
    kept = aws.call("iam", "get_role_policy", RoleName="longtail-made", PolicyName="longtail-worker")["PolicyDocument"]
    assert (json.loads(unquote(kept)) if isinstance(kept, str) else kept) == POLICY
    assert remove_profile(aws, "longtail-made") == ["instance profile", "role"]
    assert remove_profile(aws, "longtail-made") == []
    assert [partition(region) for region in ("eu-central-1", "cn-north-1", "us-gov-west-1")] == [
        "aws",
        "aws-cn",
        "aws-us-gov",
    ]


def test_the_template_is_closed_and_made_once(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("CreateLaunchTemplate", lose())
    first = ensure_template(aws, "made", data_of(aws))
    assert ensure_template(aws, "made", data_of(aws)) == first
    second = ensure_template(aws, "made", data_of(aws, b"other"))
    assert (second.id, second.version) == (first.id, "2")
    assert ensure_template(aws, "made", data_of(aws)) == first
    versions = aws.call("ec2", "describe_launch_template_versions", LaunchTemplateId=first.id, Versions=["1"])
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert base64.b64decode(data["UserData"]) == USER_DATA
    with pytest.raises(ConfigError, match="16385 bytes is beyond EC2's 16384"):
        data_of(aws, b"x" * (MAX_USER_DATA + 1))


def test_images(aws: Aws) -> None:
    newest = find_image(aws, "")
    assert newest.id.startswith("ami-")
    assert find_image(aws, newest.id) == newest
    with pytest.raises(ConfigError, match="ami-0123456789abcdef0 does not exist in us-east-1"):
        find_image(aws, "ami-0123456789abcdef0")


# ------------------------------------------------------------------------------------------------------- what is started


def test_one_call_starts_them_all(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    got = launch(aws, ground, 5, "one")
    assert sorted(got.instances) == sorted(alive(aws))
    assert (len(got.instances), set(got.instances.values()), got.why_short()) == (5, {"spot"}, "")
    assert proxy.count("CreateFleet") == 1
    sent = next(call.fields for call in proxy.calls if call.action == "CreateFleet")
    assert sent["Type"] == "instant"
    assert sent["SpotOptions.AllocationStrategy"] == "price-capacity-optimized"
    pools = {value for name, value in sent.items() if name.endswith(("InstanceType", "SubnetId"))}
    assert pools == {*TYPES, *(subnet.id for _, subnet in ground.pools)}
    (one, *_) = find_instances(aws, cluster="made")
    assert (one.launch, one.market, one.zone[:9]) == ("one.0", "spot", "us-east-1")


def test_a_share_of_spot(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    assert len(launch(aws, replace(ground, spot_share=0.25), 4, "mixed").instances) == 4
    assert markets(aws) == ["on-demand"] * 3 + ["spot"]
    assert proxy.count("CreateFleet") == 1
    assert len(launch(aws, replace(ground, spot_share=0.0), 2, "none").instances) == 2
    assert markets(aws) == ["on-demand"] * 5 + ["spot"]


def test_what_spot_does_not_fill_runs_on_demand(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    proxy.will("CreateFleet", partial(2))
    got = launch(aws, ground, 5, "short")
    assert markets(aws) == ["on-demand"] * 3 + ["spot"] * 2
    assert len(got.instances) == 5
    assert got.refusals == {"InsufficientInstanceCapacity": 1}
    assert proxy.count("CreateFleet") == 2


def test_no_capacity_at_all(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    proxy.will("CreateFleet", no_capacity(), no_capacity("VcpuLimitExceeded"))
    got = launch(aws, ground, 3, "empty")
    assert (got.instances, alive(aws)) == ({}, [])
    assert got.why_short().startswith(
        "InsufficientInstanceCapacity (1x), VcpuLimitExceeded (1x); ask AWS for a higher quota"
    )
    proxy.will("CreateFleet", refuse("InsufficientInstanceCapacity"))
    cheap = replace(ground, on_demand=(), max_price=50_000)
    got = launch(aws, cheap, 3, "cheap")
    assert (got.instances, alive(aws)) == ({}, [])
    assert "more ec2_types" in got.why_short()
    sent = [call.fields for call in proxy.calls if call.action == "CreateFleet"][-1]
    assert {value for name, value in sent.items() if name.endswith("MaxPrice")} == {"0.050000"}


@pytest.mark.parametrize("loss", [lose, break_down, drop])
def test_a_lost_answer_starts_nothing_twice(aws: Aws, proxy: FaultyProxy, ground: Ground, loss: Any) -> None:
    proxy.will("CreateFleet", loss())
    got = launch(aws, ground, 4, "lost")
    assert sorted(got.instances) == sorted(alive(aws))
    assert len(got.instances) == 4
    sent = [call.fields for call in proxy.calls if call.action == "CreateFleet"]
    assert len(sent) == (1 if loss is lose else 2)
    assert {fields["ClientToken"] for fields in sent} == {"lost.0"}


def test_a_throttled_launch_gets_there(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    proxy.will("CreateFleet", throttle(), throttle(), partial(1), throttle(), lose())
    assert len(launch(aws, ground, 3, "slow").instances) == 3
    assert len(alive(aws)) == 3
    assert markets(aws) == ["on-demand"] * 2 + ["spot"]


def test_answers_lost_for_ever(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    proxy.will("CreateFleet", *[drop()] * 10)
    with pytest.raises(ClusterError, match=r"lost 4 times .* `ltminer cluster down made`"):
        launch(aws, ground, 3, "gone")
    assert alive(aws) == []


def test_what_is_beyond_is_ended(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    def twice(call: Any) -> Any:  # AWS forgot the token
        call.forward(None)
        return call.forward(None)

    proxy.will("CreateFleet", twice)
    got = launch(aws, ground, 3, "twice")
    assert sorted(got.instances) == sorted(alive(aws))
    assert len(got.instances) == 3


def test_a_profile_that_is_not_known_yet(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    unknown = no_capacity("InvalidParameterValue", PROFILE_UNKNOWN)
    proxy.will("CreateFleet", unknown, unknown)
    assert len(launch(aws, ground, 2, "soon").instances) == 2
    tokens = [call.fields["ClientToken"] for call in proxy.calls if call.action == "CreateFleet"]
    assert tokens == ["soon.0", "soon.1", "soon.2"]


def test_what_does_not_pass_by_itself_is_told(aws: Aws, proxy: FaultyProxy, ground: Ground) -> None:
    proxy.will("CreateFleet", no_capacity("InvalidKeyPair.NotFound", "The key pair does not exist"))
    with pytest.raises(AwsError, match=r"starts no instance in us-east-1: InvalidKeyPair\.NotFound"):
        launch(aws, ground, 2, "key")

    def both(call: Any) -> Any:  # one pool is impossible, another only empty
        answer = no_capacity("InvalidFleetConfiguration")(call)
        assert answer is not None
        item = b"<item><errorCode>InsufficientInstanceCapacity</errorCode><errorMessage>none</errorMessage></item>"
        return replace(answer, body=answer.body.replace(b"</errorSet>", item + b"</errorSet>"))

    proxy.will("CreateFleet", both)
    assert len(launch(aws, ground, 2, "half").instances) == 2
    terminate(aws, alive(aws))
    proxy.will("CreateFleet", no_capacity("UnauthorizedOperation", "You are not authorized"))
    with pytest.raises(ConfigError, match="may not ec2:RunInstances for the fleet"):
        launch(aws, ground, 2, "denied")
    assert alive(aws) == []


def test_terminating_what_is_gone(aws: Aws, ground: Ground) -> None:
    launch(aws, ground, 2, "end")
    terminate(aws, ["i-0123456789abcdef0", *alive(aws)])
    assert alive(aws) == []
