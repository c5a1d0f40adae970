"""What a user may decide about an EC2 cluster, checked: from :class:`infra.settings.Settings` to plain values."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from infra.dollars import micro_dollars
from infra.settings import Settings
from protocol.errors import ConfigError

#: vCPUs by the size in an instance type's name; sizes beyond are multiples of ``xlarge``'s four.
VCPUS = {"medium": 1, "large": 2, "xlarge": 4}
#: Types times subnets in one request; AWS's quota for a fleet.
MAX_POOLS = 300
_TYPE = re.compile(r"[a-z][a-z0-9-]*\.(?:medium|large|\d*xlarge)\Z")
#: Families with other processors than x86-64, of which the image and the wheels are.
_ARM = re.compile(r"(?:a1|[a-z]+\d+g[a-z]*)\.")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d\Z")
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}\Z")
_IMAGE = re.compile(r"ami-[0-9a-f]{8,17}\Z")
_CONTACT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9a-fA-F:.]+\])(?::([1-9]\d{0,4}))?\Z")
_GROUP = re.compile(r"sg-[0-9a-f]{8,17}\Z")
_DURATION = re.compile(r"([1-9]\d*)(m|h|d)\Z", re.ASCII)
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
#: Networks that the internet does not reach (RFC 1918, RFC 4193).
_PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
#: Widest private network that may be named as the miner's own.
MIN_PREFIX = 16


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Everything that decides what is asked of AWS.

    Attributes
    ----------
    region : str
        Empty: that of the AWS configuration.
    types : tuple of str
        x86-64 instance types, any of which will do.
    subnets : tuple of str
        Empty: the default subnets of the default VPC.
    spot_share : float
        Share of the instances asked for as spot, 0 to 1; what spot does not fill is asked for on demand.
    instances : int
        Most instances alive at once.
    workers_per_instance : int
        0: one per vCPU.
    key : str
        EC2 key pair for ssh, empty for none. No port is opened for it.
    image : str
        AMI, empty: the newest Amazon Linux 2023.
    profile : str
        Existing instance profile, empty: a minimal one is made and removed again.
    access : str
        Address (``203.0.113.7/32``) or security group (``sg-…``) of the machine with the scheduler; empty: only the cluster's
        own group.
    volume_gb : int
    max_price : int, optional
        Most an instance may cost per hour, micro-dollars, without volume and address.
    budget : int
        Most the run may cost, micro-dollars.
    lifetime_s, idle_s, lost_s : int
        An instance ends itself after so long; after so long without work; after so long without its scheduler.
    contact : str
        Host under which instances reach the scheduler; empty: this machine's own address.
    port : int
        Of the scheduler; 0: any free one.
    """

    region: str
    types: tuple[str, ...]
    subnets: tuple[str, ...]
    spot_share: float
    instances: int
    workers_per_instance: int
    key: str
    image: str
    profile: str
    access: str
    volume_gb: int
    max_price: int | None
    budget: int
    lifetime_s: int
    idle_s: int
    lost_s: int
    contact: str
    port: int

    @property
    def capacity(self) -> int:
        """Evaluations that run at once when all instances are there, if they are of the smallest type."""
        return self.instances * min(map(self.slots, self.types))

    def slots(self, name: str) -> int:
        """Return how many workers an instance of a type has."""
        return self.workers_per_instance or vcpus(name)


def vcpus(name: str) -> int:
    """Return the vCPUs of an instance type by its name, as the families of :data:`infra.ec2.prices` have them."""
    size = name.partition(".")[2]
    return VCPUS.get(size) or 4 * int(size.removesuffix("xlarge"))


def fleet_settings(settings: Settings) -> FleetSettings:
    """Return the settings of an EC2 cluster.

    Raises
    ------
    ConfigError
        A value makes no sense; the message names the setting.
    """
    types, subnets = _list(settings.ec2_types), _list(settings.ec2_subnets)
    _check(types, "ec2_types", _TYPE, "no instance type with a size from medium up, such as c7i.large")
    if not types:
        raise ConfigError("setting ec2_types is empty; name at least one instance type, such as c7i.large")
    for name in types:
        if _ARM.match(name):
            raise ConfigError(
                f"setting ec2_types: {name!r} is no x86-64 type; take its Intel or AMD sister, such as c7i.large"
            )
    _check(subnets, "ec2_subnets", _SUBNET, "no subnet id such as subnet-0123456789abcdef0")
    if len(types) * max(1, len(subnets)) > MAX_POOLS:
        raise ConfigError(
            f"{len(types)} ec2_types times {len(subnets)} ec2_subnets are more than {MAX_POOLS} pools; name fewer"
        )
    _check(_list(settings.ec2_region), "ec2_region", _REGION, "no region such as eu-central-1")
    _check(_list(settings.ec2_image), "ec2_image", _IMAGE, "no image id such as ami-0123456789abcdef0")
    _check_access(settings.ec2_access)
    lifetime, idle = _seconds("ec2_lifetime", settings.ec2_lifetime), _seconds("ec2_idle", settings.ec2_idle)
    if idle >= lifetime:
        raise ConfigError(
            f"setting ec2_idle = {settings.ec2_idle!r} is not below ec2_lifetime = {settings.ec2_lifetime!r}"
        )
    contact, port = _contact(settings.ec2_contact)
    return FleetSettings(
        region=settings.ec2_region,
        types=types,
        subnets=subnets,
        spot_share=settings.ec2_spot_share,
        instances=settings.ec2_instances,
        workers_per_instance=settings.ec2_workers_per_instance,
        key=settings.ec2_key,
        image=settings.ec2_image,
        profile=settings.ec2_profile,
        access=settings.ec2_access,
        volume_gb=settings.ec2_volume_gb,
        max_price=micro_dollars(settings.max_price) or None,
        budget=micro_dollars(settings.budget),
        lifetime_s=lifetime,
        idle_s=idle,
        lost_s=_seconds("ec2_lost", settings.ec2_lost),
        contact=contact,
        port=port,
    )


def _list(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas or spaces, each once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def _check(values: tuple[str, ...], setting: str, pattern: re.Pattern[str], what: str) -> None:
    for value in values:
        if not pattern.match(value):
            raise ConfigError(f"setting {setting}: {value!r} is {what}")


def _seconds(setting: str, text: str) -> int:
    match = _DURATION.match(text.strip())
    if not match:
        raise ConfigError(f"setting {setting} = {text!r} is no duration; write 20m, 12h or 2d")
    return int(match[1]) * _UNITS[match[2]]


def _contact(text: str) -> tuple[str, int]:
    match = _CONTACT.match(text) if text else None
    port = int(match[2] or 0) if match else 0
    if text and (not match or port >= 1 << 16):
        raise ConfigError(f"setting ec2_contact = {text!r} is neither a host nor HOST:PORT, such as 10.0.0.7:8786")
    return (match[1] if match else "", port)


def _check_access(text: str) -> None:
    """Refuse to open ports to anybody but one machine, or a private network of bearable size."""
    if not text or _GROUP.match(text):
        return
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"setting ec2_access = {text!r} is neither an address such as 203.0.113.7/32 nor a group such as "
            f"sg-0123abcd: {error}"
        ) from error
    private = any(one.version == network.version and network.subnet_of(one) for one in _PRIVATE)  # type: ignore[arg-type]  # same version
    if network.num_addresses > 1 and not (private and network.prefixlen >= MIN_PREFIX):
        raise ConfigError(
            f"setting ec2_access = {text!r} opens the cluster to {network.num_addresses} addresses; name one (/32), "
            f"or a private network of /{MIN_PREFIX} at most"
        )
