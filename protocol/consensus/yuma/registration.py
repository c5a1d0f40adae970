"""Registration: the price of a place follows demand.

A topic is opened with a lock (:class:`LockRule`): each registration doubles the price, which then falls in a straight line, is
back at the price paid after one interval, and never goes below the floor. A place inside a topic is bought by burning
(:class:`BurnRule`), by either of subtensor's rules: steered towards a target of registrations per interval (until 2026) or
raised by each registration and halved over time (since). All amounts are whole wei, so every node finds the same price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import ceil

from protocol.consensus.yuma.split import exact_share, whole
from protocol.errors import ConfigError, RefusedError

TAO = 10**18  # wei; a TAO itself has nine decimals


@dataclass(frozen=True, slots=True)
class LockRule:
    """How the price of opening a topic moves.

    Attributes
    ----------
    floor : int
        Lowest price, wei; also that of the first topic.
    interval : int
        Blocks after which the price is back at what the last topic paid; subtensor shortens it with the block emission.
    """

    floor: int
    interval: int

    def __post_init__(self) -> None:
        if whole(self.floor, "floor") == 0 or whole(self.interval, "interval") == 0:
            raise ConfigError(f"floor {self.floor} and interval {self.interval} of a lock must be at least 1")


#: "Currently 1000 TAO"; a fortnight of blocks of 12 s.
SUBTENSOR_LOCK = LockRule(floor=1000 * TAO, interval=14 * 7200)


@dataclass(frozen=True, slots=True)
class Lock:
    """The last registration of a topic: what was locked (wei) and at which block."""

    amount: int
    block: int


@dataclass(frozen=True, slots=True)
class Refund:
    """What becomes of a lock when its topic is deregistered, wei: both add up to the lock."""

    owner: int
    recycled: int


def lock_cost(last: Lock | None, block: int, rule: LockRule = SUBTENSOR_LOCK) -> int:
    """Return what opening a topic at `block` costs: ``max(floor, 2 L - L elapsed / interval)``, in wei.

    subtensor ``get_network_lock_cost``, which floors ``L / interval`` first; here the price is rounded up once, at the end.
    One more registration before `block` never makes it lower.

    Parameters
    ----------
    last : Lock or None
        The last registration; None before the first, which costs the floor.
    block : int
        Not before `last`.

    Raises
    ------
    DataError, RefusedError
        The block is no whole number; it lies before the last registration.
    """
    if last is None:
        whole(block, "block")
        return rule.floor
    elapsed = whole(block, "block") - last.block
    if elapsed < 0:
        raise RefusedError(f"block {block} is before the last registration, at {last.block}; ask for a later one")
    return max(rule.floor, 2 * last.amount - last.amount * elapsed // rule.interval)


def register(last: Lock | None, block: int, offered: int, rule: LockRule = SUBTENSOR_LOCK) -> Lock:
    """Return the lock of a topic opened at `block`; it takes the price, not all that is offered.

    Raises
    ------
    DataError, RefusedError
        As :func:`lock_cost`; less is offered than the price.
    """
    cost = lock_cost(last, block, rule)
    if whole(offered, "offered") < cost:
        raise RefusedError(f"opening a topic at block {block} locks {cost} wei; {offered} is too little")
    return Lock(cost, block)


def refund(lock: Lock, owner_received: int) -> Refund:
    """Return what a topic's owner gets back: the lock less what the owner's cut has paid, at least nothing.

    So opening a topic only to close it costs nothing but time, and an owner whose topic paid for itself gets nothing more.
    The rest is recycled: it returns to what may yet be emitted. subtensor, ``destroy_alpha_in_out_stakes`` (which no longer
    refunds topics opened since its limit of subnets).

    Parameters
    ----------
    lock : Lock
    owner_received : int
        The owner's cut since registration, valued in wei.

    Raises
    ------
    DataError
        It is no whole number or negative.
    """
    owner = max(0, lock.amount - whole(owner_received, "owner_received"))
    return Refund(owner, lock.amount - owner)


@dataclass(frozen=True, slots=True)
class BurnRule:
    """How the price of a place in a topic moves.

    Attributes
    ----------
    floor, ceiling : int
        Limits of the price, wei.
    target : int
        Registrations per interval at which the steered price stays.
    inertia : Fraction
        Weight of the price before, when steered; 0 to below 1.
    step : Fraction
        Factor of the price at each registration, at least 1.
    half_life : int
        Blocks in which the price halves without registrations; 0: never.
    """

    floor: int
    ceiling: int
    target: int = 2
    inertia: Fraction = Fraction(0)
    step: Fraction = Fraction(126, 100)
    half_life: int = 360

    def __post_init__(self) -> None:
        if not 1 <= whole(self.floor, "floor") <= whole(self.ceiling, "ceiling"):
            raise ConfigError(f"floor {self.floor} and ceiling {self.ceiling} of a burn: give 1 <= floor <= ceiling")
        if whole(self.target, "target") == 0 or exact_share(self.inertia, "inertia") == 1:
            raise ConfigError(f"target {self.target} must be at least 1 and inertia {self.inertia} below 1")
        if isinstance(self.step, float) or self.step < 1:
            raise ConfigError(f"step is {self.step}; give a fraction of at least 1")
        whole(self.half_life, "half_life")


#: subtensor's runtime: 0.0005 to 100 TAO.
SUBTENSOR_BURN = BurnRule(floor=TAO // 2000, ceiling=100 * TAO)


def steered_burn(burn: int, registrations: int, rule: BurnRule = SUBTENSOR_BURN) -> int:
    """Return the price after an interval with so many registrations, in wei, rounded up and within the rule's limits.

    ``inertia burn + (1 - inertia) burn (registrations + target) / (2 target)``: it stays where the target is met and at most
    halves. subtensor until January 2026, ``adjust_registration_terms_for_networks``.

    Raises
    ------
    DataError
        The price or the number of registrations is no whole number or negative.
    """
    steered = Fraction(whole(registrations, "registrations") + rule.target, 2 * rule.target)
    return _within(ceil(whole(burn, "burn") * (rule.inertia + (1 - rule.inertia) * steered)), rule)


def raised_burn(burn: int, rule: BurnRule = SUBTENSOR_BURN) -> int:
    """Return the price after one registration: ``burn step``, in wei, rounded up and within the rule's limits.

    subtensor since 2026, ``bump_registration_price_after_registration``.

    Raises
    ------
    DataError
        The price is no whole number or negative.
    """
    return _within(ceil(whole(burn, "burn") * rule.step), rule)


def decayed_burn(burn: int, blocks: int, rule: BurnRule = SUBTENSOR_BURN) -> int:
    """Return the price after so many blocks without registrations: ``burn 2^(-blocks / half_life)``, within the limits.

    subtensor since 2026, ``update_registration_prices_for_networks``, in one step instead of one per block.

    Raises
    ------
    DataError
        The price or the number of blocks is no whole number or negative.
    """
    whole(blocks, "blocks")
    if rule.half_life == 0:
        return _within(whole(burn, "burn"), rule)
    halvings, rest = divmod(blocks, rule.half_life)
    with localcontext(Context(prec=60)):  # unlike floats, decimal powers are the same on every processor
        factor = Fraction(Decimal(2) ** (Decimal(-rest) / rule.half_life))
    return _within(ceil(whole(burn, "burn") * factor) >> halvings, rule)


def _within(burn: int, rule: BurnRule) -> int:
    return min(max(burn, rule.floor), rule.ceiling)
