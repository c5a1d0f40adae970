"""What a run puts into its bucket before it asks for instances, and what they, their role and the scheduler get of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.ec2.bundle import Bundle, ensure_bundle
from infra.ec2.certificates import make_certificates
from infra.ec2.environment import Part, environment
from infra.ec2.layout import Layout
from infra.ec2.supervisor import Limits
from infra.ec2.userdata import Boot, render

#: Certificates outlive the instances of a run by this much, which may be started at any time of it.
GRACE = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that instances can join.

    Attributes
    ----------
    bundle : Bundle
    security : distributed.Security
        Of the scheduler and its clients.
    policy : dict
        IAM policy of the instances' role.
    user_data : callable
        Gives the script of an instance for the address of the scheduler, ``tls://HOST:PORT``.
    """

    bundle: Bundle
    security: Any
    policy: dict[str, Any]
    user_data: Callable[[str], bytes]


def prepare_run(
    s3: Any,
    layout: Layout,
    run: str,
    limits: Limits,
    *,
    now: dt.datetime,
    valid_for: dt.timedelta,
    workers: int = 0,
    data: str = "",
    parts: list[Part] | None = None,
    partition: str = "aws",
    say: Callable[[str], None] = lambda text: None,
) -> Prepared:
    """Put bundle and certificates of a run where its instances read them.

    Parameters
    ----------
    s3 : boto3 client
        Of the bucket's own region: instances use its endpoint.
    layout : Layout
    run : str
        Lower-case letters, digits and dashes.
    limits : Limits
        When an instance ends itself.
    now : datetime
        With a time zone.
    valid_for : timedelta
        How long the run may ask for instances; certificates hold for this and one life of an instance more.
    workers : int
        On each instance; 0 for one per virtual CPU.
    data : str
        Address of the dataset, in the policy.
    parts : list of Part, optional
        What to bundle; by default the coordinator's environment.
    partition : str
        Of AWS, in the policy.
    say : callable
        Told how far it is.

    Raises
    ------
    ConfigError
        The environment here does not run on instances.
    ClusterError
        The bucket refuses.
    """
    bundle = ensure_bundle(s3, layout, environment() if parts is None else parts, say)
    certificates = make_certificates(run, now, valid_for + dt.timedelta(seconds=limits.lifetime_s) + GRACE)
    prefix = certificates.upload(s3, layout, run)

    def user_data(scheduler: str) -> bytes:
        boot = Boot(
            scheduler=scheduler,
            endpoint=s3.meta.endpoint_url,
            bucket=layout.bucket,
            region=s3.meta.region_name,
            objects=layout.objects,
            certificates=prefix,
            manifest=bundle.manifest,
            ca_sha256=certificates.ca_sha256,
            python=bundle.python,
            workers=workers,
            lost_s=limits.lost_s,
            idle_s=limits.idle_s,
            lifetime_s=limits.lifetime_s,
        )
        return render(boot).encode()

    return Prepared(bundle, certificates.scheduler_security(), layout.role_policy(run, data, partition), user_data)
