"""The read commands of `ltfund`: what they tell is what the store and the ledger say, also while the fund runs."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fund.api import pages
from fund.book import book_of
from fund.cli import main
from fund.journal import Record, Valuation
from fund.performance import Costs
from fund.step import Step
from fund.store import Store
from fund.store_reader import Reader
from fund.units import WEI, cents
from protocol.head.claims import Claims
from protocol.head.head import Head, HeadModel, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.quorum import HeadSignature, sign_head
from protocol.head.rewards import Earning
from protocol.head.schedule import MAX_PERIOD, PERIOD_S
from protocol.head.units import NANO
from protocol.ledger.sqlite import SqliteLedger

sys.path.insert(0, str(Path(__file__).parents[1] / "dashboard"))
sys.path.insert(0, str(Path(__file__).parents[1] / "protocol" / "ledger"))
import made_fund
from made_ledgers import ADDRESS, KEYS, TOPIC, VALIDATORS, Clock, Network, made_genesis

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")


@dataclass
class Life:
    """A fund that goes on, and the ledger it is stamped on."""

    network: Network
    store: Store
    block: str
    steps: list[Step]

    @property
    def ledger(self) -> str:
        return str(self.network.ledger.path)

    @property
    def periods(self) -> list[int]:
        return [one.period for one in self.steps]

    def make(self, after: int, **changes: Any) -> Step:
        """Return the next step, `after` periods after the last."""
        self.network.wait(after * PERIOD_S)
        state, last = self.network.state, self.steps[-1] if self.steps else None
        period, n = int(self.network.clock()) // PERIOD_S, len(self.steps)
        series = {"sector": "s", "broker": "b", "type": "ohlcv-1h", "bar": period * PERIOD_S * 10**6, "horizon": 24}
        said = tuple(
            Prediction(
                topic=TOPIC, symbol=one, value=NANO // 3 - n, low=-NANO, high=NANO, models=((self.block, NANO),), **series
            )  # type: ignore[arg-type]  # values of several types
            for one in SYMBOLS
        )  # fmt: skip
        earnings = (
            Earning(ADDRESS["alice"], 3 * WEI + n, TOPIC, "inference", self.block),
            Earning(ADDRESS["val1"], WEI, TOPIC, "reputer", ADDRESS["val1"]),
        )
        claims = (last.claims if last else Claims()).after(earnings)
        values: dict[str, Any] = {
            "period": period,
            "parent": last.head.hash if last else state.domain.salt,
            "height": state.height,
            "ledger": state.head,
            "data_root": "01" * 32,
            "topics": [HeadTopic(TOPIC, (HeadModel(self.block, "crowned", NANO // 2),)), HeadTopic("zz", ())],
        }
        head = Head.of(**(values | changes), predictions=said, claims=claims)
        kept = {
            "emission": 5 * WEI, "buyback": WEI, "paid": 4 * WEI + n,
            "kept": [{"amount": 2 * WEI - n, "topic": "", "why": "nobody there"}],
        }  # fmt: skip
        return Step(
            head=head, claims=claims, predictions=said, signatures=self.signed(head), earnings=earnings,
            documents={"kept": kept},
        )  # fmt: skip

    def signed(self, head: Head, who: tuple[str, ...] = VALIDATORS) -> tuple[HeadSignature, ...]:
        return tuple(sign_head(KEYS[name], self.network.ledger.domain, head) for name in who)

    def stamp(self, head: Head) -> None:
        signatures = [{"validator": one.validator, "signature": one.signature} for one in self.signed(head)]
        self.network.send("carol", "stamp", head=head.text, signatures=signatures)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Three HEADs, of which the first two are stamped and the last is signed by one of three; read it only."""
    folder = tmp_path_factory.mktemp("life")
    clock = Clock()
    with SqliteLedger.create(folder / "ledger.sqlite", made_genesis(), clock) as ledger:
        network = Network(ledger, clock)
        with Store.create(folder / "fund.sqlite", ledger.domain.salt, {"currency": "USD"}) as store:
            life = Life(network, store, network.accept(1), [])
            for after, stamped in ((0, True), (1, True), (3, False)):
                step = life.make(after)
                if stamped:
                    life.stamp(step.head)
                else:
                    step = replace(step, signatures=step.signatures[:1])
                life.store.commit(step)
                life.steps.append(step)
            yield life


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def told(*arguments: object) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(code: int, said: str, *arguments: object) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert said in result.stderr
    assert "defect" not in result.stderr


# ------------------------------------------------------------------------------------------------------------------ head


def test_a_head_is_shown_with_quorum_and_stamp(lived: Life) -> None:
    where = ("--store", lived.store.path, "--ledger", lived.ledger)
    first, newest = lived.steps[0], lived.steps[-1]
    facts = told("head", *where, "--period", first.period)
    assert (facts["hash"], facts["height"], facts["missed"]) == (first.head.hash, first.head.height, 0)
    assert facts["quorum"]["reached"]
    assert sorted(facts["quorum"]["signers"]) == sorted(ADDRESS[name] for name in VALIDATORS)
    stamped = lived.network.ledger.record(facts["stamp"]["height"])
    assert (stamped.event.kind, stamped.event.body["head"]) == ("stamp", first.head.text)
    assert [one["topic"] for one in facts["topics"]] == [TOPIC, "zz"]
    assert facts["topics"][0]["models"] == [{"hash": lived.block, "role": "crowned", "weight": 0.5}]
    facts = told("head", *where)
    assert (facts["period"], facts["missed"]) == (newest.period, 2)
    assert (facts["quorum"]["reached"], facts["quorum"]["signers"]) == (False, [ADDRESS["val1"]])
    assert not facts["stamp"]["stamped"]
    text = call("head", *where).stdout
    assert all(one in text for one in (newest.head.hash, "not stamped yet", "2 missed", "nobody speaks on zz", "stale"))


def test_without_a_ledger_a_head_shows_who_signed(lived: Life) -> None:
    facts = told("head", "--store", lived.store.path)
    assert (facts["quorum"], facts["stamp"], facts["signers"]) == (None, None, [ADDRESS["val1"]])


def test_a_head_that_the_ledger_passed_over_is_named(lived: Life, tmp_path: Path) -> None:
    with Store.create(tmp_path / "other.sqlite", lived.network.ledger.domain.salt, {}) as store:
        head = replace(lived.steps[0].head, data_root="02" * 32)
        store.commit(replace(lived.steps[0], head=head, signatures=lived.signed(head, ("val2",))))
    facts = told("head", "--store", tmp_path / "other.sqlite", "--ledger", lived.ledger)
    assert "do not rely on it" in facts["stamp"]["why"]


def test_heads_are_listed(lived: Life) -> None:
    rows = told("head", "--store", lived.store.path, "--list", 2)["heads"]
    assert [(one["period"], one["missed"], one["signatures"]) for one in rows] == [
        (lived.periods[1], 0, 3),
        (lived.periods[2], 2, 1),
    ]
    rows = told("head", "--store", lived.store.path, "--list", 9, "--period", lived.periods[1])["heads"]
    assert [one["period"] for one in rows] == lived.periods[:2]
    lines = call("head", "--store", lived.store.path, "--list", 9).stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == [one.head.hash[:12] for one in lived.steps]


# ---------------------------------------------------------------------------------------------- predictions and rewards


def test_predictions_are_those_of_the_head(lived: Life) -> None:
    for step in lived.steps:
        shown = told("predictions", "--store", lived.store.path, "--period", step.period)
        assert tuple(map(Prediction.from_dict, shown["predictions"])) == step.predictions
    text = call("predictions", "--store", lived.store.path, "--topic", TOPIC).stdout
    assert all(f"  {symbol} " in text for symbol in SYMBOLS)
    assert f"+0.3333  -1.0000  +1.0000  {lived.block[:8]} 100%" in text
    refused(3, "no prediction of symbol 'ZZZ'", "predictions", "--store", lived.store.path, "--symbol", "ZZZ")
    refused(2, "--proof without --symbol", "predictions", "--store", lived.store.path, "--proof")


def test_rewards_are_told_to_the_wei(lived: Life) -> None:
    step = lived.steps[1]
    facts = told("rewards", "--store", lived.store.path, "--period", step.period)
    assert [(one["account"], int(one["amount"]), one["why"]) for one in facts["earnings"]] == [
        (one.account, one.amount, one.why) for one in step.earnings
    ]
    assert {one["account"]: int(one["total"]) for one in facts["totals"]} == dict(step.claims.totals)
    assert (facts["root"], int(facts["total"])) == (step.head.rewards_root, step.head.reward_total)
    assert int(facts["emission"]) + int(facts["buyback"]) == int(facts["paid"]) + int(facts["kept"][0]["amount"])
    text = call("rewards", "--store", lived.store.path, "--period", step.period).stdout
    assert all(one in text for one in ("4.000000 LTFT paid of 5.000000 emission and 1.000000 buyback", "nobody there"))


def test_an_account_sees_what_it_can_claim(lived: Life) -> None:
    for step in lived.steps:
        for name in ("alice", "val1", "bob"):
            facts = told("rewards", "--store", lived.store.path, "--period", step.period, "--account", ADDRESS[name])
            total = step.claims.totals.get(ADDRESS[name], 0)
            assert int(facts["total"]) == total == sum(int(one["amount"]) for one in facts["earned"])
            assert bool(facts["proof"]) == bool(total)
    assert "earned nothing" in call("rewards", "--store", lived.store.path, "--account", ADDRESS["bob"]).stdout
    assert lived.block in call("rewards", "--store", lived.store.path, "--account", ADDRESS["alice"]).stdout


# ------------------------------------------------------------------------------------------------------------------- nav


@pytest.mark.parametrize("books", [1, 2])
def test_the_worth_is_what_the_journals_say(tmp_path: Path, books: int) -> None:
    path, steps = tmp_path / "fund.sqlite", list(made_fund.steps(books))
    with Store.create(path, made_fund.DOMAIN.salt, {}) as store:
        for one in steps:
            store.commit(one)
    facts = told("nav", "--store", path, "--series")
    assert len(facts["books"]) == books
    for name, shown in facts["books"].items():
        records: list[Record] = [record for one in steps for record in one.journal[name]]
        book, costs = book_of(records), Costs.of(records)
        values = [one for one in records if isinstance(one, Valuation)]
        assert (shown["nav_cents"], shown["cash_cents"]) == (cents(book.nav()), cents(book.cash))
        assert shown["per_share"] == pytest.approx(values[-1].per_share / WEI, rel=1e-8)
        assert shown["high_water"] == pytest.approx(book.high_water / WEI, rel=1e-8)
        assert (shown["costs_cents"], shown["fees_cents"]) == (
            cents(costs.trading),
            cents(costs.management + costs.performance),
        )
        assert shown["fees_cents"] > 0
        highest = max(one.per_share for one in values)
        assert shown["drawdown"] == pytest.approx(1 - values[-1].per_share / highest, abs=1e-8)
        assert [row[0] for row in shown["series"]] == sorted({one.time // 10**6 for one in values})
    together = facts["together"]
    assert together["nav_cents"] == pytest.approx(sum(one["nav_cents"] for one in facts["books"].values()), abs=1)
    assert together["worst_drawdown"] >= together["drawdown"] >= 0
    if books == 1:
        assert together == facts["books"]["book-0"]
    first = told("nav", "--store", path, "--series", "--period", steps[2].period)
    points = first["together"]["series"]
    assert points == together["series"][: len(points)]
    assert "together" in call("nav", "--store", path, "--series").stdout


# ---------------------------------------------------------------------------------------------------------------- verify


def proof(life: Life, period: int, symbol: str = "CCC") -> dict[str, Any]:
    result = call("predictions", "--store", life.store.path, "--symbol", symbol, "--period", period, "--proof")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


def test_a_proof_needs_the_ledger_only(lived: Life, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    for step, stamped in zip(lived.steps, (True, True, False), strict=True):
        document = proof(lived, step.period)
        file.write_text(json.dumps(document), encoding="utf-8")
        if stamped:
            facts = told("verify", file, "--ledger", lived.ledger)
            assert (facts["head"], facts["period"]) == (step.head.hash, step.period)
            assert facts["quorum"]["reached"]
            assert facts["stamp"]["height"] > step.head.height
            assert facts["predictions"] == [step.predictions[2].to_dict()]
            assert "stamped with a quorum" in call("verify", file, "--ledger", lived.ledger).stdout
        else:
            refused(5, "more than two thirds must sign", "verify", file, "--ledger", lived.ledger)
            document["signatures"] = [one.to_dict() for one in lived.signed(step.head)]
            file.write_text(json.dumps(document), encoding="utf-8")
            assert told("verify", file, "--ledger", lived.ledger)["stamp"] is None
    assert told("verify", file)["quorum"] is None
    assert "was not checked" in call("verify", file).stdout


def changed(document: dict[str, Any], life: Life) -> dict[str, tuple[Any, str]]:
    """Return what is wrong with a proof, and what is said of it."""
    said, tree = document["proofs"][0]["prediction"], document["proofs"][0]["proof"]
    head = json.loads(document["head"])
    other = replace(Head.from_json(document["head"]), data_root="03" * 32)
    strange = replace(other, ledger="04" * 32)
    return {
        "value": ({**document, "proofs": [{"prediction": {**said, "value": 5}, "proof": tree}]}, "not in HEAD"),
        "path": ({**document, "proofs": [{"prediction": said, "proof": {**tree, "index": 0}}]}, "not in HEAD"),
        "size": ({**document, "proofs": [{"prediction": said, "proof": {**tree, "size": "6"}}]}, "size of a tree"),
        "spaces": ({**document, "head": json.dumps(head)}, "not canonical JSON"),
        "replaced": ({**document, "head": other.text}, "is not on the ledger"),
        "signed": (
            {**document, "head": other.text, "signatures": [one.to_dict() for one in life.signed(other)]},
            "is not on the ledger",
        ),
        "ledger": ({**document, "head": strange.text}, "name the ledger it was made on"),
        "height": ({**document, "head": replace(other, height=10**6).text}, "does not have"),
        "all": ({"head": document["head"], "signatures": [], "predictions": [said]}, "stands for others"),
        "none": ({**document, "proofs": []}, "shows no prediction"),
        "fields": ({"head": document["head"], "proofs": []}, "missing or unknown: signatures"),
        "list": ([document], "give an object"),
        "number": ({**document, "head": 5}, "canonical text"),
        "signature": ({**document, "signatures": [{"period": 1}]}, "a signature has the fields"),
    }


FALSE = (
    "value", "path", "size", "spaces", "replaced", "signed", "ledger", "height", "all", "none", "fields",
    "list", "number", "signature",
)  # fmt: skip


@pytest.mark.parametrize("what", FALSE)
def test_a_false_proof_is_refused(lived: Life, tmp_path: Path, what: str) -> None:
    document, said = changed(proof(lived, lived.periods[0]), lived)[what]
    (tmp_path / "proof.json").write_text(json.dumps(document), encoding="utf-8")
    refused(5, said, "verify", tmp_path / "proof.json", "--ledger", lived.ledger)


def test_the_answer_to_all_predictions_can_be_verified_too(lived: Life, tmp_path: Path) -> None:
    with Reader.open(lived.store.path) as reader:
        _, _, body = pages(reader, dict)["/v1/predictions"]({"period": str(lived.periods[1])})
    (tmp_path / "all.json").write_bytes(body)
    assert len(told("verify", tmp_path / "all.json", "--ledger", lived.ledger)["predictions"]) == len(SYMBOLS)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no JSON"), (b"\xff\xfe", "no JSON"), (b"[" * 100_000, "no JSON"), (b"1" * 5_000, "no JSON")],
)
def test_what_is_no_proof_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "proof.json").write_bytes(content)
    refused(5, said, "verify", tmp_path / "proof.json")


def test_a_whole_fund_is_verified_against_its_ledger(lived: Life) -> None:
    latest = lived.store.latest()
    assert latest
    facts = told("verify", "--store", lived.store.path, "--ledger", lived.ledger)
    assert facts == {"steps": 3, "digest": latest.digest, "stamped": 2}
    assert told("verify", "--store", lived.store.path)["stamped"] is None


@pytest.mark.parametrize(("kept", "said"), [(1, "has stamped HEAD"), (0, "has stamped HEAD")])
def test_a_fund_that_lacks_a_stamped_head_differs(lived: Life, tmp_path: Path, kept: int, said: str) -> None:
    path = tmp_path / "short.sqlite"
    with Store.create(path, lived.network.ledger.domain.salt, {}) as store:
        for one in lived.steps[:kept]:
            store.commit(one)
    refused(5, f"{said} {lived.periods[kept]}", "verify", "--store", path, "--ledger", lived.ledger)


def test_a_fund_with_another_head_differs(lived: Life, tmp_path: Path) -> None:
    path, head = tmp_path / "other.sqlite", replace(lived.steps[0].head, data_root="02" * 32)
    with Store.create(path, lived.network.ledger.domain.salt, {}) as store:
        store.commit(replace(lived.steps[0], head=head, signatures=()))
    assert told("verify", "--store", path)["steps"] == 1
    refused(5, f"HEAD {head.period} is {head.hash}", "verify", "--store", path, "--ledger", lived.ledger)


def test_heads_that_do_not_follow_differ(lived: Life, tmp_path: Path) -> None:
    path = tmp_path / "gap.sqlite"
    with Store.create(path, lived.network.ledger.domain.salt, {}) as store:
        store.commit(lived.steps[1])
    refused(5, f"the parent of HEAD {lived.periods[1]}", "verify", "--store", path)


def test_a_damaged_fund_differs(lived: Life, tmp_path: Path) -> None:
    path = tmp_path / "fund.sqlite"
    with closing(sqlite3.connect(lived.store.path)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    with closing(sqlite3.connect(path)) as copy, copy:
        copy.execute("DROP TRIGGER documents_UPDATE")
        copy.execute("UPDATE documents SET content = ? WHERE period = ?", (b"x", lived.periods[1]))
    result = call("verify", "--store", path)
    assert result.exit_code == 5
    assert "damaged" in result.stderr


# ------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("head", "--period", "7"), 3, "has no HEAD of period 7; it goes from"),
        (("head", "--period", MAX_PERIOD), 3, "has no HEAD of period"),
        (("head", "--period", MAX_PERIOD + 1), 2, "--period"),
        (("nav", "--period", "-1"), 2, "--period"),
        (("head", "--list", "0"), 2, "--list"),
        (("head", "--ledger", "local"), 3, "no local ledger"),
        (("head", "--ledger", "nowhere.sqlite"), 3, "nowhere.sqlite"),
        (("rewards", "--account", "0x12"), 2, "EIP-55"),
        (("rewards", "--account", ADDRESS["alice"].lower()), 2, "EIP-55"),
        (("verify", "x.json"), 2, "give one of them"),
    ],
)
def test_bad_input_is_named_and_has_its_code(lived: Life, arguments: tuple[object, ...], code: int, said: str) -> None:
    refused(code, said, *arguments, "--store", lived.store.path)


def test_the_ledger_must_be_that_of_the_fund(lived: Life, tmp_path: Path) -> None:
    SqliteLedger.create(tmp_path / "other.sqlite", made_genesis(val1=400), Clock()).close()
    refused(3, "name its own", "head", "--store", lived.store.path, "--ledger", tmp_path / "other.sqlite")


def test_the_fund_of_the_home_is_the_default(lived: Life, home: Path) -> None:
    refused(3, str(home / "state" / "fund.sqlite"), "head")
    (home / "state").mkdir(parents=True)
    Store.create(home / "state" / "fund.sqlite", "ab" * 32, {}).close()
    for command in ("head", "predictions", "nav", "rewards"):
        refused(3, "has no HEAD yet", command)
    assert told("verify") == {"steps": 0, "digest": None, "stamped": None}


def test_reading_writes_nothing_and_needs_no_lock(lived: Life) -> None:
    before = lived.store.path.read_bytes(), sorted(lived.store.path.parent.iterdir())
    for command in ("head", "predictions", "nav", "rewards", "verify"):
        told(command, "--store", lived.store.path)
    assert (lived.store.path.read_bytes(), sorted(lived.store.path.parent.iterdir())) == before
