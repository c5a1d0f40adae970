"""Values of predictions on their way to a chain: signed by validators, handed on, and brought if a quorum signed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_chain import VALIDATORS, MadeFeeds, asker, closes, create_ledger, made_maker, made_replica, made_table

from fund.clock import ReplayClock
from fund.maker import Maker
from fund.metrics import Metrics
from fund.peers import Gathering
from fund.replica import Replica
from infra.network import send, values_place
from infra.settings import load_settings
from protocol.errors import ConfigError, EquivocationError, RefusedError
from protocol.head.claims import Claims
from protocol.head.head import Head
from protocol.head.quorum import HeadSignature, sign_head
from protocol.ledger.calls import values_in
from protocol.ledger.sqlite import SqliteLedger
from protocol.ledger.values import SignedValues, Values

WRONG = "0x" + "1" * 130


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def maker(tmp_path: Path, opened: ExitStack) -> Maker:
    """A fund with three validators, whose own home has none, and some HEADs that wait."""
    clock = ReplayClock(closes(12))
    ledger = opened.enter_context(create_ledger(tmp_path / "ledger.sqlite", clock.time, 3))
    made = made_maker(tmp_path, ledger, clock, MadeFeeds(made_table()), signs=False)
    opened.callback(made.store.close)
    for _ in range(9):
        made.work()
    return made


@pytest.fixture
def follow(maker: Maker, tmp_path: Path, opened: ExitStack) -> Callable[..., Replica]:
    """Return what lets a validator make all HEADs again and sign them."""

    def one(number: int, *, values: bool = True) -> Replica:
        ledger = opened.enter_context(SqliteLedger.open(tmp_path / "ledger.sqlite", maker.clock.time))
        made = made_replica(tmp_path, ledger, VALIDATORS[number], maker, clock=maker.clock.time)
        opened.callback(made.store.close)
        made.signing = replace(made.signing, values=values)
        assert made.work() == 0.0
        return made

    return one


def first(maker: Maker) -> Head:
    """Return the first HEAD with predictions."""
    return next(head for one in maker.store.entries() if (head := maker.store.head(one.period)).prediction_count)


def gather(maker: Maker, *peers: Any) -> Gathering:
    named = [(str(number), peer) for number, peer in enumerate(peers)]
    gathering = Gathering(maker.store, maker.ledger, named, maker.log, 1.0, Metrics())
    gathering.work()
    assert gathering.silent == {}
    return gathering


def brought(maker: Maker, monkeypatch: pytest.MonkeyPatch, values: str) -> list[SignedValues | None]:
    """Return what the courier gives along with each stamp."""
    told: list[SignedValues | None] = []

    def seen(ledger: Any, key: Any, kind: str, body: Any, values: SignedValues | None = None) -> Any:
        if kind == "stamp":
            told.append(values)
        return send(ledger, key, kind, body, values)

    monkeypatch.setattr("fund.courier.send", seen)
    monkeypatch.setattr(maker.courier, "values", values)
    maker.settle()
    return told


def test_values_are_those_under_the_root_in_its_order(maker: Maker) -> None:
    head = first(maker)
    said = maker.store.predictions(head.period)
    values = Values.of(head, said[::-1])
    assert values == Values.of(head, said)
    assert values_in(values.said) == [one.value for one in said]
    with pytest.raises(RefusedError, match="other predictions"):
        Values.of(head, said[1:])
    lies = [replace(values, said=values.said[:-1] + b"x"), replace(values, head=replace(head, data_root="ab" * 32))]
    assert values.digest(maker.ledger.domain) not in [one.digest(maker.ledger.domain) for one in lies]


def test_a_validator_signs_head_and_values_and_the_same_again(maker: Maker, follow: Callable[..., Replica]) -> None:
    replica, head = follow(1), first(maker)
    domain, said = maker.ledger.domain, maker.store.predictions(head.period)
    (kept,) = replica.store.signatures(head.period)
    assert replica.signing.sign(head, said) == kept
    assert kept.genuine(domain)
    values = Values.of(head, said)
    assert values.signed(kept, domain)
    for odd in (
        replace(kept, values=""),
        replace(kept, values=kept.signature),
        replace(kept, values=WRONG),
        replace(kept, validator=VALIDATORS[0].address),
        replace(kept, head="77" * 32),
    ):
        assert not values.signed(odd, domain)
    assert replace(replica.signing, values=False).sign(head, said) == replace(kept, values="")
    with pytest.raises(RefusedError, match="other predictions"):
        replica.signing.sign(head, said[1:])
    with pytest.raises(EquivocationError, match="knows of"):
        replica.signing.sign(replace(head, data_root="ab" * 32), said)


def test_a_head_without_predictions_is_signed_by_its_root(maker: Maker, follow: Callable[..., Replica]) -> None:
    bare = Head.of(**{**EMPTY, "period": first(maker).period + 9_999})
    assert follow(0).signing.sign(bare).values == ""


def test_signatures_of_values_are_handed_on_and_wrong_ones_kept_out(
    maker: Maker, follow: Callable[..., Replica]
) -> None:
    replicas = [follow(number) for number in range(3)]
    head = first(maker)

    def lying(path: str, query: dict[str, str]) -> Any:
        answer = asker(replicas[0].store)(path, query)
        return {"signatures": [{**one, "values": WRONG} for one in answer["signatures"]]}

    gather(maker, lying)
    assert [one.values for one in maker.store.signatures(head.period)] == [""]
    gather(maker, *(asker(one.store) for one in replicas))
    values = Values.of(head, maker.store.predictions(head.period))
    found = maker.store.signatures(head.period)
    assert [values.signed(one, maker.ledger.domain) for one in found] == [True] * 3
    assert set(found) == {one for replica in replicas for one in replica.store.signatures(head.period)}


@pytest.mark.parametrize("place", ["log", "keep"])
def test_values_are_brought_if_a_quorum_signed_them(
    maker: Maker, follow: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    gather(maker, *(asker(follow(number).store) for number in range(3)))
    heads = [maker.store.head(one.period) for one in maker.store.entries()]
    told = brought(maker, monkeypatch, place)
    assert [bool(one) for one in told] == [bool(head.prediction_count) for head in heads]
    for one, head in zip(told, heads, strict=True):
        if one:
            assert one.values.head == head
            assert one.keep == (place == "keep")
            assert set(one.signatures) == {key.address for key in VALIDATORS}
            with pytest.raises(RefusedError, match="something else"):
                one.call(maker.ledger.record(1).event)
    assert maker.ledger.verify().ok


@pytest.mark.parametrize("why", ["one signs roots only", "one signature is wrong", "none"])
def test_without_a_quorum_for_the_values_a_head_goes_by_its_root(
    maker: Maker, follow: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    gather(maker, *(asker(follow(number).store) for number in range(2)))
    if why == "one signature is wrong":
        for one in maker.store.entries():
            signed = sign_head(VALIDATORS[2], maker.ledger.domain, maker.store.head(one.period))
            maker.store.sign([replace(signed, values=WRONG)])
    else:
        gather(maker, asker(follow(2, values=why == "none").store))
    told = brought(maker, monkeypatch, "none" if why == "none" else "log")
    assert told == [None] * len(maker.store.entries())
    assert maker.courier.waiting(maker.ledger.state()) == ()


def test_a_ledger_in_a_file_takes_none(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert values_place(load_settings(chain_values="keep"), maker.ledger) == "none"
    with pytest.raises(ConfigError, match="chain_values"):
        load_settings(chain_values="all")
    plain = HeadSignature(1, "ab" * 32, VALIDATORS[0].address, WRONG)
    assert set(plain.to_dict()) == {"period", "head", "validator", "signature"}


EMPTY: dict[str, Any] = {
    "parent": "cd" * 32, "height": 1, "ledger": "ab" * 32, "data_root": "ef" * 32, "topics": (), "predictions": (),
    "claims": Claims(),
}  # fmt: skip
