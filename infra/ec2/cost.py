"""What instances cost, in whole micro-dollars: what they have cost so far, what they may cost at most, how long money lasts.

Pure: prices and times come in as arguments (:mod:`infra.ec2.prices` asks for them). Rounding is always up, so that an
amount shown here is never below what is owed for the instances themselves. An instance is billed by the second, for a
minute at least (AWS, "Amazon EC2 On-Demand Pricing": Linux, "billed per second, minimum of 60 seconds"). Not counted:
traffic, requests to S3, tax, discounts and free tiers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infra.ec2.instance import GONE, Instance

HOUR_S = 3600
#: Seconds of an instance that are billed at least.
MINIMUM_S = 60
#: From the wish to stop until AWS stops billing: a round of the loop, the last answers, the call, its carrying out, seconds.
STOP_S = 180
#: A month of gp3, per GB: 0.08 dollars in us-east-1, up to 0.152 elsewhere (sa-east-1); hours in AWS's month.
VOLUME_GB_MONTH = 152_000
MONTH_H = 730
#: An hour of a public IPv4 address, everywhere: 0.005 dollars.
ADDRESS_HOUR = 5_000


def extras_hour(volume_gb: int) -> int:
    """Return what an instance's volume and public address cost per hour, micro-dollars."""
    return ADDRESS_HOUR + -(-VOLUME_GB_MONTH * volume_gb // MONTH_H)


def charge(price: int, seconds: float) -> int:
    """Return what `seconds` of an instance cost.

    Parameters
    ----------
    price : int
        Micro-dollars per hour.
    seconds : float
        Since its launch; below zero counts as zero.

    Returns
    -------
    int
        Micro-dollars, for whole seconds and at least :data:`MINIMUM_S` of them.
    """
    whole = max(MINIMUM_S, -int(-max(0.0, seconds) // 1))
    return -(-price * whole // HOUR_S)


@dataclass(frozen=True, slots=True)
class Rental:
    """One instance's entry in the bill.

    Attributes
    ----------
    price : int
        Micro-dollars per hour, volume and address included.
    start : float
        Launch, Unix time, seconds.
    end : float, optional
        When it was first seen to be gone; None while it is billed.
    """

    price: int
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What the instances of a cluster have cost; grows by observation and forgets nothing.

    Attributes
    ----------
    rentals : mapping of str to Rental
        By instance id.
    """

    rentals: Mapping[str, Rental] = field(default_factory=dict)

    def observe(self, instances: Iterable[Instance], price_of: Callable[[Instance], int], now: float) -> Bill:
        """Return the bill after AWS's list of a cluster was read at `now`, Unix time.

        An instance first seen when it is gone already is billed up to `now`, and so is one that AWS lists no more: too
        much rather than too little.
        """
        rentals = dict(self.rentals)
        listed = {instance.id: instance for instance in instances}
        for name, instance in listed.items():
            rental = rentals.get(name) or Rental(price_of(instance), instance.launched)
            if instance.state not in GONE:
                rental = Rental(rental.price, rental.start)  # also if an earlier list had left it out
            elif rental.end is None:
                rental = Rental(rental.price, rental.start, max(now, rental.start))
            rentals[name] = rental
        for name, rental in rentals.items():
            if name not in listed and rental.end is None:
                rentals[name] = Rental(rental.price, rental.start, max(now, rental.start))
        return Bill(rentals)

    def closed(self, now: float, *, alive: Container[str] = (), then: float = 0.0) -> Bill:
        """Return the bill with everything ended at `now`, Unix time, that had not ended before; what is `alive`, at `then`."""
        return Bill(
            {
                name: replace(one, end=max(then if name in alive else now, one.start)) if one.end is None else one
                for name, one in self.rentals.items()
            }
        )

    def spent(self, now: float) -> int:
        """Return the cost up to `now`, Unix time, micro-dollars."""
        return sum(
            charge(rental.price, (now if rental.end is None else rental.end) - rental.start)
            for rental in self.rentals.values()
        )

    def rate(self) -> int:
        """Return what an hour costs at present, micro-dollars."""
        return sum(rental.price for rental in self.rentals.values() if rental.end is None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: [rental.price, rental.start, rental.end] for name, rental in self.rentals.items()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Bill:
        """Rebuild a bill from its JSON values."""
        return cls({name: Rental(int(price), start, end) for name, (price, start, end) in raw.items()})


def seconds_left(budget: int, spent: int, rate: int) -> float:
    """Return after how many seconds the run must begin to stop so that its budget is not exceeded.

    Parameters
    ----------
    budget, spent : int
        Micro-dollars.
    rate : int
        Micro-dollars per hour of what runs now.

    Returns
    -------
    float
        Infinite when nothing runs, 0.0 when it must stop now. :data:`STOP_S` at that rate are kept in reserve, and two
        seconds for rounding up.
    """
    if rate <= 0:
        return float("inf") if spent < budget else 0.0
    left = (budget - spent) * HOUR_S // rate - STOP_S - 2
    return float(max(0, left))


def affordable(budget: int, spent: int, rate: int, price: int, seconds: float) -> int:
    """Return how many more instances the budget bears.

    Parameters
    ----------
    budget, spent, rate : int
        As in :func:`seconds_left`.
    price : int
        Micro-dollars per hour of the dearest instance that may be started.
    seconds : float
        How long all of them, and what runs now, are to work at least.

    Returns
    -------
    int
        So many that all can work that long and then stop within the budget.
    """
    horizon = seconds + STOP_S
    left = budget - spent - charge(rate, horizon)
    return max(0, left // max(1, charge(price, horizon)))


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that a plan can cost, micro-dollars.

    Attributes
    ----------
    hour : int
        An hour of all instances at the dearest price allowed.
    run : int
        The run, to its time limit or until its budget stops it.
    abandoned : int
        If this machine vanished right after the start: until the instances notice and end themselves.
    lifetime : int
        If they did not notice either: until their lifetime ends.
    """

    hour: int
    run: int
    abandoned: int
    lifetime: int


def worst_case(
    instances: int, price: int, *, seconds: float | None, budget: int, lonely_s: float, lifetime_s: float
) -> WorstCase:
    """Return the most that `instances` can cost.

    Parameters
    ----------
    instances : int
    price : int
        Micro-dollars per hour of the dearest instance allowed, volume and address included.
    seconds : float, optional
        Time limit of the run; None without one.
    budget : int
        Micro-dollars.
    lonely_s, lifetime_s : float
        After how long an instance without a scheduler, and any instance, ends itself.
    """

    def all_for(span: float) -> int:
        return instances * charge(price, span)

    run = budget if seconds is None else min(budget, all_for(seconds + STOP_S))
    return WorstCase(instances * price, run, min(all_for(lonely_s), all_for(lifetime_s)), all_for(lifetime_s))
