"""Every setting of a fleet is checked before AWS is asked for anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.ec2.fleet_settings import fleet_settings, vcpus
from infra.ec2.prices import table_price
from infra.settings import load_settings
from protocol.errors import ConfigError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path))


def test_the_defaults_make_sense() -> None:
    fleet = fleet_settings(load_settings())
    assert len(fleet.types) == 10
    assert (fleet.budget, fleet.max_price, fleet.spot_share) == (10_000_000, None, 1.0)
    assert (fleet.lifetime_s, fleet.idle_s) == (43_200, 1200)
    assert {fleet.slots(name) for name in fleet.types} == {4}
    assert fleet.capacity == 32
    assert all(table_price(name, "us-east-1") for name in fleet.types)
    assert (fleet.lost_s, fleet.contact, fleet.port) == (300, "", 0)
    assert [vcpus(f"m7i.{size}") for size in ("large", "xlarge", "2xlarge", "16xlarge")] == [2, 4, 8, 64]


def test_what_is_given_is_taken() -> None:
    fleet = fleet_settings(
        load_settings(
            ec2_types="c7i.large,c7i.large m7i.xlarge",
            max_price=0.1,
            budget=2.5,
            ec2_access="sg-0123abcd0",
            ec2_workers_per_instance=3,
        )
    )
    assert fleet.types == ("c7i.large", "m7i.xlarge")
    assert (fleet.max_price, fleet.budget, fleet.slots("c7i.large")) == (100_000, 2_500_000, 3)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ec2_types", "", "empty"),
        ("ec2_types", "c7i", "no instance type"),
        ("ec2_types", "c7g.large", "no x86-64 type"),
        ("ec2_types", "m6gd.xlarge", "no x86-64 type"),
        ("ec2_types", "t3.micro", "no instance type"),
        ("ec2_subnets", "vpc-1", "no subnet id"),
        ("ec2_region", "frankfurt", "no region"),
        ("ec2_image", "debian", "no image id"),
        ("ec2_access", "0.0.0.0/0", "opens the cluster to 4294967296 addresses"),
        ("ec2_access", "::/0", "opens the cluster"),
        ("ec2_access", "198.51.100.0/24", "opens the cluster to 256 addresses"),
        ("ec2_access", "10.0.0.0/8", "opens the cluster"),
        ("ec2_access", "my-machine", "neither an address"),
        ("ec2_lifetime", "soon", "no duration; write 20m, 12h or 2d"),
        ("ec2_idle", "12h", "not below ec2_lifetime"),
        ("ec2_lost", "30s", "no duration"),
        ("ec2_contact", "tls://here:1", "neither a host nor HOST:PORT"),
        ("ec2_contact", "here:70000", "neither a host nor HOST:PORT"),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        fleet_settings(load_settings(**{name: value}))
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "access", ["", "203.0.113.7/32", "203.0.113.7", "2001:db8::1/128", "10.0.1.0/24", "sg-0123abcd0"]
)
def test_narrow_access_is_taken(access: str) -> None:
    assert fleet_settings(load_settings(ec2_access=access)).access == access


@pytest.mark.parametrize(
    ("text", "contact"),
    [
        ("10.0.0.7", ("10.0.0.7", 0)),
        ("miner.example.com:8786", ("miner.example.com", 8786)),
        ("[::1]:80", ("[::1]", 80)),
    ],
)
def test_a_contact_is_a_host_and_perhaps_a_port(text: str, contact: tuple[str, int]) -> None:
    fleet = fleet_settings(load_settings(ec2_contact=text))
    assert (fleet.contact, fleet.port) == contact


@pytest.mark.parametrize(("name", "value"), [("budget", 0.0), ("max_price", -1.0), ("ec2_spot_share", 1.5)])
def test_numbers_have_bounds(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        load_settings(**{name: value})
