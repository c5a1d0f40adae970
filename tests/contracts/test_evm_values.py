"""HEADs that are brought to a chain with the values of their predictions: recorded once, read by everybody, read by feeds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from eth_account import Account
from evm import Contract, Reverted
from evm import artifact as made_artifact
from made_ledgers import ADDRESS, KEYS, TOPIC, VALIDATORS, Network, key_of, module
from place import Place
from test_ledger_heads import body, made_head

from fund import chain_cli
from fund.courier import Courier
from fund.proving import stamps
from fund.step import Step
from fund.store import Store
from infra.network import send
from protocol.errors import LongtailError
from protocol.head import merkle
from protocol.head.claims import Claims
from protocol.head.head import HeadModel, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.quorum import sign_head
from protocol.head.units import NANO
from protocol.ledger.artifacts import artifact
from protocol.ledger.calls import values_in
from protocol.ledger.digest import state_digest
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_node import Node
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.values import SignedValues, Values, stamp_quorum

PAGE = (Path(__file__).parents[2] / "docs" / "chain.md").read_text(encoding="utf-8")
NUMBERS = (-1, 0, 3_000_000_000, -(2**62), 7)
CLAIMS = Claims({ADDRESS["alice"]: 7 * LTFT, ADDRESS["bob"]: LTFT})
pytestmark = pytest.mark.filterwarnings("ignore")


def made_step(network: Network, block_hash: str, numbers: tuple[int, ...] = NUMBERS) -> Step:
    """Return a step whose HEAD has one model and a prediction for each number."""
    told = tuple(
        Prediction(TOPIC, "l1", "made", f"S{n}", "ohlcv-1d", 0, 5, one, one - 1, one + 1, ((block_hash, NANO),))
        for n, one in enumerate(numbers)
    )
    speaking = (HeadTopic(TOPIC, (HeadModel(block_hash, "provisional", NANO),)),)
    head = made_head(network, {}, topics=speaking, predictions=told, claims=CLAIMS)
    return Step(head=head, claims=CLAIMS, predictions=told)


@pytest.fixture
def carol(place: Place) -> Network:
    """Carol, who stamps; a model stands, and the first HEAD is due."""
    network = place.network("carol")
    block_hash = place.network().submit("alice", module(1))
    assert place.network().judge(block_hash) == "accepted"
    place.later(700)
    return network


def block_of(network: Network) -> str:
    (block_hash,) = network.state.blocks
    return block_hash


def signed_values(
    network: Network, step: Step, *, keep: bool = False, who: tuple[str, ...] = VALIDATORS
) -> SignedValues:
    values = Values.of(step.head, step.predictions)
    return SignedValues(values, {ADDRESS[name]: values.sign(KEYS[name], network.ledger.domain) for name in who}, keep)


def logged(place: Place, network: Network) -> list[bytes]:
    """Return what the chain's log says of every HEAD that came with values: hashes of HEAD and series, values."""
    ledger = place.chain.web3.eth.contract(place.core.ledger.address, abi=artifact("Ledger").abi)
    kind = {"kind": b"stamp".ljust(32, b"\0")}
    found = [
        bytes(one["args"]["body"]) for one in ledger.events.Recorded().get_logs(from_block=0, argument_filters=kind)
    ]
    return [one for one in found if len(one) > 32]


def test_values_are_recorded_with_their_head_and_read_back_by_another(place: Place, carol: Network) -> None:
    step = made_step(carol, block_of(carol))
    values, event = signed_values(carol, step), carol.event("carol", "stamp", **body(carol, step.head))
    assert carol.ledger.append(event, values).new
    assert logged(place, carol) == [values.values.said]
    assert tuple(values_in(logged(place, carol)[0])) == NUMBERS
    for other in (place.view(cache=place.folder / "cache.sqlite"), place.view(cache=place.folder / "cache.sqlite")):
        told = other.tip().event.body
        assert told["head"] == step.head.text
        assert told["values"] == values.values.hash
        assert {one["validator"]: one["signature"] for one in told["signatures"]} == values.signatures
        assert state_digest(other.state()) == state_digest(carol.state)
        assert other.verify(carol.ledger.tip().hash).ok
        (stamped,) = stamps(other)
        assert stamped.quorum.reached
        assert len(stamped.quorum.signers) == 3
        lied = {**told, "values": "00" * 32}
        assert stamp_quorum(other.domain, lied, other.state().validators).forged
    place.later(700)
    carol.send("carol", "stamp", **body(carol, made_step(carol, block_of(carol)).head))
    assert [one.quorum.reached for one in stamps(carol.ledger)] == [True, True]
    assert "values" not in carol.ledger.tip().event.body


def test_a_stamp_is_known_by_its_head_whoever_signed_it(place: Place, carol: Network) -> None:
    step = made_step(carol, block_of(carol))
    event = carol.event("carol", "stamp", **body(carol, step.head))
    first = carol.ledger.append(event, signed_values(carol, step))
    fewer = carol.event("carol", "stamp", nonce=event.nonce, **body(carol, step.head, VALIDATORS[:1]))
    for values in (None, signed_values(carol, step), signed_values(carol, step, keep=True, who=VALIDATORS[1:])):
        for one in (event, fewer):
            for ledger in (carol.ledger, place.view("carol")):
                assert ledger.append(one, values) == replace(first, new=False)
    assert len(logged(place, carol)) == 1
    another = carol.event("carol", "stamp", nonce=event.nonce, **body(carol, replace(step.head, data_root="77" * 32)))
    assert refused(carol, another) == "nonce"


def refused(network: Network, event: Any) -> str:
    with pytest.raises(LedgerRefusal) as caught:
        network.ledger.append(event)
    return caught.value.code


def test_too_few_signatures_of_values_are_refused_by_the_contract(carol: Network) -> None:
    step = made_step(carol, block_of(carol))
    event = carol.event("carol", "stamp", **body(carol, step.head))
    with pytest.raises(LedgerRefusal, match="no-quorum"):
        carol.ledger.append(event, signed_values(carol, step, who=VALIDATORS[:2]))
    assert carol.state.stamp is None


class Killed(BaseException):
    """The process ends here."""


def dying(place: Place) -> Node:
    """Return a node whose program is killed between sending a transaction and its receipt."""

    class Dying(type(place.node())):  # type: ignore[misc]  # one of two
        def _receipt(self, digest: bytes) -> Any:
            raise Killed

    return Dying(place.chain.web3, wait=lambda seconds: None)


@pytest.fixture
def courier(place: Place, carol: Network) -> Iterator[Callable[..., Courier]]:
    """Return what opens the courier of a fund with one HEAD, signed by validators, those of its values among them."""
    step = made_step(carol, block_of(carol))
    values = Values.of(step.head, step.predictions)

    stores: list[Store] = []

    def one(ledger: EvmLedger, place_of_values: Any = "log", valued: tuple[str, ...] = VALIDATORS) -> Courier:
        for store in stores:
            store.close()  # as the end of a process does
        path = place.folder / "fund.sqlite"
        if not path.exists():
            Store.create(path, ledger.domain.salt, {}).close()
        with Store.open(path) as store:
            store.commit(step)
            signed = [sign_head(KEYS[name], ledger.domain, step.head) for name in VALIDATORS]
            marks = [values.sign(KEYS[name], ledger.domain) if name in valued else "" for name in VALIDATORS]
            store.sign([replace(a, values=b) for a, b in zip(signed, marks, strict=True)])
        fund = Store.open(path)
        stores.append(fund)
        return Courier(fund, ledger, key_of("carol"), place_of_values)

    yield one
    for store in stores:
        store.close()


@pytest.mark.parametrize("later", ["with values", "by its root"])
def test_killed_between_sending_and_receipt_it_stamps_once(
    place: Place, carol: Network, courier: Callable[..., Courier], later: str
) -> None:
    with pytest.raises(Killed):
        courier(place.view("carol", node=dying(place))).carry()
    again = courier(place.view("carol"), "log" if later == "with values" else "none")
    assert again.carry() == 0
    assert again.waiting(again.ledger.state()) == ()
    assert len(logged(place, carol)) == 1
    assert [one.event.kind for one in again.ledger.records()].count("stamp") == 1


def test_sent_but_not_seen_yet_the_courier_waits_and_stamps_once(
    place: Place, carol: Network, courier: Callable[..., Courier]
) -> None:
    """The stamp is in a block that does not count yet: the next attempt is refused and costs nothing."""
    with pytest.raises(Killed):
        courier(place.view("carol", node=dying(place))).carry()
    careful = courier(place.view("carol", confirmations=2))
    with pytest.raises(LongtailError, match="nonce"):
        careful.carry()
    for _ in range(2):
        place.network().send("bob", "tick")
    assert careful.carry() == 0
    assert careful.waiting(careful.ledger.state()) == ()
    assert len(logged(place, carol)) == 1


@pytest.mark.parametrize("valued", [VALIDATORS, VALIDATORS[:2]])
def test_the_courier_brings_values_that_a_quorum_signed_else_the_root(
    place: Place, carol: Network, courier: Callable[..., Courier], valued: tuple[str, ...]
) -> None:
    ours = courier(place.view("carol"), "log", valued)
    assert ours.carry() == 1
    assert ours.carry() == 0
    assert bool(logged(place, carol)) == (valued == VALIDATORS)
    (stamped,) = stamps(place.view())
    assert stamped.quorum.reached


def test_send_gives_values_to_a_chain(place: Place, carol: Network) -> None:
    step = made_step(carol, block_of(carol))
    send(carol.ledger, key_of("carol"), "stamp", body(carol, step.head), signed_values(carol, step, keep=True))
    assert [place.core.heads.valueAt(n) for n in range(5)] == [(one, step.head.period) for one in NUMBERS]


def test_status_says_which_values_the_chain_has(place: Place, carol: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_cli, "_node", lambda url, fee=200: place.node())

    def shown() -> dict[str, Any]:
        done = CliRunner().invoke(chain_cli.status, ["here", place.core.ledger.address, "--json"])
        assert done.exit_code == 0, done.output
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    assert [shown()[f"values_{name}"] for name in ("logged", "stored", "logged_age_s")] == [None] * 3
    first = made_step(carol, block_of(carol))
    carol.ledger.append(
        carol.event("carol", "stamp", **body(carol, first.head)), signed_values(carol, first, keep=True)
    )
    place.later(700)
    second = made_step(carol, block_of(carol))
    carol.ledger.append(carol.event("carol", "stamp", **body(carol, second.head)), signed_values(carol, second))
    facts = shown()
    assert (facts["values_logged"], facts["values_stored"]) == (second.head.period, first.head.period)
    assert facts["head_period"] == second.head.period
    now = place.chain.web3.eth.get_block("latest")["timestamp"]
    assert facts["values_stored_age_s"] == now - first.head.period * 600


def names_of(place: Place, step: Step) -> dict[str, Any]:
    """Return what the scripts of docs/chain.md are given."""
    proof, mine = merkle.prove([one.leaf for one in step.predictions], 1), CLAIMS.claim(ADDRESS["alice"])
    return {
        "w3": place.chain.web3,
        "abi": lambda name: artifact(name).abi,
        "code": lambda name: artifact(name).bytecode,
        "ledger_address": place.core.ledger.address,
        "leaf": step.predictions[1].leaf,
        "leaf_index": 1,
        "leaf_path": [bytes.fromhex(one) for one in proof.path],
        "total": mine.total,
        "index": mine.proof.index,
        "size": mine.proof.size,
        "path": [bytes.fromhex(one) for one in mine.proof.path],
        "account": Account.from_key(hashlib.sha256(b"alice").digest()),
        "predictions": [one.to_dict() for one in step.predictions],
        "wanted": list(step.predictions[3].key),
    }


@pytest.mark.parametrize("how", ["root", "log", "keep"])
def test_third_parties_read_heads_and_feeds_with_web3_and_the_abi_only(place: Place, carol: Network, how: str) -> None:
    """Run the scripts of docs/chain.md."""
    step = made_step(carol, block_of(carol))
    values = None if how == "root" else signed_values(carol, step, keep=how == "keep")
    carol.ledger.append(carol.event("carol", "stamp", **body(carol, step.head)), values)
    reading, feeding = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    names = names_of(place, step)
    before = carol.state.accounts[ADDRESS["alice"]].balance
    exec(compile(reading, "docs/chain.md", "exec"), names)  # noqa: S102 - our own documentation
    assert carol.state.accounts[ADDRESS["alice"]].balance == before + 7 * LTFT
    feed = compile(feeding, "docs/chain.md", "exec")
    if how != "keep":
        with pytest.raises(AssertionError):
            exec(feed, names)  # noqa: S102
        return
    exec(feed, names)  # noqa: S102
    assert (names["answer"], names["value"], names["period"]) == (-(2**62), -(2**62) / 10**9, step.head.period)
    place.later(700)
    other = made_step(carol, block_of(carol), NUMBERS[:4])
    carol.ledger.append(
        carol.event("carol", "stamp", **body(carol, other.head)), signed_values(carol, other, keep=True)
    )
    feed_again = Contract(place.chain, made_artifact("Feed"), names["feed"].address)
    with pytest.raises(Reverted, match="NoData"):  # the list of series is another one
        feed_again.latestRoundData()
