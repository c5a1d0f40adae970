"""`ltminer cluster`: what EC2 clusters there are in an AWS account, and ending them."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from infra.command import LongtailGroup, say
from protocol.errors import EXIT_OK, ClusterError, UsageError

if TYPE_CHECKING:
    from infra.ec2.client import Aws
    from infra.ec2.inventory import Belongings, Ended
    from infra.settings import Settings

REGION = click.option(
    "--region", metavar="NAME|all", help="AWS region, or all that the account has enabled; default: the setting."
)
#: How long `down` waits for instances to end, seconds: AWS needs a minute or two, a busy region more.
PATIENCE_S = 600.0


@click.group(cls=LongtailGroup)
def cluster() -> None:
    """List and end EC2 clusters, whichever machine started them.

    Everything is found by its tag. It needs the extra `ec2` and AWS credentials.
    """


@cluster.command(name="list")
@REGION
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_(region: str | None, as_json: bool) -> None:
    """List clusters: instances, what they cost, and what else is left of them."""
    from infra.dollars import in_dollars
    from infra.ec2.inventory import running_cost, take_inventory
    from infra.settings import load_settings

    settings, now = load_settings(ec2_region=_one(region)), time.time()
    rows = [
        (one, running_cost(aws, one.instances, settings.ec2_volume_gb, now))
        for aws in _regions(region, settings.ec2_region)
        for one in take_inventory(aws)
    ]
    if as_json:
        known = [
            {**one.to_dict(), "spent": cost[0] if cost else None, "hour": cost[1] if cost else None}
            for one, cost in rows
        ]
        click.echo(json.dumps(known, indent=1))
        return
    if not rows:
        say("no clusters there")
    for one, cost in rows:
        money = f"{in_dollars(cost[1])} an hour, {in_dollars(cost[0])} so far" if cost else "prices unknown"
        click.echo(f"{one.cluster}  {one.region}  {one.words()}  {money}")
        for instance in one.instances:
            age = (now - instance.launched) / 3600
            click.echo(
                f"    {instance.id}  {instance.state}  {instance.type}  {instance.zone}  {instance.market}  {age:.1f} h"
            )


@cluster.command()
@click.argument("name", required=False)
@REGION
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=PATIENCE_S,
    show_default=True,
    help="Most seconds to wait.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; asks nothing.")
@click.pass_context
def down(
    context: click.Context, /, name: str | None, region: str | None, *, yes: bool, wait_s: float, as_json: bool
) -> None:
    """End everything of the cluster NAME, or of all clusters: instances, then all else; wait until it is gone.

    Where the setting `bucket` is known, their certificates are deleted, too.

    Exit code 4 when something is left after that.
    """
    from infra.ec2.inventory import LOOK_S, end, take_inventory
    from infra.ec2.tags import check_name
    from infra.settings import load_settings

    settings = load_settings(ec2_region=_one(region))
    if name is not None:
        check_name(name)
    found = [(aws, one) for aws in _regions(region, settings.ec2_region) for one in take_inventory(aws, name)]
    for _, one in found:
        say(f"{one.cluster} in {one.region}: {one.words()}")
    if found and not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError("`cluster down` has nobody to ask here; give --yes")
        click.confirm("End all of it?", abort=True, err=True)
    ended = [end(aws, one, patience_s=wait_s, say=say, look_s=min(LOOK_S, wait_s or LOOK_S)) for aws, one in found]
    names = {one.cluster for _, one in found} | ({name} if name else set())
    if settings.bucket and names:
        _remove_secrets(settings, names)
    if as_json:
        click.echo(json.dumps([_facts(one) for one in ended], indent=1))
    else:
        _tell(ended, name)
    context.exit(ClusterError.exit_code if any(one.left for one in ended) else EXIT_OK)


def _remove_secrets(settings: Settings, names: set[str]) -> None:
    """Delete the certificates of clusters that are ended from the bucket of the settings."""
    from infra.ec2.bucket import layout_of, open_bucket
    from infra.ec2.certificates import remove_certificates
    from infra.ec2.client import Aws

    layout = layout_of(settings.bucket)
    s3 = open_bucket(Aws(settings.ec2_region), layout)
    for name in names:
        remove_certificates(s3, layout, name)


def _one(region: str | None) -> str | None:
    return None if region == "all" else region


def _regions(given: str | None, setting: str) -> list[Aws]:
    """Return AWS in the region that is asked for, or in each."""
    from infra.ec2.client import Aws

    if given != "all":
        return [Aws(setting)]
    some = Aws(setting or "us-east-1")
    return [Aws(one["RegionName"]) for one in some.call("ec2", "describe_regions")["Regions"]]


def _facts(ended: Ended) -> dict[str, object]:
    return {"ended": _gone(ended).to_dict(), "left": ended.left.to_dict(), "troubles": ended.troubles}


def _gone(ended: Ended) -> Belongings:
    was, left = ended.was, ended.left
    still = {one.id for one in left.instances}
    return replace(
        was,
        instances=tuple(one for one in was.instances if one.id not in still),
        templates=tuple(sorted(set(was.templates) - set(left.templates))),
        groups=tuple(sorted(set(was.groups) - set(left.groups))),
        fleets=tuple(sorted(set(was.fleets) - set(left.fleets))),
        profiles=tuple(sorted(set(was.profiles) - set(left.profiles))),
    )


def _tell(ended: list[Ended], name: str | None) -> None:
    if not ended:
        say(f"nothing there of {name}" if name else "no clusters there")
    for one in ended:
        click.echo(f"{one.was.cluster}  {one.was.region}  ended {_gone(one).words()}")
        if one.left:
            say(f"{one.was.cluster} in {one.was.region}: left {one.left.words()}; run it again")
        for trouble in one.troubles:
            say(f"    {trouble}")
