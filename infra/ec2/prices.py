"""What an hour of an instance costs, asked of AWS.

Spot prices are those of AWS's price history, per type and zone, as they are now: they move, but what is charged for a spot
instance never exceeds the maximum price it was asked for with, by default the on-demand price.

On-demand prices come from AWS's Pricing API (``pricing:GetProducts``: Linux, shared tenancy, list price). Where that does
not answer or is not allowed, a table in this module stands in: list prices of us-east-1 as the authors knew them, not
read from AWS. For any other region it is multiplied by 17/10, which is a guess on the high side and no list price.
:attr:`Prices.source` says which of the two it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.dollars import micro_dollars
from infra.ec2.client import Aws
from infra.ec2.instance import Instance
from protocol.errors import ClusterError, ConfigError

#: us-east-1, Linux, on demand, micro-dollars per hour of ``large``; ``xlarge`` is twice, ``2xlarge`` four times that.
LARGE_IN_US_EAST_1 = {
    "c5": 85_000,
    "c6a": 76_500,
    "c6i": 85_000,
    "c7a": 102_640,
    "c7i": 89_250,
    "m5": 96_000,
    "m6a": 86_400,
    "m6i": 96_000,
    "m7a": 115_920,
    "m7i": 100_800,
}
TABLE_REGION = "us-east-1"
#: Dearest regions are known to be some 60 % above us-east-1.
ELSEWHERE_NUMERATOR, ELSEWHERE_DENOMINATOR = 17, 10
SIZES = {"large": 1, "xlarge": 2, "2xlarge": 4, "4xlarge": 8, "8xlarge": 16}
#: Where the Pricing API answers.
PRICING_REGION = "us-east-1"
PRODUCT = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in one region at one moment, micro-dollars per hour, without volume and address.

    Attributes
    ----------
    on_demand : mapping of str to int
        By instance type.
    spot : mapping of (str, str) to int
        By instance type and zone.
    source : str
        Where the on-demand prices are from.
    """

    on_demand: Mapping[str, int]
    spot: Mapping[tuple[str, str], int]
    source: str

    def of(self, instance: Instance) -> int:
        """Return the price of an instance; a spot price that is not known is the on-demand price.

        Raises
        ------
        ConfigError
            Its type is none of those that were asked for.
        """
        if instance.market == "spot" and (instance.type, instance.zone) in self.spot:
            return self.spot[instance.type, instance.zone]
        if instance.type not in self.on_demand:
            raise ConfigError(
                f"the price of {instance.type} is not known; ask for it as well: {sorted(self.on_demand)}"
            )
        return self.on_demand[instance.type]

    def dearest(self, types: Iterable[str], cap: int | None = None) -> int:
        """Return the most an hour of one instance of `types` can cost, which is at most `cap` if there is one."""
        most = max(self.on_demand[name] for name in types)
        return most if cap is None else min(most, cap)

    def within(self, types: Iterable[str], cap: int | None) -> list[str]:
        """Return those of `types` that cost at most `cap` on demand, in their order."""
        return [name for name in types if cap is None or self.on_demand[name] <= cap]


def ask_prices(aws: Aws, types: Sequence[str]) -> Prices:
    """Return the prices of `types` now.

    Raises
    ------
    ConfigError
        A type is sold nowhere in this region, or its price cannot be found; credentials as in :meth:`Aws.call`.
    ClusterError
        AWS does not answer for spot prices.
    """
    spot = _spot(aws, types)
    try:
        found = {name: _listed(aws, name) for name in types}
        return Prices(found, spot, "AWS Pricing API, list price")
    except ClusterError as error:
        why = str(error)
    except ConfigError as error:
        why = "pricing:GetProducts is not allowed" if "may not" in str(error) else str(error)
    table = {name: table_price(name, aws.region) for name in types}
    shift = "" if aws.region == TABLE_REGION else f", times {ELSEWHERE_NUMERATOR / ELSEWHERE_DENOMINATOR:g} as a guess"
    return Prices(table, spot, f"built-in table of {TABLE_REGION}{shift} ({why[:160]})")


def table_price(name: str, region: str) -> int:
    """Return the price of an instance type by the built-in table, micro-dollars per hour.

    Raises
    ------
    ConfigError
        The table does not have it.
    """
    family, _, size = name.partition(".")
    if family not in LARGE_IN_US_EAST_1 or size not in SIZES:
        raise ConfigError(
            f"the price of {name} is not known: AWS's Pricing API did not answer and the built-in table has only "
            f"{', '.join(LARGE_IN_US_EAST_1)} in {', '.join(SIZES)}; allow pricing:GetProducts or choose among these"
        )
    price = LARGE_IN_US_EAST_1[family] * SIZES[size]
    return price if region == TABLE_REGION else -(-price * ELSEWHERE_NUMERATOR // ELSEWHERE_DENOMINATOR)


def _spot(aws: Aws, types: Sequence[str]) -> dict[tuple[str, str], int]:
    latest: dict[tuple[str, str], tuple[Any, int]] = {}
    history = aws.pages(
        "ec2",
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=list(types),
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(UTC),  # AWS answers with the price that holds since before
    )
    for entry in history:
        key = (entry["InstanceType"], entry["AvailabilityZone"])
        if key not in latest or entry["Timestamp"] > latest[key][0]:
            latest[key] = (entry["Timestamp"], micro_dollars(entry["SpotPrice"]))
    return {key: price for key, (_, price) in latest.items() if key[0] in types}


def _listed(aws: Aws, name: str) -> int:
    fields = {"instanceType": name, "regionCode": aws.region, **PRODUCT}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]
    answer = aws.call(
        "pricing", "get_products", region=PRICING_REGION, tries=2, ServiceCode="AmazonEC2", Filters=filters
    )
    prices = [price for text in answer.get("PriceList", []) for price in _hourly(text)]
    if not prices:
        raise ClusterError(f"AWS lists no on-demand price of {name} in {aws.region}; choose other types: ec2_types")
    return max(prices)


def _hourly(text: str) -> Iterable[int]:
    """Yield the prices per hour in one product of the price list."""
    try:
        for term in json.loads(text)["terms"]["OnDemand"].values():
            for dimension in term["priceDimensions"].values():
                if dimension["unit"] == "Hrs" and (price := micro_dollars(dimension["pricePerUnit"]["USD"])):
                    yield price
    except (ValueError, KeyError, ArithmeticError, AttributeError) as error:
        raise ClusterError(f"AWS's price list is not as expected: {error!r}; see {__name__}") from error
