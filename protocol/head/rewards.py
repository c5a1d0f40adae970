"""Who is paid for a HEAD: emission and buyback over the topics, then by each topic's mechanism, exact to the wei.

Scores are floats; before they divide money they are rounded to billionths (:mod:`protocol.head.units`), and from there on
everything is whole numbers, so that all who check a HEAD pay the same. What nobody can be paid stays in the pool, and
the result says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from protocol.consensus.allora.classes import Entropies
from protocol.consensus.shares import apportion
from protocol.consensus.yuma.delegation import TAKE, divide_wei
from protocol.consensus.yuma.split import split_wei
from protocol.errors import RefusedError
from protocol.head.units import NANO, in_order, nano, nano_weights
from protocol.head.wire import whole
from protocol.ledger.kinds import MAX_UINT, is_address
from protocol.topics import NAME

Role = Literal["inference", "forecast", "reputer", "incentive", "dividend", "delegation", "owner"]
_WHY: dict[Role, str] = {
    "inference": "inferences of block {source} in {topic}",
    "forecast": "forecasts of {source} in {topic}",
    "reputer": "judging the losses of {topic}",
    "incentive": "incentive of block {source} in {topic}",
    "dividend": "dividend as a validator of {topic}",
    "delegation": "stake delegated to {source}, validator of {topic}",
    "owner": "owning {topic}",
}


@dataclass(frozen=True, slots=True)
class Earning:
    """What an account earned with one thing.

    Attributes
    ----------
    account : str
        EIP-55 address.
    amount : int
        Wei, at least 1.
    topic : str
    role : str
        As what.
    source : str
        By what: a block hash, a forecaster's name, the validator; the topic for its owner.

    Raises
    ------
    RefusedError
        The account is no address, or the amount no whole number from 1.
    """

    account: str
    amount: int
    topic: str
    role: Role
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.account, str) or not is_address(self.account):
            raise RefusedError(f"{self.account!r:.80} cannot be paid as {self.role} of {self.topic}: no EIP-55 address")
        whole(self.amount, f"what {self.account} earned", 1, MAX_UINT)

    @property
    def why(self) -> str:
        """What it was earned for, in words."""
        return _WHY[self.role].format(source=self.source, topic=self.topic)


@dataclass(frozen=True, slots=True)
class Kept:
    """Wei that stay in the pool; `topic` is empty where no topic could be paid."""

    amount: int
    topic: str
    why: str


@dataclass(frozen=True, slots=True)
class AlloraTopic:
    """A topic whose reward is divided between inferences, forecasts and judging; white paper Eq. 38-47.

    Attributes
    ----------
    topic : str
    weight : float
        Eq. 57, any one unit for all topics.
    inference, forecast, reputer : mapping of name to float
        Reward fractions by block hash, by forecaster and by validator's address, any scale; NaN or 0: not paid.
    entropies : Entropies
        nats.
    chi : float
        Utility of the forecasting task, 0 to 1.
    """

    topic: str
    weight: float
    inference: Mapping[str, float]
    forecast: Mapping[str, float]
    reputer: Mapping[str, float]
    entropies: Entropies
    chi: float


@dataclass(frozen=True, slots=True)
class YumaTopic:
    """A topic whose reward is divided 18/41/41 % between its owner, its blocks' miners and its validators.

    Attributes
    ----------
    topic : str
    weight : float
        Any one unit for all topics.
    owner : str
        EIP-55 address; empty: nobody.
    incentive, dividends : mapping of name to float
        By block hash and by validator's address, any scale; NaN or 0: not paid.
    """

    topic: str
    weight: float
    owner: str
    incentive: Mapping[str, float]
    dividends: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rewards:
    """What came of an amount: earnings and what was kept add up to it."""

    total: int
    earnings: tuple[Earning, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Payees:
    """Who stands behind a name.

    Attributes
    ----------
    accounts : mapping of name to account
        Miner of each block *in the HEAD*, account of each forecaster. What others would get is kept, so that nobody gains
        by getting a rival dropped.
    backing : mapping of validator to mapping of account to wei
        Stake behind each validator, its own included, as :meth:`protocol.consensus.yuma.delegation.Delegations.delegators`
        gives it. A validator that is not here has its own only.
    """

    accounts: Mapping[str, str]
    backing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def distribute(total: int, topics: Iterable[AlloraTopic | YumaTopic], payees: Payees) -> Rewards:
    """Divide `total` wei, the emission and buyback of a HEAD, between everybody who worked for it.

    Parameters
    ----------
    total : int
        Wei; of several periods if the last HEAD was carried through them.
    topics : iterable of AlloraTopic or YumaTopic
        In any order; the result is in the order of their names.
    payees : Payees

    Returns
    -------
    Rewards
        Each division is by the method of largest remainders, earlier names first among equals.

    Raises
    ------
    RefusedError, DataError
        The total is no whole number of wei; a topic is named twice; a weight or fraction is negative or infinite, or chi is not
        from 0 to 1; a payee is no address; a stake is negative.
    """
    whole(total, "what is distributed", 0, MAX_UINT)
    listed = list(topics)
    by_name = {topic.topic: topic for topic in listed}
    if len(by_name) < len(listed) or not all(NAME.match(name) for name in by_name):
        raise RefusedError(f"topics {[topic.topic for topic in listed]!r:.200}: name each once, by its slug")
    weights = nano_weights({name: topic.weight for name, topic in by_name.items()})
    if not any(weights.values()):
        return Rewards(total, (), (Kept(total, "", "no topic has weight"),) if total else ())
    lines = [
        line
        for name, budget in zip(weights, apportion(total, weights.values()), strict=True)
        for line in _pay(by_name[name], budget, payees)
    ]
    earnings = tuple(line for line in lines if isinstance(line, Earning))
    return Rewards(total, earnings, tuple(line for line in lines if isinstance(line, Kept)))


def allora_budgets(total: int, entropies: Entropies, chi: float) -> tuple[int, int, int, int]:
    """Return what of `total` wei goes to inferences, forecasts and judging, and what is kept; Eq. 42 and 46.

    With entropies F, G, H and chi x rounded to billionths, in proportion

        (1 - x) F (F + G)  :  x G (F + G)  :  H ((1 - x) F + x G)

    which is Eq. 42 multiplied by what Eq. 46 divides by: :func:`protocol.consensus.allora.classes.split` without floats.
    Where F and G are 0 everything goes to judging, where H is too everything is kept.

    Raises
    ------
    RefusedError
        An entropy is negative or not finite, or chi not strictly between 0 and 1.
    """
    f, g, h = nano(entropies.inference), nano(entropies.forecast), nano(entropies.reputer)
    x = nano(chi)
    if min(f, g, h) < 0 or not 0 < x < NANO:
        raise RefusedError(f"{entropies} with chi {chi}: entropies are at least 0 and chi is between 0 and 1")
    modulated = (NANO - x) * f + x * g
    parts = (NANO - x) * f * (f + g), x * g * (f + g), h * (modulated or 1)
    inference, forecast, reputer, kept = apportion(total, (*parts, int(not any(parts))))
    return inference, forecast, reputer, kept


def _pay(topic: AlloraTopic | YumaTopic, budget: int, payees: Payees) -> Iterator[Earning | Kept]:
    name = topic.topic
    if isinstance(topic, AlloraTopic):
        inference, forecast, reputer, kept = allora_budgets(budget, topic.entropies, topic.chi)
        yield from _share(name, "inference", inference, topic.inference, payees)
        yield from _share(name, "forecast", forecast, topic.forecast, payees)
        yield from _share(name, "reputer", reputer, topic.reputer, payees)
        yield from _keep(name, kept, "no inferences, no forecasts and no judging to tell apart")
        return
    parts = split_wei(budget)
    lines = [
        *_share(name, "incentive", parts.miners, topic.incentive, payees),
        *_share(name, "dividend", parts.validators, topic.dividends, payees),
    ]
    if not any(isinstance(line, Earning) for line in lines):
        yield from _keep(name, parts.owner, "the owner is paid only where somebody works")
    elif not topic.owner:
        yield from _keep(name, parts.owner, "the topic has no owner")
    elif parts.owner:
        yield Earning(topic.owner, parts.owner, name, "owner", name)
    yield from lines


def _share(
    topic: str, role: Role, budget: int, fractions: Mapping[str, float], payees: Payees
) -> Iterator[Earning | Kept]:
    """Divide a class's budget by its fractions; what has no account, or nobody's fraction, is kept."""
    weights = nano_weights(fractions)
    if not any(weights.values()):
        yield from _keep(topic, budget, f"nobody to pay for {role}")
        return
    for source, amount in zip(weights, apportion(budget, weights.values()), strict=True):
        if role in ("reputer", "dividend"):
            yield from _divide(topic, role, source, amount, payees.backing.get(source, {}))
        elif source not in payees.accounts:
            yield from _keep(topic, amount, f"{role} of {source}, which is not in the HEAD or has no account")
        elif amount:
            yield Earning(payees.accounts[source], amount, topic, role, source)


def _divide(topic: str, role: Role, validator: str, amount: int, backing: Mapping[str, int]) -> Iterator[Earning]:
    """Divide what a validator earned with those who delegated to it; it keeps its take."""
    others = [account for account in in_order(backing) if account != validator]
    own, passed = divide_wei(amount, backing.get(validator, 0), [backing[account] for account in others], TAKE)
    if own:
        yield Earning(validator, own, topic, role, validator)
    for account, part in zip(others, passed, strict=True):
        if part:
            yield Earning(account, part, topic, "delegation", validator)


def _keep(topic: str, amount: int, why: str) -> Iterator[Kept]:
    if amount:
        yield Kept(amount, topic, why)
