"""What `--cluster ec2` says before it starts anything, and the names and amounts it goes by."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.dollars import micro_dollars
from infra.ec2.bucket import layout_of
from infra.ec2.cost import STOP_S, Bill, Rental, worst_case
from infra.ec2.executor import cluster_name
from infra.ec2.fleet_settings import fleet_settings
from infra.ec2.offer import Offer
from infra.ec2.tags import check_name
from infra.executor import Account
from infra.settings import Settings
from protocol.errors import ConfigError


@given(st.text(max_size=80))
def test_every_run_gives_a_clusters_name(run: str) -> None:
    name = cluster_name(run)
    assert check_name(name) == name
    assert cluster_name(run) != name


def test_the_bucket_is_taken_apart() -> None:
    assert layout_of("s3://one/two/three/").key("runs") == "two/three/runs"
    assert layout_of("s3://one").key("runs") == "runs"
    assert layout_of("s3://one/two").datasets == "s3://one/two/datasets"


@pytest.mark.parametrize("bucket", ["", "one/two", "s3://", "s3:///two", "https://one/two"])
def test_a_bucket_that_is_none_is_refused(bucket: str) -> None:
    with pytest.raises(ConfigError, match=r"setting bucket = .* is no s3://BUCKET/PATH"):
        layout_of(bucket)


def test_a_bill_is_closed_at_the_latest_possible_moment() -> None:
    bill = Bill({"i-1": Rental(3600, 0.0, 50.0), "i-2": Rental(3600, 100.0), "i-3": Rental(3600, 300.0)})
    closed = bill.closed(200.0, alive={"i-2"}, then=1000.0)
    assert [one.end for one in closed.rentals.values()] == [50.0, 1000.0, 300.0]
    assert closed.rate() == 0
    assert closed.closed(5000.0) == closed


def test_an_offer_names_every_amount() -> None:
    fleet = fleet_settings(Settings(ec2_types="c7i.xlarge, c7i.large", ec2_instances=3, budget=4.0, ec2_spot_share=0.5))
    worst = worst_case(3, micro_dollars("0.1"), seconds=None, budget=fleet.budget, lonely_s=600, lifetime_s=36_000)
    words = dict(Offer("eu-north-1", fleet, worst, 30_000, "a table (why)").lines())
    assert words["machines"] == "3 instances of c7i.xlarge, c7i.large in eu-north-1, 50% spot; 6 slots"
    assert words["price"] == "at most $0.3000 an hour for all (a table)"
    assert words["cost"] == "$0.0300 for the time budget at that price; at most $4.00, then the run stops by itself"
    assert re.findall(r"\$[\d.]+", words["worst case"]) == ["$0.0501", "$3.00"]
    assert worst.run == 4_000_000
    assert STOP_S < 600


def test_an_account_in_words() -> None:
    assert Account(1, 0, 2_000_000, False, {}).words() == "$0.0001 of at most $2.00"
    assert Account(1_250_000, 300_000, 2_000_000, False, {}).words() == "$1.25 of at most $2.00, $0.3000 an hour now"
