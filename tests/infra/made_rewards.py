"""A local network whose HEADs pay, and a fund that tells of it over HTTP: the truth, or what a test makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from infra.health import Answer, HealthServer, Query, json_answer
from infra.home import find_home
from infra.network import VALIDATOR, ensure_local_network, find_key, send
from infra.settings import load_settings
from protocol.head.claims import Claims
from protocol.head.head import Head, HeadTopic
from protocol.head.quorum import sign_head
from protocol.head.rewards import Earning
from protocol.head.schedule import PERIOD_S
from protocol.ledger.sqlite import SqliteLedger

Document = dict[str, Any]


class Clock:
    """A ledger's clock, which a test can move."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Fund:
    """Stamps HEADs on the home's local network and answers for each.

    Attributes
    ----------
    lie : callable
        Changes what is answered.
    asked : list of dict
        The questions.
    """

    def __init__(self) -> None:
        ensure_local_network(find_home()).close()
        self.clock = Clock()
        self.ledger = SqliteLedger.open(find_home().ledger, self.clock)
        self.validator = find_key(load_settings(key=VALIDATOR), VALIDATOR)
        self.lie: Callable[[Document], Document] = lambda document: document
        self.asked: list[Query] = []
        self.paid: dict[int, list[list[Earning]]] = {}
        self.heads: dict[int, Head] = {}
        self._server = HealthServer("127.0.0.1:0", {"/v1/account": self._answer, "/v1/heads": self._heads})
        self.url = f"http://{self._server.address}"

    def close(self) -> None:
        self._server.close()
        self.ledger.close()

    def stamp(self, *earnings: Earning, topics: Sequence[HeadTopic] = ()) -> Head:
        """Stamp the next HEAD, which pays these on top of all before."""
        if self.paid:
            self.clock.ahead += PERIOD_S
            send(self.ledger, self.validator, "tick", {})
        state = self.ledger.state()
        before = self.paid[max(self.paid)] if self.paid else []
        period = int(self.clock()) // PERIOD_S
        self.paid[period] = [*before, list(earnings)]
        head = Head.of(
            period=period,
            parent=state.stamp.hash if state.stamp else state.domain.salt,
            height=state.height,
            ledger=state.head,
            data_root="ef" * 32,
            topics=topics,
            predictions=(),
            claims=self.claims(period),
        )
        self.heads[period] = head
        signed = sign_head(self.validator, self.ledger.domain, head)
        signatures = [{"validator": signed.validator, "signature": signed.signature}]
        send(self.ledger, self.validator, "stamp", {"head": head.text, "signatures": signatures})
        return head

    def claims(self, period: int) -> Claims:
        return Claims().after([one for paid in self.paid[period] for one in paid])

    def document(self, address: str, period: int) -> Document:
        """Return the truth."""
        claims = self.claims(period)
        claim = claims.claim(address) if address in claims.totals else None
        return {
            "account": address,
            "period": period,
            "total": str(claim.total if claim else 0),
            "proof": claim.proof.to_dict() if claim else None,
            "earned": summed(address, self.paid[period]),
            "last": summed(address, self.paid[period][-1:]),
        }

    def _answer(self, query: Query) -> Answer:
        self.asked.append(query)
        period = int(query["period"])
        if period not in self.paid:
            return json_answer(404, {"error": f"no HEAD of period {period} here"})
        if query["address"] not in self.claims(max(self.paid)).totals:
            return json_answer(404, {"error": f"account {query['address']} has earned nothing"})
        return json_answer(200, self.lie(self.document(query["address"], period)))

    def _heads(self, query: Query) -> Answer:
        later = [one for period, one in self.heads.items() if period > int(query["after"])]
        return json_answer(200, {"heads": [{"head": one.text, "carried": 0} for one in later]})


def summed(address: str, heads: Sequence[Sequence[Earning]]) -> list[Document]:
    """Return what an account earned with each thing, smallest first: a reader has its own order."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for head in heads:
        for one in head:
            if one.account == address:
                sums.setdefault((one.topic, one.role, one.source), []).append(one.amount)
    parts = sorted(sums.items(), key=lambda item: sum(item[1]))
    return [
        {"topic": topic, "role": role, "source": source, "amount": str(sum(amounts)), "heads": len(amounts)}
        for (topic, role, source), amounts in parts
    ]


@contextmanager
def open_fund() -> Iterator[Fund]:
    """Open a fund for the local network of the test's home."""
    fund = Fund()
    try:
        yield fund
    finally:
        fund.close()
