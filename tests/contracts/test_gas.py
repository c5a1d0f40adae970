"""What each frequent operation costs: exact, so that a change shows. docs/spec/contracts.md has the same numbers."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from evm import Evm
from made_ledgers import ADDRESS, KEYS, PARAMS, SALT, START, TOPIC, key_of, module
from market import FOREVER, TRADER, Market, T
from twin import RELAY, Core, twin_network

from protocol.addresses import checksum_address, keccak256
from protocol.head.claims import Claims
from protocol.head.head import Head, HeadModel, HeadTopic
from protocol.head.prediction import Prediction
from protocol.head.quorum import sign_head
from protocol.ledger.calls import head_fields, said_values, stacked, values_digest
from protocol.ledger.commitments import commitment_of
from protocol.ledger.event import sign
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.kinds import source_hash
from protocol.ledger.params import LTFT

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "contracts.md"
NAMES = [f"validator-{number}" for number in range(11)]
SIGNERS = {name: key_of(name) for name in NAMES}
CARRIER = ADDRESS["alice"]


def pages() -> dict[str, int]:
    """Return the gas that the documentation states, by operation."""
    rows = re.findall(r"^\| ([^|]+?) \| ([\d,]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: int(gas.replace(",", "")) for name, gas in rows}


class Stamper:
    """A ledger with some validators, and its HEADs one after the other."""

    def __init__(self, validators: int, models: int = 1) -> None:
        self.names = NAMES[:validators]
        people = [
            GenesisAccount(address=SIGNERS[name].address, name=name, balance=LTFT, stake=400 * LTFT)
            for name in self.names
        ]
        people.append(GenesisAccount(address=CARRIER, name="alice", balance=LTFT))
        genesis = Genesis(
            chain_id=31_337, name="made", time=START, pool=1_000 * LTFT, params=PARAMS, accounts=tuple(people)
        )
        self.core = Core(Evm(31_337, START), genesis)
        self.parent, self.number = self.core.domain.salt, 0
        self.models = tuple(
            sorted(
                (
                    HeadModel(hashlib.sha256(bytes([one])).hexdigest(), "provisional", 343_566_035)
                    for one in range(models)
                ),
                key=lambda model: model.hash,
            )
        )
        self.claims = Claims({SIGNERS[name].address: LTFT + place for place, name in enumerate(self.names)})

    def predictions(self) -> list[Prediction]:
        chance = random.Random(7)
        return [
            Prediction(
                "us-daily",
                "energy",
                "nyse",
                f"S{place:03}",
                "ohlcv-1d",
                1_700_006_400_000_000,
                5,
                chance.randint(-3 * 10**9, 3 * 10**9),
                -(10**10),
                10**10,
                ((self.models[0].hash, 10**9),),
            )
            for place in range(100)
        ]

    def head(self) -> Head:
        period = START // 600 + self.number
        self.core.chain.at(period * 600 + 5)
        made = Head.of(
            period=period,
            parent=self.parent,
            height=self.number,
            ledger="ab" * 32,
            data_root="ef" * 32,
            topics=(HeadTopic("us-daily", self.models),),
            predictions=self.predictions(),
            claims=self.claims,
        )
        self.parent = made.hash
        return made

    def stamp(self) -> int:
        head = self.head()
        marks = {
            SIGNERS[name].address: sign_head(SIGNERS[name], self.core.domain, head).signature for name in self.names
        }
        done = self.core.heads.send(CARRIER, "stamp", self.number, *head_fields(head), stacked(marks))
        self.number += 1
        return done.gas

    def stamp_values(self, *, keep: bool) -> int:
        head = self.head()
        fields, _, _, topics = head_fields(head)
        said = said_values(head.hash, "11" * 32, [one.value for one in self.predictions()])
        digest = values_digest(self.core.domain, fields, topics, keccak256(said).hex())
        marks = stacked({SIGNERS[name].address: SIGNERS[name].sign(digest) for name in self.names})
        arguments = self.number, fields, topics, said, marks
        done = self.core.heads.send(CARRIER, "stampFeeds" if keep else "stampValues", *arguments)
        self.number += 1
        return done.gas


def heads() -> Iterator[tuple[str, int]]:
    for validators, models in ((1, 1), (5, 1), (11, 1), (5, 25)):
        stamper = Stamper(validators, models)
        for _ in range(2):  # the first HEAD of a ledger fills slots that were empty
            stamper.stamp()
        yield f"stamp, {validators} of {validators} signatures, {models} models", stamper.stamp()
        if (validators, models) == (5, 1):
            stamper.claims = Claims({key.address: 2 * LTFT for key in list(SIGNERS.values())[:5]})
            stamper.stamp()
            stamper.claims = Claims({key.address: 3 * LTFT for key in list(SIGNERS.values())[:5]})
            yield "stamp, 5 of 5 signatures, 1 models, new rewards minted", stamper.stamp()
    for validators in (1, 5):
        stamper = Stamper(validators)
        for _ in range(2):
            stamper.stamp_values(keep=False)
        yield (
            f"stamp with 100 predictions in the log, {validators} of {validators} signatures",
            stamper.stamp_values(keep=False),
        )
    for _ in range(2):
        stamper.stamp_values(keep=True)
    yield "stamp with 100 predictions stored, 5 of 5 signatures", stamper.stamp_values(keep=True)


def claims() -> Iterator[tuple[str, int]]:
    for accounts in (100, 1_000):
        for way in ("brought", "signed"):
            stamper = Stamper(1)
            others = {
                "0x" + hashlib.sha256(bytes([9, one % 256, one // 256])).hexdigest()[:40]: LTFT // 1_000
                for one in range(accounts - 1)
            }
            fixed = {checksum_address(address): amount for address, amount in others.items()}
            done = 0
            for total in (1, 2, 3):
                stamper.claims = Claims(fixed | {CARRIER: total * LTFT // 100})
                stamper.stamp()
                proof = stamper.claims.claim(CARRIER)
                nonce = stamper.core.ledger.accounts(CARRIER)[1]
                path = [bytes.fromhex(one) for one in proof.proof.path]
                told = {"total": proof.total, "proof": proof.proof.to_dict()}
                event = sign(KEYS["alice"], stamper.core.domain, "claim", nonce, told)
                mark = bytes.fromhex(event.signature[2:]) if way == "signed" else b""
                who = RELAY if way == "signed" else CARRIER
                arguments = CARRIER, nonce, proof.total, proof.proof.index, proof.proof.size, path, mark
                done = stamper.core.heads.send(who, "claim", *arguments).gas
                stamper.number = stamper.core.ledger.height()
            yield f"claim, {accounts} accounts, {way}", done


def events() -> Iterator[tuple[str, int]]:
    network = twin_network()
    gas = network.ledger.gas
    for amount in (1, 2, 3, 4):
        for kind in ("stake", "deposit", "burn", "redeem"):
            network.ledger.signed = True
            network.send("alice", kind, amount=amount)
        network.ledger.signed = True
        network.send("alice", "transfer", to=ADDRESS["bob"], amount=amount)
    yield from ((f"{kind}, signed", gas[kind]) for kind in ("transfer", "stake", "deposit", "burn", "redeem"))
    network.ledger.signed = False
    network.send("alice", "transfer", to=ADDRESS["bob"], amount=1)
    yield "transfer, brought", gas["transfer"]
    for number in (1, 2):
        network.ledger.signed = True
        network.commit("alice", module(number))
        hidden = gas["commit"]
        network.ledger.signed = True
        commitment = commitment_of(source_hash(module(number)), ADDRESS["alice"], SALT)
        network.send("alice", "reveal", commitment=commitment, salt=SALT, topic=TOPIC, source=module(number))
        reveal = gas["reveal"]
        network.ledger.signed = True
        network.judge(source_hash(module(number)))
    yield "commit, signed", hidden
    yield "reveal with a text of 53 bytes, signed", reveal


def market() -> Iterator[tuple[str, int]]:
    made = Market(ring=4)
    for number in range(4):
        made.wait(700)
        buy = made.pool.send(TRADER, "buy", T, 0, TRADER, FOREVER).gas
        made.wait(700)
        sell = made.pool.send(TRADER, "sell", T, 0, TRADER, FOREVER).gas
        made.buyback.send(TRADER, "fund", 10 * T)
        made.wait(1_900 if number == 0 else 600)
        step = made.buyback.send(RELAY, "step").gas
    made.pool.send(TRADER, "buy", T, 0, TRADER, FOREVER)
    yield "swap, first in its second", buy
    yield "swap, same second", made.pool.send(TRADER, "buy", T, 0, TRADER, FOREVER).gas
    yield "sale of LTFT to the pool", sell
    yield "step of the buyback", step
    for _ in range(2):
        deposit = made.vault.send(TRADER, "deposit", T, TRADER).gas
        redeem = made.vault.send(TRADER, "redeem", 10**20, TRADER, TRADER).gas
        bought = made.sale.send(TRADER, "buy", T, 2**200).gas
        sold = made.sale.send(TRADER, "sell", T // 2, 0).gas
    yield "deposit into the vault", deposit
    yield "redemption of shares", redeem
    yield "purchase on the curve", bought
    yield "sale to the curve", sold
    made.coin.send(TRADER, "transfer", made.treasury.address, 100 * T)
    made.treasury.send(TRADER, "redeem", T, [0])
    yield "redemption of LTFT", made.treasury.send(TRADER, "redeem", T, [0]).gas
    made.ltft.send(TRADER, "transfer", RELAY, T)
    yield "transfer of LTFT", made.ltft.send(TRADER, "transfer", RELAY, T).gas


@pytest.mark.parametrize("group", [heads, claims, events, market])
def test_gas_is_what_the_documentation_says(group: object) -> None:
    stated = pages()
    found = dict(group())  # type: ignore[operator]  # a function of the list above
    print(found)  # noqa: T201 - what to write into the page
    assert found == {name: stated.get(name) for name in found}


def test_limits() -> None:
    """What the project set out for."""
    stated = pages()
    minted = stated["stamp, 5 of 5 signatures, 1 models, new rewards minted"]
    assert stated["stamp, 1 of 1 signatures, 1 models"] <= 80_000
    assert stated["stamp, 5 of 5 signatures, 1 models"] <= 125_000
    assert minted - stated["stamp, 5 of 5 signatures, 1 models"] <= 65_000
    assert stated["swap, first in its second"] <= 80_000
    assert stated["stamp with 100 predictions in the log, 1 of 1 signatures"] <= 80_000
    assert stated["stamp with 100 predictions in the log, 5 of 5 signatures"] <= 125_000
    for accounts in (100, 1_000):
        assert stated[f"claim, {accounts} accounts, brought"] <= 60_000
