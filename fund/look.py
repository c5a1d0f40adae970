"""What the read commands of `ltfund` tell, as plain JSON values; wei are decimal strings.

Nothing is written, and the fund may go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fund.market_events import Redeemed
from fund.proving import quorum_of, stamp_of
from fund.store_reader import AbsentError, Entry, Reader
from fund.units import SECOND_US, cents, plain
from fund.worth import Course, worth
from protocol.errors import DataError, RefusedError
from protocol.head.head import Head
from protocol.head.quorum import HeadSignature, Quorum
from protocol.head.schedule import PERIOD_S, STALE_S
from protocol.head.units import NANO
from protocol.ledger.ledger import Ledger

Facts = dict[str, Any]
Note = Callable[[int, int], None]


def chosen(reader: Reader, period: int | None) -> Entry:
    """Return the step of a period, by default the newest.

    Raises
    ------
    AbsentError
        There is none.
    """
    newest = reader.latest()
    if newest is None:
        raise AbsentError(f"fund {reader.path} has no HEAD yet; the first comes with the next period of `ltfund run`")
    if period is None:
        return newest
    found = reader.latest(period)
    if found is None or found.period != period:
        raise AbsentError(
            f"fund {reader.path} has no HEAD of period {period}; it goes from {reader.first()} to {newest.period}, "
            "see `ltfund head --list 20`"
        )
    return found


def head_facts(reader: Reader, step: Entry, ledger: Ledger | None, now: float) -> Facts:
    """Return what is known of a HEAD.

    Parameters
    ----------
    reader : Reader
    step : Entry
    ledger : Ledger or None
        Asked for quorum and stamp.
    now : float
        Unix seconds.
    """
    head, signatures = reader.head(step.period), reader.signatures(step.period)
    age = int(now) - step.period * PERIOD_S
    topics = [
        {
            "topic": topic.topic,
            "models": [
                {"hash": model.hash, "role": model.role, "weight": plain(model.weight / NANO)} for model in topic.models
            ],
        }
        for topic in head.topics
    ]
    facts: Facts = {
        "period": step.period,
        "time": step.period * PERIOD_S,
        "age_s": age,
        "stale": age >= STALE_S,
        "hash": head.hash,
        "parent": head.parent,
        "height": head.height,
        "data_root": head.data_root,
        "topics": topics,
        "predictions": head.prediction_count,
        "paid": str(sum(one.amount for one in reader.earnings(step.period))),
        "rewards": str(head.reward_total),
        "accounts": head.reward_accounts,
        "missed": _missed(step, reader.latest(step.period - 1)),
        "carried": step.carried,
        "signers": sorted({one.validator for one in signatures if one.head == head.hash}, key=str.lower),
        "others": sorted({one.validator for one in signatures if one.head != head.hash}, key=str.lower),
    }
    return facts | (_standing(ledger, head, signatures) if ledger else {"quorum": None, "stamp": None})


def quorum_facts(quorum: Quorum) -> Facts:
    """Return who signed and who did not, as plain JSON values."""
    names = ("signers", "equivocating", "unknown", "forged")
    return {
        "reached": quorum.reached,
        "stake": str(quorum.stake),
        "of": str(quorum.total),
        **{name: list(getattr(quorum, name)) for name in names},
    }


def listed(reader: Reader, last: Entry, most: int) -> list[Facts]:
    """Return the last steps up to one of them, a few facts each, the newest last."""
    steps = reader.entries(last=last.period)[-most - 1 :]
    before: list[Entry | None] = [None, *steps] if len(steps) <= most else [*steps]
    found = []
    for step, earlier in zip(steps[-most:], before, strict=False):
        head, signed = reader.head(step.period), reader.signatures(step.period)
        found.append(
            {
                "period": step.period,
                "time": step.period * PERIOD_S,
                "missed": _missed(step, earlier),
                "carried": step.carried,
                "models": sum(len(topic.models) for topic in head.topics),
                "predictions": head.prediction_count,
                "paid": str(sum(one.amount for one in reader.earnings(step.period))),
                "signatures": sum(one.head == head.hash for one in signed),
                "hash": head.hash,
            }
        )
    return found


def nav_facts(reader: Reader, step: Entry, *, series: bool, note: Note | None = None) -> Facts:
    """Return what the fund was worth after a step, in whole and by book; with `series` at every valuation before too."""
    together, each = worth(reader, step.period, note)
    currency = reader.config.get("currency")
    return {
        "period": step.period,
        "time": step.period * PERIOD_S,
        "currency": currency if isinstance(currency, str) else "quote",
        "together": _course(together, series=series),
        "books": {name: _course(course, series=series) for name, course in each.items()},
    }


def reward_facts(reader: Reader, step: Entry) -> Facts:
    """Return who earned what for a HEAD and in all, why, what was kept, and what was paid for LTFT given up so far."""
    claims, earnings = reader.claims(step.period), reader.earnings(step.period)
    last: dict[str, int] = {}
    for one in earnings:
        last[one.account] = last.get(one.account, 0) + one.amount
    totals = sorted(claims.totals.items(), key=lambda one: (-one[1], one[0].lower()))
    lines = [
        {
            "account": one.account,
            "topic": one.topic,
            "role": one.role,
            "source": one.source,
            "amount": str(one.amount),
            "why": one.why,
        }
        for one in sorted(earnings, key=lambda one: -one.amount)
    ]
    return {
        "period": step.period,
        "time": step.period * PERIOD_S,
        "root": claims.root,
        "accounts": len(totals),
        "total": str(claims.total),
        "paid": str(sum(last.values())),
        "earnings": lines,
        "totals": [
            {"account": account, "total": str(total), "last": str(last.get(account, 0))} for account, total in totals
        ],
        "redeemed": [
            {"period": one.period, "account": one.account, "tokens": str(one.tokens), "paid": str(one.paid)}
            for _, one in reader.events(last=step.period)
            if isinstance(one, Redeemed)
        ],
        **_kept(reader, step.period),
    }


def _standing(ledger: Ledger, head: Head, signatures: Sequence[HeadSignature]) -> Facts:
    stamp: Facts = {"stamped": False, "why": "not stamped yet"}
    try:
        found = stamp_of(ledger, head)
        if found is not None:
            stamp = {"stamped": True, "height": found.height, "time": found.time}
    except RefusedError as error:
        stamp["why"] = str(error)
    return {"quorum": quorum_facts(quorum_of(ledger, head, signatures)), "stamp": stamp}


def _missed(step: Entry, before: Entry | None) -> int:
    return step.period - before.period - 1 - step.carried if before else 0


def _kept(reader: Reader, period: int) -> Facts:
    """Return what a HEAD had to pay and what of it was kept; null where it does not say."""
    found = reader.documents("kept", period, period)
    if not found:
        return {"emission": None, "buyback": None, "kept": None}
    given = found[0][1]
    try:
        return {
            **{name: str(int(given[name])) for name in ("emission", "buyback")},
            "kept": [
                {"amount": str(int(one["amount"])), "topic": str(one["topic"]), "why": str(one["why"])}
                for one in given["kept"]
            ],
        }
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"document kept of period {period} is {given!r:.100}; it has emission, buyback and kept, a list of amount, "
            "topic and why"
        ) from error


def _course(course: Course, *, series: bool) -> Facts:
    gross, net = course.exposure()
    now, worst = course.drawdown()
    facts = {
        "valued": course.books.point.time // SECOND_US,
        "per_share": course.per_share,
        "equal_weight": course.equal,
        "nav_cents": cents(course.books.nav()),
        "cash_cents": cents(course.cash),
        "gross": gross,
        "net": net,
        "high_water": course.books.highest,
        "drawdown": now,
        "worst_drawdown": worst,
        "costs_cents": cents(course.costs),
        "fees_cents": cents(course.taken),
    }
    facts = {name: plain(value) for name, value in facts.items()}
    if series:
        points = [[one.time // SECOND_US, plain(one.nav), plain(one.equal)] for one in course.points]
        return {**facts, "series": points}
    return facts
