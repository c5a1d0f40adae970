"""Finding and ending everything by tag, with AWS failing on the way; prices and what clusters cost."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from faulty_proxy import Answer, FaultyProxy, break_down, drop, lose, refuse, throttle

import infra.ec2.client
from infra.dollars import DOLLAR
from infra.ec2.client import Aws
from infra.ec2.identity import ensure_profile
from infra.ec2.instance import find_instances
from infra.ec2.inventory import end, running_cost, take_inventory
from infra.ec2.launch import Ground, launch
from infra.ec2.network import ensure_group, find_network, offered
from infra.ec2.prices import Prices, ask_prices, table_price
from infra.ec2.template import Image, ensure_template, template_data
from miner.cli import main
from protocol.errors import ConfigError

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


def quiet(_: str) -> None:
    pass


def build(aws: Aws, cluster: str, count: int) -> None:
    network = find_network(aws, ())
    pools = tuple(offered(aws, ["c7i.large"], network))
    group, profile = ensure_group(aws, cluster, network.vpc, ""), ensure_profile(aws, cluster, POLICY)
    image = Image("ami-12c6146b", "/dev/xvda")
    data = template_data(cluster, image, group=group, profile=profile, key="", volume_gb=20, user_data=b"")
    template = ensure_template(aws, cluster, data)
    if count:
        launch(aws, Ground(cluster, template, pools, pools, 0.5, None), count, f"{cluster}1")


def alive(aws: Aws, cluster: str | None = None) -> int:
    return sum(one.alive for one in find_instances(aws, cluster=cluster))


def test_inventory_and_end(aws: Aws) -> None:
    assert take_inventory(aws) == []
    build(aws, "one", 3)
    build(aws, "two", 1)
    one, two = take_inventory(aws)
    assert one.words() == "3 instances, 1 launch template, 1 security group, 1 fleet request, 1 instance profile"
    assert (two.cluster, two.region, len(two.instances)) == ("two", "us-east-1", 1)
    assert take_inventory(aws, "one") == [one]
    ended = end(aws, one, patience_s=5, say=quiet, look_s=0.05)
    assert (bool(ended.left), ended.troubles) == (False, [])
    assert take_inventory(aws) == [two]
    assert alive(aws) == 1


def test_what_aws_breaks_is_done_again(aws: Aws, proxy: FaultyProxy) -> None:
    build(aws, "one", 2)
    proxy.will("TerminateInstances", throttle(), lose())
    proxy.will("DeleteLaunchTemplate", lose())
    proxy.will("DeleteSecurityGroup", *[refuse("DependencyViolation", "has a dependent object")] * 2)
    proxy.will("DeleteRole", break_down())
    proxy.will("DescribeTags", drop())
    (one,) = take_inventory(aws)
    ended = end(aws, one, patience_s=10, say=quiet, look_s=0.05)
    assert (bool(ended.left), ended.troubles) == (False, [])
    assert proxy.count("DeleteSecurityGroup") == 3
    assert take_inventory(aws) == []


def test_what_is_left_is_told(aws: Aws, proxy: FaultyProxy) -> None:
    build(aws, "one", 1)
    (one,) = take_inventory(aws)
    proxy.will("DeleteSecurityGroup", *[refuse("DependencyViolation", "has a dependent object")] * 100)
    ended = end(aws, one, patience_s=0.5, say=quiet, look_s=0.1)
    assert (ended.left.instances, len(ended.left.groups)) == ((), 1)
    assert "DependencyViolation" in ended.troubles[0]


def test_the_roles_of_other_regions_stay(aws: Aws) -> None:
    ensure_profile(aws, "one", POLICY)
    there = Aws("eu-central-1", aws.patience)
    assert take_inventory(there) == []
    assert [found.profiles for found in take_inventory(aws)] == [("longtail-one",)]


# ---------------------------------------------------------------------------------------------------------------- prices


def product(price: str, unit: str = "Hrs") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": price}}
    return json.dumps({"terms": {"OnDemand": {"a.b": {"priceDimensions": {"a.b.c": dimension}}}}})


def listed(*products: str) -> Answer:
    return Answer(200, json.dumps({"PriceList": products}).encode(), {"Content-Type": "application/x-amz-json-1.1"})


def test_prices_of_aws(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("GetProducts", lambda call: listed(product("0.0000000000"), product("0.1200000000")))
    prices = ask_prices(aws, ["c7i.large"])
    assert prices.on_demand == {"c7i.large": 120_000}
    assert prices.source == "AWS Pricing API, list price"
    assert set(prices.spot.values()) == {10}
    assert prices.dearest(["c7i.large"], 50_000) == 50_000
    assert prices.within(["c7i.large"], 50_000) == []


def test_the_table_stands_in(aws: Aws, proxy: FaultyProxy) -> None:
    proxy.will("GetProducts", refuse("AccessDeniedException", "not authorized"))
    prices = ask_prices(aws, ["c7i.2xlarge", "m7i.large"])
    assert prices.on_demand == {"c7i.2xlarge": 357_000, "m7i.large": 100_800}
    assert prices.source == "built-in table of us-east-1 (pricing:GetProducts is not allowed)"
    assert table_price("c6i.large", "eu-central-1") == 144_500
    with pytest.raises(ConfigError, match=r"price of p5\.48xlarge is not known"):
        table_price("p5.48xlarge", "us-east-1")


def test_a_spot_price_that_is_not_known_is_the_on_demand_price(aws: Aws) -> None:
    build(aws, "one", 1)
    (one,) = find_instances(aws, cluster="one")
    prices = Prices({"c7i.large": 5}, {("c7i.large", one.zone): 3}, "made")
    assert prices.of(one) == (3 if one.market == "spot" else 5)
    with pytest.raises(ConfigError, match=r"price of c7i\.large is not known"):
        Prices({}, {}, "made").of(one)


def test_running_cost(aws: Aws, proxy: FaultyProxy) -> None:
    build(aws, "one", 2)
    now = time.time() + 3600
    instances = find_instances(aws, cluster="one")
    spent, hour = running_cost(aws, instances, 20, now) or (0, 0)
    assert 0 < hour < DOLLAR
    assert hour <= spent <= hour * 3700 // 3600
    proxy.will("DescribeSpotPriceHistory", refuse("UnauthorizedOperation"))
    assert running_cost(aws, instances, 20, now) is None


# -------------------------------------------------------------------------------------------------------------- commands


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["cluster", *words])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))

    def same(region: str) -> Aws:
        return aws if region == aws.region else Aws(region, aws.patience)

    monkeypatch.setattr(infra.ec2.client, "Aws", same)


@pytest.mark.usefixtures("home")
def test_list_and_down(aws: Aws, proxy: FaultyProxy, capsys: pytest.CaptureFixture[str]) -> None:
    proxy.will("GetProducts", *[lambda call: listed(product("0.12"))] * 9)
    region = ("--region", "us-east-1")
    assert run(capsys, "list", *region) == (0, "", "no clusters there\n")
    assert run(capsys, "down", *region)[0] == 0
    build(aws, "one", 2)
    build(aws, "two", 0)
    code, out, _ = run(capsys, "list", *region)
    assert (code, out.count("i-")) == (0, 2)
    assert "one  us-east-1  2 instances, 1 launch template" in out
    code, out, err = run(capsys, "list", *region, "--json")
    assert code == 0, err
    one, two = json.loads(out)
    assert (one["cluster"], len(one["instances"]), two["hour"]) == ("one", 2, 0)
    assert one["hour"] > 0
    code, _, err = run(capsys, "down", *region, "--json")
    assert (code, "--yes" in err) == (2, True)
    code, _, err = run(capsys, "down", "one", *region)  # nobody there to say yes
    assert (code, alive(aws)) == (2, 2)
    code, out, err = run(capsys, "down", "one", *region, "--yes")
    assert (code, alive(aws)) == (0, 0)
    assert "one  us-east-1  ended 2 instances, 1 launch template" in out
    code, out, _ = run(capsys, "down", *region, "--yes", "--json")
    assert code == 0
    assert json.loads(out)[0]["ended"]["cluster"] == "two"
    assert take_inventory(aws) == []


@pytest.mark.usefixtures("home")
def test_exit_codes(aws: Aws, proxy: FaultyProxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "list")[0] == 3
    assert run(capsys, "down", "No Name", "--region", "us-east-1")[0] == 2
    build(aws, "one", 1)
    for action in ("DeleteFleets", "TerminateInstances"):
        proxy.will(action, refuse("UnauthorizedOperation"))
    code, _, err = run(capsys, "down", "--region", "us-east-1", "--yes", "--wait", "0")
    assert code == 4
    assert "may not ec2:TerminateInstances" in err
    assert "run it again" in err
    proxy.will("DescribeTags", refuse("UnauthorizedOperation"))
    assert run(capsys, "list", "--region", "us-east-1")[0] == 3
