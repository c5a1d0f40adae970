"""Starting instances: never more than asked for, whatever AWS answers, answers twice, or does not answer.

One CreateFleet call of type ``instant`` asks for all of them over all pools (types times subnets) and says at once what it
started and why not the rest. What spot does not fill is asked for on demand, by a second call. Every call has a token
of its own, which AWS takes for the same request when it comes again, and which its instances carry as a tag: if an
answer is lost, the tag is looked for before the call is made again. At the end the tags are counted once more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.dollars import DOLLAR
from infra.ec2.client import DENIALS, Aws, AwsError, LostAnswerError, denied
from infra.ec2.instance import Market, find_instances, terminate
from infra.ec2.network import Subnet
from infra.ec2.tags import LAUNCH_TAG, tags_of
from infra.ec2.template import Template
from protocol.errors import ClusterError

#: Most instances in one call: an answer that does not come within a minute is as good as lost.
MAX_PER_CALL = 500
#: Times a call is made again after its answer was lost, and with a profile that AWS does not know yet.
LOST_TRIES, PROFILE_TRIES = 4, 8
#: What AWS answers when it is right to ask again later, for other types or in other zones.
CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacity",
        "UnfulfillableCapacity",
        "InsufficientFreeAddressesInSubnet",
        "SpotMaxPriceTooLow",
        "MaxSpotInstanceCountExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "Unsupported",
    }
)
QUOTAS = frozenset({"MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded"})


@dataclass(frozen=True, slots=True)
class Ground:
    """What instances are started from.

    Attributes
    ----------
    cluster : str
    template : Template
    pools : tuple of (str, Subnet)
        Instance types and subnets that may be used as spot.
    on_demand : tuple of (str, Subnet)
        Those that may be used on demand: not too dear. May be empty.
    spot_share : float
        Share of spot, 0 to 1; rounded to the nearest instance.
    max_price : int, optional
        Most a spot instance may cost, micro-dollars per hour; None: its on-demand price.
    """

    cluster: str
    template: Template
    pools: tuple[tuple[str, Subnet], ...]
    on_demand: tuple[tuple[str, Subnet], ...]
    spot_share: float
    max_price: int | None


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of a launch.

    Attributes
    ----------
    instances : mapping of str to Market
        By instance id; never more than were asked for.
    refusals : mapping of str to int
        Why there are not more: AWS's error codes, and how often each came.
    """

    instances: Mapping[str, Market]
    refusals: Mapping[str, int]

    def why_short(self) -> str:
        """Return the refusals in words, with a remedy; empty when there are none."""
        if not self.refusals:
            return ""
        listed = ", ".join(f"{code} ({number}x)" for code, number in sorted(self.refusals.items()))
        if set(self.refusals) & QUOTAS:
            return f"{listed}; ask AWS for a higher quota (Service Quotas, EC2) or use fewer or smaller instances"
        if "SpotMaxPriceTooLow" in self.refusals:
            return f"{listed}; raise --max-price"
        return f"{listed}; allow more ec2_types, more ec2_subnets or another ec2_region"


def launch(aws: Aws, ground: Ground, count: int, token: str) -> Launched:
    """Start up to `count` instances, and not one more.

    Parameters
    ----------
    aws : Aws
    ground : Ground
    count : int
        At least 1.
    token : str
        Unique to this launch, up to 40 of A-Z, a-z, 0-9.

    Raises
    ------
    AwsError
        AWS starts none, for a reason that does not pass by itself.
    ClusterError
        Answers are lost again and again.
    ConfigError
        These credentials may not start instances.
    """
    round_ = _Round(aws, ground, token)
    for first in range(0, count, MAX_PER_CALL):
        part = min(MAX_PER_CALL, count - first)
        spot = round(part * ground.spot_share)
        if spot and part - spot and ground.on_demand == ground.pools:
            round_.ask(spot, part - spot)
        else:
            round_.ask(spot, 0)
            round_.ask(0, part - spot)
        short = spot - round_.last_spot
        if short > 0:
            round_.ask(0, short)
    return round_.counted(count)


class _Round:
    """The calls of one launch."""

    def __init__(self, aws: Aws, ground: Ground, token: str) -> None:
        self._aws, self._ground, self._token = aws, ground, token
        self._tokens: list[str] = []
        self._started: dict[str, Market] = {}
        self._refusals: Counter[str] = Counter()
        self.last_spot = 0

    def ask(self, spot: int, on_demand: int) -> None:
        """Ask for so many; what comes of it is remembered."""
        pools = self._ground.pools if spot else self._ground.on_demand
        if spot:
            self.last_spot = 0
        if spot + on_demand == 0 or not pools:
            if on_demand:
                self._refusals["OnDemandAboveMaxPrice"] += 1
            return
        pause = self._aws.patience.first_s
        for _ in range(PROFILE_TRIES):
            token = f"{self._token}.{len(self._tokens)}"
            self._tokens.append(token)
            answer = self._answer(token, _request(self._ground, pools, spot, on_demand, token))
            if answer["Instances"] or not _profile_unknown(answer["Errors"]):
                break
            time.sleep(pause)  # IAM has not yet told EC2 of it
            pause = min(2 * pause, self._aws.patience.longest_s)
        self._read(answer)

    def counted(self, count: int) -> Launched:
        """Return what was started after another look at the tags; end what is beyond `count`."""
        started = dict(self._started)
        if self._tokens:
            for instance in find_instances(self._aws, launches=self._tokens):
                if instance.alive:
                    started.setdefault(instance.id, instance.market)
                else:
                    started.pop(instance.id, None)
        surplus = list(started)[count:]  # those of an answer come before those only found by tag
        if surplus:
            terminate(self._aws, surplus)
        kept = {name: market for name, market in started.items() if name not in surplus}
        return Launched(kept, dict(self._refusals))

    def _answer(self, token: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return AWS's answer, or what can be found of it by tag."""
        lost: LostAnswerError | None = None
        for _ in range(LOST_TRIES):
            try:
                answer = self._aws.call("ec2", "create_fleet", repeat="throttled", **request)
                return {"Instances": answer.get("Instances", []), "Errors": answer.get("Errors", [])}
            except LostAnswerError as error:
                lost = error
            except AwsError as error:
                if error.code not in CAPACITY:
                    raise
                return {"Instances": [], "Errors": [{"ErrorCode": error.code, "ErrorMessage": str(error)}]}
            found = self._found(token, request["TargetCapacitySpecification"]["TotalTargetCapacity"])
            if found:
                return {"Instances": found, "Errors": []}
        raise ClusterError(
            f"AWS's answer to ec2:CreateFleet was lost {LOST_TRIES} times ({lost}); check the network, then "
            f"`ltminer cluster down {self._ground.cluster}`"
        ) from lost

    def _found(self, token: str, asked: int) -> list[dict[str, Any]]:
        """Return what a call with a lost answer started, as its answer would have it, once the number stays the same."""
        before = 0

        def grown() -> list[dict[str, Any]] | None:
            nonlocal before
            instances = find_instances(self._aws, launches=[token])
            done = len(instances) >= asked or (instances and len(instances) == before)
            before = len(instances)
            return [{"InstanceIds": [one.id], "Lifecycle": one.market} for one in instances] if done else None

        return self._aws.settled(grown) or []

    def _read(self, answer: dict[str, Any]) -> None:
        for part in answer["Instances"]:
            market: Market = "spot" if part.get("Lifecycle") == "spot" else "on-demand"
            self._started.update(dict.fromkeys(part["InstanceIds"], market))
            self.last_spot += len(part["InstanceIds"]) if market == "spot" else 0
        passing = any(error.get("ErrorCode") in CAPACITY for error in answer["Errors"])
        for error in answer["Errors"]:
            code, words = error.get("ErrorCode", ""), error.get("ErrorMessage", "")
            if code in DENIALS:
                raise denied("ec2:RunInstances for the fleet", self._aws.region, words[:300])
            if not passing and not self._started:
                raise AwsError(f"AWS starts no instance in {self._aws.region}: {code}: {words[:300]}", code)
            self._refusals[code] += 1


def _request(
    ground: Ground, pools: tuple[tuple[str, Subnet], ...], spot: int, on_demand: int, token: str
) -> dict[str, Any]:
    price = {"MaxPrice": f"{ground.max_price / DOLLAR:.6f}"} if spot and ground.max_price else {}
    tags = [*tags_of(ground.cluster), {"Key": LAUNCH_TAG, "Value": token}]
    return {
        "Type": "instant",
        "ClientToken": token,
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": spot + on_demand,
            "SpotTargetCapacity": spot,
            "OnDemandTargetCapacity": on_demand,
            "DefaultTargetCapacityType": "spot" if spot else "on-demand",
        },
        "SpotOptions": {
            "AllocationStrategy": "price-capacity-optimized",
            "InstanceInterruptionBehavior": "terminate",
        },
        "OnDemandOptions": {"AllocationStrategy": "lowest-price"},
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": ground.template.id,
                    "Version": ground.template.version,
                },
                "Overrides": [{"InstanceType": name, "SubnetId": subnet.id, **price} for name, subnet in pools],
            }
        ],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("fleet", "instance")],
    }


def _profile_unknown(errors: list[dict[str, Any]]) -> bool:
    """Return whether EC2 does not know the instance profile, which it will when IAM has told it."""
    words = [error.get("ErrorMessage", "").lower().replace(" ", "") for error in errors]
    return bool(words) and all("instanceprofile" in one and "invalid" in one for one in words)
