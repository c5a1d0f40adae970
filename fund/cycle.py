"""A HEAD period from end to end: what is known at its start becomes one :class:`~fund.step.Step`, and nothing is kept besides.

A step depends on the fund's last step, the ledger as it was read, the version of the data, the turn and the policy, and on
nothing else: no clock, no chance, no state in this process. Whoever has the same makes the same HEAD, and whoever is killed
before committing makes the same step again::

    due = clock.due(last)
    data = Data(dataset.known_root(), feeds)            # fund.rows.rows_of, fund.quotes.Quotes, fund.models.Questions
    store.commit(make(store, ledger.state(), due, data, source=ledger.source, policy=policy))

What is redeemed on the ledger is paid from the treasury by the HEAD that reads it.

What a step does not do is write to the ledger: signing and stamping the HEAD, depositing what the buyback bought and
burning its burned share are for whoever commits it. Deposits are paid out by the HEADs that read them.

A step remembers ``inference:TOPIC``, ``book:TOPIC``, ``pace:TOPIC`` (:mod:`fund.desk`), ``division:TOPIC``
(:mod:`fund.payday`), ``deposits`` and ``redeemed``. Its journal has a book per topic. Its documents are ``losses``
(settled bars, see :class:`fund.desk.Desk`), ``alerts`` (topic, code, text), ``limits`` (texts), ``absent`` (topic, model, why)
and ``kept`` (wei: emission, buyback, paid, and who could not be paid why); those that would be empty are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fund.desk import Desk, Feed, Trading
from fund.market import Market, advance, gains_of, redeem_all
from fund.market_events import Event
from fund.payday import Due, dump, load, pay, payees_of, pot_of, taken_of
from fund.payday import due as due_of
from fund.speaking import Source, Speakers
from fund.step import Step
from fund.store_reader import Reader
from fund.topic_state import ALONE
from protocol.errors import DataError, RefusedError
from protocol.head.claims import Claims
from protocol.head.head import Head, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.schedule import Period, Turn
from protocol.head.standing import standing
from protocol.head.wire import whole
from protocol.ledger.commitments import canonical
from protocol.ledger.kinds import MAX_UINT
from protocol.ledger.params import LTFT
from protocol.ledger.rules import advance as let_pass
from protocol.ledger.state import State

SECOND_US = 1_000_000
DEPOSITS, REDEEMED = "deposits", "redeemed"


@dataclass(frozen=True, slots=True)
class Data:
    """One version of a dataset.

    Attributes
    ----------
    root : str
        Its content root.
    feeds : sequence of Feed
        Of each topic that the fund knows, in any order.
    """

    root: str
    feeds: Sequence[Feed]


@dataclass(frozen=True, slots=True)
class Policy:
    """What everybody who makes the HEADs of a network has to agree on.

    Attributes
    ----------
    trading : Trading
        Of each topic's book.
    pool : (ltft, quote) or None
        Wei that the market opens with at the first HEAD; None: there is no market.
    weights : mapping of topic to float
        By which rewards are divided between topics, any one unit; a topic that is not here has weight 1.
    forecasters : mapping of forecaster to account
        Who is paid for forecasts; what others would get is kept.
    """

    trading: Trading = field(default_factory=Trading)
    pool: tuple[int, int] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    forecasters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Before:
    """What a fund has after its last step.

    Attributes
    ----------
    head : Head or None
    predictions : tuple of Prediction
        Of that HEAD.
    claims : Claims
    market : Market or None
    memory : mapping of name to bytes
    """

    head: Head | None
    predictions: tuple[Prediction, ...]
    claims: Claims
    market: Market | None
    memory: Mapping[str, bytes]

    @classmethod
    def of(cls, fund: Reader) -> Before:
        """Read it, all of one moment."""
        with fund.unchanging():
            latest = fund.latest()
            head = fund.head(latest.period) if latest else None
            said = fund.predictions(latest.period) if latest else ()
            return cls(head, said, fund.claims(), fund.market(), fund.memory())


def make(fund: Reader, ledger: State, due: Turn, data: Data, *, source: Source, policy: Policy) -> Step:
    """Return the step of a period that is due; nothing is written.

    Parameters
    ----------
    fund : Reader
    ledger : State
        As it was read; not changed. What falls due by time alone up to the period's start is taken into account.
    due : Turn
    data : Data
        What closes after the period's start is not looked at.
    source : callable
        The text of a block's module.
    policy : Policy

    Raises
    ------
    RefusedError
        Nothing is due, or not that; the fund is of another ledger; the ledger or the data is older than what the last HEAD
        was made on; a topic is given twice.
    DataError
        The fund is damaged.
    ClusterError, ConfigError
        The jail cannot be had: try again.
    """
    before = Before.of(fund)
    period = _checked(before, fund, ledger, due, data)
    read = let_pass(ledger.copy(), period.start)
    feeds = sorted(data.feeds, key=lambda one: one.topic.name)
    topics = [standing(read, feed.topic.name) for feed in feeds]
    stakes = {name: stake / LTFT for name, stake in sorted(read.validators.items())} or ALONE
    desks, said = list[Desk](), list[Prediction]()
    for feed, models in zip(feeds, topics, strict=True):
        desk = Desk.opened(feed, policy.trading, period.start * SECOND_US, before.memory)
        desk.turn(Speakers.of(models, source), stakes)
        said += desk.predictions(models, before.predictions)
        desks.append(desk)
    taken = taken_of(before.memory.get(DEPOSITS, b"0"))
    pot = pot_of(read, period, due.carried, taken)
    divisions = _divisions(desks, policy, before.memory)
    payout = pay(pot, divisions, {one.topic for one in said}, payees_of(read, topics, policy.forecasters))
    claims = before.claims.after(payout.rewards.earnings)
    market, events = _market(before, period, due.carried, desks, policy)
    if market is not None and before.market is not None:
        market, payments = redeem_all(market, read.redeemed, _plain(before.memory, REDEEMED), read.supply.total)
        events += payments
    head = Head.of(
        period=period.number,
        parent=before.head.hash if before.head else fund.ledger,
        height=ledger.height,
        ledger=ledger.head,
        data_root=data.root,
        topics=topics,
        predictions=said,
        claims=claims,
    )
    head.check_follows(before.head, fund.ledger)
    fresh = {name: content for desk in desks for name, content in desk.memory().items()}
    fresh |= {f"division:{name}": dump(one.division) for name, one in divisions.items() if one.new}
    fresh[DEPOSITS] = b"%d" % (taken + payout.taken)
    if market is not None:
        fresh[REDEEMED] = canonical(dict(read.redeemed)).encode()
    documents = _documents(desks, topics, read)
    kept = [{"amount": one.amount, "topic": one.topic, "why": one.why} for one in payout.rewards.kept]
    documents["kept"] = {"emission": pot.emission, "buyback": pot.deposits, "paid": payout.paid, "kept": kept}
    return Step(
        head=head,
        claims=claims,
        carried=len(due.carried),
        predictions=tuple(said),
        earnings=payout.rewards.earnings,
        journal={desk.feed.topic.name: tuple(desk.records) for desk in desks if desk.records},
        memory={name: content for name, content in fresh.items() if before.memory.get(name) != content},
        market=market,
        events=events,
        documents=documents,
    )


def _checked(before: Before, fund: Reader, ledger: State, due: Turn, data: Data) -> Period:
    """Return the period to make a HEAD for."""
    if due.period is None:
        raise RefusedError("no HEAD is due: that of this period is made; wait for the next period")
    number, last = due.period.number, before.head.period if before.head else None
    if last is not None and number <= last:
        raise RefusedError(f"period {number} is not after {last} of the last HEAD; set the clock right, or wait")
    if due.carried and (due.carried.stop != number or last is None or due.carried.start <= last):
        raise RefusedError(f"periods {due.carried} are not those between the last HEAD and {number}; carry only those")
    if ledger.domain.salt != fund.ledger:
        raise RefusedError(f"the fund belongs to ledger {fund.ledger}, not to {ledger.domain.salt}; name its own")
    if before.head and ledger.height < before.head.height:
        raise RefusedError(
            f"the ledger was read at {ledger.height}, by the last HEAD at {before.head.height}; read it again"
        )
    names = [feed.topic.name for feed in data.feeds]
    if len(set(names)) < len(names):
        raise RefusedError(f"topics {sorted(names)}: give each once")
    return due.period


def _divisions(desks: Sequence[Desk], policy: Policy, memory: Mapping[str, bytes]) -> dict[str, Due]:
    """Return by whose work each topic's rewards are divided; topics never settled are left out."""
    found = {}
    for desk in desks:
        name = desk.feed.topic.name
        old = memory.get(f"division:{name}")
        one = due_of(name, policy.weights.get(name, 1.0), desk.settlements, None if old is None else load(old))
        if one is not None:
            found[name] = one
    return found


def _market(
    before: Before, period: Period, carried: range, desks: Sequence[Desk], policy: Policy
) -> tuple[Market | None, tuple[Event, ...]]:
    """Return the market after the period; it opens with the first HEAD."""
    if before.market is not None:
        gains = sum(gains_of(desk.records) for desk in desks)
        return advance(before.market, period.number, gains, carried=carried)
    if before.head is not None or policy.pool is None:
        return None, ()
    return Market.opened(period.number, *policy.pool), ()


def _plain(memory: Mapping[str, bytes], name: str) -> dict[str, int]:
    """Return wei by account as a step remembers them."""
    try:
        found = json.loads(memory.get(name, b"{}"))
        return {str(account): whole(amount, f"{name} of {account}", 0, MAX_UINT) for account, amount in found.items()}
    except (ValueError, AttributeError, RefusedError) as error:
        raise DataError(f"what was {name} is damaged: {error}; restore the fund from a copy") from error


def _documents(desks: Sequence[Desk], topics: Sequence[HeadTopic], ledger: State) -> dict[str, Any]:
    """Return what is to be known of the period besides; what is empty is left out."""
    known = {one.topic for one in topics}
    notes = [(desk.feed.topic.name, code, text) for desk in desks for code, text in desk.notes]
    notes += [
        (name, "no-feed", f"blocks stand for {name}, which the fund has no data of")
        for name in sorted(ledger.standing)
        if ledger.standing[name] and name not in known
    ]
    silent = [(desk.feed.topic.name, *one) for desk in desks if desk.said for one in desk.said.absent]
    documents = {
        "losses": [{"topic": desk.feed.topic.name, **one} for desk in desks for one in desk.settled],
        "alerts": [{"topic": topic, "code": code, "text": text} for topic, code, text in notes if code != "limit"],
        "limits": [f"{text} in {topic}" for topic, code, text in notes if code == "limit"],
        "absent": [{"topic": topic, "model": model, "why": why} for topic, model, why in silent],
    }
    return {name: content for name, content in documents.items() if content}
