"""What a fund lets others read over HTTP: JSON by GET, as pure functions over its store.

===================  ==============================  ==================================================================
page                 asks                            answers
===================  ==============================  ==================================================================
``/v1/fund``                                         which ledger and periods, and whatever else is told about it
``/v1/heads``        after a period                  the HEADs after it, ascending
``/v1/signatures``   after a period                  the signatures of all periods after it, ascending
``/v1/predictions``  period; symbol, topic, broker   a statement (:mod:`fund.proving`): all, or some with their proofs
``/v1/account``      address; period                 what it has earned, for what, and the proof to claim it
===================  ==============================  ==================================================================

A bad question is answered by 400, what is not on record by 404, anything else by 503, always with ``{"error": text}``. Wei are
decimal strings: they exceed what other JSON readers hold exactly. HEADs are strings too, since their hash is over the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fund.earned import Earned, paid
from fund.proving import Statement, Which
from fund.store_reader import AbsentError, Reader
from infra.health import Answer, Page, Query, json_answer
from protocol.errors import LongtailError, UsageError
from protocol.head.schedule import MAX_PERIOD
from protocol.ledger.kinds import is_address

#: Most in one answer.
HEADS = 64
SIGNATURES = 1_024
#: HEADs, predictions and claims kept for the next who ask for them.
KEPT_HEADS, KEPT = 256, 8
_NUMBER = re.compile(r"-?[0-9]{1,19}\Z")

Facts = dict[str, Any]


def pages(reader: Reader, about: Callable[[], Mapping[str, Any]]) -> dict[str, Page]:
    """Return the pages of a fund, for :class:`infra.health.HealthServer`.

    Parameters
    ----------
    reader : Reader
        Any number of threads ask it; a daemon gives one of its own, so that nobody waits for its store.
    about : callable
        Plain JSON values that ``/v1/fund`` tells besides.
    """
    api = _Api(reader, about)
    asked: dict[str, tuple[Callable[[Query], Facts], tuple[str, ...]]] = {
        "/v1/fund": (api.fund, ()),
        "/v1/heads": (api.heads, ("after",)),
        "/v1/signatures": (api.signatures, ("after",)),
        "/v1/predictions": (api.predictions, ("period", "symbol", "topic", "broker")),
        "/v1/account": (api.account, ("address", "period")),
    }
    return {path: _page(reader, *one) for path, one in asked.items()}


class _Api:
    def __init__(self, reader: Reader, about: Callable[[], Mapping[str, Any]]) -> None:
        self._reader, self._about = reader, about
        self._earned = Earned(reader)
        # Steps never change, so what was read of one stays true.
        self._head = lru_cache(KEPT_HEADS)(reader.head)
        self._said = lru_cache(KEPT)(reader.predictions)
        self._claims = lru_cache(KEPT)(reader.claims)

    def fund(self, _query: Query) -> Facts:
        with self._reader.unchanging():
            first, newest = self._reader.first(), self._reader.latest()
        return {
            "ledger": self._reader.ledger,
            "config": self._reader.config,
            "first": first,
            "newest": newest.period if newest else None,
            "digest": newest.digest if newest else None,
            **self._about(),
        }

    def heads(self, query: Query) -> Facts:
        steps = self._reader.entries(_after(query) + 1, most=HEADS)
        return {"heads": [{"head": self._head(one.period).text, "carried": one.carried} for one in steps]}

    def signatures(self, query: Query) -> Facts:
        found = self._reader.signatures_from(_after(query) + 1, SIGNATURES + 1)
        if len(found) > SIGNATURES:  # whoever asks on by the last period gets all of each
            whole = tuple(one for one in found if one.period < found[-1].period)
            found = whole or found[:SIGNATURES]
        return {"signatures": [one.to_dict() for one in found]}

    def predictions(self, query: Query) -> Facts:
        symbol = query.get("symbol")
        if symbol is None and (extra := {"topic", "broker"} & query.keys()):
            raise UsageError(
                f"{', '.join(sorted(extra))} without symbol; give the symbol too, or ask for all predictions"
            )
        period = self._period(query)
        head, said, signed = self._head(period), self._said(period), self._reader.signatures(period)
        if symbol is None:
            return Statement(head, signed, predictions=said).to_dict()
        which = Which(symbol, query.get("topic"), query.get("broker"))
        if not (some := which.of(said)):
            raise AbsentError(f"HEAD {period} has no prediction of {which}")
        return Statement.proving(head, signed, said, some).to_dict()

    def account(self, query: Query) -> Facts:
        account = query.get("address", "")
        if not is_address(account):
            raise UsageError(f"address = {account!r:.80}; give an EIP-55 address, 0x and 40 hex digits in mixed case")
        period = self._period(query)
        claims = self._claims(period)
        if account not in claims.totals and account not in self._claims(self._newest()).totals:
            raise AbsentError(f"account {account} has earned nothing")
        return paid(self._earned, claims, self._reader.earnings(period), account=account, period=period)

    def _period(self, query: Query) -> int:
        """Return the period that is asked for, by default the newest."""
        newest = self._newest()
        period = _whole(query, "period", newest, 0)
        step = self._reader.latest(period)
        if step is None or step.period != period:
            raise AbsentError(f"period {period} has no HEAD; the newest is of period {newest}, /v1/heads has all")
        return period

    def _newest(self) -> int:
        newest = self._reader.latest()
        if newest is None:
            raise AbsentError("there is no HEAD yet")
        return newest.period


def _page(reader: Reader, facts: Callable[[Query], Facts], names: tuple[str, ...]) -> Page:
    def answer(query: Query) -> Answer:
        try:
            if odd := sorted(query.keys() - set(names)):
                raise UsageError(f"{odd[0]!r:.80} is no parameter here; there are: {', '.join(names) or 'none'}")
            return json_answer(200, facts(query))
        except LongtailError as error:
            code = 400 if isinstance(error, UsageError) else 404 if isinstance(error, AbsentError) else 503
            return json_answer(code, {"error": str(error).replace(str(reader.path), reader.path.name)})

    return answer


def _after(query: Query) -> int:
    return _whole(query, "after", -1, -1)


def _whole(query: Query, name: str, default: int, low: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _NUMBER.match(text) or not low <= int(text) <= MAX_PERIOD:
        raise UsageError(f"{name} = {text!r:.80}; give the number of a period, {low} to {MAX_PERIOD}")
    return int(text)
