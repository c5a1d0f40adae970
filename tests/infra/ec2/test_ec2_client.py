"""What is asked again, what is not, and what the errors say."""

from __future__ import annotations

import pytest
from faulty_proxy import FaultyProxy, break_down, drop, lose, refuse, slow, throttle
from haste import HASTE

from infra.ec2.client import Aws, AwsError, LostAnswerError
from protocol.errors import ClusterError, ConfigError


def describe(aws: Aws) -> object:
    return aws.call("ec2", "describe_key_pairs")["KeyPairs"]


def make_key(aws: Aws) -> object:
    return aws.call("ec2", "create_key_pair", repeat="throttled", KeyName="made")


def test_throttled_broken_and_lost_calls_that_only_ask_are_asked_again(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("DescribeKeyPairs", throttle(), break_down(), drop(), lose(), slow(0.1))
    assert describe(aws) == []
    assert proxy.count("DescribeKeyPairs") == 5


def test_a_call_that_starts_something_is_asked_again_only_if_aws_did_not_listen(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("CreateKeyPair", throttle(), throttle(), lose())
    with pytest.raises(LostAnswerError, match="ec2:CreateKeyPair"):
        make_key(aws)
    assert proxy.count("CreateKeyPair") == 3
    assert [pair["KeyName"] for pair in describe(aws)] == ["made"]  # type: ignore[attr-defined]  # a list of pairs
    proxy.will("CreateKeyPair", break_down())
    with pytest.raises(LostAnswerError):
        make_key(aws)
    assert proxy.count("CreateKeyPair") == 4


def test_throttled_for_ever(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("DescribeKeyPairs", *[throttle()] * 20)
    with pytest.raises(
        AwsError, match=r"AWS throttles ec2:DescribeKeyPairs in us-east-1 .* 6 tries .* fewer instances"
    ):
        describe(aws)
    assert proxy.count("DescribeKeyPairs") == HASTE.tries


def test_broken_for_ever(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("DescribeKeyPairs", *[break_down()] * 20)
    with pytest.raises(ClusterError, match="no good answer to ec2:DescribeKeyPairs in us-east-1, asked up to 6 times"):
        describe(aws)


def test_nobody_there(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    lost = Aws("us-east-1", HASTE)
    with pytest.raises(ClusterError, match=r"asked up to 4 times: .* check the network"):
        describe(lost)
    lost._reached.add(("ec2", "us-east-1"))  # then the network is down, which may pass
    with pytest.raises(ClusterError, match=r"asked up to 6 times: .* check the network"):
        describe(lost)
    with pytest.raises(ClusterError, match="check the network"):  # nothing was lost: nobody was reached
        make_key(Aws("us-east-1", HASTE))


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AccessDenied"])
def test_a_missing_permission_names_the_action(aws: Aws, proxy: FaultyProxy, code: str) -> None:
    words = "You are not authorized. Encoded authorization failure message: abcdefghijk"
    proxy.will("DescribeKeyPairs", refuse(code, words, 403))
    with pytest.raises(ConfigError, match=r"may not ec2:DescribeKeyPairs in us-east-1 .* add that action") as caught:
        describe(aws)
    assert "abcdefghijk" not in str(caught.value)
    assert proxy.count("DescribeKeyPairs") == 1


def test_wrong_credentials(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("DescribeKeyPairs", refuse("AuthFailure", "not able to validate", 401))
    with pytest.raises(ConfigError, match="does not accept the credentials for ec2:DescribeKeyPairs"):
        describe(aws)


def test_no_credentials(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match=r"no AWS credentials for ec2:DescribeKeyPairs .* run `aws configure`"):
        describe(Aws("us-east-1", HASTE))
    assert not proxy.calls


def test_no_region(proxy: FaultyProxy) -> None:
    with pytest.raises(ConfigError, match="no AWS region is named; give --region"):
        Aws()


def test_another_refusal_keeps_its_code(aws: Aws, proxy: FaultyProxy) -> None:
    with pytest.raises(AwsError, match=r"InvalidKeyPair\.NotFound") as caught:
        aws.call("ec2", "describe_key_pairs", KeyNames=["there-is-none"])
    assert caught.value.code == "InvalidKeyPair.NotFound"
    with pytest.raises(AwsError, match="wrong values"):
        aws.call("ec2", "describe_key_pairs", Nonsense=1)
    assert proxy.count("DescribeKeyPairs") == 1
