"""What a cluster on EC2 will be and may cost at most, before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.dollars import in_dollars
from infra.ec2.bucket import layout_of
from infra.ec2.client import Aws
from infra.ec2.cost import STOP_S, WorstCase, charge, extras_hour, worst_case
from infra.ec2.fleet_settings import FleetSettings, fleet_settings
from infra.ec2.prices import ask_prices
from infra.ec2.supervisor import DRAIN_S
from infra.ec2.userdata import BACKSTOP_MINUTES
from infra.settings import Settings

#: From the loss of its scheduler an instance lives on for its setting `ec2_lost` and this, seconds.
LEAVING_S = DRAIN_S + STOP_S


@dataclass(frozen=True, slots=True)
class Offer:
    """A cluster that could be started.

    Attributes
    ----------
    region : str
    settings : FleetSettings
    worst : WorstCase
    expected : int, optional
        Micro-dollars for the time budget at full size; None without a time budget.
    source : str
        Of the prices.
    """

    region: str
    settings: FleetSettings
    worst: WorstCase
    expected: int | None
    source: str

    def lines(self) -> list[tuple[str, str]]:
        """Return it as (label, text) lines for people."""
        fleet, worst = self.settings, self.worst
        types = ", ".join(fleet.types[:4]) + (f", … ({len(fleet.types)} types)" if len(fleet.types) > 4 else "")
        market = {1.0: "spot, else on demand", 0.0: "on demand"}.get(fleet.spot_share, f"{fleet.spot_share:.0%} spot")
        hour = f"at most {in_dollars(worst.hour)} an hour for all ({self.source.partition(' (')[0]})"
        whole = "" if self.expected is None else f"{in_dollars(self.expected)} for the time budget at that price; "
        return [
            ("machines", f"{fleet.instances} instances of {types} in {self.region}, {market}; {fleet.capacity} slots"),
            ("price", hour),
            ("cost", f"{whole}at most {in_dollars(worst.run)}, then the run stops by itself"),
            (
                "worst case",
                f"if this machine vanished: {in_dollars(worst.abandoned)} until they end themselves; if that failed too: "
                f"{in_dollars(worst.lifetime)} at the end of their lifetime",
            ),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; amounts in micro-dollars."""
        fleet, worst = self.settings, self.worst
        return {
            "region": self.region,
            "instances": fleet.instances,
            "types": list(fleet.types),
            "spot_share": fleet.spot_share,
            "slots": fleet.capacity,
            "prices": self.source,
            "hour": worst.hour,
            "expected": self.expected,
            "run": worst.run,
            "abandoned": worst.abandoned,
            "lifetime": worst.lifetime,
        }


def ask_offer(settings: Settings, time_budget_s: float | None) -> Offer:
    """Ask AWS for prices and return the offer; starts nothing.

    Raises
    ------
    ConfigError
        Settings or credentials do not do.
    ClusterError
        AWS does not answer.
    """
    fleet = fleet_settings(settings)
    layout_of(settings.bucket)
    aws = Aws(fleet.region)
    prices = ask_prices(aws, fleet.types)
    price = prices.dearest(fleet.types, fleet.max_price) + extras_hour(fleet.volume_gb)
    worst = worst_case(
        fleet.instances,
        price,
        seconds=None,
        budget=fleet.budget,
        lonely_s=fleet.lost_s + LEAVING_S,
        lifetime_s=fleet.lifetime_s + 60 * BACKSTOP_MINUTES,
    )
    expected = None if time_budget_s is None else fleet.instances * charge(price, time_budget_s + STOP_S)
    return Offer(aws.region, fleet, worst, expected, prices.source)
