"""The page's view of a real fund: its store, and the ledger its HEADs are stamped on, both only read.

From a step's documents it reads, where there are any:

==========  ==============================================================================================
alerts      list of {text, and perhaps level, title, since}: what the fund reports, since in Unix seconds
limits      list of text: the limits that were binding when the portfolio was chosen
losses      list of {hits, calls, ...}: one per settled bar
kept        {emission, buyback, kept: list of {amount, topic, why}}: the HEAD's rewards, wei
absent      list of {model, why}: block hashes that gave no answer
==========  ==============================================================================================

What a step does not hold is shown as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from threading import RLock
from typing import Any, get_args

import numpy as np

from dashboard.fund_books import alerts, orders, positions
from dashboard.fund_history import History, Series
from dashboard.view import (
    Alert,
    Clock,
    Earning,
    Floats,
    Fund,
    Head,
    HeadState,
    Level,
    Model,
    PastHead,
    Prediction,
    Rewards,
    Snapshot,
    Token,
)
from dashboard.words import short
from fund.store_reader import Reader
from fund.tape import Books
from fund.units import SECOND_US, cents
from protocol.errors import DataError
from protocol.head import head as stamped
from protocol.head.prediction import Prediction as Said
from protocol.head.quorum import HeadSignature, Quorum, count
from protocol.head.schedule import PERIOD_S
from protocol.head.units import NANO
from protocol.ledger.kinds import is_address, is_hash
from protocol.ledger.state import State
from protocol.typed_data import Domain

#: Periods in the list of past HEADs.
DAY = 144
#: The newest periods whose late signatures the page waits for.
AWAITED = 6
#: HEADs that may wait for their stamp, which follows within seconds where all is well.
LATE_STAMPS = 2
MICRO = 1_000_000  # of evidence


class FundView:
    """A view of a fund; see :class:`dashboard.view.View`.

    Parameters
    ----------
    reader : Reader
    ledger : callable
        Returns the ledger's state at a height, None the newest: :meth:`protocol.ledger.ledger.Ledger.state`. Everything is
        shown as of the height that the HEAD had read, except signatures and stamps, which count whenever they come.
    clock : callable, optional
        The network's clock; by default that of a fund which drives it itself: it stands at the newest HEAD.
    """

    def __init__(
        self, reader: Reader, ledger: Callable[[int | None], State], clock: Callable[[], Clock] | None = None
    ) -> None:
        self._reader, self._ledger, self._clock = reader, ledger, clock or self._stands
        self._lock = RLock()
        self._history = History(reader)
        self._head = lru_cache(512)(reader.head)
        self._voters = lru_cache(512)(self._find_voters)
        self._quorum = lru_cache(512)(self._find_quorum)
        self._made = lru_cache(8)(self._make)

    def clock(self) -> Clock:
        """Return the network's clock."""
        return self._clock()

    def _stands(self) -> Clock:
        latest = self._reader.latest()
        return Clock(latest.period * PERIOD_S if latest else 0.0, 0.0)

    def version(self) -> str:
        """Return newest period, digest and number of its signatures, and of those just before; and what is stamped."""
        with self._reader.unchanging():
            newest = self._reader.latest()
            if newest is None:
                return "none"
            recent = self._reader.entries(newest.period - AWAITED + 1)
            signed = sum(len(self._reader.signatures(one.period)) for one in recent)
        return f"{newest.period}-{newest.digest[:12]}-{signed}-{self._stamped()}"

    def snapshot(self, number: int | None = None) -> Snapshot:
        """Return the network at the end of a period."""
        with self._lock, self._reader.unchanging():
            self._history.refresh()
            periods = self._history.periods
            if not periods:
                if number is not None:
                    raise DataError(f"HEAD {number} is not on record: there is no HEAD yet")
                return Snapshot(self._ledger(0).genesis.name)
            number = periods[-1] if number is None else number
            if not periods[0] <= number <= periods[-1]:
                raise DataError(f"HEAD {number} is not on record; the record goes from {periods[0]} to {periods[-1]}")
            return self._made(number, self.version())

    def _make(self, number: int, _version: str) -> Snapshot:
        history = self._history
        steps = history.steps(number)
        period = history.periods[steps - 1]
        past = self._past(number)
        head = self._head(period)
        state = self._ledger(head.height)
        books = history.books(steps)
        token = self._token(number, steps, state)
        common: dict[str, Any] = {
            "network": state.genesis.name,
            "number": number,
            "first": history.periods[0],
            "newest": history.periods[-1],
            "fund": self._fund(steps, books),
            "token": token,
            "past": past,
        }
        if period != number and not history.stood(number):
            return Snapshot(**common, alerts=tuple(alerts(books)))
        quorum = self._quorum(period, self._reader.signatures(period))
        said = self._reader.predictions(period)
        return Snapshot(
            **common,
            head=_head(head, quorum, state.validators),
            predictions=tuple(_prediction(one) for one in said),
            models=self._models(head, said, state, number),
            rewards=self._rewards(period) if quorum.reached else None,
            alerts=(*_accused(quorum), *self._unstamped(number), *self._reported(period), *alerts(books)),
        )

    def _past(self, number: int) -> tuple[PastHead, ...]:
        history = self._history
        found = []
        numbers: Sequence[int] = range(max(history.periods[0], number - DAY + 1), number + 1)
        if self._reader.config.get("simulated"):  # its HEADs stand for days on purpose: the periods between say nothing
            numbers = history.periods[: history.steps(number)][-DAY:]
        for one in numbers:  # a ledger is cheap to read upwards only
            steps = history.steps(one)
            if history.periods[steps - 1] != one:
                found.append(PastHead(one, "carried" if history.stood(one) else "missed"))
                continue
            head = self._head(one)
            signed = self._quorum(one, self._reader.signatures(one)).reached
            state: HeadState = "signed" if signed else "pending"
            models = len({model.hash for topic in head.topics for model in topic.models})
            paid = history.paid[steps - 1] if signed else 0
            found.append(PastHead(one, state, head.prediction_count, models, paid, head.hash))
        return tuple(reversed(found))

    def _find_voters(self, height: int) -> tuple[Domain, Mapping[str, int]]:
        state = self._ledger(height)
        return state.domain, dict(state.validators)

    def _find_quorum(self, period: int, signatures: tuple[HeadSignature, ...]) -> Quorum:
        head = self._head(period)
        domain, voters = self._voters(head.height)
        return count(domain, head, signatures, voters)

    def _models(self, head: stamped.Head, said: tuple[Said, ...], state: State, number: int) -> tuple[Model, ...]:
        """Return the models of a HEAD, by topic, the heaviest first; weight is the mean share over the topic's predictions."""
        shares: dict[tuple[str, str], int] = {}
        sizes: dict[str, int] = {}
        for one in said:
            sizes[one.topic] = sizes.get(one.topic, 0) + 1
            for name, share in one.models:
                shares[one.topic, name] = shares.get((one.topic, name), 0) + share
        absent = {
            _text(one, "model", "absent"): _text(one, "why", "absent")
            for one in _records(self._document("absent", head.period), "absent")
        }
        found = []
        for topic in head.topics:
            for model in topic.models:
                block = state.blocks.get(model.hash)
                if block is None:
                    raise DataError(f"HEAD {head.period} names {model.hash}, which its ledger does not have")
                found.append(
                    Model(
                        block=model.hash,
                        topic=topic.topic,
                        role="absent" if model.hash in absent else model.role,
                        owner=block.miner,
                        log_e=block.log_e / MICRO,
                        drop_log_e=state.params.drop_log_e / MICRO,
                        crown_log_e=state.params.crown_log_e / MICRO,
                        weight=shares.get((topic.topic, model.hash), 0) / NANO / max(1, sizes.get(topic.topic, 0)),
                        recorded_at=block.time,
                        earned=self._history.earned(model.hash, number),
                        note=absent.get(model.hash, ""),
                    )
                )
        return tuple(sorted(found, key=lambda one: (one.topic, -one.weight, one.block)))

    def _fund(self, steps: int, books: Books) -> Fund | None:
        times, nav, equal = _columns(self._history.values, steps)
        if not times.size:
            return None
        held, whole = positions(books), books.nav()
        gross = sum(abs(one.value) for one in held)
        return Fund(
            currency=self._currency(),
            times=times.astype(np.int64),
            nav=nav,
            equal_weight=equal,
            cash=np.ones(times.size),
            nav_cents=cents(whole),
            cash_cents=cents(sum(tape.book.cash for tape in books.tapes.values())),
            high_water=books.highest,
            gross=gross / cents(whole) if cents(whole) > 0 else float("nan"),
            net=sum(one.value for one in held) / cents(whole) if cents(whole) > 0 else float("nan"),
            turnover=books.turnover(),
            hit_rate=self._history.hit_rate(steps),
            fees_cents=cents(sum(tape.costs for tape in books.tapes.values())),
            positions=held,
            orders=orders(books),
        )

    def _token(self, number: int, steps: int, state: State) -> Token | None:
        market = self._reader.market(self._history.periods[steps - 1])
        if market is None:
            return None
        times, price, twap = _columns(self._history.prices, steps)
        supply = state.supply
        return Token(
            currency=self._currency(),
            times=times.astype(np.int64),
            price=price,
            twap=twap,
            pool_tokens=market.pool.ltft,
            pool_cents=cents(market.pool.quote),
            supply=supply.total,
            cap=supply.initial + state.params.emission_cap,
            burned=supply.burned,
            redeemed=supply.redeemed,
            treasury_cents=cents(market.treasury),
            rewards_pool=state.rewards.deposited,
            buybacks=self._history.buybacks(number),
        )

    def _rewards(self, period: int) -> Rewards:
        earnings = [
            Earning(one.account, one.topic, one.amount, one.why.replace(one.source, _brief(one.source)))
            for one in self._reader.earnings(period)
        ]
        earnings.sort(key=lambda one: -one.amount)
        paid = sum(one.amount for one in earnings)
        split = self._document("kept", period)
        if split is None:
            return Rewards(None, None, paid, None, tuple(earnings))
        if not isinstance(split, dict):
            raise _strange("kept", split)
        kept = sum(_number(one, "amount", "kept") for one in _records(split.get("kept"), "kept"))
        return Rewards(
            _number(split, "emission", "kept"), _number(split, "buyback", "kept"), paid, kept, tuple(earnings)
        )

    def _reported(self, period: int) -> list[Alert]:
        found = []
        for one in _records(self._document("alerts", period), "alerts"):
            level: Level = one["level"] if one.get("level") in get_args(Level) else "warning"
            since = _number(one, "since", "alerts") if "since" in one else None
            title = _text(one, "title", "alerts") if "title" in one else "The fund reports"
            found.append(Alert(level, title, _text(one, "text", "alerts"), since))
        limits = self._document("limits", period)
        if limits:
            if not isinstance(limits, list) or not all(isinstance(one, str) for one in limits):
                raise _strange("limits", limits)
            text = f"The portfolio was held back by {', '.join(limits)}; what was not bought stays in cash."
            found.append(Alert("warning", "Limit hit", text, period * PERIOD_S))
        return found

    def _stamped(self) -> int:
        """Return the period of the newest stamp, -1 without one."""
        stamp = self._ledger(None).stamp
        return stamp.period if stamp else -1

    def _unstamped(self, number: int) -> list[Alert]:
        """Return whether HEADs with a quorum do not get onto the ledger; of the newest HEAD only, the past is past."""
        if number != self._history.periods[-1]:
            return []
        waiting = [one.period for one in self._reader.entries(self._stamped() + 1)]
        if len(waiting) <= LATE_STAMPS or not self._quorum(waiting[0], self._reader.signatures(waiting[0])).reached:
            return []
        text = (
            f"{len(waiting)} HEADs are not on the ledger, though the first of them has its quorum: nobody can claim what they "
            "pay. See whether the ledger can be written, and look at the log of the fund."
        )
        return [Alert("critical", "Stamps are late", text, waiting[0] * PERIOD_S)]

    def _document(self, name: str, period: int) -> Any:
        found = self._reader.documents(name, period, period)
        return found[0][1] if found else None

    def _currency(self) -> str:
        """Return what the fund says it counts in; without a word on it, the quote currency of its data."""
        named = self._reader.config.get("currency")
        return named if isinstance(named, str) else "quote"


def _head(head: stamped.Head, quorum: Quorum, validators: Mapping[str, int]) -> Head:
    return Head(
        number=head.period,
        made_at=head.period * PERIOD_S,
        state="signed" if quorum.reached else "pending",
        stake_signed=quorum.stake,
        stake_total=quorum.total,
        unsigned=tuple(sorted(validators.keys() - set(quorum.signers), key=str.lower)),
        block=head.hash,
        parent=head.parent,
        data_root=head.data_root,
        predictions_root=head.predictions_root,
        models_root=head.models_root,
        rewards_root=head.rewards_root,
    )


def _prediction(one: Said) -> Prediction:
    return Prediction(
        topic=one.topic,
        sector=one.sector,
        broker=one.broker,
        symbol=one.symbol,
        type=one.type,
        bar=one.bar // SECOND_US,
        horizon=one.horizon,
        value=one.value / NANO,
        low=one.low / NANO,
        high=one.high / NANO,
        models=tuple(sorted(((block, share / NANO) for block, share in one.models), key=lambda model: -model[1])),
    )


def _brief(source: str) -> str:
    return short(source) if is_hash(source) or is_address(source) else source


def _accused(quorum: Quorum) -> list[Alert]:
    found = [
        Alert(
            "critical",
            "Validator equivocates",
            f"{one} signed two HEADs of this period; its stake counts for neither. The signatures prove it to anybody.",
        )
        for one in quorum.equivocating
    ]
    text = "Somebody signed in the name of {}, or for another ledger; the signature does not count."
    return found + [Alert("warning", "Signature not genuine", text.format(one)) for one in quorum.forged]


def _columns(series: Series, steps: int) -> tuple[Floats, Floats, Floats]:
    table = np.array(series.after(steps), dtype=np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _records(given: Any, name: str) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise _strange(name, given)
    return given


def _text(given: dict[str, Any], key: str, name: str) -> str:
    if not isinstance(given.get(key), str):
        raise _strange(name, given)
    return str(given[key])


def _number(given: dict[str, Any], key: str, name: str) -> int:
    if type(given.get(key)) is not int:
        raise _strange(name, given)
    return int(given[key])


def _strange(name: str, given: object) -> DataError:
    return DataError(
        f"document {name} of a step is {given!r:.100}, which the page cannot read; see dashboard.fund_view"
    )
