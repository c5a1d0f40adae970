"""What a HEAD has to pay out, and by whose work it is divided.

**The pot** of a HEAD is the emission of its period and of those carried before it, and what was deposited on the ledger since
(what buybacks bought). Emission of missed periods is not paid. What nobody can be paid is taken off the emission first,
and so is never minted; what is left of deposits waits for the next HEAD. The ledger takes deposits before it mints, so a
HEAD made like this can always be paid for, however late it is stamped.

**The division** of a topic's part is that of the bars settled since the last HEAD, fractions of several added up. A HEAD
between bars repeats what was said, and so it pays again by the fractions of the last settlement. A topic that has nothing
settled and says nothing is paid nothing.

The live cycle (:mod:`fund.cycle`) and a replay (:mod:`fund.replay_token`) pay by the same functions.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fund.topic_state import Settlement
from protocol.consensus.allora.classes import Entropies
from protocol.errors import DataError, RefusedError
from protocol.head.head import HeadTopic
from protocol.head.rewards import AlloraTopic, Payees, Rewards, distribute
from protocol.head.schedule import Period
from protocol.ledger.kinds import is_address
from protocol.ledger.state import State
from protocol.ltft.emission import Schedule


@dataclass(frozen=True, slots=True)
class Pot:
    """Wei that a HEAD may pay out: new money, and what was deposited."""

    emission: int
    deposits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.emission + self.deposits

    def taken(self, paid: int) -> int:
        """Return what of the deposits is used up when so much was paid: all that emission is not needed for."""
        return min(paid, self.deposits)


class Due(NamedTuple):
    """By whose work a topic's part is divided, and whether something was settled for it since the last HEAD."""

    division: AlloraTopic
    new: bool


@dataclass(frozen=True, slots=True)
class Payout:
    """What became of a pot: `paid` = `minted` + `taken`, emission = `minted` + `unminted`."""

    pot: Pot
    rewards: Rewards

    @property
    def paid(self) -> int:
        """Wei that accounts earned."""
        return sum(one.amount for one in self.rewards.earnings)

    @property
    def taken(self) -> int:
        """Wei of deposits among them."""
        return self.pot.taken(self.paid)

    @property
    def minted(self) -> int:
        """Wei of emission among them."""
        return self.paid - self.taken

    @property
    def unminted(self) -> int:
        """Wei of emission that nobody can be paid."""
        return self.pot.emission - self.minted


def pot_of(ledger: State, period: Period, carried: range, taken: int) -> Pot:
    """Return what the HEAD of a period may pay out.

    Parameters
    ----------
    ledger : State
        As the HEAD read it.
    period : Period
    carried : range
        Numbers of the periods right before it through which the last HEAD stood.
    taken : int
        Wei of deposits that HEADs before have paid out.

    Raises
    ------
    RefusedError
        The period is before the ledger's genesis.
    """
    genesis, params = Period.at(ledger.genesis.time).number, ledger.params
    schedule = Schedule(params.emission_first, params.emission_era, params.emission_cap)
    return Pot(emitted(schedule, genesis, period, carried), max(0, deposited(ledger) - taken))


def emitted(schedule: Schedule, genesis: int, period: Period, carried: range) -> int:
    """Return the emission of a period and of those carried before it, wei; `genesis` is the number of the first ever.

    Raises
    ------
    RefusedError
        A period is before the genesis.
    """
    first = carried.start if carried else period.number
    if first < genesis:
        raise RefusedError(f"period {first} is before {genesis} of the ledger's genesis; there is no HEAD of it")
    return schedule.of(first - genesis, period.number - genesis + 1)


def deposited(ledger: State) -> int:
    """Return the wei that were ever deposited: what is there, and what of stamped earnings was not minted."""
    stamped = ledger.stamp.reward_total if ledger.stamp else 0
    return ledger.rewards.deposited + stamped - ledger.supply.minted


def division(topic: str, weight: float, settlements: Iterable[Settlement]) -> AlloraTopic | None:
    """Return by whose work a topic's rewards are divided after these settlements; None if nothing was judged.

    Fractions are added up, entropies averaged, the utility of forecasts is the last. A reputer that is no account (the
    fund itself, where there are no validators) is left out.
    """
    outcomes = [(one, one.outcome) for one in settlements if one.outcome is not None]
    if not outcomes:
        return None
    inference, forecast, reputer = dict[str, float](), dict[str, float](), dict[str, float]()
    for one, outcome in outcomes:
        _add(inference, one.models, outcome.inference_fractions)
        _add(forecast, one.forecasters, outcome.forecast_fractions)
        _add(reputer, one.reputers, outcome.reputer_fractions)
    entropies = [outcome.entropies for _, outcome in outcomes]
    return AlloraTopic(
        topic,
        weight,
        inference,
        forecast,
        {name: share for name, share in reputer.items() if is_address(name)},
        Entropies(
            *(sum(getattr(one, name) for one in entropies) / len(entropies) for name in ("inference", "forecast", "reputer"))
        ),
        outcomes[-1][1].chi,
    )  # fmt: skip


def due(topic: str, weight: float, settlements: Iterable[Settlement], before: AlloraTopic | None) -> Due | None:
    """Return by whose work a topic's part is divided: that of new settlements, else as `before`; None if none ever was."""
    new = division(topic, weight, settlements)
    if new is not None:
        return Due(new, True)
    return None if before is None else Due(replace(before, weight=weight), False)


def pay(pot: Pot, topics: Mapping[str, Due], spoke: Container[str], payees: Payees) -> Payout:
    """Divide a pot between the topics that settled something or still say something (those in `spoke`)."""
    paying = [one.division for name, one in topics.items() if one.new or name in spoke]
    return Payout(pot, distribute(pot.total, paying, payees))


def payees_of(ledger: State, topics: Sequence[HeadTopic], forecasters: Mapping[str, str]) -> Payees:
    """Return who is paid: the miners of the blocks in a HEAD, and the accounts of forecasters."""
    miners = {model.hash: ledger.blocks[model.hash].miner for topic in topics for model in topic.models}
    return Payees({**forecasters, **miners})


def dump(division: AlloraTopic) -> bytes:
    """Return a division as bytes; floats are kept bit by bit."""
    return json.dumps(asdict(division), sort_keys=True).encode()


def taken_of(content: bytes) -> int:
    """Return the wei of deposits that HEADs have paid out, from canonical JSON.

    Raises
    ------
    DataError
        It is damaged.
    """
    if not content.isdigit():
        raise DataError(f"the deposits paid out are {content[:40]!r}, no number; restore the fund from a copy")
    return int(content)


def load(content: bytes) -> AlloraTopic:
    """Return the division that :func:`dump` wrote.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        values = json.loads(content)
        return AlloraTopic(**{**values, "entropies": Entropies(**values["entropies"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"a division of rewards is damaged: {error}; restore the fund from a copy") from error


def _add(sums: dict[str, float], names: Sequence[str], fractions: NDArray[np.float64]) -> None:
    for name, share in zip(names, np.nan_to_num(fractions).tolist(), strict=True):
        if share:
            sums[name] = sums.get(name, 0.0) + share
