"""What starting on EC2 needs of AWS, and what it ends of earlier sessions."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy, refuse
from test_ec2_cluster import PRICES
from test_ec2_launch import POLICY

from infra.cluster import Job
from infra.ec2.bucket import layout_of, open_bucket
from infra.ec2.client import Aws
from infra.ec2.cost import Bill, Rental
from infra.ec2.executor import _settled, own_address, start_ec2
from infra.ec2.fleet import Fleet, prepare_ground
from infra.ec2.fleet_settings import fleet_settings
from infra.ec2.instance import find_instances
from infra.ec2.inventory import take_inventory
from infra.ec2.offer import ask_offer
from infra.settings import Settings
from protocol.errors import ClusterError, ConfigError

SETTINGS = Settings(ec2_types="c7i.large", ec2_region="us-east-1", bucket="s3://made-of-tests/lt")


def test_a_bucket_has_to_be_there(aws: Aws) -> None:
    with pytest.raises(ConfigError, match="there is no bucket made-of-nothing; make it"):
        open_bucket(aws, layout_of("s3://made-of-nothing/lt"))
    aws.session.client("s3", region_name="us-east-1").create_bucket(Bucket="made-of-tests")
    assert open_bucket(aws, layout_of(SETTINGS.bucket)).meta.region_name == "us-east-1"
    elsewhere = aws.session.client("s3", region_name="eu-west-1")
    elsewhere.create_bucket(Bucket="made-elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert open_bucket(aws, layout_of("s3://made-elsewhere/lt")).meta.region_name == "eu-west-1"


def test_an_address_that_nobody_reaches_is_none(aws: Aws) -> None:
    with pytest.raises(ConfigError, match="ec2_contact = HOST"):
        own_address(aws)  # this AWS answers on loopback


def test_an_offer_asks_for_prices_and_starts_nothing(aws: Aws, proxy: FaultyProxy) -> None:
    offer = ask_offer(SETTINGS, 240.0)
    assert offer.settings.capacity == 16
    assert offer.expected is not None
    assert 0 < offer.expected < offer.worst.hour
    assert offer.worst.abandoned < offer.worst.lifetime
    assert {call.action for call in proxy.calls if call.action} <= {"DescribeSpotPriceHistory", "GetProducts"}
    assert take_inventory(aws) == []
    with pytest.raises(ConfigError, match="setting bucket"):
        ask_offer(Settings(ec2_types="c7i.large", ec2_region="us-east-1"), None)


def _started(aws: Aws) -> dict[str, Rental]:
    """Start two instances of an earlier session; return its rentals, one of which AWS has forgotten."""
    fleet = replace(fleet_settings(SETTINGS), instances=2)
    ground = prepare_ground(aws, "earlier", fleet, PRICES, user_data=b"#!/bin/sh\n", policy=POLICY)
    Fleet(aws, ground, fleet, PRICES).step(2, [])
    names = [one.id for one in find_instances(aws, cluster="earlier")]
    then = time.time() - 1000
    return {name: Rental(3600, then) for name in [*names, "i-0123456789abcdef0"]}


def test_what_an_earlier_session_left_is_ended_and_counted(aws: Aws) -> None:
    rentals = _started(aws)
    said: list[str] = []
    seen = time.time() - 500
    record = {
        "cluster": "earlier",
        "region": "us-east-1",
        "seen": seen,
        "lonely_s": 100.0,
        "bill": Bill(rentals).to_dict(),
    }
    bill = _settled(aws, record, said.append, said.append)
    assert take_inventory(aws) == []
    assert said[0].startswith("ending what an earlier session left: 2 instances")
    forgotten = bill.rentals.pop("i-0123456789abcdef0")  # type: ignore[attr-defined]  # a dict
    assert forgotten.end == seen + 100.0
    assert all(one.end is not None and one.end > seen + 450 for one in bill.rentals.values())
    assert _settled(aws, {**record, "bill": {}}, said.append, said.append) == Bill()
    assert _settled(aws, None, said.append, said.append) == Bill()


def test_what_cannot_be_ended_stops_the_start(aws: Aws, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    rentals = _started(aws)
    monkeypatch.setattr("infra.ec2.executor.END_S", 0.5)
    proxy.will("TerminateInstances", *[refuse("OperationNotPermitted")] * 9)
    proxy.will("DeleteFleets", *[refuse("OperationNotPermitted")] * 9)
    record = {
        "cluster": "earlier",
        "region": "us-east-1",
        "seen": 0.0,
        "lonely_s": 1.0,
        "bill": Bill(rentals).to_dict(),
    }
    with pytest.raises(
        ClusterError, match=r"earlier of an earlier session still has 2 instances, .*cluster down earlier"
    ):
        _settled(aws, record, print, print)


def test_a_start_without_a_bucket_leaves_nothing(aws: Aws) -> None:
    with pytest.raises(ConfigError, match="there is no bucket made-of-air"):
        start_ec2(Job("none", Path(), SETTINGS.model_copy(update={"bucket": "s3://made-of-air/lt"})))
    assert take_inventory(aws) == []
