"""Made-up steps of a fund, always the same ones, and a process that commits them until it is killed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fund.journal import Alert, Charge, Instrument, Marks, Record, Valuation
from fund.market import Market, advance, gains_of
from fund.step import Step
from fund.store import Store
from protocol.head.claims import Claims
from protocol.head.head import Head, HeadModel, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature, sign_head
from protocol.head.rewards import Earning
from protocol.head.schedule import PERIOD_S
from protocol.head.units import NANO
from protocol.keys import Key
from protocol.ltft.wei import WAD
from protocol.typed_data import Domain

LEDGER = "cd" * 32
DOMAIN = Domain(chain_id=31_337, salt=LEDGER)
KEYS = [Key.from_secret(hashlib.sha256(name).digest()) for name in (b"ann", b"ben", b"cleo")]
MODEL = "ab" * 32
TOPIC = "us-daily"
FIRST = 2_833_344
CONFIG = {"topics": [TOPIC], "cash": 10**24}


def prediction(symbol: str, value: int, bar: int) -> Prediction:
    series = ("us-equity", "nyse", symbol, "ohlcv-1d")
    return Prediction(TOPIC, *series, bar, 5, value, value - 7, value + 7, ((MODEL, NANO),))


def steps(count: int = 10**9) -> Iterator[Step]:
    """Yield steps two periods apart: every third carries the one between, in the others it was missed."""
    market, claims, parent = Market.opened(FIRST - 6, 10**6 * WAD, 10**6 * WAD), Claims(), LEDGER
    for n in range(count):
        period = FIRST + 2 * n
        bar = (period // 6) * 6 * PERIOD_S * 1_000_000  # six periods say the same
        predictions = tuple(prediction(f"S{one}", one - 3, bar) for one in range(5))
        earnings = (Earning(KEYS[n % 3].address, 10**19 + n, TOPIC, "inference", MODEL),)
        claims = claims.after(earnings)
        records = _records(n, period)
        carried = int(n % 3 == 2)
        market, events = advance(market, period, gains_of(records), carried=range(period - carried, period))
        head = Head.of(
            period=period,
            parent=parent,
            height=n + 1,
            ledger="ef" * 32,
            data_root="01" * 32,
            topics=[HeadTopic(TOPIC, (HeadModel(MODEL, "crowned", NANO),))],
            predictions=predictions,
            claims=claims,
        )
        parent = head.hash
        yield Step(
            head=head,
            claims=claims,
            carried=carried,
            predictions=predictions,
            signatures=(sign_head(KEYS[0], DOMAIN, head),),
            earnings=earnings,
            journal={"us": records, "crypto": records[-1:] if n % 2 else ()},
            memory={f"inference:{TOPIC}": bytes([n % 251]) * 3_000} | ({"book:us": b"%d" % n} if n % 2 else {}),
            market=market,
            events=events,
            documents={"alerts": [{"since": n, "text": "stale – alt"}]} if n % 4 == 0 else {},
        )


def first_steps(count: int) -> list[Step]:
    return list(steps(count))


def signature(step: Step, signer: int) -> HeadSignature:
    return sign_head(KEYS[signer], DOMAIN, step.head)


def _records(n: int, period: int) -> tuple[Record, ...]:
    time = period * PERIOD_S * 1_000_000
    listed: tuple[Any, ...] = (Instrument("nyse", "S0", "us-equity", 10**6),) if n == 0 else ()
    return (
        *listed,
        Marks(time, (("nyse:S0", 10**14 + n),)),
        Charge(time, "", "performance", -(n % 5) * 10**20),
        *((Alert(time, "nyse:S0", "halted", n % 2, "no price"),) if n % 3 == 0 else ()),
        Valuation(time, 10**24 + n, 10**24, n, 0, 10**48, 10**18, 10**18),
    )


def commit_until_killed(path: str) -> None:
    """Commit step after step from where the fund is, and say so after each."""
    with Store.open(Path(path), LEDGER) as store:
        latest = store.latest()
        for step in islice(steps(), (latest.period - FIRST) // 2 + 1 if latest else 0, None):
            store.commit(step)
            print(step.period, flush=True)  # noqa: T201 - what the test waits for


if __name__ == "__main__":
    commit_until_killed(sys.argv[1])
