"""What a fund tells others over HTTP: true, provable with the protocol alone, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from made_steps import CONFIG, DOMAIN, FIRST, KEYS, LEDGER, MODEL, TOPIC, first_steps, signature

from fund import api, earned
from fund.api import pages
from fund.proving import Statement
from fund.step import Step
from fund.store import Store
from fund.store_reader import Reader
from infra.health import HealthServer, Page
from protocol.head import merkle
from protocol.head.claims import leaf_of
from protocol.head.head import Head
from protocol.head.merkle import Proof
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature
from protocol.head.schedule import MAX_PERIOD
from protocol.keys import Key

STEPS = 9
NEWEST = FIRST + 2 * (STEPS - 1)
STRANGER = Key.from_secret(b"\x07" * 32).address


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "fund.sqlite", LEDGER, CONFIG) as store:
        yield store


@pytest.fixture
def made(store: Store) -> list[Step]:
    made = first_steps(STEPS)
    for one in made:
        store.commit(one)
    return made


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    with Reader.open(store.path) as reader:
        yield reader


def ask(asked: Mapping[str, Page], path: str, **query: object) -> tuple[int, Any]:
    code, kind, body = asked[path]({name: str(value) for name, value in query.items()})
    assert kind == "application/json"
    return code, json.loads(body)


def told(asked: Mapping[str, Page], path: str, **query: object) -> Any:
    code, document = ask(asked, path, **query)
    assert code == 200, document
    return document


def test_a_fund_without_steps_has_nothing_on_record(reader: Reader) -> None:
    asked = pages(reader, dict)
    assert told(asked, "/v1/fund") == {
        "ledger": LEDGER, "config": CONFIG, "first": None, "newest": None, "digest": None,
    }  # fmt: skip
    assert told(asked, "/v1/heads") == {"heads": []}
    assert told(asked, "/v1/signatures") == {"signatures": []}
    assert ask(asked, "/v1/predictions")[0] == ask(asked, "/v1/account", address=KEYS[0].address)[0] == 404


def test_the_fund_says_where_it_is_and_what_it_is_told_to(made: list[Step], store: Store, reader: Reader) -> None:
    document = told(pages(reader, lambda: {"role": "maker"}), "/v1/fund")
    digest = store.entries()[-1].digest
    assert document == {
        "ledger": LEDGER, "config": CONFIG, "first": FIRST, "newest": NEWEST, "digest": digest, "role": "maker",
    }  # fmt: skip


def test_heads_are_followed_to_the_newest(made: list[Step], reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "HEADS", 4)
    asked, found, after = pages(reader, dict), list[Any](), -1
    while some := told(asked, "/v1/heads", after=after)["heads"]:
        assert len(some) <= 4
        found += some
        after = Head.from_json(found[-1]["head"]).period
    assert [Head.from_json(one["head"]) for one in found] == [one.head for one in made]
    assert [one["carried"] for one in found] == [one.carried for one in made]


def test_signatures_are_followed_whole_period_by_whole_period(
    made: list[Step], store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "SIGNATURES", 4)
    store.sign([signature(one, signer) for one in made[4:] for signer in (1, 2)])
    asked, found, after = pages(reader, dict), list[Any](), -1
    while some := told(asked, "/v1/signatures", after=after)["signatures"]:
        assert len(some) <= 4
        found += some
        after = some[-1]["period"]
    assert len(found) == 4 + 5 * 3
    assert all(HeadSignature(**one).genuine(DOMAIN) for one in found)
    assert [one["period"] for one in found] == sorted(one["period"] for one in found)


def test_predictions_are_those_under_the_head(made: list[Step], reader: Reader) -> None:
    asked = pages(reader, dict)
    for one in made:
        document = told(asked, "/v1/predictions", period=one.period)
        assert document["head"] == one.head.text
        assert [HeadSignature(**signed) for signed in document["signatures"]] == list(one.signatures)
        assert tuple(map(Prediction.from_dict, document["predictions"])) == one.predictions
        assert Statement.from_json(json.dumps(document)).check() == len(one.predictions)
    assert told(asked, "/v1/predictions") == document


def test_every_proof_can_be_checked_with_the_protocol_alone(made: list[Step], reader: Reader) -> None:
    asked = pages(reader, dict)
    for one in made:
        for said in one.predictions:
            document = told(asked, "/v1/predictions", period=one.period, symbol=said.symbol, topic=TOPIC)
            (shown,) = document["proofs"]
            found, proof = Prediction.from_dict(shown["prediction"]), Proof.from_dict(shown["proof"])
            Head.from_json(document["head"]).check_prediction(found, proof)
            assert found == said


@pytest.mark.parametrize("stride", [1, 2, 4, 256])
def test_accounts_have_what_the_store_says_at_any_time(
    made: list[Step], reader: Reader, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    monkeypatch.setattr(earned, "STRIDE", stride)
    asked = pages(reader, dict)
    for one in reversed(made):
        claims = reader.claims(one.period)
        for key in KEYS:
            document = told(asked, "/v1/account", address=key.address, period=one.period)
            total = int(document["total"])
            assert total == claims.totals.get(key.address, 0) == sum(int(line["amount"]) for line in document["earned"])
            if total:
                leaf, proof = leaf_of(key.address, total), Proof.from_dict(document["proof"])
                assert merkle.verify(one.head.rewards_root, one.head.reward_accounts, leaf, proof)
            else:
                assert (document["proof"], document["earned"]) == (None, [])
            last = sum(int(line["amount"]) for line in document["last"])
            assert last == sum(line.amount for line in one.earnings if line.account == key.address)
    assert document["period"] == FIRST


def test_an_account_is_told_for_what_and_how_often(made: list[Step], store: Store, reader: Reader) -> None:
    asked = pages(reader, dict)
    line = {"topic": TOPIC, "role": "inference", "source": MODEL}
    amounts = [one.amount for step in made for one in step.earnings if one.account == KEYS[2].address]
    document = told(asked, "/v1/account", address=KEYS[2].address)
    assert document["earned"] == [{**line, "amount": str(sum(amounts)), "heads": 3}]
    assert document["last"] == [{**line, "amount": str(amounts[-1]), "heads": 1}]
    store.commit(first_steps(STEPS + 3)[-3])  # the next is read when it comes
    assert told(asked, "/v1/account", address=KEYS[0].address)["earned"][0]["heads"] == 4


GARBAGE = [
    ("/v1/heads", {"after": "abc"}, 400),
    ("/v1/heads", {"after": "-5"}, 400),
    ("/v1/heads", {"after": ""}, 400),
    ("/v1/heads", {"after": "1e3"}, 400),
    ("/v1/heads", {"after": "٣"}, 400),
    ("/v1/heads", {"after": "9" * 5_000}, 400),
    ("/v1/heads", {"after": str(2**63 - 1)}, 400),
    ("/v1/heads", {"before": "3"}, 400),
    ("/v1/fund", {"x": ""}, 400),
    ("/v1/signatures", {"after": "1 OR 1=1"}, 400),
    ("/v1/predictions", {"period": "-1"}, 400),
    ("/v1/predictions", {"period": str(FIRST + 1)}, 404),
    ("/v1/predictions", {"period": str(FIRST - 1)}, 404),
    ("/v1/predictions", {"period": str(MAX_PERIOD)}, 404),
    ("/v1/predictions", {"symbol": "S99"}, 404),
    ("/v1/predictions", {"symbol": "S0", "topic": "other"}, 404),
    ("/v1/predictions", {"symbol": "S0", "broker": ""}, 404),
    ("/v1/predictions", {"symbol": "\udcff' --"}, 404),
    ("/v1/predictions", {"topic": TOPIC}, 400),
    ("/v1/account", {}, 400),
    ("/v1/account", {"address": "0x12"}, 400),
    ("/v1/account", {"address": KEYS[0].address.lower()}, 400),
    ("/v1/account", {"address": STRANGER}, 404),
    ("/v1/account", {"address": KEYS[0].address, "period": str(FIRST + 1)}, 404),
    ("/v1/account", {"address": KEYS[0].address, "period": "now"}, 400),
]


@pytest.mark.parametrize(("path", "query", "code"), GARBAGE)
def test_bad_questions_are_named(made: list[Step], reader: Reader, path: str, query: dict[str, str], code: int) -> None:
    found, document = ask(pages(reader, dict), path, **query)
    assert (found, set(document)) == (code, {"error"})
    assert len(document["error"]) < 400
    assert str(reader.path.parent) not in document["error"]


def test_huge_but_possible_periods_are_only_empty(made: list[Step], reader: Reader) -> None:
    asked = pages(reader, dict)
    assert told(asked, "/v1/heads", after=MAX_PERIOD) == {"heads": []}
    assert told(asked, "/v1/signatures", after=MAX_PERIOD) == {"signatures": []}


def test_a_fund_that_cannot_be_read_is_out_of_service(made: list[Step], store: Store) -> None:
    reader = Reader.open(store.path)
    reader.close()
    for path, asked in pages(reader, dict).items():
        query = {"address": KEYS[0].address} if path == "/v1/account" else {}
        code, _, body = asked(query)
        assert code == 503
        assert str(store.path.parent) not in json.loads(body)["error"]


def test_over_http_while_the_fund_goes_on(store: Store, reader: Reader) -> None:
    made = first_steps(60)
    store.commit(made[0])
    server = HealthServer("127.0.0.1:0", pages(reader, dict))
    address = KEYS[0].address

    def get(path: str) -> Any:
        with urlopen(f"http://{server.address}{path}", timeout=10) as answer:
            return json.load(answer)

    def look(_: int) -> None:
        shown = get("/v1/predictions?symbol=S1")
        assert Statement.from_json(json.dumps(shown)).check() == 1
        paid = get(f"/v1/account?address={address}")
        assert int(paid["total"]) == sum(int(one["amount"]) for one in paid["earned"])

    try:
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(look, range(40))
            for one in made[1:]:
                store.commit(one)
            list(answers)
        assert len(get("/v1/heads")["heads"]) == 60
        with pytest.raises(HTTPError) as refused:
            get("/v1/heads?after=%ff%00")
        assert refused.value.code == 400
        refused.value.close()
    finally:
        server.close()
